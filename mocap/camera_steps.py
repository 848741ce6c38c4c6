"""Did a camera move during a take? A step in how its view disagrees with what the others predict.

For each camera the other cameras' points predict its view. If from some instant on its pose differs by a
small motion d, its errors change by the known derivative times d, while a detector's errors keep their
constant part. The likelihood gain of such a step, over every instant and camera, is a chi-square with six
degrees of freedom; slow errors share observations. The camera that moved shows the largest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from calibration.triangulation import triangulate

FloatArray = NDArray[np.floating]

THRESHOLD = 15.0
"""Chi-square per parameter above which a camera has moved: takes without a bump stay below 7, a turn
of 0.6° in the middle of 8 s gives 24, of 1.5° 84."""
_CORRELATION_S = 0.4
"""Errors of a detector nearer than this in time are one observation."""
_BIAS = 0.006
"""Constant error of a keypoint, in body sizes: standard deviation (see calibration.people.priors)."""
_MARGIN_S = 0.5
"""A step needs as much of the take before and after it."""
_FREEDOM = 3.0


@dataclass(frozen=True)
class Step:
    """A camera that moved."""

    camera: int
    """Its row."""
    from_s: float
    """Take time of the first instant at which it stands elsewhere, seconds."""
    chi2_per_parameter: float
    """Evidence."""


def all_steps(cameras: Cameras, xy_px: FloatArray, sigma_px: FloatArray, time_s: FloatArray) -> list[Step]:
    """The best step of every camera, however weak.

    Args:
        cameras: three or more; with two nobody can tell which one moved.
        xy_px: (T, C, K, 2) one person, NaN where unseen.
        sigma_px: (T, C, K) deviations, pixels.
        time_s: (T,) take time, evenly spaced.

    Returns:
        One for each camera; none for fewer than three cameras or a short take.
    """
    count = len(cameras)
    if count < 3 or len(time_s) < 2 or time_s[-1] - time_s[0] < 2 * _MARGIN_S:
        return []
    found: list[Step] = []
    for row in range(count):
        others = [index for index in range(count) if index != row]
        chi2 = _gains(cameras, row, others, xy_px, sigma_px, time_s)
        if np.isfinite(chi2).any():
            best = int(np.nanargmax(chi2))
            found.append(Step(row, float(time_s[best]), float(chi2[best]) / 6))
    return found


def _gains(
    cameras: Cameras,
    row: int,
    others: list[int],
    xy_px: FloatArray,
    sigma_px: FloatArray,
    time_s: FloatArray,
) -> FloatArray:
    """(T,) likelihood gain, twice, of a step of one camera at each instant; NaN at the ends."""
    keypoints = sigma_px.shape[2]
    solved = triangulate(
        cameras[[cameras.names[i] for i in others]],
        torch.as_tensor(np.moveaxis(xy_px[:, others], 1, 2).reshape(-1, len(others), 2)),
        torch.as_tensor(np.moveaxis(sigma_px[:, others], 1, 2).reshape(-1, len(others))),
        max_error_px=torch.inf,
    )
    one = cameras[[cameras.names[row]]]
    at = one.jacobian(solved.xyz_world.nan_to_num(nan=0.0))
    error = torch.as_tensor(xy_px[:, row].reshape(-1, 2)) - at.xy_px[0]
    ray = at.d_point[0] @ solved.covariance.nan_to_num(nan=0.0) @ at.d_point[0].mT
    sigma2 = torch.as_tensor(sigma_px[:, row].reshape(-1)).square() + 0.5 * ray.diagonal(
        dim1=-2, dim2=-1
    ).sum(-1)
    good = solved.solved & at.valid[0] & torch.isfinite(error).all(-1) & torch.isfinite(sigma2)
    share = min(1.0, float(np.median(np.diff(time_s))) / _CORRELATION_S)
    size = torch.as_tensor(_size(xy_px[:, row])).repeat_interleave(keypoints)
    return _profile(
        at.d_pose[0].numpy(),
        error.numpy(),
        sigma2.numpy(),
        good.numpy(),
        size.numpy(),
        share,
        time_s,
        keypoints,
    )


def _profile(
    d_pose: FloatArray,
    error: FloatArray,
    sigma2: FloatArray,
    good: NDArray[np.bool_],
    size: FloatArray,
    share: float,
    time_s: FloatArray,
    keypoints: int,
) -> FloatArray:
    """Gain of a step at each instant, beside a constant pose error and constant keypoint biases."""
    times = len(time_s)
    design = np.zeros((len(error), 2, 6 + 2 * keypoints))
    design[:, :, :6] = d_pose
    column = 6 + 2 * (np.arange(len(error)) % keypoints)
    for axis in (0, 1):
        design[np.arange(len(error)), axis, column + axis] = size
    error = np.where(good[:, None], error, 0.0)
    base = np.where(good, 1 / np.where(good, sigma2, 1.0), 0.0)
    held = np.diag(np.concatenate([np.full(6, 1e-9), np.full(2 * keypoints, _BIAS**-2)]))
    weight, left = share * base, error
    for _ in range(4):  # reweighted under the model without a step
        flat, w = design.reshape(-1, design.shape[-1]), np.repeat(weight, 2)
        fitted = np.linalg.solve(held + (flat * w[:, None]).T @ flat, (flat * w[:, None]).T @ error.ravel())
        left = error - (design @ fitted)
        weight = share * base * (_FREEDOM + 2) / (_FREEDOM + (left**2).sum(-1) * base)
    weighted = design * weight[:, None, None]
    step = np.einsum("nai,naj->nij", weighted[:, :, :6], design).reshape(times, keypoints, 6, -1).sum(1)
    pull = np.einsum("nai,na->ni", weighted[:, :, :6], left).reshape(times, keypoints, 6).sum(1)
    after, slope = (np.cumsum(part[::-1], 0)[::-1] for part in (step, pull))
    flat, w = design.reshape(-1, design.shape[-1]), np.repeat(weight, 2)
    whole = np.linalg.inv(held + (flat * w[:, None]).T @ flat)
    # Information of the step once the constant unknowns are profiled out (Schur complement).
    information = after[:, :, :6] - after @ whole @ after.transpose(0, 2, 1) + 1e-9 * np.eye(6)
    gain = np.einsum("ti,ti->t", slope, np.linalg.solve(information, slope[..., None])[..., 0])
    inside = (time_s - time_s[0] >= _MARGIN_S) & (time_s[-1] - time_s >= _MARGIN_S)
    return np.where(inside, gain, np.nan)


def _size(xy_px: FloatArray) -> FloatArray:
    """(T,) how large the person appears, pixels; the take's median where unseen."""
    seen = np.isfinite(xy_px).all(-1, keepdims=True)
    high = np.where(seen, xy_px, -np.inf).max(1)
    low = np.where(seen, xy_px, np.inf).min(1)
    size = np.linalg.norm(np.where(np.isfinite(high), high - low, np.nan), axis=-1)
    typical = np.nanmedian(size) if np.isfinite(size).any() else 1.0
    return np.where(np.isfinite(size), size, typical)
