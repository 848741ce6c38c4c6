"""One person of a take: where they roughly are, and their points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.keypoints import FloatArray
from mocap.metrics import reprojection_error_px
from mocap.observations import Observations
from mocap.progress import Progress
from mocap.settings import ReconstructSettings
from mocap.solve import solve_take
from mocap.solve.start import directions_world, every, rough_points, start

_BRIDGE_S = 0.25
"""Points further in time from a frame that enough views see are not made up."""
_LARGEST_SD_M = 0.1
"""A point known no better is not known."""
_FEWEST_INSTANTS = 6
"""A keypoint that enough views see at fewer instants has no path."""
_FAR = 0.3
"""Body sizes by which a view must not miss a person, in the middle of their keypoints."""


@dataclass(frozen=True)
class SomePoints:
    """Points of some instants."""

    time_s: FloatArray
    """(T,) seconds on the take's clock."""
    frames: NDArray[np.integer]
    """(T,) their places on the take's grid."""
    xyz: FloatArray
    """(T, K, 3) metres, world frame, NaN where unknown."""


def some_points(
    observations: Observations,
    cameras: Cameras,
    settings: ReconstructSettings,
    limit_px: torch.Tensor,
    apart_s: float,
) -> SomePoints:
    """The first person's points at instants so many seconds apart, each for itself."""
    frames = every(len(observations.time_s), observations.rate_hz, apart_s)
    xy_px, sigma_px = observations.xy_px[frames, :, 0], observations.sigma_px[frames, :, 0]
    xyz = rough_points(
        cameras,
        xy_px,
        sigma_px,
        directions_world(cameras, xy_px),
        min_views=settings.min_views,
        max_error_px=limit_px,
        min_angle_deg=settings.min_angle_deg,
    )
    return SomePoints(observations.time_s[frames], frames, xyz)


def all_agree(observations: Observations, points: SomePoints, cameras: Cameras) -> bool:
    """Whether every view shows the same person at all of those instants."""
    error_px = reprojection_error_px(cameras, points.xyz, observations.xy_px[points.frames, :, 0])
    known = np.isfinite(error_px)
    seen = np.isfinite(observations.xy_px[points.frames, :, 0]).all(-1)
    middle = np.nan_to_num(np.where(known, error_px, np.inf), posinf=1e9)
    count = known.sum(-1)
    ordered = np.sort(middle, axis=-1)
    median = np.take_along_axis(ordered, (np.maximum(count - 1, 0) // 2)[..., None], -1)[..., 0]
    near = median < _FAR * observations.size_px[points.frames, :, 0]
    told = count >= seen.sum(-1) / 2
    return bool((near & told | ~seen.any(-1)).all())


@dataclass(frozen=True)
class PersonPoints:
    """One person's part of ``Keypoints3D``."""

    xyz_world: FloatArray
    """(T, K, 3) metres."""
    covariance: FloatArray
    """(T, K, 3, 3) metres²."""
    error_px: FloatArray
    """(T, K) root mean square over the views used."""
    num_views: NDArray[np.integer]
    """(T, K)."""

    def spread_over(self, stay: NDArray[np.bool_]) -> PersonPoints:
        """The same on a longer timeline, of which the points are those at the instants ``stay``."""

        def spread(values: NDArray[Any], fill: float) -> NDArray[Any]:
            result = np.full((len(stay), *values.shape[1:]), fill, dtype=values.dtype)
            result[stay] = values
            return result

        return PersonPoints(
            spread(self.xyz_world, np.nan),
            spread(self.covariance, np.nan),
            spread(self.error_px, np.nan),
            spread(self.num_views, 0),
        )


@dataclass(frozen=True)
class ViewUse:
    """How one camera's observations of one person were used."""

    errors_px: FloatArray
    """(n,) reprojection errors of those that were."""
    seen: int
    """All of them."""
    swapped: int
    """Instants."""


def solve_person(
    observations: Observations,
    row: int,
    cameras: Cameras,
    settings: ReconstructSettings,
    limit_px: torch.Tensor,
    progress: Progress,
) -> tuple[PersonPoints, list[ViewUse]]:
    """The whole take of one person.

    Args:
        observations: of everybody.
        row: whose.
        cameras: in the order of the observations' camera axis.
        settings: of the stage.
        limit_px: (C,) pixels by which a view may disagree with a triangulated point.
        progress: told the frames.

    Returns:
        The points, and how each camera's observations were used.
    """
    names = observations.keypoint_names
    xy_px, sigma_px = observations.xy_px[:, :, row], observations.sigma_px[:, :, row]
    size_px = observations.size_px[:, :, row]
    begun = start(
        cameras,
        xy_px,
        sigma_px,
        size_px,
        observations.rate_hz,
        names,
        min_views=settings.min_views,
        max_error_px=limit_px,
        min_angle_deg=settings.min_angle_deg,
    )
    times, _, count = sigma_px.shape
    points = PersonPoints(
        np.full((times, count, 3), np.nan),
        np.full((times, count, 3, 3), np.nan),
        np.full((times, count), np.nan),
        np.zeros((times, count), dtype=int),
    )
    sound = np.zeros(sigma_px.shape, dtype=bool)
    error_px = np.full(sigma_px.shape, np.nan)
    two_views = np.isfinite(begun.xy_px).all(-1).sum(1) >= settings.min_views
    known = np.flatnonzero(begun.known & (two_views.sum(0) >= min(_FEWEST_INSTANTS, times)))
    if len(known):
        solved = solve_take(
            cameras,
            begun.xy_px[:, :, known],
            begun.sigma_px[:, :, known],
            size_px,
            begun.xyz[:, known],
            observations.rate_hz,
            [names[index] for index in known],
            progress=progress,
        )
        sound[..., known], error_px[..., known] = solved.sound, solved.error_px
        views = sound.sum(1)
        keep = _held(views >= settings.min_views, observations.rate_hz)[:, known]
        keep &= np.trace(solved.covariance, axis1=-2, axis2=-1) < _LARGEST_SD_M**2
        points.xyz_world[:, known] = np.where(keep[..., None], solved.xyz, np.nan)
        points.covariance[:, known] = np.where(keep[..., None, None], solved.covariance, np.nan)
        points.num_views[:, known] = np.where(keep, views[:, known], 0)
        square = (np.where(sound, error_px, 0.0) ** 2).sum(1) / np.maximum(views, 1)
        points.error_px[...] = np.where(points.num_views > 0, np.sqrt(square), np.nan)
    seen = np.isfinite(begun.xy_px).all(-1)
    uses = [
        ViewUse(
            error_px[:, view][sound[:, view]], int(seen[:, view].sum()), int(begun.swapped[:, view].sum())
        )
        for view in range(len(cameras))
    ]
    return points, uses


def _held(anchored: NDArray[np.bool_], rate_hz: float) -> NDArray[np.bool_]:
    """(T, K) frames not too far from one that enough views see: (T, K)."""
    frames = np.arange(len(anchored))[:, None]
    never = 10 * len(anchored) + 1
    before = np.maximum.accumulate(np.where(anchored, frames, -never), axis=0)
    after = np.minimum.accumulate(np.where(anchored, frames, never)[::-1], axis=0)[::-1]
    return np.minimum(frames - before, after - frames) <= max(1.0, _BRIDGE_S * rate_hz)
