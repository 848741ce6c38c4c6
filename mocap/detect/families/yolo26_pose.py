"""YOLO26 pose, as Ultralytics exports it: end to end, each person once."""

from __future__ import annotations

from mocap.detect.families.yolo_pose import UNIT_114
from mocap.detect.family import Code, Facts, Family, Size
from mocap.detect.names import names_by_number
from mocap.detect.network import Outputs
from mocap.detect.people import People


def _count(outputs: Outputs, size: Size) -> int | None:
    """(1, M, 6 + 3 K): corners, confidence, class, then x, y, visibility."""
    if len(outputs) != 1 or outputs[0].ndim != 3:
        return None
    _, people, values = outputs[0].shape
    return (values - 6) // 3 if values > 6 and (values - 6) % 3 == 0 and people <= 1000 else None


def _read(outputs: Outputs, size: Size) -> People:
    """Places are pixels, counted from the image's corner."""
    rows = outputs[0][0].astype(float)
    points = rows[:, 6:].reshape(len(rows), (rows.shape[1] - 6) // 3, 3)
    return People(points[..., :2], points[..., 2], rows[:, :4], rows[:, 4])


FAMILY = Family(
    facts=Facts("YOLO26 pose", "71.6 (x)", "AGPL-3.0"),
    codes=(
        Code(
            engine="image",
            pixels=UNIT_114,
            expected="one output (1, M, 6 + 3 K)",
            count=_count,
            read=_read,
        ),
    ),
    names=names_by_number("coco17", "halpe26"),
)
"""A short list of people."""
