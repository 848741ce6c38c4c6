"""Axes and units: the only place where they are converted.

A set of axes is described by where up and a resting character's face point. ``WORLD`` is ours; ``RIG`` is
what bodies rest in. A character that faces world -Y faces +Z in Y-up files, and world X stays X: the same
turn that Blender's importers undo, so a file opens in Blender in the very coordinates of our world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from exporters.errors import ExportError

FloatArray = NDArray[np.float64]
Direction = Literal["+x", "-x", "+y", "-y", "+z", "-z"]
Unit = Literal["m", "cm", "mm", "inch"]

METRES_PER_UNIT: Final[dict[str, float]] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}


@dataclass(frozen=True)
class Axes:
    """Where a program's axes point, and how long its unit is."""

    up: Direction
    """The axis that points away from the floor."""
    forward: Direction
    """The axis that a character at rest looks along."""
    handedness: Literal["right", "left"] = "right"
    """Whether x, y, z are the thumb, index and middle finger of the right or of the left hand."""
    unit: Unit = "m"
    """Unit of length."""

    def __post_init__(self) -> None:
        if self.up[1] == self.forward[1]:
            raise ValueError(f"up {self.up} and forward {self.forward} must be different axes")
        if self.unit not in get_args(Unit):
            raise ExportError(f"no unit {self.unit!r}; choose one of {', '.join(get_args(Unit))}")

    @property
    def basis(self) -> FloatArray:
        """(3, 3) columns: a resting character's left, up and forward, in these axes."""
        up, forward = _unit_vector(self.up), _unit_vector(self.forward)
        left = np.cross(up, forward)
        return np.stack([left if self.handedness == "right" else -left, up, forward], axis=1)

    def from_axes(self, source: Axes) -> FloatArray:
        """(3, 3) orthogonal matrix that takes vectors in ``source`` to these axes, units aside."""
        return self.basis @ source.basis.T

    def points(self, xyz: FloatArray, source: Axes) -> FloatArray:
        """Points (..., 3) given in ``source``'s axes and unit, in these axes and this unit."""
        scale = METRES_PER_UNIT[source.unit] / METRES_PER_UNIT[self.unit]
        return xyz @ self.from_axes(source).T * scale

    def rotations(self, rotation: FloatArray, source: Axes) -> FloatArray:
        """The same turns, (..., 3, 3), given between frames of ``source``, between frames of these axes."""
        change = self.from_axes(source)
        return change @ rotation @ change.T


WORLD: Final = Axes(up="+z", forward="-y")
"""Our world: Z up, metres. Its forward says which way a character faces that looks along a Y-up file's +Z."""

RIG: Final = Axes(up="+y", forward="+z")
"""The axes that bodies and skeletons rest in: Y up, facing +Z, left = +X, metres."""


def _unit_vector(direction: Direction) -> FloatArray:
    vector = np.zeros(3)
    vector["xyz".index(direction[1])] = -1.0 if direction[0] == "-" else 1.0
    return vector
