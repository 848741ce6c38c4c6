"""What may be wrong with a calibration, in words that say what to do about it.

The thresholds are those that separated good from faulty recordings of real boards, with the fault planted.
"""

from __future__ import annotations

import statistics
from typing import NamedTuple

from .rig import RigCalibration

_ODD_CAMERA = 2.5
"""A camera with this many times the other cameras' error stands wrong, or its board pose is mirrored."""
_ODD_CAMERA_PX = 0.5
"""Below this error, at 1280 pixels of width, no camera is odd."""
_CONTRADICTING = (0.1, 0.25)
"""Parts of a camera's shared corners that, dropped, call for a warning and for distrust: blur and reflections
spoil a few in a hundred, an unsteady clock up to a sixth, a late clip most."""
_ASPECT = 0.03
"""Pixels of a real sensor are square to better than this."""
_CENTER = 0.15
"""Part of the image's width that a principal point may lie off its middle."""
_FOCAL_STD = 0.01
"""A focal length that is known worse leaves the camera's distance open."""
_OVERFIT = 2.5
"""Predicted over trained error beyond which there was too little to learn from."""
_AGREEMENT = 0.8
"""Frames that must support the relative pose of two cameras."""
_COMMON_PX = 0.15
"""Common error of whole views below which nobody need care."""
_FEW_FRAMES = 5
"""Shared frames below which nothing is checked by anything."""


class Verdict(NamedTuple):
    """What stands against a calibration."""

    reasons: tuple[str, ...]
    """Why it must not be trusted; empty where it may."""
    warnings: tuple[str, ...]
    """What would make it better."""


def judge(rig: RigCalibration, *, max_rms_px: float = 2.0) -> Verdict:
    """Say whether a calibration may be trusted.

    Args:
        rig: the calibration.
        max_rms_px: largest error of all shared views, pixels at an image width of 1280.
    """
    reasons = [
        *_bad_fit(rig, max_rms_px),
        *_contradictions(rig, _CONTRADICTING[1], 1.0),
        *_bad_lenses(rig),
        *_bad_prediction(rig),
    ]
    return Verdict(tuple(reasons), tuple(_warnings(rig)))


def _bad_fit(rig: RigCalibration, max_rms_px: float) -> list[str]:
    found: list[str] = []
    scale = float(rig.cameras.size_px.amax()) / 1280.0
    rms = rig.bundle.rms_px(rig.bundle.shared)
    if not rms <= max_rms_px * scale:
        found.append(
            f"the cameras contradict each other by {rms:.2f} px (limit {max_rms_px * scale:.1f}): "
            "check that all clips began together, and that the board is flat and described rightly"
        )
    each = rig.camera_rms_px(shared=True)
    for name, error in each.items():
        others = statistics.median([value for other, value in each.items() if other != name])
        if error > max(_ODD_CAMERA * others, _ODD_CAMERA_PX * scale):
            found.append(
                f"camera {name} contradicts the others by {error:.2f} px, they one another by "
                f"{others:.2f} px: "
                "it may have moved, or its clip started at another moment"
            )
    return found


def _contradictions(rig: RigCalibration, low: float, high: float) -> list[str]:
    """Cameras of whose shared corners a part in this range had to be dropped to make the rest fit."""
    return [
        f"{part:.0%} of the corners that camera {name} shares with others contradict them: "
        "it may have moved, or its clip began at another moment"
        for name in rig.cameras.names
        if low < (part := rig.contradicting(name)) <= high
    ]


def _bad_lenses(rig: RigCalibration) -> list[str]:
    found: list[str] = []
    for row, name in enumerate(rig.cameras.names):
        (fx, fy), (cx, cy) = rig.cameras.focal_px[row].tolist(), rig.cameras.center_px[row].tolist()
        width, height = rig.cameras.size_px[row].tolist()
        off = max(abs(cx - (width - 1.0) / 2.0), abs(cy - (height - 1.0) / 2.0)) / max(width, height)
        if abs(fx / fy - 1.0) > _ASPECT:
            found.append(
                f"camera {name}: pixels would be {abs(fx / fy - 1.0):.0%} from square; "
                "measure the printed board both ways and film it at more angles"
            )
        if off > _CENTER:
            found.append(
                f"camera {name}: the lens centre would be {off:.0%} of the image off the middle; "
                "film the board at more angles, all over the image"
            )
    return found


def _bad_prediction(rig: RigCalibration) -> list[str]:
    if len(rig.frames) < _FEW_FRAMES:
        return [
            f"only {len(rig.frames)} frames show the board to several cameras, {_FEW_FRAMES} at least must: "
            "move it slowly through the whole space, for half a minute"
        ]
    if rig.held_out_rms_px > _OVERFIT * max(rig.trained_rms_px, rig.bundle.noise.alone):
        return [
            f"frames that were not solved with are off by {rig.held_out_rms_px:.2f} px, the others by "
            f"{rig.trained_rms_px:.2f} px: too little was seen, film the board longer and all over the space"
        ]
    return []


def _warnings(rig: RigCalibration) -> list[str]:
    found = _contradictions(rig, *_CONTRADICTING)
    rest = rig.world.rest
    if rest is None:
        found.append(
            "the board never lay still: the world is the board of the first shared frame; "
            "lay it on the floor for a second to define the floor"
        )
    elif not rest.on_floor:
        found.append(
            "the board's longest rest does not look like the floor (a camera is below it, or it is not level "
            "by the cameras' upright): check where the floor is"
        )
    for pair in rig.pairs:
        if pair.agreement < _AGREEMENT:
            found.append(
                f"cameras {' and '.join(pair.cameras)} agree in {pair.agreement:.0%} of "
                f"{pair.num_frames} frames: their clips may not have begun together"
            )
    noise = rig.bundle.noise
    if noise.common > max(noise.alone, _COMMON_PX):
        found.append(
            f"each view is off as a whole by about {noise.common:.1f} px: the cameras are not simultaneous; "
            "move the board slowly, or use cameras that run in step"
        )
    for row, name in enumerate(rig.cameras.names):
        std = rig.focal_std_px(name) / float(rig.cameras.focal_px[row, 0])
        if std > _FOCAL_STD:
            found.append(
                f"camera {name}: the focal length is known to {std:.1%} only; "
                "film the board closer to it, tilted, all over its image"
            )
    return found
