"""OpenPose: one JSON file a frame, and what AlphaPose and Pose2Sim write in its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mocap.errors import InputError
from mocap.importers.frames import numbered
from mocap.importers.text_files import read_json
from mocap.importers.view import Options, View, build_view, names_for, triples
from mocap.keypoints import FloatArray
from rigs.keypoints import hand_names

_PARTS = ("pose", "face", "hand_left", "hand_right")


def kind(path: Path) -> str | None:
    """``frames`` if a file is a frame of OpenPose's."""
    if path.suffix != ".json":
        return None
    content = read_json(path)
    return "frames" if isinstance(content, dict) and isinstance(content.get("people"), list) else None


def read(camera: str, files: Sequence[Path], options: Options) -> list[View]:
    """The frames of one camera; body, face and hands as far as they are there."""
    frames: dict[int, list[dict[str, FloatArray]]] = {}
    for number, path in numbered(files):
        frames[number] = [_person(entry, path) for entry in _people(path)]
    everybody = [person for row in frames.values() for person in row]
    counts = {part: max((len(p[part]) for p in everybody), default=0) for part in _PARTS}
    names: list[str] = []
    notes: list[str] = []
    if counts["pose"]:
        found = _body_names(everybody, counts["pose"], options, camera, notes)
        names += found
    names += [f"face_{index}" for index in range(counts["face"])]
    for side in ("left", "right"):
        names += _hand(side, counts[f"hand_{side}"])
    people = {number: [_joined(person, counts, camera) for person in row] for number, row in frames.items()}
    return [build_view(camera, people, names or names_for(25, options, camera), notes=notes)]


def _people(path: Path) -> list[Any]:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("people"), list):
        raise InputError("holds no list of people", where=path, todo="keep only OpenPose's frames there")
    return content["people"]


def _person(entry: object, path: Path) -> dict[str, FloatArray]:
    """The parts of a person; an entry that holds none is nobody."""
    if not isinstance(entry, Mapping):
        return {part: np.zeros((0, 3)) for part in _PARTS}
    return {part: triples(entry.get(f"{part}_keypoints_2d"), str(path)) for part in _PARTS}


def _joined(person: Mapping[str, FloatArray], counts: Mapping[str, int], camera: str) -> FloatArray:
    """One person's parts under one another; a part that is not there is missing."""
    rows: list[FloatArray] = []
    for part, count in counts.items():
        own = person[part]
        if len(own) not in (0, count):
            raise InputError(
                f"camera {camera}: people of {len(own)} and of {count} {part} keypoints",
                todo="import results of one model at a time",
            )
        rows.append(own if len(own) else np.full((count, 3), np.nan))
    return np.concatenate(rows) if any(len(own) for own in person.values()) else np.zeros((0, 3))


def _hand(side: str, count: int) -> Sequence[str]:
    return hand_names(side) if count == 21 else [f"{side}_hand_point_{index}" for index in range(count)]


def _body_names(
    people: Sequence[Mapping[str, FloatArray]], count: int, options: Options, camera: str, notes: list[str]
) -> tuple[str, ...]:
    if count != 25 or options.keypoint_names:
        return names_for(count, options, camera)
    body = np.stack([person["pose"] for person in people if len(person["pose"]) == count])
    found = body25_or_25b(body)
    if found is None:
        notes.append(f"camera {camera}: nothing tells BODY_25 from BODY_25B; BODY_25 is assumed")
    return names_for(count, options, camera, known=found or "body25")


def body25_or_25b(people: FloatArray) -> str | None:
    """Which of OpenPose's two models of 25 keypoints made these people.

    BODY_25 has the neck (1) amid the shoulders (2, 5) and the middle of the hips (8) amid them (9, 12);
    BODY_25B has its neck (17) near the middle of its shoulders (5, 6), which are other points there.

    Args:
        people: (N, 25, 3) x, y, score.

    Returns:
        ``body25``, ``body25b``, or None where too little is seen.
    """
    xy = np.where((people[..., 2] > 0)[..., None], people[..., :2], np.nan)
    some = np.isfinite(xy).all((1, 2)) if len(xy) else np.zeros(0, bool)
    chosen = xy[some] if some.any() else xy

    def off(middle: int, a: int, b: int) -> FloatArray:
        return np.linalg.norm(chosen[:, middle] - (chosen[:, a] + chosen[:, b]) / 2, axis=-1)

    first = np.fmax(off(8, 9, 12), off(1, 2, 5))
    second = off(17, 5, 6)
    both = np.isfinite(first) & np.isfinite(second)
    if not both.any():
        return None
    return "body25" if np.median(first[both]) < np.median(second[both]) else "body25b"
