"""Which frames of a clip are worth solving with: few, but all over the image, near and far, at every tilt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .boards import Board
from .detection import BoardView
from .pnp import MIN_CORNERS

_GRID = (6, 4)
"""Cells of the image, across and down, in which corners should lie."""
_PAIR_GAIN = 4.0
"""Worth of the first frame that two cameras share, in newly covered cells."""
_STEADY_PX = 8.0
"""Motion from one examined frame to the next, at 1280 pixels of width, that halves the worth of a frame:
a fast board is blurred, and cameras without a common clock see it at different places."""


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
    features = np.stack([_appearance(view, board, size_px) for view in views])
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
    views: Sequence[BoardView], size_px: Mapping[str, tuple[int, int]], count: int
) -> list[int]:
    """At most ``count`` of the frames that several cameras share, ascending.

    Greedy: each frame is worth the image cells that it covers in each camera and the pairs of cameras
    that it links, less for what is covered already and less for fast motion. Deterministic.

    Args:
        views: views of all cameras.
        size_px: width and height of every camera's image.
        count: most frames to return.
    """
    frames = shared_frames(views)
    covers = {frame: [c for view in some for c in _cells(view, size_px)] for frame, some in frames.items()}
    pairs = {f: list(combinations(sorted(view.camera for view in some), 2)) for f, some in frames.items()}
    steady = _steadiness(views, size_px)
    cell_count: dict[tuple[str, int, int], int] = defaultdict(int)
    pair_count: dict[tuple[str, str], int] = defaultdict(int)
    chosen: list[int] = []
    left = list(frames)
    while left and len(chosen) < count:

        def worth(frame: int) -> float:
            cells = sum(1.0 / (1 + cell_count[cell]) for cell in covers[frame])
            links = sum(_PAIR_GAIN / (1 + pair_count[pair]) for pair in pairs[frame])
            return (cells + links) * steady.get(frame, 0.5)

        best = max(left, key=lambda frame: (worth(frame), -frame))
        for cell in covers[best]:
            cell_count[cell] += 1
        for pair in pairs[best]:
            pair_count[pair] += 1
        chosen.append(best)
        left.remove(best)
    return sorted(chosen)


def coverage(views: Sequence[BoardView], size_px: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """Part of every camera's image, in cells of a grid, in which a corner was seen."""
    cells: dict[str, set[tuple[str, int, int]]] = {name: set() for name in size_px}
    for view in views:
        cells[view.camera].update(_cells(view, size_px))
    return {name: len(seen) / (_GRID[0] * _GRID[1]) for name, seen in cells.items()}


def _cells(view: BoardView, size_px: Mapping[str, tuple[int, int]]) -> list[tuple[str, int, int]]:
    part = (view.xy_px.numpy() + 0.5) / np.asarray(size_px[view.camera]) * _GRID
    inside = np.unique(np.clip(part.astype(int), 0, np.asarray(_GRID) - 1), axis=0)
    return [(view.camera, int(x), int(y)) for x, y in inside]


def _steadiness(views: Sequence[BoardView], size_px: Mapping[str, tuple[int, int]]) -> dict[int, float]:
    """Worth of every frame between 0 and 1, by the fastest motion that a camera saw in it."""
    at = {(view.camera, view.frame): view for view in views}
    worth: dict[int, float] = {}
    for (camera, frame), view in at.items():
        moves = [_motion_px(view, at[key]) for key in ((camera, frame - 1), (camera, frame + 1)) if key in at]
        if moves:
            value = 1.0 / (1.0 + min(moves) * 1280.0 / max(size_px[camera]) / _STEADY_PX)
            worth[frame] = min(worth.get(frame, 1.0), value)
    return worth


def _motion_px(one: BoardView, other: BoardView) -> float:
    """Median motion of the corners that both views have, pixels; infinite where they have none."""
    _, here, there = np.intersect1d(one.ids.numpy(), other.ids.numpy(), return_indices=True)
    if len(here) == 0:
        return float("inf")
    return float(np.median(np.linalg.norm(one.xy_px.numpy()[here] - other.xy_px.numpy()[there], axis=-1)))


def _appearance(view: BoardView, board: Board, size_px: tuple[int, int]) -> NDArray[np.float64]:
    """Where the board is in the image, how large, and how foreshortened in which direction: (5,) numbers."""
    xy = view.xy_px.numpy() / max(size_px)
    at = board.corners_xyz[view.ids, :2].numpy() / max(board.size_m)
    # The best affine map: its singular values are the scales along and across the tilt.
    affine = np.linalg.lstsq(np.c_[at, np.ones(len(at))], xy, rcond=None)[0][:2].T
    left, scales, _ = np.linalg.svd(affine)
    along, across = np.log(np.maximum(scales, 1e-6))
    angle = 2.0 * np.arctan2(left[1, 0], left[0, 0])
    tilt = min(along - across, 2.0)
    middle = xy.mean(0)
    return np.array(
        [
            2.0 * middle[0],
            2.0 * middle[1],
            0.5 * (along + across),
            tilt * np.cos(angle),
            tilt * np.sin(angle),
        ]
    )
