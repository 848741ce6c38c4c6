"""Board footage: clips in, the corners of every examined image out.

All clips are examined at the same instants, so that one number names one instant in every camera.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event

import numpy as np
from numpy.typing import NDArray

from calibration.boards.board import Board
from calibration.boards.detection import BoardDetector, BoardView, GrayImage
from mocap.progress import Progress, silent
from mocap.video import Clip, frames

_TELL_S = 0.2
"""Time between two reports of progress."""


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
    """One examined image."""

    instant: int
    time_s: float
    ids: NDArray[np.int64]
    xy_px: NDArray[np.float64]
    num_markers: int
    sigma_px: NDArray[np.float64]


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
        progress: told of the images that are done.

    Raises:
        InputError: a clip cannot be read to its end.
    """
    expected = {name: max(1, round(clip.duration_s / step_s)) for name, clip in clips.items()}
    total = sum(expected.values())
    found: dict[str, list[_Found]] = {name: [] for name in clips}
    stop = Event()
    # Threads are enough: decoding and searching are native code that lets the others run.
    with ThreadPoolExecutor(min(len(clips), os.cpu_count() or 1)) as pool:
        try:
            waiting = {
                pool.submit(_search, clip, board, step_s, found[name], stop) for name, clip in clips.items()
            }
            while waiting:
                finished, waiting = wait(waiting, timeout=_TELL_S)
                for task in finished:
                    task.result()
                progress("calibrate: find the board", min(sum(map(len, found.values())), total), total)
        except BaseException:
            stop.set()
            raise
    progress("calibrate: find the board", total, total)
    return {name: _footage(name, found[name]) for name in clips}


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


def _search(clip: Clip, board: Board, step_s: float, found: list[_Found], stop: Event) -> None:
    """Append what each examined image of a clip shows, until told to stop."""
    detector = BoardDetector(board)
    for instant, time_s, gray in _examined(clip, step_s):
        if stop.is_set():
            return
        found.append(_Found(instant, time_s, *detector(gray)))


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


def _footage(name: str, found: list[_Found]) -> BoardFootage:
    import torch

    views = [
        BoardView(name, one.instant, one.time_s, *map(torch.from_numpy, (one.ids, one.xy_px, one.sigma_px)))
        for one in found
        if len(one.ids)
    ]
    marked = sum(one.num_markers > 0 or len(one.ids) > 0 for one in found)
    return BoardFootage(tuple(views), len(found), marked)
