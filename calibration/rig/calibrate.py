"""From views of one board to calibrated cameras: lenses, poses, one adjustment, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations

import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.boards.selection import choose_frames, usable_views
from calibration.cameras import Cameras
from calibration.errors import CalibrationError
from calibration.lenses.intrinsics import Intrinsics, IntrinsicsOptions, calibrate_lenses
from calibration.rig.bundle import Bundle, BundleOptions
from calibration.rig.extrinsics import PairAgreement, fit_boards
from calibration.rig.held_out import HeldOut, Repeatability, compare_cameras, judge_cameras, pooled
from calibration.rig.schur import POSE
from calibration.rig.solve import Clockwork, Solved, batch_of, clock_parameters, instants, solve_rig
from calibration.timed.association import NEAR_STEPS, Shift, associate, frame_step_s, shifts
from calibration.timed.clocks import CameraClock
from calibration.timed.pose_links import pose_links
from calibration.timed.problem import TimePrior
from calibration.timed.shift_check import confirmed
from calibration.timed.turning import clock_links
from calibration.triangulation import triangulate
from calibration.world import World, to_world

Size = tuple[int, int]

BLOCK = 6
"""Neighbouring frames that stay together when footage is split: their errors are no strangers."""
_LENS_VIEWS = 100
"""Views of the shared clip that a lens's first solve is made of."""
_LEAST_TRIAL = 10
"""Shared frames below which none is done without."""
_SURE = 0.9
"""Agreement of turning rates that needs no second opinion on a short shift."""
_FAR_OFF = 1.5 / 1280.0
"""Error, in widths of the image, below which a dropped corner is the tail of the noise, no contradiction."""


@dataclass(frozen=True)
class RigOptions:
    """How a set of cameras is calibrated."""

    max_frames: int = 150
    """Most shared frames, and most views of each lens, that are solved with."""
    held_out: float = 0.2
    """Part of the shared frames that a trial solve without time does without, to be predicted by it."""
    clocks: bool = True
    """Cameras run freely: find their clocks and the board's motion between frames. Without, images of one
    frame number are taken for simultaneous."""
    max_shift_s: float = 5.0
    """Largest shift of a whole clip that is looked for, seconds."""
    halves: bool = True
    """Solve each half of the footage for itself as well, to be judged by the other."""
    choose_lens: bool = True
    """Choose each lens's model and coefficients by the error of unseen views."""
    time: TimePrior = field(default_factory=TimePrior)
    """What is known of clocks, shutters and hands."""
    bundle: BundleOptions = field(default_factory=BundleOptions)
    """How the adjustments are done."""


@dataclass(frozen=True)
class SquareCheck:
    """Neighbouring corners of frames that were not solved with, triangulated one by one."""

    bias_m: float
    """Mean error of their distance, metres; NaN where there were none."""
    std_m: float
    """Its standard deviation, metres."""
    count: int
    """Distances that were measured."""


@dataclass(frozen=True)
class CameraResiduals:
    """Errors of one camera's corners, for maps over its image; N corners of shared views."""

    frame: Tensor
    """(N,) int64 shared frame number."""
    time_s: Tensor
    """(N,) time of the image on the camera's own clock, seconds."""
    corner: Tensor
    """(N,) int64 corner id, a row of ``Board.corners_xyz``."""
    xy_px: Tensor
    """(N, 2) where the corner was seen, pixels."""
    error_px: Tensor
    """(N, 2) reprojected minus seen, pixels; NaN where the camera cannot see it."""
    used: Tensor
    """(N,) bool, corners that were not dropped."""


@dataclass(frozen=True)
class BoardPath:
    """Where the board was."""

    time_s: Tensor
    """(F,) rig time, seconds."""
    world_from_board: Tensor
    """(F, 4, 4) metres, world frame."""


@dataclass(frozen=True)
class RigCalibration:
    """Calibrated cameras, and what tells whether to trust them."""

    cameras: Cameras
    """The cameras, world frame."""
    bundle: Bundle
    """The final adjustment, in the frame of the first camera."""
    lenses: Mapping[str, Intrinsics]
    """What each camera's lens was from its own views alone."""
    own_lens_clip: frozenset[str]
    """Cameras whose lens has footage of its own."""
    pairs: tuple[PairAgreement, ...]
    """How well pairs of cameras agreed at the start."""
    world: World
    """Where the world comes from."""
    frames: tuple[int, ...]
    """Shared frames that were solved with."""
    held_out_rms_px: float
    """Error of frames that a trial solve did without, board poses fitted; NaN where there were too few."""
    trained_rms_px: float
    """Error of the frames that the trial solve had."""
    squares: SquareCheck
    """The board measured by the trial solve's cameras."""
    clocks: Mapping[str, CameraClock]
    """Each camera's clock; the first camera's is the rig's."""
    covariance: Tensor
    """(C, 6 + 4 + D, 6 + 4 + D) of each camera's pose tangent (left, translation first, in its own frame
    ``cam_from_world <- exp([rho, phi]) cam_from_world``) and lens (fx, fy, cx, cy, distortion), in the frame
    in which all cameras stay best together; rows of fixed parameters are 0, terms that a lens gave up count
    as unknown. Planted errors are as large as this says, those of real footage were two to three times."""
    residuals: Mapping[str, CameraResiduals]
    """Errors of the corners in shared views."""
    path: BoardPath
    """Board poses of the shared frames, for the picture."""
    held_out: HeldOut | None
    """What cameras solved from half of the frames are worth on the other half; None where there were too
    few."""
    repeatability: Repeatability | None
    """How far the cameras of either half lie apart; None where there were too few frames."""

    def camera_rms_px(self, *, shared: bool) -> dict[str, float]:
        """Root mean square error of every camera, in views that several cameras share or in its own."""
        rms: dict[str, float] = {}
        for row, name in enumerate(self.cameras.names):
            mask = torch.zeros_like(self.bundle.used)
            mask[row] = self.bundle.shared[row] if shared else ~self.bundle.shared[row]
            rms[name] = self.bundle.rms_px(mask)
        return rms

    def contradicting(self, name: str) -> float:
        """Part of the corners that a camera shares with others that were dropped and are far off."""
        row = self.cameras.names.index(name)
        shared = self.bundle.shared[row]
        limit_px = _FAR_OFF * float(self.cameras.size_px[row].amax())
        near = self.bundle.error_px[row].norm(dim=-1) < limit_px  # False also where it cannot be seen
        wrong = ~self.bundle.used[row] & ~near
        return float(wrong[shared].double().mean()) if shared.any() else 0.0

    def focal_std_px(self, name: str) -> float:
        """Standard deviation of a camera's focal length, pixels, as the adjustment sees it."""
        return float(self.bundle.parameter_std[self.cameras.names.index(name), POSE])


def calibrate_rig(
    rig_views: Sequence[BoardView],
    lens_views: Mapping[str, Sequence[BoardView]],
    board: Board,
    *,
    size_px: Mapping[str, Size],
    time_s: Mapping[int, float] | None = None,
    options: RigOptions | None = None,
) -> RigCalibration:
    """Calibrate cameras from a board that they saw together.

    The lens of each camera comes from its own footage where there is some, else from the shared clip; in
    the final adjustment lenses, cameras, clocks and the board's path are free together.

    Args:
        rig_views: what all cameras saw of the board, each at its own times. With ``options.clocks`` frame
            numbers do not matter, views are put together by their times; without, one number is one instant.
        lens_views: by camera, views that were filmed for its lens alone; may lack cameras.
        board: the board.
        size_px: image width and height of every camera; its order is that of the result.
        time_s: time of every frame number of ``rig_views``; only without ``options.clocks``, where it
            defaults to the mean of the views' own times.
        options: how.

    Raises:
        CalibrationError: too few views, or cameras that share none; they are named.
    """
    options = options or RigOptions()
    names = list(size_px)
    if len(names) < 2:
        raise CalibrationError(f"there is board footage of {len(names)} camera; two at least are needed")
    own = frozenset(name for name in names if usable_views(lens_views.get(name, ())))
    lenses = _lenses(rig_views, lens_views, own, board, size_px, options)
    work: Clockwork | None = None
    shift = {name: Shift(0.0, 1.0, 0.0) for name in names}
    step_s = frame_step_s(rig_views) if options.clocks else 0.0
    if options.clocks:
        shift = _shifts(rig_views, lenses, board, step_s, options)
        time_s = None
    for again in (True, False):
        if options.clocks:
            shift_s = {name: one.shift_s for name, one in shift.items()}
            rig_views = associate(rig_views, shift_s, step_s)
            work = Clockwork(shift_s, step_s, options.time)
        chosen = choose_frames(rig_views, size_px, options.max_frames, window=6 if options.clocks else 1)
        some = _of_frames(rig_views, chosen)
        solve = partial(solve_rig, lenses=lenses, own=own, board=board, clockwork=work)
        final = solve(some, options=options.bundle)
        nearer = _nearer(shift, final, 0.5 * step_s)
        if not again or nearer == shift:
            break
        shift = nearer
    trial = None
    if work and options.halves:
        trial = _halves(some, solve, final, board, work, options, _lens_halves(lenses, own, rig_views))
    single = _trial(rig_views, solve, board, chosen, options) if not work and options.halves else None
    clocks = {name: _clock(final, row, shift[name]) for row, name in enumerate(names)}
    time_s = _times(rig_views, clocks) if time_s is None else time_s
    world = _world(final, rig_views, board, size_px, time_s, options)
    held = trial[0] if trial else None
    return RigCalibration(
        cameras=world.cameras,
        bundle=final.bundle,
        lenses=lenses,
        own_lens_clip=own,
        pairs=final.pairs,
        world=world,
        frames=tuple(sorted(frame for frame in final.bundle.frames if frame >= 0)),
        held_out_rms_px=held.rigid_px if held else single.rms_px if single else float("nan"),
        trained_rms_px=held.train_px if held else single.trained_px if single else float("nan"),
        squares=_square_check(held) if held or not single else single.squares,
        clocks=clocks,
        covariance=final.covariance,
        residuals=_residuals(final, names),
        path=_path(final, world, time_s),
        held_out=held,
        repeatability=trial[1] if trial else None,
    )


def check_squares(cameras: Cameras, views: Sequence[BoardView], board: Board) -> SquareCheck:
    """Measure the board: triangulate each corner for itself and compare neighbours' distances."""
    frames = sorted({view.frame for view in views})
    xy_px = torch.full((len(frames), len(board.corners_xyz), len(cameras), 2), torch.nan, dtype=torch.float64)
    for view in views:
        xy_px[frames.index(view.frame), view.ids, cameras.names.index(view.camera)] = view.xy_px
    xyz = triangulate(cameras, xy_px.flatten(0, 1), 1.0).xyz_world.reshape(len(frames), -1, 3)
    ends = xyz[:, board.neighbours]
    error = (ends[..., 0, :] - ends[..., 1, :]).norm(dim=-1).flatten() - board.neighbour_m
    error = error[torch.isfinite(error)]
    if len(error) < 2:
        return SquareCheck(float("nan"), float("nan"), len(error))
    return SquareCheck(float(error.mean()), float(error.std()), len(error))


def _lenses(
    rig_views: Sequence[BoardView],
    lens_views: Mapping[str, Sequence[BoardView]],
    own: frozenset[str],
    board: Board,
    size_px: Mapping[str, Size],
    options: RigOptions,
) -> dict[str, Intrinsics]:
    """Each camera's lens for itself: to the last digit from footage of its own, roughly from the shared clip.

    The final adjustment has the shared clip, but of the lens clips only the poses that are found here.
    """
    views = {
        name: lens_views[name] if name in own else [view for view in rig_views if view.camera == name]
        for name in size_px
    }
    for name, some in views.items():
        if not some:
            raise CalibrationError(f"camera {name}: the board was not found in any of its frames")
    rough = replace(options.bundle, tolerance=1e-4, max_iterations=15, rounds=3)
    found: dict[str, Intrinsics] = {}
    for mine, bundle, most in ((True, options.bundle, options.max_frames), (False, rough, _LENS_VIEWS)):
        group = {name: some for name, some in views.items() if (name in own) == mine}
        if group:
            lens = IntrinsicsOptions(max_frames=most, choose_kind=options.choose_lens, bundle=bundle)
            found |= calibrate_lenses(group, board, size_px, options=lens)
    width = max(lens.camera.distortion.shape[-1] for lens in found.values())
    return {name: found[name].padded(width) for name in size_px}


def _shifts(
    views: Sequence[BoardView],
    lenses: Mapping[str, Intrinsics],
    board: Board,
    step_s: float,
    options: RigOptions,
) -> dict[str, Shift]:
    cameras = {name: lens.camera for name, lens in lenses.items()}
    links = clock_links(views, cameras, board, step_s, options.max_shift_s)
    links = confirmed(links, usable_views(views), batch_of(lenses), board, step_s)
    # Where the turning alone is not sure, the board's places are asked as well: they know better.
    sure = [link for link in links if link.agreement > _SURE and abs(link.lag_s) <= NEAR_STEPS * step_s]
    asked = [pair for pair in combinations(lenses, 2) if pair not in {link.cameras for link in sure}]
    placed = pose_links(views, cameras, board, step_s, options.max_shift_s, asked)
    known = {link.cameras for link in placed}
    return shifts([link for link in links if link.cameras not in known] + placed, list(lenses), step_s)


def _nearer(shift: Mapping[str, Shift], final: Solved, limit_s: float) -> dict[str, Shift]:
    """The shifts, where a clock came out further off than neighbouring frames are apart the clock instead.

    Views that were put together with those of other instants make a bad start: the solve that found out
    is done again from a good one.
    """
    if final.timed is None:
        return dict(shift)
    offset_s = dict(zip(shift, final.timed.state.clock[:, 0].tolist(), strict=True))
    return {
        name: one._replace(shift_s=offset_s[name]) if abs(offset_s[name] - one.shift_s) > limit_s else one
        for name, one in shift.items()
    }


def _of_frames(views: Sequence[BoardView], frames: Sequence[int] | set[int]) -> list[BoardView]:
    wanted = set(frames)
    return [view for view in usable_views(views) if view.frame in wanted]


def _clock(final: Solved, row: int, shift: Shift) -> CameraClock:
    if final.timed is None:
        return CameraClock()
    value, std = clock_parameters(final.timed, row)
    return CameraClock(
        offset_s=float(value[0]),
        std_s=float(std[0]),
        shift_s=shift.shift_s,
        drift_ppm=1e6 * float(value[1]),
        drift_std_ppm=1e6 * float(std[1]),
        middle_s=final.views[row].middle_s,
        line_delay_s=float(value[2]),
        line_delay_std_s=float(std[2]),
        jitter_s=final.timed.jitter_s,
        agreement=shift.agreement,
        rival=shift.rival,
    )


def _times(views: Sequence[BoardView], clocks: Mapping[str, CameraClock]) -> dict[int, float]:
    """Rig time of every frame number, the mean of its views."""
    times: dict[int, list[float]] = {}
    for view in views:
        times.setdefault(view.frame, []).append(clocks[view.camera].rig_time_s(view.time_s))
    return {frame: sum(some) / len(some) for frame, some in times.items()}


def _world(
    final: Solved,
    views: Sequence[BoardView],
    board: Board,
    size_px: Mapping[str, Size],
    time_s: Mapping[int, float],
    options: RigOptions,
) -> World:
    first = min(frame for frame in final.bundle.frames if frame >= 0)
    return to_world(
        final.cameras,
        views,
        board,
        size_px=size_px,
        time_s=time_s,
        fallback=final.bundle.world_from_board[final.bundle.frames.index(first)],
        options=options.bundle,
    )


def _path(final: Solved, world: World, time_s: Mapping[int, float]) -> BoardPath:
    shared = [(i, frame) for i, frame in enumerate(final.bundle.frames) if frame >= 0]
    if final.timed is not None:
        times = instants(final.views, final.timed, torch.tensor(final.bundle.frames))
    else:
        times = torch.tensor([time_s[frame] for _, frame in shared], dtype=torch.float64)
    order = times.argsort(stable=True)
    poses = world.world_from_rig @ final.bundle.world_from_board[[i for i, _ in shared]]
    return BoardPath(times[order], poses[order])


def _residuals(final: Solved, names: Sequence[str]) -> dict[str, CameraResiduals]:
    found: dict[str, CameraResiduals] = {}
    if final.timed is None:
        return found
    for row, (name, views) in enumerate(zip(names, final.views, strict=True)):
        which = views.seen & views.shared[:, None]
        wide = which.shape
        found[name] = CameraResiduals(
            frame=views.frame[:, None].expand(wide)[which],
            time_s=views.own_s[:, None].expand(wide)[which],
            corner=views.ids[which],
            xy_px=views.xy_px[which],
            error_px=final.timed.error_px[row][which],
            used=final.timed.used[row][which],
        )
    return found


def _square_check(held: HeldOut | None) -> SquareCheck:
    if held is None:
        return SquareCheck(float("nan"), float("nan"), 0)
    return SquareCheck(held.square_bias_m, held.square_std_m, held.squares)


def _halves(
    views: Sequence[BoardView],
    solve: Callable[..., Solved],
    final: Solved,
    board: Board,
    work: Clockwork,
    options: RigOptions,
    lenses: Sequence[Mapping[str, Intrinsics]],
) -> tuple[HeldOut, Repeatability] | None:
    """Each half of the blocks of frames solved for itself and judged by the other; None where too little.

    The halves start from nothing, as the whole did: what the other half knows does not leak into them.
    """
    if final.timed is None:
        return None
    parts = [[view for view in views if (view.frame // BLOCK) % 2 == half] for half in (0, 1)]
    quick = replace(options.bundle, tolerance=max(options.bundle.tolerance, 1e-6))
    judged: list[HeldOut] = []
    solved: list[Solved] = []
    for half, mine in enumerate(parts):
        if len({view.frame for view in mine}) < BLOCK - 1:
            return None
        try:
            one = solve(mine, lenses=lenses[half], options=quick)
        except CalibrationError:
            return None
        clock = one.timed.state.clock[:, 0].tolist() if one.timed else []
        offset_s = dict(zip(one.cameras.names, clock, strict=True))
        score = judge_cameras(
            one.cameras, parts[1 - half], board, offset_s=offset_s, step_s=work.step_s, options=quick
        )
        if score is None:
            return None
        solved.append(one)
        judged.append(replace(score, train_px=one.timed.rms_px() if one.timed else float("nan")))
    poses = final.bundle.world_from_board
    xyz = (poses[:, None, :3, :3] @ board.corners_xyz[:, :, None])[..., 0] + poses[:, None, :3, 3]
    # The halves do not share the final cameras' frame: points are taken from the first half's.
    xyz = _into(final.cameras, solved[0].cameras, xyz.flatten(0, 1))
    return pooled(judged), compare_cameras(solved[0].cameras, solved[1].cameras, xyz)


def _lens_halves(
    lenses: Mapping[str, Intrinsics], own: frozenset[str], views: Sequence[BoardView]
) -> list[dict[str, Intrinsics]]:
    """The lenses for each half of the blocks, without the views of the shared clip that are in the other."""
    half = {(view.camera, view.time_s): (view.frame // BLOCK) % 2 for view in views}
    return [
        {
            name: lens
            if name in own
            else replace(lens, views=tuple(v for v in lens.views if half[name, v.time_s] == part))
            for name, lens in lenses.items()
        }
        for part in (0, 1)
    ]


def _into(one: Cameras, other: Cameras, xyz: Tensor) -> Tensor:
    """Points in the frame of other cameras, by their first cameras."""
    move = torch.linalg.inv(other.cam_from_world[0]) @ one.cam_from_world[0]
    return xyz @ move[:3, :3].T + move[:3, 3]


@dataclass(frozen=True)
class _Trial:
    """How well a solve without time predicts frames that it did not have."""

    rms_px: float
    trained_px: float
    squares: SquareCheck


def _trial(
    views: Sequence[BoardView],
    solve: Callable[..., Solved],
    board: Board,
    chosen: Sequence[int],
    options: RigOptions,
) -> _Trial | None:
    """Solve without some frames and predict them; None where the rest does not link the cameras."""
    step = max(2, round(1.0 / options.held_out))
    held = _of_frames(views, chosen[step // 2 :: step]) if len(chosen) >= _LEAST_TRIAL else []
    if not held:
        return None
    try:
        solved = solve(_of_frames(views, set(chosen) - {view.frame for view in held}), options=options.bundle)
    except CalibrationError:
        return None
    fitted = fit_boards(solved.cameras, held, board, options.bundle)
    if fitted is None:
        return None
    trained = solved.bundle.rms_px(solved.bundle.shared)
    return _Trial(fitted.rms_px(), trained, check_squares(solved.cameras, held, board))
