"""Finding the board beside OpenCV's own detector with its default settings: speed, corners, places.

Both run in one process on one thread over the same images, already decoded, and processor time is counted.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards.board import Board, draw_board
from calibration.boards.detection import BoardDetector
from calibration.boards.markers import opencv_dictionary

pytestmark = pytest.mark.slow

Images = list[NDArray[np.uint8]]
Found = tuple[NDArray[np.int64], NDArray[np.float64]]

RENDERED = Board(columns=5, rows=7, square_m=0.04, marker_m=0.03)
REAL = Board(columns=4, rows=5, square_m=0.054, marker_m=0.0405, dictionary="DICT_4X4_1000", inverted=True)


def rendered_clip(seed: int, count: int = 120) -> tuple[Images, list[NDArray[np.float64]]]:
    """A board carried through a cluttered image of 1280x720 and out of it; and where its corners are."""
    rng = np.random.default_rng(seed)
    clutter = cv2.resize(
        rng.integers(60, 200, (45, 80), np.uint8), (3840, 2160), interpolation=cv2.INTER_NEAREST
    )
    scale, margin = 2000.0, 0.02
    flat = draw_board(RENDERED, scale, margin)
    to_m = np.array([[1 / scale, 0, 0.5 / scale - margin], [0, 1 / scale, 0.5 / scale - margin], [0, 0, 1]])
    middle = np.append(np.array(RENDERED.size_m) / 2, 0.0)
    corners = np.c_[RENDERED.corners_xyz.numpy()] - middle
    lens = np.array([[900.0, 0.0, 639.5], [0.0, 900.0, 359.5], [0.0, 0.0, 1.0]])
    images, truth = [], []
    for phase in np.linspace(0.0, 4.0 * np.pi, count) + rng.uniform(0.0, 6.0):
        turn = cv2.Rodrigues(
            np.array([0.9 * np.sin(phase), 0.9 * np.cos(0.7 * phase), 0.5 * np.sin(0.6 * phase)])
        )[0]
        at = np.array([0.9 * np.sin(0.8 * phase), 0.2 * np.cos(phase), 1.0 + 0.5 * np.sin(0.5 * phase)])
        plane = lens @ np.column_stack([turn[:, :2], at - turn @ middle])
        # Three times as fine, then averaged, as a sensor does: fine edges would alias else.
        finer = np.array([[3.0, 0.0, 1.0], [0.0, 3.0, 1.0], [0.0, 0.0, 1.0]])
        image = clutter.copy()
        cv2.warpPerspective(
            flat, finer @ plane @ to_m, (3840, 2160), image, borderMode=cv2.BORDER_TRANSPARENT
        )
        image = cv2.resize(image, (1280, 720), interpolation=cv2.INTER_AREA)
        noisy = cv2.GaussianBlur(image, (0, 0), 0.9) + rng.normal(0.0, 3.0, image.shape)
        images.append(np.clip(noisy, 0, 255).astype(np.uint8))
        xyz = (corners @ turn.T + at) @ lens.T
        truth.append(xyz[:, :2] / xyz[:, 2:])
    return images, truth


def real_clip(path: Path) -> Images:
    video = cv2.VideoCapture(str(path))
    images: Images = []
    while (read := video.read())[0]:
        images.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY))
    return images


def opencv_detector(board: Board) -> "cv2.aruco.CharucoDetector":
    dictionary = opencv_dictionary(board.dictionary, len(board.marker_cells))
    size = (board.columns, board.rows)
    return cv2.aruco.CharucoDetector(cv2.aruco.CharucoBoard(size, board.square_m, board.marker_m, dictionary))


def by_opencv(images: Images, board: Board) -> Iterator[Found]:
    detector = opencv_detector(board)
    for image in images:
        xy, ids, *_ = detector.detectBoard(255 - image if board.inverted else image)
        nothing = ids is None
        yield (
            np.empty(0, np.int64) if nothing else ids.ravel(),
            np.empty((0, 2)) if nothing else xy.reshape(-1, 2).astype(float),
        )


def by_us(images: Images, board: Board) -> Iterator[Found]:
    detector = BoardDetector(board)
    for image in images:
        found = detector(image)
        yield found.ids, found.xy_px


def timed(found: Iterator[Found]) -> tuple[list[Found], float]:
    start = time.process_time()
    result = list(found)
    return result, time.process_time() - start


def compare(name: str, clips: list[Images], board: Board) -> tuple[list[Found], list[Found], float, float]:
    """What we and OpenCV find, our speed in OpenCV's, and the part of its corners that we find; printed."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    ours, theirs, our_s, their_s = [], [], 0.0, 0.0
    for images in clips:
        found, seconds = timed(by_us(images, board))
        ours, our_s = ours + found, our_s + seconds
        found, seconds = timed(by_opencv(images, board))
        theirs, their_s = theirs + found, their_s + seconds
    cv2.setNumThreads(threads)
    apart: list[float] = []
    for (ids, xy), (their_ids, their_xy) in zip(ours, theirs, strict=True):
        _, mine, other = np.intersect1d(ids, their_ids, return_indices=True)
        apart += np.linalg.norm(xy[mine] - their_xy[other], axis=-1).tolist()
    num_theirs = sum(len(ids) for ids, _ in theirs)
    kept, ratio = len(apart) / num_theirs, their_s / our_s
    print(  # noqa: T201 (the figures are what this is for)
        f"\n{name}: {len(ours) / our_s:.0f} frames/s, OpenCV {len(ours) / their_s:.0f}, ratio {ratio:.2f}; "
        f"corners {sum(len(ids) for ids, _ in ours)}, OpenCV {num_theirs}, of these found {kept:.1%}; "
        f"apart {np.median(apart):.2f} px (median), {np.quantile(apart, 0.95):.2f} px (95 %)"
    )
    return ours, theirs, ratio, kept


def rms_px(found: list[Found], truth: list[NDArray[np.float64]], also: list[Found]) -> float:
    """Distance from the truth of the corners that the other one found as well."""
    off: list[NDArray[np.float64]] = []
    for (ids, xy), at, (other, _) in zip(found, truth, also, strict=True):
        both = np.isin(ids, other)
        off.append(((xy[both] - at[ids[both]]) ** 2).sum(-1))
    return float(np.sqrt(np.concatenate(off).mean()))


def test_rendered_boards() -> None:
    clips = [rendered_clip(seed) for seed in (1, 2)]
    ours, theirs, ratio, kept = compare("rendered", [images for images, _ in clips], RENDERED)
    truth = [xy for _, places in clips for xy in places]
    our_px, their_px = rms_px(ours, truth, theirs), rms_px(theirs, truth, ours)
    print(f"off the truth: {our_px:.3f} px, OpenCV {their_px:.3f} px (rms of what both found)")  # noqa: T201
    assert ratio > 2.5
    assert kept > 0.98
    assert our_px < their_px


@pytest.mark.footage
def test_real_boards(test_data: Path) -> None:
    folder = test_data / "caliscope_post_optimization/calibration/extrinsic"
    clips = [real_clip(folder / f"cam_{camera}.mp4") for camera in range(4)]
    _, _, ratio, kept = compare("webcams", clips, REAL)
    assert ratio > 2.5
    assert kept > 0.98
