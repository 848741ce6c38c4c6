"""What the networks of packages came to in the virtual studio, by ``tests/bench/detector_bench.py``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One network's result."""

    error_mm: float
    """Mean distance of the solved limb joints from the true ones, millimetres; a dance in four cameras."""
    frames_per_s: float
    """Camera-frames a second on two cores, decoding included, one person."""


MEASURED: dict[str, Measured] = {
    "blazepose-heavy": Measured(12, 12),
    "blazepose-full": Measured(16, 58),
    "blazepose-lite": Measured(20, 67),
    "movenet-thunder": Measured(29, 29),
    "movenet-lightning": Measured(28, 62),
    "movenet-multipose": Measured(29, 17),
    "posenet": Measured(76, 38),
}
"""By the name of the weights; blazepose-heavy with mirror averaging, as the quality best runs it."""
