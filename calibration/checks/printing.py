"""Whether the printed board is longer one way than it should be."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from calibration.cameras import Cameras
from calibration.rig.score import CornerErrors, chi2, eliminate, free_cameras, in_order, nuisance


@dataclass(frozen=True)
class PrintStretch:
    """The print along its rows' axis (y of the board) against its columns' axis."""

    stretch: float
    """Relative: 0.03 where 100 mm down are 103 mm, as the errors have it."""
    std: float
    """Its standard deviation."""
    rms_gain: float
    """By which part the error would fall if the print were described so."""


def print_stretch(cameras: Cameras, errors: CornerErrors) -> PrintStretch | None:
    """Estimate the print's stretch from the errors that a calibration left; None without errors.

    Lenses are free to explain them first, so what remains is seen by boards turned in their plane.
    """
    errors = in_order(errors)
    if len(errors.camera) == 0:
        return None
    sums = eliminate(cameras, errors)
    free = free_cameras(sums)
    cross, inverse = sums.whole[-1:][:, free], nuisance(sums, free)
    information = sums.whole[-1:, -1:] - cross @ inverse @ cross.T
    slope = sums.slope[-1:] - cross @ (inverse @ sums.slope[free])
    gain, step = chi2(information[None], slope[None])
    # What the other unknowns could still explain is none of the print's merit.
    settled = sums.energy - float(sums.slope[free] @ inverse @ sums.slope[free])
    left = max(0.0, 1.0 - float(gain) / max(settled, 1e-12))
    return PrintStretch(
        float(step), float(information.clamp(min=1e-12).rsqrt()), 1.0 - float(torch.tensor(left).sqrt())
    )
