"""Decoding of person detectors that give boxes and labels, which RTMDet and YOLOX share."""

from __future__ import annotations

import numpy as np

from mocap.detect.family import Floats, Size
from mocap.detect.network import Outputs
from mocap.detect.people import People


def boxes_only(box: Floats, sure: Floats) -> People:
    """People without keypoints."""
    nothing = np.zeros((len(box), 0))
    return People(np.zeros((len(box), 0, 2)), nothing, box, sure)


def count_labelled(outputs: Outputs, size: Size) -> int | None:
    """0 for dets (1, M, 5) and labels (1, M)."""
    shapes = [output.shape for output in outputs]
    fits = len(shapes) == 2 and len(shapes[0]) == 3 and shapes[0][2] == 5 and shapes[1] == shapes[0][:2]
    return 0 if fits else None


def read_labelled(outputs: Outputs, size: Size) -> People:
    """Corners and confidence of those with label 0, which is people."""
    rows = outputs[0][0][outputs[1][0] == 0].astype(float)
    return boxes_only(rows[:, :4] + 0.5, rows[:, 4])
