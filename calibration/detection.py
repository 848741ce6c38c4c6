"""Finding a board's corners in images.

Settings follow measurements. On real footage one threshold window is twice as fast as OpenCV's default and
finds as much, but of markers under 15 pixels it loses a third: an image in which it does not find the whole
board is searched again with all windows. An inverted board is found on the inverted image (the switch for
inverted markers loses one corner in eight). The window of the sub-pixel search grows with the squares,
because beyond 0.15 of their side the markers' own corners enter it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .boards import Board
from .markers import opencv_dictionary

GrayImage = NDArray[np.uint8]

_WINDOW_PART = 0.12
"""Half the side of the sub-pixel search window, in sides of a square."""
_WINDOW_PX = (2, 9)
"""Smallest and largest half window: below two pixels there is no gradient to see."""
_FAST, _THOROUGH = (23, 23), (3, 23)
"""Smallest and largest threshold window of the two searches, pixels; OpenCV steps by ten between them."""
_CHESSBOARD_SEARCH_PX = 1000
"""Longer side of the image in which a chessboard is looked for first; corners are refined in the full one."""


@dataclass(frozen=True)
class BoardView:
    """The corners of a board that one camera found in one of its frames."""

    camera: str
    """Name of the camera."""
    frame: int
    """Instant that the view belongs to: views of several cameras with one number show one board pose."""
    time_s: float
    """Presentation time of the image in the camera's own clip, seconds."""
    ids: Tensor
    """(N,) int64 corner ids, rows of ``Board.corners_xyz``."""
    xy_px: Tensor
    """(N, 2) float64 pixels."""
    sigma_px: Tensor | None = None
    """(N,) float64 expected standard deviation of each coordinate of a corner, pixels; None where unknown."""


class BoardDetection(NamedTuple):
    """What was found of a board in one image."""

    ids: NDArray[np.int64]
    """(N,) corner ids, rows of ``Board.corners_xyz``, ascending."""
    xy_px: NDArray[np.float64]
    """(N, 2) pixels, integer pixel = pixel centre."""
    num_markers: int
    """Markers of the dictionary that were seen, on this board or not; 0 for a chessboard."""
    sigma_px: NDArray[np.float64]
    """(N,) expected standard deviation of each coordinate of a corner, pixels."""


def detect_board(gray: GrayImage, board: Board) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find a board's corners in one image; for many images keep a ``BoardDetector``.

    Args:
        gray: (H, W) uint8.
        board: the board that is looked for.

    Returns:
        ids: (N,) corner ids, rows of ``Board.corners_xyz``, ascending; N = 0 where there is no board.
        xy_px: (N, 2) pixels.
    """
    found = BoardDetector(board)(gray)
    return found.ids, found.xy_px


class BoardDetector:
    """Finds one board in image after image.

    A chessboard looks the same when it is turned by half a turn if both of its numbers of inner
    corners are odd or both are even; then the corner nearest to the image's top left comes first. Of
    other chessboards the colour of the first square tells the turn.

    Raises:
        CalibrationError: OpenCV has no such dictionary, or it is too small for the board.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        make = {"charuco": _charuco_detector, "aruco": _marker_detector}.get(board.type)
        self._searches = [] if make is None else [make(board, _FAST), make(board, _THOROUGH)]

    def __call__(self, gray: GrayImage) -> BoardDetection:
        """Corners in an (H, W) uint8 image."""
        if self.board.type == "chessboard":
            return _find_chessboard(gray, self.board)
        upright = 255 - gray if self.board.inverted else gray
        best = _nothing(0)
        for search in self._searches:
            found = self._search(search, upright)
            if len(found.ids) >= len(best.ids):
                best = found
            if len(best.ids) == len(self.board.corners_xyz):
                break
        return best

    def _search(self, search: Any, upright: GrayImage) -> BoardDetection:
        """What one of OpenCV's detectors finds, corners refined."""
        if self.board.type == "charuco":
            xy, ids, _, marker_ids = search.detectBoard(upright)
        else:
            ids, xy, marker_ids = self._find_markers(search, upright)
        num_markers = 0 if marker_ids is None else len(marker_ids)
        if ids is None or len(ids) == 0:
            return _nothing(num_markers)
        ids, first = np.unique(np.asarray(ids).reshape(-1), return_index=True)
        xy = np.asarray(xy, np.float32).reshape(-1, 2)[first]
        refined = _refine(upright, ids, xy, self.board)
        return BoardDetection(ids.astype(np.int64), refined, num_markers, _sigma_px(refined))

    def _find_markers(self, search: Any, gray: GrayImage) -> tuple[Any, Any, Any]:
        corners, marker_ids, _ = search.detectMarkers(gray)
        if marker_ids is None:
            return None, None, None
        marker_ids = marker_ids.reshape(-1)
        known = marker_ids < len(self.board.marker_cells)
        ids = (4 * marker_ids[known][:, None] + np.arange(4)).reshape(-1)
        return ids, np.asarray(corners).reshape(-1, 4, 2)[known], marker_ids


def _nothing(num_markers: int) -> BoardDetection:
    return BoardDetection(np.empty(0, np.int64), np.empty((0, 2)), num_markers, np.empty(0))


def _sigma_px(xy_px: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.full(len(xy_px), 0.2)


def _detector_parameters(windows_px: tuple[int, int]) -> Any:
    import cv2

    parameters = cv2.aruco.DetectorParameters()
    parameters.adaptiveThreshWinSizeMin, parameters.adaptiveThreshWinSizeMax = windows_px
    return parameters


def _charuco_detector(board: Board, windows_px: tuple[int, int]) -> Any:
    import cv2

    dictionary = opencv_dictionary(board.dictionary, len(board.marker_cells))
    size = (board.columns, board.rows)
    printed = cv2.aruco.CharucoBoard(size, board.square_m, board.marker_m, dictionary)
    printed.setLegacyPattern(board.legacy)
    return cv2.aruco.CharucoDetector(printed, cv2.aruco.CharucoParameters(), _detector_parameters(windows_px))


def _marker_detector(board: Board, windows_px: tuple[int, int]) -> Any:
    import cv2

    dictionary = opencv_dictionary(board.dictionary, len(board.marker_cells))
    return cv2.aruco.ArucoDetector(dictionary, _detector_parameters(windows_px))


def _refine(
    gray: GrayImage, ids: NDArray[np.int64], xy_px: NDArray[np.float32], board: Board
) -> NDArray[np.float64]:
    """Corners moved to the saddle (or corner) of the image, (N, 2) pixels."""
    import cv2

    side_px = _shortest_side_px(ids, xy_px, board)
    if not np.isfinite(side_px):
        return xy_px.astype(np.float64)
    half = int(np.clip(round(_WINDOW_PART * side_px), *_WINDOW_PX))
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.01)
    refined = cv2.cornerSubPix(gray, xy_px[:, None].copy(), (half, half), (-1, -1), criteria)
    return refined.reshape(-1, 2).astype(np.float64)


def _shortest_side_px(ids: NDArray[np.int64], xy_px: NDArray[np.float32], board: Board) -> float:
    """Typical foreshortened side of a square, pixels; NaN where no two neighbours are seen."""
    row_of = np.full(len(board.corners_xyz), -1)
    row_of[ids] = np.arange(len(ids))
    first, second = row_of[board.neighbours.numpy()].T
    both = (first >= 0) & (second >= 0)
    if not both.any():
        return float("nan")
    sides = np.linalg.norm(xy_px[first[both]] - xy_px[second[both]], axis=-1)
    return float(np.quantile(sides, 0.25))


def _find_chessboard(gray: GrayImage, board: Board) -> BoardDetection:
    import cv2

    scale = min(1.0, _CHESSBOARD_SEARCH_PX / max(gray.shape))
    small = gray if scale == 1.0 else cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    flags = cv2.CALIB_CB_ADAPTIVE_THRESH + cv2.CALIB_CB_NORMALIZE_IMAGE + cv2.CALIB_CB_FAST_CHECK
    size = (board.columns, board.rows)
    found, corners = cv2.findChessboardCorners(small, size, flags=flags)
    if not found and scale < 1.0:
        # Squares at the image's edge may be lost on the way down: once more, without the quick look.
        found, corners = cv2.findChessboardCorners(gray, size, flags=cv2.CALIB_CB_ADAPTIVE_THRESH)
        scale = 1.0
    if not found:
        return _nothing(0)
    xy = ((corners.reshape(-1, 2) + 0.5) / scale - 0.5).astype(np.float32)
    ids = np.arange(len(xy))
    grid = _refine(gray, ids, xy, board).reshape(board.rows, board.columns, 2)
    ordered = _in_order(gray, grid, board).reshape(-1, 2)
    return BoardDetection(ids.astype(np.int64), ordered, 0, _sigma_px(ordered))


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
