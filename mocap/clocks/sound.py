"""Clocks from what all microphones heard: the same noises, a clap among them, at each clip's own time.

Windows of two recordings are correlated with their spectra flattened (GCC-PHAT: Knapp and Carter 1976), which
makes a sharp peak of any broad noise. Windows all along the take give offsets and drifts together. How far
the sound travelled is unknown here: 3 ms a metre, which the standard deviations allow for.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.clocks.combine import Estimate
from mocap.clocks.fine import DRIFT_STD
from mocap.keypoints import FloatArray

_log = logging.getLogger(__name__)

RATE_HZ = 8000
"""Samples a second that are compared: enough for a tenth of a millisecond."""
SPEED_M_S = 343.0
"""Of sound in air at 20 degrees."""
_BAND_HZ = (80.0, 3600.0)
"""Below lies rumble and hum, above what compression leaves out."""
_LONG_S, _LONG_WINDOWS = 30.0, 3
"""Length and number of the windows that are looked for over the whole reach."""
_SHORT_S, _SHORT_WINDOWS = 4.0, 60
"""Length and largest number of those that measure."""
_NEAR_S = 0.2
"""How far a measuring window may lie from the line through the long ones."""
_CLEAR_LONG, _CLEAR_SHORT = 9.0, 7.0
"""Standard deviations by which a peak must stand out of the correlation around it."""
_FINE_S = 1e-4
"""Standard deviation of one window's lag, at least."""
_OFF_S = 0.003
"""A window further than this from what the others say heard an echo."""


@dataclass(frozen=True)
class Sound:
    """What one camera heard."""

    samples: NDArray[np.float32]
    """(N,) one channel at ``RATE_HZ``."""
    start_s: float
    """Time of the first sample on the camera's clock: since the first frame of the video, seconds."""


@dataclass(frozen=True)
class _Window:
    """One window of one camera found in another's recording."""

    cameras: tuple[int, int]
    time_s: tuple[float, float]
    """The same instant on the clocks of both, seconds."""


def listen(path: Path) -> Sound | None:
    """The sound of a clip; None where it has none."""
    import av
    from av.error import FFmpegError

    if path.is_dir():
        return None
    parts: list[NDArray[Any]] = []
    start_s = None
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                return None
            video = container.streams.video[0]
            first_s = float((video.start_time or 0) * (video.time_base or 0))
            resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
            for frame in container.decode(audio=0):
                if start_s is None and frame.time is not None:
                    start_s = float(frame.time) - first_s
                parts += [part.to_ndarray().ravel() for part in resampler.resample(frame)]
            parts += [part.to_ndarray().ravel() for part in resampler.resample(None)]
    except (FFmpegError, IndexError) as error:
        _log.warning("%s: its sound cannot be read (%s)", path, error)
        return None
    samples = np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)
    if start_s is None or len(samples) < RATE_HZ or float(np.abs(samples).max()) < 1e-5:
        return None
    return Sound(samples, start_s)


def clocks_from_sound(
    sounds: Mapping[str, Sound], guess_s: Mapping[str, float], reach_s: float
) -> Estimate | None:
    """Offsets and drifts of the cameras that heard the same; None where no two did.

    Args:
        sounds: what each camera heard.
        guess_s: first guess of each offset, seconds.
        reach_s: how far from it to look.
    """
    names = list(sounds)
    windows: list[_Window] = []
    for i, j in combinations(range(len(names)), 2):
        a, b = names[i], names[j]
        windows += _pair((i, j), sounds[a], sounds[b], guess_s[b] - guess_s[a], reach_s)
    kept = _joined(windows, len(names))
    if len(kept) < 2:
        return None
    row = {camera: index for index, camera in enumerate(kept)}
    inner = [one for one in windows if set(one.cameras) <= set(kept)]
    offset_s, drift, covariance = _solve(
        [(row[w.cameras[0]], row[w.cameras[1]], w) for w in inner], len(kept)
    )
    return Estimate(tuple(names[camera] for camera in kept), offset_s, drift, covariance, "sound")


def travelled(
    estimate: Estimate, centers_world: Mapping[str, FloatArray], place_world: FloatArray
) -> FloatArray:
    """(C,) seconds to add to the offsets if the sound came from one place: later ears hear later."""
    path_m = np.array([np.linalg.norm(centers_world[name] - place_world) for name in estimate.names])
    return (path_m - path_m[0]) / SPEED_M_S


def _pair(
    cameras: tuple[int, int], first: Sound, second: Sound, guess_s: float, reach_s: float
) -> list[_Window]:
    """Windows of the first recording found in the second; none where they heard different things."""
    begin, end = first.start_s, first.start_s + len(first.samples) / RATE_HZ
    long_s = min(_LONG_S, end - begin)
    found = []
    for start in np.unique(np.linspace(begin, end - long_s, _LONG_WINDOWS).round(3)):
        lag, clear = _find(first, second, float(start), long_s, guess_s, reach_s)
        if clear > _CLEAR_LONG:
            found.append((clear, float(start) + 0.5 * long_s, lag))
    if not found:
        return []
    best = max(found)
    near = [one for one in found if abs(one[2] - best[2]) < 3 * DRIFT_STD * abs(one[1] - best[1]) + 0.01]
    slope = float(np.polyfit([n[1] for n in near], [n[2] for n in near], 1)[0]) if len(near) > 1 else 0.0
    short_s = min(_SHORT_S, long_s)
    count = int(min(_SHORT_WINDOWS, max(3, 2 * (end - begin) / short_s)))
    windows = []
    for start in np.linspace(begin, end - short_s, count):
        middle = float(start) + 0.5 * short_s
        expected = best[2] + slope * (middle - best[1])
        lag, clear = _find(first, second, float(start), short_s, expected, _NEAR_S)
        if clear > _CLEAR_SHORT:
            windows.append(_Window(cameras, (middle, middle - lag)))
    return windows


def _find(
    first: Sound, second: Sound, start_s: float, length_s: float, lag_s: float, reach_s: float
) -> tuple[float, float]:
    """Lag of one window of the first recording, and by how many deviations its peak stands out."""
    a, a_start = _cut(first, start_s, length_s)
    b, b_start = _cut(second, start_s - lag_s - reach_s, length_s + 2 * reach_s)
    if len(a) < RATE_HZ // 2 or len(b) < RATE_HZ // 2 or not a.any() or not b.any():
        return 0.0, 0.0
    size = 1 << int(np.ceil(np.log2(len(a) + len(b))))
    frequency = np.fft.rfftfreq(size, 1 / RATE_HZ)
    band = (frequency > _BAND_HZ[0]) & (frequency < _BAND_HZ[1])
    cross = np.fft.rfft(b, size) * np.fft.rfft(a, size).conj()
    strength = np.abs(cross)
    flat = np.where(band, cross / np.maximum(strength, 1e-3 * strength.mean() + 1e-30), 0)
    value = np.fft.irfft(flat, size)
    shift = np.arange(size)
    shift = np.where(shift > size // 2, shift - size, shift)  # of a's start within b, samples
    lag = a_start - (b_start + shift / RATE_HZ)
    inside = np.abs(lag - lag_s) <= reach_s
    noise = 1.4826 * float(np.median(np.abs(value[inside]))) + 1e-30
    best = int(np.where(inside, value, -np.inf).argmax())
    left, top, right = value[[best - 1, best, (best + 1) % size]]
    bend = left - 2 * top + right
    part = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(lag[best] - part / RATE_HZ), float(top / noise)


def _cut(sound: Sound, start_s: float, length_s: float) -> tuple[NDArray[np.float32], float]:
    """A part of a recording, as far as there is one, and the time of its first sample."""
    first = max(0, round((start_s - sound.start_s) * RATE_HZ))
    last = max(first, round((start_s + length_s - sound.start_s) * RATE_HZ))
    return sound.samples[first:last], sound.start_s + first / RATE_HZ


def _joined(windows: Sequence[_Window], count: int) -> list[int]:
    """The largest group of cameras that windows connect; a pair needs three of them."""
    group = list(range(count))
    for pair in combinations(range(count), 2):
        if sum(window.cameras == pair for window in windows) >= 3:
            old, new = group[pair[1]], group[pair[0]]
            group = [new if one == old else one for one in group]
    largest = max(set(group), key=lambda one: (group.count(one), -one))
    return [camera for camera in range(count) if group[camera] == largest]


def _solve(
    windows: Sequence[tuple[int, int, _Window]], count: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Offsets, drifts and their covariance, relative to the first camera, echoes weighed down."""
    rows = np.zeros((len(windows), 2 * count))
    lag = np.empty(len(windows))
    for n, (a, b, window) in enumerate(windows):
        rows[n, [a, b]] = -1.0, 1.0
        rows[n, [count + a, count + b]] = -window.time_s[0], window.time_s[1]
        lag[n] = window.time_s[0] - window.time_s[1]
    free = np.concatenate([np.arange(1, count), np.arange(1, count) + count])
    prior = np.concatenate([np.full(count - 1, 1e-4), np.full(count - 1, DRIFT_STD**-2)])
    weight, value, std = np.ones(len(windows)), np.zeros(2 * count), _FINE_S
    system = np.diag(prior)
    for step in range(20):
        system = rows[:, free].T @ (weight[:, None] * rows[:, free]) / std**2 + np.diag(prior)
        value[free] = np.linalg.solve(system, rows[:, free].T @ (weight * lag) / std**2)
        left = np.abs(rows @ value - lag)
        std = max(_FINE_S, 1.4826 * float(np.median(left)))
        wide = max(3 * std, _OFF_S if step < 10 else 3 * _FINE_S)
        weight = np.where(left < wide, 1.0, (wide / np.maximum(left, 1e-12)) ** 2)
    covariance = np.zeros((2 * count, 2 * count))
    # Pairs of C recordings share their noise: C (C - 1) / 2 lags are worth C - 1.
    covariance[np.ix_(free, free)] = np.linalg.inv(system) * max(1.0, count / 2)
    return value[:count], value[count:], covariance
