"""Noise and motion of a take, estimated from its own observations around a track."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from mocap.keypoints import FloatArray
from mocap.solve.motion import Smoothness, fit_motion
from mocap.solve.noise import Correlation, Tails, correlate, fit_sigma, fit_tails
from mocap.solve.views import Views, solve3

_REACHES_S = (0.1,)
"""Seconds around a frame over which scores are averaged: single scores are as noisy as what they tell."""
_FIRST_PULL_M = 0.05
"""How far the first, triangulated track may lie off."""
_LEAP_M = 0.2
"""No point is so far from its neighbours in time: 100 m/s² at 30 frames a second are 0.1 m."""
_WEAK_PULL_M = 0.3
"""Holds points of one or two views near the track."""
_LARGEST_SD_M = 0.05
"""How well points are known of which no frame says anything."""
_UNUSUAL = 4.0
"""Times the usual variance above which a frame has no say in how a point moves."""
_LEAST_SIGMA_PX = 0.1
"""No coordinate is better: splines and slopes are themselves within some hundredths of a pixel."""
_ENOUGH = 100
"""Residuals without which the told deviations stand."""
_SAMPLE = 50_000
"""Residuals that the tails are fitted to."""
_EYE = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
"""The identity in the order of ``views.SYMMETRIC``."""


@dataclass(frozen=True)
class Noise:
    """How wrong each observation is."""

    sigma_px: FloatArray
    """(C, T, K) ordinary deviation of a coordinate, pixels; 1 where unseen."""
    tails: Tails
    """How errors beyond the ordinary count."""
    correlation: Correlation
    """How long they last."""

    def weigh(self, views: Views, xyz: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Weights (C, T, K) of least squares at a track, 1 / pixels², and which observations are sound."""
        squared = (views.error_at(xyz) ** 2).sum(0) / self.sigma_px**2
        weight = np.where(views.seen, self.tails.weight(squared) / self.sigma_px**2, 0.0)
        return weight, views.seen & (self.tails.soundness(squared) > 0.5)


@dataclass(frozen=True)
class Estimate:
    """What a take says of itself."""

    noise: Noise
    """Of the observations."""
    motion: Smoothness
    """Of the keypoints."""
    variance: FloatArray
    """(K, 3) of points solved frame by frame, by axis, metres²."""
    good: NDArray[np.bool_]
    """(T, K) frames with two sound views or more."""

    def at(self, frames: slice) -> Estimate:
        """For some frames of the take."""
        noise = replace(self.noise, sigma_px=self.noise.sigma_px[:, frames])
        return replace(self, noise=noise, good=self.good[frames])


def features(
    told_px: FloatArray, size_px: FloatArray, seen: NDArray[np.bool_], rate_hz: float
) -> list[FloatArray]:
    """What may tell the deviation of an observation.

    Args:
        told_px: (C, T, K) deviations by the score.
        size_px: (C, T) size of the person in the picture, pixels.
        seen: (C, T, K) bool.
        rate_hz: frames per second.

    Returns:
        (C, T, K) each: logarithms of the told deviation as a share of the person, averaged over the frames
        around; of what a single frame adds to that; and of the person's size.
    """
    size = np.where(seen, size_px[..., None], 1.0)
    now = np.log(np.where(seen, told_px, 1.0) / size)
    middle, high = np.quantile(now[seen], (0.5, 0.9)) if seen.any() else (0.0, 0.0)
    now = np.where(seen, now, middle)
    capped = np.where(seen, np.minimum(now, high), 0.0)
    spans = [_around(capped, seen, max(1, round(reach_s * rate_hz))) for reach_s in _REACHES_S]
    spans.append(now)
    return [spans[0], *(short - long for long, short in pairwise(spans)), np.log(size)]


def _around(values: FloatArray, seen: NDArray[np.bool_], reach: int) -> FloatArray:
    """Weighted means over the seen frames nearby."""
    window = 1 - np.abs(np.arange(-reach, reach + 1)) / (reach + 1)
    total = convolve1d(values, window, axis=1, mode="constant")
    count = convolve1d(seen.astype(float), window, axis=1, mode="constant")
    return total / np.maximum(count, 0.3)


def robust_frames(views: Views, sigma_px: FloatArray) -> FloatArray:
    """(T, K, 3) the track drawn to what each frame shows, by a loss that narrows in three rounds.

    Frames that leave their neighbours at once are put back among them.
    """
    xyz = views.xyz
    for scale in (4.0, 2.0, 1.0):
        error = views.error_at(xyz)
        wide = (sigma_px * scale) ** 2
        weight = np.where(views.seen, 5 / (3 + (error**2).sum(0) / wide) / wide, 0.0)
        matrix, right = views.normal(weight, error)
        pull = 1 / (_FIRST_PULL_M * scale) ** 2
        xyz = xyz + solve3(matrix + pull * _EYE, right + pull * (views.xyz - xyz))
    padded = np.pad(xyz, ((2, 2), (0, 0), (0, 0)), mode="edge")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5, axis=0), axis=-1)
    leap = np.linalg.norm(xyz - middle, axis=-1, keepdims=True) > _LEAP_M
    return np.where(leap, middle, xyz)


def estimate(
    views: Views,
    xyz: FloatArray,
    sigma_px: FloatArray,
    told: list[FloatArray],
    rate_hz: float,
    rounds: int = 2,
) -> Estimate:
    """Noise and motion, from the residuals at a track and at points solved frame by frame.

    Args:
        views: around a track near ``xyz``.
        xyz: (T, K, 3) the best track so far, metres.
        sigma_px: (C, T, K) first guess of the deviations.
        told: of ``features``.
        rate_hz: frames per second.
        rounds: how often deviations and tails are estimated in turn, at least once.
    """
    seen = views.seen
    error = views.error_at(xyz)
    square = (error**2).sum(0)
    typical = np.median(square[seen] / sigma_px[seen] ** 2) / 1.386 if seen.any() else 1.0
    sigma = np.maximum(sigma_px * np.sqrt(max(typical, 1e-6)), _LEAST_SIGMA_PX)
    tails = _tails(square, sigma, seen)
    lasting = 1.0
    for _ in range(rounds):
        squared = square / sigma**2
        chance = np.where(seen, tails.soundness(squared), 0.0)
        sound = chance > 0.5
        weight = np.where(sound, tails.weight(squared) / sigma**2, 0.0)
        matrix, right = views.normal(weight, error)
        count = sound.sum(0)
        shift = solve3(matrix + _EYE / _WEAK_PULL_M**2, right)
        framewise = np.where((count >= 2)[..., None], xyz + shift, xyz)
        own = views.error_at(framewise)
        left = 1 - 1.5 / np.maximum(count, 2)  # 2 n residuals, 3 unknowns
        fewest = 3 if (count >= 3).sum() >= _ENOUGH else 2
        use = np.where(count >= fewest, chance * sound, 0.0)
        if (use > 0).sum() >= _ENOUGH:
            fitted = fit_sigma((own**2).sum(0) / 2 / left, use, sigma_px, told, lasting)
            sigma = np.where(seen, np.maximum(fitted, _LEAST_SIGMA_PX), 1.0)
        tails = _tails(square, sigma, seen)
        correlation = correlate(own / sigma, sound, rate_hz)
        lasting = correlation.lasting
    good = count >= 2
    variance = _variances(matrix)
    total = variance.sum(-1)
    usual = np.array(
        [np.median(total[good[:, k], k]) if good[:, k].any() else 1.0 for k in range(good.shape[1])]
    )
    fair = good & (total < _UNUSUAL * usual)
    mean = np.where(fair[..., None], variance, 0.0).sum(0) / np.maximum(fair.sum(0), 1)[:, None]
    mean = np.where(fair.any(0)[:, None], mean, _LARGEST_SD_M**2) + 1e-12
    # Frames with a poor view of a point would look like motion.
    motion = fit_motion(np.where(fair[..., None], framewise, xyz), mean, correlation)
    return Estimate(Noise(sigma, tails, correlation), motion, mean, good)


def _tails(square_px: FloatArray, sigma_px: FloatArray, seen: NDArray[np.bool_]) -> Tails:
    squared = (square_px / sigma_px**2)[seen]
    return fit_tails(squared[:: max(1, len(squared) // _SAMPLE)])


def _variances(information: FloatArray) -> FloatArray:
    """(T, K, 3) variances by axis of points with information (T, K, 6)."""
    shape = (*information.shape[:2], 3)
    axes = [
        solve3(information + 1e-3 * _EYE, np.broadcast_to(np.eye(3)[axis], shape))[..., axis]
        for axis in range(3)
    ]
    return np.stack(axes, -1)
