"""What cameras are worth on views that they were not solved with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class HeldOut:
    """How well given cameras explain views of a moving board that they have never met.

    The cameras stay as they are; each set of cameras gets its own best clocks and the board its own motion.
    """

    rigid_px: float
    """Root mean square error of the corners, the board's motion fitted to the views."""
    free_px: float
    """The same after each corner was moved to one instant by that motion and triangulated for itself."""
    square_std_m: float
    """Standard deviation of neighbouring corners' distance among the latter, metres."""
    square_bias_m: float
    """Its mean error, metres."""
    squares: int
    """Distances that were measured."""
    frames: int
    """Instants that several cameras shared."""
    camera_px: Mapping[str, float]
    """Rigid error of every camera."""
    train_px: float = float("nan")
    """Error of the cameras on the views that they were solved with."""


@dataclass(frozen=True)
class Repeatability:
    """Two calibrations, each from half of the footage, laid on each other."""

    points_m: float
    """Root mean square distance of points of the board's volume that both triangulate, metres."""
    center_m: Mapping[str, float]
    """Distance of each camera's two centres: lens centre and place trade with each other."""
    turn_deg: Mapping[str, float]
    """Angle between each camera's two directions."""
