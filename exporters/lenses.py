"""Calibrated cameras as animation programs describe them: film, focal length in millimetres, offsets.

The film is 36 mm wide, whatever the sensor was: only ratios matter to a picture. Those programs' cameras have
no distortion; the coefficients travel along as properties, and footage that is undistorted with them fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from exporters.axes import WORLD, Axes, FloatArray

if TYPE_CHECKING:
    from calibration.cameras import Cameras

FILM_WIDTH_MM: Final = 36.0
"""Full-frame film, which people know focal lengths by."""


@dataclass(frozen=True)
class Lens:
    """One camera, standing still."""

    name: str
    """Its name."""
    xyz: FloatArray
    """(3,) where it stands, in the file's axes and unit."""
    right_up_back: FloatArray
    """(3, 3) columns, file axes: where the picture's right, its top, and away from the scene are."""
    size_px: tuple[int, int]
    """Width and height of the picture."""
    focal_px: tuple[float, float]
    """Focal lengths along the width and the height."""
    center_px: tuple[float, float]
    """Principal point; integer pixel = pixel centre."""
    distortion: tuple[float, ...]
    """OpenCV's coefficients of ``model``."""
    model: str
    """``pinhole`` or ``fisheye``."""

    @property
    def focal_mm(self) -> float:
        """Focal length with the film of ``FILM_WIDTH_MM``."""
        return FILM_WIDTH_MM * self.focal_px[0] / self.size_px[0]

    @property
    def film_mm(self) -> tuple[float, float]:
        """Width and height of the film; pixels that are not square make it higher or lower."""
        return FILM_WIDTH_MM, self.focal_mm * self.size_px[1] / self.focal_px[1]

    @property
    def offset_mm(self) -> tuple[float, float]:
        """How far right of and above the optical axis the film's centre lies.

        The film's centre is at pixel (size - 1) / 2; pixels count downwards.
        """
        (width, height), (film_x, film_y) = self.size_px, self.film_mm
        right = ((width - 1) / 2 - self.center_px[0]) * film_x / width
        above = (self.center_px[1] - (height - 1) / 2) * film_y / height
        return right, above

    def properties(self) -> dict[str, Any]:
        """What was calibrated, as it was, for programs that know more than film and focal length."""
        return {
            "size_px": list(self.size_px),
            "focal_px": list(self.focal_px),
            "center_px": list(self.center_px),
            "distortion_model": self.model,
            "distortion": list(self.distortion),
        }


def lenses(cameras: Cameras | None, axes: Axes) -> tuple[Lens, ...]:
    """The cameras in a file's axes; those whose place or picture's size is not known are left out."""
    if cameras is None:
        return ()
    change = axes.from_axes(WORLD)
    found: list[Lens] = []
    arrays = (
        cameras.size_px,
        cameras.focal_px,
        cameras.center_px,
        cameras.distortion,
        cameras.cam_from_world,
    )
    rows = zip(
        cameras.names, cameras.model, *(a.detach().cpu().double().numpy() for a in arrays), strict=True
    )
    for name, model, size, focal, center, distortion, cam_from_world in rows:
        if not (np.isfinite(size).all() and np.isfinite(cam_from_world).all()):
            continue
        turn = cam_from_world[:3, :3]
        found.append(
            Lens(
                name=name,
                xyz=axes.points(-turn.T @ cam_from_world[:3, 3], WORLD),
                right_up_back=change @ turn.T @ np.diag([1.0, -1.0, -1.0]),
                size_px=(round(float(size[0])), round(float(size[1]))),
                focal_px=(float(focal[0]), float(focal[1])),
                center_px=(float(center[0]), float(center[1])),
                distortion=tuple(float(value) for value in distortion),
                model=model,
            )
        )
    return tuple(found)
