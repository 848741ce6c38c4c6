"""The take's timeline: a uniform grid in time, and what a camera saw brought onto it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mocap.errors import InputError
from mocap.keypoints import FloatArray

STANDARD_RATES_HZ = (
    24000 / 1001,
    24.0,
    25.0,
    30000 / 1001,
    30.0,
    48.0,
    50.0,
    60000 / 1001,
    60.0,
    90.0,
    100.0,
    120000 / 1001,
    120.0,
    240.0,
)
"""Frame rates that cameras record at, hertz."""

COINCIDENT_S = 1e-3
"""Times nearer than this are one instant: a body part at 5 m/s moves 5 mm, and file formats round to 1 ms."""

_SNAP = 5e-4
"""Relative; half the distance between 29.97 and 30 Hz, and ten times a bad crystal."""
_SAME_RATE = 5e-3
"""Relative; phones that vary their rate stay within it."""
_LONGEST_GAP_FRAMES = 2.5
"""One missing frame is bridged, two are not: an arm in full swing turns within three frames."""


def snap_rate(rate_hz: float) -> float:
    """The standard rate within 0.05 % of ``rate_hz``, else ``rate_hz`` itself, hertz."""
    nearest = min(STANDARD_RATES_HZ, key=lambda standard: abs(standard - rate_hz))
    return nearest if abs(nearest - rate_hz) <= _SNAP * nearest else rate_hz


def frame_rate(time_s: FloatArray) -> float:
    """Frames per second of (F,) presentation times; dropped frames do not lower it.

    Raises:
        ValueError: fewer than two different times.
    """
    steps = np.diff(time_s)
    steps = steps[steps > 0]
    if len(steps) == 0:
        raise ValueError("a rate needs two frames")
    periods = np.maximum(np.rint(steps / np.median(steps)), 1).sum()
    return snap_rate(float(periods / steps.sum()))


def common_rate(rates_hz: Sequence[float]) -> float:
    """The rate that most cameras share, the highest of equally common ones, hertz."""
    groups = {
        rate: [other for other in rates_hz if abs(other - rate) <= _SAME_RATE * rate] for rate in rates_hz
    }
    best = max(groups, key=lambda rate: (len(groups[rate]), rate))
    return snap_rate(float(np.median(groups[best])))


def shared_grid(times_s: Sequence[FloatArray], rate_hz: float, min_views: int) -> FloatArray:
    """Instants 1 / ``rate_hz`` apart from the first to the last that enough cameras cover.

    Args:
        times_s: (F,) times of each camera's frames on the take's clock, seconds, rising.
        rate_hz: instants per second.
        min_views: cameras that must be running at the first and at the last instant.

    Returns:
        (T,) seconds on the take's clock.

    Raises:
        InputError: at no instant are so many cameras running.
    """
    first = np.array([time[0] for time in times_s])
    last = np.array([time[-1] for time in times_s])

    def covered(instant: float) -> bool:
        running = (first - COINCIDENT_S <= instant) & (instant <= last + COINCIDENT_S)
        return int(running.sum()) >= min_views

    starts = [instant for instant in np.sort(first) if covered(instant)]
    ends = [instant for instant in np.sort(last)[::-1] if covered(instant)]
    if not starts or not ends:
        raise InputError(
            f"at no time do {min_views} cameras run together",
            todo="check that the clips belong to one take, and their offsets in sync.json",
        )
    periods = int(np.floor((ends[0] - starts[0] + COINCIDENT_S) * rate_hz))
    return starts[0] + np.arange(periods + 1) / rate_hz


def resample(time_s: FloatArray, values: FloatArray, at_s: FloatArray, *, period_s: float) -> FloatArray:
    """Values at other times: the frame itself where one coincides, else linear between neighbours.

    Args:
        time_s: (F,) times of the frames that hold something, seconds, rising.
        values: (F, ...) what they hold.
        at_s: (T,) wanted times on the same clock, seconds.
        period_s: the camera's frame interval, seconds; gaps above 2.5 of it are left open.

    Returns:
        (T, ...) NaN before the first frame, after the last, in long gaps and where a neighbour is NaN.
    """
    result = np.full((len(at_s), *values.shape[1:]), np.nan)
    if len(time_s) == 0:
        return result
    after = np.clip(np.searchsorted(time_s, at_s), 1, max(len(time_s) - 1, 1))
    before, after = after - 1, np.minimum(after, len(time_s) - 1)
    gap = time_s[after] - time_s[before]
    part = (at_s - time_s[before]) / np.where(gap > 0, gap, 1.0)
    inside = (part >= 0) & (part <= 1) & (gap > 0) & (gap <= _LONGEST_GAP_FRAMES * period_s)
    weight = part[inside].reshape(-1, *[1] * (values.ndim - 1))
    result[inside] = (1 - weight) * values[before[inside]] + weight * values[after[inside]]
    for neighbour in (after, before):
        same = np.abs(time_s[neighbour] - at_s) <= COINCIDENT_S
        result[same] = values[neighbour[same]]
    return result
