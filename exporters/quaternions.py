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
