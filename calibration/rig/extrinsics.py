"""First poses of several cameras, from instants at which two or more of them saw the board.

Each view allows two board poses (see ``calibration.pnp``). For every pair of cameras all combinations over
all shared frames propose how one camera stands to the other; the proposal that most frames can agree on
wins, which a mirrored pose does not survive as soon as the board has moved. A spanning tree of the pairs
with the most agreement then places the cameras, and the board is placed in every frame by whichever of
the poses all cameras together see best.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import roma
import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.boards.selection import shared_frames, usable_views
from calibration.cameras import Cameras
from calibration.errors import CalibrationError
from calibration.pnp import PlanarPose, planar_poses
from calibration.rig.bundle import Bundle, BundleOptions, adjust, build

_AGREE_DEG = 6.0
"""Relative rotations closer than this agree."""
_AGREE_PART = 0.1
"""Camera positions closer than this part of the board's distance agree."""
_FAR_PX = 50.0
"""Errors of a first guess beyond this say no more than this does."""
_AT_ONCE = 64
"""Frames whose boards are placed together."""


@dataclass(frozen=True)
class PairAgreement:
    """How well two cameras agree on how they stand to each other."""

    cameras: tuple[str, str]
    """The two."""
    num_frames: int
    """Frames in which both saw the board."""
    agreement: float
    """Part of these frames that the best relative pose explains; below 0.8 the clips hardly ran together."""


@dataclass(frozen=True)
class RigStart:
    """First poses for the bundle adjustment, in the frame of the first camera."""

    cameras: Cameras
    """The cameras, all posed."""
    world_from_board: Mapping[int, Tensor]
    """(4, 4) board pose of every shared frame, metres."""
    pairs: tuple[PairAgreement, ...]
    """Pairs of cameras that share frames."""


@dataclass(frozen=True)
class Relative:
    """How two cameras stand to each other."""

    second_from_first: Tensor
    """(4, 4)"""
    support: float
    """Frames that agree, each counted by how well its poses fit."""
    frames: int
    """Frames that agree."""


def first_poses(views: Sequence[BoardView], board: Board, cameras: Cameras) -> RigStart:
    """Place cameras with known lenses, and the boards of the frames that they share.

    Args:
        views: what the cameras saw; views with one frame number show one board pose.
        board: the board.
        cameras: the lenses; their poses do not matter.

    Raises:
        CalibrationError: a camera shares no view of the board with the others; it is named.
    """
    frames = shared_frames(views)
    poses: dict[int, dict[str, list[PlanarPose]]] = defaultdict(dict)
    together = [view for some in frames.values() for view in some]
    each = planar_poses(together, cameras, board)
    for view, both in zip(together, each, strict=True):
        poses[view.frame][view.camera] = both
    links, pairs = _relative_poses(poses, cameras.names)
    placed = _spanning_tree(links, cameras.names)
    posed = cameras.with_poses(torch.stack([placed[name] for name in cameras.names]))
    return RigStart(posed, place_boards(together, each, posed, board), tuple(pairs))


def _relative_poses(
    poses: Mapping[int, Mapping[str, list[PlanarPose]]], names: Sequence[str]
) -> tuple[dict[tuple[str, str], Relative], list[PairAgreement]]:
    """For every pair of cameras that share frames: the relative pose that most of them agree on."""
    links: dict[tuple[str, str], Relative] = {}
    pairs: list[PairAgreement] = []
    for first, second in combinations(names, 2):
        both = [
            (seen[first], seen[second]) for seen in poses.values() if seen.get(first) and seen.get(second)
        ]
        if both:
            links[first, second] = best = vote(both)
            pairs.append(PairAgreement((first, second), len(both), best.frames / len(both)))
    return links, pairs


def vote(both: Sequence[tuple[list[PlanarPose], list[PlanarPose]]]) -> Relative:
    """The relative pose with the most support, averaged over the frames that agree with it."""
    proposals = [
        (frame, one.cam_from_board, other.cam_from_board, _merit(one, firsts) * _merit(other, seconds))
        for frame, (firsts, seconds) in enumerate(both)
        for one in firsts
        for other in seconds
    ]
    frame_of, ones, others, merit = zip(*proposals, strict=True)
    relative = torch.stack(others) @ torch.linalg.inv(torch.stack(ones))
    quality, owner = torch.tensor(merit), torch.tensor(frame_of)
    distance_m = torch.tensor([float(one[0].cam_from_board[:3, 3].norm()) for one, _ in both]).median()
    agree = _agreement(relative, float(distance_m))  # (K, K)
    votes = torch.zeros(len(relative), len(both), dtype=torch.float64)
    worth = torch.where(agree, quality[None].double(), 0.0)
    votes.scatter_reduce_(1, owner[None].expand(len(relative), -1), worth, "amax")
    support = votes.sum(1) + 1e-6 * quality
    winner = int(support.argmax())
    members = agree[winner]
    mean = torch.eye(4, dtype=torch.float64)
    weight = quality.double() * members
    total = (weight[:, None, None] * relative[:, :3, :3]).sum(0)
    mean[:3, :3] = cast(Tensor, roma.special_procrustes(total))
    mean[:3, 3] = relative[members][:, :3, 3].median(0).values
    return Relative(mean, float(support[winner]), int((votes[winner] > 0).sum()))


def _merit(pose: PlanarPose, rivals: Sequence[PlanarPose]) -> float:
    """1 for the better pose of a view, less for one that fits worse; noise of a tenth of a pixel aside."""
    return ((rivals[0].error_px + 0.1) / (pose.error_px + 0.1)) ** 2


def _agreement(relative: Tensor, distance_m: float) -> Tensor:
    """(K, K) bool, which relative poses (K, 4, 4) are the same within the errors of single views."""
    rotation = relative[:, :3, :3].flatten(1)
    cosine = ((rotation @ rotation.T - 1.0) / 2.0).clamp(-1.0, 1.0)
    centers = -(relative[:, :3, :3].mT @ relative[:, :3, 3:])[..., 0]
    apart = torch.cdist(centers, centers)
    return (cosine > math.cos(math.radians(_AGREE_DEG))) & (apart < _AGREE_PART * distance_m)


def _spanning_tree(links: Mapping[tuple[str, str], Relative], names: Sequence[str]) -> dict[str, Tensor]:
    """Camera poses, the first camera at the origin, along the links with the most support."""
    placed = {names[0]: torch.eye(4, dtype=torch.float64)}
    while len(placed) < len(names):
        reaching = [pair for pair in links if (pair[0] in placed) != (pair[1] in placed)]
        if not reaching:
            raise _disconnected(links, names)
        first, second = max(reaching, key=lambda pair: links[pair].support)
        step = links[first, second].second_from_first
        if first in placed:
            placed[second] = step @ placed[first]
        else:
            placed[first] = torch.linalg.inv(step) @ placed[second]
    return placed


def _disconnected(links: Mapping[tuple[str, str], Relative], names: Sequence[str]) -> CalibrationError:
    """The error that names the cameras outside the largest group."""
    group = {name: {name} for name in names}
    for first, second in links:
        union = group[first] | group[second]
        for name in union:
            group[name] = union
    largest = max((group[name] for name in names), key=len)
    lost = [name for name in names if name not in largest]
    if len(largest) == 1:
        what = "no two cameras see the board at the same time"
    else:
        word = "camera" if len(lost) == 1 else "cameras"
        what = f"{word} {', '.join(lost)} and the others never see the board at the same time"
    return CalibrationError(f"{what}; show it to neighbouring cameras together, and start all clips together")


def place_boards(
    views: Sequence[BoardView], poses: Sequence[Sequence[PlanarPose]], cameras: Cameras, board: Board
) -> dict[int, Tensor]:
    """The board pose of every frame, of all that single views allow, that all its views together fit best.

    Args:
        views: views of board poses, one for each frame number, by one camera or several.
        poses: for each of them what ``planar_poses`` gave.
        cameras: posed cameras.
        board: the board.

    Returns:
        (4, 4) world_from_board by frame, metres; frames in which no view fixes a pose are left out.
    """
    by_frame: dict[int, list[int]] = defaultdict(list)
    for row, view in enumerate(views):
        by_frame[view.frame].append(row)
    frames = sorted(by_frame)
    best: dict[int, Tensor] = {}
    for start in range(0, len(frames), _AT_ONCE):
        part = [by_frame[frame] for frame in frames[start : start + _AT_ONCE]]
        rows = [row for some in part for row in some]
        best |= _placed([views[row] for row in rows], [poses[row] for row in rows], cameras, board)
    return best


def _placed(
    views: Sequence[BoardView], poses: Sequence[Sequence[PlanarPose]], cameras: Cameras, board: Board
) -> dict[int, Tensor]:
    frame = torch.tensor([view.frame for view in views])
    camera = torch.tensor([cameras.names.index(view.camera) for view in views])
    owner = torch.tensor([row for row, both in enumerate(poses) for _ in both], dtype=torch.int64)
    if not len(owner):
        return {}
    seen = torch.full((len(views), len(board.corners_xyz), 2), torch.nan, dtype=torch.float64)
    for row, view in enumerate(views):
        seen[row, view.ids] = view.xy_px
    cam_from_board = torch.stack([pose.cam_from_board for both in poses for pose in both])
    world_from_board = torch.linalg.inv(cameras.cam_from_world)[camera[owner]] @ cam_from_board
    corners = world_from_board[:, None, :3, :3] @ board.corners_xyz[:, :, None]
    xy, _ = cameras.project(corners[..., 0] + world_from_board[:, None, :3, 3])  # (H, C, N, 2)
    proposal, view = torch.nonzero(frame[owner][:, None] == frame, as_tuple=True)
    error = (xy[proposal, camera[view]] - seen[view]).norm(dim=-1)
    error = error.nan_to_num(nan=_FAR_PX).clamp(max=_FAR_PX)
    error = torch.where(torch.isfinite(seen[view, :, 0]), error, 0.0).sum(-1)
    misfit = torch.zeros(len(owner), dtype=torch.float64).index_add_(0, proposal, error).tolist()
    best: dict[int, int] = {}
    for row, number in enumerate(frame[owner].tolist()):
        if number not in best or misfit[row] < misfit[best[number]]:
            best[number] = row
    return {number: world_from_board[row] for number, row in best.items()}


def fit_boards(
    cameras: Cameras, views: Sequence[BoardView], board: Board, options: BundleOptions | None = None
) -> Bundle | None:
    """Board poses of all frames with the cameras fixed; None where no view fixes one.

    Frames in which no view has enough corners are left out.
    """
    by_frame: dict[int, list[BoardView]] = defaultdict(list)
    for view in usable_views(views):
        by_frame[view.frame].append(view)
    # A board at rest has hundreds of views: a few propose as well as all.
    few = {frame: some[:: max(1, len(some) // 8)] for frame, some in by_frame.items()}
    chosen = [view for some in few.values() for view in some]
    start = place_boards(chosen, planar_poses(chosen, cameras, board), cameras, board)
    kept = [view for frame in start for view in by_frame[frame]]
    return adjust(build(kept, board, cameras, start, fix_cameras=True), options) if kept else None
