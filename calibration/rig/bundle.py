"""Bundle adjustment: cameras, lenses and board poses that together explain every corner that was seen.

Minimises, over the poses of cameras and boards and the lenses that are free,

    sum_i huber(|project(cam_from_world @ world_from_board @ corner_i) - xy_i| / sigma_i) + lens priors

by Levenberg-Marquardt on the reduced camera system: board poses are independent of each other given the
cameras, so their 6 x 6 blocks are eliminated first (Schur complement). Derivatives are closed forms.
Poses take left perturbations ``exp([rho, phi])``, translation first. The first camera stays where it is
(gauge); ``calibration.world`` moves everything to the floor afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import roma
import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.cameras import Cameras
from calibration.lenses.models import open_terms
from calibration.lenses.prior import LensPrior, prior_rows
from calibration.levenberg import descend
from calibration.rig.mirror import mirrored
from calibration.rig.observations import Noise, Observations, collect, measure_noise
from calibration.rig.schur import POSE, Linearised, NormalEquations, inverse_of, normal_equations
from calibration.rig.uncertainty import in_common, own_parts

_MISSED_SIGMAS = 100.0
"""Price, in standard deviations, of a corner that the camera cannot see: more than any that it sees badly."""
_REJECT_FROM = 2
"""The first round that leaves out corners that fit badly: before it the cameras are too far off."""
_TURN_STEPS = 4
"""Steps that a board gets to show that it fits better the other way round."""
_ROUGH = 1e-2
"""Relative decrease of the cost that ends any round but the last."""
_CLOSER = 1e-3
"""How much less each of the last rounds leaves than the one before it."""


@dataclass(frozen=True)
class BundleOptions:
    """How the adjustment is done."""

    prior: LensPrior = field(default_factory=LensPrior)
    """What is known of the lenses."""
    huber_sigmas: float = 2.0
    """Errors beyond this many standard deviations pull with constant force."""
    reject_sigmas: float = 5.0
    """Corners beyond this many standard deviations are dropped before the last round."""
    min_sigma_px: float = 0.05
    """Corners are never trusted more than this."""
    max_iterations: int = 60
    """Steps of each round."""
    turn_over: bool = True
    """Try every board the other way round after the first round; of no use from poses that were adjusted."""
    rounds: int = 4
    """Rounds, each with the noise that the one before it showed; from the third on outliers are left out."""
    tolerance: float = 1e-7
    """Relative decrease of the cost that ends the last round."""
    least: float = 0.01
    """Decrease of the cost that ends it as well, half a squared standard deviation: of no consequence."""
    uncertainty: bool = True
    """Work out the covariance; a solve that another one follows can do without."""


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
    """(C, 6 + 4 + D) standard deviations of pose tangent and lens; 0 where fixed."""
    covariance: Tensor
    """(C, 6 + 4 + D, 6 + 4 + D) of the same, all cameras held together; terms that were given up are open."""
    iterations: int
    """Steps taken in all rounds."""
    converged: bool
    """Whether the last round ended because nothing was left to gain."""

    def rms_px(self, which: Tensor | None = None) -> float:
        """Root mean square length of the errors of the used corners, of those in a (C, N) mask if given."""
        mask = self.used if which is None else self.used & which
        return float(self.error_px[mask].square().sum(-1).mean().sqrt()) if mask.any() else float("nan")


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
    """Solve in rounds, each with the noise that the one before it showed; outliers leave after the second.

    Deterministic.
    """
    options = options or BundleOptions()
    seen = problem.observations
    use = seen.seen
    steps, converged = 0, False
    noise = _noise(problem, use, options)
    for round_ in range(options.rounds):
        if round_ >= _REJECT_FROM:
            error = _error_px(problem).norm(dim=-1).nan_to_num(nan=torch.inf)
            use = seen.seen & (error < options.reject_sigmas * noise.per_corner(seen))
        enough = options.tolerance * _CLOSER ** (round_ + 1 - options.rounds)
        enough = max(options.tolerance, min(_ROUGH, enough))
        solver = _Solver(problem, use, noise, options)
        problem, more, converged = solver.run(enough, options.max_iterations)
        if round_ == 0 and options.turn_over:
            problem = _turned_over(problem, use, noise, options)
        steps += more
        noise = _noise(problem, use, options)
    error = _error_px(problem)
    covariance = _Solver(problem, use, noise, options).covariance()
    return Bundle(
        cameras=problem.cameras,
        frames=seen.frames,
        world_from_board=problem.world_from_board,
        error_px=error,
        used=use & torch.isfinite(error).all(-1),
        shared=seen.shared,
        noise=noise,
        parameter_std=covariance.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt(),
        covariance=covariance,
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


def _noise(problem: Problem, use: Tensor, options: BundleOptions) -> Noise:
    return measure_noise(_error_px(problem), use, problem.observations, options.min_sigma_px)


def _turned_over(problem: Problem, use: Tensor, noise: Noise, options: BundleOptions) -> Problem:
    """The boards that their views explain better the other way round are turned over.

    A board that started as the mirror image of its true pose sits in a minimum of its own.
    """
    fixed = replace(
        problem,
        free_pose=torch.zeros_like(problem.free_pose),
        free_lens=torch.zeros_like(problem.free_lens),
    )
    over = mirrored(problem.cameras, problem.world_from_board, problem.observations)
    costs: list[Tensor] = []
    poses: list[Tensor] = []
    for start in (fixed, replace(fixed, world_from_board=over)):
        solver = _Solver(start, use, noise, options)
        end, _, _ = solver.run(_ROUGH, _TURN_STEPS)
        poses.append(end.world_from_board)
        costs.append(solver.board_cost(end))
    better = (costs[1] < costs[0])[:, None, None]
    return replace(problem, world_from_board=torch.where(better, poses[1], problem.world_from_board))


def moved_poses(pose: Tensor, step: Tensor) -> Tensor:
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
    return cameras.with_lenses(lens[:, :2], lens[:, 2:4], lens[:, 4:])


class _Solver:
    """Levenberg-Marquardt on one problem with given noise."""

    def __init__(self, problem: Problem, use: Tensor, noise: Noise, options: BundleOptions) -> None:
        self.problem, self.use, self.options = problem, use, options
        self.sigma, self.trust = noise.per_corner(problem.observations), noise.trust(problem.observations)
        self.free = torch.cat([problem.free_pose[:, None].expand(-1, POSE), problem.free_lens], 1).flatten()
        self.prior, self.target = prior_rows(problem.cameras, options.prior)

    def run(self, tolerance: float, max_steps: int) -> tuple[Problem, int, bool]:
        """The better problem, the steps that were taken, and whether the cost fell by less than asked."""

        def stepper(problem: Problem) -> Callable[[float], Problem]:
            system = self._system(problem)
            return lambda damping: self._stepped(problem, *system.solve(damping, self.free))

        problem, descent = descend(
            self.problem,
            self._cost,
            stepper,
            tolerance=tolerance,
            max_steps=max_steps,
            least=self.options.least,
        )
        return problem, descent.steps, descent.converged

    def covariance(self) -> Tensor:
        """(C, P, P) of each camera's parameters, rows of fixed ones 0."""
        problem = self.problem
        lens = open_terms(problem.cameras, problem.free_lens & self.options.uncertainty)
        pose = problem.free_pose & self.options.uncertainty
        free = torch.cat([pose[:, None].expand(-1, POSE), lens], 1).flatten()
        whole = torch.zeros(len(free), len(free), dtype=torch.float64)
        if free.any():
            rows = torch.nonzero(free)[:, 0]
            reduced, _ = self._system(problem).reduced(0.0, free)
            whole[rows[:, None], rows] = inverse_of(reduced)
        return own_parts(in_common(whole, problem.cameras), len(problem.cameras))

    def board_cost(self, problem: Problem) -> Tensor:
        """(F,) what the corners of every board pose add to the cost."""
        boards = torch.zeros(len(problem.world_from_board), dtype=torch.float64)
        return boards.index_add_(0, problem.observations.pose[self.use], self._corner_cost(problem)[self.use])

    def _cost(self, problem: Problem) -> float:
        lens = (self.prior @ _lens(problem.cameras)[..., None])[..., 0] - self.target
        return float(self._corner_cost(problem)[self.use].sum() + 0.5 * lens.square().sum())

    def _corner_cost(self, problem: Problem) -> Tensor:
        """(C, N) what every corner adds to the cost."""
        error = _error_px(problem).norm(dim=-1) / self.sigma
        knee = self.options.huber_sigmas
        error = torch.where(torch.isfinite(error), error, _MISSED_SIGMAS)
        huber = torch.where(error <= knee, 0.5 * error.square(), knee * (error - 0.5 * knee))
        return self.trust * huber

    def _system(self, problem: Problem) -> NormalEquations:
        at = linearise(problem.cameras, problem.world_from_board, problem.observations)
        size = at.error_px.norm(dim=-1) / self.sigma
        weight = torch.clamp(self.options.huber_sigmas / size.clamp(min=1e-12), max=1.0) / self.sigma.square()
        weight = torch.where(at.valid & self.use, weight * self.trust, 0.0)
        system = normal_equations(at, weight, problem.observations.rows, len(problem.world_from_board))
        left = (self.prior @ _lens(problem.cameras)[..., None])[..., 0] - self.target
        system.camera[:, POSE:, POSE:] += self.prior.mT @ self.prior
        system.camera_slope[:, POSE:] += (self.prior.mT @ left[..., None])[..., 0]
        return system

    def _stepped(self, problem: Problem, camera: Tensor, board: Tensor) -> Problem:
        camera = camera.reshape(len(problem.cameras), -1)
        cameras = _with_lens(problem.cameras, _lens(problem.cameras) + camera[:, POSE:])
        return replace(
            problem,
            cameras=cameras.with_poses(moved_poses(cameras.cam_from_world, camera[:, :POSE])),
            world_from_board=moved_poses(problem.world_from_board, board),
        )
