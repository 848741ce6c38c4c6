"""The stages of a take: each loads its inputs, calls one function, and saves what that returned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.outcome import Outcome, left_alone, unless_fresh
from mocap.progress import Progress
from mocap.settings import Settings
from mocap.stages import Stage, State
from mocap.take import Take, load_shape
from mocap.take_check import cameras_of

if TYPE_CHECKING:
    import exporters


def sync(take: Take, settings: Settings, progress: Progress) -> Outcome:
    """The clocks of the cameras: clips or keypoints to ``sync.json``."""
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

    return unless_fresh(take.record, stage, f"{take.name} sync", work)


def detect(take: Take, settings: Settings, progress: Progress) -> Outcome:
    """2D keypoints of every clip whose own are missing or stale."""
    from mocap.detect import detect as solve

    clips = take.clips()
    stages = {name: _detect_stage(take, name, path, settings) for name, path in clips.items()}
    states = {name: take.record.state(stage) for name, stage in stages.items()}
    due = {name: path for name, path in clips.items() if states[name] in (State.MISSING, State.STALE)}
    outcome = Outcome()
    for name, state in states.items():
        if name not in due:
            outcome += left_alone(f"{take.name} detect {name}", state)

    def save(camera: str, keypoints: Any) -> None:
        take.record.begin(stages[camera])
        take.save_keypoints(camera, keypoints)
        take.record.finish(stages[camera])

    if due:
        summary = solve(due, settings=settings.detect, scratch=take.scratch, save=save, progress=progress)
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


def reconstruct(take: Take, settings: Settings, progress: Progress) -> Outcome:
    """3D keypoints from the 2D ones, the cameras and their clocks."""
    from mocap.reconstruct import reconstruct as solve
    from mocap.threads import one_thread

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
        with one_thread():
            points, summary = solve(
                keypoints, cameras, take.load_clock(), settings=settings.reconstruct, progress=progress
            )
        take.save_cameras(cameras)
        take.save_points(points)
        return Outcome(summary={f"{take.name} reconstruct": vars(summary)})

    return unless_fresh(take.record, stage, f"{take.name} reconstruct", work)


def fit(take: Take, settings: Settings, progress: Progress) -> Outcome:
    """The body in motion, for each person: on the pixels where the take has them, else on the points."""
    from mocap.actor_views import actor_views, evidence_for
    from mocap.fit import fit as solve
    from mocap.threads import one_thread
    from rigs import load_body

    if not take.points_file.is_file():
        return Outcome()
    shape_file = Path(settings.fit.shape) if settings.fit.shape else None
    pixels = {"cameras": take.cameras_file, "sync": take.sync_file}
    pixels |= {f"keypoints {name}": path for name, path in take.keypoints_files().items()}
    stage = Stage(
        "fit",
        {"points": take.points_file}
        | {name: path for name, path in pixels.items() if path.is_file()}
        | ({"shape": shape_file} if shape_file and shape_file.is_file() else {}),
        {"fit": vars(settings.fit), "reconstruct": vars(settings.reconstruct)},
        lambda: list(take.motion_files().values()),
    )

    def work() -> Outcome:
        body = load_body(settings.fit.body)
        points = take.load_points()
        with one_thread():
            views = actor_views(take, settings.reconstruct)
            motions, summary = solve(
                points,
                body,
                settings=settings.fit,
                progress=progress,
                cameras=views.cameras if views else None,
                evidence=evidence_for(views, points, settings.reconstruct),
                shape=load_shape(shape_file, body.name) if shape_file else None,
            )
        for person, motion in motions.items():
            take.save_motion(_person_name(person), motion)
        return Outcome(summary={f"{take.name} fit": vars(summary)})

    return unless_fresh(take.record, stage, f"{take.name} fit", work)


def export(take: Take, settings: Settings, progress: Progress) -> Outcome:
    """Files for other programs."""
    import exporters
    from exporters.readers import load_any_rig
    from mocap.exports import SCENE_SCRIPT, dressed, export_options, sources, write_scene

    motion_files = take.motion_files()
    if not motion_files:
        return Outcome()
    stage = Stage(
        "export",
        {f"motion {name}": path for name, path in motion_files.items()}
        | _rig_file(settings.export.rig)
        | sources(take, settings.export),
        settings.export,
        lambda: [
            path for path in take.export_files() if path.stem in {*motion_files, take.name, SCENE_SCRIPT}
        ],
    )

    def work() -> Outcome:
        rig = load_any_rig(settings.export.rig).with_options(
            rest=settings.export.rest, root_motion=settings.export.root_motion
        )
        people = [_character(take, person, settings) for person in motion_files]
        made: list[Path] = []
        for name in settings.export.formats:
            options = export_options(name, settings.export, rig)
            if settings.export.one_file and "one_file" in exporters.format_options(name) and len(people) > 1:
                content = dressed(take, people, settings.export)
                made += exporters.export(content, take.export_folder, format=name, one_file=True, **options)
                continue
            for person in people:
                content = dressed(take, [person], settings.export)
                made += exporters.export(content, take.export_folder / person.name, format=name, **options)
        if settings.export.cameras and take.cameras_file.is_file():
            write_scene(take, dressed(take, people, settings.export), made)
        return Outcome()

    outcome = unless_fresh(take.record, stage, f"{take.name} export", work)
    return outcome + Outcome(files=tuple(take.export_files()))


def _rig_file(rig: str) -> dict[str, Path]:
    """A rig of the user's own, which makes the export stale when it changes."""
    return {"rig": Path(rig)} if Path(rig).is_file() else {}


def _character(take: Take, person: str, settings: Settings) -> exporters.Character:
    """A person as they are exported: their skeleton, their skin, and the wanted part of their motion."""
    import exporters
    from exporters.clip import clip
    from mocap.exports import markers_of
    from rigs import load_body
    from rigs.mesh import mesh_of

    motion = take.load_motion(person)
    body = load_body(motion.body)
    # The skin of a body that is licensed to the user alone does not leave with the motion.
    mesh = mesh_of(body, motion.betas) if motion.body == "default" else None
    character = exporters.Character(person, body.skeleton(motion.betas), motion, mesh)
    wanted, first = settings.export, float(motion.time_s[0])
    part = clip(
        character,
        start_s=first + wanted.start_s if wanted.start_s else None,
        end_s=first + wanted.end_s if wanted.end_s else None,
        rate_hz=wanted.rate_hz or None,
        loop=wanted.loop,
    )
    markers = markers_of(take, person, part.motion) if "c3d" in wanted.formats else None
    return replace(part, markers=markers)


def report(take: Take, settings: Settings, progress: Progress) -> Outcome:
    """What came out, in figures and in a picture."""
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

    return unless_fresh(take.record, stage, f"{take.name} report", work)


def _person_name(person: int) -> str:
    return f"person{person + 1}"
