"""MediaPipe's hand network: the 21 points of one hand in a region that points along it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocap.detect.interpreter import Network
from mocap.detect.region import Floats, Region

INPUT_SIZE = 224
POINTS = 21
_ENLARGE = 2.0
"""Sides of the next region in sides of the box round palm and first joints (MediaPipe's own)."""
_TOWARDS_FINGERS = 0.1
"""How far its middle lies beyond that box's, in the box's height (MediaPipe's own)."""
_FIRM = np.array([0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18])
"""Points that move least when fingers bend: palm, thumb, knuckles and the joints next to them."""
_WRIST, _INDEX, _MIDDLE, _RING = 0, 5, 9, 13


@dataclass(frozen=True)
class Hand:
    """One hand in one image."""

    xy_px: Floats
    """(21, 2) pixels: wrist, then thumb to little finger from base to tip."""
    present: float
    """How sure the network is, in [0, 1], that the region holds a hand."""

    @property
    def region(self) -> Region:
        """Where to look in the next frame."""
        return region_of_hand(self.xy_px)


def region_of_hand(xy_px: Floats) -> Region:
    """The square around a hand's points (21, 2), turned so that the fingers point upwards."""
    toward = ((xy_px[_INDEX] + xy_px[_RING]) / 2 + xy_px[_MIDDLE]) / 2 - xy_px[_WRIST]
    angle = float(np.arctan2(toward[0], -toward[1]))
    cos, sin = np.cos(angle), np.sin(angle)
    image_from_hand = np.array([[cos, -sin], [sin, cos]])
    upright = xy_px[_FIRM] @ image_from_hand
    low, high = upright.min(axis=0), upright.max(axis=0)
    middle = (low + high) / 2 - [0, _TOWARDS_FINGERS * (high[1] - low[1])]
    x, y = image_from_hand @ middle
    return Region((float(x), float(y)), _ENLARGE * float((high - low).max()), angle)


class HandNetwork:
    """Reads one hand in a region."""

    def __init__(self, path: Path) -> None:
        # of the outputs of one shape the first is what is meant: points in the picture (the others are in
        # metres), and presence (the other tells left from right)
        self._network = Network(path, outputs=((3 * POINTS,), (1,)), first=True)

    def read(self, rgb: NDArray[np.uint8], region: Region) -> Hand:
        """The hand in a region of an image (H, W, 3)."""
        crop = region.cut_out(rgb, INPUT_SIZE).astype(np.float32) / np.float32(255)
        points, present = self._network(crop)
        uv = points.reshape(POINTS, 3)[:, :2] / INPUT_SIZE
        return Hand(region.image_from_uv(uv), float(present[0]))
