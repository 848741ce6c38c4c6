"""Which board do these images show, if not the one that was described?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .boards import Board
from .detection import BoardDetector, GrayImage
from .markers import dictionary_names, opencv_dictionary

_MANY_MARKERS = 3
"""Markers in each image that no wrong dictionary shows."""


def suggest_board(images: Sequence[GrayImage], board: Board) -> Board | None:
    """The board that these images seem to show, if its corners are found where the given one's are not.

    Tries both polarities, every dictionary, both ways of counting columns and rows, neighbouring sizes, and
    the old ChArUco pattern.

    Args:
        images: (H, W) uint8 each, about ten that show the board.
        board: the board as it was described.

    Returns:
        A board under which corners are found in more of the images; None where there is none.
    """
    printed = board if board.type == "chessboard" else _with_dictionary(images, board)
    best, most = None, _found(images, board)
    for candidate in _sizes(printed):
        count = _found(images, candidate)
        if count > most:
            best, most = candidate, count
    return best


def _found(images: Sequence[GrayImage], board: Board) -> int:
    """Corners found in all images; a board with few corners cannot win by being found everywhere."""
    detector = BoardDetector(board)
    return sum(len(detector(image).ids) for image in images)


def _with_dictionary(images: Sequence[GrayImage], board: Board) -> Board:
    """The board in the polarity and the (smallest) dictionary of which most markers are seen."""
    sizes = {name: len(opencv_dictionary(name, 0).bytesList) for name in dictionary_names()}
    needed = len(board.marker_cells)
    names = [name for name in sorted(sizes, key=lambda name: (sizes[name], name)) if sizes[name] >= needed]
    best, most = board, -1
    for name in dict.fromkeys([board.dictionary, *names]):
        for inverted in (board.inverted, not board.inverted):
            candidate = replace(board, dictionary=name, inverted=inverted)
            # In a grid of one row every marker of the board is a part of it, wherever it is printed.
            row = replace(candidate, type="aruco", columns=needed, rows=1)
            count = _found(images, row) // 4
            if count > most:
                best, most = candidate, count
        if most >= _MANY_MARKERS * len(images):
            break
    return best


def _sizes(board: Board) -> list[Board]:
    """The board itself, turned, in the old pattern, and one or two larger or smaller each way."""
    sizes = [(board.columns, board.rows), (board.rows, board.columns)]
    for columns, rows in list(sizes):
        sizes += [(columns + i, rows + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    fewest = 1 if board.type == "aruco" else 3
    boards: list[Board] = []
    for columns, rows in dict.fromkeys(sizes):
        if min(columns, rows) < fewest:
            continue
        for legacy in (False, True) if board.type == "charuco" else (False,):
            boards.append(replace(board, columns=columns, rows=rows, legacy=legacy))
    return [candidate for candidate in boards if _fits(candidate)]


def _fits(board: Board) -> bool:
    if board.type == "chessboard":
        return True
    return len(board.marker_cells) <= len(opencv_dictionary(board.dictionary, 0).bytesList)
