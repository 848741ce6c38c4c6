"""Each camera's clock against that of the rig."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CameraClock:
    """What turns a camera's own times into the rig's.

    Row ``y`` of the image that the camera calls ``t`` was taken at

        t + offset_s + 1e-6 * drift_ppm * (t - middle_s) + line_delay_s * (y - middle row),

    give or take the error of the single frame. The first camera's clock is the rig's.
    """

    offset_s: float = 0.0
    """Seconds to add to the camera's own times."""
    std_s: float = 0.0
    """Standard deviation of ``offset_s`` as the adjustment sees it; 0 where it was not solved for."""
    shift_s: float = 0.0
    """The part of ``offset_s`` that was found before any camera had a place, whole frames mostly."""
    drift_ppm: float = 0.0
    """How much faster the rig's clock runs, in parts of a million; 0 where it cannot be told."""
    drift_std_ppm: float = 0.0
    """Its standard deviation; 0 where it was not solved for."""
    middle_s: float = 0.0
    """Own time at which the drift has done nothing yet: the middle of what the camera saw."""
    line_delay_s: float = 0.0
    """Time from one row of the image to the next, seconds; 0 where it was not solved for."""
    line_delay_std_s: float = 0.0
    """Its standard deviation; 0 where it was not solved for."""
    jitter_s: float = 0.0
    """Standard deviation of the times of single frames, seconds; 0 where they were not solved for."""
    agreement: float = 1.0
    """Correlation of the board's turning, as this camera saw it, with the others', at ``shift_s``."""
    rival: float = 0.0
    """The next best peak of that correlation, in parts of ``agreement``: near 1 the shift is a guess."""

    def rig_time_s(self, own_s: float) -> float:
        """Time of the rig at an own time of the camera, seconds."""
        return own_s + self.offset_s + 1e-6 * self.drift_ppm * (own_s - self.middle_s)
