"""MoveNet lightning and thunder (a person's crop) and multipose (a whole image), by Google."""

from __future__ import annotations

import numpy as np

from mocap.detect.family import Code, Facts, Family, Floats, Pixels, Size
from mocap.detect.names import names_by_number
from mocap.detect.network import Outputs
from mocap.detect.people import People


def _count_single(outputs: Outputs, size: Size) -> int | None:
    return 17 if len(outputs) == 1 and outputs[0].shape[1:] == (1, 17, 3) else None


def _read_single(outputs: Outputs, size: Size) -> tuple[Floats, Floats]:
    """y, x and score; 0 and 1 are the input's borders."""
    rows = outputs[0][:, 0].astype(np.float64)
    return rows[..., 1::-1] * np.array(size), rows[..., 2]


def _count_multi(outputs: Outputs, size: Size) -> int | None:
    return 17 if len(outputs) == 1 and outputs[0].ndim == 3 and outputs[0].shape[2] == 56 else None


def _read_multi(outputs: Outputs, size: Size) -> People:
    """17 times y, x and score, then ymin, xmin, ymax, xmax and score; 0 and 1 are the input's borders."""
    rows = outputs[0][0].astype(np.float64)
    points = rows[:, :51].reshape(-1, 17, 3)
    box = rows[:, [52, 51, 54, 53]] * np.array([*size, *size])
    return People(points[..., 1::-1] * np.array(size), points[..., 2], box, rows[:, 55])


_INTEGERS = Pixels()

FAMILY = Family(
    facts=Facts("MoveNet", "–", "Apache-2.0"),
    codes=(
        Code(
            engine="crop",
            pixels=_INTEGERS,
            expected="one output (1, 1, 17, 3): lightning or thunder",
            count=_count_single,
            read=_read_single,
            size_px=(256, 256),
            multiple=0,
        ),
        Code(
            engine="image",
            pixels=_INTEGERS,
            expected="one output (1, M, 56): multipose",
            count=_count_multi,
            read=_read_multi,
            size_px=(512, 512),
        ),
    ),
    names=names_by_number("coco17"),
    variants={"fast": "lightning", "standard": "thunder", "best": "thunder"},
)
"""Lightning is the fastest, thunder the most accurate, multipose finds six people at once."""
