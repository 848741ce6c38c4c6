"""The report of a calibration: numbers for programs, and one page for people that needs no network."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from calibration.cameras import Cameras
from calibration.checks.case import Case, Footage
from calibration.checks.verdict import Check, Grade, Verdict
from calibration.report.data import COLORS, drawing
from calibration.report.page import SCRIPT, STYLE
from calibration.rig.calibrate import RigCalibration

_GOOD: Mapping[str, str] = {
    "held_out_camera": "Frames that were not solved with are predicted to {worst:.2f} px or better.",
    "too_little_data": "There is enough footage: frames left out fit like the others ({worst:.1f} times).",
    "repeatability": "Two halves of the footage place points within {worst:.1f} mm of each other.",
    "camera_error": "No camera contradicts the others.",
    "dropped_corners": "At most {worst:.0f} % of a camera's corners had to be dropped.",
    "moved_camera": "All cameras stood still.",
    "square_pixels": "Every lens has square pixels, as it should (within {worst:.1f} %).",
    "focal_length": "Every focal length is pinned down (to {worst:.2f} %).",
    "camera_place": "Every camera's place is pinned down (to {worst:.1f} % of its distance).",
    "mirrored_pose": "No camera stands at the mirrored solution of the flat board.",
    "ray_angle": "The cameras see the board from different enough sides ({worst:.0f} degrees at least).",
    "image_coverage": "Corners were seen in {worst:.0f} % of every image or more.",
    "volume_coverage": "The board was in {worst:.0f} % of the space that the cameras share.",
    "floor": "The floor is known from the board at rest.",
    "square_bias": "The squares measure what they should, within {worst:.2f} %.",
    "agreement": "Pairs of cameras agree on how they stand in {worst:.0f} % of the frames or more.",
    "clock": "Every camera's clock is known.",
    "stored_lens": "The older lenses still fit.",
    "duplicate_files": "No two cameras show the same picture.",
}
"""What a check says where every camera passed it; ``worst`` is the worst of its numbers."""
_BROWN = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4", "τx", "τy")
_KB4 = ("k1", "k2", "k3", "k4")
_RIGHT = ' class="n"'
_HEADINGS: Mapping[Grade, tuple[str, str]] = {
    "ok": ("✓", "This calibration can be trusted."),
    "warn": ("!", "This calibration can be used; parts of it are weak."),
    "fail": ("✗", "This calibration must not be trusted."),
}


def calibration_report(
    rig: RigCalibration, verdict: Verdict, footage: Footage | None = None
) -> dict[str, Any]:
    """The figures of a calibration and its checks as plain values, for ``calibration/report.json``.

    Numbers that are unknown are None. The residuals of single corners are left out.
    """
    case = Case(rig, footage)
    held, twice = rig.held_out, rig.repeatability
    return {
        "usable": verdict.usable,
        "reasons": list(verdict.reasons),
        "warnings": list(verdict.warnings),
        "good": good_news(verdict),
        "held_out": None if held is None else _plain(vars(held)),
        "repeatability": None if twice is None else _plain(vars(twice)),
        "clocks": {name: _plain(vars(clock)) for name, clock in rig.clocks.items()},
        "places": {
            name: {
                "position_m": rig.cameras.centers_world[row].tolist(),
                "std_m": _plain(case.spread_m(name)),
                "pose_std_m": _plain(case.pose_std(name)[0]),
                "turn_std_deg": _plain(case.pose_std(name)[1]),
            }
            for row, name in enumerate(case.names)
        },
        "checks": verdict.table(),
    }


def good_news(verdict: Verdict) -> list[str]:
    """What is good, one plain sentence for each check that nobody failed."""
    by_name: dict[str, list[Check]] = {}
    for check in verdict.checks:
        by_name.setdefault(check.name, []).append(check)
    found: list[str] = []
    for name, text in _GOOD.items():
        some = by_name.get(name, [])
        if some and all(check.grade == "ok" for check in some):
            known = [check.value for check in some if math.isfinite(check.value)]
            low = some[0].low_is_bad
            worst = (min(known) if low else max(known)) if known else math.nan
            if known or "{" not in text:
                found.append(text.format(worst=worst))
    return found


def calibration_report_html(
    rig: RigCalibration,
    verdict: Verdict,
    footage: Footage | None = None,
    *,
    title: str = "Calibration",
) -> str:
    """One page that opens from disk: the rig to turn, errors over each image, clocks, checks, what to do.

    Args:
        rig: the calibration.
        verdict: what its checks say.
        footage: what it was made from; without it the board is drawn in a common size.
        title: heading of the page, such as the session's name.
    """
    case = Case(rig, footage)
    pictures = drawing(case)
    # "</" inside a script would end it, whatever the string means.
    data = json.dumps(pictures, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    body = "\n".join(
        [
            _head(title, verdict),
            _figures(case),
            _next(verdict),
            _rig(case, pictures),
            _maps(case, pictures),
            _cameras(case),
            _clocks(case),
            _checks(verdict),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n{body}\n</main>\n"
        f'<script type="application/json" id="data">{data}</script>\n<script>{SCRIPT}</script>'
        "</body></html>\n"
    )


def _head(title: str, verdict: Verdict) -> str:
    grade: Grade = "fail" if verdict.reasons else "warn" if verdict.warnings else "ok"
    mark, heading = _HEADINGS[grade]
    count = len(verdict.checks)
    bad, weak = len(verdict.reasons), len(verdict.warnings)
    return (
        f'<h1>{escape(title)}</h1><div class="card verdict {grade}">'
        f'<div class="mark" aria-hidden="true">{mark}</div>'
        f"<div><b>{heading}</b><p>{count - bad - weak} of {count} checks are good, {weak} weak, "
        f"{bad} bad.</p></div></div>"
    )


def _figures(case: Case) -> str:
    rig, held, twice = case.rig, case.rig.held_out, case.rig.repeatability
    shown: list[tuple[str, str]] = [
        (f"{rig.bundle.rms_px(rig.bundle.shared):.2f} px", "error in frames solved with")
    ]
    if held is not None:
        shown.append((f"{held.rigid_px:.2f} px", "error in frames left out"))
        shown.append((f"{1e3 * held.square_std_m:.2f} mm", "spread of the measured squares"))
    elif math.isfinite(rig.held_out_rms_px):
        shown.append((f"{rig.held_out_rms_px:.2f} px", "error in frames left out"))
    if twice is not None:
        shown.append((f"{1e3 * twice.points_m:.1f} mm", "points by either half of the footage"))
    shown.append((str(len(case.names)), "cameras"))
    shown.append((str(len(rig.frames)), "shared board frames"))
    cards = (
        f'<div class="card"><b>{value}</b><span class="soft">{what}</span></div>' for value, what in shown
    )
    return f'<div class="figures">{"".join(cards)}</div>'


def _next(verdict: Verdict) -> str:
    good = good_news(verdict)
    bad = [check for check in verdict.checks if check.grade != "ok"]
    todo = list(dict.fromkeys(check.todo for check in bad if check.todo))
    weak = "".join(
        f'<li><span class="grade {check.grade}">{"bad" if check.grade == "fail" else "weak"}</span> '
        f"{_sentence(check.text)}</li>"
        for check in bad
    )
    return (
        '<div class="columns"><div><h2>What is weak</h2><div class="card">'
        f"{f'<ul>{weak}</ul>' if weak else '<p>Nothing that was looked at.</p>'}</div>"
        '<h2>What to do next</h2><div class="card">'
        f"{_list(map(_sentence, todo)) if todo else '<p>Nothing: go and record.</p>'}</div></div>"
        f'<div><h2>What is good</h2><div class="card">{_list(map(escape, good))}</div></div></div>'
    )


def _rig(case: Case, pictures: Mapping[str, Any]) -> str:
    larger = pictures["larger"]
    floor = (
        "The grid is the floor"
        if pictures["floor"]
        else "The grid is the world's z = 0, which is not the floor"
    )
    ellipsoid = (
        f"The bubble round each camera is where its lens may be, one standard deviation, drawn "
        f"{larger:g} times larger; on real footage the truth lies two to three times as far off."
    )
    return (
        '<h2>The rig</h2><div class="card stage">'
        '<canvas id="rig" role="img" aria-label="Cameras and boards in 3D"></canvas>'
        '<div class="tools"><button id="reset">Reset</button><button id="above">From above</button>'
        '<button id="side">From the side</button></div>'
        f'<p class="soft">Drag to turn, wheel to zoom. {floor}, <span id="step">1</span> m a square. Boards '
        f"run from violet (first) to yellow (last). {ellipsoid}</p></div>"
    )


def _maps(case: Case, pictures: Mapping[str, Any]) -> str:
    cards: list[str] = []
    for row, camera in enumerate(pictures["cameras"]):
        name = escape(camera["name"])
        if camera["arrows"]:
            note = f"{len(camera['arrows'])} corners, errors drawn {camera['exaggeration']} times larger"
        else:
            note = "no errors of single corners were kept"
        cards.append(
            f'<div class="card"><h3>{_named(row, camera["name"])}</h3>'
            f'<canvas data-camera="{row}" role="img" aria-label="Errors over the image of {name}"></canvas>'
            f'<p class="soft">{note}</p></div>'
        )
    return (
        "<h2>Errors over each image</h2>"
        '<p class="soft">Arrows go from where a corner was seen to where the calibration has it, red ones '
        "were dropped; the shade is how many corners were seen there. Arrows that agree with their "
        "neighbours are a lens that was not caught; those that agree over a whole board are errors of "
        "time.</p>"
        f'<div class="maps">{"".join(cards)}</div>'
    )


def _cameras(case: Case) -> str:
    cameras, shared, alone = case.rig.cameras, case.shared_px, case.rig.camera_rms_px(shared=False)
    held = case.rig.held_out.camera_px if case.rig.held_out is not None else {}
    rows: list[list[str]] = []
    for row, name in enumerate(case.names):
        x, y, z = cameras.centers_world[row].tolist()
        focal, focal_y = cameras.focal_px[row].tolist()
        std = math.sqrt(max(0.0, float(case.rig.covariance[row, 6, 6])))
        rows.append(
            [
                _named(row, name),
                _px(shared[name]),
                _px(held.get(name, math.nan)),
                _px(alone[name]),
                f"{focal:.1f} / {focal_y:.1f} ± {std:.1f}",
                _lens(cameras, row),
                f"{x:.3f}, {y:.3f}, {z:.3f}",
                f"{1e3 * case.spread_m(name):.1f}",
            ]
        )
    head = [
        "Camera",
        "shared px",
        "left out px",
        "lens px",
        "focal length px",
        "distortion",
        "place m",
        "± mm",
    ]
    return f"<h2>Cameras</h2>{_table(head, rows, numbers=(1, 2, 3, 4, 6, 7))}"


def _lens(cameras: Cameras, row: int) -> str:
    names = _KB4 if cameras.model[row] == "fisheye" else _BROWN
    every = zip(names, cameras.distortion[row].tolist(), strict=False)
    terms = [f"{name} {value:.4f}" for name, value in every if value]
    return f"{cameras.model[row]} {', '.join(terms)}"


def _clocks(case: Case) -> str:
    rows = [
        [
            _named(row, name),
            f"{1e3 * clock.offset_s:+.1f} ± {1e3 * clock.std_s:.1f}"
            if clock.std_s
            else "the rig's clock"
            if row == 0
            else "not solved for",
            f"{1e3 * clock.shift_s:+.0f}" if clock.shift_s else "–",
            f"{clock.drift_ppm:+.0f} ± {clock.drift_std_ppm:.0f}" if clock.drift_std_ppm else "–",
            f"{1e6 * clock.line_delay_s:.0f} ± {1e6 * clock.line_delay_std_s:.0f}"
            if clock.line_delay_std_s
            else "–",
            f"{1e3 * clock.jitter_s:.1f}" if clock.jitter_s else "–",
        ]
        for row, name in enumerate(case.names)
        if (clock := case.rig.clocks.get(name)) is not None
    ]
    head = [
        "Camera",
        "to the rig's clock ms",
        "of it found first ms",
        "drift ppm",
        "shutter µs a row",
        "frame jitter ms",
    ]
    told = (
        '<p class="soft">Milliseconds to add to a camera\'s own times. Cameras that are not in step cost no '
        "accuracy once their clocks are known.</p>"
    )
    return f"<h2>Clocks</h2>{told}{_table(head, rows, numbers=(1, 2, 3, 4, 5))}"


def _checks(verdict: Verdict) -> str:
    rows = [
        [
            f'<span class="grade {check.grade}">{check.grade}</span>',
            escape(check.name.replace("_", " ")),
            escape(check.subject),
            _number(check.value, check.unit),
            _limits(check),
            f"{_sentence(check.message if check.grade != 'ok' else check.text)}"
            f'<div class="why">{_sentence(check.reason)}</div>',
        ]
        for check in verdict.checks
    ]
    head = ["", "Check", "Camera", "Number", "Weak / bad", "What was found, and why the limits are these"]
    return (
        f"<h2>All checks</h2><details{' open' if not verdict.usable else ''}><summary>{len(rows)} checks, "
        f"with numbers and limits</summary>{_table(head, rows, numbers=(3, 4))}</details>"
    )


def _limits(check: Check) -> str:
    sign = "<" if check.low_is_bad else ">"
    known = [
        f"{sign} {value:.3g}" if math.isfinite(value) else "–"
        for value in (check.warn_limit, check.fail_limit)
    ]
    return escape(" / ".join(known))


def _number(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return "–"
    return escape(f"{value:.3g} {unit}".strip())


def _px(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def _named(row: int, name: str) -> str:
    color = COLORS[row % len(COLORS)]
    return f'<span class="swatch" style="background:{color}"></span>{escape(name)}'


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return escape(text if text.endswith((".", "?", "!")) else f"{text}.") if text else ""


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int]) -> str:
    def cells(values: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{_RIGHT if i in numbers else ''}>{value}</{tag}>" for i, value in enumerate(values)
        )

    lines = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="card scroll"><table><tr>{cells(head, "th")}</tr>{lines}</table></div>'


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
