"""YOLOX, people for top-down networks: Z. Ge et al., YOLOX: Exceeding YOLO Series in 2021."""

from __future__ import annotations

import numpy as np

from mocap.detect.families.person_boxes import boxes_only, count_labelled, read_labelled
from mocap.detect.families.rtmo import BGR_114
from mocap.detect.family import Code, Facts, Family, Size
from mocap.detect.network import Outputs
from mocap.detect.people import People, without_doubles

_STRIDES = (8, 16, 32)
_MIN_SURE = 0.1
_MAX_OVERLAP = 0.65


def _grid(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) cells of three grids, x before y, and (N, 1) their strides."""
    cells, strides = [], []
    for stride in _STRIDES:
        y, x = np.mgrid[: size[1] // stride, : size[0] // stride]
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(cells), np.concatenate(strides)


def _count(outputs: Outputs, size: Size) -> int | None:
    """0 for (1, cells of three grids, 5 + classes)."""
    fits = len(outputs) == 1 and outputs[0].ndim == 3 and outputs[0].shape[1] == len(_grid(size)[0])
    return 0 if fits and outputs[0].shape[2] > 5 else None


def _read(outputs: Outputs, size: Size) -> People:
    """Centre in cells, logarithm of the size, objectness, and the classes, of which people are the first."""
    rows = outputs[0][0].astype(float)
    cells, strides = _grid(size)
    sure = rows[:, 4] * rows[:, 5]
    kept = sure >= _MIN_SURE
    center = (rows[kept, :2] + cells[kept]) * strides[kept]
    half = np.exp(rows[kept, 2:4]) * strides[kept] / 2
    box = np.concatenate([center - half, center + half], axis=1)
    return without_doubles(boxes_only(box, sure[kept]), _MAX_OVERLAP)


FAMILY = Family(
    facts=Facts("YOLOX", "50.0 (l, boxes)", "Apache-2.0"),
    codes=(
        Code(
            engine="person",
            pixels=BGR_114,
            expected="two outputs, dets (1, M, 5) and labels (1, M)",
            count=count_labelled,
            read=read_labelled,
            multiple=0,
            corner=True,
        ),
        Code(
            engine="person",
            pixels=BGR_114,
            expected="one output (1, cells at strides 8, 16 and 32, 5 + classes)",
            count=_count,
            read=_read,
            multiple=0,
            corner=True,
        ),
    ),
)
"""As MMDeploy exports it, with labels, or as its own makers do, as a grid."""
