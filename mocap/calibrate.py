"""Stage 0: board footage -> cameras, and whether they may be trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from calibration import Cameras
from calibration.boards.board import Board
from calibration.boards.search import board_differences, suggest_board
from calibration.boards.selection import coverage, usable_views
from calibration.checks.case import Footage
from calibration.checks.table import judge
from calibration.checks.verdict import Verdict
from calibration.report.report import calibration_report, calibration_report_html
from calibration.rig.calibrate import RigCalibration, RigOptions, calibrate_rig
from calibration.timed.clocks import CameraClock
from mocap.board_footage import BoardFootage, common_step_s, sample_images, watch_board
from mocap.errors import InputError
from mocap.files import plain
from mocap.progress import Progress, silent
from mocap.settings import BoardSettings, CalibrateSettings
from mocap.threads import one_thread
from mocap.video import Clip
from mocap.world import measured

_SUGGEST_IMAGES = 10
"""Images of a clip that other boards are tried on."""


@dataclass(frozen=True)
class CameraReport:
    """How one camera came out."""

    rms_px: float
    """Reprojection error in frames that it shares with other cameras, pixels."""
    lens_rms_px: float
    """Reprojection error of its lens in its own views, pixels."""
    focal_px: tuple[float, float]
    """Focal lengths, pixels."""
    focal_std_px: float
    """Standard deviation of the focal length, pixels; the truth may be two to three times as far off."""
    board_views: int
    """Examined images in which the board could be used."""
    examined: int
    """Images of the shared clip that were examined."""
    coverage: float
    """Part of the image in which corners were seen."""
    own_lens_clip: bool
    """The lens has footage of its own."""
    position_m: tuple[float, float, float]
    """Place of the lens in the world, metres."""
    lens: str
    """``pinhole`` or ``fisheye``."""
    distortion: tuple[float, ...]
    """Coefficients in OpenCV's order."""
    clock: CameraClock
    """What its own times are off."""


@dataclass(frozen=True)
class CalibrateSummary:
    """How the cameras were calibrated."""

    rms_px: float
    """Reprojection error in shared frames over all cameras, pixels."""
    held_out_rms_px: float
    """The same in frames that a trial solve did without, pixels; NaN where there were too few."""
    held_out_free_px: float
    """The same after triangulating every corner for itself, pixels; NaN where that was not tried."""
    repeatability_mm: float
    """How far points by the cameras of either half of the footage lie apart, millimetres; NaN likewise."""
    frames: int
    """Shared frames that were solved with."""
    square_bias_mm: float
    """Mean error of the board's squares as measured by the trial solve, millimetres."""
    square_std_mm: float
    """Standard deviation of the same, millimetres."""
    rest_s: float
    """How long the board lay still where the world is; 0 where it never did."""
    cameras: Mapping[str, CameraReport]
    """Each camera."""
    usable: bool
    """The cameras may be trusted."""
    reasons: tuple[str, ...]
    """Why not, and what to do."""
    warnings: tuple[str, ...]
    """What would make the calibration better."""
    details: Mapping[str, Any]
    """Checks with their limits, places with their uncertainty, held-out figures: plain values."""
    page: str
    """The report for people, HTML."""

    def report(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON; unknown numbers are None."""
        own = {key: value for key, value in vars(self).items() if key not in ("details", "page", "cameras")}
        cameras = {name: asdict(camera) for name, camera in self.cameras.items()}
        return plain({**self.details, **own, "cameras": cameras})


def calibrate(
    intrinsics: Mapping[str, Clip],
    extrinsics: Mapping[str, Clip],
    *,
    board: BoardSettings,
    settings: CalibrateSettings | None = None,
    stored: Cameras | None = None,
    distances_m: Mapping[str, float] | None = None,
    progress: Progress = silent,
) -> tuple[Cameras, CalibrateSummary]:
    """Calibrate the cameras of the extrinsics clips.

    World: the board's outer origin corner where it rests on the floor, x along its columns, z up.

    Args:
        intrinsics: by camera, clips or images of the board for its lens alone; may be empty.
        extrinsics: by camera, clips that ran together while the board was moved before all cameras.
        board: the printed board.
        settings: how.
        stored: an older calibration of these cameras, which tells swapped files and changed lenses.
        distances_m: distances between lenses by a tape, as in ``WorldSettings``: they check the scale.
        progress: told of long work.

    Raises:
        InputError: a clip cannot be used, or the board is not found as it is described.
        CalibrationError: too few views, or cameras that share none.
    """
    settings = settings or CalibrateSettings()
    printed = Board(**asdict(board))
    _check_sizes(intrinsics, extrinsics)
    step_s = common_step_s(extrinsics, settings.examine_hz, settings.max_examined)
    together = watch_board(extrinsics, printed, step_s=step_s, progress=progress)
    _check_found(extrinsics, together, printed)
    own = {name: clip for name, clip in intrinsics.items() if name in extrinsics}
    alone = _watch_lenses(own, printed, settings, progress)
    size_px = {name: clip.size_px for name, clip in extrinsics.items()}
    views = [view for footage in together.values() for view in footage.views]
    progress("calibrate: solve", 0, 1)
    options = RigOptions(
        max_frames=settings.max_frames, clocks=settings.clocks, max_shift_s=settings.max_shift_s
    )
    with one_thread():
        lens_views = {name: footage.views for name, footage in alone.items()}
        rig = calibrate_rig(views, lens_views, printed, size_px=size_px, options=options)
    progress("calibrate: solve", 1, 1)
    footage = Footage(
        board=printed,
        views=views,
        lens_views={name: found.views for name, found in alone.items()},
        examined={name: found.num_images for name, found in together.items()},
        with_markers={name: found.num_with_markers for name, found in together.items()},
    )
    with one_thread():
        lengths = measured(rig.cameras, distances_m or {})
        verdict = judge(rig, footage, stored=stored, measured_m=lengths, max_rms_px=settings.max_rms_px)
    page = calibration_report_html(rig, verdict, footage)
    details = calibration_report(rig, verdict, footage)
    return rig.cameras, _summarise(rig, verdict, together, size_px, details, page)


def _watch_lenses(
    clips: Mapping[str, Clip], board: Board, settings: CalibrateSettings, progress: Progress
) -> dict[str, BoardFootage]:
    """Each lens has instants of its own: its clip may have any rate and any length."""
    found: dict[str, BoardFootage] = {}
    steps = {
        name: common_step_s({name: clip}, settings.examine_hz, settings.max_examined)
        for name, clip in clips.items()
    }
    for step_s in dict.fromkeys(steps.values()):
        same = {name: clip for name, clip in clips.items() if steps[name] == step_s}
        found |= watch_board(same, board, step_s=step_s, progress=progress)
    _check_found(clips, found, board)
    return found


def _check_sizes(intrinsics: Mapping[str, Clip], extrinsics: Mapping[str, Clip]) -> None:
    for name, clip in intrinsics.items():
        if name in extrinsics and clip.size_px != extrinsics[name].size_px:
            (width, height), (other_width, other_height) = clip.size_px, extrinsics[name].size_px
            raise InputError(
                f"the images are {width}x{height}, those of the extrinsics clip {other_width}x{other_height}",
                where=clip.path,
                todo="film the lens with the same settings as the take, or take the clip away",
            )


def _check_found(clips: Mapping[str, Clip], footage: Mapping[str, BoardFootage], board: Board) -> None:
    """Say what is wrong with the description of the board where that is why it is not found.

    Raises:
        InputError: markers without corners, or hardly a marker, in most images of the clip that saw most.
    """
    best = max(footage, key=lambda name: len(footage[name].views), default=None)
    if best is None:
        return
    seen = footage[best]
    rare = len(usable_views(seen.views)) < max(3, 0.05 * seen.num_images)
    puzzling = len(seen.views) < 0.5 * seen.num_with_markers
    if not (rare or puzzling):
        return
    other = suggest_board(sample_images(clips[best], _SUGGEST_IMAGES), board)
    if other is not None:
        raise InputError(
            "these clips show another board than [board] of session.toml describes: "
            + "; ".join(board_differences(board, other)),
            where=clips[best].path.parent,
            todo=f"set {_difference(board, other)} there",
        )
    if rare:
        raise InputError(
            f"the board is found in {len(seen.views)} of {seen.num_images} examined images of camera {best}",
            where=clips[best].path,
            todo="compare [board] of session.toml with the print (dictionary, inverted, columns, rows), "
            "film it closer and in better light",
        )


def _difference(board: Board, other: Board) -> str:
    """The settings that change one board into the other."""
    changes: list[str] = []
    for key, value in asdict(other).items():
        if value != asdict(board)[key]:
            # Digits that a product of two sizes leaves behind are nobody's measure.
            short = round(value, 6) if isinstance(value, float) else value
            changes.append(f"{key} = {json.dumps(short)}")
    return ", ".join(changes)


def _summarise(
    rig: RigCalibration,
    verdict: Verdict,
    footage: Mapping[str, BoardFootage],
    size_px: Mapping[str, tuple[int, int]],
    details: Mapping[str, Any],
    page: str,
) -> CalibrateSummary:
    shared, single = rig.camera_rms_px(shared=True), rig.camera_rms_px(shared=False)
    views = [view for one in footage.values() for view in usable_views(one.views)]
    views += [view for lens in rig.lenses.values() for view in lens.views]
    covered = coverage(views, size_px)
    reports: dict[str, CameraReport] = {}
    for row, name in enumerate(rig.cameras.names):
        fx, fy = rig.cameras.focal_px[row].tolist()
        x, y, z = rig.cameras.centers_world[row].tolist()
        reports[name] = CameraReport(
            rms_px=shared[name],
            # Without views of its own in the last solve, what the lens's own solve said.
            lens_rms_px=single[name] if math.isfinite(single[name]) else rig.lenses[name].summary.rms_px,
            focal_px=(fx, fy),
            focal_std_px=rig.focal_std_px(name),
            board_views=len(usable_views(footage[name].views)),
            examined=footage[name].num_images,
            coverage=covered[name],
            own_lens_clip=name in rig.own_lens_clip,
            position_m=(x, y, z),
            lens=rig.cameras.model[row],
            distortion=tuple(rig.cameras.distortion[row].tolist()),
            clock=rig.clocks[name],
        )
    return CalibrateSummary(
        rms_px=rig.bundle.rms_px(rig.bundle.shared),
        held_out_rms_px=rig.held_out_rms_px,
        held_out_free_px=rig.held_out.free_px if rig.held_out else math.nan,
        repeatability_mm=1e3 * rig.repeatability.points_m if rig.repeatability else math.nan,
        frames=len(rig.frames),
        square_bias_mm=1e3 * rig.squares.bias_m,
        square_std_mm=1e3 * rig.squares.std_m,
        rest_s=rig.world.rest.duration_s if rig.world.rest else 0.0,
        cameras=reports,
        usable=not verdict.reasons,
        reasons=verdict.reasons,
        warnings=verdict.warnings,
        details=details,
        page=page,
    )
