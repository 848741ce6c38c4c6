"""From views of one board to calibrated cameras: lenses, poses, one adjustment, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from .boards import Board
from .bundle import Bundle, BundleOptions, build
from .cameras import Cameras
from .clocks import CameraClock
from .detection import BoardView
from .errors import CalibrationError
from .extrinsics import PairAgreement, first_poses, fit_boards
from .held_out import HeldOut, Repeatability
from .intrinsics import Intrinsics, IntrinsicsOptions, adjust_lenses, calibrate_intrinsics
from .schur import POSE
from .selection import choose_frames, usable_views
from .triangulation import triangulate
from .world import World, to_world

Size = tuple[int, int]

_FAR_OFF = 1.5 / 1280.0
"""Error, in widths of the image, below which a dropped corner is the tail of the noise, no contradiction."""


@dataclass(frozen=True)
class RigOptions:
    """How a set of cameras is calibrated."""

    max_frames: int = 150
    """Most shared frames, and most views of each lens, that are solved with."""
    held_out: float = 0.2
    """Part of the shared frames that a trial solve does without, to be predicted by it."""
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
    ``cam_from_world <- exp([rho, phi]) cam_from_world``) and lens (fx, fy, cx, cy, distortion); rows of
    fixed parameters are 0. The truth lies two to three times as far off as this says."""
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
    time_s: Mapping[int, float],
    options: RigOptions | None = None,
) -> RigCalibration:
    """Calibrate cameras from a board that they saw together.

    The lens of each camera comes from its own footage where there is some, else from the shared clip; in
    the final adjustment lenses, camera poses and board poses are free together. Views by one camera and
    by several have noise of their own, so that clocks that disagree do not bend the lenses.

    Args:
        rig_views: what all cameras saw of the board; one frame number is one instant.
        lens_views: by camera, views that were filmed for its lens alone; may lack cameras.
        board: the board.
        size_px: image width and height of every camera; its order is that of the result.
        time_s: time of every frame number of ``rig_views``.
        options: how.

    Raises:
        CalibrationError: too few views, or cameras that share none; they are named.
    """
    options = options or RigOptions()
    names = list(size_px)
    if len(names) < 2:
        raise CalibrationError(f"there is board footage of {len(names)} camera; two at least are needed")
    own = frozenset(name for name in names if usable_views(lens_views.get(name, ())))
    lens_options = IntrinsicsOptions(max_frames=options.max_frames, bundle=options.bundle)
    lenses: dict[str, Intrinsics] = {}
    for name in names:
        views = lens_views[name] if name in own else [view for view in rig_views if view.camera == name]
        if not views:
            raise CalibrationError(f"camera {name}: the board was not found in any of its frames")
        lenses[name] = calibrate_intrinsics(views, board, size_px[name], options=lens_options)
    ideal = _as_batch(lenses)
    chosen = choose_frames(rig_views, size_px, options.max_frames)
    held = _held_out(chosen, options.held_out)
    trial = _trial(rig_views, lenses, board, ideal, _Split(chosen, held), options)
    final, pairs = _solve(_of_frames(rig_views, chosen), lenses, board, ideal, options)
    first = min(frame for frame in final.frames if frame >= 0)
    world = to_world(
        final.cameras,
        rig_views,
        board,
        size_px=size_px,
        time_s=time_s,
        fallback=final.world_from_board[final.frames.index(first)],
        options=options.bundle,
    )
    return RigCalibration(
        cameras=world.cameras,
        bundle=final,
        lenses=lenses,
        own_lens_clip=own,
        pairs=pairs,
        world=world,
        frames=tuple(chosen),
        held_out_rms_px=trial.held_out_rms_px,
        trained_rms_px=trial.trained_rms_px,
        squares=trial.squares,
        clocks={name: CameraClock() for name in names},
        covariance=torch.diag_embed(final.parameter_std.square()),
        residuals={},
        path=_path(final, world, time_s),
        held_out=None,
        repeatability=None,
    )


def _path(final: Bundle, world: World, time_s: Mapping[int, float]) -> BoardPath:
    shared = [(i, frame) for i, frame in enumerate(final.frames) if frame >= 0]
    times = torch.tensor([time_s[frame] for _, frame in shared], dtype=torch.float64)
    return BoardPath(times, world.world_from_rig @ final.world_from_board[[i for i, _ in shared]])


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


def _as_batch(lenses: Mapping[str, Intrinsics]) -> Cameras:
    """All lenses, each camera at the origin."""
    each = [lens.camera for lens in lenses.values()]
    return Cameras(
        names=tuple(lenses),
        size_px=torch.cat([camera.size_px for camera in each]),
        focal_px=torch.cat([camera.focal_px for camera in each]),
        center_px=torch.cat([camera.center_px for camera in each]),
        distortion=torch.cat([camera.distortion for camera in each]),
        cam_from_world=torch.cat([camera.cam_from_world for camera in each]),
    )


def _of_frames(views: Sequence[BoardView], frames: Sequence[int] | set[int]) -> list[BoardView]:
    wanted = set(frames)
    return [view for view in usable_views(views) if view.frame in wanted]


def _held_out(frames: Sequence[int], part: float) -> list[int]:
    """Evenly spread frames to do without; none where every frame is needed."""
    if len(frames) < 10:
        return []
    step = max(2, round(1.0 / part))
    return list(frames[step // 2 :: step])


def _solve(
    views: Sequence[BoardView],
    lenses: Mapping[str, Intrinsics],
    board: Board,
    ideal: Cameras,
    options: RigOptions,
) -> tuple[Bundle, tuple[PairAgreement, ...]]:
    """First poses, then one adjustment of everything."""
    start = first_poses(views, board, ideal)
    together = [view for view in views if view.frame in start.world_from_board]
    boards = dict(start.world_from_board)
    alone, poses = _lens_frames(lenses, start.cameras)
    problem = build([*together, *alone], board, start.cameras, boards | poses)
    # A term that a lens gave up for itself would fold here too.
    free = torch.cat([lens.free_lens for lens in lenses.values()])
    return adjust_lenses(replace(problem, free_lens=free), options.bundle), start.pairs


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


class _Split(NamedTuple):
    """Shared frames of a trial."""

    chosen: Sequence[int]
    held_out: Sequence[int]


class _Trial(NamedTuple):
    """How well a solve predicts frames that it did not have."""

    held_out_rms_px: float
    trained_rms_px: float
    squares: SquareCheck


def _trial(
    views: Sequence[BoardView],
    lenses: Mapping[str, Intrinsics],
    board: Board,
    ideal: Cameras,
    split: _Split,
    options: RigOptions,
) -> _Trial:
    """Solve without some frames and predict them; NaN where the rest does not link the cameras."""
    nothing = _Trial(float("nan"), float("nan"), SquareCheck(float("nan"), float("nan"), 0))
    held = _of_frames(views, split.held_out)
    if not held:
        return nothing
    try:
        solved, _ = _solve(
            _of_frames(views, set(split.chosen) - set(split.held_out)), lenses, board, ideal, options
        )
    except CalibrationError:
        return nothing
    fitted = fit_boards(solved.cameras, held, board, options.bundle)
    if fitted is None:
        return nothing
    return _Trial(fitted.rms_px(), solved.rms_px(solved.shared), check_squares(solved.cameras, held, board))
