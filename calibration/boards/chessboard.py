"""Finding a chessboard's inner corners in one image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.boards.board import Board
from calibration.boards.corner_quality import half_window_px, refine, shortest_side_px

Array = NDArray[np.float64]
GrayImage = NDArray[np.uint8]

_SEARCH_PX = 1000
"""Longer side of the image in which the board is looked for first; corners are refined in the full one."""


def find_chessboard(gray: GrayImage, board: Board) -> tuple[NDArray[np.int64], Array]:
    """Inner corners in the order of the print.

    Returns:
        ids: (N,) all corner ids, or none where the board is not wholly seen.
        xy_px: (N, 2) pixels.
    """
    import cv2

    scale = min(1.0, _SEARCH_PX / max(gray.shape))
    small = gray if scale == 1.0 else cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    flags = cv2.CALIB_CB_ADAPTIVE_THRESH + cv2.CALIB_CB_NORMALIZE_IMAGE + cv2.CALIB_CB_FAST_CHECK
    size = (board.columns, board.rows)
    found, corners = cv2.findChessboardCorners(small, size, flags=flags)
    if not found and scale < 1.0:
        # Squares at the image's edge may be lost on the way down: once more, without the quick look.
        found, corners = cv2.findChessboardCorners(gray, size, flags=cv2.CALIB_CB_ADAPTIVE_THRESH)
        scale = 1.0
    if not found:
        return np.empty(0, np.int64), np.empty((0, 2))
    xy = (np.asarray(corners, np.float64).reshape(-1, 2) + 0.5) / scale - 0.5
    ids = np.arange(len(xy))
    xy = refine(gray, xy, half_window_px(shortest_side_px(ids, xy, board)))
    return ids, _in_order(gray, xy.reshape(board.rows, board.columns, 2), board).reshape(-1, 2)


def _in_order(gray: GrayImage, grid: NDArray[np.float64], board: Board) -> NDArray[np.float64]:
    """The (rows, columns, 2) corners in the order of the print: not mirrored, first square first."""
    across, down = grid[0, -1] - grid[0, 0], grid[-1, 0] - grid[0, 0]
    if across[0] * down[1] - across[1] * down[0] < 0:
        grid = grid[:, ::-1]
    if (board.columns + board.rows) % 2:
        turned = _first_square_is_dark(gray, grid) == board.inverted
    else:
        turned = grid[0, 0].sum() > grid[-1, -1].sum()
    return grid[::-1, ::-1] if turned else grid


def _first_square_is_dark(gray: GrayImage, grid: NDArray[np.float64]) -> bool:
    """Whether the squares of the first one's colour are the darker ones."""
    centers = (grid[:-1, :-1] + grid[:-1, 1:] + grid[1:, :-1] + grid[1:, 1:]) / 4.0
    columns, rows = np.rint(centers).astype(int).reshape(-1, 2).T
    inside = gray[rows.clip(0, gray.shape[0] - 1), columns.clip(0, gray.shape[1] - 1)].astype(float)
    even = np.add.outer(np.arange(centers.shape[0]), np.arange(centers.shape[1])).reshape(-1) % 2 == 0
    return bool(inside[even].mean() < inside[~even].mean())
