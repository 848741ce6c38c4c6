"""What the pictures say of one person, ready for a solver that works on pixels.

The observations with left and right put back and wrong views taken out, each with the standard deviation
that its residuals show, how long errors last, and how large the constant error of each view is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.cameras import Cameras
from mocap.keypoints import FloatArray, Keypoints3D
from mocap.metrics import reprojection_error_px
from mocap.observations import Observations
from mocap.settings import ReconstructSettings
from mocap.sides import exchange
from mocap.solve.start import frame_swaps

_WRONG = 8.0
"""Deviations by which a view may disagree and still be heard: beyond, even a heavy tail says nothing."""
_LEAST_FRAMES = 30
"""Residuals of one camera and keypoint that weigh as much as those of all of them together."""


@dataclass(frozen=True)
class Evidence:
    """What all cameras show of one person on the take's grid."""

    time_s: FloatArray
    """(T,) seconds on the take's clock."""
    camera_names: tuple[str, ...]
    """C names."""
    keypoint_names: tuple[str, ...]
    """K names."""
    xy_px: FloatArray
    """(T, C, K, 2) distorted pixels, left and right put back; NaN where unseen or plainly wrong."""
    sigma_px: FloatArray
    """(T, C, K) standard deviation of a coordinate, pixels, without its tails: they are for the solver."""
    weight: FloatArray
    """(C, K) what a frame counts for as its error lasts into the next ones; 1 where errors are white."""
    bias_sd_px: FloatArray
    """(C, K) standard deviation of the error of a coordinate that stays the same over the take, pixels."""


def evidence(
    observations: Observations,
    cameras: Cameras,
    points: Keypoints3D,
    person_row: int,
    settings: ReconstructSettings,
) -> Evidence:
    """The evidence for one person whose points are known.

    Args:
        observations: as ``observe`` gives them.
        cameras: in the order of the observations' camera axis.
        points: of ``solve``, on the observations' grid.
        person_row: which of the points' people.
        settings: those of the points.
    """
    names = observations.keypoint_names
    seen_px, told_px = observations.xy_px[:, :, person_row], observations.sigma_px[:, :, person_row]
    xyz_world = points.xyz_world[:, person_row]
    swapped = frame_swaps(cameras, xyz_world, seen_px, told_px, names)
    xy_px, told_px = exchange(seen_px, swapped, names), exchange(told_px, swapped, names)
    error_px = reprojection_error_px(cameras, xyz_world, xy_px)
    sigma_px = told_px * _spread(error_px / told_px)
    limit_px = settings.max_error_px * cameras.size_px[:, 1].nan_to_num(1080.0).numpy() / 1080.0
    wrong = error_px > np.maximum(_WRONG * sigma_px, limit_px[:, None])
    xy_px = np.where(wrong[..., None], np.nan, xy_px)
    with np.errstate(invalid="ignore"):
        ratio = _vectors(cameras, xyz_world, xy_px) / sigma_px[..., None]
    return Evidence(
        observations.time_s,
        cameras.names,
        observations.keypoint_names,
        xy_px,
        sigma_px,
        *_lasting(ratio, sigma_px),
    )


def _vectors(cameras: Cameras, xyz_world: FloatArray, xy_px: FloatArray) -> FloatArray:
    """(T, C, K, 2) from the projected points (T, K, 3) to what was seen, pixels."""
    import torch

    return xy_px - cameras.project(torch.as_tensor(xyz_world))[0].numpy()


def _spread(ratio: FloatArray) -> FloatArray:
    """(C, K) by what the told deviations must grow so that errors (T, C, K) have the median of a normal.

    The median length of a two-dimensional normal of deviation 1 is 1.18. Few residuals are drawn towards
    the median of all.
    """
    known = np.isfinite(ratio)
    overall = np.median(ratio[known]) if known.any() else 1.18
    count = known.sum(0)
    own = np.nanmedian(np.where(count > 0, ratio, overall), axis=0)
    share = count / (count + _LEAST_FRAMES)
    return np.exp(share * np.log(np.maximum(own, 1e-3)) + (1 - share) * np.log(max(overall, 1e-3))) / 1.18


def _lasting(ratio: FloatArray, sigma_px: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weight of a frame and deviation of the constant error, both (C, K), from residuals in deviations."""
    known = np.isfinite(ratio).all(-1)
    clipped = np.where(known[..., None], np.clip(np.nan_to_num(ratio), -3, 3), 0.0)
    power = (clipped**2).sum() / max(known.sum(), 1)
    both = known[1:] & known[:-1]
    lag = (clipped[1:] * clipped[:-1]).sum() / max(both.sum(), 1) / max(power, 1e-12)
    lag = float(np.clip(lag, 0.0, 0.95))
    mean = clipped.sum(0) / np.maximum(known.sum(0), 1)[..., None]
    bias = np.sqrt(np.maximum((mean**2).mean(), 0.0))
    shape = sigma_px.shape[1:]
    return np.full(shape, (1 - lag) / (1 + lag)), bias * np.nanmean(sigma_px, axis=0).reshape(shape)
