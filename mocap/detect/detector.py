"""What every family of detectors offers to the stage that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mocap.detect.network import Network, open_network
from mocap.detect.region import Region
from mocap.settings import DetectSettings

TrackerState = dict[str, NDArray[np.generic]]
"""Everything that a detector remembers from frame to frame, as arrays that a file keeps exactly."""


@dataclass(frozen=True)
class Detections:
    """The people of one image."""

    xy_px: NDArray[np.float64]
    """(P, K, 2) pixels, integer = pixel centre; NaN where a keypoint is unknown."""
    score: NDArray[np.float64]
    """(P, K) confidence in [0, 1]."""
    slot: NDArray[np.int64]
    """(P,) place of each person, from 0; a detector that tracks keeps a person in one place."""


class Detector(Protocol):
    """Finds people in the frames of one clip, which it gets one after the other.

    A detector may remember. A second one that is given its ``state`` must go on exactly, to the last bit,
    as the first one would: runs are killed and resumed.
    """

    keypoint_names: tuple[str, ...]
    """K names."""

    def step(self, rgb: NDArray[np.uint8], time_s: float) -> Detections:
        """Find the people in the next frame: (H, W, 3), presented at ``time_s``."""
        ...

    def state(self) -> TrackerState:
        """What is remembered after the last frame."""
        ...

    def restore(self, state: TrackerState) -> None:
        """Go on from a remembered state."""
        ...


@runtime_checkable
class Looker(Protocol):
    """A detector that can be told where to look, as those that work top-down can."""

    def look(
        self, rgb: NDArray[np.uint8], region: Region
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Pixels (K, 2) and scores (K,) of whoever stands in a region of an image; None where nobody does."""
        ...


class DetectorFamily(Protocol):
    """One entry of the DETECTORS table."""

    def files(self, settings: DetectSettings) -> dict[str, Path]:
        """The weights that these settings need, by role; fetched where they are not on this machine.

        Raises:
            MissingModel: they cannot be had.
            ConfigError: the settings name a variant that this family does not have.
        """
        ...

    def together(self, files: Mapping[str, Path]) -> bool:
        """Whether cameras are faster together, their images in one batch, than each in its process."""
        ...

    def create(
        self,
        files: Mapping[str, Path],
        settings: DetectSettings,
        opener: Callable[[Path], Network] = open_network,
    ) -> Detector:
        """A detector at the beginning of a clip, its networks loaded by ``opener``."""
        ...
