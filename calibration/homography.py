"""Where the points of a board's plane lie in an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def homography_of(plane: Array, image: Array) -> Array:
    """(3, 3) homography between (N, 2) points by least squares of the algebraic error, N >= 4.

    Both sides are shifted and scaled to unit size first (Hartley 1997). NaN where the points fix none.
    """
    shifts, scales = [p.mean(0) for p in (plane, image)], [max(float(p.std()), 1e-12) for p in (plane, image)]
    (x, y), (u, v) = (((p - m) / s).T for p, m, s in zip((plane, image), shifts, scales, strict=True))
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows_u = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    rows_v = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    rows = np.concatenate([rows_u, rows_v])
    try:
        found = np.linalg.solve(rows.T @ rows, rows.T @ np.concatenate([u, v]))
    except np.linalg.LinAlgError:
        return np.full((3, 3), np.nan)
    to_image, from_plane = np.eye(3), np.eye(3)
    to_image[:2] = np.array([[scales[1], 0.0, shifts[1][0]], [0.0, scales[1], shifts[1][1]]])
    from_plane[:2] = np.array([[1.0, 0.0, -shifts[0][0]], [0.0, 1.0, -shifts[0][1]]]) / scales[0]
    return to_image @ np.append(found, 1.0).reshape(3, 3) @ from_plane


def project(homography: Array, points: Array) -> Array:
    """(..., 2) points through a (3, 3) homography."""
    at = points @ homography[:, :2].T + homography[:, 2]
    return at[..., :2] / at[..., 2:]


def predict(plane: Array, image: Array, wanted: Array) -> Array:
    """Where points of the board lie in the image: a homography, and what nearby points deviate from it.

    Args:
        plane: (..., 2) known points in the board's plane, four at least.
        image: (..., 2) the same in the image, pixels.
        wanted: (..., 2) points in the board's plane.

    Returns:
        (..., 2) pixels. The deviations carry what a homography cannot: the lens and a bent board.
    """
    known, seen, at = plane.reshape(-1, 2), image.reshape(-1, 2), wanted.reshape(-1, 2)
    homography = homography_of(known, seen)
    off = seen - project(homography, known)
    distance = (at**2).sum(-1)[:, None] - 2.0 * at @ known.T + (known**2).sum(-1)
    weight = 1.0 / (np.maximum(distance, 0.0) + ((known[0] - known[1]) ** 2).sum()) ** 2
    nearby = weight @ off / weight.sum(-1, keepdims=True)
    return (project(homography, at) + nearby).reshape(wanted.shape)
