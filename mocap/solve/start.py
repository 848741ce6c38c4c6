"""A rough track of every keypoint, and left and right put back: where the solve begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from calibration.triangulation import nearest_to_rays, triangulate
from mocap.keypoints import FloatArray
from mocap.sides import body_parts, exchange, find_swaps, follow_swaps, mirror

_APART_S = 0.05
"""Seconds between the instants that are triangulated: between them people hardly turn."""
_JUMP_M = 0.25
"""A point that lies further from its neighbours in time is an accident of geometry."""
_NEAR_DEVIATIONS = 4.0
"""Expected deviations within which a ray agrees with a point."""


@dataclass(frozen=True)
class Start:
    """Where the solve begins."""

    xyz: FloatArray
    """(T, K, 3) metres, world frame; the track between the instants that were triangulated."""
    known: NDArray[np.bool_]
    """(K,) keypoints that were found at all; the others have no track."""
    xy_px: FloatArray
    """(T, C, K, 2) observations with left and right put back."""
    sigma_px: FloatArray
    """(T, C, K) their expected deviations."""
    swapped: NDArray[np.bool_]
    """(T, C) views in which something was exchanged."""


def start(
    cameras: Cameras,
    xy_px: FloatArray,
    sigma_px: FloatArray,
    size_px: FloatArray,
    rate_hz: float,
    names: Sequence[str],
    *,
    min_views: int,
    max_error_px: torch.Tensor,
    min_angle_deg: float,
) -> Start:
    """Find the sides, triangulate some instants, and join them into tracks.

    Args:
        cameras: the C cameras.
        xy_px: (T, C, K, 2) pixels, NaN where unseen.
        sigma_px: (T, C, K) expected deviations.
        size_px: (T, C) size of the person in each picture, pixels.
        rate_hz: frames per second.
        names: K names.
        min_views: as ``triangulate`` takes it.
        max_error_px: (C,) as ``triangulate`` takes it.
        min_angle_deg: as ``triangulate`` takes it.
    """
    times = len(xy_px)
    frames = every(times, rate_hz)
    key_xy, key_sigma = xy_px[frames], sigma_px[frames]
    directions = directions_world(cameras, key_xy)
    if body_parts(names):
        angle_sd = key_sigma / cameras.focal_px.mean(-1).numpy()[:, None]
        centers = cameras.centers_world.numpy()
        swaps = find_swaps(centers, directions, angle_sd, key_xy, size_px[frames], names)
        key_xy, key_sigma, directions = (
            exchange(values, swaps, names) for values in (key_xy, key_sigma, directions)
        )
    key = rough_points(
        cameras,
        key_xy,
        key_sigma,
        directions,
        min_views=min_views,
        max_error_px=max_error_px,
        min_angle_deg=min_angle_deg,
    )
    key = _without_jumps(key)
    xyz, known = _between(frames, key, times)
    swapped = np.zeros((times, len(cameras), 0), dtype=bool)
    if body_parts(names):
        swapped = frame_swaps(cameras, xyz, xy_px, sigma_px, names)
        xy_px, sigma_px = exchange(xy_px, swapped, names), exchange(sigma_px, swapped, names)
    return Start(xyz, known, xy_px, sigma_px, swapped.any(-1))


def every(times: int, rate_hz: float, apart_s: float = _APART_S) -> NDArray[np.integer]:
    """Frames so many seconds apart, the first and the last among them."""
    return np.unique(np.append(np.arange(0, times, max(1, int(apart_s * rate_hz))), times - 1))


def directions_world(cameras: Cameras, xy_px: FloatArray) -> FloatArray:
    """(T, C, K, 3) unit viewing rays of pixels (T, C, K, 2), world frame, NaN where unseen."""
    times, views, count = xy_px.shape[:3]
    flat = np.moveaxis(xy_px, 1, 0).reshape(views, -1, 2)
    directions = cameras.rays(torch.as_tensor(flat)).direction_world.numpy()
    return np.moveaxis(directions.reshape(views, times, count, 3), 0, 1)


def rough_points(
    cameras: Cameras,
    xy_px: FloatArray,
    sigma_px: FloatArray,
    directions: FloatArray,
    *,
    min_views: int,
    max_error_px: torch.Tensor,
    min_angle_deg: float,
) -> FloatArray:
    """Points of single instants, within some centimetres.

    Where most rays pass near the point that lies nearest to all of them, that will do; the others, a few
    in a hundred, are triangulated.

    Args:
        cameras: the C cameras.
        xy_px: (T, C, K, 2) pixels, NaN where unseen.
        sigma_px: (T, C, K) expected deviations.
        directions: of ``directions_world``.
        min_views: as ``triangulate`` takes it.
        max_error_px: (C,) as ``triangulate`` takes it.
        min_angle_deg: as ``triangulate`` takes it.

    Returns:
        (T, K, 3) metres, world frame, NaN where too few views agree.
    """
    times, views, count = sigma_px.shape
    by_point = np.moveaxis(directions, 1, 2).reshape(-1, views, 3)
    deviation = np.moveaxis(sigma_px, 1, 2).reshape(-1, views)
    angle_sd = deviation / cameras.focal_px.mean(-1).numpy()
    xyz, miss = nearest_to_rays(
        cameras.centers_world,
        torch.from_numpy(by_point),
        torch.from_numpy(angle_sd),
        min_angle_deg=min_angle_deg,
    )
    near = (miss.numpy() < _NEAR_DEVIATIONS).sum(1)
    seen = np.isfinite(by_point).all(-1).sum(1)
    agreed = (near >= max(min_views, 3)) & (near > seen / 2)
    found = np.where(agreed[:, None], xyz.numpy(), np.nan)
    left = np.flatnonzero(~agreed & (seen >= min_views))
    found[left] = triangulate(
        cameras,
        torch.from_numpy(np.moveaxis(xy_px, 1, 2).reshape(-1, views, 2)[left]),
        torch.from_numpy(deviation[left]),
        min_views=min_views,
        max_error_px=max_error_px,
        min_angle_deg=min_angle_deg,
    ).xyz_world.numpy()
    return found.reshape(times, count, 3)


def _without_jumps(xyz: FloatArray) -> FloatArray:
    """Points (T, K, 3) with those NaN that lie far from the median of their five neighbours in time."""
    padded = np.pad(xyz, ((2, 2), (0, 0), (0, 0)), constant_values=np.nan)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 5, axis=0), axis=-1)
    known = np.isfinite(windows).sum(-1)
    middle = np.take_along_axis(windows, (np.maximum(known - 1, 0) // 2)[..., None], -1)[..., 0]
    jump = np.linalg.norm(xyz - middle, axis=-1) > _JUMP_M
    return np.where((jump & (known[..., 0] >= 3))[..., None], np.nan, xyz)


def _between(
    frames: NDArray[np.integer], key: FloatArray, times: int
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """(T, K, 3) straight between the known instants, and (K,) whether there were any."""
    there = np.isfinite(key).all(-1)
    known = there.any(0)
    xyz = np.zeros((times, key.shape[1], 3))
    everywhere = np.nanmean(key[:, known], axis=(0, 1)) if known.any() else np.zeros(3)
    xyz[:] = everywhere
    for point in np.flatnonzero(known):
        at = frames[there[:, point]]
        for axis in range(3):
            xyz[:, point, axis] = np.interp(np.arange(times), at, key[there[:, point], point, axis])
    return xyz, known


def frame_swaps(
    cameras: Cameras, xyz: FloatArray, xy_px: FloatArray, sigma_px: FloatArray, names: Sequence[str]
) -> NDArray[np.bool_]:
    """Which parts of the body have their sides exchanged in which frame and view, by points that are known.

    Args:
        cameras: the C cameras.
        xyz: (T, K, 3) metres, world frame, NaN where unknown.
        xy_px: (T, C, K, 2) pixels.
        sigma_px: (T, C, K) their expected deviations.
        names: K names.

    Returns:
        (T, C, parts) for the parts of ``sides.body_parts``.
    """
    times, views, count = sigma_px.shape
    projected = cameras.project(torch.from_numpy(xyz.reshape(-1, 3)))[0].numpy()
    projected = np.moveaxis(projected.reshape(views, times, count, 2), 0, 1)
    other = mirror(names)
    with np.errstate(invalid="ignore"):
        own = ((xy_px - projected) ** 2).sum(-1) / sigma_px**2
        crossed = ((xy_px[:, :, other] - projected) ** 2).sum(-1) / sigma_px[:, :, other] ** 2
    return follow_swaps(own, crossed, names)
