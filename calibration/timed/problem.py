"""Free-running cameras before a moving board: what is adjusted, from where, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.rig.bundle import BundleOptions
from calibration.rig.schur import POSE
from calibration.rig.still_views import StillViews
from calibration.timed.board_motion import BoardMotion
from calibration.timed.views import CameraViews

OFFSET, DRIFT, LINE = 0, 1, 2
"""Columns of a camera's clock: seconds, seconds per second, seconds per row."""
CLOCK = 3
"""Parameters of a camera's clock."""


@dataclass(frozen=True)
class TimePrior:
    """What is known of clocks, shutters and hands before any image; standard deviations."""

    jitter_s: float = 0.020
    """Time error of a single frame at first; measured and lowered after each round. 10 to 40 ms do equally
    well on real webcams, 5 ms is too tight."""
    min_jitter_s: float = 2e-4
    """Frames are never trusted to be more punctual than this."""
    offset_s: float = 1.0
    """Constant delay from where it starts: nothing, unless the board never moved."""
    drift: float = 1e-4
    """Quartz clocks differ by less than 100 parts of a million."""
    readout_s: tuple[float, float] = (0.02, 0.02)
    """Time from the first row to the last: mean and standard deviation over ordinary cameras, 30 µs a row
    at 720 rows."""
    jerk_m: float = 100.0
    """Third derivative of the board's place, metres per second cubed: bridges gaps, bends nothing."""
    jerk_rad: float = 400.0
    """The same of its rotation, radians per second cubed."""


class Free(NamedTuple):
    """What may change."""

    pose: Tensor
    """(C,) bool, cameras that may move."""
    lens: Tensor
    """(C, 4 + D) bool"""
    clock: Tensor
    """(C, 3) bool: offset, drift, line delay."""
    late: bool = True
    """Frames have time errors of their own."""

    def flat(self) -> Tensor:
        """(C * P,) bool in the order of the normal equations."""
        return torch.cat([self.pose[:, None].expand(-1, POSE), self.lens, self.clock], 1).flatten()


@dataclass(frozen=True)
class TimedState:
    """Everything that is adjusted."""

    cameras: Cameras
    """Lenses and poses."""
    motion: BoardMotion
    """The board's path in rig time."""
    clock: Tensor
    """(C, 3) offset in seconds, drift in seconds per second, line delay in seconds per row."""
    late_s: tuple[Tensor, ...]
    """(V,) by camera: what each view is late besides."""
    still: Tensor
    """(S, 4, 4) cam_from_board of views that are not on the path, metres."""


@dataclass(frozen=True)
class TimedProblem:
    """What is adjusted, from where, and what stays."""

    views: tuple[CameraViews, ...]
    """What each camera saw of the moving board."""
    start: TimedState
    """Where to begin."""
    free: Free
    """What may change."""
    still: StillViews | None = None
    """Views of lens clips, each with a board pose of its own."""
    options: BundleOptions = field(default_factory=BundleOptions)
    """How."""
    prior: TimePrior = field(default_factory=TimePrior)
    """What is known of time."""
    rounds: int = 3
    """Rounds, each with the noise that the one before it showed; two where it begins near the end."""


@dataclass(frozen=True)
class TimedBundle:
    """The adjusted state, and how well it explains what was seen."""

    state: TimedState
    """Cameras, clocks and path."""
    error_px: tuple[Tensor, ...]
    """(V, K, 2) by camera: reprojected minus seen; NaN in the padding and where it cannot be seen."""
    used: tuple[Tensor, ...]
    """(V, K) bool by camera, corners that were not dropped."""
    sigma_px: Tensor
    """(C,) factor of the detector's expected standard deviations, by camera."""
    jitter_s: float
    """Standard deviation of the frames' own time errors."""
    covariance: Tensor
    """(C * P, C * P) of poses, lenses and clocks, camera by camera; 0 where fixed."""
    still_error_px: Tensor
    """(S, K, 2) errors in the lens clips."""
    steps: int
    """Steps taken in all rounds."""
    converged: bool
    """Whether the last round ended because nothing was left to gain."""

    def rms_px(self, camera: int | None = None) -> float:
        """Root mean square length of the errors of the used corners, of one camera or of all."""
        rows = range(len(self.error_px)) if camera is None else [camera]
        some = [self.error_px[row][self.used[row]] for row in rows]
        every = torch.cat(some)
        return float(every.square().sum(-1).mean().sqrt()) if len(every) else float("nan")
