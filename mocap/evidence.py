"""What the pictures say of one person, ready for a solver that works on pixels.

The observations with left and right put back and wrong views taken out, each with the standard deviation
that its residuals show, how long errors last, and how large the constant error of each view is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import convolve1d

from calibration.cameras import Cameras
from mocap.keypoints import FloatArray, Keypoints3D
from mocap.observations import Observations
from mocap.settings import ReconstructSettings
from mocap.sides import exchange
from mocap.solve.estimate import Noise, estimate
from mocap.solve.estimate import features as told_by
from mocap.solve.start import frame_swaps
from mocap.solve.views import Views, linearise

_WRONG = 8.0
"""Deviations by which a view may disagree and still be heard: beyond, even a heavy tail says nothing."""
_CALM_S = 0.15
"""Seconds around a frame over which chance is averaged out."""


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
    """(T, C, K, 2) distorted pixels, left and right put back, what differs from frame to frame by chance
    averaged out; NaN where unseen or plainly wrong."""
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
    calm_px, narrower, shared = _calmed(views, noise, rate_hz)
    xy_px = np.where(wrong[..., None], np.nan, xy_px - np.moveaxis(calm_px, (0, 2), (3, 0)))
    count = seen.sum(0)
    usual = np.where(seen, sigma_px, 0.0).sum(0) / np.maximum(count, 1)
    return Evidence(
        observations.time_s,
        cameras.names,
        names,
        xy_px,
        np.where(seen, sigma_px * np.moveaxis(narrower, 0, 1), told_px),
        np.full(count.shape, 1 / shared),
        np.sqrt(noise.correlation.bias) * np.where(count > 0, usual, np.median(usual)),
    )


def _calmed(views: Views, noise: Noise, rate_hz: float) -> tuple[FloatArray, FloatArray, float]:
    """What of each observation is noise from one frame to the next.

    The track of the whole take says how a point moves. What an observation lies off it changes slowly
    where it is a detector's habit, and from frame to frame where it is chance: the latter is averaged out.

    Args:
        views: around the points of the take.
        noise: of the observations.
        rate_hz: frames per second.

    Returns:
        (2, C, T, K) pixels to take off the observations; (C, T, K) by what their deviations become less; and
        how many frames then say the same.
    """
    reach = max(1, round(_CALM_S * rate_hz))
    window = 1 - np.abs(np.arange(-reach, reach + 1)) / (reach + 1)
    weight, _ = noise.weigh(views, views.xyz)

    def around(values: FloatArray, by: FloatArray) -> FloatArray:
        return convolve1d(values, by, axis=-2, mode="constant")

    total = np.maximum(around(weight, window), 1e-12)
    mean = around(weight * views.residual_px, window) / total
    alike = total**2 / np.maximum(around(weight**2, window**2), 1e-24)
    wide = window.sum() ** 2 / (window**2).sum()
    lasting = noise.correlation.lasting
    narrower = np.sqrt(np.minimum(1.0, lasting / np.maximum(alike, 1.0)))
    return np.where(views.seen, views.residual_px - mean, 0.0), narrower, max(lasting, wide)
