"""Which board do these images show, if not the one that was described?

The markers that are seen tell the dictionary and the polarity; where they lie to one another tells the
columns, the kind of board and the size of a marker in its square, for one homography must explain them all;
the largest number, and the places where no marker is, tell the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.boards.board import Board
from calibration.boards.detection import BoardDetector, GrayImage
from calibration.boards.markers import dictionary_families, opencv_dictionary
from calibration.homography import homography_of, project

Array = NDArray[np.float64]

_MANY_MARKERS = 3
"""Markers in each image that no wrong dictionary shows."""
_MOST_COLUMNS = 24
"""Widest board that is thought of."""
_NEAR = 0.15
"""How far a marker's corner may lie from its place, in sides of a marker."""
_CONSISTENT = 0.8
"""Part of all markers that must lie as on a board."""
_RATIOS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85)
"""Sides of a marker in sides of its square, as boards are printed."""
_RATIO_ERROR = 0.05
"""A marker whose size is described worse than this is worth a word."""
_MOST_LAYOUTS = 4
"""Layouts that are tried out, the best fitting ones."""
_ABSENT = 3
"""Images in which a row of markers should be seen and is not: it does not exist."""


class _Seen(NamedTuple):
    """The markers of one image."""

    ids: NDArray[np.int64]
    """(M,) numbers in the dictionary."""
    xy_px: Array
    """(M, 4, 2) pixels."""


def suggest_board(images: Sequence[GrayImage], board: Board) -> Board | None:
    """The board that these images seem to show, if its corners are found where the given one's are not.

    Args:
        images: (H, W) uint8 each, about ten that show the board.
        board: the board as it was described.

    Returns:
        A board of which more corners are found in the images; None where there is none.
    """
    best, most = None, _found(images, board)
    for candidate in _candidates(images, board):
        count = _found(images, candidate)
        if count > most:
            best, most = candidate, count
    return best


def board_differences(described: Board, shown: Board) -> list[str]:
    """What is wrong with the description of a board, one sentence for each thing, most telling first."""
    found: list[str] = []
    sizes = (described.columns, described.rows), (shown.columns, shown.rows)
    if described.type != shown.type:
        found.append(f"it is a {shown.type} board, not {described.type}")
    if described.inverted != shown.inverted:
        found.append("black and white are exchanged on the print" if shown.inverted else "it is not inverted")
    if shown.type != "chessboard" and described.dictionary != shown.dictionary:
        found.append(f"its markers are of {shown.dictionary}, not {described.dictionary}")
    if sizes[0] != sizes[1]:
        swapped = sizes[0] == sizes[1][::-1]
        what = "columns and rows are exchanged" if swapped else "the size is wrong"
        found.append(f"{what}: it has {shown.columns} columns and {shown.rows} rows")
    if described.legacy != shown.legacy:
        found.append("it is of OpenCV's pattern before 4.6" if shown.legacy else "it is not a legacy board")
    if described.marker_ids != shown.marker_ids and shown.used_marker_ids:
        found.append(f"its markers are numbered from {shown.used_marker_ids[0]}")
    if shown.type != "chessboard" and described.marker_m != shown.marker_m:
        found.append(f"a marker is {shown.marker_m / shown.square_m:.2f} of a square wide")
    return found


def _found(images: Sequence[GrayImage], board: Board) -> int:
    """Corners found in all images; a board with few corners cannot win by being found everywhere."""
    return sum(len(BoardDetector(board)(image).ids) for image in images)


def _candidates(images: Sequence[GrayImage], board: Board) -> Iterator[Board]:
    if board.type == "chessboard":
        yield from _chessboards(board)
        return
    printed, seen = _with_dictionary(images, board)
    if sum(len(one.ids) for one in seen) >= len(images):
        yield from _layouts(printed, seen, [image.shape for image in images])
    else:
        inner = replace(
            board, type="chessboard", columns=board.columns - 1, rows=board.rows - 1, marker_ids=()
        )
        if min(inner.columns, inner.rows) >= 3:
            yield from _chessboards(inner)


def _chessboards(board: Board) -> Iterator[Board]:
    """The board itself, turned, and one larger or smaller each way."""
    sizes = [(board.columns, board.rows), (board.rows, board.columns)]
    for columns, rows in list(sizes):
        sizes += [(columns + i, rows + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    for columns, rows in dict.fromkeys(sizes):
        if min(columns, rows) >= 3:
            yield replace(board, columns=columns, rows=rows)


def _with_dictionary(images: Sequence[GrayImage], board: Board) -> tuple[Board, list[_Seen]]:
    """The board in the polarity and the dictionary of which most markers are seen, and these markers."""
    families = dictionary_families()
    own = next(family for family in families if board.dictionary in family)
    families = [own, *(family for family in families if family is not own)]
    best, most = (board, [_Seen(np.empty(0, np.int64), np.empty((0, 4, 2)))] * len(images)), 0
    for family in families:
        for inverted in (board.inverted, not board.inverted):
            seen = [_markers(255 - image if inverted else image, family[-1]) for image in images]
            count = sum(len(one.ids) for one in seen)
            if count > most:
                top = max(int(one.ids.max()) for one in seen if len(one.ids))
                name = _smallest([board.dictionary, *family] if family is own else family, top)
                # Ids and cells are matched later: here they only have to fit.
                best, most = (replace(board, inverted=inverted, dictionary=name), seen), count
        if most >= _MANY_MARKERS * len(images):
            break
    return best


def _smallest(names: Sequence[str], top: int) -> str:
    """The first dictionary with this marker."""
    return next(name for name in names if len(opencv_dictionary(name, 0).bytesList) > top)


def _markers(gray: GrayImage, dictionary: str) -> _Seen:
    import cv2

    found: Any = cv2.aruco.ArucoDetector(opencv_dictionary(dictionary, 0)).detectMarkers(gray)
    corners, ids = found[:2]
    if ids is None:
        return _Seen(np.empty(0, np.int64), np.empty((0, 4, 2)))
    ids, first = np.unique(np.asarray(ids).reshape(-1), return_index=True)
    return _Seen(ids.astype(np.int64), np.asarray(corners, np.float64).reshape(-1, 4, 2)[first])


def _layouts(board: Board, seen: Sequence[_Seen], shapes: Sequence[tuple[int, ...]]) -> Iterator[Board]:
    """Boards on which the markers could lie as they are seen, the likeliest first."""
    useful = [(one, shape) for one, shape in zip(seen, shapes, strict=True) if len(one.ids) >= 2]
    if not useful:
        return
    total = sum(len(one.ids) for one, _ in useful)
    lowest = min(int(one.ids.min()) for one, _ in useful)
    scored: list[tuple[int, bool, int, Board]] = []
    for order, candidate in enumerate(_patterns(board, [one for one, _ in useful])):
        fits = sum(_num_consistent(one, candidate) for one, _ in useful)
        if fits >= _CONSISTENT * total:
            # Whole rows at the top that nobody ever saw are rather the numbers of another board.
            rows_unseen = not board.marker_ids and lowest - candidate.used_marker_ids[0] >= candidate.columns
            scored.append((-fits, rows_unseen, order, candidate))
    for *_, candidate in sorted(scored, key=lambda entry: entry[:3])[:_MOST_LAYOUTS]:
        yield from _with_rows(candidate, board, useful)


def _patterns(board: Board, seen: Sequence[_Seen]) -> Iterator[Board]:
    """Tall boards of every width, kind, ratio and first number, the described ones first."""
    lowest, top = min(int(one.ids.min()) for one in seen), max(int(one.ids.max()) for one in seen)
    own = board.used_marker_ids[0] if board.marker_ids else 0
    described = board.marker_m / board.square_m
    kinds: list[tuple[str, bool]] = [
        ("charuco", board.legacy),
        ("charuco", not board.legacy),
        ("aruco", False),
    ]
    kinds.sort(key=lambda kind: kind[0] != board.type)
    widths = dict.fromkeys([board.columns, board.rows, *range(1, _MOST_COLUMNS + 1)])
    choices = product(dict.fromkeys([own, 0, lowest]), dict.fromkeys([described, *_RATIOS]), kinds, widths)
    for first, ratio, (kind, legacy), columns in choices:
        if columns >= 3 or kind == "aruco":
            yield _tall(board, kind, columns, ratio, first, top, legacy=legacy)


def _tall(
    board: Board, kind: str, columns: int, ratio: float, first: int, top: int, *, legacy: bool
) -> Board:
    """A board of this width with at least all markers up to the largest number."""
    plain = replace(
        board, type=kind, columns=columns, marker_m=ratio * board.square_m, marker_ids=(), legacy=legacy
    )
    rows = max(4, 2 * -(-(top - first + 1) // columns) + 2)  # even, for the pattern to follow ``legacy``
    return _numbered(replace(plain, rows=rows), first)


def _numbered(board: Board, first: int) -> Board:
    if first == 0:
        return board
    return replace(board, marker_ids=tuple(first + i for i in range(len(board.marker_cells))))


def _num_consistent(seen: _Seen, board: Board) -> int:
    """Markers of one image that one homography explains."""
    row_of = {marker: row for row, marker in enumerate(board.used_marker_ids)}
    known = np.array([marker in row_of for marker in seen.ids.tolist()])
    if known.sum() < 2:
        return 0
    rows = [row_of[marker] for marker in seen.ids[known].tolist()]
    plane, image = board.marker_corners_xy[rows].reshape(-1, 2), seen.xy_px[known]
    side = np.linalg.norm(image - image[:, [1, 2, 3, 0]], axis=-1).max(-1, keepdims=True)
    off = project(homography_of(plane, image.reshape(-1, 2)), plane).reshape(-1, 4, 2) - image
    return int((np.linalg.norm(off, axis=-1) < _NEAR * side).all(-1).sum())


def _with_rows(
    tall: Board, described: Board, useful: Sequence[tuple[_Seen, tuple[int, ...]]]
) -> Iterator[Board]:
    """The same with as many rows as the images speak for: those described unless markers are missed."""
    first = tall.used_marker_ids[0]
    top = max(int(one.ids.max()) for one, _ in useful)
    fewest = 3 if tall.type == "charuco" else 1
    told = {described.columns: [described.rows], described.rows: [described.columns]}.get(tall.columns, [])
    for rows in dict.fromkeys([*told, *range(fewest, tall.rows + 1)]):
        if rows < fewest or (tall.type == "charuco" and tall.legacy and rows % 2):
            continue
        board = _numbered(replace(tall, rows=rows, marker_ids=()), first)
        if board.used_marker_ids[-1] < top or _misses_a_row(board, top, useful):
            continue
        if tall.type == "charuco" and rows % 2:
            board = replace(board, legacy=described.legacy)
        ratio = described.marker_m / described.square_m
        if abs(board.marker_m / board.square_m / ratio - 1.0) < _RATIO_ERROR:
            board = replace(board, marker_m=described.marker_m)
        if _fits(board):
            yield board
        return


def _misses_a_row(board: Board, top: int, useful: Sequence[tuple[_Seen, tuple[int, ...]]]) -> bool:
    """Whether markers beyond the largest number should be in some images and are not."""
    ids = np.array(board.used_marker_ids)
    if not (ids > top).any():
        return False
    row_of = {marker: row for row, marker in enumerate(board.used_marker_ids)}
    absent = 0
    for one, shape in useful:
        rows = [row_of[marker] for marker in one.ids.tolist() if marker in row_of]
        plane = board.marker_corners_xy[rows].reshape(-1, 2)
        at = project(homography_of(plane, one.xy_px.reshape(-1, 2)), board.marker_corners_xy[ids > top])
        limit = np.array(shape[::-1]) - 10.0
        absent += bool(((at > 10.0) & (at < limit)).all((-1, -2)).any())
    return absent >= min(_ABSENT, len(useful))


def _fits(board: Board) -> bool:
    return max(board.used_marker_ids) < len(opencv_dictionary(board.dictionary, 0).bytesList)
