"""Checks of how well a calibration explains what was filmed, and footage that it never saw."""

from __future__ import annotations

import math
import statistics

from calibration.checks.case import Case
from calibration.checks.verdict import Check, check

_ODD_CAMERA, _ODD_CAMERA_PX = 2.5, 0.5
_DROPPED = (0.1, 0.25)
_HELD_OUT_PX = (1.0, 2.0)
_OVERFIT = 2.5
_AGREEMENT = 0.8
_COMMON_PX = 0.15
_FEW_FRAMES = 5
_REPEAT = (0.003, 0.02)
_TOGETHER = (
    "move the board slowly through the whole space, for half a minute, seen by several cameras at once"
)


def contradiction(case: Case) -> list[Check]:
    """All cameras against each other."""
    rms, limit = case.rig.bundle.rms_px(case.rig.bundle.shared), case.max_rms_px * case.px()
    rms = rms if math.isfinite(rms) else math.inf
    return [
        check(
            "contradiction",
            rms,
            f"the cameras contradict each other by {rms:.2f} px (limit {limit:.1f})",
            "check that all clips began together, and that the board is flat and described rightly",
            "setting calibrate.max_rms_px",
            unit="px",
            fail=limit,
        )
    ]


def odd_camera(case: Case) -> list[Check]:
    """Each camera against the others: a mirrored board pose hides in the median of all errors."""
    found: list[Check] = []
    for name, error in case.shared_px.items():
        others = statistics.median([value for other, value in case.shared_px.items() if other != name])
        limit = max(_ODD_CAMERA * others, _ODD_CAMERA_PX * case.px(name))
        text = f"camera {name} contradicts the others by {error:.2f} px, they one another by {others:.2f} px"
        found.append(
            check(
                "camera_error",
                error,
                text,
                "it may have moved, its clip may have started at another moment, or its board is mirrored; "
                "film the board tilted and nearer to it",
                "a camera with the mirrored pose of a flat board showed 6 times the others' error, good ones "
                "less than twice; below half a pixel none is odd",
                subject=name,
                unit="px",
                fail=limit,
            )
        )
    return found


def dropped_corners(case: Case) -> list[Check]:
    """Corners that had to be dropped to make the rest fit."""
    return [
        check(
            "dropped_corners",
            100.0 * part,
            f"{part:.0%} of the corners that camera {name} shares with others contradict them",
            "it may have moved, or its clip began at another moment",
            "blur and reflections spoil a few in a hundred, an unsteady clock up to a sixth, a late clip "
            "most",
            subject=name,
            unit="%",
            warn=100.0 * _DROPPED[0],
            fail=100.0 * _DROPPED[1],
        )
        for name in case.names
        if math.isfinite(part := case.rig.contradicting(name))
    ]


def enough_frames(case: Case) -> list[Check]:
    """Frames that several cameras share."""
    count = len(case.rig.frames)
    text = f"{count} frames show the board to several cameras"
    if count < _FEW_FRAMES:
        text = f"only {count} frames show the board to several cameras, {_FEW_FRAMES} at least must"
    return [
        check(
            "shared_frames",
            count,
            text,
            _TOGETHER,
            "below five frames nothing checks anything; a dozen well spread ones were enough on real boards",
            warn=12,
            fail=_FEW_FRAMES,
            low_is_bad=True,
        )
    ]


def held_out(case: Case) -> list[Check]:
    """Footage that a trial solve did without, camera by camera and against what it had."""
    held, found = case.rig.held_out, list[Check]()
    each = held.camera_px if held is not None else {}
    for name, error in each.items():
        unit = case.px(name)
        found.append(
            check(
                "held_out_camera",
                error,
                f"camera {name} is off by {error:.2f} px in frames that were not solved with",
                f"film the board nearer to camera {name}, tilted, all over its image",
                "good webcams reach 0.3 to 0.4 px, solvers that ignore the cameras' clocks 0.9 to 1.3",
                subject=name,
                unit="px",
                warn=_HELD_OUT_PX[0] * unit,
                fail=_HELD_OUT_PX[1] * unit,
            )
        )
    known = held is not None and math.isfinite(held.train_px)
    error, trained = (
        (held.rigid_px, held.train_px)
        if held is not None and known
        else (case.rig.held_out_rms_px, case.rig.trained_rms_px)
    )
    ratio = error / max(trained, case.rig.bundle.noise.alone)
    if math.isfinite(ratio) and len(case.rig.frames) >= _FEW_FRAMES:
        text = f"frames that were not solved with are off by {error:.2f} px, the others by {trained:.2f} px"
        found.append(
            check(
                "too_little_data",
                ratio,
                text,
                "too little was seen, film the board longer and all over the space",
                "enough footage gives 1.1 to 1.7, too little 3.8 to 26",
                fail=_OVERFIT,
            )
        )
    return found


def repeatability(case: Case) -> list[Check]:
    """Two calibrations from half of the footage each."""
    twice = case.rig.repeatability
    if twice is None:
        return []
    distance = statistics.median(case.distance_m.values())
    found = [
        check(
            "repeatability",
            1e3 * twice.points_m,
            f"points by either half of the footage lie {1e3 * twice.points_m:.1f} mm apart",
            "film the board longer, and all over the space",
            "0.3 to 1.3 mm at 1 m on a minute of real footage, 3.6 to 11.5 mm by solvers that ignore the "
            "clocks; weak beyond 0.3 % of the distance to the board, useless beyond 2 %",
            unit="mm",
            warn=1e3 * _REPEAT[0] * distance,
            fail=1e3 * _REPEAT[1] * distance,
        )
    ]
    for name in case.names:
        shift, turn = 1e3 * twice.center_m.get(name, math.nan), twice.turn_deg.get(name, math.nan)
        found.append(
            check(
                "repeatability_camera",
                turn,
                f"camera {name} turns by {turn:.2f} degrees and moves by {shift:.0f} mm between the halves",
                "",
                "not judged: lens centre and direction trade with each other by degrees while points stay "
                "where they are",
                subject=name,
                unit="deg",
            )
        )
    return found


def agreement(case: Case) -> list[Check]:
    """Whether pairs of cameras agree on how they stand to each other, frame by frame."""
    return [
        check(
            "agreement",
            100.0 * pair.agreement,
            f"cameras {' and '.join(pair.cameras)} agree in {pair.agreement:.0%} of {pair.num_frames} frames",
            "their clips may not have begun together",
            "at least 91 % on good footage, 7 % with one camera a second late",
            subject=" ".join(pair.cameras),
            unit="%",
            warn=100.0 * _AGREEMENT,
            low_is_bad=True,
        )
        for pair in case.rig.pairs
        if pair.num_frames >= _FEW_FRAMES
    ]


def simultaneous(case: Case) -> list[Check]:
    """What the corners of a view have in common when the clocks are accounted for as far as they are."""
    noise, unit = case.rig.bundle.noise, case.px()
    return [
        check(
            "simultaneous",
            noise.common,
            f"each view is off as a whole by about {noise.common:.1f} px",
            "the cameras are not simultaneous; move the board slowly, or use cameras that run in step",
            "below 0.15 px, or below the noise of single corners, nobody need care",
            unit="px",
            warn=max(noise.alone, _COMMON_PX * unit),
        )
    ]
