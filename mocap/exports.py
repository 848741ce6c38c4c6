"""What files for other programs are made from beside a motion: points, cameras, clips, timecode."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mocap import files
from mocap.settings import ExportSettings
from mocap.take import Take

if TYPE_CHECKING:
    import exporters
    from rigs.motion import Motion
    from rigs.rig import Rig

SCENE_SCRIPT = "blender_scene"
"""Stem of the script that sets the scene in Blender."""


def export_options(format: str, settings: ExportSettings, rig: Rig) -> dict[str, Any]:
    """The options of one format that the settings ask for."""
    import exporters

    known = exporters.format_options(format)
    options: dict[str, Any] = {"rig": rig} if "rig" in known else {}
    if settings.max_error_mm > 0 and "max_error_mm" in known:
        options["max_error_mm"] = settings.max_error_mm
    if settings.target:
        options |= exporters.target(settings.target).options.get(format, {})
    return options


def markers_of(take: Take, person: str, motion: Motion) -> exporters.Markers | None:
    """The keypoints in space of one person at the motion's times; None where there are none.

    Motions are named after the people of ``points.npz``, from one; another program's motion has no points.
    """
    import exporters

    if not take.points_file.is_file() or not person.removeprefix("person").isdecimal():
        return None
    points = take.load_points()
    rows = np.flatnonzero(points.person == int(person.removeprefix("person")) - 1)
    if not len(rows) or not len(points.time_s):
        return None
    row = int(rows[0])
    middle = (points.time_s[1:] + points.time_s[:-1]) / 2
    nearest = np.searchsorted(middle, motion.time_s)
    near = np.abs(points.time_s[nearest] - motion.time_s) < 0.5 / motion.mocap_framerate
    xyz = np.where(near[:, None, None], points.xyz_world[nearest, row], np.nan)
    variance = np.trace(points.covariance[nearest, row], axis1=-2, axis2=-1) / 3
    views = np.where(near[:, None], points.num_views[nearest, row], 0)
    return exporters.Markers(points.keypoint_names, xyz, np.sqrt(variance), views.astype(np.int64))


def dressed(take: Take, people: Sequence[exporters.Character], settings: ExportSettings) -> exporters.Take:
    """A take of these people with what else the settings ask for."""
    import exporters

    motion = people[0].motion
    timecode = None
    if settings.timecode:
        start = exporters.Timecode.parse(settings.timecode, motion.mocap_framerate)
        timecode = start + round(float(motion.time_s[0]) * motion.mocap_framerate)
    if not settings.cameras or not take.cameras_file.is_file():
        return exporters.Take(take.name, tuple(people), timecode=timecode)
    cameras, plates = take.load_cameras(), _plates(take)
    return exporters.Take(take.name, tuple(people), cameras=cameras, plates=plates, timecode=timecode)


def sources(take: Take, settings: ExportSettings) -> dict[str, Path]:
    """Files beside the motions that the exports are made from."""
    found = {"points": take.points_file} if "c3d" in settings.formats else {}
    if settings.cameras:
        found |= {"cameras": take.cameras_file, "sync": take.sync_file}
    return {name: path for name, path in found.items() if path.is_file()}


def write_scene(take: Take, content: exporters.Take, made: Sequence[Path]) -> Path:
    """Write the script that sets the scene in Blender, with the best of the files for each person."""
    import exporters

    best: dict[str, Path] = {}
    for suffix in (".glb", ".fbx"):
        best |= {path.stem: path for path in made if path.suffix == suffix}
    script = exporters.blender_scene(content, list(best.values()), take.export_folder)
    path = take.export_folder / f"{SCENE_SCRIPT}.py"
    files.write_atomic(path, script)
    return path


def _plates(take: Take) -> tuple[exporters.Plate, ...]:
    """The take's clips and when they begin."""
    import exporters
    from mocap.video import open_clip

    clock = take.load_clock() if take.sync_file.is_file() else None
    plates: list[exporters.Plate] = []
    for camera, path in take.clips().items():
        known = clock is not None and camera in clock.cameras
        start_s = clock.cameras[camera].offset_s if clock is not None and known else 0.0
        plates.append(exporters.Plate(camera, path, open_clip(path).rate_hz, start_s))
    return tuple(plates)
