"""YOLOv8, YOLO11 and YOLO26 for objects, people for top-down networks, as Ultralytics exports them."""

from __future__ import annotations

import numpy as np

from mocap.detect.families.person_boxes import boxes_only
from mocap.detect.families.yolo_pose import UNIT_114
from mocap.detect.family import Code, Facts, Family, Size
from mocap.detect.network import Outputs
from mocap.detect.people import People, without_doubles

_MIN_SURE = 0.1
_MAX_OVERLAP = 0.65


def _count_grid(outputs: Outputs, size: Size) -> int | None:
    """0 for (1, 4 + classes, anchors): centre and size, then each class's confidence."""
    grid = sum((size[0] // stride) * (size[1] // stride) for stride in (8, 16, 32))
    fits = len(outputs) == 1 and outputs[0].ndim == 3 and outputs[0].shape[2] == grid
    return 0 if fits and outputs[0].shape[1] > 4 else None


def _read_grid(outputs: Outputs, size: Size) -> People:
    rows = outputs[0][0, :5].T.astype(float)  # people are the first class
    rows = rows[rows[:, 4] >= _MIN_SURE]
    center, half = rows[:, :2], rows[:, 2:4] / 2
    box = np.concatenate([center - half, center + half], axis=1)
    return without_doubles(boxes_only(box, rows[:, 4]), _MAX_OVERLAP)


def _count_list(outputs: Outputs, size: Size) -> int | None:
    """0 for (1, M, 6): corners, confidence, class."""
    return 0 if len(outputs) == 1 and outputs[0].ndim == 3 and outputs[0].shape[2] == 6 else None


def _read_list(outputs: Outputs, size: Size) -> People:
    rows = outputs[0][0].astype(float)
    rows = rows[rows[:, 5] == 0]
    return boxes_only(rows[:, :4], rows[:, 4])


FAMILY = Family(
    facts=Facts("YOLO", "54.7 (11x, boxes)", "AGPL-3.0"),
    codes=(
        Code(
            engine="person",
            pixels=UNIT_114,
            expected="one output (1, 4 + classes, anchors at strides 8, 16 and 32)",
            count=_count_grid,
            read=_read_grid,
        ),
        Code(
            engine="person",
            pixels=UNIT_114,
            expected="one output (1, M, 6)",
            count=_count_list,
            read=_read_list,
        ),
    ),
)
"""Both of Ultralytics' forms, with and without doubles."""
