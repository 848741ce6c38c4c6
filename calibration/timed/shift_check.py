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

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.cameras import Cameras
from calibration.errors import CalibrationError
from calibration.rig.extrinsics import first_poses
from calibration.timed.association import NEAR_STEPS, associate, one_each
from calibration.timed.turning import ClockLink

_AGREED = 0.6
"""Part of the common frames that must put two cameras in one relation: right shifts 0.9, wrong ones 0.2."""
_SURE = 0.85
"""Part that leaves no need to try other shifts."""
_LEAST_FRAMES = 5
"""Common frames that say anything."""


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
    kept: list[ClockLink] = []
    for link in links:
        if abs(link.lag_s) <= NEAR_STEPS * step_s:
            kept.append(link)
            continue
        relation = partial(_relation, link.cameras, views=views, lenses=lenses, board=board, step_s=step_s)
        own = relation(link.lag_s)
        tried = {lag: relation(lag) for lag in (0.0, *link.others)} if own.agreement < _SURE else {}
        best = max(tried, key=lambda lag: tried[lag].merit, default=0.0)
        if tried and tried[best].merit > own.merit:
            near = (best + part * step_s for part in (-0.5, -0.25, 0.25, 0.5)) if best else ()
            tried |= {lag: relation(lag) for lag in near}
            best = max(tried, key=lambda lag: tried[lag].merit)
            agreed, at_zero = tried[best].agreement, tried[0.0].agreement
            kept.append(replace(link, lag_s=best, agreement=agreed, rival=0.0, at_zero=at_zero))
        elif own.merit > 0.0:
            kept.append(link)
    return kept


def _relation(
    pair: tuple[str, str],
    lag_s: float,
    views: Sequence[BoardView],
    lenses: Cameras,
    board: Board,
    step_s: float,
) -> _Relation:
    """How well the two cameras' poses agree when the second's times are put ``lag_s`` later."""
    shift_s = {pair[0]: 0.0, pair[1]: lag_s}
    own = [view for view in views if view.camera in pair]
    try:
        start = first_poses(one_each(associate(own, shift_s, step_s), shift_s), board, lenses[list(pair)])
    except CalibrationError:  # no common frame
        return _Relation(0, 0.0)
    return _Relation(start.pairs[0].num_frames, start.pairs[0].agreement)
