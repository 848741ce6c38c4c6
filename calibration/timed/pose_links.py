"""Clocks from where the board was, for cameras that hardly see it together.

At the right shift the poses of a moving board in two cameras put the two in one and the same relation, frame
after frame; at a wrong one the relation wanders with the board. Turning rates need long stretches that both
cameras saw; this needs a dozen frames, but lenses that are about right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import roma
import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.boards.selection import usable_views
from calibration.cameras import Cameras
from calibration.pnp import PlanarPose, planar_poses
from calibration.timed.turning import ClockLink

_TRIED = 2
"""Shifts that are tried in each frame interval at first."""
_FINER = 8
"""The same round the best of them."""
_GAP = 1.6
"""Views farther apart than this many frame intervals say nothing of what was between them."""
_ANGLE_RAD, _PART = 0.07, 0.05
"""Differences of two relations that count as one: of their turns, and of the cameras' places in parts of the
board's distance."""
_SHARPER = 3.0
"""How much smaller these are where the best shift is looked for closely."""
_MOST_FRAMES = 48
"""Frames that are compared at one shift, those in which the board moves most."""
_WRONG = 0.5
"""What a frame at odds counts against one that agrees."""
_LEAST = 4.0
"""Net frames in motion that must agree: a wrong shift reaches 2 by chance."""
_AGREED = 0.6
"""Part of the frames in motion that must agree: right shifts 0.8, wrong ones 0.3."""
_APART_S = 0.15
"""A rival lies farther away than this, seconds."""


class _Course(NamedTuple):
    """The board before one camera: in each view the two poses that its plane allows, and where they go."""

    time_s: Tensor
    """(N,) own times, ascending, seconds."""
    turn: Tensor
    """(N, 2, 4) unit quaternions xyzw, cam_from_board."""
    place: Tensor
    """(N, 2, 3) metres."""
    merit: Tensor
    """(N, 2) 1 for the pose that fits better, less for the other, 0 where there is none."""
    next: Tensor
    """(N, 2) which pose of the next view goes on from each."""
    moves: Tensor
    """(N,) how far the board moves until the next view, in differences that can be told; at most 1."""


def pose_links(
    views: Sequence[BoardView],
    lenses: Mapping[str, Cameras],
    board: Board,
    step_s: float,
    reach_s: float,
    pairs: Sequence[tuple[str, str]],
) -> list[ClockLink]:
    """How the clocks of pairs of cameras stand to each other, where the board's poses say so.

    Args:
        views: what the cameras saw, at their own times.
        lenses: each camera's lens.
        board: the board.
        step_s: time between frames.
        reach_s: largest shift to try.
        pairs: the cameras to compare.
    """
    wanted = {name for pair in pairs for name in pair}
    courses = {
        name: _course([v for v in usable_views(views) if v.camera == name], lenses[name], board, step_s)
        for name in lenses
        if name in wanted
    }
    found = [_link(pair, courses[pair[0]], courses[pair[1]], step_s, reach_s) for pair in pairs]
    return [link for link in found if link is not None]


def _link(
    names: tuple[str, str], first: _Course, second: _Course, step_s: float, reach_s: float
) -> ClockLink | None:
    if len(first.time_s) < 2 or len(second.time_s) < 2:
        return None
    reach = round(_TRIED * reach_s / step_s)
    lags = np.arange(-reach, reach + 1) * (step_s / _TRIED)
    score = np.array([_score(first, second, float(lag), step_s) for lag in lags])
    coarse = float(lags[int(score[:, 0].argmax())])
    fine = coarse + np.arange(-_FINER, _FINER + 1) * (step_s / _FINER)
    near = np.array([_score(first, second, float(lag), step_s, _SHARPER) for lag in fine])
    best = int(near[:, 0].argmax())
    net, part = _score(first, second, float(fine[best]), step_s)
    if net < _LEAST or part < _AGREED:
        return None
    lag = float(fine[best])
    if 0 < best < len(fine) - 1:  # the top of the parabola through three values
        left, middle, right = near[best - 1 : best + 2, 0]
        bend = left - 2.0 * middle + right
        lag += float(0.5 * (left - right) / bend) * (step_s / _FINER) if bend < 0 else 0.0
    away = np.abs(lags - lag) > max(_APART_S, 2.0 * step_s)
    rival = max(0.0, float(score[away, 0].max(initial=0.0)) / net)
    at_zero = float(score[reach, 1])
    # Of few frames all agree by chance: many count for more.
    return ClockLink(names, lag, part * (1.0 - 1.0 / net), rival, at_zero)


def _score(
    first: _Course, second: _Course, lag_s: float, step_s: float, sharper: float = 1.0
) -> tuple[float, float]:
    """Frames in motion that agree, net of those at odds, and the part of them that agrees."""
    times = second.time_s + lag_s
    after = torch.searchsorted(first.time_s, times).clamp(1, len(first.time_s) - 1)
    before = after - 1
    wide = first.time_s[after] - first.time_s[before]
    part = (times - first.time_s[before]) / wide
    weight = torch.where((part >= 0) & (part <= 1) & (wide < _GAP * step_s), first.moves[before], 0.0)
    some = weight.argsort(descending=True, stable=True)[:_MOST_FRAMES]
    some = some[weight[some] > 0.05]
    if len(some) < _LEAST:
        return 0.0, 0.0
    weight, before, part = weight[some], before[some], part[some, None, None]
    choice = first.next[before]
    other = torch.take_along_dim(first.turn[before + 1], choice[..., None], 1)
    ahead = torch.take_along_dim(first.place[before + 1], choice[..., None], 1)
    here = first.turn[before]
    other = torch.where((here * other).sum(-1, keepdim=True) < 0, -other, other)
    turn = torch.nn.functional.normalize(here * (1 - part) + other * part, dim=-1)
    place = first.place[before] * (1 - part) + ahead * part
    one = roma.unitquat_to_rotmat(turn)[:, :, None]  # (n, 2, 1, 3, 3)
    two = roma.unitquat_to_rotmat(second.turn[some])[:, None]  # (n, 1, 2, 3, 3)
    relative = (two @ one.mT).flatten(1, 2)  # (n, 4, 3, 3) second camera from first
    shift = second.place[some][:, None] - ((two @ one.mT) @ place[:, :, None, :, None])[..., 0]
    centers = -(relative.mT @ shift.flatten(1, 2)[..., None])[..., 0].flatten(0, 1)
    merit = (first.merit[before][:, :, None] * second.merit[some][:, None]).flatten(1, 2)  # (n, 4)
    flat = relative.flatten(0, 1).flatten(1)
    cosine = (flat @ flat.T - 1.0) / 2.0
    distance = place.norm(dim=-1).median()
    off = 2.0 * (1.0 - cosine).clamp(min=0) / _ANGLE_RAD**2
    off = off + torch.cdist(centers, centers).square() / (_PART * distance) ** 2
    alike = (-0.5 * sharper**2 * off).exp() * merit.flatten()
    agree = alike.unflatten(1, (len(some), 4)).amax(-1) @ weight  # (4 n,)
    most = float((agree * (merit.flatten() > 0)).max())
    total = float(weight.sum())
    return most - _WRONG * (total - most), most / total


def _course(views: Sequence[BoardView], lens: Cameras, board: Board, step_s: float) -> _Course:
    views = sorted(views, key=lambda view: view.time_s)
    found = [(v.time_s, p) for v, p in zip(views, planar_poses(views, lens, board), strict=True) if p]
    time_s = torch.tensor([time for time, _ in found], dtype=torch.float64)
    pose = torch.stack([_both(poses)[0] for _, poses in found]) if found else torch.zeros(0, 2, 4, 4).double()
    merit = torch.tensor([_both(poses)[1] for _, poses in found], dtype=torch.float64).reshape(-1, 2)
    turn, place = pose[..., :3, :3], pose[..., :3, 3]
    apart = roma.rotmat_geodesic_distance(turn[:-1, :, None], turn[1:, None])  # (N - 1, 2, 2)
    apart = apart + torch.where(merit[1:, None] > 0, 0.0, 10.0)
    nearest = apart.min(-1)
    distance = place[:-1, 0].norm(dim=-1)
    step = (place[1:, 0] - place[:-1, 0]).norm(dim=-1) / (_PART * distance)
    moves = torch.hypot(nearest.values[:, 0] / _ANGLE_RAD, step).clamp(max=1.0)
    last = torch.zeros(1, dtype=torch.float64)
    return _Course(
        time_s,
        roma.rotmat_to_unitquat(turn),
        place,
        merit,
        torch.cat([nearest.indices, torch.zeros(1, 2, dtype=torch.int64)]),
        torch.cat([moves, last])[: len(time_s)],
    )


def _both(poses: Sequence[PlanarPose]) -> tuple[Tensor, list[float]]:
    """(2, 4, 4) poses of a view, the second perhaps once more the first, and what each is worth."""
    second = poses[min(1, len(poses) - 1)]
    worth = ((poses[0].error_px + 0.1) / (second.error_px + 0.1)) ** 2 if len(poses) > 1 else 0.0
    return torch.stack([poses[0].cam_from_board, second.cam_from_board]), [1.0, worth]
