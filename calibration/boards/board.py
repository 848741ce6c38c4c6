"""Calibration boards: what they look like, where their corners are, and images of them.

Board frame, the same for every type: origin at the outer corner of the first square, x along the
columns, y along the rows (down), z = x cross y, which points away from somebody who looks at the
print. All corners lie on z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.boards.markers import cover_dark, marker_modules
from calibration.errors import CalibrationError

BOARD_TYPES = ("charuco", "chessboard", "aruco")
"""Boards that can be drawn and found."""


class Rectangle(NamedTuple):
    """A black area of the print, metres in the board frame."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Board:
    """A printed board of known size."""

    type: str = "charuco"
    """``charuco``, ``chessboard`` or ``aruco`` (a grid of markers)."""
    columns: int = 5
    """Squares across (ChArUco), inner corners across (chessboard) or markers across (ArUco grid)."""
    rows: int = 7
    """Squares, inner corners or markers down."""
    square_m: float = 0.08
    """Side of a square, metres; for an ArUco grid the distance from one marker to the next."""
    marker_m: float = 0.06
    """Side of a marker with its black border, metres; unused for a chessboard."""
    dictionary: str = "DICT_4X4_50"
    """OpenCV's name of the marker dictionary; unused for a chessboard."""
    inverted: bool = False
    """Black and white are exchanged on the print."""
    legacy: bool = False
    """ChArUco as OpenCV drew it before 4.6: with an even number of rows the first square holds a marker."""
    marker_ids: tuple[int, ...] = ()
    """Numbers of the markers in the dictionary, cell by cell and row by row; -1 leaves a cell empty. Without
    any they count from 0. One cell and one number make a board of a single tag."""

    def __post_init__(self) -> None:
        if self.type not in BOARD_TYPES:
            raise CalibrationError(
                f"board type {self.type!r} is unknown; choose one of {', '.join(BOARD_TYPES)}"
            )
        fewest = 1 if self.type == "aruco" else 3
        if min(self.columns, self.rows) < fewest:
            raise CalibrationError(
                f"board of {self.columns} x {self.rows}: a {self.type} board needs at least {fewest} each way"
            )
        if not self.square_m > 0.0:
            raise CalibrationError(
                f"board square_m = {self.square_m}: the side of a square is positive, in metres"
            )
        if self.type != "chessboard" and not 0.0 < self.marker_m < self.square_m:
            raise CalibrationError(
                f"board marker_m = {self.marker_m} must lie between 0 and square_m = {self.square_m}"
            )
        object.__setattr__(self, "marker_ids", tuple(self.marker_ids))
        self._check_marker_ids()

    def _check_marker_ids(self) -> None:
        if not self.marker_ids:
            return
        cells = len(self._cells_for_markers())
        if len(self.marker_ids) != cells:
            raise CalibrationError(
                f"board marker_ids names {len(self.marker_ids)} markers, the board has {cells} places; "
                "write -1 for an empty one"
            )
        used = self.used_marker_ids
        if not used or len(set(used)) < len(used) or min(self.marker_ids) < -1:
            raise CalibrationError(
                "board marker_ids must be different numbers from 0, or -1 for an empty place"
            )

    @property
    def squares(self) -> tuple[int, int]:
        """Squares (cells) across and down."""
        extra = 1 if self.type == "chessboard" else 0
        return self.columns + extra, self.rows + extra

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height from the origin to the opposite outer corner, metres."""
        across, down = self.squares
        return across * self.square_m, down * self.square_m

    @cached_property
    def corners_xyz(self) -> Tensor:
        """(N, 3) float64 metres, board frame: the corner of every id, id = row index.

        Inner corners row by row for ChArUco and chessboard; for an ArUco grid the four corners of
        every marker (clockwise from the top left as printed), marker by marker.
        """
        if self.type == "aruco":
            xy = torch.from_numpy(self.marker_corners_xy.reshape(-1, 2))
        else:
            across, down = self.squares
            y, x = torch.meshgrid(torch.arange(1, down), torch.arange(1, across), indexing="ij")
            xy = torch.stack([x.reshape(-1), y.reshape(-1)], -1).to(torch.float64) * self.square_m
        return torch.cat([xy, torch.zeros_like(xy[:, :1])], -1)

    @cached_property
    def neighbours(self) -> Tensor:
        """(E, 2) int64 pairs of corner ids that are one ``neighbour_m`` apart, along rows and columns."""
        if self.type == "aruco":
            first = torch.arange(0, len(self.corners_xyz), 4)[:, None, None]
            return (first + torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0]])).reshape(-1, 2)
        across, down = self.squares
        ids = torch.arange((across - 1) * (down - 1)).reshape(down - 1, across - 1)
        along = torch.stack([ids[:, :-1], ids[:, 1:]], -1).reshape(-1, 2)
        return torch.cat([along, torch.stack([ids[:-1], ids[1:]], -1).reshape(-1, 2)])

    @property
    def neighbour_m(self) -> float:
        """Distance of the pairs in ``neighbours``, metres."""
        return self.marker_m if self.type == "aruco" else self.square_m

    @property
    def marker_cells(self) -> list[tuple[int, int]]:
        """Column and row of the cell of every marker, row by row."""
        cells = self._cells_for_markers()
        if not self.marker_ids:
            return cells
        return [cell for cell, marker in zip(cells, self.marker_ids, strict=True) if marker >= 0]

    @property
    def used_marker_ids(self) -> tuple[int, ...]:
        """Number in the dictionary of every marker of ``marker_cells``."""
        if not self.marker_ids:
            return tuple(range(len(self.marker_cells)))
        return tuple(marker for marker in self.marker_ids if marker >= 0)

    @cached_property
    def marker_corners_xy(self) -> NDArray[np.float64]:
        """(M, 4, 2) metres, board plane: corners of every marker, clockwise from the top left as printed."""
        boxes = [self._marker_box(*cell) for cell in self.marker_cells]
        corners = [
            [(b.left, b.top), (b.right, b.top), (b.right, b.bottom), (b.left, b.bottom)] for b in boxes
        ]
        return np.array(corners, np.float64).reshape(-1, 4, 2)

    def _cells_for_markers(self) -> list[tuple[int, int]]:
        if self.type == "chessboard":
            return []
        across, down = self.squares
        cells = [(column, row) for row in range(down) for column in range(across)]
        return [cell for cell in cells if self.type == "aruco" or not self.is_dark(*cell)]

    def black_rectangles(self) -> list[Rectangle]:
        """Areas that are black on the print (white where ``inverted``), without overlap."""
        across, down = self.squares
        side = self.square_m
        boxes = [
            Rectangle(column * side, row * side, (column + 1) * side, (row + 1) * side)
            for row in range(down)
            for column in range(across)
            if self.type != "aruco" and self.is_dark(column, row)
        ]
        modules = self._marker_areas_m()
        for marker, cell in enumerate(self.marker_cells):
            box = self._marker_box(*cell)
            for x0, y0, x1, y1 in modules[marker]:
                boxes.append(Rectangle(box.left + x0, box.top + y0, box.left + x1, box.top + y1))
        return boxes

    def _marker_areas_m(self) -> list[list[tuple[float, ...]]]:
        """Black rectangles of every marker, metres from its corner."""
        if self.type == "chessboard":
            return []
        patterns = marker_modules(self.dictionary, self.used_marker_ids)
        module = self.marker_m / patterns.shape[-1]
        return [[tuple(i * module for i in box) for box in cover_dark(dark)] for dark in patterns]

    def is_dark(self, column: int, row: int) -> bool:
        """Whether a square is black on the print (before ``inverted``); it then holds no marker."""
        shift = 1 if self.legacy and self.type == "charuco" and self.rows % 2 == 0 else 0
        return (column + row + shift) % 2 == 0

    def _marker_box(self, column: int, row: int) -> Rectangle:
        gap = (self.square_m - self.marker_m) / 2.0
        left, top = column * self.square_m + gap, row * self.square_m + gap
        return Rectangle(left, top, left + self.marker_m, top + self.marker_m)


def draw_board(board: Board, pixels_per_m: float, margin_m: float = 0.0) -> NDArray[np.uint8]:
    """Image of the board with exact area coverage at the edges, seen as printed.

    Args:
        board: the board.
        pixels_per_m: scale of the image.
        margin_m: white paper around the board, metres.

    Returns:
        (H, W) uint8 grey. The board point (x, y) metres lies at the pixel
        ``(x + margin_m) * pixels_per_m - 0.5`` (integers are pixel centres), so the origin corner of the
        board is at ``margin_m * pixels_per_m - 0.5`` in both directions.
    """
    width, height = (round((side + 2.0 * margin_m) * pixels_per_m) for side in board.size_m)

    def cover(start_m: float, stop_m: float, num_px: int) -> NDArray[np.float64]:
        start, stop = ((at + margin_m) * pixels_per_m for at in (start_m, stop_m))
        return np.diff(np.clip(np.arange(num_px + 1.0), start, stop))

    # Every area is a product of a row and a column profile, and no two overlap: one sum of outer products.
    boxes = board.black_rectangles()
    down = np.stack([cover(box.top, box.bottom, height) for box in boxes])
    across = np.stack([cover(box.left, box.right, width) for box in boxes])
    black = down.T @ across
    if board.inverted:
        black = np.outer(cover(0.0, board.size_m[1], height), cover(0.0, board.size_m[0], width)) - black
    return np.clip(np.rint(255.0 * (1.0 - black)), 0, 255).astype(np.uint8)
