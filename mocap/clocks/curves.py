"""2D keypoints between frames: where they are and how fast they move at any instant of a camera's clock.

A parabola is fitted to the frames round each instant, nearer frames counting more. All cameras use one width
in time, whatever their rates, so that the same motion is smoothed alike in all of them; and true frame times
enter, so that dropped frames and varying rates shift nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mocap.keypoints import FloatArray

_FEWEST = 4
"""Frames below which a parabola says nothing of their noise."""


class Course(NamedTuple):
    """Keypoints of one person in one view at some instants."""

    xy_px: FloatArray
    """(T, K, 2) pixels, NaN where unknown."""
    speed_px_s: FloatArray
    """(T, K, 2) pixels a second."""
    sigma_px: FloatArray
    """(T, K) expected deviation of a coordinate, pixels: that of the frames round it."""


def course(
    time_s: FloatArray, xy_px: FloatArray, sigma_px: FloatArray, at_s: FloatArray, width_s: float
) -> Course:
    """Fit parabolas to the frames round some instants.

    Args:
        time_s: (F,) times of the frames on the camera's clock, seconds, rising.
        xy_px: (F, K, 2) pixels, NaN where unseen.
        sigma_px: (F, K) expected deviation, pixels.
        at_s: (T,) instants on the same clock, seconds.
        width_s: how far frames count to either side, seconds.

    Returns:
        NaN where fewer than four frames, or frames on one side only, saw the keypoint.
    """
    period_s = float(np.median(np.diff(time_s)))
    count = min(2 * int(np.ceil(width_s / period_s)) + 1, len(time_s))
    first = np.searchsorted(time_s, at_s - width_s).clip(0, len(time_s) - count)
    near = first[:, None] + np.arange(count)  # (T, N)
    away = (time_s[near] - at_s[:, None]) / width_s
    kernel = np.where(np.abs(away) < 1, (1 - np.abs(away) ** 3).clip(0) ** 3, 0.0)
    seen = ~np.isnan(xy_px[near].sum(-1))  # (T, N, K)
    weight = kernel[..., None] * seen
    powers = np.stack([np.ones_like(away), away, away**2], -1)  # (T, N, 3)
    products = (powers[..., :, None] * powers[..., None, :]).reshape(*away.shape, 9)
    information = np.einsum("tnk,tnp->tkp", weight, products).reshape(len(at_s), -1, 3, 3)
    value = np.where(seen[..., None], xy_px[near], 0.0)
    moment = np.einsum("tnk,tnp,tnkc->tkpc", weight, powers, value)
    counts = weight > 0
    sides = np.stack([counts & (side[..., None] >= 0) for side in (away, -away)])
    both_sides = sides.any(axis=2).all(axis=0)
    known = both_sides & (counts.sum(1) >= _FEWEST)
    information = np.where(known[..., None, None], information, np.eye(3))
    fitted = np.linalg.solve(information, moment)
    fitted = np.where(known[..., None, None], fitted, np.nan)
    total = weight.sum(1)
    spread = np.einsum("tnk,tnk->tk", weight, np.where(seen, sigma_px[near], 0.0))
    sigma = np.where(known, spread / np.where(total > 0, total, 1.0), np.nan)
    return Course(fitted[..., 0, :], fitted[..., 1, :] / width_s, sigma)
