"""The rectangle of an image that a network looks at: a letterboxed image, or the crop round one person.

Places in a network's input are in its pixels with the first pixel's *corner* at 0, so that its centre is at
0.5. Networks count in both ways; each family's file says which one is its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """A rotated rectangle of an image, stretched over a network's input without changing its proportions."""

    center_px: tuple[float, float]
    """x and y of its centre in the image, integer = pixel centre."""
    scale: float
    """Image pixels for one pixel of the input."""
    input_px: tuple[int, int]
    """Width and height of the network's input."""
    angle_rad: float = 0.0
    """How far its upward direction is turned clockwise from the image's."""

    def image_from_input(self, xy: Floats) -> Floats:
        """(..., 2) image pixels, integer = pixel centre, of places (..., 2) in the input, 0 = corner."""
        cos, sin = np.cos(self.angle_rad), np.sin(self.angle_rad)
        turn = np.array([[cos, -sin], [sin, cos]])
        middle = np.asarray(self.input_px) / 2
        return np.asarray(self.center_px) + self.scale * ((xy - middle) @ turn.T)

    def input_from_image(self, xy_px: Floats) -> Floats:
        """The way back of ``image_from_input``."""
        cos, sin = np.cos(self.angle_rad), np.sin(self.angle_rad)
        turn = np.array([[cos, -sin], [sin, cos]])
        middle = np.asarray(self.input_px) / 2
        return middle + ((xy_px - np.asarray(self.center_px)) @ turn) / self.scale

    def cut_out(self, rgb: NDArray[np.uint8], *, fill: int = 0) -> NDArray[np.uint8]:
        """(height, width, 3) of the input: the rectangle's picture, ``fill`` beyond the image's border."""
        import cv2

        corner, right, down = self.image_from_input(np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]]))
        matrix = np.stack([right - corner, down - corner, corner], axis=1)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(rgb, matrix, self.input_px, flags=flags, borderValue=(fill, fill, fill))


def letterbox(size_px: tuple[int, int], input_px: tuple[int, int], *, corner: bool = False) -> Window:
    """The window that just holds a whole image.

    Args:
        size_px: width and height of the image.
        input_px: width and height of the network's input.
        corner: the image lies in the upper left corner; otherwise in the middle.
    """
    scale = max(size_px[0] / input_px[0], size_px[1] / input_px[1])
    middle = np.array(input_px if corner else size_px) * (scale if corner else 1.0) / 2 - 0.5
    return Window((float(middle[0]), float(middle[1])), scale, input_px)


def input_size(size_px: tuple[int, int], longest: int, multiple: int) -> tuple[int, int]:
    """Width and height of the input of a network that takes any size, for an image.

    Args:
        size_px: width and height of the image.
        longest: pixels of the input's longer side; rounded to a multiple.
        multiple: what both sides must be divisible by.
    """
    scale = longest / max(size_px)
    width, height = (
        max(multiple, int(np.ceil(side * scale / multiple - 1e-9)) * multiple) for side in size_px
    )
    return width, height
