"""How wrong the keypoints are, read from their own residuals.

Deviation by score, camera and keypoint; the tails, as a mixture of normals of growing width; how long an
error lasts. Nothing is assumed of the detector but that its views err independently of each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mocap.keypoints import FloatArray

_WIDTHS = np.geomspace(1.0, 64.0, 13)
"""Standard deviations of the normals that make up the tails, in ordinary deviations. None is narrower than
ordinary: points of two or three views lie near what these saw, whatever it was, and would seem well known."""
_EM_ROUNDS = 300
"""Neighbouring widths are told apart slowly; on a histogram of a few hundred bins a round takes 10 us."""
_LONGEST_LAG = 3
"""Frames across which two seen frames still meet in their difference."""
_WHITE = 0.05
"""Correlation below which errors are taken for white."""
_CAUTION = 2.0
"""Power of the correlation with which errors are told from motion. All of it would be right were deviations
known exactly; but where they change, that is taken for news, and with less of it points come out better."""
_BINS = 6
"""Scores whose deviations are told apart; between them the curve is straight."""
_LEAST = 60
"""Residuals of one camera and keypoint that count as much as those of all together."""
_FEW = 6.0
"""Independent instants that what was expected beforehand is worth."""
_SAMPLE = 12_000
"""Residuals that the curve is fitted to; more would not change it."""


@dataclass(frozen=True)
class Tails:
    """A mixture of normals: how much an error in ordinary deviations counts."""

    grid: FloatArray
    """Logarithms of squared errors, rising evenly."""
    log_weight: FloatArray
    """Logarithm of the weight of least squares at each of them."""
    sound: FloatArray
    """Probability at each of them that the error is an ordinary one."""

    def weight(self, squared: FloatArray) -> FloatArray:
        """Weight in least squares of errors by their squared length in deviations."""
        return np.exp(self._at(squared, self.log_weight))

    def soundness(self, squared: FloatArray) -> FloatArray:
        """Probability that an error of this squared length is an ordinary one."""
        return self._at(squared, self.sound)

    def _at(self, squared: FloatArray, values: FloatArray) -> FloatArray:
        scale = (len(self.grid) - 1) / (self.grid[-1] - self.grid[0])
        place = (np.log(np.maximum(squared, 1e-12)) - self.grid[0]) * scale
        place = np.clip(place, 0, len(self.grid) - 1.001)
        left = place.astype(np.intp)
        part = place - left
        return values[left] * (1 - part) + values[left + 1] * part


def fit_tails(squared: FloatArray) -> Tails:
    """Tails of errors from their squared lengths (n,) in ordinary deviations, by expectation-maximisation."""
    grid = np.linspace(np.log(1e-3), np.log(1e6), 240)
    found = np.log(np.clip(squared, 1.1e-3, 0.9e6))
    count, _ = np.histogram(found, np.append(grid, 2 * grid[-1] - grid[-2]))
    centre = np.exp(grid + (grid[1] - grid[0]) / 2)
    variance = _WIDTHS**2
    likely = np.exp(-centre[:, None] / 2 / variance) / variance  # of a two-dimensional normal
    share = np.full(len(_WIDTHS), 1.0 / len(_WIDTHS))
    some = count > 0
    likely, count = likely[some], count[some]
    for _ in range(_EM_ROUNDS):
        share = share * ((count / (likely @ share + 1e-300)) @ likely) + 1e-3
        share /= share.sum()
    joint = np.exp(-np.exp(grid)[:, None] / 2 / variance) / variance * share + 1e-300 * share
    joint /= joint.sum(1, keepdims=True)
    weight = (joint / variance).sum(1)
    return Tails(grid, np.log(weight), joint[:, _WIDTHS < 2.5].sum(1))


@dataclass(frozen=True)
class Chains:
    """What is new in each frame, sorted: see ``ViewTerm``."""

    own: FloatArray
    """(C, T, K) share of its squared error that a seen frame counts."""
    pairs: dict[int, FloatArray]
    """By frames in between: (C, T - lag, K) weight of the squared difference of two errors."""


@dataclass(frozen=True)
class Correlation:
    """How errors last from frame to frame."""

    rho: float
    """Correlation of the errors of two neighbouring frames."""
    bias: float = 0.0
    """Share of the variance that stays the same over the take."""

    @property
    def lasting(self) -> float:
        """Frames that count as one."""
        return (1 + self.rho) / (1 - self.rho)

    @property
    def longest_lag(self) -> int:
        """Frames across which two seen frames meet in a difference; 0 where errors are white."""
        return _LONGEST_LAG if self.rho >= _WHITE else 0

    @property
    def cautious(self) -> Correlation:
        """What of it may be used to tell errors from motion."""
        return replace(self, rho=self.rho**_CAUTION)

    def spectrum(self, omega: FloatArray) -> FloatArray:
        """Power at angular frequencies, radians per frame, of errors of variance 1."""
        rho = self.rho
        return (1 - rho**2) / (1 - 2 * rho * np.cos(omega) + rho**2)

    def chains(self, sound: NDArray[np.bool_]) -> Chains:
        """Link the frames in which a view is sound: (C, T, K) bool."""
        if self.longest_lag == 0:
            return Chains(np.ones(sound.shape), {})
        frames = np.arange(sound.shape[1])[:, None]
        last = np.maximum.accumulate(np.where(sound, frames, -1), axis=1)
        before = np.concatenate([np.full_like(last[:, :1], -1), last[:, :-1]], 1)
        linked = sound & (before >= 0)
        gap = np.where(linked, frames - before, 1)
        rho = self.rho ** gap.astype(float)
        own = np.where(linked, 1 / (1 + rho), 1.0)
        views, late, points = np.nonzero(linked)
        lost = (rho / (1 + rho))[views, late, points]
        own[views, before[views, late, points], points] -= lost
        pairs = {}
        for lag in range(1, _LONGEST_LAG + 1):
            meet = (linked & (gap == lag))[:, lag:]
            if meet.any():
                pairs[lag] = np.where(meet, self.rho**lag / (1 - self.rho ** (2 * lag)), 0.0)
        alone = (1 - self.rho) / (1 + self.rho)
        return Chains(np.where(sound, own, alone), pairs)


def correlate(error: FloatArray, sound: NDArray[np.bool_], rate_hz: float) -> Correlation:
    """How long errors last, from residuals at points solved frame by frame.

    A point solved from the views of one frame takes up part of their errors, always the same part while
    the same views are sound: only pairs of such frames are compared.

    Args:
        error: (2, C, T, K) in ordinary deviations.
        sound: (C, T, K) bool, which of them are ordinary.
        rate_hz: frames per second.
    """
    enough = sound.sum(0) >= 3
    code = (sound * 2.0 ** np.arange(len(sound))[:, None, None]).sum(0)
    clean = np.where(sound & enough, np.clip(error, -4, 4), 0.0)
    times = error.shape[2]
    power = (clean**2).sum((0, 1))

    def at(lag: int) -> float:
        same = (code[lag:] == code[: times - lag]) & enough[lag:]
        if same.sum() < 100:
            same = enough[lag:] & enough[: times - lag]
        product = (clean[:, :, lag:] * clean[:, :, : times - lag]).sum((0, 1))
        norm = (power[lag:] + power[: times - lag]) / 2
        return float(product[same].sum() / max(norm[same].sum(), 1e-12))

    near = [at(lag) for lag in range(1, min(4, times - 1))]
    if not near or near[0] < 0.02:
        return Correlation(0.0)
    far = [at(lag) for lag in np.unique(np.linspace(rate_hz, 2 * rate_hz, 6).astype(int)) if lag < times // 2]
    bias = float(np.clip(np.mean(far) if far else 0.0, 0.0, 0.9))
    return Correlation(float(np.clip(near[0], 0.0, 0.97)), bias)


def fit_sigma(
    squared_px: FloatArray,
    sound: FloatArray,
    told_px: FloatArray,
    features: list[FloatArray],
    lasting: float = 1.0,
) -> FloatArray:
    """Ordinary deviations from what squared errors show.

    The logarithm of the variance is that of the told deviation, plus piecewise straight functions of the
    features, plus a constant for each camera and keypoint; few residuals draw all of them to zero. The
    likelihood is that of normal errors.

    Args:
        squared_px: (C, T, K) half the squared error over its expected share, pixels².
        sound: (C, T, K) weight of each in the fit, 0 where unseen.
        told_px: (C, T, K) deviations as the scores tell them, pixels, positive.
        features: (C, T, K) each, finite: what else may tell them.
        lasting: frames that count as one, for how far the fit may follow them.

    Returns:
        (C, T, K) pixels.
    """
    which = np.flatnonzero(sound.ravel() > 0)
    which = which[:: max(1, len(which) // _SAMPLE)]
    target, weight = squared_px.ravel()[which] / told_px.ravel()[which] ** 2, sound.ravel()[which]
    knots = [_knots(feature.ravel()[which]) for feature in features]
    rows = [np.ones((1, len(which)))]
    rows += [_hats(f.ravel()[which], k) for f, k in zip(features, knots, strict=True)]
    design = np.concatenate(rows)
    beta = np.zeros(len(design))
    beta[0] = np.log(max(float((target * weight).sum() / weight.sum()), 1e-9))
    ridge = np.full(len(beta), 20.0 * lasting)
    ridge[0] = 0.0
    for _ in range(6):
        ratio = target * np.exp(-beta @ design)
        gradient = design @ (weight * (ratio - 1)) - ridge * beta
        curve = (design * (weight * np.maximum(ratio, 0.5))) @ design.T + np.diag(ridge)
        beta += np.clip(np.linalg.solve(curve, gradient), -1.5, 1.5)
    shape = squared_px.shape
    log_variance = beta[0] + 2 * np.log(told_px)
    start = 1
    for feature, knot in zip(features, knots, strict=True):
        values = beta[start : start + len(knot)]
        start += len(knot)
        log_variance += np.interp(feature.ravel(), knot, values).reshape(shape)
    ratio = (squared_px * sound * np.exp(-log_variance)).sum(1)
    few = _LEAST * lasting
    own = np.log((ratio + few) / (sound.sum(1) + few))
    trust = independent_share(shape[1], lasting)
    told = beta[0] + 2 * np.log(told_px)
    return np.exp((told + trust * (log_variance + own[:, None] - told)) / 2)


def independent_share(times: int, lasting: float) -> float:
    """How far a take may be believed on what repeats itself, 0 to 1: by its instants that say something new.

    Errors that last for seconds are, in a short take, a few draws: what they seem to say of single cameras,
    scores or bones is chance, and is drawn towards what was expected beforehand.

    Args:
        times: frames.
        lasting: frames that count as one.
    """
    fresh = times / lasting
    return fresh**2 / (fresh**2 + _FEW**2)


def _knots(feature: FloatArray) -> FloatArray:
    """Quantiles of a feature, one where it does not vary."""
    low, high = np.quantile(feature, (0.01, 0.99))
    if high - low < 1e-3:
        return np.array([low])
    knots = np.quantile(feature, np.linspace(0.01, 0.99, _BINS))
    keep = np.append(True, np.diff(knots) > (high - low) / 50)
    return knots[keep]


def _hats(feature: FloatArray, knots: FloatArray) -> FloatArray:
    """(k, n) weights of the knots in linear interpolation."""
    if len(knots) == 1:
        return np.zeros((1, len(feature)))
    place = np.interp(feature, knots, np.arange(len(knots)))
    return np.maximum(0.0, 1 - np.abs(place - np.arange(len(knots))[:, None]))
