"""Long shifts between clips must be confirmed by where the board was, not by its turning alone.

A board that is carried round in circles turns much the same every few seconds, and two cameras that hardly
see it together may correlate best at a wrong shift. At the right one, the board's poses in both cameras put
the two in the same relation in frame after frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.cameras import Cameras
from calibration.pnp import PlanarPose, planar_poses
from calibration.rig.extrinsics import vote
from calibration.timed.association import NEAR_STEPS
from calibration.timed.turning import ClockLink

_AGREED = 0.6
"""Part of the common frames that must put two cameras in one relation: right shifts 0.9, wrong ones 0.2."""
_SURE = 0.85
"""Part that leaves no need to try other shifts, and no rival to this one."""
_LEAST_FRAMES = 5
"""Common frames that say anything."""
_MOST_FRAMES = 80
"""No more are asked: spread over the clips they say all that there is to say."""
FloatArray = NDArray[np.float64]


class _Posed(NamedTuple):
    """One camera's views of the board."""

    time_s: FloatArray
    """(N,) ascending, by its own clock, seconds."""
    poses: list[list[PlanarPose]]
    """The one or two poses of each view."""


class _Relation(NamedTuple):
    """What two clips say of how their cameras stand, laid on each other with some shift."""

    frames: int
    agreement: float

    @property
    def merit(self) -> float:
        """How far they agree, as a part of one; 0 where frames are few or at odds."""
        sure = self.frames >= _LEAST_FRAMES and self.agreement >= _AGREED
        # One frame in disguise is taken off: of few frames, all agree by chance.
        return self.agreement - 1.0 / self.frames if sure else 0.0


def confirmed(
    links: Sequence[ClockLink], views: Sequence[BoardView], lenses: Cameras, board: Board, step_s: float
) -> list[ClockLink]:
    """Links whose shift the board's poses do not contradict.

    Args:
        links: how the cameras' clocks stand to each other by the board's turning.
        views: what the cameras saw, at their own times.
        lenses: the lenses; poses do not matter.
        board: the board.
        step_s: time between frames.

    Returns:
        The links; a long shift that poses do not confirm is replaced by the one that they do, among none at
        all and those that the turning allows, and left out where there is none.
    """
    poses = {name: _posed(views, name, lenses, board) for name in lenses.names}
    kept: list[ClockLink] = []
    for link in links:
        first, second = (poses[name] for name in link.cameras)
        relation = partial(_relation, first, second, step_s=step_s)
        own = relation(link.lag_s)
        as_said = replace(link, rival=0.0) if own.merit > 0.0 and own.agreement >= _SURE else link
        if abs(link.lag_s) <= NEAR_STEPS * step_s:
            kept.append(as_said)
            continue
        tried = {lag: relation(lag) for lag in (0.0, *link.others)} if own.agreement < _SURE else {}
        best = max(tried, key=lambda lag: tried[lag].merit, default=0.0)
        if tried and tried[best].merit > own.merit:
            near = (best + part * step_s for part in (-0.5, -0.25, 0.25, 0.5)) if best else ()
            tried |= {lag: relation(lag) for lag in near}
            best = max(tried, key=lambda lag: tried[lag].merit)
            agreed, at_zero = tried[best].agreement, tried[0.0].agreement
            kept.append(replace(link, lag_s=best, agreement=agreed, rival=0.0, at_zero=at_zero))
        elif own.merit > 0.0:
            kept.append(as_said)
    return kept


def _posed(views: Sequence[BoardView], name: str, lenses: Cameras, board: Board) -> _Posed:
    """The board's poses before one camera, in the order of its own times."""
    own = sorted((view for view in views if view.camera == name), key=lambda view: view.time_s)
    both = planar_poses(own, lenses[[name]], board)
    found = [(view.time_s, poses) for view, poses in zip(own, both, strict=True) if poses]
    return _Posed(np.array([time_s for time_s, _ in found]), [poses for _, poses in found])


def _relation(first: _Posed, second: _Posed, lag_s: float, *, step_s: float) -> _Relation:
    """How well the two cameras' poses agree when the second's times are put ``lag_s`` later."""
    if not (len(first.time_s) and len(second.time_s)):
        return _Relation(0, 0.0)
    apart = np.abs(first.time_s[:, None] - (second.time_s + lag_s))
    nearest = apart.argmin(1)
    common = np.flatnonzero(apart[np.arange(len(apart)), nearest] < 0.5 * step_s)
    if not len(common):
        return _Relation(0, 0.0)
    common = common[:: -(-len(common) // _MOST_FRAMES)]
    agreed = vote([(first.poses[one], second.poses[nearest[one]]) for one in common.tolist()])
    return _Relation(len(common), agreed.frames / len(common))
