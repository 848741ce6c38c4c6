"""How smoothly each keypoint moves, read from the spectrum of its own track.

A track whose k-th difference is white has the power q / omega^2k. The power of what was measured is that plus
the noise's; order k and strength q follow from the likelihood of its periodogram (Whittle 1953).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.keypoints import FloatArray
from mocap.solve.noise import Correlation

ORDERS = (3, 4, 5)
"""Differences that may be white: jerk, snap and the next."""
_STRENGTHS = np.geomspace(1e-14, 1e-2, 61)
"""Variances of a difference that are tried, metres² at one frame's distance."""
_FAR_ABOVE = 1e4
"""Times the noise beyond which the power of a track says nothing about how to smooth it."""
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
    noise = variance[:, :, None] * correlation.spectrum(omega) * second**2  # (K, 3, F)
    # Where motion drowns the noise, its spectrum is no concern of the solve.
    above = (power > _FAR_ABOVE * noise).any(1, keepdims=True)
    near = np.flip(np.logical_and.accumulate(~np.flip(above, -1), -1), -1)
    best: list[tuple[float, int, FloatArray]] = []
    for order in orders:
        signal = _STRENGTHS[:, None] * second ** (2 - order)  # (S, F)
        total = signal[:, None, None] + noise  # (S, K, 3, F)
        cost = ((np.log(total) + power / total) * count * near).sum((2, 3))  # (S, K)
        best.append((float(cost.min(0).sum()), order, _lowest(cost)))
    _, order, strength = min(best, key=lambda item: item[0])
    level = variance.mean(1)[:, None] * correlation.spectrum(omega) * second**2
    ratio = strength[:, None] * second ** (2 - order) > level
    cutoff = np.where(ratio.any(1), omega[ratio.shape[1] - 1 - ratio[:, ::-1].argmax(1)], omega[0])
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
    use = np.arange(len(spectrum)) >= min(3, len(spectrum) - 1)
    edges = np.unique(np.geomspace(3, max(len(spectrum), 4), _BANDS).astype(int))
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
