"""A script for Blender that sets the stage: characters, calibrated cameras, and their clips behind them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

from exporters.axes import WORLD
from exporters.lenses import FILM_WIDTH_MM, Lens, lenses
from exporters.take import Plate, Take

_PLAIN: Final = 5
"""Coefficients of a pinhole that Blender's own lens model has too: k1, k2, p1, p2, k3."""


def blender_scene(take: Take, characters: Sequence[Path], folder: Path, *, start_frame: int = 0) -> bytes:
    """The script, which runs in Blender 4.2 or newer: ``blender --python blender_scene.py``.

    Args:
        take: cameras, clips and rate.
        characters: exported files, FBX or GLB, of the people.
        folder: where the script will lie; it finds files relative to itself.
        start_frame: first frame of the motions that was exported.

    Returns:
        The contents of the file.
    """
    motion = take.characters[0].motion
    plates = {plate.camera: plate for plate in take.plates}
    scene = {
        "name": take.name,
        "rate_hz": motion.mocap_framerate,
        "num_frames": len(motion.time_s) - start_frame,
        "characters": [_relative(path, folder) for path in characters],
        "cameras": [
            _camera(view, plates.get(view.name), float(motion.time_s[start_frame]), folder)
            for view in lenses(take.cameras, WORLD)
        ],
    }
    template = resources.files("exporters").joinpath("data/blender_scene.py").read_text(encoding="utf-8")
    return template.replace('"SCENE"', repr(json.dumps(scene, ensure_ascii=False))).encode()


def _camera(view: Lens, plate: Plate | None, start_s: float, folder: Path) -> dict[str, Any]:
    """What the script needs to know of a camera; Blender's world and camera axes are ours and OpenGL's."""
    right, above = view.offset_mm
    camera: dict[str, Any] = {
        "name": view.name,
        "xyz": view.xyz.tolist(),
        "right_up_back": view.right_up_back.tolist(),
        "lens_mm": view.focal_mm,
        "sensor_mm": FILM_WIDTH_MM,
        "shift": [right / FILM_WIDTH_MM, above / FILM_WIDTH_MM],
        **view.properties(),
        "can_undistort": view.model == "pinhole" and not any(view.distortion[_PLAIN:]),
    }
    if plate is not None:
        camera["clip"] = _relative(plate.path, folder)
        camera["clip_rate_hz"] = plate.rate_hz
        camera["clip_begins_after"] = round((plate.start_s - start_s) * plate.rate_hz)
    return camera


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
