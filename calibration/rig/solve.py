"""One solve of a rig: first poses, one adjustment without time, and one with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.boards.selection import usable_views
from calibration.cameras import Cameras
from calibration.lenses.intrinsics import Intrinsics, adjust_lenses, joined
from calibration.lenses.models import give_up_folding
from calibration.pnp import planar_poses
from calibration.rig.bundle import Bundle, BundleOptions, build
from calibration.rig.extrinsics import PairAgreement, first_poses
from calibration.rig.observations import Noise
from calibration.rig.still_views import still_views
from calibration.rig.uncertainty import own_parts
from calibration.timed.association import one_each
from calibration.timed.bundle import adjust_timed
from calibration.timed.problem import CLOCK, DRIFT, LINE, OFFSET, TimedBundle, TimedProblem, TimePrior
from calibration.timed.start import timed_problem
from calibration.timed.views import CameraViews

_ROUGH = BundleOptions(tolerance=1e-5, max_iterations=25)
"""How the solve without time is done when one with time follows."""

_ROLLING_S = 4e-6
"""Line delay from which a shutter counts as rolling, seconds a row: those of phones take 10 to 30 µs."""
_MIRRORED = 10.0
"""How much worse the mirrored pose of a board must fit for a view to speak of the lens by itself: near and
tilted boards reach 100; of far ones, which reach 5, a dozen made a rig worse."""


@dataclass(frozen=True)
class Clockwork:
    """What is known of the cameras' clocks before a solve."""

    shift_s: Mapping[str, float]
    """Seconds to add to each camera's own times."""
    step_s: float
    """Time between frames."""
    prior: TimePrior = field(default_factory=TimePrior)
    """What is known of time."""


@dataclass(frozen=True)
class Solved:
    """A rig in the frame of its first camera."""

    cameras: Cameras
    """The cameras."""
    bundle: Bundle
    """The adjustment, corner by corner; frames below 0 are views of single cameras' own clips."""
    covariance: Tensor
    """(C, 6 + 4 + D, 6 + 4 + D)"""
    pairs: tuple[PairAgreement, ...]
    """How well pairs of cameras agreed at the start."""
    timed: TimedBundle | None
    """The adjustment with time; None where clocks were not asked for."""
    views: tuple[CameraViews, ...]
    """What ``timed`` was solved with, by camera; empty where there is none."""


def solve_rig(
    views: Sequence[BoardView],
    lenses: Mapping[str, Intrinsics],
    own: frozenset[str],
    board: Board,
    *,
    clockwork: Clockwork | None,
    options: BundleOptions,
) -> Solved:
    """Solve for cameras, lenses and boards, and for clocks and the board's path where these are asked for.

    Args:
        views: usable views; one frame number is one instant, give or take the cameras' clocks.
        lenses: each camera's lens to begin with.
        own: cameras whose lens has footage of its own, which is solved with as well.
        board: the board.
        clockwork: what is known of the clocks; None where images of one number are simultaneous.
        options: how the adjustment is done.

    Raises:
        CalibrationError: cameras that share no views; they are named.
    """
    ideal = batch_of(lenses)
    views = usable_views(views)
    at_once = views if clockwork is None else one_each(views, clockwork.shift_s)
    start = first_poses(at_once, board, ideal)
    together = [view for view in at_once if view.frame in start.world_from_board]
    alone, poses = _lens_frames(lenses, start.cameras)
    problem = build([*together, *alone], board, start.cameras, {**start.world_from_board, **poses})
    # A term that a lens gave up for itself would fold here too.
    problem = replace(problem, free_lens=torch.cat([lens.free_lens for lens in lenses.values()]))
    if clockwork is None:
        still, _ = adjust_lenses(problem, options)
        return Solved(still.cameras, still, still.covariance, start.pairs, None, ())
    still, free_lens = adjust_lenses(problem, replace(_ROUGH, prior=options.prior))
    boards = {f: pose for f, pose in zip(still.frames, still.world_from_board, strict=True) if f >= 0}
    timed = timed_problem(
        views,
        board,
        still.cameras,
        boards,
        offset_s=clockwork.shift_s,
        step_s=clockwork.step_s,
        options=options,
        prior=clockwork.prior,
    )
    timed = replace(timed, free=timed.free._replace(lens=free_lens))
    timed = _with_lens_views(timed, lenses, own, board, options, still=frozenset(lenses))
    found = adjust_timed(timed)
    if rolling := _rolling(found):
        timed = replace(timed, start=found.state, rounds=2)
        timed = _with_lens_views(timed, lenses, own, board, options, still=frozenset(lenses) - rolling)
        found = adjust_timed(timed)
    while (bad := give_up_folding(found.state.cameras, timed.free.lens)) is not None:
        cameras, free = bad
        start_again = replace(found.state, cameras=cameras)
        timed = replace(timed, start=start_again, free=timed.free._replace(lens=free), rounds=2)
        found = adjust_timed(timed)
    blocks = own_parts(found.covariance, len(ideal))[:, :-CLOCK, :-CLOCK]
    return Solved(
        found.state.cameras,
        _as_bundle(found, timed, board, blocks),
        blocks,
        start.pairs,
        found,
        timed.views,
    )


def batch_of(lenses: Mapping[str, Intrinsics]) -> Cameras:
    """All lenses, each camera at the origin."""
    return replace(joined([lens.camera for lens in lenses.values()]), names=tuple(lenses))


def clock_parameters(found: TimedBundle, camera: int) -> tuple[Tensor, Tensor]:
    """(3,) offset, drift and line delay of one camera and their standard deviations."""
    width = len(found.covariance) // len(found.state.cameras)
    std = found.covariance.diagonal().clamp(min=0).sqrt().reshape(-1, width)[camera, -CLOCK:]
    return found.state.clock[camera, [OFFSET, DRIFT, LINE]], std


def _rolling(found: TimedBundle) -> frozenset[str]:
    """Cameras whose shutter takes its time."""
    rolling: list[str] = []
    for row, name in enumerate(found.state.cameras.names):
        clock, std = clock_parameters(found, row)
        if abs(float(clock[2])) > max(_ROLLING_S, 3.0 * float(std[2])):
            rolling.append(name)
    return frozenset(rolling)


def _with_lens_views(
    timed: TimedProblem,
    lenses: Mapping[str, Intrinsics],
    own: frozenset[str],
    board: Board,
    options: BundleOptions,
    *,
    still: frozenset[str],
) -> TimedProblem:
    """The problem with the views that speak of one lens alone, each with the pose that its own solve found.

    They are those of lens clips, and those of the shared clip in which no other camera saw the board for
    long: there the path would hang in the air, but no view reaches as far into the corners of the image.
    Only cameras in ``still`` have the latter: a rolling shutter bends a carried board, and without a path
    nothing says how far.
    """
    views: list[BoardView] = []
    poses: list[Tensor] = []
    for (name, lens), some in zip(lenses.items(), timed.views, strict=True):
        on_path = frozenset[float]() if name in own else frozenset(some.own_s.tolist())
        extra = [view for view in lens.views if view.time_s not in on_path]
        if name in own:
            found = [lens.bundle.world_from_board[lens.bundle.frames.index(view.frame)] for view in extra]
        elif name in still:
            extra, found = _strong(extra, timed.start.cameras[[name]], board)
        else:
            extra, found = [], []
        poses += found
        views += [replace(view, frame=len(views) + n) for n, view in enumerate(extra)]
    if not views:
        return replace(timed, still=None, start=replace(timed.start, still=timed.start.still[:0]))
    sigma = [lenses[name].bundle.noise.alone for name in timed.start.cameras.names]
    clips = still_views(views, board, timed.start.cameras, sigma, options.huber_sigmas)
    return replace(timed, still=clips, start=replace(timed.start, still=torch.stack(poses)))


def _strong(
    views: Sequence[BoardView], camera: Cameras, board: Board
) -> tuple[list[BoardView], list[Tensor]]:
    """The views whose perspective is strong, and the board's poses: others would bend the lens."""
    kept = [
        (view, poses[0].cam_from_board)
        for view, poses in zip(views, planar_poses(views, camera, board), strict=True)
        if len(poses) == 1 or (poses and poses[1].error_px > _MIRRORED * poses[0].error_px + 0.1)
    ]
    return [view for view, _ in kept], [pose for _, pose in kept]


def _lens_frames(
    lenses: Mapping[str, Intrinsics], cameras: Cameras
) -> tuple[list[BoardView], dict[int, Tensor]]:
    """Views that each camera explains for itself, under negative frame numbers, and the board poses in them.

    Where a lens has no footage of its own these are images of the shared clip once more: whatever the
    cameras' clocks do to the board's place between them, its shape in one image speaks of the lens alone.
    """
    views: list[BoardView] = []
    poses: dict[int, Tensor] = {}
    for lens, world_from_cam in zip(lenses.values(), torch.linalg.inv(cameras.cam_from_world), strict=True):
        for view in lens.views:
            cam_from_board = lens.bundle.world_from_board[lens.bundle.frames.index(view.frame)]
            frame = -1 - len(poses)
            views.append(replace(view, frame=frame))
            poses[frame] = world_from_cam @ cam_from_board
    return views, poses


def _as_bundle(found: TimedBundle, timed: TimedProblem, board: Board, covariance: Tensor) -> Bundle:
    """The solve with time, read frame by frame."""
    frames = torch.cat([views.frame for views in timed.views]).unique()
    width = max(views.seen.numel() for views in timed.views)
    count = len(timed.views)
    error = torch.full((count, width, 2), torch.nan, dtype=torch.float64)
    used = torch.zeros(count, width, dtype=torch.bool)
    shared = torch.zeros(count, width, dtype=torch.bool)
    for c, views in enumerate(timed.views):
        part = slice(0, views.seen.numel())
        error[c, part], used[c, part] = found.error_px[c].flatten(0, 1), found.used[c].flatten()
        shared[c, part] = (views.shared[:, None] & views.seen).flatten()
    if timed.still is not None:
        still = timed.still
        error = torch.cat([error, found.still_error_px], 1)
        fits = found.still_error_px.norm(dim=-1) < timed.options.reject_sigmas * still.sigma_px
        used = torch.cat([used, still.use & fits], 1)
        shared = torch.cat([shared, torch.zeros_like(still.use)], 1)
    return Bundle(
        cameras=found.state.cameras,
        frames=tuple(frames.tolist()),
        world_from_board=found.state.motion.poses(instants(timed.views, found, frames)),
        error_px=error,
        used=used,
        shared=shared,
        noise=_noise(found, timed),
        parameter_std=covariance.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt(),
        covariance=covariance,
        iterations=found.steps,
        converged=found.converged,
    )


def instants(views: Sequence[CameraViews], found: TimedBundle, frames: Tensor) -> Tensor:
    """(F,) rig time of every frame number, the mean of its views, seconds."""
    total = torch.zeros(len(frames), dtype=torch.float64)
    count = torch.zeros(len(frames), dtype=torch.float64)
    for c, some in enumerate(views):
        clock = found.state.clock[c]
        row = torch.searchsorted(frames, some.frame)
        time_s = some.own_s + clock[OFFSET] + clock[DRIFT] * (some.own_s - some.middle_s)
        total.index_add_(0, row, time_s)
        count.index_add_(0, row, torch.ones_like(time_s))
    return total / count


def _noise(found: TimedBundle, timed: TimedProblem) -> Noise:
    """Errors of corners, and what is left that all corners of a view have in common."""
    sigma: list[Tensor] = []
    common: list[Tensor] = []
    for c, views in enumerate(timed.views):
        use = found.used[c]
        sigma.append((found.sigma_px[c] * views.expected_px)[use])
        count = use.sum(1)
        error = torch.where(use[..., None], found.error_px[c], 0.0).sum(1) / count.clamp(min=1)[:, None]
        expected = found.sigma_px[c].square() * (views.expected_px.square() * use).sum(1)
        excess = error.square().mean(-1) - expected / count.clamp(min=1).square()
        common.append(excess[count > 2])
    typical = float(torch.cat(sigma).median())
    excess = torch.cat(common)
    return Noise(typical, typical, max(0.0, float(excess.mean())) ** 0.5 if len(excess) else 0.0)
