"""Footage to learn from: many people, dances, rooms and camera heights, each with what a detector saw.

A lesson is one performer in front of one ring of cameras. Every lesson has a seed of its own, so lessons that
something was learned from and lessons that it is judged on never share a body, a dance or a look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap import files
from mocap.progress import Progress, silent
from mocap.settings import DetectSettings
from mocap.virtual.cast import draw_dance, draw_performer, draw_room
from mocap.virtual.rig import CameraRing, ring_of
from mocap.virtual.room import Room
from mocap.virtual.studio import Studio

FloatArray = NDArray[np.floating]

NUM_CAMERAS = 4
SECONDS = 3.6
RATE_HZ = 5.0
"""Frames a second: neighbours are hardly alike, but near enough for a detector to follow."""
PEOPLE_IN_A_ROOM = 4
"""Lessons that share room and cameras: drawing an empty room takes longer than filming somebody in it."""

_FORMAT = "mocap-studio lesson"
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Lesson:
    """One performer, what is true, and what a detector saw."""

    seed: int
    """The lesson's number."""
    poses: FloatArray
    """(F, J * 3) radians, true pose."""
    trans: FloatArray
    """(F, 3) metres, world."""
    betas: FloatArray
    """(B,) true shape."""
    cameras: Cameras
    """The true cameras."""
    keypoint_names: tuple[str, ...]
    """K names."""
    xy_px: FloatArray
    """(F, C, K, 2) what the detector saw, pixels; NaN where it saw nobody."""
    score: FloatArray
    """(F, C, K) its scores."""


def studio_of(seed: int) -> Studio:
    """The studio of a lesson: its room and cameras are shared by ``PEOPLE_IN_A_ROOM`` lessons."""
    ring, room = _stage(seed // PEOPLE_IN_A_ROOM)
    rng = np.random.default_rng([2, seed])
    energy, beat_s = float(rng.uniform(0.4, 1.0)), float(rng.uniform(0.55, 0.9))
    start = tuple(float(part) for part in np.array(ring.center_m) + rng.uniform(-0.5, 0.5, 2))
    dance = draw_dance(rng, SECONDS, beat_s=beat_s, energy=energy)
    performer = draw_performer(rng, dance, start_m=(start[0], start[1]))
    return Studio(ring=ring, room=room, performers=(performer,), seconds=SECONDS, rate_hz=RATE_HZ, seed=seed)


def _stage(number: int) -> tuple[CameraRing, Room]:
    rng = np.random.default_rng([1, number])
    mean = ring_of(NUM_CAMERAS, seed=int(rng.integers(1_000_000)))
    radius_m = float(rng.uniform(2.6, 4.2))
    ring = CameraRing(
        num_cameras=NUM_CAMERAS,
        size_px=mean.size_px,
        # nearer cameras have wider lenses, so that people are about as large in all pictures
        focal_px=mean.focal_px * radius_m / mean.radius_m * float(rng.uniform(0.85, 1.1)),
        radius_m=radius_m,
        height_m=float(rng.uniform(0.9, 2.7)),
        look_at_m=float(rng.uniform(0.8, 1.0)),
        start_deg=float(rng.uniform(0, 360)),
        seed=mean.seed,
    )
    return ring, draw_room(rng)


def film_lessons(
    folder: Path, seeds: Sequence[int], detect: DetectSettings, *, progress: Progress = silent
) -> None:
    """Film lessons and run a detector on them; those that are in the folder already are left alone.

    Args:
        folder: where they are kept, a file each.
        seeds: which lessons.
        detect: the detector.
        progress: told of the lessons.
    """
    from mocap.detect import DETECTORS

    family = DETECTORS[detect.detector]
    weights = family.files(detect)
    views: dict[tuple[int, str], Any] = {}
    for done, seed in enumerate(seeds):
        progress("filming lessons", done, len(seeds))
        path = lesson_file(folder, seed)
        if path.exists():
            continue
        studio, number = studio_of(seed), seed // PEOPLE_IN_A_ROOM
        views = {key: view for key, view in views.items() if key[0] == number}
        seen: list[tuple[FloatArray, FloatArray]] = []
        for camera in studio.cameras().names:
            if (number, camera) not in views:
                views[number, camera] = studio.view(camera)
            seen.append(_watch(studio, camera, views[number, camera], family.create(weights, detect)))
        _write(path, seed, studio, seen, family.create(weights, detect).keypoint_names)
    progress("filming lessons", len(seeds), len(seeds))


def lesson_file(folder: Path, seed: int) -> Path:
    """Where a lesson is kept."""
    return folder / f"lesson{seed:05d}.npz"


def _watch(studio: Studio, camera: str, view: Any, detector: Any) -> tuple[FloatArray, FloatArray]:
    """(F, K, 2) and (F, K): what a detector sees of the one person in a camera's frames."""
    pictures = studio.noisy(studio.take_frames(camera, view), studio.seed)
    num = len(detector.keypoint_names)
    xy_px = np.full((studio.num_frames, num, 2), np.nan)
    score = np.full((studio.num_frames, num), np.nan)
    for index, picture in enumerate(pictures):
        found = detector.step(picture, index / studio.rate_hz)
        if len(found.xy_px):
            best = int(np.median(found.score, axis=1).argmax())
            xy_px[index], score[index] = found.xy_px[best], found.score[best]
    return xy_px, score


_CAMERA_FIELDS = ("size_px", "focal_px", "center_px", "distortion", "cam_from_world")


def _write(
    path: Path,
    seed: int,
    studio: Studio,
    seen: Sequence[tuple[FloatArray, FloatArray]],
    names: Sequence[str],
) -> None:
    (performer,) = studio.performers
    motion = performer.motion(
        np.arange(studio.num_frames) / studio.rate_hz, seconds=studio.seconds, rate_hz=studio.rate_hz
    )
    cameras = studio.cameras()
    arrays = {
        "seed": np.array(seed),
        "poses": motion.poses,
        "trans": motion.trans,
        "betas": np.asarray(motion.betas, float),
        "keypoint_names": np.array(names),
        "camera_names": np.array(cameras.names),
        "xy_px": np.stack([xy_px for xy_px, _ in seen], 1),
        "score": np.stack([score for _, score in seen], 1),
    }
    arrays |= {name: getattr(cameras, name).numpy() for name in _CAMERA_FIELDS}
    files.write_npz(path, _FORMAT, _VERSION, arrays)


def read_lessons(folder: Path, seeds: Sequence[int]) -> Iterator[Lesson]:
    """Those lessons that are in a folder, in order."""
    for seed in seeds:
        path = lesson_file(folder, seed)
        if not path.exists():
            continue
        arrays = files.read_npz(path, _FORMAT, _VERSION, required=("xy_px", "score", *_CAMERA_FIELDS))
        size, focal, center, distortion, poses = (torch.from_numpy(arrays[name]) for name in _CAMERA_FIELDS)
        camera_names = tuple(str(name) for name in arrays["camera_names"])
        cameras = Cameras(camera_names, size, focal, center, distortion, poses)
        names = tuple(str(name) for name in arrays["keypoint_names"])
        plain = {
            field.name: arrays[field.name]
            for field in fields(Lesson)
            if field.name not in ("seed", "cameras", "keypoint_names")
        }
        yield Lesson(seed=seed, cameras=cameras, keypoint_names=names, **plain)
