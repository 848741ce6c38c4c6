"""Rotation matrices to quaternions whose curves are continuous."""

from __future__ import annotations

import numpy as np

from exporters.axes import FloatArray


def continuous_quaternions(rotation: FloatArray) -> FloatArray:
    """(T, ..., 4) x, y, z, w of rotations (T, ..., 3, 3); from frame to frame they take the short way."""
    from scipy.spatial.transform import Rotation

    quaternion = Rotation.from_matrix(rotation.reshape(-1, 3, 3)).as_quat().reshape(*rotation.shape[:-2], 4)
    turned = (quaternion[1:] * quaternion[:-1]).sum(-1) < 0
    sign = np.where(np.cumsum(turned, axis=0) % 2 == 1, -1.0, 1.0)
    quaternion[1:] *= sign[..., None]
    return quaternion


def rotation_from_quaternion(quaternion: FloatArray) -> FloatArray:
    """(..., 3, 3) of x, y, z, w (..., 4) of any length but zero."""
    x, y, z, w = np.moveaxis(quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
