"""Which frames of a clip are worth solving with: few, but all over the image, near and far, at every tilt."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.pnp import MIN_CORNERS

_GRID = (6, 4)
"""Cells of the image, across and down, in which corners should lie."""
_PAIR_GAIN = 4.0
"""Worth of the first frame that two cameras share, in newly covered cells."""
_WINDOW = 6
"""Frames that are taken together where the board's motion matters: its path needs neighbours."""


def usable_views(views: Sequence[BoardView]) -> list[BoardView]:
    """Views with enough corners to fix a pose and check it."""
    return [view for view in views if len(view.ids) >= MIN_CORNERS]


def choose_views(
    views: Sequence[BoardView], board: Board, size_px: tuple[int, int], count: int
) -> list[BoardView]:
    """At most ``count`` views of one camera, as different from each other as there are.

    Farthest-point selection on where the board is, how large, and how it is tilted. Deterministic.

    Args:
        views: views of one camera.
        board: the board.
        size_px: width and height of the image.
        count: most views to return.
    """
    views = usable_views(views)
    if len(views) <= count:
        return views
    features = _appearances(views, board, size_px)
    chosen = [int(np.argmax([len(view.ids) for view in views]))]
    distance = np.linalg.norm(features - features[chosen[0]], axis=-1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(features - features[chosen[-1]], axis=-1))
    return [views[i] for i in sorted(chosen)]


def shared_frames(views: Sequence[BoardView]) -> dict[int, list[BoardView]]:
    """Views by frame, of the frames in which two cameras or more saw the board."""
    frames: dict[int, list[BoardView]] = defaultdict(list)
    for view in usable_views(views):
        frames[view.frame].append(view)
    return {frame: frames[frame] for frame in sorted(frames) if len(frames[frame]) > 1}


def choose_frames(
    views: Sequence[BoardView], size_px: Mapping[str, tuple[int, int]], count: int, *, window: int = _WINDOW
) -> list[int]:
    """At most ``count`` frames, ascending, in windows of neighbours of which some are shared by cameras.

    Greedy: each window is worth the image cells that it covers in each camera and the pairs of cameras that
    it links, less for what is covered already. Fast frames are as good as slow ones: what a camera sees of
    them is blurred along the motion, but they reach where slow ones do not. Deterministic.

    Args:
        views: views of all cameras.
        size_px: width and height of every camera's image.
        count: most frames to return.
        window: frames taken together; 1 where every frame stands for itself.
    """
    shared = shared_frames(views)
    numbers: dict[int, list[int]] = defaultdict(list)
    for frame in sorted({view.frame for view in usable_views(views)}) if window > 1 else shared:
        numbers[frame // window].append(frame)
    if sum(len(some) for some in numbers.values()) <= count:
        return sorted(frame for some in numbers.values() for frame in some)
    cells, pairs = _worth(views, size_px, shared, window)
    covered: dict[object, int] = defaultdict(int)

    def worth(key: int) -> float:
        gain = sum(1.0 / (1 + covered[cell]) for cell in cells[key])
        return gain + sum(_PAIR_GAIN / (1 + covered[pair]) for pair in pairs[key])

    # What a window is worth only falls while others are taken: an old worth is a bound.
    heap = [(-worth(key), key) for key in numbers if pairs[key]]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap:
        _, key = heapq.heappop(heap)
        now = worth(key)
        if heap and now < -heap[0][0]:
            heapq.heappush(heap, (-now, key))
            continue
        if len(chosen) + len(numbers[key]) > count:
            break
        chosen += numbers[key]
        for thing in (*cells[key], *pairs[key]):
            covered[thing] += 1
    return sorted(chosen)


def _worth(
    views: Sequence[BoardView],
    size_px: Mapping[str, tuple[int, int]],
    shared: Mapping[int, Sequence[BoardView]],
    window: int,
) -> tuple[dict[int, list[tuple[str, int, int]]], dict[int, list[tuple[str, str]]]]:
    """By window, the cells that are covered and the pairs of cameras that are linked, frame by frame."""
    cells: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    pairs: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for view in usable_views(views):
        cells[view.frame // window] += _cells(view, size_px)
    for frame, some in shared.items():
        pairs[frame // window] += combinations(sorted({view.camera for view in some}), 2)
    return cells, pairs


def coverage(views: Sequence[BoardView], size_px: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """Part of every camera's image, in cells of a grid, in which a corner was seen."""
    seen = {name: np.zeros(_GRID, dtype=bool) for name in size_px}
    for name in size_px:
        own = [view.xy_px.numpy() for view in views if view.camera == name]
        if own:
            seen[name][tuple(_cell(np.concatenate(own), size_px[name]).T)] = True
    return {name: float(cells.mean()) for name, cells in seen.items()}


def _cells(view: BoardView, size_px: Mapping[str, tuple[int, int]]) -> list[tuple[str, int, int]]:
    inside = np.unique(_cell(view.xy_px.numpy(), size_px[view.camera]), axis=0)
    return [(view.camera, int(x), int(y)) for x, y in inside]


def _cell(xy_px: NDArray[np.float64], size_px: tuple[int, int]) -> NDArray[np.int64]:
    """(N, 2) the cells of the grid that (N, 2) pixels lie in, the outermost ones beyond the image."""
    part = (xy_px + 0.5) / np.asarray(size_px) * _GRID
    return np.clip(part.astype(np.int64), 0, np.asarray(_GRID) - 1)


def _appearances(views: Sequence[BoardView], board: Board, size_px: tuple[int, int]) -> NDArray[np.float64]:
    """(V, 5) where the board is in the image, how large, and how foreshortened in which direction."""
    owner = np.repeat(np.arange(len(views)), [len(view.ids) for view in views])
    xy = np.concatenate([view.xy_px.numpy() for view in views]) / max(size_px)
    ids = np.concatenate([view.ids.numpy() for view in views])
    at = board.corners_xyz[:, :2].numpy()[ids] / max(board.size_m)
    count = np.bincount(owner)[:, None]

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.zeros((len(views), *values.shape[1:]))
        np.add.at(sums, owner, values)
        return sums

    middle = total(xy) / count
    there = at - (total(at) / count)[owner]
    # The best affine map: its singular values are the scales along and across the tilt.
    spread = total(there[:, :, None] * there[:, None]) + 1e-9 * np.eye(2)
    affine = total((xy - middle[owner])[:, :, None] * there[:, None]) @ np.linalg.inv(spread)
    left, scales, _ = np.linalg.svd(affine)
    along, across = np.log(np.maximum(scales, 1e-6)).T
    angle = 2.0 * np.arctan2(left[:, 1, 0], left[:, 0, 0])
    tilt = np.minimum(along - across, 2.0)
    return np.stack(
        [
            2.0 * middle[:, 0],
            2.0 * middle[:, 1],
            0.5 * (along + across),
            tilt * np.cos(angle),
            tilt * np.sin(angle),
        ],
        -1,
    )
