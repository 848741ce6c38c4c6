"""Paths cut where somebody would have had to jump, or where another path goes on better."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mocap.keypoints import FloatArray
from mocap.people.tracks import Places, keypoint_distance

_JUMP_SIZES, _JUMP_SIZES_PER_S = 0.25, 5.0
"""Body sizes that somebody's middle moves at most at once, and for each second: nobody runs 8 m/s indoors."""
_TREND_S = 0.25
"""Time over which a path's speed is taken."""
_LOSS_S = 0.5
"""A loss that a path's speed bridges."""
_BETTER_SIZES, _BETTER_SHARE = 0.08, 0.5
"""Body sizes by which another path must lie nearer to where somebody should be, and its share."""


def cut_jumps(found: Places, rate_hz: float) -> Places:
    """Cut paths where one of the two parts is another person.

    That is where somebody would have had to jump, and where another path is much nearer to where they are
    expected, by their movement before or, with time reversed, after: two who changed places in passing.
    """
    if not len(found.person):
        return found
    center = _without_glitches(found)
    step = np.linalg.norm(np.diff(center, axis=0), axis=-1)
    wait_s = np.diff(found.instant) / rate_hz
    size = np.minimum(found.size[1:], found.size[:-1])
    new = np.diff(found.person) != 0
    jump = new | (step > size * (_JUMP_SIZES + _JUMP_SIZES_PER_S * wait_s))
    for later in (True, False):
        jump |= _better_elsewhere(found, center, rate_hz, later)
    return found.named(np.concatenate([[0], np.cumsum(jump)]))


def _better_elsewhere(found: Places, center: FloatArray, rate_hz: float, later: bool) -> NDArray[np.bool_]:
    """(M - 1,) steps from one place to the next at which another path is nearer to the expected place."""
    count = len(found.person)
    here, there = (np.arange(count - 1), np.arange(1, count))[:: 1 if later else -1]
    wait_s = np.abs(found.instant[there] - found.instant[here]) / rate_hz
    goes_on = (found.person[there] == found.person[here]) & (wait_s <= _LOSS_S)
    moved = _speed(found, center, rate_hz, later)[here] * wait_s[:, None] * (1 if later else -1)
    expected = found.xyz[here] + moved[:, None]
    size = np.minimum(found.size[here], found.size[there])
    own = keypoint_distance(expected, found.xyz[there])
    best = np.full(count - 1, np.inf)
    step, rival = _at_one_instant(found, there, goes_on & (own > _BETTER_SIZES * size))
    np.minimum.at(best, step, keypoint_distance(expected[step], found.xyz[rival]))
    return goes_on & (best < np.minimum(own - _BETTER_SIZES * size, _BETTER_SHARE * own))


def _at_one_instant(
    found: Places, there: NDArray[np.integer], asked: NDArray[np.bool_]
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Steps that are asked for, each with every place of another person at the instant that it leads to."""
    order = np.argsort(found.instant, kind="stable")
    instant = found.instant[order]
    step = np.flatnonzero(asked)
    low = np.searchsorted(instant, found.instant[there[step]])
    number = np.searchsorted(instant, found.instant[there[step]], side="right") - low
    begin = np.repeat(low - np.concatenate([[0], np.cumsum(number)[:-1]]), number)
    rival = order[begin + np.arange(int(number.sum()))]
    step = np.repeat(step, number)
    other = found.person[rival] != found.person[there[step]]
    return step[other], rival[other]


def _speed(found: Places, center: FloatArray, rate_hz: float, later: bool) -> FloatArray:
    """(M, 3) metres a second at which somebody came to a place, or leaves it; 0 where little is known."""
    reach = max(1, round(_TREND_S * rate_hz))
    place = np.arange(len(center))
    other = np.clip(place - reach if later else place + reach, 0, len(center) - 1)
    span_s = (found.instant - found.instant[other]) / rate_hz
    known = (found.person[other] == found.person) & (np.abs(span_s) > 0) & (np.abs(span_s) <= 2 * _TREND_S)
    return np.where(known[:, None], (center - center[other]) / np.where(known, span_s, 1.0)[:, None], 0.0)


def _without_glitches(found: Places) -> FloatArray:
    """(M, 3) middles of people, the median of five instants: one bad instant is no jump."""
    center = found.center.copy()
    if len(center) < 5:
        return center
    windows = np.lib.stride_tricks.sliding_window_view(found.center, 5, axis=0)
    inner = found.person[4:] == found.person[:-4]
    center[2:-2][inner] = np.median(windows[inner], axis=-1)
    return center
