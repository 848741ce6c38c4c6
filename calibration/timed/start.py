"""Where an adjustment with time in it begins: from a solve that knew nothing of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.boards.selection import usable_views
from calibration.cameras import Cameras
from calibration.rig.bundle import BundleOptions
from calibration.timed.board_motion import fit_motion
from calibration.timed.problem import CLOCK, OFFSET, Free, TimedProblem, TimedState, TimePrior
from calibration.timed.views import group_views


def near_shared(views: Sequence[BoardView]) -> list[BoardView]:
    """Views of the frames that several cameras share, and of their neighbours.

    Where one camera alone sees the board for long, nothing says on which side of it the board was.
    """
    watchers: dict[int, set[str]] = {}
    for view in views:
        watchers.setdefault(view.frame, set()).add(view.camera)
    shared = {frame for frame, names in watchers.items() if len(names) > 1}
    near = {frame + step for frame in shared for step in (-1, 0, 1)}
    return [view for view in views if view.frame in near] if shared else list(views)


def timed_problem(
    views: Sequence[BoardView],
    board: Board,
    cameras: Cameras,
    world_from_board: Mapping[int, Tensor],
    *,
    offset_s: Mapping[str, float],
    step_s: float,
    options: BundleOptions | None = None,
    prior: TimePrior | None = None,
) -> TimedProblem:
    """The problem of adjusting cameras, clocks and the board's path; all is free but the first camera.

    Args:
        views: what the cameras saw, frame numbers as of ``calibration.timed.association``.
        board: the board.
        cameras: starting lenses and poses.
        world_from_board: (4, 4) starting board pose of some frame numbers; the path leads through them.
        offset_s: seconds to add to each camera's own times, to begin with.
        step_s: time between frames.
        options: how it is adjusted.
        prior: what is known of time.
    """
    prior = prior or TimePrior()
    views = near_shared(usable_views(views))
    groups = group_views(views, board, cameras)
    time_s: dict[int, list[float]] = {}
    for view in views:
        time_s.setdefault(view.frame, []).append(view.time_s + offset_s[view.camera])
    several = [frame for frame, some in time_s.items() if len(some) > 1]
    # A board seen by one camera alone may stand there as its mirror image: neighbours know better.
    frames = sorted(frame for frame in several or time_s if frame in world_from_board)
    times = torch.tensor([sum(time_s[f]) / len(time_s[f]) for f in frames], dtype=torch.float64)
    every = torch.tensor([t for some in time_s.values() for t in some], dtype=torch.float64)
    middle = 0.5 * (board.corners_xyz.amin(0) + board.corners_xyz.amax(0))
    poses = torch.stack([world_from_board[frame] for frame in frames])
    order = times.argsort()
    motion = fit_motion(times[order], poses[order], step_s, middle, every)
    clock = torch.zeros(len(cameras), CLOCK, dtype=torch.float64)
    clock[:, OFFSET] = torch.tensor([offset_s[name] for name in cameras.names])
    late = tuple(torch.zeros_like(group.own_s) for group in groups)
    state = TimedState(cameras, motion, clock, late, torch.zeros(0, 4, 4, dtype=torch.float64))
    free_pose = torch.ones(len(cameras), dtype=torch.bool)
    free_pose[0] = False
    free_clock = torch.ones(len(cameras), CLOCK, dtype=torch.bool)
    free_clock[0, :2] = False
    lens = torch.ones(len(cameras), 4 + cameras.distortion.shape[-1], dtype=torch.bool)
    free = Free(free_pose, lens, free_clock)
    return TimedProblem(groups, state, free, None, options or BundleOptions(), prior)
