"""Finding a board's corners in image after image.

Markers are found by ``marker_search``; the corners between them follow from the board, are refined in the
full image, and come with the standard deviation that the image gives them. An inverted board is read with
black and white exchanged (OpenCV's own switch for inverted markers loses one corner in eight).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.chessboard import find_chessboard
from calibration.boards.corner_quality import (
    contradicted_px,
    corner_sigma_px,
    half_window_px,
    refine,
    shortest_side_px,
)
from calibration.boards.marker_search import Markers, MarkerSearch, sample
from calibration.homography import predict

Array = NDArray[np.float64]
GrayImage = NDArray[np.uint8]

_MOST_MOVE = 0.2
"""A corner that lies further from where its markers place it, in sides of a square, is something else."""
_LEAST_GAP_PX = 2.0
"""White between a square and its marker, foreshortened, below which their corners cannot be told apart."""
_DIAGONALS = np.array([[-1, -1], [1, 1], [1, -1], [-1, 1]])
_LEAST_STEP = 0.4
"""Difference of the squares round a corner of which only one marker was seen, in that of the markers."""


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
    """Finds one board in image after image, first near where it was in the one before.

    What is found in an image may therefore depend on the images before it; the same images in the same order
    give the same corners. A chessboard looks the same when it is turned by half a turn if both of its
    numbers of inner corners are odd or both are even; then the corner nearest to the image's top left comes
    first. Of other chessboards the colour of the first square tells the turn.

    Raises:
        CalibrationError: OpenCV has no such dictionary, or it is too small for the board.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self._markers = None if board.type == "chessboard" else MarkerSearch(board)
        self._corners_m = board.corners_xyz.numpy()[:, :2]
        self._beside = _markers_beside(board)
        self._first_dark = _first_diagonal_dark(board)
        self._gap_part = (1.0 - board.marker_m / board.square_m) / 2.0

    def __call__(self, gray: GrayImage) -> BoardDetection:
        """Corners in an (H, W) uint8 image."""
        if self._markers is None:
            ids, xy = find_chessboard(gray, self.board)
            return self._measured(gray, ids, xy, shortest_side_px(ids, xy, self.board), 0)
        found = self._markers(gray)
        if not len(found.rows):
            return _nothing(found.num_seen)
        if self.board.type == "charuco":
            return self._between(gray, found)
        ids = (4 * found.rows[:, None] + np.arange(4)).reshape(-1)
        start, height_px = found.xy_px.reshape(-1, 2), _least_height_px(found.xy_px)
        xy = refine(gray, start, half_window_px(height_px))
        xy = np.where(_is_near(start, xy, height_px)[:, None], xy, start)
        return self._measured(gray, ids, xy, height_px, found.num_seen)

    def _between(self, gray: GrayImage, found: Markers) -> BoardDetection:
        """The chessboard corners between the markers that were found."""
        known = np.append(np.zeros(len(self.board.marker_cells), bool), False)  # the last: no marker there
        known[found.rows] = True
        seen_beside = known[self._beside].sum(-1)
        plane, image = self.board.marker_corners_xy[found.rows].reshape(-1, 2), found.xy_px.reshape(-1, 2)
        height_px = _least_height_px(found.xy_px) * self.board.square_m / self.board.marker_m
        sure = np.flatnonzero(seen_beside == 2)
        ids, xy = self._placed(gray, sure, plane, image, height_px)
        xy = self._again(gray, ids, xy, height_px)
        if self._gap_part * height_px >= _LEAST_GAP_PX:
            plane, image = np.concatenate([plane, self._corners_m[ids]]), np.concatenate([image, xy])
            more, moved = self._placed(gray, np.flatnonzero(seen_beside == 1), plane, image, height_px)
            right = self._looks_right(gray, more, moved, plane, image, found.contrast)
            ids, xy = np.concatenate([ids, more[right]]), np.concatenate([xy, moved[right]])
        order = np.argsort(ids)
        return self._measured(gray, ids[order], xy[order], height_px, found.num_seen)

    def _placed(
        self, gray: GrayImage, ids: NDArray[np.int64], plane: Array, image: Array, height_px: float
    ) -> tuple[NDArray[np.int64], Array]:
        """Corners refined from where known points of the board place them; those that go astray left out."""
        expected = predict(plane, image, self._corners_m[ids])
        inside = ((expected >= 3.0) & (expected <= np.array(gray.shape[::-1]) - 4.0)).all(-1)
        ids, expected = ids[inside], expected[inside]
        refined = refine(gray, expected, half_window_px(height_px))
        good = _is_near(expected, refined, height_px)
        return ids[good], refined[good]

    def _again(self, gray: GrayImage, ids: NDArray[np.int64], xy_px: Array, height_px: float) -> Array:
        """Corners that the others contradict are looked for once more, from where the others place them."""
        off = contradicted_px(xy_px, self._corners_m[ids])
        wrong = off.any(-1)
        if not wrong.any():
            return xy_px
        start = xy_px[wrong] - off[wrong]
        moved = refine(gray, start, half_window_px(height_px))
        nearer = np.linalg.norm(moved - start, axis=-1) < np.linalg.norm(off[wrong], axis=-1)
        xy_px[wrong] = np.where(nearer[:, None], moved, xy_px[wrong])
        return xy_px

    def _looks_right(
        self,
        gray: GrayImage,
        ids: NDArray[np.int64],
        xy_px: Array,
        plane: Array,
        image: Array,
        contrast: float,
    ) -> NDArray[np.bool_]:
        """Whether two dark and two white squares meet at each corner."""
        side_m = self.board.square_m
        first = self._first_dark[ids]
        dark = first[:, None] == np.array([True, True, False, False])
        reach = np.where(dark, 0.2 * side_m, 0.7 * self._gap_part * side_m)
        corners = self._corners_m[ids][:, None]
        at = np.concatenate([corners + reach[..., None] * _DIAGONALS, corners], 1)
        moved = predict(plane, image, at)
        values = sample(gray, moved[:, :4] - moved[:, 4:] + xy_px[:, None])
        if self.board.inverted:
            values = 255.0 - values
        darkest_white = np.where(dark, 255.0, values).min(-1)
        lightest_dark = np.where(dark, values, 0.0).max(-1)
        return darkest_white - lightest_dark > _LEAST_STEP * contrast

    def _measured(
        self, gray: GrayImage, ids: NDArray[np.int64], xy_px: Array, height_px: float, num_markers: int
    ) -> BoardDetection:
        if not len(ids):
            return _nothing(num_markers)
        sigma_px = corner_sigma_px(gray, xy_px, self._corners_m[ids], height_px)
        return BoardDetection(ids.astype(np.int64), xy_px, num_markers, sigma_px)


def _is_near(expected: Array, refined: Array, side_px: float) -> NDArray[np.bool_]:
    """Which of the refined corners did not go astray."""
    return np.linalg.norm(refined - expected, axis=-1) <= max(1.5, _MOST_MOVE * side_px)


def _least_height_px(markers_px: Array) -> float:
    """Height of the flattest of (M, 4, 2) quadrangles, pixels: what foreshortening leaves of a marker."""
    first, second = markers_px[:, 2] - markers_px[:, 0], markers_px[:, 3] - markers_px[:, 1]
    area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2.0
    longest = np.linalg.norm(markers_px - markers_px[:, [1, 2, 3, 0]], axis=-1).max(-1)
    return float((area / np.maximum(longest, 1e-6)).min())


def _markers_beside(board: Board) -> NDArray[np.int64]:
    """(N, 2) rows of the markers in the two white squares that meet at each ChArUco corner, -1 for none."""
    if board.type != "charuco":
        return np.full((0, 2), -1)
    row_of = {cell: row for row, cell in enumerate(board.marker_cells)}
    across, down = board.squares
    beside: list[list[int]] = []
    for row in range(1, down):
        for column in range(1, across):
            cells = [(column - 1 + i, row - 1 + j) for j in (0, 1) for i in (0, 1)]
            rows = [row_of[cell] for cell in cells if cell in row_of]
            beside.append([*rows, -1, -1][:2])
    return np.array(beside)


def _first_diagonal_dark(board: Board) -> NDArray[np.bool_]:
    """(N,) whether the squares up left and down right of each corner are the dark ones."""
    across, down = board.squares
    return np.array([board.is_dark(column, row) for row in range(down - 1) for column in range(across - 1)])


def _nothing(num_markers: int) -> BoardDetection:
    return BoardDetection(np.empty(0, np.int64), np.empty((0, 2)), num_markers, np.empty(0))
