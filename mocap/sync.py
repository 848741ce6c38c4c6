"""Stage 1: put the cameras' clocks together.

    t_take = offset_s + (1 + drift_ppm * 1e-6) * t_camera

where ``t_camera`` is the presentation time since the clip's first frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mocap.errors import InputError
from mocap.keypoints import FloatArray
from mocap.settings import SyncSettings


@dataclass(frozen=True)
class CameraClock:
    """How one camera's clock runs against the take's."""

    offset_s: float = 0.0
    """Seconds on the take's clock at the camera's first frame."""
    drift_ppm: float = 0.0
    """How much faster the camera's clock is than it should be, parts per million."""
    std_s: float = 0.0
    """Standard deviation of the offset, seconds."""
    source: str = "assumed"
    """Where the numbers come from."""

    def __post_init__(self) -> None:
        for name in ("offset_s", "drift_ppm", "std_s"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, not {getattr(self, name)}")


@dataclass(frozen=True)
class Clock:
    """The clocks of all cameras of a take."""

    cameras: Mapping[str, CameraClock]
    """One clock for each camera, by name."""

    def take_time(self, camera: str, time_s: FloatArray) -> FloatArray:
        """Seconds on the take's clock of times on a camera's own clock, both (F,)."""
        own = self.cameras[camera]
        return own.offset_s + (1.0 + own.drift_ppm * 1e-6) * time_s


def synchronize(
    cameras: Sequence[str], *, frame_interval_s: Mapping[str, float], settings: SyncSettings
) -> Clock:
    """Clocks of cameras that start together, or as far apart as the settings say.

    Args:
        cameras: names of the take's cameras.
        frame_interval_s: seconds between the frames of each camera, for the uncertainty: a recorder
            starts anywhere inside a frame, so the offset is uniform over one interval.
        settings: offsets that are known.

    Raises:
        InputError: an offset is given for a camera that the take does not have.
    """
    unknown = [name for name in settings.offsets_s if name not in cameras]
    if unknown:
        raise InputError(
            f"no camera '{unknown[0]}' in this take",
            where="sync.offsets_s",
            todo=f"it has: {', '.join(cameras)}",
        )
    return Clock(
        {
            name: CameraClock(
                offset_s=settings.offsets_s.get(name, 0.0),
                std_s=round(frame_interval_s.get(name, 0.0) / math.sqrt(12.0), 9),
                source="settings" if name in settings.offsets_s else "assumed: the clips start together",
            )
            for name in cameras
        }
    )
