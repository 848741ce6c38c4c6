"""The rotated square of an image that a network looks at, and the way from it back to the image.

Places inside the square are written uv: (0, 0) is its upper left corner and (1, 1) its lower right one.
A network's input of n pixels has their centres at uv (i + 0.5) / n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ENLARGE = 1.25
"""The circle round hip centre and head's far point, made larger by this, holds hands and feet."""


@dataclass(frozen=True)
class Region:
    """A rotated square."""

    center_px: tuple[float, float]
    """x and y of its centre, pixels, integer = pixel centre."""
    side_px: float
    """Length of a side."""
    angle_rad: float
    """How far its upward direction is turned clockwise from the image's."""

    def image_from_uv(self, uv: Floats) -> Floats:
        """(..., 2) pixels of places (..., 2) in the square."""
        cos, sin = np.cos(self.angle_rad), np.sin(self.angle_rad)
        turn = np.array([[cos, -sin], [sin, cos]])
        return np.asarray(self.center_px) + self.side_px * ((uv - 0.5) @ turn.T)

    def cut_out(self, rgb: NDArray[np.uint8], size: int, *, black_outside: bool = False) -> NDArray[np.uint8]:
        """(size, size, 3) upright picture of the square.

        Args:
            rgb: (H, W, 3) image.
            size: pixels of a side.
            black_outside: black beyond the image's border; by default the border is drawn out.
        """
        import cv2

        # Pixel centres of the picture, as uv: the first one, and a step along each axis.
        corner, right, down = self.image_from_uv((np.array([[0, 0], [1, 0], [0, 1]]) + 0.5) / size)
        matrix = np.stack([right - corner, down - corner, corner], axis=1)
        border = cv2.BORDER_CONSTANT if black_outside else cv2.BORDER_REPLICATE
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(rgb, matrix, (size, size), flags=flags, borderMode=border)


def whole_image(size_px: tuple[int, int]) -> Region:
    """The upright square about the middle of an image that just holds all of it."""
    width, height = size_px
    return Region(((width - 1) / 2, (height - 1) / 2), float(max(width, height)), 0.0)


def region_of_person(center_px: Floats, top_px: Floats) -> Region:
    """The square in which a person stands upright.

    Args:
        center_px: (2,) the middle of the hips.
        top_px: (2,) the point that lies as far from it, towards the head, as the person reaches.
    """
    x, y = top_px - center_px
    angle_rad = float(np.arctan2(x, -y))
    return Region((float(center_px[0]), float(center_px[1])), 2 * ENLARGE * float(np.hypot(x, y)), angle_rad)


def same_place(a: Region, b: Region) -> bool:
    """Whether two squares are so near each other that they can only hold the same person."""
    near = np.hypot(a.center_px[0] - b.center_px[0], a.center_px[1] - b.center_px[1])
    return bool(near < 0.1 * min(a.side_px, b.side_px) and 0.75 < a.side_px / b.side_px < 4 / 3)
