"""YOLOv8 and YOLO11 pose, as Ultralytics exports them: many candidates, which overlap."""

from __future__ import annotations

import numpy as np

from mocap.detect.family import Code, Facts, Family, Pixels, Size
from mocap.detect.names import names_by_number
from mocap.detect.network import Outputs
from mocap.detect.people import People, without_doubles

UNIT_114 = Pixels(std=(255.0, 255.0, 255.0), fill=114)
"""RGB from 0 to 1, grey beyond the border."""
_MIN_SURE = 0.1
_MAX_OVERLAP = 0.65


def _count(outputs: Outputs, size: Size) -> int | None:
    """(1, 5 + 3 K, anchors): centre, size, confidence, then x, y, visibility."""
    if len(outputs) != 1 or outputs[0].ndim != 3:
        return None
    _, values, anchors = outputs[0].shape
    grid = sum((size[0] // stride) * (size[1] // stride) for stride in (8, 16, 32))
    return (values - 5) // 3 if values > 5 and (values - 5) % 3 == 0 and anchors == grid else None


def _read(outputs: Outputs, size: Size) -> People:
    """Places are pixels, counted from the image's corner."""
    rows = outputs[0][0].T
    rows = rows[rows[:, 4] >= _MIN_SURE].astype(float)
    center, half = rows[:, :2], rows[:, 2:4] / 2
    points = rows[:, 5:].reshape(len(rows), (rows.shape[1] - 5) // 3, 3)
    box = np.concatenate([center - half, center + half], axis=1)
    return without_doubles(People(points[..., :2], points[..., 2], box, rows[:, 4]), _MAX_OVERLAP)


FAMILY = Family(
    facts=Facts("YOLOv8, YOLO11 pose", "69.5 (11x)", "AGPL-3.0"),
    codes=(
        Code(
            engine="image",
            pixels=UNIT_114,
            expected="one output (1, 5 + 3 K, anchors at strides 8, 16 and 32)",
            count=_count,
            read=_read,
        ),
    ),
    names=names_by_number("coco17", "halpe26"),
)
"""Candidates of three grids; the suppression of doubles is left to us."""
