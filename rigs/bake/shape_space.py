"""The shape space: principal components of many bodies in the zero pose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def principal_shapes(vertices: FloatArray, joints: FloatArray, areas: FloatArray, count: int) -> FloatArray:
    """Directions of the greatest variance, weighted by the area of skin.

    Head, hands and feet have two thirds of the vertices and would decide if vertices counted alike. The
    joints, which a solver cares for most, count as an average vertex each.

    Args:
        vertices: (n, V, 3) bodies in the zero pose, metres.
        joints: (n, J, 3) their joints.
        areas: (V,) of the mean body.
        count: how many directions.

    Returns:
        (V, 3, count) metres for one standard deviation; the first with + for taller.
    """
    num_bodies, num_vertices = vertices.shape[:2]
    centered = (vertices - vertices.mean(0)).reshape(num_bodies, -1)
    joints_centered = (joints - joints.mean(0)).reshape(num_bodies, -1)
    weight = np.repeat(areas * num_vertices / areas.sum(), 3)
    # far fewer bodies than coordinates: the small matrix of products has the same components
    products = (centered * weight) @ centered.T + joints_centered @ joints_centered.T
    values, vectors = np.linalg.eigh(products)
    order = np.argsort(values)[::-1][:count]
    # unit variance scores: body = mean + scores @ directions, and scores = sqrt(n - 1) * vectors
    scores = vectors[:, order] * np.sqrt(num_bodies - 1)
    directions = (scores.T @ centered / (num_bodies - 1)).reshape(count, num_vertices, 3)
    # an eigenvector's sign is arbitrary: y and z decide, since x cancels between left and right
    signs = np.sign((directions[..., 1:] ** 3).sum((1, 2)))
    stature = np.ptp(vertices[..., 1], axis=1)
    signs[0] = np.sign(scores[:, 0] @ (stature - stature.mean()))
    return (directions * signs[:, None, None]).transpose(1, 2, 0)
