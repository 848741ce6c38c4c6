"""Board footage: clips in, the corners of every examined image out.

All clips are examined at the same instants, so that one number names one instant in every camera.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from calibration.boards import Board
from calibration.detection import BoardDetector, BoardView, GrayImage
from mocap.progress import Progress, silent
from mocap.video import Clip, frames

_INLINE_IMAGES = 60
"""Fewer images in all are searched here: starting processes would take longer."""


@dataclass(frozen=True)
class BoardFootage:
    """What one camera saw of the board."""

    views: tuple[BoardView, ...]
    """Images in which corners were found; ``frame`` is the number of the instant."""
    num_images: int
    """Images that were examined."""
    num_with_markers: int
    """Images in which markers were seen (for a chessboard: corners)."""


@dataclass(frozen=True)
class _Found:
    """One examined image, small enough to go from process to process."""

    instant: int
    time_s: float
    ids: NDArray[np.int64]
    xy_px: NDArray[np.float64]
    num_markers: int


def watch_board(
    clips: Mapping[str, Clip],
    board: Board,
    *,
    step_s: float,
    progress: Progress = silent,
) -> dict[str, BoardFootage]:
    """Find the board in all clips, cameras side by side.

    Args:
        clips: a clip for each camera.
        board: the board.
        step_s: time between the examined instants, seconds.
        progress: told of every clip that is done.

    Raises:
        InputError: a clip cannot be read to its end.
    """
    expected = {name: max(1, round(clip.duration_s / step_s)) for name, clip in clips.items()}
    results: dict[str, list[_Found]] = {}
    total, done = sum(expected.values()), 0
    progress("calibrate: find the board", 0, total)
    workers = min(len(clips), os.cpu_count() or 1)
    if total <= _INLINE_IMAGES or workers < 2:
        for name, clip in clips.items():
            results[name] = _search(clip, board, step_s)
            done += expected[name]
            progress("calibrate: find the board", done, total)
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            tasks: dict[Future[list[_Found]], str] = {
                pool.submit(_search, clip, board, step_s): name for name, clip in clips.items()
            }
            for task in as_completed(tasks):
                results[tasks[task]] = task.result()
                done += expected[tasks[task]]
                progress("calibrate: find the board", done, total)
    return {name: _footage(name, results[name]) for name in clips}


def common_step_s(clips: Mapping[str, Clip], examine_hz: float, max_examined: int) -> float:
    """Time between examined instants: whole frames of the slowest video, every image of image folders.

    Args:
        clips: a clip for each camera.
        examine_hz: instants per second that are wanted.
        max_examined: most instants in the longest clip.
    """
    rate_hz = min(clip.rate_hz for clip in clips.values())
    stride = 1 if all(clip.path.is_dir() for clip in clips.values()) else max(1, round(rate_hz / examine_hz))
    longest_s = max(clip.duration_s for clip in clips.values())
    while longest_s * rate_hz / stride > max_examined:
        stride += 1
    return stride / rate_hz


def sample_images(clip: Clip, count: int) -> list[GrayImage]:
    """Grey images spread over a clip."""
    step = max(1, clip.num_frames // count)
    return [_gray(frame.rgb) for frame in frames(clip) if frame.index % step == step // 2][:count]


def _search(clip: Clip, board: Board, step_s: float) -> list[_Found]:
    detector = BoardDetector(board)
    found = ((instant, time_s, detector(gray)) for instant, time_s, gray in _examined(clip, step_s))
    return [_Found(instant, time_s, *detection) for instant, time_s, detection in found]


def _examined(clip: Clip, step_s: float) -> Iterator[tuple[int, float, GrayImage]]:
    """For every instant the nearest image, if it lies within half a frame of it."""
    reach_s = 0.5 / clip.rate_hz + 1e-6
    best: tuple[int, float, NDArray[np.uint8]] | None = None
    for frame in frames(clip):
        instant = round(frame.time_s / step_s)
        if best is not None and best[0] != instant:
            yield best[0], best[1], _gray(best[2])
            best = None
        off_s = abs(frame.time_s - instant * step_s)
        if off_s <= reach_s and (best is None or off_s < abs(best[1] - instant * step_s)):
            best = instant, frame.time_s, frame.rgb
    if best is not None:
        yield best[0], best[1], _gray(best[2])


def _gray(rgb: NDArray[np.uint8]) -> GrayImage:
    import cv2

    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _one_thread() -> None:
    """Cameras are the parallel part: threads inside would only get in each other's way."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _footage(name: str, found: list[_Found]) -> BoardFootage:
    import torch

    views = [
        BoardView(name, one.instant, one.time_s, torch.from_numpy(one.ids), torch.from_numpy(one.xy_px))
        for one in found
        if len(one.ids)
    ]
    marked = sum(one.num_markers > 0 or len(one.ids) > 0 for one in found)
    return BoardFootage(tuple(views), len(found), marked)
