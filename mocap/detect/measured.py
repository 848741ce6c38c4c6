"""What the networks of packages came to in the virtual studio, by ``tests/bench/detector_bench.py``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One network's result."""

    error_mm: float
    """Median distance of triangulated limb keypoints from where the true body has them, four cameras."""
    frames_per_s: float
    """Camera-frames a second on two cores, decoding included, one person."""


MEASURED: dict[str, Measured] = {}
"""By the name of the weights."""
