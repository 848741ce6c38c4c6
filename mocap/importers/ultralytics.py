"""Ultralytics: one text file a frame, a line a person: class, box, keypoints as shares of the image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mocap.errors import InputError
from mocap.importers.frames import numbered
from mocap.importers.text_files import read_text
from mocap.importers.view import Options, View, build_view, names_for
from mocap.keypoints import FloatArray

_BOX = 5
"""Numbers before the keypoints: class, and the box's centre and size."""
_LONGEST = 2**20


def kind(path: Path) -> str | None:
    """``frames`` if a file has lines of class, box and keypoints; an empty one says nothing."""
    if path.suffix != ".txt" or path.stat().st_size > _LONGEST:
        return None
    rows = _rows(path, strict=False)
    if not rows or any(len(row) < _BOX + 4 or row[0] != int(row[0]) or row[0] < 0 for row in rows):
        return None
    boxes = np.array([row[1:_BOX] for row in rows])
    return "frames" if ((boxes >= 0) & (boxes <= 1)).all() else None


def read(camera: str, files: Sequence[Path], options: Options) -> list[View]:
    """The frames of one camera. Ultralytics numbers them from 1; here they begin at 0."""
    frames = {number: (path, _rows(path, strict=True)) for number, path in numbered(files)}
    widths = sorted({len(row) - _BOX for _, rows in frames.values() for row in rows})
    layout = _layout(widths, files[0].parent)
    first = 1 if 0 not in frames else 0
    people = {n - first: [_person(row, *layout) for row in rows] for n, (_, rows) in frames.items()}
    return [build_view(camera, people, names_for(layout[0], options, camera), normalised=True)]


def _layout(widths: Sequence[int], where: Path) -> tuple[int, int]:
    """Keypoints, and numbers for each (x, y, perhaps visibility); a score and a track may follow them."""
    if not widths:
        return 17, 3
    for extra in (0, 1, 2):
        count, left = divmod(widths[0] - extra, 3)
        if not left and all(width - widths[0] in (0, 1, 2) for width in widths) and count >= 1:
            return count, 3
    for extra in (0, 1, 2):
        count, left = divmod(widths[0] - extra, 2)
        if not left and count >= 1:
            return count, 2
    raise InputError(f"lines of {widths[0] + _BOX} numbers are no keypoints", where=where)


def _person(row: Sequence[float], count: int, each: int) -> FloatArray:
    points = np.array(row[_BOX : _BOX + count * each]).reshape(count, each)
    if each == 2:
        return np.concatenate([points, np.ones((count, 1))], axis=1)
    if np.isin(points[:, 2], (0, 1, 2)).all() and (points[:, 2] == 2).any():  # flags of a label, not scores
        points[:, 2] = np.choose(points[:, 2].astype(int), (0.0, 0.5, 1.0))
    return points


def _rows(path: Path, *, strict: bool) -> list[list[float]]:
    try:
        return [
            [float(cell) for cell in line.split()] for line in read_text(path).splitlines() if line.strip()
        ]
    except (ValueError, InputError) as error:
        if strict:
            raise InputError("holds something else than numbers", where=path) from error
        return []
