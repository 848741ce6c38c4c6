"""The world that a calibration lives in: the board at rest on the floor is its origin and its plane.

World: origin at the board's outer origin corner, x along its columns, z up (out of the print, towards the
cameras), y = z cross x, metres.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.boards.selection import usable_views
from calibration.cameras import Cameras
from calibration.rig.bundle import BundleOptions
from calibration.rig.extrinsics import fit_boards

_STILL_PX = 0.6
"""A board whose corners stay this close to their mean, at 1280 pixels of image width, is at rest: about 1 mm
at 2 m, above the noise of corners in compressed video."""
_MIN_REST_S = 0.3
"""Shorter pauses are not a rest."""
_UPRIGHT = 0.5
"""Least cosine between the board's normal and the cameras' mean upward direction for a board on the floor."""

FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
"""``board_from_world`` of the rest: the board's z points into the floor."""


@dataclass(frozen=True)
class Rest:
    """Frames in which the board lay still."""

    frames: tuple[int, ...]
    """Their numbers, ascending."""
    duration_s: float
    """From the first to the last."""
    on_floor: bool
    """The board lay flat by the cameras' own idea of up, and all cameras saw it from above."""


@dataclass(frozen=True)
class World:
    """Cameras in their final place."""

    cameras: Cameras
    """The cameras, world frame."""
    world_from_rig: Tensor
    """(4, 4) what moved them there."""
    rest: Rest | None
    """The frames that define the floor; None where the board never lay still."""


def find_rests(
    views: Sequence[BoardView], size_px: Mapping[str, tuple[int, int]], time_s: Mapping[int, float]
) -> list[tuple[int, ...]]:
    """Runs of frames in which no camera saw the board move, longest first.

    Works on the pixels alone, so that errors of poses do not matter.

    Args:
        views: what the cameras saw, every examined frame.
        size_px: width and height of every camera's image.
        time_s: time of every frame.
    """
    frames: dict[int, dict[str, BoardView]] = defaultdict(dict)
    for view in usable_views(views):
        frames[view.frame][view.camera] = view
    runs: list[tuple[int, ...]] = []
    run: list[int] = []
    for frame in sorted(frames):
        if run and not _still([frames[i] for i in (*run, frame)], size_px):
            runs.append(tuple(run))
            # A new rest may have begun while the board still settled.
            while run and not _still([frames[i] for i in (*run, frame)], size_px):
                run.pop(0)
        run.append(frame)
    runs.append(tuple(run))
    long = [run for run in runs if len(run) > 1 and time_s[run[-1]] - time_s[run[0]] >= _MIN_REST_S - 1e-6]
    return sorted(long, key=lambda run: (time_s[run[0]] - time_s[run[-1]], run[0]))


def to_world(
    cameras: Cameras,
    views: Sequence[BoardView],
    board: Board,
    *,
    size_px: Mapping[str, tuple[int, int]],
    time_s: Mapping[int, float],
    fallback: Tensor,
    options: BundleOptions | None = None,
) -> World:
    """Move calibrated cameras into the world of the board at rest.

    Args:
        cameras: the cameras, in any one frame ("rig").
        views: what they saw, every examined frame.
        board: the board.
        size_px: width and height of every camera's image.
        time_s: time of every frame.
        fallback: (4, 4) board pose in the rig's frame that defines the world where nothing was at rest.
        options: how poses are solved for.
    """
    best: tuple[Rest, Tensor] | None = None
    for frames in find_rests(views, size_px, time_s)[:8]:
        inside = [view for view in usable_views(views) if view.frame in frames]
        pose = rest_pose(cameras, inside, board, options)
        if pose is None:
            continue
        floor = _is_floor(cameras, pose)
        if best is None or (floor and not best[0].on_floor):
            best = Rest(frames, time_s[frames[-1]] - time_s[frames[0]], floor), pose
        if floor:
            break
    rest, rig_from_board = best if best is not None else (None, fallback)
    world_from_rig = torch.linalg.inv(rig_from_board @ FLIP)
    return World(moved(cameras, world_from_rig), world_from_rig, rest)


def moved(cameras: Cameras, world_from_rig: Tensor) -> Cameras:
    """The same cameras with poses in another frame."""
    return cameras.with_poses(cameras.cam_from_world @ torch.linalg.inv(world_from_rig))


def rest_pose(
    cameras: Cameras, views: Sequence[BoardView], board: Board, options: BundleOptions | None = None
) -> Tensor | None:
    """(4, 4) the one pose of a board that all these views show, cameras fixed; None where nothing fits."""
    as_one = [BoardView(view.camera, 0, view.time_s, view.ids, view.xy_px) for view in views]
    solved = fit_boards(cameras, as_one, board, options)
    return solved.world_from_board[0] if solved is not None else None


def _still(frames: Sequence[Mapping[str, BoardView]], size_px: Mapping[str, tuple[int, int]]) -> bool:
    """Whether the last frame shows every corner where the frames before it showed it on average."""
    compared = False
    for camera, view in frames[-1].items():
        earlier = [frame[camera] for frame in frames[:-1] if camera in frame]
        if not earlier:
            continue
        ids = np.concatenate([other.ids.numpy() for other in earlier])
        xy = np.concatenate([other.xy_px.numpy() for other in earlier])
        total, count = np.zeros((ids.max() + 1, 2)), np.zeros(ids.max() + 1)
        np.add.at(total, ids, xy)
        np.add.at(count, ids, 1.0)
        known = view.ids.numpy()[view.ids.numpy() < len(count)]
        here = view.xy_px.numpy()[view.ids.numpy() < len(count)][count[known] > 0]
        known = known[count[known] > 0]
        if len(known) == 0:
            return False
        compared = True
        apart = np.linalg.norm(here - total[known] / count[known, None], axis=-1)
        if np.median(apart) > _STILL_PX * max(size_px[camera]) / 1280.0:
            return False
    return compared


def _is_floor(cameras: Cameras, rig_from_board: Tensor) -> bool:
    """Whether cameras that stand about upright look down on the board."""
    world_from_rig = torch.linalg.inv(rig_from_board @ FLIP)
    placed = moved(cameras, world_from_rig)
    up = -placed.cam_from_world[:, 1, :3].mean(0)
    return bool((placed.centers_world[:, 2] > 0).all()) and bool(up[2] / up.norm() > _UPRIGHT)
