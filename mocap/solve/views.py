"""What the cameras saw, linearised around a track of the points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.keypoints import FloatArray
from mocap.threads import side_by_side

_AT_ONCE = 8192
"""Points projected together: keeps the working memory in the processor's cache."""
SYMMETRIC = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Entries of a symmetric 3 x 3 matrix in the order in which six numbers stand for it."""


@dataclass(frozen=True)
class Views:
    """The reprojection around a track; component axes first, so that sums over them are sums of planes."""

    xyz: FloatArray
    """(T, K, 3) metres, world frame: the track."""
    residual_px: FloatArray
    """(2, C, T, K) what was seen minus where the track projects, 0 where unseen."""
    d_point: FloatArray
    """(2, 3, C, T, K) of the projection, pixels per metre, 0 where unseen."""
    seen: NDArray[np.bool_]
    """(C, T, K)."""

    def at(self, frames: slice) -> Views:
        """Some frames of it."""
        return Views(
            self.xyz[frames],
            self.residual_px[:, :, frames],
            self.d_point[:, :, :, frames],
            self.seen[:, frames],
        )

    def error_at(self, xyz: FloatArray) -> FloatArray:
        """(2, C, T, K) residuals at another track (T, K, 3) nearby, pixels."""
        move = np.moveaxis(xyz - self.xyz, -1, 0)
        error = self.residual_px.copy()
        for row in range(2):
            for axis in range(3):
                error[row] -= self.d_point[row, axis] * move[axis]
        return error

    def normal(
        self, weight: FloatArray, residual_px: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Normal equations of every point for itself.

        Args:
            weight: (C, T, K) of the squared residuals, 1 / pixels².
            residual_px: (2, C, T, K), those around the track where not given.

        Returns:
            (T, K, 6) information in the order of ``SYMMETRIC`` and (T, K, 3) right side.
        """
        residual = self.residual_px if residual_px is None else residual_px
        times, count = weight.shape[1:]
        matrix, right = np.zeros((6, times, count)), np.zeros((3, times, count))
        for camera in range(len(weight)):
            for row in range(2):
                parts = self.d_point[row, :, camera]
                heavy = parts * weight[camera]
                for entry, (first, second) in enumerate(SYMMETRIC):
                    matrix[entry] += heavy[first] * parts[second]
                right += heavy * residual[row, camera]
        return np.moveaxis(matrix, 0, -1), np.moveaxis(right, 0, -1)


def linearise(cameras: Cameras, xyz: FloatArray, xy_px: FloatArray) -> Views:
    """Views around a track (T, K, 3) from observations (T, C, K, 2)."""
    times, views, count = xy_px.shape[:3]
    residual = np.zeros((2, views, times, count))
    d_point = np.zeros((2, 3, views, times, count))
    seen = np.zeros((views, times, count), dtype=bool)
    block = max(1, _AT_ONCE // count)

    def fill(starts: range) -> None:
        for start in starts:
            part = slice(start, min(start + block, times))
            flat = np.ascontiguousarray(xyz[part]).reshape(-1, 3)
            moved = cameras.jacobian(torch.from_numpy(flat))
            shape = (views, -1, count)
            projected = np.moveaxis(moved.xy_px.numpy(), -1, 0).reshape(2, *shape)
            error = np.moveaxis(xy_px[part], (3, 1), (0, 1)) - projected
            there = np.isfinite(error).all(0)
            seen[:, part] = there
            residual[:, :, part] = np.where(there, error, 0.0)
            slopes = np.moveaxis(moved.d_point.numpy(), (2, 3), (0, 1)).reshape(2, 3, *shape)
            d_point[:, :, :, part] = np.where(there, slopes, 0.0)

    starts = range(0, times, block)
    half = len(starts) // 2
    side_by_side(lambda: fill(starts[:half]), lambda: fill(starts[half:]))
    return Views(xyz, residual, d_point, seen)


def full(packed: FloatArray) -> FloatArray:
    """(..., 3, 3) symmetric matrices from (..., 6)."""
    return packed[..., [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(*packed.shape[:-1], 3, 3)


def solve3(packed: FloatArray, right: FloatArray) -> FloatArray:
    """(..., 3) solutions of symmetric equations (..., 6), by cofactors."""
    a, b, c, d, e, f = np.moveaxis(packed, -1, 0)
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * first + b * second + c * third
    x, y, z = np.moveaxis(right, -1, 0)
    fourth, fifth, sixth = a * f - c * c, b * c - a * e, a * d - b * b
    return (
        np.stack(
            [
                first * x + second * y + third * z,
                second * x + fourth * y + fifth * z,
                third * x + fifth * y + sixth * z,
            ],
            -1,
        )
        / determinant[..., None]
    )
