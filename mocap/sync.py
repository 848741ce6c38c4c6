"""Stage 2: the cameras' clocks, as all later stages use them; ``mocap.clocks`` finds them.

    t_take = offset_s + (1 + drift_ppm * 1e-6) * t_camera

where ``t_camera`` is the presentation time since the clip's first frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mocap.keypoints import FloatArray


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
    drift_std_ppm: float = 0.0
    """Standard deviation of the drift, parts per million."""

    def __post_init__(self) -> None:
        for name in ("offset_s", "drift_ppm", "std_s", "drift_std_ppm"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, not {getattr(self, name)}")


@dataclass(frozen=True)
class Evidence:
    """What one source says of one camera's offset."""

    camera: str
    """The camera."""
    source: str
    """sound, motion of the people, timecode, time of recording, or settings."""
    offset_s: float
    """Seconds on the take's clock at the camera's first frame, by this source."""
    std_s: float
    """Its standard deviation, seconds."""
    used: bool = True
    """Whether it went into the result."""
    why: str = ""
    """Why not."""


@dataclass(frozen=True)
class Clock:
    """The clocks of all cameras of a take."""

    cameras: Mapping[str, CameraClock]
    """One clock for each camera, by name."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Cameras that later stages do not use, and why: they could not be synchronised."""
    notes: tuple[str, ...] = ()
    """What the user should know."""
    evidence: tuple[Evidence, ...] = ()
    """What each source said."""

    def take_time(self, camera: str, time_s: FloatArray) -> FloatArray:
        """Seconds on the take's clock of times on a camera's own clock, both (F,)."""
        own = self.cameras[camera]
        return own.offset_s + (1.0 + own.drift_ppm * 1e-6) * time_s
