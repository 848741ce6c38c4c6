"""The board in the images is found whatever was said of it, and nothing is said where it was right."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards.board import Board, draw_board
from calibration.boards.search import board_differences, suggest_board

CHARUCO = Board(columns=5, rows=7, square_m=0.04, marker_m=0.03)
CHESSBOARD = Board(type="chessboard", columns=8, rows=5, square_m=0.04)
TAGS = Board("aruco", 4, 3, 0.05, 0.035, "DICT_APRILTAG_36h11")


def images(board: Board) -> list[NDArray[np.uint8]]:
    return [draw_board(board, 1500.0, 0.03)]


@pytest.mark.parametrize(
    ("shown", "described", "word"),
    [
        (CHARUCO, {"columns": 7, "rows": 5}, "columns and rows are exchanged"),
        (CHARUCO, {"columns": 8, "rows": 11}, "the size is wrong: it has 5 columns and 7 rows"),
        (CHARUCO, {"inverted": True}, "it is not inverted"),
        (CHARUCO, {"dictionary": "DICT_6X6_50"}, "its markers are of DICT_4X4_50"),
        (CHARUCO, {"type": "aruco"}, "it is a charuco board"),
        (replace(CHARUCO, inverted=True, rows=6), {"inverted": False, "rows": 5}, "black and white"),
        (replace(CHARUCO, rows=6, legacy=True), {"legacy": False}, "pattern before 4.6"),
        (TAGS, {"columns": 3, "rows": 4, "dictionary": "DICT_4X4_50"}, "DICT_APRILTAG_36H11"),
        (replace(TAGS, marker_ids=tuple(range(24, 36))), {"marker_ids": ()}, "numbered from 24"),
        (CHESSBOARD, {"columns": 9, "rows": 6}, "the size is wrong: it has 8 columns and 5 rows"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_wrong_is_found_and_said(shown: Board, described: dict[str, object], word: str) -> None:
    told = replace(shown, **described)
    found = suggest_board(images(shown), told)
    assert found is not None
    assert replace(found, dictionary=shown.dictionary) == shown
    assert any(word in line for line in board_differences(told, found))


@pytest.mark.parametrize("board", [CHARUCO, CHESSBOARD, TAGS], ids=lambda board: board.type)
def test_a_board_that_is_described_rightly_is_left_alone(board: Board) -> None:
    assert suggest_board(images(board), board) is None
    assert board_differences(board, board) == []


def test_a_wall_suggests_nothing() -> None:
    wall = np.random.default_rng(0).normal(120, 5, size=(480, 640)).astype(np.uint8)
    assert suggest_board([wall], CHARUCO) is None
