"""Bundle adjustment: cameras, lenses and board poses that together explain every corner that was seen.

Minimises, over the poses of cameras and boards and the lenses that are free,

    sum_i huber(|project(cam_from_world @ world_from_board @ corner_i) - xy_i| / sigma_i) + lens priors

by Levenberg-Marquardt on the reduced camera system: board poses are independent of each other given the
cameras, so their 6 x 6 blocks are eliminated first (Schur complement). Derivatives are closed forms.
Poses take left perturbations ``exp([rho, phi])``, translation first. The first camera stays where it is
(gauge); ``calibration.world`` moves everything to the floor afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import roma
import torch
from torch import Tensor

from .boards import Board
from .cameras import Cameras
from .detection import BoardView

POSE = 6
"""Parameters of a pose."""
_MISSED_SIGMAS = 100.0
"""Price, in standard deviations, of a corner that the camera cannot see: more than any that it sees badly."""
_DAMPING = (1e-4, 1e-12, 1e10)
"""Start, smallest and largest factor of the diagonal."""


@dataclass(frozen=True)
class LensPrior:
    """What is known of an ordinary lens before any image of it: standard deviations round the ideal lens.

    Weak against a minute of footage, decisive for a dozen frames.
    """

    center: float = 0.012
    """Principal point from the image's centre, in parts of the longer side."""
    aspect: float = 0.0025
    """Difference of the two focal lengths, in parts of the focal length."""
    focal: float = 0.5
    """Focal length from the first guess, in parts of it."""
    radial: tuple[float, float, float] = (0.3, 0.5, 0.5)
    """k1, k2, k3."""
    tangential: float = 1e-3
    """p1 and p2."""


@dataclass(frozen=True)
class BundleOptions:
    """How the adjustment is done."""

    prior: LensPrior = LensPrior()
    """What is known of the lenses."""
    huber_sigmas: float = 2.0
    """Errors beyond this many standard deviations pull with constant force."""
    reject_sigmas: float = 5.0
    """Corners beyond this many standard deviations are dropped before the last round."""
    min_sigma_px: float = 0.05
    """Corners are never trusted more than this."""
    max_iterations: int = 60
    """Steps of each round."""
    tolerance: float = 1e-9
    """Relative decrease of the cost at which a round ends."""


@dataclass(frozen=True)
class Observations:
    """Corners of all views, one row per camera, padded to the camera that saw most."""

    xy_px: Tensor
    """(C, N, 2) pixels; NaN in the padding."""
    xyz_board: Tensor
    """(C, N, 3) metres, board frame."""
    pose: Tensor
    """(C, N) int64 row of the board pose; 0 in the padding."""
    shared: Tensor
    """(C, N) bool, whether another camera saw the board at that instant."""
    time_s: Tensor
    """(C, N) presentation time of the image in the camera's own clip, seconds."""
    frames: tuple[int, ...]
    """(F,) frame number of every board pose, ascending."""

    @property
    def seen(self) -> Tensor:
        """(C, N) bool, False in the padding."""
        return torch.isfinite(self.xy_px).all(-1)

    @property
    def view(self) -> Tensor:
        """(C, N) int64 number of the view that a corner belongs to: one camera, one board pose."""
        return self.pose * len(self.pose) + torch.arange(len(self.pose))[:, None]


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the errors of one coordinate, pixels."""

    alone: float
    """In views of a board that no other camera saw at that instant."""
    shared: float
    """In views of a board that several cameras saw."""
    common: float
    """The part of ``shared`` that all corners of a view have in common: what cameras do that were not
    exactly simultaneous, or a board that moved during the exposure."""

    def per_corner(self, seen: Observations) -> Tensor:
        """(C, N) pixels."""
        alone, shared = (torch.tensor(value, dtype=torch.float64) for value in (self.alone, self.shared))
        return torch.where(seen.shared, shared, alone)

    def trust(self, seen: Observations) -> Tensor:
        """(C, N) weight besides 1 / sigma²: n corners with a common error tell no more than one of them."""
        count = torch.bincount(seen.view[seen.seen], minlength=int(seen.view.max()) + 1).double()[seen.view]
        own = self.shared**2
        return torch.where(seen.shared, own / (own + count * self.common**2), 1.0)


@dataclass(frozen=True)
class Problem:
    """What is adjusted, from where, and what stays."""

    cameras: Cameras
    """Starting lenses and poses; all posed."""
    world_from_board: Tensor
    """(F, 4, 4) starting board poses, metres."""
    observations: Observations
    """What was seen."""
    free_pose: Tensor
    """(C,) bool, cameras that may move."""
    free_lens: Tensor
    """(C, 4 + D) bool, parameters fx, fy, cx, cy, distortion that may change."""


@dataclass(frozen=True)
class Bundle:
    """Adjusted cameras and boards, and how well they explain what was seen."""

    cameras: Cameras
    """The cameras."""
    frames: tuple[int, ...]
    """(F,) frame numbers of the board poses."""
    world_from_board: Tensor
    """(F, 4, 4) board poses, metres."""
    error_px: Tensor
    """(C, N, 2) reprojected minus seen; NaN in the padding and where a camera cannot see the corner."""
    used: Tensor
    """(C, N) bool, corners that were not dropped as outliers."""
    shared: Tensor
    """(C, N) bool, as in ``Observations``."""
    noise: Noise
    """What the errors looked like in the end."""
    parameter_std: Tensor
    """(C, 6 + 4 + D) standard deviations of pose tangent and lens; 0 where fixed. On real footage the truth
    lies two to three times as far off."""
    iterations: int
    """Steps taken in all rounds."""
    converged: bool
    """Whether the last round ended because nothing was left to gain."""

    def rms_px(self, which: Tensor | None = None) -> float:
        """Root mean square length of the errors of the used corners, of those in a (C, N) mask if given."""
        mask = self.used if which is None else self.used & which
        return float(self.error_px[mask].square().sum(-1).mean().sqrt()) if mask.any() else float("nan")


@dataclass(frozen=True)
class Linearised:
    """The projection of all corners, with derivatives."""

    error_px: Tensor
    """(C, N, 2) reprojected minus seen, 0 where not ``valid``."""
    valid: Tensor
    """(C, N) seen, and before the camera."""
    d_camera: Tensor
    """(C, N, 2, 6 + 4 + D) by the camera's pose and lens."""
    d_board: Tensor
    """(C, N, 2, 6) by the board's pose."""


def collect(views: Sequence[BoardView], board: Board, names: Sequence[str]) -> Observations:
    """Put views of a board into one array for each camera, cameras in the order of ``names``."""
    frames = tuple(sorted({view.frame for view in views}))
    row = {frame: i for i, frame in enumerate(frames)}
    watchers = {frame: sum(view.frame == frame for view in views) for frame in frames}
    own = [[view for view in views if view.camera == name] for name in names]
    width = max((sum(len(view.ids) for view in some) for some in own), default=0)
    xy = torch.full((len(names), width, 2), torch.nan, dtype=torch.float64)
    xyz = torch.zeros(len(names), width, 3, dtype=torch.float64)
    pose = torch.zeros(len(names), width, dtype=torch.int64)
    shared = torch.zeros(len(names), width, dtype=torch.bool)
    time_s = torch.full((len(names), width), torch.nan, dtype=torch.float64)
    for camera, some in enumerate(own):
        start = 0
        for view in some:
            part = slice(start, start + len(view.ids))
            xy[camera, part] = view.xy_px
            xyz[camera, part] = board.corners_xyz[view.ids]
            pose[camera, part] = row[view.frame]
            shared[camera, part] = watchers[view.frame] > 1
            time_s[camera, part] = view.time_s
            start = part.stop
    return Observations(xy, xyz, pose, shared, time_s, frames)


def build(
    views: Sequence[BoardView],
    board: Board,
    cameras: Cameras,
    world_from_board: Mapping[int, Tensor],
    *,
    fix_cameras: bool = False,
) -> Problem:
    """The problem of adjusting cameras and boards to views.

    Args:
        views: what the cameras saw.
        board: the board they saw.
        cameras: starting lenses (pinhole) and poses.
        world_from_board: (4, 4) starting pose of the board for every frame number.
        fix_cameras: adjust the boards only.
    """
    seen = collect(views, board, cameras.names)
    poses = torch.stack([world_from_board[frame] for frame in seen.frames])
    free_pose = torch.full((len(cameras),), not fix_cameras)
    free_pose[0] = False
    lens = torch.full((len(cameras), 4 + cameras.distortion.shape[-1]), not fix_cameras)
    return Problem(cameras, poses, seen, free_pose, lens)


def linearise(cameras: Cameras, world_from_board: Tensor, seen: Observations) -> Linearised:
    """Errors of all corners and their derivatives; left perturbations of the poses."""
    xyz_world = _to_world(world_from_board, seen)
    jacobian = cameras.jacobian_each(xyz_world)
    valid = jacobian.valid & seen.seen
    error = torch.where(valid[..., None], jacobian.xy_px - seen.xy_px, 0.0)
    # d xyz_world / d [rho, phi] = [I, -[xyz_world]_x], and row @ -[x]_x = x cross row.
    turn = torch.linalg.cross(xyz_world[..., None, :].expand_as(jacobian.d_point), jacobian.d_point, dim=-1)
    return Linearised(
        error,
        valid,
        torch.cat([jacobian.d_pose, jacobian.d_intrinsics], -1),
        torch.cat([jacobian.d_point, turn], -1),
    )


def adjust(problem: Problem, options: BundleOptions | None = None) -> Bundle:
    """Solve in three rounds, each with the noise that the last one showed; outliers leave before the last.

    Deterministic.
    """
    options = options or BundleOptions()
    use = problem.observations.seen
    steps, converged = 0, False
    noise = _measure_noise(problem, use, options)
    for last in (False, False, True):
        if last:
            error = _error_px(problem).nan_to_num(nan=torch.inf).norm(dim=-1)
            use = use & (error < options.reject_sigmas * noise.per_corner(problem.observations))
        problem, more, converged = _Solver(problem, use, noise, options).run()
        steps += more
        noise = _measure_noise(problem, use, options)
    error = _error_px(problem)
    spread = _Solver(problem, use, noise, options).parameter_std()
    seen = problem.observations
    return Bundle(
        cameras=problem.cameras,
        frames=seen.frames,
        world_from_board=problem.world_from_board,
        error_px=error,
        used=use & torch.isfinite(error).all(-1),
        shared=seen.shared,
        noise=noise,
        parameter_std=spread,
        iterations=steps,
        converged=converged,
    )


def _to_world(world_from_board: Tensor, seen: Observations) -> Tensor:
    at = world_from_board[seen.pose]
    return (at[..., :3, :3] @ seen.xyz_board[..., None])[..., 0] + at[..., :3, 3]


def _error_px(problem: Problem) -> Tensor:
    """(C, N, 2) reprojected minus seen, NaN where there is none."""
    seen = problem.observations
    return problem.cameras.project_each(_to_world(problem.world_from_board, seen))[0] - seen.xy_px


def _measure_noise(problem: Problem, use: Tensor, options: BundleOptions) -> Noise:
    """Robust standard deviations of the present errors."""
    error = _error_px(problem)
    use = use & torch.isfinite(error).all(-1)
    seen = problem.observations

    def robust(some: Tensor) -> float:
        return 1.4826 * float(some.abs().median()) if len(some) else 0.0

    alone, shared = (
        max(options.min_sigma_px, robust(error[use & mask])) for mask in (~seen.shared, seen.shared)
    )
    together = use & seen.shared
    views = seen.view[together]
    count = torch.bincount(views, minlength=1).double()
    mean = torch.zeros(len(count), 2, dtype=torch.float64).index_add_(0, views, error[together])
    mean, count = mean[count > 2] / count[count > 2, None], count[count > 2]
    # What independent corners leave of their noise in a view's mean is not common noise.
    chance = float((shared / count.sqrt()).median()) if len(count) else 0.0
    spread = float(mean.square().mean()) if len(mean) else 0.0
    return Noise(alone, shared, max(0.0, spread - chance**2) ** 0.5)


def _moved(pose: Tensor, step: Tensor) -> Tensor:
    """Poses (..., 4, 4) after the left perturbation (..., 6), to first order on the group."""
    turn = roma.rotvec_to_rotmat(step[..., 3:])
    moved = pose.clone()
    moved[..., :3, :3] = turn @ pose[..., :3, :3]
    moved[..., :3, 3] = (turn @ pose[..., :3, 3:])[..., 0] + step[..., :3]
    return moved


def _lens(cameras: Cameras) -> Tensor:
    """(C, 4 + D) parameters of the lenses."""
    return torch.cat([cameras.focal_px, cameras.center_px, cameras.distortion], -1)


def _with_lens(cameras: Cameras, lens: Tensor) -> Cameras:
    return replace(cameras, focal_px=lens[:, :2], center_px=lens[:, 2:4], distortion=lens[:, 4:])


class _Solver:
    """Levenberg-Marquardt on one problem with given noise."""

    def __init__(self, problem: Problem, use: Tensor, noise: Noise, options: BundleOptions) -> None:
        self.problem, self.use, self.options = problem, use, options
        self.sigma, self.trust = noise.per_corner(problem.observations), noise.trust(problem.observations)
        self.free = torch.cat([problem.free_pose[:, None].expand(-1, POSE), problem.free_lens], 1).flatten()
        self.prior, self.target = _prior(problem.cameras, options.prior)

    def run(self) -> tuple[Problem, int, bool]:
        """The better problem, the steps that were taken, and whether it converged."""
        damping, smallest, largest = _DAMPING
        problem, cost = self.problem, self._cost(self.problem)
        for step in range(self.options.max_iterations):
            system = self._system(problem)
            while damping < largest:
                trial = self._stepped(problem, *system.solve(damping, self.free))
                gain = cost - (new_cost := self._cost(trial))
                if gain > 0:
                    break
                damping *= 10.0
            else:
                return problem, step, True  # no direction is downhill any more
            problem, damping = trial, max(damping / 10.0, smallest)
            if gain <= self.options.tolerance * cost:
                return problem, step + 1, True
            cost = new_cost
        return problem, self.options.max_iterations, False

    def parameter_std(self) -> Tensor:
        """(C, 6 + 4 + D) standard deviations of the camera parameters, 0 where fixed."""
        std = torch.zeros(self.free.shape, dtype=torch.float64)
        if self.free.any():
            reduced, _ = self._system(self.problem).reduced(0.0, self.free)
            std[self.free] = torch.linalg.pinv(reduced, hermitian=True).diagonal().clamp(min=0).sqrt()
        return std.reshape(len(self.problem.cameras), -1)

    def _cost(self, problem: Problem) -> float:
        error = _error_px(problem).norm(dim=-1) / self.sigma
        knee = self.options.huber_sigmas
        error = torch.where(torch.isfinite(error), error, _MISSED_SIGMAS)
        huber = torch.where(error <= knee, 0.5 * error.square(), knee * (error - 0.5 * knee))
        lens = (self.prior @ _lens(problem.cameras)[..., None])[..., 0] - self.target
        return float((self.trust * huber)[self.use].sum() + 0.5 * lens.square().sum())

    def _system(self, problem: Problem) -> _System:
        at = linearise(problem.cameras, problem.world_from_board, problem.observations)
        size = at.error_px.norm(dim=-1) / self.sigma
        weight = torch.clamp(self.options.huber_sigmas / size.clamp(min=1e-12), max=1.0) / self.sigma.square()
        weight = torch.where(at.valid & self.use, weight * self.trust, 0.0)
        system = _normal_equations(at, weight, problem.observations.pose, len(problem.world_from_board))
        left = (self.prior @ _lens(problem.cameras)[..., None])[..., 0] - self.target
        system.camera[:, POSE:, POSE:] += self.prior.mT @ self.prior
        system.camera_slope[:, POSE:] += (self.prior.mT @ left[..., None])[..., 0]
        return system

    def _stepped(self, problem: Problem, camera: Tensor, board: Tensor) -> Problem:
        camera = camera.reshape(len(problem.cameras), -1)
        cameras = _with_lens(problem.cameras, _lens(problem.cameras) + camera[:, POSE:])
        return replace(
            problem,
            cameras=cameras.with_poses(_moved(cameras.cam_from_world, camera[:, :POSE])),
            world_from_board=_moved(problem.world_from_board, board),
        )


@dataclass(frozen=True)
class _System:
    """Gauss-Newton normal equations in blocks; P parameters for each of C cameras, 6 for each of F boards."""

    camera: Tensor
    """(C, P, P)"""
    board: Tensor
    """(F, 6, 6)"""
    coupling: Tensor
    """(F, C * P, 6)"""
    camera_slope: Tensor
    """(C, P)"""
    board_slope: Tensor
    """(F, 6)"""

    def reduced(self, damping: float, free: Tensor) -> tuple[Tensor, Tensor]:
        """Schur complement on the free camera parameters, and its right-hand side."""
        coupling = self.coupling[:, free]
        solved = torch.linalg.solve(_damped(self.board, damping), coupling.mT)  # (F, 6, P)
        whole = torch.block_diag(*_damped(self.camera, damping))[free][:, free]
        slope = self.camera_slope.flatten()[free] - (solved.mT @ self.board_slope[..., None]).sum(0)[:, 0]
        return whole - (coupling @ solved).sum(0), -slope

    def solve(self, damping: float, free: Tensor) -> tuple[Tensor, Tensor]:
        """Steps of all camera parameters (C * P,) and of the boards (F, 6)."""
        camera = torch.zeros(free.shape, dtype=torch.float64)
        if free.any():
            camera[free] = torch.linalg.solve(*self.reduced(damping, free))
        slope = self.board_slope + (self.coupling.mT @ camera[:, None])[..., 0]
        return camera, -torch.linalg.solve(_damped(self.board, damping), slope)


def _damped(blocks: Tensor, damping: float) -> Tensor:
    """Blocks with their diagonal raised; never quite singular, even where nothing was seen."""
    diagonal = blocks.diagonal(dim1=-2, dim2=-1)
    return blocks + torch.diag_embed(damping * diagonal + 1e-12)


def _normal_equations(at: Linearised, weight: Tensor, pose: Tensor, num_boards: int) -> _System:
    """Sum the corners' contributions over cameras and boards."""
    num_cameras, width = weight.shape[0], at.d_camera.shape[-1]
    d_camera, d_board = (weight.sqrt()[..., None, None] * d for d in (at.d_camera, at.d_board))
    error = weight.sqrt()[..., None] * at.error_px
    board = torch.zeros(num_boards, POSE, POSE, dtype=torch.float64)
    board_slope = torch.zeros(num_boards, POSE, dtype=torch.float64)
    coupling = torch.zeros(num_boards * num_cameras, width, POSE, dtype=torch.float64)
    rows = pose.flatten()
    board.index_add_(0, rows, (d_board.mT @ d_board).flatten(0, 1))
    board_slope.index_add_(0, rows, (d_board.mT @ error[..., None]).flatten(0, 1)[..., 0])
    pairs = pose * num_cameras + torch.arange(num_cameras)[:, None]
    coupling.index_add_(0, pairs.flatten(), (d_camera.mT @ d_board).flatten(0, 1))
    flat = d_camera.flatten(1, 2)  # (C, 2N, P)
    return _System(
        camera=flat.mT @ flat,
        board=board,
        coupling=coupling.reshape(num_boards, num_cameras * width, POSE),
        camera_slope=(flat.mT @ error.flatten(1)[..., None])[..., 0],
        board_slope=board_slope,
    )


def _prior(cameras: Cameras, prior: LensPrior) -> tuple[Tensor, Tensor]:
    """Rows (C, R, 4 + D) and targets (C, R); ``rows @ lens - targets`` is in standard deviations."""
    count, width = len(cameras), 4 + cameras.distortion.shape[-1]
    focal = cameras.focal_px.mean(-1)
    ideal = torch.zeros(count, width, dtype=torch.float64)
    ideal[:, :2], ideal[:, 2:4] = cameras.focal_px, (cameras.size_px - 1.0) / 2.0
    std = torch.full((count, width), torch.inf, dtype=torch.float64)
    std[:, :2] = prior.focal * focal[:, None]
    std[:, 2:4] = prior.center * cameras.size_px.amax(-1, keepdim=True)
    shapes = [prior.radial[0], prior.radial[1], prior.tangential, prior.tangential, prior.radial[2]]
    for column, value in enumerate(shapes[: width - 4]):
        std[:, 4 + column] = value
    aspect = torch.zeros(count, 1, width, dtype=torch.float64)
    aspect[:, 0, 0] = 1.0 / (prior.aspect * focal)
    aspect[:, 0, 1] = -aspect[:, 0, 0]
    rows = torch.cat([torch.diag_embed(1.0 / std), aspect], 1)
    return rows, torch.cat([ideal / std, torch.zeros(count, 1, dtype=torch.float64)], 1)
