"""Bundle adjustment on people: cameras, clocks, bones and every keypoint at every instant, together.

Minimises over camera poses, focal lengths, principal points, k1, k2, clock offsets, bone lengths and points

    sum t(|project(camera c, X_sk) + size_cs bias_ck - track_ck(time_s - offset_c)| / sigma) * trust
    + sum t((|X_sa - X_sb| - length_b) / bone_sigma) * trust + priors

with t the negative log of a Student-t: keypoints have heavy tails. A detector that places a keypoint beside
the truth does so over the whole take, the more so the larger the person appears: that is ``bias``, without
which cameras bend to it. The points of one person at one instant hang
together through the bones and with nothing else, so their block is eliminated first (Schur complement);
what is left is a dense system of a few hundred unknowns, however long the take. Derivatives are closed
forms. Poses take left perturbations ``exp([rho, phi])``, translation first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import roma
import torch
from torch import Tensor

from .cameras import Cameras
from .people_curves import PersonView, sample

POSE = 6
LENS = ("log_focal", "center_x", "center_y", "k1", "k2", "offset")
"""What is solved for each camera beside its pose: log factor on both focal lengths, pixels, seconds."""
WIDTH = POSE + len(LENS)
"""Parameters of a camera."""
FREEDOM = 3.0
"""Of the Student-t."""
_MISSED = 30.0
"""Price, in standard deviations, of a point that a camera cannot see although it did."""
_DAMPING = (1e-3, 1e-10, 1e8)
"""Start, smallest and largest factor of the diagonal."""
_FLAT_M = 1e-9
"""Keeps the direction of a bone defined when its ends coincide."""


@dataclass(frozen=True, eq=False)
class State:
    """Everything that is solved for."""

    cameras: Cameras
    """Lenses and poses."""
    log_focal: Tensor
    """(C,) log of the factor on the starting focal lengths, already in ``cameras``."""
    offset_s: Tensor
    """(C,) common time = offset + camera time."""
    log_bone: Tensor
    """(P, B) log of the bones' lengths, metres."""
    xyz: Tensor
    """(S, K, 3) keypoints, metres; S = instants of persons."""
    bias: Tensor
    """(C, P, K, 2) where each camera sees a person's keypoint beside the truth, in person's sizes."""

    def values(self) -> Tensor:
        """(C * WIDTH + P * B + C * P * K * 2,) the linear unknowns; poses count as 0."""
        lens = torch.zeros(len(self.cameras), WIDTH, dtype=torch.float64)
        lens[:, 6] = self.log_focal
        lens[:, 7:9] = self.cameras.center_px
        held = min(2, self.cameras.distortion.shape[-1])
        lens[:, 9 : 9 + held] = self.cameras.distortion[:, :held]
        lens[:, 11] = self.offset_s
        return torch.cat([lens.flatten(), self.log_bone.flatten(), self.bias.flatten()])


@dataclass(frozen=True, eq=False)
class Priors:
    """What is known beforehand: rows of a linear residual in ``State.values``, and camera poses."""

    rows: Tensor
    """(R, G)"""
    target: Tensor
    """(R,) ``rows @ values - target`` is in standard deviations."""
    pose: Tensor | None = None
    """(C, 4, 4) expected ``cam_from_world``."""
    pose_information: Tensor | None = None
    """(C, 6, 6) inverse covariance of the left perturbation from there."""


@dataclass(frozen=True, eq=False)
class People:
    """The problem: what was seen, and when a person is looked at."""

    views: Sequence[PersonView]
    """One for each camera, the same people and keypoints in each."""
    time_s: Tensor
    """(S,) instants, common clock."""
    person: Tensor
    """(S,) whose instants they are."""
    size_px: Tensor
    """(C, S) how large the person appears, pixels: the unit of ``State.bias``."""
    bones: Tensor
    """(B, 2) keypoints that a bone joins."""
    bone_sigma_m: Tensor
    """(B,) how constant its length is between two keypoints."""
    seen: Tensor
    """(C, S, K) bool, observations that count."""
    trust: float
    """What an observation counts for: neighbours in time err together."""
    priors: Priors
    """What is known beforehand."""
    free: Tensor
    """(G,) bool, global unknowns that may change."""


@dataclass(frozen=True, eq=False)
class Solved:
    """A solved problem."""

    state: State
    """Cameras, clocks, bones, points."""
    people: People
    """What was seen of them, and when."""
    cost: float
    """Negative log likelihood for each observation."""
    covariance: Tensor
    """(G, G) of the global unknowns."""
    alike: tuple[tuple[int, ...], ...]
    """Cameras whose focal lengths were taken for alike."""


@dataclass(frozen=True, eq=False)
class Linear:
    """Residuals and derivatives; 0 where not ``valid``."""

    error_px: Tensor
    """(C, S, K, 2) projected minus seen."""
    valid: Tensor
    """(C, S, K)"""
    sigma_px: Tensor
    """(C, S, K)"""
    d_camera: Tensor
    """(C, S, K, 2, WIDTH)"""
    d_point: Tensor
    """(C, S, K, 2, 3)"""


@dataclass(frozen=True, eq=False)
class Normal:
    """Normal equations in blocks."""

    glob: Tensor
    """(G, G) cameras, then bones, then biases."""
    point: Tensor
    """(S, 3K, 3K)"""
    coupling: Tensor
    """(S, G, 3K)"""
    glob_slope: Tensor
    """(G,)"""
    point_slope: Tensor
    """(S, 3K)"""

    def reduced(self, damping: float, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Schur complement on the free unknowns, its right-hand side, and the factors of the points."""
        factor = torch.linalg.cholesky(_damped(self.point, damping))
        coupling = self.coupling[:, free]
        half = torch.linalg.solve_triangular(factor, coupling.mT, upper=False)  # (S, 3K, G')
        slope = torch.linalg.solve_triangular(factor, self.point_slope[..., None], upper=False)
        flat = half.flatten(0, 1)
        whole = _damped(self.glob[free][:, free], damping) - flat.T @ flat
        return whole, -(self.glob_slope[free] - flat.T @ slope.flatten()), factor

    def solve(self, damping: float, free: Tensor) -> tuple[Tensor, Tensor]:
        """Steps of the global unknowns (G,) and of the points (S, 3K)."""
        whole, right, factor = self.reduced(damping, free)
        step = torch.zeros_like(self.glob_slope)
        if free.any():
            step[free] = torch.linalg.solve(whole, right)
        slope = self.point_slope + step @ self.coupling
        return step, -torch.cholesky_solve(slope[..., None], factor)[..., 0]


def observe(people: People, offset_s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What all cameras show at the problem's instants: (C, S, K, 2) px, px/s, and (C, S, K) deviations."""
    parts = []
    for view, offset in zip(people.views, offset_s, strict=True):
        at = sample(view, people.time_s - offset)
        rows = torch.arange(len(people.time_s))
        parts.append([value[rows, people.person] for value in at])
    xy, speed, sigma = (torch.stack(some) for some in zip(*parts, strict=True))
    return xy, speed, sigma


def linearise(state: State, people: People) -> Linear:
    """Reprojection errors and their derivatives."""
    xy, speed, sigma = observe(people, state.offset_s)
    shape = xy.shape[:3]
    xy = xy - shift(state, people)
    at = state.cameras.jacobian(state.xyz.flatten(0, 1))
    valid = at.valid.reshape(shape) & people.seen & torch.isfinite(xy).all(-1) & (sigma > 0)
    error = torch.where(valid[..., None], at.xy_px.reshape(*shape, 2) - xy, 0.0)
    lens = at.d_intrinsics.reshape(*shape, 2, -1)
    d_camera = torch.zeros(*shape, 2, WIDTH, dtype=torch.float64)
    d_camera[..., :6] = at.d_pose.reshape(*shape, 2, 6)
    focal = state.cameras.focal_px[:, None, None, None]
    d_camera[..., 6] = (lens[..., :2] * focal).sum(-1)
    d_camera[..., 7:9] = lens[..., 2:4]
    held = min(2, lens.shape[-1] - 4)
    d_camera[..., 9 : 9 + held] = lens[..., 4 : 4 + held]
    # d(project - track(time - offset)) / d offset = + speed of the track
    d_camera[..., 11] = torch.where(valid[..., None], speed, 0.0)
    keep = valid[..., None, None]
    return Linear(
        error,
        valid,
        torch.where(valid, sigma, 1.0),
        torch.where(keep, d_camera, 0.0),
        torch.where(keep, at.d_point.reshape(*shape, 2, 3), 0.0),
    )


def shift(state: State, people: People) -> Tensor:
    """(C, S, K, 2) pixels by which keypoints are seen beside the truth."""
    return people.size_px[..., None, None] * state.bias[:, people.person]


def bone_errors(state: State, people: People) -> tuple[Tensor, Tensor, Tensor]:
    """(S, B) lengths less those of the person's bones, metres; (S, B, 3) directions; (S, B) known lengths."""
    first, second = people.bones.T
    apart = state.xyz[:, first] - state.xyz[:, second]
    length = (apart.square().sum(-1) + _FLAT_M**2).sqrt()
    known = state.log_bone[people.person].exp()
    return length - known, apart / length[..., None], known


def pose_error(cam_from_world: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """(C, 6) left perturbations that lead from the expected poses to these; (C, 6, 6) by a further one."""
    turn = cam_from_world[:, :3, :3] @ expected[:, :3, :3].mT
    phi = roma.rotmat_to_rotvec(turn)
    rho = cam_from_world[:, :3, 3] - (turn @ expected[:, :3, 3:])[..., 0]
    jacobian = torch.eye(6, dtype=torch.float64).repeat(len(phi), 1, 1)
    jacobian[:, :3, 3:] = -_cross(rho)
    jacobian[:, 3:, 3:] = _left_jacobian_inverse(phi)
    return torch.cat([rho, phi], 1), jacobian


def cost(state: State, people: People) -> Tensor:
    """Negative log likelihood, up to a constant."""
    xy, _, sigma = observe(people, state.offset_s)
    projected, valid = state.cameras.project(state.xyz.flatten(0, 1))
    error = projected.reshape(xy.shape) + shift(state, people) - xy
    known = people.seen & torch.isfinite(xy).all(-1) & (sigma > 0)
    valid = valid.reshape(known.shape) & known
    squared = torch.where(valid, error.square().sum(-1) / sigma.square(), _MISSED**2)
    total = people.trust * student(squared)[people.seen].sum()
    wrong, _, _ = bone_errors(state, people)
    total = total + people.trust * student((wrong / people.bone_sigma_m).square()).sum()
    priors = people.priors
    total = total + 0.5 * (priors.rows @ state.values() - priors.target).square().sum()
    if priors.pose is not None and priors.pose_information is not None:
        off, _ = pose_error(state.cameras.cam_from_world, priors.pose)
        total = total + 0.5 * (off[:, None] @ priors.pose_information @ off[..., None]).sum()
    return total


def student(squared: Tensor) -> Tensor:
    """Negative log of the Student-t by squared standardised errors; 0.5 x near 0 as (nu + 2) / nu."""
    return 0.5 * (FREEDOM + 2) * (squared / FREEDOM).log1p()


def normal_equations(state: State, people: People) -> Normal:
    """Gauss-Newton on the reweighted problem."""
    at = linearise(state, people)
    cameras, instants, keypoints = at.valid.shape
    squared = at.error_px.square().sum(-1) / at.sigma_px.square()
    weight = people.trust * (FREEDOM + 2) / (FREEDOM + squared) / at.sigma_px.square()
    root = torch.where(at.valid, weight, 0.0).sqrt()[..., None, None]
    d_camera, d_point, error = root * at.d_camera, root * at.d_point, root[..., 0] * at.error_px
    bones = state.log_bone.numel()
    size = cameras * WIDTH + bones + state.bias.numel()
    glob, slope = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    flat = d_camera.flatten(1, 3)
    glob[: cameras * WIDTH, : cameras * WIDTH] = torch.block_diag(*(flat.mT @ flat))
    slope[: cameras * WIDTH] = (flat.mT @ error.flatten(1)[..., None]).flatten()
    point = torch.zeros(instants, keypoints, 3, keypoints, 3, dtype=torch.float64)
    own = torch.arange(keypoints)
    point[:, own, :, own] = (d_point.mT @ d_point).sum(0).transpose(0, 1)
    point_slope = (d_point.mT @ error[..., None])[..., 0].sum(0)
    coupling = torch.zeros(instants, size, keypoints, 3, dtype=torch.float64)
    coupling[:, : cameras * WIDTH] = (d_camera.mT @ d_point).permute(1, 0, 3, 2, 4).flatten(1, 2)
    system = Normal(
        glob, point.reshape(instants, 3 * keypoints, -1), coupling.flatten(2), slope, point_slope.flatten(1)
    )
    _add_bones(system, state, people)
    _add_bias(system, state, people, root[..., 0, 0], d_camera, d_point, error)
    _add_priors(system, state, people.priors)
    return system


def _add_bones(system: Normal, state: State, people: People) -> None:
    wrong, direction, known = bone_errors(state, people)
    squared = (wrong / people.bone_sigma_m).square()
    weight = people.trust * (FREEDOM + 2) / (FREEDOM + squared) / people.bone_sigma_m.square()
    instants, count = wrong.shape
    keypoints = state.xyz.shape[1]
    along = torch.zeros(instants, count, keypoints, 3, dtype=torch.float64)
    row = torch.arange(count)
    along[:, row, people.bones[:, 0]] = direction
    along[:, row, people.bones[:, 1]] = -direction
    along = along.flatten(2)  # (S, B, 3K)
    weighted = weight[..., None] * along
    system.point.add_(along.mT @ weighted)
    system.point_slope.add_((weighted * wrong[..., None]).sum(1))
    start = len(state.cameras) * WIDTH
    at = start + people.person[:, None] * count + row  # (S, B)
    by_length = -known
    system.glob_slope.index_add_(0, at.flatten(), (weight * by_length * wrong).flatten())
    system.glob.diagonal().index_add_(0, at.flatten(), (weight * by_length.square()).flatten())
    which = torch.arange(instants)[:, None].expand(-1, count)
    system.coupling.index_put_((which, at), by_length[..., None] * weighted, accumulate=True)


def _add_bias(
    system: Normal,
    state: State,
    people: People,
    root: Tensor,
    d_camera: Tensor,
    d_point: Tensor,
    error: Tensor,
) -> None:
    """What the biases add; ``root`` (C, S, K) and the other arguments are weighted already."""
    cameras, instants, keypoints = root.shape
    persons = state.bias.shape[1]
    scale = root * people.size_px[..., None]  # d error / d bias = scale * identity
    start = system.glob.shape[0] - state.bias.numel()

    def by_person(values: Tensor) -> Tensor:
        total = torch.zeros(cameras, persons, *values.shape[2:], dtype=torch.float64)
        return total.index_add_(1, people.person, values)

    own = by_person(scale.square())[..., None].expand(-1, -1, -1, 2)
    system.glob.diagonal()[start:].add_(own.flatten())
    system.glob_slope[start:].add_(by_person(scale[..., None] * error).flatten())
    across = by_person(scale[..., None, None] * d_camera)  # (C, P, K, 2, WIDTH)
    wide = torch.zeros(cameras, WIDTH, cameras, persons * keypoints * 2, dtype=torch.float64)
    row = torch.arange(cameras)
    wide[row, :, row] = across.flatten(1, 3).mT
    block = wide.reshape(cameras * WIDTH, -1)
    system.glob[: cameras * WIDTH, start:].add_(block)
    system.glob[start:, : cameras * WIDTH].add_(block.T)
    to_point = (scale[..., None, None] * d_point).transpose(0, 1)  # (S, C, K, 2, 3)
    coupling = (
        system.coupling[:, start:].unflatten(1, (cameras, persons, keypoints, 2)).unflatten(-1, (-1, 3))
    )
    some, k = torch.arange(instants)[:, None], torch.arange(keypoints)[None]
    for camera in range(cameras):
        coupling[some, camera, people.person[:, None], k, :, k] = to_point[:, camera]


def _add_priors(system: Normal, state: State, priors: Priors) -> None:
    left = priors.rows @ state.values() - priors.target
    system.glob.add_(priors.rows.T @ priors.rows)
    system.glob_slope.add_(priors.rows.T @ left)
    if priors.pose is None or priors.pose_information is None:
        return
    off, jacobian = pose_error(state.cameras.cam_from_world, priors.pose)
    pull = jacobian.mT @ priors.pose_information
    for camera in range(len(off)):
        rows = slice(camera * WIDTH, camera * WIDTH + POSE)
        system.glob[rows, rows] += pull[camera] @ jacobian[camera]
        system.glob_slope[rows] += pull[camera] @ off[camera]


def stepped(state: State, glob: Tensor, point: Tensor) -> State:
    """The state after a step of the global unknowns (G,) and of the points (S, 3K)."""
    cameras = state.cameras
    flat, bones, bias = glob.split([len(cameras) * WIDTH, state.log_bone.numel(), state.bias.numel()])
    step = flat.reshape(len(cameras), WIDTH)
    turn = roma.rotvec_to_rotmat(step[:, 3:6])
    pose = cameras.cam_from_world
    top = torch.cat([turn @ pose[:, :3, :3], turn @ pose[:, :3, 3:] + step[:, :3, None]], -1)
    held = min(2, cameras.distortion.shape[-1])
    bent = cameras.distortion
    if held:
        bent = torch.cat([bent[:, :held] + step[:, 9 : 9 + held], bent[:, held:]], 1)
    moved = replace(
        cameras,
        cam_from_world=torch.cat([top, pose[:, 3:]], 1),
        focal_px=cameras.focal_px * step[:, 6:7].exp(),
        center_px=cameras.center_px + step[:, 7:9],
        distortion=bent,
    )
    return State(
        moved,
        state.log_focal + step[:, 6],
        state.offset_s + step[:, 11],
        state.log_bone + bones.reshape(state.log_bone.shape),
        state.xyz + point.reshape(state.xyz.shape),
        state.bias + bias.reshape(state.bias.shape),
    )


def minimise(
    state: State, people: People, *, tolerance: float = 1e-6, max_steps: int = 50
) -> tuple[State, float, int]:
    """Levenberg-Marquardt. Deterministic.

    Returns:
        The better state, its cost, and the steps that were taken.
    """
    damping, smallest, largest = _DAMPING
    value = float(cost(state, people))
    for step in range(max_steps):
        system = normal_equations(state, people)
        while damping < largest:
            trial = state
            try:
                trial = stepped(state, *system.solve(damping, people.free))
                new = float(cost(trial, people))
            except RuntimeError:  # no longer positive definite
                new = float("inf")
            if new < value:
                break
            damping *= 10.0
        else:
            return state, value, step
        gain, state, value = value - new, trial, new
        damping = max(damping / 10.0, smallest)
        if gain <= tolerance * abs(value):
            return state, value, step + 1
    return state, value, max_steps


def covariance(state: State, people: People) -> Tensor:
    """(G, G) covariance of the global unknowns; 0 where fixed."""
    reduced, _, _ = normal_equations(state, people).reduced(0.0, people.free)
    result = torch.zeros(len(people.free), len(people.free), dtype=torch.float64)
    which = torch.nonzero(people.free)[:, 0]
    result[which[:, None], which] = torch.linalg.pinv(reduced, hermitian=True)
    return result


def _damped(blocks: Tensor, damping: float) -> Tensor:
    diagonal = blocks.diagonal(dim1=-2, dim2=-1)
    return blocks + torch.diag_embed(damping * diagonal + 1e-9)


def _cross(v: Tensor) -> Tensor:
    """(..., 3, 3) matrices of the cross product with v."""
    zero = torch.zeros_like(v[..., 0])
    x, y, z = v.unbind(-1)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def _left_jacobian_inverse(phi: Tensor) -> Tensor:
    """(C, 3, 3): d log(exp(d) exp(phi)) / d d, by its closed form and its series near 0."""
    angle = phi.norm(dim=-1)
    small = angle < 1e-4
    safe = torch.where(small, 1.0, angle)
    factor = 1 / safe.square() - (1 + safe.cos()) / (2 * safe * safe.sin())
    factor = torch.where(small, 1.0 / 12.0 + angle.square() / 720.0, factor)
    cross = _cross(phi)
    return torch.eye(3, dtype=phi.dtype) - 0.5 * cross + factor[:, None, None] * cross @ cross
