"""Every setting of every stage, with its default and unit; ``session.toml`` overrides single values.

Each stage gets its own node and never the tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BoardSettings:
    """The printed board that the cameras are calibrated with."""

    type: str = "charuco"
    """charuco, chessboard or aruco."""
    columns: int = 5
    """Squares across (ChArUco) or inner corners across (chessboard)."""
    rows: int = 7
    """Squares down (ChArUco) or inner corners down (chessboard)."""
    square_m: float = 0.08
    """Side of a square, metres, measured on the print."""
    marker_m: float = 0.06
    """Side of a marker, metres."""
    dictionary: str = "DICT_4X4_50"
    """OpenCV name of the marker dictionary."""
    inverted: bool = False
    """White markers on black."""
    legacy: bool = False
    """The pattern of OpenCV before 4.6 (even number of rows begins with a marker)."""


@dataclass(frozen=True)
class CalibrateSettings:
    """How the cameras are calibrated."""

    max_frames: int = 60
    """Board frames of each clip that enter the solve, chosen for spread."""


@dataclass(frozen=True)
class SyncSettings:
    """How the cameras' clocks are put together."""

    offsets_s: dict[str, float] = field(default_factory=dict)
    """Seconds to add to each camera's own time, by camera name; cameras not named start together."""


@dataclass(frozen=True)
class DetectSettings:
    """How keypoints are found in the images."""

    detector: str = "blazepose"
    """Name in the DETECTORS table."""
    variant: str = "heavy"
    """heavy (most accurate), full or lite (fast)."""
    mirror: bool = True
    """Also run on the mirror image and average: doubles the time, lowers the error."""
    max_people: int = 4
    """Most people looked for in one image."""


@dataclass(frozen=True)
class ReconstructSettings:
    """How keypoints are triangulated."""

    min_views: int = 2
    """Fewest cameras that must agree."""
    max_error_px: float = 20.0
    """A view disagreeing more than this, at 1080 px image height, is an outlier; scaled by image height."""
    min_angle_deg: float = 3.0
    """Smallest angle between two rays that may determine depth."""
    rate_hz: float = 0.0
    """Frames per second of the result; 0 means the cameras' own rate."""


@dataclass(frozen=True)
class FitSettings:
    """How the body is fitted to the 3D keypoints."""

    body: str = "default"
    """Body model: ``default`` is the one that is shipped."""
    max_iterations: int = 30
    """Gauss-Newton iterations."""


@dataclass(frozen=True)
class ExportSettings:
    """What is written for other programs."""

    formats: tuple[str, ...] = ("bvh",)
    """Formats, by the names in the EXPORTERS table."""
    rig: str = "mixamo"
    """Joint names of the exported skeleton."""


@dataclass(frozen=True)
class Settings:
    """The whole tree."""

    board: BoardSettings = BoardSettings()
    calibrate: CalibrateSettings = CalibrateSettings()
    sync: SyncSettings = field(default_factory=SyncSettings)
    detect: DetectSettings = DetectSettings()
    reconstruct: ReconstructSettings = ReconstructSettings()
    fit: FitSettings = FitSettings()
    export: ExportSettings = ExportSettings()
