"""What may be wrong with a calibration, in numbers and in words that say what to do about it.

The limits are those that separated good from faulty recordings of real boards, with the fault planted; each
check states where its own come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import fit_checks, footage_checks, lens_checks, motion_checks, world_checks
from .cameras import Cameras
from .case import Case, Footage
from .rig import RigCalibration
from .verdict import Check, Verdict, verdict

__all__ = ["CHECKS", "Case", "Check", "Footage", "Verdict", "judge"]

CHECKS: dict[str, Callable[[Case], list[Check]]] = {
    "contradiction": fit_checks.contradiction,
    "camera_error": fit_checks.odd_camera,
    "dropped_corners": fit_checks.dropped_corners,
    "shared_frames": fit_checks.enough_frames,
    "held_out": fit_checks.held_out,
    "repeatability": fit_checks.repeatability,
    "agreement": fit_checks.agreement,
    "simultaneous": fit_checks.simultaneous,
    "square_pixels": lens_checks.square_pixels,
    "lens_center": lens_checks.lens_center,
    "folded_lens": lens_checks.folded_lens,
    "focal_length": lens_checks.focal_known,
    "camera_place": lens_checks.place_known,
    "print_aspect": lens_checks.stretched_print,
    "lens_clip": lens_checks.own_clip_lens,
    "stored_lens": lens_checks.stored_lens,
    "moved_camera": motion_checks.moved_camera,
    "clock": motion_checks.clocks,
    "clock_rate": motion_checks.clock_rates,
    "floor": world_checks.floor,
    "ray_angle": world_checks.ray_angles,
    "board_tilts": world_checks.board_tilts,
    "mirrored_pose": world_checks.mirrored_pose,
    "volume_coverage": world_checks.volume_coverage,
    "scale": world_checks.scale,
    "board_found": footage_checks.board_found,
    "image_coverage": footage_checks.image_coverage,
    "duplicate_files": footage_checks.duplicate_files,
    "swapped_files": footage_checks.swapped_files,
    "picture_shape": footage_checks.stored_sizes,
}
"""All checks."""


def judge(
    rig: RigCalibration,
    footage: Footage | None = None,
    *,
    stored: Cameras | None = None,
    measured_m: Sequence[tuple[float, float]] = (),
    max_rms_px: float = 2.0,
) -> Verdict:
    """Say whether a calibration may be trusted.

    Args:
        rig: the calibration.
        footage: what it was made from; without it the checks that need it are left out.
        stored: an older calibration of the same cameras, to find files that were swapped and lenses that
            were changed.
        measured_m: lengths in the calibrated world, each beside the same length by a tape, metres.
        max_rms_px: largest error of all shared views, pixels at an image width of 1280.
    """
    case = Case(rig, footage, stored, measured_m, max_rms_px)
    return verdict(found for look in CHECKS.values() for found in look(case))
