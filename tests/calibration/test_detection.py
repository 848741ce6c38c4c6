"""Corner detection on drawn boards in known places, and on real photographs."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards.board import Board, draw_board
from calibration.boards.corner_quality import contradicted_px
from calibration.boards.detection import BoardDetector, detect_board

CHARUCO = Board(columns=5, rows=7, square_m=0.04, marker_m=0.03)
CHESSBOARD = Board(type="chessboard", columns=7, rows=5, square_m=0.04)
GRID = Board(type="aruco", columns=3, rows=4, square_m=0.05, marker_m=0.035)


def photograph(
    board: Board, turn_deg: float = 20.0, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A tilted, blurred, noisy image of a board on a grey wall, and where its corners are."""
    scale, margin = 2000.0, 0.02
    flat = draw_board(board, scale, margin)
    width, height = 1280, 720
    long = max(board.size_m)
    turn = np.deg2rad(turn_deg)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.array(board.size_m) / 2
    to_wall = np.eye(3)
    to_wall[:2, :2] = spin * 500.0 / long
    to_wall[:2, 2] = np.array([width, height]) / 2 - to_wall[:2, :2] @ middle
    tilt = np.array([[1.0, 0.05, 0.0], [0.0, 1.0, 0.0], [1.5e-4, -1e-4, 1.0]])
    to_image = tilt @ to_wall
    from_drawing = np.array(
        [[1 / scale, 0, 0.5 / scale - margin], [0, 1 / scale, 0.5 / scale - margin], [0, 0, 1]]
    )
    image = cv2.warpPerspective(
        flat, to_image @ from_drawing, (width, height), borderMode=cv2.BORDER_CONSTANT, borderValue=(120,)
    )
    image = cv2.GaussianBlur(image, (0, 0), 1.2).astype(float) * 0.8 + 20.0
    image += np.random.default_rng(seed).normal(size=image.shape) * 3.0
    at = np.c_[board.corners_xyz[:, :2].numpy(), np.ones(len(board.corners_xyz))] @ to_image.T
    return np.clip(image, 0, 255).astype(np.uint8), at[:, :2] / at[:, 2:]


@pytest.mark.parametrize("turn_deg", [0.0, 35.0, 170.0])
@pytest.mark.parametrize(
    "board",
    [
        CHARUCO,
        replace(CHARUCO, inverted=True),
        replace(CHARUCO, rows=6, legacy=True),
        replace(CHARUCO, rows=6),
        replace(CHARUCO, columns=4, rows=5, dictionary="DICT_6X6_250"),
        replace(CHARUCO, dictionary="DICT_APRILTAG_36h11"),
        GRID,
        replace(GRID, inverted=True),
    ],
    ids=str,
)
def test_every_corner_is_found_where_it_is(board: Board, turn_deg: float) -> None:
    image, truth = photograph(board, turn_deg)
    ids, xy_px = detect_board(image, board)
    assert len(ids) >= 0.9 * len(truth)
    assert (np.diff(ids) > 0).all()
    error = np.linalg.norm(xy_px - truth[ids], axis=-1)
    # Marker corners are rounded by the blur, which pulls them inwards.
    assert np.sqrt((error**2).mean()) < (0.6 if board.type == "aruco" else 0.2)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("turn_deg", [0.0, 50.0, 130.0, 180.0])
def test_a_chessboard_with_one_odd_side_tells_its_turn(turn_deg: float, inverted: bool) -> None:
    board = replace(CHESSBOARD, columns=8, inverted=inverted)
    image, truth = photograph(board, turn_deg)
    ids, xy_px = detect_board(image, board)
    assert len(ids) == len(truth)
    assert np.linalg.norm(xy_px - truth, axis=-1).max() < 0.5


def test_a_symmetric_chessboard_begins_at_the_top_left_of_the_image() -> None:
    for turn_deg in (10.0, 190.0):
        image, truth = photograph(CHESSBOARD, turn_deg)
        _, xy_px = detect_board(image, CHESSBOARD)
        either = [np.linalg.norm(xy_px - order, axis=-1).max() for order in (truth, truth[::-1])]
        assert min(either) < 0.5
        assert xy_px[0].sum() < xy_px[-1].sum()


def clip(board: Board, count: int = 12) -> list[tuple[NDArray[np.uint8], NDArray[np.float64] | None]]:
    """The board turning and shifting, gone for two images, and back."""
    images: list[tuple[NDArray[np.uint8], NDArray[np.float64] | None]] = []
    for i in range(count):
        image, truth = photograph(board, turn_deg=9.0 * i, seed=i)
        if i in {4, 5}:
            wall = np.random.default_rng(i).normal(116.0, 3.0, image.shape)
            images.append((np.clip(wall, 0, 255).astype(np.uint8), None))
        else:
            shift = np.float32([[1, 0, 14 * i - 80], [0, 1, 40 - 7 * i]])
            moved = cv2.warpAffine(image, shift, image.shape[::-1], borderValue=(116,))
            images.append((moved, truth + shift[:, 2]))
    return images


@pytest.mark.parametrize("board", [CHARUCO, GRID], ids=["charuco", "aruco"])
def test_a_clip_is_searched_as_thoroughly_as_its_images(board: Board) -> None:
    detector = BoardDetector(board)
    images = clip(board)
    found = [detector(image) for image, _ in images]
    for (_, truth), one in zip(images, found, strict=True):
        if truth is None:
            assert len(one.ids) == 0
            continue
        assert len(one.ids) >= 0.9 * len(truth)
        off = np.linalg.norm(one.xy_px - truth[one.ids], axis=-1)
        assert np.sqrt((off**2).mean()) < (0.6 if board.type == "aruco" else 0.2)
    again = BoardDetector(board)
    for (image, _), one in zip(images, found, strict=True):
        twin = again(image)
        np.testing.assert_array_equal(one.xy_px, twin.xy_px)
        np.testing.assert_array_equal(one.sigma_px, twin.sigma_px)


def test_markers_that_are_painted_over_are_no_corners() -> None:
    image, truth = photograph(CHARUCO)
    at = truth[:8].mean(0).astype(int)
    image[at[1] - 60 : at[1] + 60, at[0] - 90 : at[0] + 90] = 116
    found = BoardDetector(CHARUCO)(image)
    assert 15 <= len(found.ids) < len(truth)
    off = np.linalg.norm(found.xy_px - truth[found.ids], axis=-1)
    # Where the paint cuts through a corner's surroundings it may be off, but then it says so.
    assert (off < 4.0 * found.sigma_px).all()
    assert np.median(off) < 0.1


def test_blurred_and_small_corners_know_less() -> None:
    image, truth = photograph(CHARUCO)
    sharp = BoardDetector(CHARUCO)(image)
    blurred = BoardDetector(CHARUCO)(cv2.GaussianBlur(image, (0, 0), 4.0))
    small = BoardDetector(CHARUCO)(cv2.resize(image, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA))
    assert sharp.sigma_px.shape == sharp.ids.shape
    assert np.median(blurred.sigma_px) > 1.2 * np.median(sharp.sigma_px)
    assert np.median(small.sigma_px) > 1.2 * np.median(sharp.sigma_px)
    # Nine in ten lie within what the standard deviations say (two sigmas of a Rayleigh distribution).
    off = np.linalg.norm(sharp.xy_px - truth[sharp.ids], axis=-1)
    assert (off < 2.15 * sharp.sigma_px).mean() > 0.85


def test_a_corner_that_the_others_contradict_is_uncertain() -> None:
    plane = CHARUCO.corners_xyz[:, :2].numpy()
    xy = 1000.0 * plane + 100.0
    assert not contradicted_px(xy, plane).any()
    xy[7] += [3.0, 0.0]
    off = contradicted_px(xy, plane)
    np.testing.assert_allclose(off[7], [3.0, 0.0], atol=0.1)
    assert not np.delete(off, 7, axis=0).any()


def test_single_tags_and_grids_with_gaps_are_found() -> None:
    tag = Board("aruco", 1, 1, 0.06, 0.05, "DICT_APRILTAG_36h11", marker_ids=(17,))
    gaps = Board("aruco", 3, 2, 0.06, 0.045, "DICT_APRILTAG_16h5", marker_ids=(7, -1, 9, 20, 21, 2))
    for board in (tag, gaps):
        image, truth = photograph(board)
        ids, xy = detect_board(image, board)
        assert len(ids) == len(truth)
        assert np.linalg.norm(xy - truth, axis=-1).max() < 1.5
    other = replace(tag, marker_ids=(18,))
    assert len(detect_board(photograph(tag)[0], other)[0]) == 0


def test_another_board_gives_no_corners_but_markers() -> None:
    image, _ = photograph(CHARUCO)
    wrong = BoardDetector(replace(CHARUCO, columns=7, rows=5))(image)
    assert len(wrong.ids) == 0
    assert wrong.num_markers > 10
    assert BoardDetector(replace(CHARUCO, dictionary="DICT_7X7_50"))(image).num_markers == 0


def test_an_empty_wall_shows_no_board() -> None:
    wall = np.random.default_rng(0).normal(120, 5, size=(480, 640)).astype(np.uint8)
    for board in (CHARUCO, CHESSBOARD, GRID):
        ids, xy_px = detect_board(wall, board)
        assert ids.shape == (0,)
        assert xy_px.shape == (0, 2)


def gray(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return image


@pytest.mark.footage
def test_a_real_chessboard_is_found_and_an_empty_room_is_not(test_data: Path) -> None:
    board = Board(type="chessboard", columns=9, rows=6, square_m=0.025)
    folder = test_data / "caliscope_chessboard"
    assert len(detect_board(gray(folder / "cam_0_frame_100.jpg"), board)[0]) == 54
    assert len(detect_board(gray(folder / "cam_0_frame_000.jpg"), board)[0]) == 0


@pytest.mark.footage
def test_four_real_cameras_number_a_chessboard_alike(test_data: Path) -> None:
    """The same printed square is first in every image: the black corner square of a board of 10 x 7."""
    board = Board(type="chessboard", columns=9, rows=6, square_m=0.025)
    for camera in range(4):
        image = gray(test_data / f"caliscope_chessboard/cam_{camera}_frame_1070.jpg")
        ids, xy_px = detect_board(image, board)
        assert len(ids) == 54
        homography, _ = cv2.findHomography(board.corners_xyz[:, :2].numpy(), xy_px)
        centers = np.array([[[0.5, 0.5]], [[1.5, 0.5]], [[0.5, 1.5]], [[8.5, 5.5]]]) * board.square_m
        at = cv2.perspectiveTransform(centers + board.square_m, homography)[:, 0].round().astype(int)
        first, right, below, _ = (float(image[y, x]) for x, y in at)
        assert first < min(right, below) - 30
        across, down = xy_px[8] - xy_px[0], xy_px[45] - xy_px[0]
        assert across[0] * down[1] - across[1] * down[0] > 0


@pytest.mark.footage
def test_a_real_inverted_board_is_found_in_video(test_data: Path) -> None:
    board = Board(
        columns=4, rows=5, square_m=0.054, marker_m=0.0405, dictionary="DICT_4X4_1000", inverted=True
    )
    video = cv2.VideoCapture(str(test_data / "caliscope_post_optimization/calibration/extrinsic/cam_0.mp4"))
    detector, found = BoardDetector(board), 0
    for _ in range(20):
        ok, image = video.read()
        assert ok
        found += len(detector(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)).ids)
    assert found > 20 * 10
