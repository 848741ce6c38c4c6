"""MediaPipe's palm detector: where hands are in a square of the image, and which way they point."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocap.detect.interpreter import Network
from mocap.detect.person import Candidates, anchor_grid, decode_anchors, merge_overlapping
from mocap.detect.region import Floats, Region

INPUT_SIZE = 192
_STRIDES = {8: 2, 16: 6}
"""Anchors at each place of the grid with this stride, in pixels of the input."""
_ANCHORS = 2016
_POINTS = 7
_WRIST, _MIDDLE = 0, 2
"""Places of the wrist and of the middle finger's knuckle among the palm's points."""
_ENLARGE = 2.6
"""A hand with its fingers in sides of its palm's box (MediaPipe's own)."""
_TOWARDS_FINGERS = 0.5
"""How far the hand's middle lies beyond the palm's, in sides of the palm's box (MediaPipe's own)."""


@cache
def anchor_centers() -> Floats:
    """(2016, 2) uv centres of the anchors, in the order of the network's output."""
    return anchor_grid(_STRIDES, INPUT_SIZE)


def decode(raw: Floats, logits: Floats) -> Candidates:
    """The network's output (2016, 18) and (2016,) as palms; see ``decode_anchors``."""
    return decode_anchors(raw, logits, anchor_centers(), INPUT_SIZE)


class PalmDetector:
    """Finds hands in a square of an image."""

    def __init__(self, path: Path) -> None:
        self._network = Network(path, outputs=((_ANCHORS, 4 + 2 * _POINTS), (_ANCHORS, 1)))

    def hands(self, rgb: NDArray[np.uint8], frame: Region) -> list[Region]:
        """Regions of the hands in a square of an image (H, W, 3), surest first, each pointing upwards."""
        square = frame.cut_out(rgb, INPUT_SIZE, black_outside=True)
        raw, logits = self._network(square.astype(np.float32) / np.float32(255))
        found = merge_overlapping(decode(raw, logits[:, 0]))
        return [hand_region(frame, box, points) for box, points in zip(found.box, found.points, strict=True)]


def hand_region(frame: Region, box_uv: Floats, points_uv: Floats) -> Region:
    """The square around a hand whose palm was found.

    Args:
        frame: the square that was looked at.
        box_uv: (4,) left, top, right, bottom of the palm.
        points_uv: (7, 2) of the palm: wrist, knuckles, thumb.
    """
    points = frame.image_from_uv(points_uv)
    along = points[_MIDDLE] - points[_WRIST]
    angle = float(np.arctan2(along[0], -along[1]))
    up = np.array([np.sin(angle), -np.cos(angle)])
    size = float(max(box_uv[2] - box_uv[0], box_uv[3] - box_uv[1])) * frame.side_px
    high = float(box_uv[3] - box_uv[1]) * frame.side_px
    middle = frame.image_from_uv((box_uv[:2] + box_uv[2:]) / 2) + _TOWARDS_FINGERS * high * up
    return Region((float(middle[0]), float(middle[1])), _ENLARGE * size, angle)
