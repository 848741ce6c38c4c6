"""The story on one page: what each command does, in order, and what it may skip.

    calibrate    board clips                       -> cameras.toml
    sync         clips or keypoints                -> sync.json
    detect       clips                             -> keypoints/<camera>.npz
    reconstruct  keypoints, cameras, clocks        -> points.npz, the cameras used
    fit          points, body                      -> motion/<person>.npz
    export       motion                            -> export/<person>.<format>
    report       all of it                         -> report.json, overlay.png

A stage is skipped when its results were made from the same inputs and settings, redone when they are
stale, and leaves alone what came from elsewhere. A take may begin at any stage: the files of the
earlier ones need not exist.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.errors import InputError
from mocap.progress import Progress, silent
from mocap.session import Session, Take
from mocap.settings import Settings, with_overrides
from mocap.stages import Record, Stage, State

if TYPE_CHECKING:
    from calibration import Cameras

_log = logging.getLogger(__name__)

STAGES = ("sync", "detect", "reconstruct", "fit", "export", "report")
"""The stages of a take, in order."""


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    done: tuple[str, ...] = ()
    """Stages that ran, as ``take1 fit``."""
    skipped: tuple[str, ...] = ()
    """Stages whose results were fresh."""
    kept: tuple[str, ...] = ()
    """Stages whose results came from elsewhere and were left alone."""
    files: tuple[Path, ...] = ()
    """The exported files."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the stages, by the same names."""
    usable: bool = True
    """False when a result must not be trusted; the summary says why."""

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.done + other.done,
            self.skipped + other.skipped,
            self.kept + other.kept,
            self.files + other.files,
            {**self.summary, **other.summary},
            self.usable and other.usable,
        )


def run(
    root: Path, *, take: str | None = None, overrides: Iterable[str] = (), progress: Progress = silent
) -> Outcome:
    """Every missing or stale stage of every take, to the exports.

    Args:
        root: the session's folder.
        take: only this take.
        overrides: settings as ``section.key=value``, over those of ``session.toml``.
        progress: told of long work.

    Raises:
        MocapError: what is wrong, where, and what to do.
    """
    session = Session.open(root)
    settings = with_overrides(session.load_settings(), overrides)
    takes = session.takes(take)
    outcome = Outcome()
    if session.clips("extrinsics"):
        outcome += _calibrate(session, settings, progress)
        if not outcome.usable:
            return outcome
    for one in takes:
        check_take(one)
    for one in takes:
        for stage in STAGES:
            outcome += _STAGES[stage](one, settings, progress)
    return outcome


def run_stage(
    stage: str,
    root: Path,
    *,
    take: str | None = None,
    overrides: Iterable[str] = (),
    progress: Progress = silent,
) -> Outcome:
    """One stage of every take, or of the one that is named."""
    session = Session.open(root)
    settings = with_overrides(session.load_settings(), overrides)
    outcome = Outcome()
    for one in session.takes(take):
        check_take(one)
        _check_startable(one, stage)
        outcome += _STAGES[stage](one, settings, progress)
    return outcome


def calibrate(root: Path, *, overrides: Iterable[str] = (), progress: Progress = silent) -> Outcome:
    """Calibrate the cameras from the board clips; ``usable`` is False when the result must not be trusted."""
    session = Session.open(root)
    settings = with_overrides(session.load_settings(), overrides)
    if not session.clips("extrinsics"):
        raise InputError(
            "no board clips",
            where=session.clips_folder("extrinsics"),
            todo="put one clip of the moving board for each camera there: <camera>.mp4",
        )
    return _calibrate(session, settings, progress)


def check_take(take: Take) -> None:
    """Refuse a take that cannot lead anywhere, before any work is spent on it.

    Raises:
        InputError: nothing in it, one camera only, or cameras that the calibration does not have.
    """
    if take.points_file.is_file() or take.motion_files():
        return
    names = sorted({*take.clips(), *take.keypoints_files()})
    if not names:
        raise InputError(
            "empty take", where=take.folder, todo="put one clip of each camera there: <camera>.mp4"
        )
    if len(names) < 2:
        raise InputError(
            f"a take with one camera ({names[0]})",
            where=take.folder,
            todo="depth needs clips of two cameras or more",
        )
    if take.session.cameras_file.is_file() or take.cameras_file.is_file():
        _check_sizes(take, cameras_of(take))
    elif not take.session.clips("extrinsics"):
        take.session.load_cameras()  # says what is missing


_CODEC_CROP_PX = 16
"""Encoders work in blocks of 16 pixels, so a clip may lack up to a block of the sensor's columns or rows."""


def _check_sizes(take: Take, cameras: Cameras) -> None:
    """Open every clip: it must be readable, and of the size that its camera was calibrated at."""
    from mocap.video import open_clip

    clips = take.clips()
    for name, size in zip(cameras.names, cameras.size_px.tolist(), strict=True):
        seen = open_clip(clips[name]).size_px if name in clips else take.load_keypoints(name).size_px
        calibrated = tuple(int(value) for value in size)
        difference = max(abs(a - b) for a, b in zip(seen, calibrated, strict=True))
        told = "footage of {} x {}, but the camera was calibrated at {} x {}".format(*seen, *calibrated)
        if 0 < difference <= _CODEC_CROP_PX:
            _log.warning("%s: %s; taken as cropped at the right and below", name, told)
        if difference > _CODEC_CROP_PX:
            raise InputError(
                told,
                where=clips.get(name, take.keypoints_file(name)),
                todo="calibrate with clips of the same recording mode",
            )


def cameras_of(take: Take) -> Cameras:
    """The calibrated cameras of a take, under the names and in the order of its footage.

    Raises:
        InputError: a camera of the footage is not calibrated, or has no position.
    """
    from calibration import CalibrationError, match_names

    names = sorted({*take.clips(), *take.keypoints_files()})
    own = not take.session.cameras_file.is_file() and take.cameras_file.is_file()
    source = take.cameras_file if own else take.session.cameras_file
    cameras = take.load_cameras() if own else take.session.load_cameras()
    try:
        match = match_names(names, cameras.names)
    except CalibrationError as error:
        raise InputError(
            f"the footage's cameras are not those of the calibration: {error}", where=take.folder
        ) from error
    unposed = [name for name, posed in zip(cameras.names, cameras.posed.tolist(), strict=True) if not posed]
    for name in names:
        if match[name] in unposed:
            raise InputError(
                f"camera {match[name]} has a lens but no position", where=source, todo="run mocap calibrate"
            )
    return dataclasses.replace(cameras[[match[name] for name in names]], names=tuple(names))


def _calibrate(session: Session, settings: Settings, progress: Progress) -> Outcome:
    from mocap.calibrate import calibrate as solve
    from mocap.video import open_clip

    intrinsics, extrinsics = session.clips("intrinsics"), session.clips("extrinsics")
    for name in sorted(set(intrinsics) - set(extrinsics)):
        _log.warning(
            "%s: no clip of this name in calibration/extrinsics, so it is not used", intrinsics[name]
        )
    stage = Stage(
        "calibrate",
        {f"intrinsics/{name}": path for name, path in intrinsics.items()}
        | {f"extrinsics/{name}": path for name, path in extrinsics.items()},
        {"board": vars(settings.board), "calibrate": vars(settings.calibrate)},
        lambda: [path for path in (session.cameras_file,) if path.is_file()],
    )

    def work() -> Outcome:
        cameras, summary = solve(
            {name: open_clip(path) for name, path in intrinsics.items()},
            {name: open_clip(path) for name, path in extrinsics.items()},
            board=settings.board,
            settings=settings.calibrate,
            progress=progress,
        )
        report = summary.report()
        session.save_calibration_report(report)
        if summary.usable:
            session.save_cameras(cameras, {"error": summary.rms_px, "adjusted": True})
        return Outcome(summary={"calibrate": report}, usable=summary.usable)

    return _unless_fresh(session.record, stage, "calibrate", work)


def _sync(take: Take, settings: Settings, progress: Progress) -> Outcome:
    from mocap.sync import synchronize
    from mocap.video import open_clip

    clips = take.clips()
    names = sorted({*clips, *take.keypoints_files()})
    if not names:
        return Outcome()
    stage = Stage(
        "sync",
        {f"clip {name}": path for name, path in clips.items()},
        {"cameras": names, "offsets_s": dict(settings.sync.offsets_s)},
        lambda: [path for path in (take.sync_file,) if path.is_file()],
    )

    def work() -> Outcome:
        interval_s = {name: 1.0 / open_clip(path).rate_hz for name, path in clips.items()}
        take.save_clock(synchronize(names, frame_interval_s=interval_s, settings=settings.sync))
        return Outcome()

    return _unless_fresh(take.record, stage, f"{take.name} sync", work)


def _detect(take: Take, settings: Settings, progress: Progress) -> Outcome:
    from mocap.detect import detect

    clips = take.clips()
    stages = {name: _detect_stage(take, name, path, settings) for name, path in clips.items()}
    states = {name: take.record.state(stage) for name, stage in stages.items()}
    due = {name: path for name, path in clips.items() if states[name] in (State.MISSING, State.STALE)}
    outcome = Outcome()
    for name, state in states.items():
        if name not in due:
            outcome += _left_alone(f"{take.name} detect {name}", state)

    def save(camera: str, keypoints: Any) -> None:
        take.record.begin(stages[camera])
        take.save_keypoints(camera, keypoints)
        take.record.finish(stages[camera])

    if due:
        summary = detect(due, settings=settings.detect, scratch=take.scratch, save=save, progress=progress)
        name = f"{take.name} detect"
        outcome += Outcome(done=tuple(f"{name} {camera}" for camera in due), summary={name: vars(summary)})
    return outcome


def _detect_stage(take: Take, camera: str, clip: Path, settings: Settings) -> Stage:
    path = take.keypoints_file(camera)
    return Stage(
        f"detect {camera}",
        {"clip": clip},
        settings.detect,
        lambda: [item for item in (path,) if item.is_file()],
    )


def _reconstruct(take: Take, settings: Settings, progress: Progress) -> Outcome:
    from mocap.reconstruct import reconstruct

    keypoints_files = take.keypoints_files()
    if not keypoints_files:
        return Outcome()
    shared = take.session.cameras_file
    stage = Stage(
        "reconstruct",
        {f"keypoints {name}": path for name, path in keypoints_files.items()}
        | {"cameras": shared if shared.is_file() else take.cameras_file, "sync": take.sync_file},
        settings.reconstruct,
        lambda: [path for path in (take.points_file,) if path.is_file()],
    )

    def work() -> Outcome:
        cameras = cameras_of(take)
        keypoints = {name: take.load_keypoints(name) for name in keypoints_files}
        points, summary = reconstruct(
            keypoints, cameras, take.load_clock(), settings=settings.reconstruct, progress=progress
        )
        take.save_cameras(cameras)
        take.save_points(points)
        return Outcome(summary={f"{take.name} reconstruct": vars(summary)})

    return _unless_fresh(take.record, stage, f"{take.name} reconstruct", work)


def _fit(take: Take, settings: Settings, progress: Progress) -> Outcome:
    from mocap.fit import fit
    from rigs import load_body

    if not take.points_file.is_file():
        return Outcome()
    stage = Stage(
        "fit", {"points": take.points_file}, settings.fit, lambda: list(take.motion_files().values())
    )

    def work() -> Outcome:
        body = load_body(settings.fit.body)
        motions, summary = fit(take.load_points(), body, settings=settings.fit, progress=progress)
        for person, motion in motions.items():
            take.save_motion(_person_name(person), motion)
        return Outcome(summary={f"{take.name} fit": vars(summary)})

    return _unless_fresh(take.record, stage, f"{take.name} fit", work)


def _export(take: Take, settings: Settings, progress: Progress) -> Outcome:
    import exporters
    from rigs import load_body

    motion_files = take.motion_files()
    if not motion_files:
        return Outcome()
    stage = Stage(
        "export",
        {f"motion {name}": path for name, path in motion_files.items()},
        settings.export,
        lambda: [path for path in take.export_files() if path.stem in motion_files],
    )

    def work() -> Outcome:
        for person in motion_files:
            motion = take.load_motion(person)
            skeleton = load_body(motion.body).skeleton(motion.betas)
            content = exporters.Take(take.name, (exporters.Character(person, skeleton, motion),))
            for name in settings.export.formats:
                named = {"rig": settings.export.rig} if "rig" in exporters.format_options(name) else {}
                exporters.export(content, take.export_folder / person, format=name, **named)
        return Outcome()

    outcome = _unless_fresh(take.record, stage, f"{take.name} export", work)
    return outcome + Outcome(files=tuple(take.export_files()))


def _report(take: Take, settings: Settings, progress: Progress) -> Outcome:
    from mocap.report import overlay_image, take_report

    if not take.motion_files():
        return Outcome()
    parts = [take.points_file, take.sync_file, take.cameras_file]
    parts += [*take.keypoints_files().values(), *take.motion_files().values()]
    stage = Stage(
        "report",
        {path.relative_to(take.folder).as_posix(): path for path in parts if path.is_file()},
        {},
        lambda: [path for path in (take.report_file, take.overlay_file) if path.is_file()],
    )

    def work() -> Outcome:
        report = take_report(take, settings)
        take.save_report(report)
        image = overlay_image(take)
        if image is not None:
            take.save_overlay(image)
        return Outcome(summary={f"{take.name} report": report})

    return _unless_fresh(take.record, stage, f"{take.name} report", work)


_STAGES: dict[str, Callable[[Take, Settings, Progress], Outcome]] = {
    "sync": _sync,
    "detect": _detect,
    "reconstruct": _reconstruct,
    "fit": _fit,
    "export": _export,
    "report": _report,
}


def _unless_fresh(record: Record, stage: Stage, name: str, work: Callable[[], Outcome]) -> Outcome:
    """Do the work of a stage unless its results are there already."""
    state = record.state(stage)
    if state in (State.FRESH, State.FOREIGN):
        return _left_alone(name, state)
    _log.info("%s: %s", name, "stale, made again" if state is State.STALE else "made")
    record.begin(stage)
    outcome = work()
    if outcome.usable:  # else older results would pass for those of the present inputs
        record.finish(stage)
    return outcome + Outcome(done=(name,))


def _left_alone(name: str, state: State) -> Outcome:
    if state is State.FRESH:
        return Outcome(skipped=(name,))
    _log.warning(
        "%s: what is there was made or edited elsewhere and is kept; delete it to have it made", name
    )
    return Outcome(kept=(name,))


def _person_name(person: int) -> str:
    return f"person{person + 1}"


_NEEDED = {
    "detect": (lambda take: take.clips(), "clips of the cameras: <camera>.mp4"),
    "reconstruct": (lambda take: take.keypoints_files(), "keypoints; run mocap detect"),
    "fit": (lambda take: take.points_file.is_file(), "points.npz; run mocap reconstruct"),
    "export": (lambda take: take.motion_files(), "a motion; run mocap fit"),
}


def _check_startable(take: Take, stage: str) -> None:
    present, what = _NEEDED.get(stage, (lambda _: True, ""))
    if not present(take):
        raise InputError(f"{stage} needs {what}", where=take.folder)
