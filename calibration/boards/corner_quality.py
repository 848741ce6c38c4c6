"""Corners moved to where the image has them, and how well each is known there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.boards.board import Board
from calibration.homography import homography_of, project

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
GrayImage = NDArray[np.uint8]

_WINDOW_PART = 0.12
"""Half the side of the sub-pixel search window, in sides of a square: beyond 0.15 the markers' own corners
enter it."""
_WINDOW_PX = (2, 9)
"""Smallest and largest half window: below two pixels there is no gradient to see."""
_SIGMA_FLOOR_PX = 0.1
"""What a corner's place is uncertain by at best: the print, the pixels, the compression."""
_SIGMA_SCALE = 0.6
"""Measured over computed standard deviation: 0.45 on rendered video, 0.8 on that of webcams."""
_CROWDED = 1.5
"""Standard deviation in square pixels per pixel of height: a flat square's corners lie near its marker's."""
_ENOUGH = 8
"""Corners below which none of them can be said to be contradicted by the others."""
_CONTRADICTED_PX = 0.6
"""Deviations below this are noise."""
_SIGMA_MOST_PX = 3.0
"""No corner that is found is worse than this."""


def refine(gray: GrayImage, xy_px: Array, half_px: int) -> Array:
    """Corners moved to the saddle (or corner) of the image.

    Args:
        gray: (H, W) uint8.
        xy_px: (N, 2) pixels, off by less than the window.
        half_px: half the side of the search window.

    Returns:
        (N, 2) pixels.
    """
    import cv2

    if not len(xy_px):
        return xy_px
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.01)
    start = np.array(xy_px[:, None], np.float32, order="C")
    return cv2.cornerSubPix(gray, start, (half_px, half_px), (-1, -1), criteria)[:, 0].astype(np.float64)


def half_window_px(side_px: float) -> int:
    """Half the side of the sub-pixel search window for squares of this (foreshortened) side."""
    return int(np.clip(round(_WINDOW_PART * side_px), *_WINDOW_PX)) if np.isfinite(side_px) else _WINDOW_PX[0]


def corner_sigma_px(gray: GrayImage, xy_px: Array, plane: Array, height_px: float) -> Array:
    """Expected standard deviation of each coordinate of refined corners.

    Three things add up: what the image says, how far foreshortening has brought other edges near, and, for a
    corner that its neighbours contradict, by how much they do.

    Args:
        gray: (H, W) uint8.
        xy_px: (N, 2) refined corners, pixels.
        plane: (N, 2) the same corners in the board's plane, metres.
        height_px: height of a square in the image, foreshortened; NaN where unknown.

    Returns:
        (N,) pixels.
    """
    image = _image_variance(gray, xy_px, half_window_px(height_px))
    crowded = (_CROWDED / height_px) ** 2 if np.isfinite(height_px) else 0.0
    variance = (
        _SIGMA_FLOOR_PX**2 + _SIGMA_SCALE**2 * image + crowded + (contradicted_px(xy_px, plane) ** 2).sum(-1)
    )
    return np.minimum(np.sqrt(variance), _SIGMA_MOST_PX)


def contradicted_px(xy_px: Array, plane: Array) -> Array:
    """How far corners lie from where the others have them.

    Args:
        xy_px: (N, 2) corners, pixels.
        plane: (N, 2) the same in the board's plane.

    Returns:
        (N, 2) pixels, 0 for corners that lie as well as most.
    """
    if len(xy_px) < _ENOUGH:
        return np.zeros_like(xy_px)
    off = xy_px - project(homography_of(plane, xy_px), plane)
    far = np.linalg.norm(off, axis=-1)
    near = far <= 3.0 * np.median(far)
    if near.sum() >= _ENOUGH and not near.all():
        off = xy_px - project(homography_of(plane[near], xy_px[near]), plane)
    distance = ((plane[:, None] - plane[None]) ** 2).sum(-1)
    np.fill_diagonal(distance, np.inf)
    weight = near / (distance + distance.min()) ** 2  # lenses bend neighbours alike
    alone = off - weight @ off / weight.sum(-1, keepdims=True)
    far = np.linalg.norm(alone, axis=-1)
    return np.where((far > max(_CONTRADICTED_PX, 4.0 * float(np.median(far))))[:, None], alone, 0.0)


def _image_variance(gray: GrayImage, xy_px: Array, half_px: int) -> Floats:
    """Variance of each coordinate of refined corners, square pixels, from the grey values round them.

    The sub-pixel search solves ``sum w g g^T (p - q) = 0`` for the corner q from the gradients g at the
    pixels p round it. Its covariance is ``A^-1 B A^-1`` with ``A = sum w g g^T`` and
    ``B = sum (w e)^2 g g^T``, where ``e = g . (p - q)`` is what each pixel is left with (the sandwich of
    White 1980). Blur makes A small, an edge that does not pass through the corner makes e large.
    """
    offsets = np.arange(-half_px, half_px + 1)
    height, width = gray.shape
    column = np.clip(np.rint(xy_px[:, 0]).astype(int)[:, None] + offsets, 1, width - 2)
    row = np.clip(np.rint(xy_px[:, 1]).astype(int)[:, None] + offsets, 1, height - 2)

    def at(down: int, right: int) -> NDArray[np.float32]:
        return gray[(row + down)[:, :, None], (column + right)[:, None, :]].astype(np.float32)

    gx, gy = (at(0, 1) - at(0, -1)) / 2.0, (at(1, 0) - at(-1, 0)) / 2.0
    dx = (column - xy_px[:, :1])[:, None, :]
    dy = (row - xy_px[:, 1:])[:, :, None]
    weight = np.exp(-(dx**2 + dy**2) / half_px**2)
    return _sandwich(gx, gy, gx * dx + gy * dy, weight)


def _sandwich(gx: Floats, gy: Floats, left: Floats, weight: Floats) -> Floats:
    """(N,) variance of one coordinate."""

    def outer(by: Floats) -> list[Floats]:
        return [(by * a * b).sum((1, 2)) for a, b in ((gx, gx), (gx, gy), (gy, gy))]

    xx, xy, yy = outer(weight)
    bxx, bxy, byy = outer((weight * left) ** 2)
    det = np.maximum(xx * yy - xy**2, 1e-6 * np.maximum(xx + yy, 1e-3) ** 2)
    # trace(A^-1 B A^-1) = trace(A^-2 B); A^-1 = adj(A) / det.
    ixx, ixy, iyy = yy / det, -xy / det, xx / det
    sxx, sxy, syy = ixx**2 + ixy**2, ixy * (ixx + iyy), ixy**2 + iyy**2
    return (sxx * bxx + 2.0 * sxy * bxy + syy * byy) / 2.0


def shortest_side_px(ids: NDArray[np.int64], xy_px: Array, board: Board) -> float:
    """Typical foreshortened side of a square, pixels; NaN where no two neighbours are seen."""
    row_of = np.full(len(board.corners_xyz), -1)
    row_of[ids] = np.arange(len(ids))
    first, second = row_of[board.neighbours.numpy().T]
    both = (first >= 0) & (second >= 0)
    if not both.any():
        return float("nan")
    sides = np.linalg.norm(xy_px[first[both]] - xy_px[second[both]], axis=-1)
    return float(np.partition(sides, len(sides) // 4)[len(sides) // 4])
