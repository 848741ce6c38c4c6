"""Checks of time: cameras that moved while the board was filmed, and the cameras' clocks."""

from __future__ import annotations

import math

from calibration.checks.case import Case
from calibration.checks.moved_camera import CameraStep, camera_steps
from calibration.checks.verdict import Check, check

_STEP = (50.0, 100.0)
_CLOCK_S, _CLOCK_SIGMAS = 0.005, 5.0
_CORRELATION, _RIVAL = 0.7, 0.95
_DRIFT_PPM = 300.0
_LINE_DELAY_S = 80e-6


def moved_camera(case: Case) -> list[Check]:
    """A camera that was turned, pushed or zoomed in the middle of the clip."""
    if case.errors is None:
        return []
    steps = camera_steps(case.rig.cameras, case.errors)
    worst = max(steps, key=lambda step: step.score, default=None)
    # A step of one camera shows in those that it shares boards with: the largest is its own.
    return [_moved(step, step is worst, case) for step in steps]


def _moved(step: CameraStep, worst: bool, case: Case) -> Check:
    what = f"turned by {step.turn_deg:.2f} degrees and moved by {1e3 * step.shift_m:.0f} mm"
    if step.zoom:
        what = f"changed its zoom by {step.zoom:+.1%}"
    name = step.camera if len(case.names) > 2 else " or ".join(case.names)
    text = f"camera {step.camera} stood still"
    if worst and step.score > _STEP[0]:
        text = f"camera {name} {what} about {step.time_s:.1f} s into the clip"
    elif step.score > _STEP[0]:
        text = f"camera {step.camera} looks moved too, which the worst one may explain"
    return check(
        "moved_camera",
        step.score,
        text,
        "fix the camera and film the board again, or use the part of the clip before or after it",
        "chi² for each degree of freedom of one step of the camera: good real boards reach 14, a turn by "
        "0.25 degrees 126, by half a degree 458",
        subject=step.camera,
        warn=_STEP[0] if worst else math.nan,
        fail=_STEP[1] if worst else math.nan,
    )


def clocks(case: Case) -> list[Check]:
    """What was found of every camera's clock, and whether it can be believed."""
    found: list[Check] = []
    for name, clock in case.rig.clocks.items():
        late = abs(clock.offset_s) > max(_CLOCK_S, _CLOCK_SIGMAS * clock.std_s)
        text = f"camera {name} runs in step"
        if late:
            text = (
                f"camera {name} is {1e3 * clock.offset_s:+.1f} ± {1e3 * clock.std_s:.1f} ms from the first "
                "camera's clock, which is accounted for"
            )
        doubt = clock.rival > _RIVAL or clock.agreement < _CORRELATION
        if doubt:
            text = f"when camera {name} filmed against the others cannot be told surely"
        found.append(
            check(
                "clock",
                clock.agreement,
                text,
                "turn the board quickly this way and that a few times, seen by all cameras",
                "correlation of the board's turning between cameras: below 0.7, or with a second peak above "
                "0.95 of the first, the shift is a guess",
                subject=name,
                warn=math.inf if doubt else _CORRELATION,
                low_is_bad=True,
            )
        )
    return found


def clock_rates(case: Case) -> list[Check]:
    """Frame rates that the files state wrongly, and shutters that no camera has."""
    found: list[Check] = []
    for name, clock in case.rig.clocks.items():
        sure = abs(clock.drift_ppm) > _CLOCK_SIGMAS * clock.drift_std_ppm > 0.0
        found.append(
            check(
                "clock_rate",
                abs(clock.drift_ppm) if sure else 0.0,
                f"camera {name}'s clock runs {clock.drift_ppm:+.0f} ppm off the first camera's",
                "the file may state a rounded frame rate, or frames were dropped: set the rate of its clip",
                "crystals are within 100 ppm of each other; 29.97 for 30 frames a second is 1000",
                subject=name,
                unit="ppm",
                warn=_DRIFT_PPM,
            )
        )
        far = abs(clock.line_delay_s) - 3.0 * clock.line_delay_std_s
        found.append(
            check(
                "line_delay",
                1e6 * max(0.0, far),
                f"camera {name} reads its image {1e6 * clock.line_delay_s:.0f} µs a row",
                "errors of time are mistaken for its shutter: move the board at an evener speed",
                "rolling shutters take 5 to 45 µs a row; solves without times of single frames gave 136",
                subject=name,
                unit="µs",
                warn=1e6 * _LINE_DELAY_S,
            )
        )
    return found
