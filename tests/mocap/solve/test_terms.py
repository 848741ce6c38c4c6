"""Every term's equations are those of its own cost, differentiated automatically."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from calibration.cameras import Cameras
from mocap.solve.basis import Basis
from mocap.solve.noise import Correlation
from mocap.solve.normal import Normal
from mocap.solve.terms import BoneTerm, MotionTerm, State, Term, ViewTerm
from mocap.solve.views import linearise

FRAMES, POINTS = 14, 3


def dense(normal: Normal) -> tuple[np.ndarray, np.ndarray]:
    """The equations as one matrix, the border last, and the right side."""
    num, size = normal.basis.num_knots, 3 * normal.count
    blocks, border, corner = normal.blocks(), normal.border, normal.corner
    total = num * size + len(corner)
    matrix = np.zeros((total, total))
    for knot in range(num):
        for apart in range(min(normal.reach + 1, num - knot)):
            block = np.zeros((size, size))
            block.ravel()[blocks.place] = blocks.values[apart, knot, blocks.source]
            first, second = (slice(at * size, (at + 1) * size) for at in (knot, knot + apart))
            matrix[first, second] = block
            matrix[second, first] = block.T
    matrix[: num * size, num * size :] = border.reshape(num * size, -1)
    matrix[num * size :, : num * size] = border.reshape(num * size, -1).T
    matrix[num * size :, num * size :] = corner
    return matrix, np.concatenate([normal.right.ravel(), normal.corner_right])


def check(term: Term, residual: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], step: int) -> None:
    """Compare with J^T J and -J^T r of ``residual(knots, lengths)``."""
    rng = np.random.default_rng(3)
    basis = Basis(FRAMES, step)
    lengths = np.array([0.3, 0.5])
    knots = basis.approximate(track(rng))
    state = State(knots, basis.expand(knots), lengths)
    normal = Normal(basis, POINTS, 2, 5)
    term.add(normal, state)
    matrix, right = dense(normal)
    flat = torch.tensor(np.concatenate([knots.ravel(), lengths]))

    def of(flat: torch.Tensor) -> torch.Tensor:
        return residual(flat[: knots.size].reshape(knots.shape), flat[knots.size :])

    slope = torch.autograd.functional.jacobian(of, flat).numpy()
    value = of(flat).numpy()
    scale = np.abs(slope.T @ slope).max()
    np.testing.assert_allclose(matrix, slope.T @ slope, atol=1e-10 * scale)
    np.testing.assert_allclose(right, -slope.T @ value, atol=1e-10 * np.abs(slope.T @ value).max())
    tiny = 1e-6
    for column in (0, 7, len(flat) - 1):
        ahead, behind = flat.clone(), flat.clone()
        ahead[column] += tiny
        behind[column] -= tiny
        slowly = (of(ahead) - of(behind)).numpy() / (2 * tiny)
        np.testing.assert_allclose(slope[:, column], slowly, atol=1e-6 * max(np.abs(slope).max(), 1))


def track(rng: np.random.Generator) -> np.ndarray:
    time = np.arange(FRAMES)[:, None, None] / 10
    return np.sin(time * rng.uniform(0.5, 1, (POINTS, 3)) + rng.uniform(0, 6, (POINTS, 3))) * 0.3


def expand(basis: Basis, knots: torch.Tensor) -> torch.Tensor:
    matrix = torch.tensor(basis.expand(np.eye(basis.num_knots)))
    return torch.einsum("tn,nkc->tkc", matrix, knots)


@pytest.mark.parametrize("step", [1, 3])
def test_bones(step: int) -> None:
    first, second, weight = np.array([0, 1]), np.array([1, 2]), np.array([4.0, 9.0])
    basis = Basis(FRAMES, step)

    def residual(knots: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        xyz = expand(basis, knots)
        distance = (xyz[:, first] - xyz[:, second]).norm(dim=-1)
        return ((distance - lengths) * torch.tensor(weight).sqrt()).ravel()

    check(BoneTerm(first, second, weight), residual, step)


@pytest.mark.parametrize("step", [1, 3])
def test_motion(step: int) -> None:
    stencil, weight = np.array([1.0, -3.0, 3.0, -1.0]), np.array([2.0, 3.0, 5.0])

    def residual(knots: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return (
            torch.diff(knots, 3, dim=0) * torch.tensor(weight).sqrt()[:, None]
        ).ravel() + 0 * lengths.sum()

    check(MotionTerm(stencil, weight), residual, step)


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_views(make_stage, step: int, rho: float) -> None:
    """With lasting errors: the squares of what is new in every frame, of equal weights in steady sight."""
    cameras: Cameras = make_stage(cameras=3).cameras
    rng = np.random.default_rng(3)
    basis = Basis(FRAMES, step)
    xyz = basis.expand(basis.approximate(track(rng)))
    # A slow point: slopes of neighbouring frames agree, as the term takes them to.
    xyz = xyz.mean(0) + (xyz - xyz.mean(0)) * 1e-9
    seen = cameras.project(torch.tensor(xyz))[0].numpy() + rng.normal(0, 2, (FRAMES, 3, POINTS, 2))
    gone = rng.random(seen.shape[:3]) < 0.15
    seen[gone] = np.nan
    views = linearise(cameras, xyz, seen)
    weight = np.where(views.seen, 0.25, 0.0)
    chains = Correlation(rho).chains(views.seen)
    slopes = torch.tensor(views.d_point)

    def residual(knots: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        move = expand(basis, knots) - torch.tensor(xyz)
        error = torch.tensor(views.residual_px) - torch.einsum("ractk,tka->rctk", slopes, move)
        parts = [0 * lengths.sum()[None]]
        for camera in range(3):
            for point in range(POINTS):
                frames = np.flatnonzero(views.seen[camera, :, point])
                last = None
                for frame in frames:
                    now = error[:, camera, frame, point] / 2
                    if last is None:
                        parts.append(now)
                    else:
                        rate = rho ** (frame - last)
                        before = error[:, camera, last, point] / 2
                        parts.append((now - rate * before) / np.sqrt(1 - rate**2))
                    last = frame
        return torch.cat(parts)

    gaps = [np.diff(np.flatnonzero(views.seen[c, :, k])).max() for c in range(3) for k in range(POINTS)]
    assert 1 < max(gaps) <= 3, "missing frames, none too many in a row"
    check_views(ViewTerm(views, weight, chains), residual, basis, xyz)


def check_views(term: ViewTerm, residual, basis: Basis, xyz: np.ndarray) -> None:
    knots = basis.approximate(xyz)
    normal = Normal(basis, POINTS, 2, 5)
    term.add(normal, State(knots, basis.expand(knots), np.zeros(2)))
    matrix, right = dense(normal)
    flat = torch.tensor(np.concatenate([knots.ravel(), np.zeros(2)]))

    def of(flat: torch.Tensor) -> torch.Tensor:
        return residual(flat[: knots.size].reshape(knots.shape), flat[knots.size :])

    slope = torch.autograd.functional.jacobian(of, flat).numpy()
    value = of(flat).numpy()
    np.testing.assert_allclose(matrix, slope.T @ slope, atol=1e-8 * np.abs(matrix).max())
    np.testing.assert_allclose(right, -slope.T @ value, atol=1e-8 * np.abs(right).max())
