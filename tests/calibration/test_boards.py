"""Boards: geometry and images against OpenCV, the PDF against the board that it prints."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import CalibrationError
from calibration.boards.board import Board, draw_board
from calibration.boards.markers import cover_dark, opencv_dictionary
from calibration.boards.printing import PAGES_MM, board_pdf

CHARUCO = Board(columns=5, rows=7, square_m=0.04, marker_m=0.03)


def opencv_board(board: Board) -> "cv2.aruco.CharucoBoard":
    dictionary = opencv_dictionary(board.dictionary, len(board.marker_cells))
    size = (board.columns, board.rows)
    printed = cv2.aruco.CharucoBoard(size, board.square_m, board.marker_m, dictionary)
    printed.setLegacyPattern(board.legacy)
    return printed


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("size", [(5, 7), (4, 6), (6, 4), (7, 5), (3, 8)])
def test_charuco_is_the_board_that_opencv_draws(size: tuple[int, int], legacy: bool) -> None:
    board = replace(CHARUCO, columns=size[0], rows=size[1], legacy=legacy)
    theirs = opencv_board(board)
    px = (size[0] * 80, size[1] * 80)
    np.testing.assert_array_equal(draw_board(board, 2000.0), theirs.generateImage(px, None, 0, 1))
    np.testing.assert_allclose(board.corners_xyz.numpy(), theirs.getChessboardCorners(), atol=1e-7)


def test_inverted_exchanges_black_and_white_inside_the_board() -> None:
    plain, inverted = (draw_board(replace(CHARUCO, inverted=i), 1000.0, 0.01) for i in (False, True))
    inside = (slice(10, -10), slice(10, -10))
    np.testing.assert_array_equal(inverted[inside], 255 - plain[inside])
    assert (inverted[:10] == 255).all()


def test_the_documented_pixel_is_the_corner() -> None:
    board, scale, margin = replace(CHARUCO, type="chessboard", columns=3, rows=3), 1234.5, 0.0213
    # Edges as sharp as ours mislead the search by 0.08 px: blurred as by a lens they do not.
    image = cv2.GaussianBlur(draw_board(board, scale, margin), (0, 0), 1.5)
    expected = (board.corners_xyz[:, :2].numpy() + margin) * scale - 0.5
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-4)
    start = np.ascontiguousarray(expected + 0.7, np.float32)[:, None].copy()
    found = cv2.cornerSubPix(image, start, (7, 7), (-1, -1), criteria)[:, 0]
    np.testing.assert_allclose(found, expected, atol=0.03)
    wrong_by_half_a_pixel = np.abs(found - (expected + 0.5)).max()
    assert wrong_by_half_a_pixel > 0.4


def test_partly_covered_pixels_are_grey_in_proportion() -> None:
    image = draw_board(replace(CHARUCO, type="chessboard", columns=3, rows=3), 1010.0 / 4.0)
    black = 1.0 - image.astype(float).mean() / 255.0
    assert black == pytest.approx(0.5, abs=2e-3)


def test_aruco_grid_centres_markers_in_their_cells() -> None:
    board = Board(type="aruco", columns=3, rows=2, square_m=0.05, marker_m=0.03)
    assert board.corners_xyz.shape == (24, 3)
    corners = board.corners_xyz.reshape(6, 4, 3)[4]  # second row, second column
    np.testing.assert_allclose(corners.mean(0), [0.075, 0.075, 0.0])
    np.testing.assert_allclose(corners[0], [0.06, 0.06, 0.0])


def test_neighbours_are_one_square_apart() -> None:
    boards = [CHARUCO, replace(CHARUCO, type="chessboard"), replace(CHARUCO, type="aruco")]
    for board in boards:
        ends = board.corners_xyz[board.neighbours]
        distance = (ends[:, 0] - ends[:, 1]).norm(dim=-1)
        np.testing.assert_allclose(distance, board.neighbour_m)
    assert len(CHARUCO.neighbours) == 3 * 6 + 4 * 5


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"type": "circles"}, "charuco, chessboard, aruco"),
        ({"columns": 2}, "at least 3"),
        ({"square_m": 0.0}, "positive"),
        ({"marker_m": 0.05}, "between 0 and"),
        ({"marker_m": float("nan")}, "between 0 and"),
    ],
)
def test_boards_that_cannot_be_are_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(CalibrationError, match=word):
        replace(CHARUCO, **change)


def test_unknown_dictionary_lists_those_there_are() -> None:
    with pytest.raises(CalibrationError, match="DICT_4X4_50"):
        draw_board(replace(CHARUCO, dictionary="DICT_9X9"), 100.0)


def test_too_small_a_dictionary_is_refused() -> None:
    with pytest.raises(CalibrationError, match="needs 60 markers but DICT_4X4_50 has 50"):
        draw_board(replace(CHARUCO, columns=10, rows=12), 100.0)


def test_rectangles_cover_the_dark_cells_once() -> None:
    dark = np.random.default_rng(1).random((9, 8)) < 0.6
    count = np.zeros(dark.shape, int)
    for x0, y0, x1, y1 in cover_dark(dark):
        count[y0:y1, x0:x1] += 1
    np.testing.assert_array_equal(count, dark.astype(int))


# --- The PDF ---


def sheets(pdf: bytes) -> list[str]:
    return [part.decode("latin1") for part in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.S)]


def printed(sheet: str, height_mm: float, px_per_mm: int) -> NDArray[np.bool_]:
    """The black areas of one sheet, painted by the even-odd rule, top row first."""
    number = r"(-?[\d.]+)"
    scale = re.search(rf"{number} 0 0 {number} 0 0 cm", sheet[sheet.index("cm") + 2 :])
    assert scale is not None
    assert float(scale[1]) == pytest.approx(72 / 25.4, abs=1e-5)
    black = np.zeros((round(height_mm * px_per_mm), 300 * px_per_mm), bool)
    for found in re.findall(rf"{number} {number} {number} {number} re", sheet):
        x, y, width, height = (float(value) for value in found)
        rows = slice(round((height_mm - y - height) * px_per_mm), round((height_mm - y) * px_per_mm))
        black[rows, round(x * px_per_mm) : round((x + width) * px_per_mm)] ^= True
    return black


@pytest.mark.parametrize("inverted", [False, True])
def test_a_small_board_is_printed_true_to_scale(inverted: bool) -> None:
    board = replace(CHARUCO, square_m=0.03, marker_m=0.018, inverted=inverted)
    (sheet,) = sheets(board_pdf(board))
    black = printed(sheet, 297.0, 4)[40 : 40 + 840, 40 : 40 + 600]
    np.testing.assert_array_equal(black, draw_board(board, 4000.0) < 128)
    assert "100 mm" in sheet
    assert "square_m = 0.03" in sheet
    assert 'dictionary = "DICT_4X4_50"' in sheet


def test_a_large_board_is_spread_over_sheets_that_join() -> None:
    board = Board(square_m=0.08, marker_m=0.06)
    parts = sheets(board_pdf(board))
    assert len(parts) == 8  # 400 x 560 mm as 2 x 4 on landscape A4
    tiles = [printed(part, 210.0, 3)[30 : 30 + 420, 30 : 30 + 600] for part in parts]
    joined = np.block([[tiles[2 * row], tiles[2 * row + 1]] for row in range(4)])
    np.testing.assert_array_equal(joined, draw_board(board, 3000.0) < 128)
    assert all(f"sheet {i + 1} of 8" in part for i, part in enumerate(parts))
    assert len(sheets(board_pdf(board, "A1"))) == 1


def test_sheets_share_a_strip_with_those_to_the_right_and_below() -> None:
    board = Board(square_m=0.08, marker_m=0.06)
    parts = sheets(board_pdf(board, overlap_mm=8.0))
    first, right, below = (printed(parts[i], 210.0, 3)[30:480, 30:] for i in (0, 1, 2))
    np.testing.assert_array_equal(first[:420, 600:624], right[:420, :24])
    np.testing.assert_array_equal(first[420:444, :600], below[:24, :600])
    # The marks stand where the strip begins, outside the print.
    assert re.search(r"n 210 \d+ m 210 \d+ l S", parts[0])


def test_measures_are_printed_and_a_sheet_may_be_made_for_the_board() -> None:
    (sheet,) = sheets(board_pdf(Board(square_m=0.08, marker_m=0.06), "fit"))
    assert "measures 400.0 x 560.0 mm, a square 80.00 mm, a marker 60.00 mm" in sheet
    assert len(sheets(board_pdf(Board(square_m=0.08, marker_m=0.06), "420x620"))) == 1
    with pytest.raises(CalibrationError, match="no room"):
        board_pdf(CHARUCO, "30x30")


def test_markers_may_be_numbered_freely_and_cells_left_empty() -> None:
    board = Board("aruco", 3, 2, 0.05, 0.03, marker_ids=(7, -1, 9, 30, 31, 2))
    assert board.marker_cells == [(0, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert board.used_marker_ids == (7, 9, 30, 31, 2)
    assert len(board.corners_xyz) == 20
    image = draw_board(board, 2000.0, 0.01)
    corners, ids, _ = cv2.aruco.ArucoDetector(opencv_dictionary(board.dictionary, 32)).detectMarkers(image)
    at = {int(i): xy[0].mean(0) for i, xy in zip(ids.ravel(), corners, strict=True)}
    assert set(at) == {7, 9, 30, 31, 2}
    np.testing.assert_allclose(at[31], (np.array([0.075, 0.075]) + 0.01) * 2000.0 - 0.5, atol=0.6)
    for wrong in ((1, 2), (1, 1, 2, 3, 4, 5), (-1,) * 6, (-2, 0, 1, 2, 3, 4)):
        with pytest.raises(CalibrationError, match="marker_ids"):
            replace(board, marker_ids=wrong)


def test_the_same_board_gives_the_same_bytes() -> None:
    assert board_pdf(CHARUCO) == board_pdf(CHARUCO)


def test_unknown_paper_lists_the_known() -> None:
    with pytest.raises(CalibrationError, match=", ".join(PAGES_MM)):
        board_pdf(CHARUCO, "B7")
