"""What the pictures say of one person, ready for a solver that works on pixels.

The observations with left and right put back and wrong views taken out, each with the standard deviation
that its residuals show, how long errors last, and how large the constant error of each view is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.cameras import Cameras
from mocap.keypoints import FloatArray, Keypoints3D
from mocap.observations import Observations
from mocap.settings import ReconstructSettings
from mocap.sides import exchange
from mocap.solve.estimate import estimate
from mocap.solve.estimate import features as told_by
from mocap.solve.start import frame_swaps
from mocap.solve.views import linearise

_WRONG = 8.0
"""Deviations by which a view may disagree and still be heard: beyond, even a heavy tail says nothing."""


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

    def at(self, frames: slice) -> Evidence:
        """Some frames of it."""
        return replace(
            self, time_s=self.time_s[frames], xy_px=self.xy_px[frames], sigma_px=self.sigma_px[frames]
        )


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
    size_px = observations.size_px[:, :, person_row]
    xyz_world = points.xyz_world[:, person_row]
    swapped = frame_swaps(cameras, xyz_world, seen_px, told_px, names)
    xy_px, told_px = exchange(seen_px, swapped, names), exchange(told_px, swapped, names)
    known = np.isfinite(xyz_world).all(-1)
    views = linearise(cameras, np.where(known[..., None], xyz_world, np.nan), xy_px)
    views = replace(views, xyz=np.where(known[..., None], xyz_world, 0.0))
    told = np.where(views.seen, np.moveaxis(told_px, 0, 1), 1.0)
    rate_hz = observations.rate_hz
    features = told_by(told, size_px.T, views.seen, rate_hz)
    noise = estimate(views, views.xyz, told, features, rate_hz).noise
    sigma_px = np.moveaxis(noise.sigma_px, 0, 1)
    error_px = np.sqrt((np.moveaxis(views.residual_px, 2, 1) ** 2).sum(0))
    limit_px = settings.max_error_px * cameras.size_px[:, 1].nan_to_num(1080.0).numpy() / 1080.0
    seen = np.moveaxis(views.seen, 0, 1)
    wrong = seen & (error_px > np.maximum(_WRONG * sigma_px, limit_px[:, None]))
    xy_px = np.where(wrong[..., None], np.nan, xy_px)
    count = seen.sum(0)
    usual = np.where(seen, sigma_px, 0.0).sum(0) / np.maximum(count, 1)
    return Evidence(
        observations.time_s,
        cameras.names,
        names,
        xy_px,
        np.where(seen, sigma_px, told_px),
        np.full(count.shape, 1 / noise.correlation.lasting),
        np.sqrt(noise.correlation.bias) * np.where(count > 0, usual, np.median(usual)),
    )
