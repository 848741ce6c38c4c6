"""A rough track of every keypoint, and left and right put back: where the solve begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from calibration.triangulation import triangulate
from mocap.keypoints import FloatArray
from mocap.sides import body_parts, exchange, find_swaps, follow_swaps, mirror

_APART_S = 0.05
"""Seconds between the instants that are triangulated: between them people hardly turn."""
_JUMP_M = 0.25
"""A point that lies further from its neighbours in time is an accident of geometry."""


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
    times, _, count = sigma_px.shape
    frames = every(times, rate_hz)
    key_xy, key_sigma = xy_px[frames], sigma_px[frames]
    if body_parts(names):
        swaps = _key_swaps(cameras, key_xy, key_sigma, size_px[frames], names)
        key_xy, key_sigma = exchange(key_xy, swaps, names), exchange(key_sigma, swaps, names)
    solved = triangulate(
        cameras,
        torch.as_tensor(np.moveaxis(key_xy, 1, 2).reshape(len(frames) * count, -1, 2)),
        torch.as_tensor(np.moveaxis(key_sigma, 1, 2).reshape(len(frames) * count, -1)),
        min_views=min_views,
        max_error_px=max_error_px,
        min_angle_deg=min_angle_deg,
    )
    shape = (len(frames), count)
    key = solved.xyz_world.numpy().reshape(*shape, 3)
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


def _key_swaps(
    cameras: Cameras, xy_px: FloatArray, sigma_px: FloatArray, size_px: FloatArray, names: Sequence[str]
) -> NDArray[np.bool_]:
    """(T, C, parts) of the triangulated instants."""
    times, views, count = sigma_px.shape
    flat = np.moveaxis(xy_px, 1, 0).reshape(views, -1, 2)
    direction = cameras.rays(torch.as_tensor(flat)).direction_world.numpy()
    direction = np.moveaxis(direction.reshape(views, times, count, 3), 0, 1)
    angle_sd = sigma_px / cameras.focal_px.mean(-1).numpy()[:, None]
    return find_swaps(cameras.centers_world.numpy(), direction, angle_sd, xy_px, size_px, names)


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
