"""Clocks from the board's turning, before any camera has a place.

How fast a board turns about its own axes is the same for every camera that sees it, wherever the camera
stands: two clips are laid on each other where these rates agree. It needs each camera's lens only, and finds
offsets of seconds as well as of parts of a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.boards.selection import usable_views
from calibration.cameras import Cameras
from calibration.pnp import PlanarPose, planar_poses

FloatArray = NDArray[np.float64]

_FINE = 8
"""Tried offsets in each frame interval."""
_COARSE = 4
"""Of these, every so many are tried first."""
_GAP = 1.6
"""Views farther apart than this many frame intervals say nothing of the turning between them."""
_CANDIDATES = 24
"""Lags that are kept for the board's poses to choose from."""
_MIN_COMMON = 8
"""Rates that two cameras must have in common for an offset to be tried."""
_MIN_PART = 0.35
"""The same as a part of the shorter of the two."""
_MAX_RATE = 30.0
"""Turning faster than this, radians per second, is a pose that flipped."""
_NOISE_RATE = 0.03
"""Rates below this are noise: a board that hardly turns tells no time, radians per second."""


@dataclass(frozen=True)
class ClockLink:
    """How two cameras' clocks stand to each other."""

    cameras: tuple[str, str]
    """The two."""
    lag_s: float
    """Seconds to add to the second's own times to have the first's."""
    agreement: float
    """Correlation of the turning rates there."""
    rival: float
    """The best peak elsewhere, in parts of it."""
    at_zero: float
    """Correlation where the clips' own times are taken as they are."""
    others: tuple[float, ...] = ()
    """Lags that suit the turning next best, a frame from each other."""


class Turning(NamedTuple):
    """Turning rates of the board as one camera saw it."""

    time_s: FloatArray
    """(N,) own time halfway between two views, seconds."""
    rate: FloatArray
    """(N, 3) radians per second about the board's own axes."""


def turning(views: Sequence[BoardView], camera: Cameras, board: Board) -> Turning:
    """Turning rates between the successive views of one camera.

    Of the two poses that a flat board allows, the sequence is taken that turns least in all.

    Args:
        views: what one camera saw.
        camera: a batch of one, its lens; its pose does not matter.
        board: the board.
    """
    views = sorted(usable_views(views), key=lambda view: view.time_s)
    found = [(v, p) for v, p in zip(views, planar_poses(views, camera, board), strict=True) if p]
    times = np.array([view.time_s for view, _ in found])
    if len(times) < 2:
        return Turning(np.zeros(0), np.zeros((0, 3)))
    step_s = float(np.median(np.diff(times)))
    turn = _calmest([poses for _, poses in found])
    apart = roma.rotmat_to_rotvec(turn[:-1].mT @ turn[1:]).numpy()
    near = np.diff(times) < _GAP * step_s
    rate = apart / np.maximum(np.diff(times), 1e-6)[:, None]
    good = near & (np.linalg.norm(rate, axis=-1) < _MAX_RATE)
    return Turning((0.5 * (times[1:] + times[:-1]))[good], rate[good])


def clock_link(
    names: tuple[str, str], first: Turning, second: Turning, step_s: float, reach_s: float
) -> ClockLink | None:
    """The offset at which two cameras saw the board turn alike; None where they have too little in common.

    Args:
        names: the two cameras.
        first: what the first saw.
        second: what the second saw.
        step_s: time between frames.
        reach_s: largest offset to try.
    """
    least = max(_MIN_COMMON, _MIN_PART * min(len(first.time_s), len(second.time_s)))
    reach = round(_FINE * reach_s / step_s)
    lags: FloatArray = np.arange(-reach, reach + 1, dtype=np.float64) * (step_s / _FINE)
    score = np.full(len(lags), np.nan)

    def fill(rows: Iterable[int]) -> None:
        for row in rows:
            if 0 <= row < len(lags) and np.isnan(score[row]):
                score[row] = _agreement(first, second, lags[row], step_s, least)

    # Turning changes within a frame or two: every half frame first, then closely round the best.
    coarse = range(reach % _COARSE, len(lags), _COARSE)
    fill(coarse)
    if np.isfinite(score).any():
        best = int(np.nanargmax(score))
        fill(range(best - 2 * _COARSE, best + 2 * _COARSE + 1))
    if not np.isfinite(score).any():
        return None
    best = int(np.nanargmax(score))
    lag = lags[best]
    if 0 < best < len(lags) - 1 and np.isfinite(score[best - 1 : best + 2]).all():
        left, middle, right = score[best - 1 : best + 2]
        bend = left - 2.0 * middle + right
        lag += 0.5 * (left - right) / bend * (step_s / _FINE) if bend < 0 else 0.0
    away = np.abs(lags - lags[best]) > 2.0 * step_s
    rival = np.nanmax(score[away], initial=0.0) if np.isfinite(score[away]).any() else 0.0
    at_zero = float(score[len(lags) // 2])
    others = _candidates(lags, score, step_s)
    rival = float(rival / max(score[best], 1e-9))
    return ClockLink(names, float(lag), float(score[best]), rival, at_zero, others)


def _candidates(lags: FloatArray, score: FloatArray, step_s: float) -> tuple[float, ...]:
    """Lags that suit the turning next best, best first, each a frame from the others."""
    left = np.where(np.isfinite(score), score, -np.inf)
    found: list[float] = []
    while len(found) < _CANDIDATES and left.max() > 0.0:
        best = int(left.argmax())
        found.append(float(lags[best]))
        left[np.abs(lags - lags[best]) < 0.9 * step_s] = -np.inf
    return tuple(found)


def clock_links(
    views: Sequence[BoardView], lenses: Mapping[str, Cameras], board: Board, step_s: float, reach_s: float
) -> list[ClockLink]:
    """Links of all pairs of cameras that can be compared."""
    seen = {
        name: turning([view for view in views if view.camera == name], lens, board)
        for name, lens in lenses.items()
    }
    links = [
        clock_link((one, other), seen[one], seen[other], step_s, reach_s)
        for one, other in combinations(lenses, 2)
    ]
    return [link for link in links if link is not None]


def _agreement(first: Turning, second: Turning, lag_s: float, step_s: float, least: float) -> float:
    """Correlation of the rates about their means: turning one way all the time tells no time."""
    times = second.time_s + lag_s
    right = np.searchsorted(first.time_s, times).clip(1, len(first.time_s) - 1)
    left = right - 1
    wide = first.time_s[right] - first.time_s[left]
    part = (times - first.time_s[left]) / np.maximum(wide, 1e-9)
    inside = (part >= 0.0) & (part <= 1.0) & (wide < _GAP * step_s)
    if inside.sum() < least:
        return float("nan")
    one = first.rate[left] * (1.0 - part[:, None]) + first.rate[right] * part[:, None]
    one, other = one[inside], second.rate[inside]
    one, other = one - one.mean(0), other - other.mean(0)
    # Interpolating halfway between two rates smooths their noise and their peaks: both sides alike.
    noise = _NOISE_RATE**2 * len(one)
    power = np.sqrt((np.sum(one**2) + noise) * (np.sum(other**2) + noise))
    return float(np.sum(one * other) / power)


def _calmest(poses: Sequence[Sequence[PlanarPose]]) -> Tensor:
    """(N, 3, 3) the rotations, one of each view's two, that turn least in all: a shortest path."""
    turns = torch.eye(3, dtype=torch.float64).repeat(len(poses), 2, 1, 1)
    cost = torch.zeros(len(poses), 2, dtype=torch.float64)
    for row, both in enumerate(poses):
        for k in range(2):
            pose = both[min(k, len(both) - 1)]
            turns[row, k] = pose.cam_from_board[:3, :3]
            # A pose that fits a pixel worse must save a good part of a turn.
            cost[row, k] = min(pose.error_px - both[0].error_px, 2.0) + (0.0 if k < len(both) else 1e6)
    between = roma.rotmat_geodesic_distance(turns[:-1, :, None], turns[1:, None])  # (N - 1, 2, 2)
    total, origin = cost[0], []
    for row in range(1, len(poses)):
        reach = total[:, None] + between[row - 1]
        origin.append(reach.argmin(0))
        total = reach.min(0).values + cost[row]
    path = [int(total.argmin())]
    for back in reversed(origin):
        path.append(int(back[path[-1]]))
    return turns[torch.arange(len(poses)), torch.tensor(path[::-1])]
