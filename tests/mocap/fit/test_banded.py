"""The block-banded equations against the same ones written out in full."""

import numpy as np
import pytest
import torch

from mocap.fit.banded import Carry, Corner, Covariance, NotPositiveError, Run, first_carry, runs
from mocap.fit.problem import FitError, NormalEquations

FRAMES, POSE, BORDER = 6, 4, 3


@pytest.fixture
def written_out() -> tuple[NormalEquations, np.ndarray, np.ndarray]:
    """Equations of random residuals over three frames and the border, with the full matrix and gradient."""
    random = np.random.default_rng(0)
    size = FRAMES * POSE + BORDER
    full, gradient = 0.1 * np.eye(size), random.normal(size=size)
    for frame in range(FRAMES - 2):
        rows = np.zeros((8, size))
        rows[:, frame * POSE : (frame + 3) * POSE] = random.normal(size=(8, 3 * POSE))
        rows[:, FRAMES * POSE :] = random.normal(size=(8, BORDER))
        full += rows.T @ rows
    return equations_of(full, gradient), full, gradient


def equations_of(full: np.ndarray, gradient: np.ndarray) -> NormalEquations:
    inner = FRAMES * POSE
    blocks = full[:inner, :inner].reshape(FRAMES, POSE, FRAMES, POSE).transpose(0, 2, 1, 3)
    bands = [np.zeros((FRAMES + 2, POSE, POSE)) for _ in range(3)]
    for ahead, band in enumerate(bands):
        for frame in range(FRAMES - ahead):
            band[frame] = blocks[frame, frame + ahead]
    return NormalEquations(
        tuple(torch.from_numpy(band) for band in bands),
        torch.from_numpy(_padded(full[:inner, inner:].reshape(FRAMES, POSE, BORDER))),
        torch.from_numpy(full[inner:, inner:].copy()),
        torch.from_numpy(_padded(gradient[:inner].reshape(FRAMES, POSE))),
        torch.from_numpy(gradient[inner:].copy()),
        {},
    )


def _padded(rows: np.ndarray) -> np.ndarray:
    """With the two rows that a run of frames leaves to the next."""
    return np.concatenate([rows, np.zeros((2, *rows.shape[1:]))])


def part_of(equations: NormalEquations, first: int, stop: int) -> NormalEquations:
    """The equations of some frames, those after them untouched as yet."""
    bands = tuple(band[first : stop + 2].clone() for band in equations.bands)
    border, gradient = (part[first : stop + 2].clone() for part in (equations.border, equations.gradient))
    for part in (*bands, border, gradient):
        part[stop - first :] = 0.0
    return NormalEquations(bands, border, equations.corner, gradient, equations.border_gradient, {})


class Factor:
    """The factor of all frames, made in runs of ``length``."""

    def __init__(self, equations: NormalEquations, *, damping: float = 0.0, length: int = FRAMES) -> None:
        carry: Carry = first_carry(POSE, BORDER)
        self.runs: list[Run] = []
        for first, stop in runs(FRAMES, length):
            self.runs.append(Run(part_of(equations, first, stop), carry, damping=damping, first=first))
            carry = self.runs[-1].left
        corner, gradient = equations.corner.numpy(), equations.border_gradient.numpy()
        self.corner = Corner(corner, gradient, carry.corner, damping=damping)

    def solve(self) -> np.ndarray:
        border, after = self.corner.solve(), np.zeros((2, POSE))
        steps = np.zeros((0, POSE))
        for run in self.runs[::-1]:
            steps = np.concatenate([run.back(border, after), steps])
            after = steps[:2] if len(steps) > 1 else np.concatenate([steps, np.zeros((1, POSE))])
        return np.concatenate([steps.ravel(), border])

    def posterior(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        after = Covariance.of_none(POSE, BORDER)
        given, follow = [], []
        for run in self.runs[::-1]:
            now = run.covariance(after)
            given.insert(0, now.given)
            follow.insert(0, now.by_border)
            by = np.concatenate([now.by_border[:2], after.by_border[:2]])[:2]
            after = Covariance(now.given, by, now.first_two)
        return np.concatenate(given), np.concatenate(follow), self.corner.covariance()


@pytest.mark.parametrize("length", [6, 4, 2, 1])
def test_the_step_solves_the_full_equations_in_any_runs(length: int, written_out) -> None:
    equations, full, gradient = written_out
    step = Factor(equations, length=length).solve()
    assert np.allclose(step, np.linalg.solve(full, -gradient), atol=1e-7)


def test_damping_adds_to_the_diagonal(written_out) -> None:
    equations, full, gradient = written_out
    step = Factor(equations, damping=0.5, length=4).solve()
    expected = np.linalg.solve(full + 0.5 * np.diag(np.diag(full)), -gradient)
    assert np.allclose(step, expected, atol=1e-7)


@pytest.mark.parametrize("length", [6, 3, 2, 1])
def test_the_posterior_is_the_inverse(length: int, written_out) -> None:
    equations, full, _ = written_out
    given, by_border, border = Factor(equations, length=length).posterior()
    inverse, inner = np.linalg.inv(full), FRAMES * POSE
    assert np.allclose(border, inverse[inner:, inner:], atol=1e-7)
    for frame in range(FRAMES):
        rows = slice(frame * POSE, (frame + 1) * POSE)
        f = by_border[frame]
        assert np.allclose(given[frame] + f @ border @ f.T, inverse[rows, rows], atol=1e-7)
        assert np.allclose(f @ border, inverse[rows, inner:], atol=1e-7)


def test_equations_that_are_not_positive_are_refused(written_out) -> None:
    _, full, gradient = written_out
    full = full.copy()
    full[5, 5] = -1.0
    with pytest.raises(NotPositiveError):
        Factor(equations_of(full, gradient))


def test_equations_that_are_not_finite_name_the_frame(written_out) -> None:
    equations, _, _ = written_out
    equations.gradient[4, 1] = torch.nan
    with pytest.raises(FitError, match="not finite at frame 4"):
        Factor(equations, length=3)
