"""The stages of a take: each loads its inputs, calls one function, and saves what that returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.bodiless import no_body, point_sets
from mocap.outcome import Outcome, left_alone, unless_fresh
from mocap.progress import Progress
from mocap.settings import Settings
from mocap.stages import Stage, State
from mocap.take import Take, load_shape
from mocap.take_check import cameras_of

if TYPE_CHECKING:
    import exporters


def sync(take: Take, settings: Settings, progress: Progress) -> Outcome:
    """The clocks of the cameras: clips and keypoints to ``sync.json``."""
    from mocap.sync_take import clock_of, clock_summary, rig_of

    clips, keypoints_files = take.clips(), take.keypoints_files()
    names = sorted({*clips, *keypoints_files})
    if not names:
        return Outcome()
    rig = rig_of(take)
    stage = Stage(
        "sync",
        {f"clip {name}": path for name, path in clips.items()}
        | {f"keypoints {name}": path for name, path in keypoints_files.items()},
        {"cameras": names, "sync": vars(settings.sync), "rig": rig.fingerprint},
        lambda: [path for path in (take.sync_file,) if path.is_file()],
        version=2,
    )

    def work() -> Outcome:
        progress("sync", 0, 1)
        clock = clock_of(take, rig, settings.sync)
        take.save_clock(clock)
        progress("sync", 1, 1)
        return Outcome(summary={f"{take.name} sync": clock_summary(clock)})

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


def search(take: Take, settings: Settings, progress: Progress) -> Outcome:
    """People whom a view's detector missed, looked for again in its clip where the other views have them."""
    from mocap.people.person import only_person
    from mocap.people.search import search as solve

    made_here = {
        name: take.record.state(_detect_stage(take, name, path, settings)) is State.FRESH
        for name, path in take.clips().items()
    }
    synced = take.synced_keypoints_files()
    clips = {name: path for name, path in take.clips().items() if made_here[name] and name in synced}
    keypoints = {name: take.load_keypoints(name) for name in synced}
    if not clips or len(keypoints) < 2 or only_person(keypoints) is not None:
        return Outcome()
    shared = take.session.cameras_file
    stage = Stage(
        "search",
        {f"keypoints {name}": path for name, path in synced.items()}
        | {f"clip {name}": path for name, path in clips.items()}
        | {"cameras": shared if shared.is_file() else take.cameras_file, "sync": take.sync_file},
        {"detect": vars(settings.detect), "reconstruct": vars(settings.reconstruct)},
        lambda: list(take.found_files().values()),
    )

    def work() -> Outcome:
        found, summary = solve(
            keypoints,
            cameras_of(take),
            take.load_clock(),
            clips,
            settings=settings.detect,
            reconstruct=settings.reconstruct,
            progress=progress,
        )
        for name, view in found.items():
            take.save_found(name, view)
        return Outcome(summary={f"{take.name} search": vars(summary)})

    return unless_fresh(take.record, stage, f"{take.name} search", work)


def reconstruct(take: Take, settings: Settings, progress: Progress) -> Outcome:
    """3D keypoints from the 2D ones, the cameras and their clocks."""
    from mocap.people.wishes import load_wishes
    from mocap.reconstruct import reconstruct as solve
    from mocap.threads import one_thread

    keypoints_files = take.synced_keypoints_files()
    if not keypoints_files:
        return Outcome()
    shared = take.session.cameras_file
    stage = Stage(
        "reconstruct",
        {f"keypoints {name}": path for name, path in keypoints_files.items()}
        | {"cameras": shared if shared.is_file() else take.cameras_file, "sync": take.sync_file}
        | _who_is_who(take),
        settings.reconstruct,
        lambda: [path for path in (take.points_file,) if path.is_file()],
    )

    def work() -> Outcome:
        views = take.load_views()
        cameras = cameras_of(take)[list(views)]
        with one_thread():
            points, summary = solve(
                views,
                cameras,
                take.load_clock(),
                settings=settings.reconstruct,
                wishes=load_wishes(take.people_file),
                progress=progress,
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
    if (reason := no_body(take)) is not None:
        return Outcome(summary={f"{take.name} fit": {"warnings": (reason,)}})
    shape_file = Path(settings.fit.shape) if settings.fit.shape else None
    pixels = {"cameras": take.cameras_file, "sync": take.sync_file}
    pixels |= {f"keypoints {name}": path for name, path in take.keypoints_files().items()}
    pixels |= _who_is_who(take)
    stage = Stage(
        "fit",
        {"points": take.points_file}
        | {name: path for name, path in pixels.items() if path.is_file()}
        | ({"shape": shape_file} if shape_file and shape_file.is_file() else {}),
        {"fit": vars(settings.fit), "reconstruct": vars(settings.reconstruct)},
        lambda: list(take.motion_files().values()),
    )
    made = take.record.made(stage)

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
        names = {_person_name(person): motion for person, motion in motions.items()}
        _remove(made, take.motion_files(), set(names))
        for name, motion in names.items():
            take.save_motion(name, motion)
        return Outcome(summary={f"{take.name} fit": vars(summary)})

    return unless_fresh(take.record, stage, f"{take.name} fit", work)


def export(take: Take, settings: Settings, progress: Progress) -> Outcome:
    """Files for other programs."""
    import exporters
    from exporters.readers import load_any_rig
    from mocap.exports import SCENE_SCRIPT, dressed, export_options, sources, write_scene

    motion_files = take.motion_files()
    if not motion_files:
        return _export_points(take, settings) if no_body(take) else Outcome()
    ours = {*motion_files, take.name, SCENE_SCRIPT}
    stage = Stage(
        "export",
        {f"motion {name}": path for name, path in motion_files.items()}
        | _rig_file(settings.export.rig)
        | sources(take, settings.export),
        settings.export,
        lambda: [path for path in take.export_files() if path.stem in ours],
    )
    made = take.record.made(stage)

    def work() -> Outcome:
        rig = load_any_rig(settings.export.rig).with_options(
            rest=settings.export.rest, root_motion=settings.export.root_motion
        )
        _remove(made, {path.stem: path for path in take.export_files() if path.stem not in ours}, set())
        people = [_character(take, person, settings) for person in motion_files]
        written: list[Path] = []
        for name in settings.export.formats:
            options = export_options(name, settings.export, rig)
            if settings.export.one_file and "one_file" in exporters.format_options(name) and len(people) > 1:
                content = dressed(take, people, settings.export)
                written += exporters.export(
                    content, take.export_folder, format=name, one_file=True, **options
                )
                continue
            for person in people:
                content = dressed(take, [person], settings.export)
                target = take.export_folder / person.name
                written += exporters.export(content, target, format=name, **options)
        if settings.export.cameras and take.cameras_file.is_file():
            written.append(write_scene(take, dressed(take, people, settings.export), written))
        return Outcome(files=tuple(sorted(written)))

    outcome = unless_fresh(take.record, stage, f"{take.name} export", work)
    return outcome if outcome.files else outcome + Outcome(files=tuple(take.export_files()))


def _export_points(take: Take, settings: Settings) -> Outcome:
    """Points without a body, in those of the wanted formats that hold them, else in all that do."""
    from exporters.points import POINT_FORMATS, export_points
    from mocap import files

    formats = [name for name in settings.export.formats if name in POINT_FORMATS] or list(POINT_FORMATS)
    stage = Stage(
        "export points",
        {"points": take.points_file},
        {"formats": formats},
        lambda: [path for path in take.export_files() if path.stem.startswith("points")],
    )

    def work() -> Outcome:
        for points in point_sets(take.load_points()):
            for name in formats:
                for file, content in export_points(points, name).items():
                    files.write_atomic(take.export_folder / file, content)
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
    parts += [*take.keypoints_files().values(), *_who_is_who(take).values(), *take.motion_files().values()]
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


def _who_is_who(take: Take) -> dict[str, Path]:
    """What decides on people besides the keypoints: those who were found again, and what the user says."""
    wishes = {"people": take.people_file} if take.people_file.is_file() else {}
    return {f"found {name}": path for name, path in take.found_files().items()} | wishes


def _remove(made: Mapping[str, str], present: Mapping[str, Path], still: set[str]) -> None:
    """Delete what this program made of people who are no longer there."""
    for name, path in present.items():
        if name not in still and any(Path(own).name == path.name for own in made):
            path.unlink()


def _person_name(person: int) -> str:
    return f"person{person + 1}"
