"""What a correction of cameras from performers found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from calibration.cameras import Cameras
from mocap.files import plain


@dataclass(frozen=True)
class CameraChange:
    """What became of one camera."""

    moved_mm: float
    """How far its lens moved, millimetres."""
    turned_deg: float
    """How far it turned, degrees."""
    before_px: float
    """Median error of its held-out views with the old cameras, pixels."""
    after_px: float
    """The same with the new ones."""


@dataclass(frozen=True)
class Bump:
    """A camera that was moved."""

    camera: str
    """Which."""
    from_s: float | None
    """Take time at which it moved; None where it had moved before the take began."""
    from_frame: int | None
    """The camera's own frame from which on it stands elsewhere."""
    moved_mm: float
    """How far, millimetres."""
    turned_deg: float
    """How far it turned, degrees."""
    evidence: float
    """Chi-square per parameter of a step at that time, or the factor by which held-out views got better."""


@dataclass(frozen=True)
class RefineSummary:
    """What the performers say about the cameras."""

    how: str
    """Which correction was taken; ``none`` where the cameras were left alone."""
    before_px: float
    """Median error of held-out views in the parts of the take held out, old cameras, pixels."""
    after_px: float
    """The same with cameras corrected on the other parts."""
    tried: Mapping[str, float]
    """The same for every correction that was tried."""
    cameras: Mapping[str, CameraChange]
    """What became of each camera."""
    bumps: tuple[Bump, ...]
    """Cameras that were moved, the clearest first."""
    changed: bool
    """The cameras are not those that were given."""
    usable: bool
    """Enough was seen to say anything."""
    reasons: tuple[str, ...]
    """Why not, and what to do."""
    warnings: tuple[str, ...]
    """What the user should know."""

    def report(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON; unknown numbers are None."""
        return plain(asdict(self))


@dataclass(frozen=True, eq=False)
class Refined:
    """Corrected cameras."""

    cameras: Cameras
    """To use for the take; where a camera was moved during it, as they stood before."""
    after: Cameras | None
    """As they stood after a camera was moved during the take; None where none was."""
    summary: RefineSummary
    """What was found."""
