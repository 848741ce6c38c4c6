"""What may be wrong with a calibration, in numbers and in words that say what to do about it.

The limits are those that separated good from faulty recordings of real boards, with the fault planted; each
check states where its own come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from calibration.cameras import Cameras
from calibration.checks import fit, footage, lenses, motion, world
from calibration.checks.case import Case, Footage
from calibration.checks.verdict import Check, Verdict, verdict
from calibration.rig.calibrate import RigCalibration

__all__ = ["CHECKS", "Case", "Check", "Footage", "Verdict", "judge"]

CHECKS: dict[str, Callable[[Case], list[Check]]] = {
    "contradiction": fit.contradiction,
    "camera_error": fit.odd_camera,
    "dropped_corners": fit.dropped_corners,
    "shared_frames": fit.enough_frames,
    "held_out": fit.held_out,
    "repeatability": fit.repeatability,
    "agreement": fit.agreement,
    "simultaneous": fit.simultaneous,
    "square_pixels": lenses.square_pixels,
    "lens_center": lenses.lens_center,
    "folded_lens": lenses.folded_lens,
    "focal_length": lenses.focal_known,
    "camera_place": lenses.place_known,
    "print_aspect": lenses.stretched_print,
    "lens_clip": lenses.own_clip_lens,
    "stored_lens": lenses.stored_lens,
    "moved_camera": motion.moved_camera,
    "clock": motion.clocks,
    "clock_rate": motion.clock_rates,
    "floor": world.floor,
    "ray_angle": world.ray_angles,
    "board_tilts": world.board_tilts,
    "mirrored_pose": world.mirrored_pose,
    "volume_coverage": world.volume_coverage,
    "scale": world.scale,
    "board_found": footage.board_found,
    "image_coverage": footage.image_coverage,
    "duplicate_files": footage.duplicate_files,
    "swapped_files": footage.swapped_files,
    "picture_shape": footage.stored_sizes,
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
