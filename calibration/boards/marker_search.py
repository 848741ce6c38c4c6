"""Finding the markers of one board in image after image, coarse to fine and first where the board last was.

A search costs in proportion to the pixels that it looks at, so it begins near the last board, at the scale
at which a marker's modules are a few pixels wide, and goes on to the whole image, halved and full, until
something is found. OpenCV finds some markers; where the others must be follows from the board, and whether
they are there from the grey values of their modules at full size. That second look finds markers whose
outline is broken or blurred, and costs next to nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.boards.board import Board
from calibration.boards.markers import marker_modules, opencv_dictionary
from calibration.homography import homography_of, predict, project

Array = NDArray[np.float64]
GrayImage = NDArray[np.uint8]

_MODULE_PX = 4.0
"""Width of a module in the image that is searched near the last board."""
_SHRINK = 0.8
"""A search at more than this scale is made in the image itself."""
_COARSE_PX = 640
"""An image longer than this is searched at half its size first, and again, down to this length."""
_WINDOW_PX = 15
"""Threshold window at every scale, pixels: coarse searches see large markers, fine ones small markers."""
_EDGES_PX = 3
"""Threshold window that shows markers which are so small that they are all edges."""
_SMALL_PX = 25.0
"""Side of such a marker."""
_SMALL_PART = 0.25
"""A part of the image that is small enough to be searched for such markers as well."""
_MARGIN = 0.4
"""How far round the last board is searched, in its size."""
_CELL_PX = 8
"""Side of the cells by whose mean grey value an image is compared with an earlier one without a board."""
_CHANGE = 4.0
"""Grey levels by which a cell's mean changes where something moved; noise and compression move it by one."""
_GROW_CELLS = 4
"""Cells round a change that are searched with it."""
_BIT_ERRORS = 0.12
"""Part of a marker's modules that may be read wrongly where its place is known."""
_LEAST_CONTRAST = 12.0
"""Grey levels between the white and the black modules of a marker."""
_LEAST_PART = 0.3
"""The same in that of the board's other markers."""
_PARTIAL = 0.75
"""Part of the markers that should be in the image below which it is searched at full size."""
_CONSISTENT = 0.6
"""Part of the markers that must lie as on the board: fewer, and it is another board."""
_OFF_BOARD = 0.2
"""How far a marker's corner may lie from where the board has it, in sides of a marker; lenses bend boards."""


class Markers(NamedTuple):
    """Markers of a board in one image."""

    rows: NDArray[np.int64]
    """(M,) which of the board's markers, ascending."""
    xy_px: Array
    """(M, 4, 2) pixels, clockwise from the top left as printed."""
    num_seen: int
    """Markers that were seen, whether they lie as on the board or not."""
    contrast: float
    """Grey levels between white and black on the board."""


class _Place(NamedTuple):
    """Where the board was."""

    low: Array
    """(2,) smallest x and y, pixels."""
    high: Array
    """(2,) largest x and y, pixels."""
    marker_px: float
    """Side of the smallest marker, pixels."""


class MarkerSearch:
    """Finds a board's markers.

    Raises:
        CalibrationError: OpenCV has no such dictionary, or it is too small for the board.
    """

    def __init__(self, board: Board) -> None:
        self.inverted = board.inverted
        self.corners_m = board.marker_corners_xy  # (M, 4, 2)
        ids = board.used_marker_ids
        self._dark = marker_modules(board.dictionary, ids)  # (M, S, S)
        self._opencv = {px: _opencv_search(board.dictionary, ids, px) for px in (_WINDOW_PX, _EDGES_PX)}
        modules = self._dark.shape[-1]
        at = (np.arange(modules) + np.array([[-0.2], [0.2]]) + 0.5) / modules  # (2, S)
        x, y = np.meshgrid(at.T.reshape(-1), at.T.reshape(-1))
        self._samples = np.stack([x, y], -1).reshape(modules, 2, modules, 2, 2).transpose(0, 2, 1, 3, 4)
        self._near: _Place | None = None
        self._empty: NDArray[np.float32] | None = None
        self._empty_seen = 0

    def __call__(self, gray: GrayImage) -> Markers:
        """The markers in an (H, W) image."""
        found = _no_markers(0)
        if self._near is not None:
            region, scale = self._near_region(gray, self._near)
            found = self._locate(gray, region, scale)
            if not len(found.rows) and self._near.marker_px < _SMALL_PX:
                found = self._locate(gray, region, 1.0, _EDGES_PX)
        if not len(found.rows):
            found = self._search_changed(gray)
        if (place := _place(found)) is not None and self._is_partial(gray, found):
            region, _ = self._near_region(gray, place)
            window_px = _EDGES_PX if place.marker_px < _SMALL_PX else _WINDOW_PX
            finer = self._locate(gray, region, 1.0, window_px)
            found = finer if len(finer.rows) > len(found.rows) else found
        self._near = _place(found)
        return found

    def _is_partial(self, gray: GrayImage, found: Markers) -> bool:
        """Whether many markers were not found that should be in the image."""
        expected = predict(self.corners_m[found.rows], found.xy_px, self.corners_m)
        inside = ((expected >= 1.0) & (expected <= np.array(gray.shape[::-1]) - 2.0)).all((-1, -2))
        return len(found.rows) < _PARTIAL * inside.sum()

    def _search_changed(self, gray: GrayImage) -> Markers:
        """Search what is not as in an earlier image in which there was no board."""
        cells = _cell_means(gray)
        box = np.array([0, 0, gray.shape[1], gray.shape[0]])
        if self._empty is not None and self._empty.shape == cells.shape:
            changed = np.argwhere(np.abs(cells - self._empty) > _CHANGE)
            if not len(changed):
                return _no_markers(self._empty_seen)
            low = (changed.min(0) - _GROW_CELLS)[::-1] * _CELL_PX
            high = (changed.max(0) + _GROW_CELLS + 1)[::-1] * _CELL_PX
            box = np.concatenate([np.maximum(low, 0), np.minimum(high, gray.shape[::-1])])
        most = 0
        searches = [(scale, _WINDOW_PX) for scale in _scales(box)]
        if self._empty is None or (box[2:] - box[:2]).prod() < _SMALL_PART * gray.size:
            searches.append((1.0, _EDGES_PX))
        for scale, window_px in searches:
            found = self._locate(gray, box, scale, window_px)
            if len(found.rows):
                return found
            most = max(most, found.num_seen)
        # Cells outside the box keep their older values, so that slow changes add up until they are looked at.
        left, top, right, bottom = box // _CELL_PX
        if self._empty is None or self._empty.shape != cells.shape:
            self._empty = cells
        self._empty[top : bottom + 1, left : right + 1] = cells[top : bottom + 1, left : right + 1]
        self._empty_seen = most
        return _no_markers(most)

    def _near_region(self, gray: GrayImage, near: _Place) -> tuple[NDArray[np.int64], float]:
        """The part of the image (left, top, right, bottom) round the last board, and its scale."""
        height, width = gray.shape
        reach = _MARGIN * (near.high - near.low).max() + 8.0
        low = np.clip(near.low - reach, 0, [width - 1, height - 1]).astype(int)
        high = np.clip(near.high + reach, 1, [width, height]).astype(int)
        scale = _MODULE_PX * self._dark.shape[-1] / near.marker_px
        return np.array([*low, *high]), float(np.clip(scale, 0.1, 1.0))

    def _locate(
        self, gray: GrayImage, box: NDArray[np.int64], scale: float, window_px: int = _WINDOW_PX
    ) -> Markers:
        """Markers that lie as on the board, those included that only the board tells of."""
        rows, xy = self._outlined(gray, box, scale, window_px)
        if not len(rows):
            return _no_markers(0)
        seen = len(rows)
        rows, xy = self._consistent(rows, xy)
        if not len(rows):
            return _no_markers(seen)
        if scale < _SHRINK:
            xy = sharpen(gray, xy)
        rows, xy, contrast = self._complete(gray, rows, xy)
        if len(rows) < min(2, len(self.corners_m)):
            return _no_markers(seen)
        order = np.argsort(rows)
        return Markers(rows[order], xy[order], max(seen, len(rows)), contrast)

    def _outlined(
        self, gray: GrayImage, box: NDArray[np.int64], scale: float, window_px: int
    ) -> tuple[NDArray[np.int64], Array]:
        """Rows and (M, 4, 2) pixels of the markers whose outlines OpenCV finds, each once."""
        import cv2

        part = gray[box[1] : box[3], box[0] : box[2]]
        if scale < _SHRINK:
            part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        stretch = np.array([box[2] - box[0], box[3] - box[1]]) / np.array(part.shape[::-1])
        corners, ids, _ = self._opencv[window_px].detectMarkers(255 - part if self.inverted else part)
        if ids is None:
            return np.empty(0, np.int64), np.empty((0, 4, 2))
        rows, first = np.unique(ids.reshape(-1), return_index=True)
        xy = np.asarray(corners, np.float64).reshape(-1, 4, 2)[first]
        return rows.astype(np.int64), (xy + 0.5) * stretch - 0.5 + box[:2]

    def _consistent(self, rows: NDArray[np.int64], xy: Array) -> tuple[NDArray[np.int64], Array]:
        """The markers that one homography from the board explains, if they are most."""
        import cv2

        if len(rows) == 1:
            return rows, xy
        sides = np.linalg.norm(xy - xy[:, [1, 2, 3, 0]], axis=-1)
        reach = max(3.0, _OFF_BOARD * float(np.median(sides)))
        plane, image = self.corners_m[rows].reshape(-1, 2), xy.reshape(-1, 2)

        def fits(homography: Array) -> NDArray[np.bool_]:
            off = np.linalg.norm(project(homography, plane) - image, axis=-1)
            return (off < reach).reshape(-1, 4).all(-1)

        good = fits(homography_of(plane, image))
        if not good.all():
            robust: Any = cv2.findHomography(plane, image, cv2.RANSAC, reach)[0]
            good = np.zeros(len(rows), bool) if robust is None else fits(robust)
        if good.sum() < max(2, _CONSISTENT * len(rows)):
            return rows[:0], xy[:0]
        return rows[good], xy[good]

    def _complete(
        self, gray: GrayImage, rows: NDArray[np.int64], xy: Array
    ) -> tuple[NDArray[np.int64], Array, float]:
        """Add the markers that are read where the known ones place them; and the contrast of the known."""
        contrast = float(np.median(self._read(gray, rows, xy)[0]))
        limit = np.array(gray.shape[::-1]) - 2.0
        while len(rows) < len(self.corners_m):
            missing = np.setdiff1d(np.arange(len(self.corners_m)), rows)
            expected = predict(self.corners_m[rows], xy, self.corners_m[missing])
            inside = ((expected >= 1.0) & (expected <= limit)).all((-1, -2))
            missing, expected = missing[inside], expected[inside]
            steps, read = self._read(gray, missing, expected)
            new = read & (steps > _LEAST_PART * contrast)
            if not new.any():
                break
            rows = np.concatenate([rows, missing[new]])
            xy = np.concatenate([xy, sharpen(gray, expected[new])])
        return rows, xy, contrast

    def _read(self, gray: GrayImage, rows: NDArray[np.int64], xy: Array) -> tuple[Array, NDArray[np.bool_]]:
        """(M,) contrast of the modules, and whether they are those of the marker at that place."""
        samples = self._samples
        values = sample(gray, _in_quads(xy, samples.reshape(-1, 2)))
        values = values.reshape(len(rows), *samples.shape[:-1]).mean((-1, -2))  # (M, S, S)
        if self.inverted:
            values = 255.0 - values
        dark = self._dark[rows]
        num_dark = dark.sum((-1, -2))
        black = (values * dark).sum((-1, -2)) / num_dark
        white = (values * ~dark).sum((-1, -2)) / (dark[0].size - num_dark if len(dark) else 1)
        wrong = (values < ((white + black) / 2.0)[:, None, None]) != dark
        return white - black, (wrong.mean((-1, -2)) <= _BIT_ERRORS) & (white - black > _LEAST_CONTRAST)


def sample(gray: GrayImage, at: Array) -> Array:
    """Grey values of the nearest pixels, those at the image's edge beyond it; ``at`` is (..., 2) pixels."""
    at = np.nan_to_num(at)
    column = np.clip(np.rint(at[..., 0]), 0, gray.shape[1] - 1).astype(np.intp)
    row = np.clip(np.rint(at[..., 1]), 0, gray.shape[0] - 1).astype(np.intp)
    return gray[row, column].astype(np.float64)


def sharpen(gray: GrayImage, corners: Array) -> Array:
    """Predicted corners of markers, (M, 4, 2) pixels, moved to those in the image where they are near."""
    import cv2

    side = float(np.linalg.norm(corners - corners[:, [1, 2, 3, 0]], axis=-1).min())
    half = min(5, round(0.08 * side))
    if half < 2:  # the squares round a small marker are too near to tell its corners from theirs
        return corners
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 0.05)
    start = np.ascontiguousarray(corners.reshape(-1, 1, 2), np.float32)
    moved = cv2.cornerSubPix(gray, start.copy(), (half, half), (-1, -1), criteria).reshape(corners.shape)
    near = np.linalg.norm(moved - corners, axis=-1, keepdims=True) <= half
    return np.where(near, moved, corners).astype(np.float64)


def _in_quads(corners: Array, unit: Array) -> Array:
    """Points of the unit square inside quadrangles, perspective included.

    Args:
        corners: (M, 4, 2) quadrangles, clockwise from the image of the square's origin.
        unit: (N, 2) points of the square.

    Returns:
        (M, N, 2), by the projective map from square to quadrangle (Heckbert 1989, section 2.2.3).
    """
    first, second, third, fourth = (corners[:, i] for i in range(4))
    one, two, rest = second - third, fourth - third, first - second + third - fourth
    area = _cross(one, two)
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)
    g, h = (_cross(rest, two) / area)[:, None], (_cross(one, rest) / area)[:, None]
    across, down = second - first + g * second, fourth - first + h * fourth
    u, v = unit[None, :, :1], unit[None, :, 1:]
    depth = g[..., None] * u + h[..., None] * v + 1.0
    depth = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
    return (across[:, None] * u + down[:, None] * v + first[:, None]) / depth


def _cross(a: Array, b: Array) -> Array:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _place(found: Markers) -> _Place | None:
    """Where the markers are, for the next image."""
    if not len(found.rows):
        return None
    corners = found.xy_px.reshape(-1, 2)
    sides = np.linalg.norm(found.xy_px - found.xy_px[:, [1, 2, 3, 0]], axis=-1)
    return _Place(
        corners.min(0), corners.max(0), max(4.0, float(np.sort(sides.reshape(-1))[sides.size // 5]))
    )


def _cell_means(gray: GrayImage) -> NDArray[np.float32]:
    """Mean grey values of cells of the image, (H / 8, W / 8)."""
    import cv2

    height, width = (max(1, side // _CELL_PX) for side in gray.shape)
    part = gray[: height * _CELL_PX, : width * _CELL_PX]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)


def _scales(box: NDArray[np.int64]) -> list[float]:
    """Scales at which a part of the image is searched, coarse to fine."""
    scales = [1.0]
    while scales[0] * max(box[2] - box[0], box[3] - box[1]) > _COARSE_PX * 1.5:
        scales.insert(0, scales[0] / 2.0)
    return scales


def _no_markers(num_seen: int) -> Markers:
    return Markers(np.empty(0, np.int64), np.empty((0, 4, 2)), num_seen, 0.0)


def _opencv_search(name: str, ids: tuple[int, ...], window_px: int) -> Any:
    """OpenCV's detector for these markers alone, numbered by their place in ``ids``."""
    import cv2

    full = opencv_dictionary(name, max(ids) + 1)
    own = cv2.aruco.Dictionary(full.bytesList[list(ids)].copy(), full.markerSize, full.maxCorrectionBits)
    parameters = cv2.aruco.DetectorParameters()
    parameters.adaptiveThreshWinSizeMin = parameters.adaptiveThreshWinSizeMax = window_px
    return cv2.aruco.ArucoDetector(own, parameters)
