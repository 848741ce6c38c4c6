"""How smoothly each keypoint moves, read from the spectrum of its own track.

A track whose k-th difference is white has the power S = q / omega^2k. Smoothing with that prior keeps the
share g = S / (S + N) of every frequency, N being the noise's power there. Order k and strength q are those
whose expected squared error, estimated without bias from the measured power P as (1 - g)^2 P + 2 g N (Stein
1981), is least: unlike a likelihood, this does not mind that people's slow motion is no such noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.keypoints import FloatArray
from mocap.solve.noise import Correlation

ORDERS = (4, 5)
"""Differences that may be white: snap and the next; with jerk, accelerations come out too rough."""
_STRENGTHS = np.geomspace(1e-14, 1e-2, 61)
"""Variances of a difference that are tried, metres² at one frame's distance."""
_NOISY = 2.0
"""Radians per frame above which there is little motion."""
_MOST_MORE = 2.0
"""Times that noise may be stronger than told."""
_MEDIAN = 0.95
"""Of a mean of a few exponential variables of mean 1."""
_BANDS = 48
"""Ranges of frequencies, evenly spaced in their logarithm."""


@dataclass(frozen=True)
class Smoothness:
    """White differences of the tracks, as estimated."""

    order: int
    """k, the same for all keypoints."""
    variance: FloatArray
    """(K,) metres², of the k-th difference of one axis at one frame's distance."""
    cutoff: FloatArray
    """(K,) radians per frame at which motion and noise are equally strong."""


def fit_motion(
    xyz: FloatArray, variance: FloatArray, correlation: Correlation, orders: tuple[int, ...] = ORDERS
) -> Smoothness:
    """Strength of motion from tracks solved frame by frame.

    Args:
        xyz: (T, K, 3) metres, gaps filled.
        variance: (K, 3) mean variance of their errors by axis, metres².
        correlation: how those errors last.
        orders: differences to choose from.
    """
    omega, power, count = _periodogram(xyz)
    second = 4 * np.sin(omega / 2) ** 2  # power of a difference
    slow = correlation.spectrum(omega)
    noise = variance[:, :, None] * slow  # (K, 3, F) of positions
    ratio = power / second**2 / noise
    # The highest frequencies hold nearly noise alone: what they show beyond what was told is noise, too.
    high = omega > _NOISY
    if high.any():
        more = np.median(ratio[..., high], axis=(1, 2)) / _MEDIAN
        noise = noise * np.clip(more, 1.0, _MOST_MORE)[:, None, None]
        ratio = power / second**2 / noise
    best: list[tuple[float, int, FloatArray]] = []
    for order in orders:
        signal = _STRENGTHS[:, None] * second ** (-float(order))  # (S, F)
        gain = signal[:, None, None] / (signal[:, None, None] + noise)  # (S, K, 3, F)
        risk = (((1 - gain) ** 2 * ratio + 2 * gain) * (slow * count)).sum((2, 3))  # (S, K)
        best.append((float(risk.min(0).sum()), order, _lowest(risk)))
    _, order, strength = min(best, key=lambda item: item[0])
    level = variance.mean(1)[:, None] * slow
    above = strength[:, None] * second ** (-float(order)) > level
    cutoff = np.where(above.any(1), omega[above.shape[1] - 1 - above[:, ::-1].argmax(1)], omega[0])
    return Smoothness(order, strength, cutoff)


def _lowest(cost: FloatArray) -> FloatArray:
    """(K,) the strength of least cost, between the tried ones by a parabola."""
    place = np.clip(cost.argmin(0), 1, len(cost) - 2)
    which = np.arange(cost.shape[1])
    left, middle, right = cost[place - 1, which], cost[place, which], cost[place + 1, which]
    bend = np.maximum(left - 2 * middle + right, 1e-9)
    shift = np.clip((left - right) / 2 / bend, -0.5, 0.5)
    return np.exp(np.interp(place + shift, np.arange(len(_STRENGTHS)), np.log(_STRENGTHS)))


def _periodogram(xyz: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Frequencies (F,), power (K, 3, F) of second differences, and how many values each is the mean of."""
    second = np.diff(xyz, 2, axis=0)
    times = len(second)
    taper = np.hanning(times + 2)[1:-1]
    taper /= np.sqrt((taper**2).sum())
    spectrum = np.abs(np.fft.rfft(second * taper[:, None, None], axis=0)) ** 2
    omega = 2 * np.pi * np.arange(len(spectrum)) / times
    use = np.arange(len(spectrum)) >= 1
    edges = np.unique(np.geomspace(1, max(len(spectrum), 2), _BANDS).astype(int))
    band = np.digitize(np.arange(len(spectrum)), edges) - 1
    count = np.bincount(band[use], minlength=len(edges)).astype(float)
    total = np.zeros((len(edges), *spectrum.shape[1:]))
    np.add.at(total, band[use], spectrum[use])
    middle = np.bincount(band[use], weights=omega[use], minlength=len(edges))
    full = count > 0
    power = np.moveaxis(total[full] / count[full, None, None], 0, -1)
    return middle[full] / count[full], power, count[full]


def posterior_variance(variance: FloatArray, motion: Smoothness, correlation: Correlation) -> FloatArray:
    """(K,) variance of a coordinate of the smoothed tracks, metres², from that (K, 3) of single frames."""
    omega = np.linspace(1e-3, np.pi, 400)
    signal = motion.variance[:, None] * (4 * np.sin(omega / 2) ** 2) ** (-motion.order)
    noise = variance.mean(1)[:, None] * correlation.spectrum(omega)
    return (signal * noise / (signal + noise)).mean(1)
