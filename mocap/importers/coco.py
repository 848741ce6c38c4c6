"""COCO's JSON: annotations (with images, sizes, names) and lists of results, whole bodies included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mocap.errors import InputError
from mocap.importers.frames import split_number
from mocap.importers.text_files import read_json
from mocap.importers.view import Options, View, build_view, names_for, size_from, triples
from mocap.keypoints import FloatArray
from rigs.keypoints import KEYPOINT_SETS

_HIDDEN_SCORE = 0.5
"""Score of a keypoint that annotators placed without seeing it (COCO's flag 1)."""
_WHOLE = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
"""COCO-WholeBody's parts in the order of its 133 keypoints."""


def kind(path: Path) -> str | None:
    """``clip`` if a file holds annotations or results."""
    if path.suffix != ".json":
        return None
    content = read_json(path)
    if isinstance(content, dict):
        listed = all(isinstance(content.get(key), list) for key in ("images", "annotations"))
        return "clip" if listed else None
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return None
    first = content[0]
    named = isinstance(first.get("image_id"), int | float) and not isinstance(first.get("image_id"), bool)
    return "clip" if named and ("keypoints" in first or "bbox" in first) else None


def read(camera: str, files: Sequence[Path], options: Options) -> list[View]:
    """One camera's people by image: frames are numbered as the images' names are, else by their id."""
    (path,) = files
    content = read_json(path)
    if isinstance(content, list):
        return [_results(camera, content, path, options)]
    return [_annotations(camera, content, path, options)]


def _results(camera: str, entries: Sequence[Any], path: Path, options: Options) -> View:
    people: dict[int, list[FloatArray]] = {}
    for index, entry in enumerate(entries):
        where = f"{path}, entry {index}"
        if not isinstance(entry, Mapping) or "keypoints" not in entry:
            raise InputError(
                "holds boxes of people and no keypoints", where=where, todo="run a pose network on them"
            )
        people.setdefault(_id(entry, "image_id", where), []).append(triples(entry["keypoints"], where))
    count = max((len(person) for row in people.values() for person in row), default=17)
    return build_view(camera, people, names_for(count, options, str(path)))


def _annotations(camera: str, content: Mapping[str, Any], path: Path, options: Options) -> View:
    images, sizes = _images(content, path)
    people: dict[int, list[FloatArray]] = {number: [] for number in images.values()}
    whole = any("foot_kpts" in entry for entry in content["annotations"] if isinstance(entry, Mapping))
    for index, entry in enumerate(content["annotations"]):
        where = f"{path}, annotation {index}"
        if not isinstance(entry, Mapping):
            raise InputError("is no annotation", where=where)
        image = _id(entry, "image_id", where)
        if image not in images:
            raise InputError(f"is of image {image}, which the file does not list", where=where)
        people[images[image]].append(_labelled(entry, whole, where))
    count = max((len(person) for row in people.values() for person in row), default=17)
    notes = _size_notes(camera, sizes)
    names = _names(content, count, whole, options, str(path))
    return build_view(camera, people, names, size_px=max(sizes) if sizes else None, notes=notes)


def _images(content: Mapping[str, Any], path: Path) -> tuple[dict[int, int], list[tuple[int, int]]]:
    """Frame number by image id (those of the names where they all differ), and the sizes that occur."""
    listed = [entry for entry in content["images"] if isinstance(entry, Mapping)]
    ids = [_id(entry, "id", str(path)) for entry in listed]
    named = [split_number(Path(str(entry.get("file_name", ""))).stem)[1] for entry in listed]
    use_names = None not in named and len(set(named)) == len(named)
    frames = {i: n if use_names and n is not None else i for i, n in zip(ids, named, strict=True)}
    sizes = {size_from(entry.get("width"), entry.get("height")) for entry in listed}
    return frames, sorted(size for size in sizes if size is not None)


def _size_notes(camera: str, sizes: Sequence[tuple[int, int]]) -> list[str]:
    if len(sizes) < 2:
        return []
    told = ", ".join(f"{width}x{height}" for width, height in sizes[:4])
    return [f"camera {camera}: its images have {len(sizes)} sizes ({told}), and one camera has one"]


def _labelled(entry: Mapping[str, Any], whole: bool, where: str) -> FloatArray:
    """A person's keypoints with scores: COCO's flags are 0 not labelled, 1 hidden, 2 seen."""
    parts = [triples(entry.get(part), where) for part in (_WHOLE if whole else _WHOLE[:1])]
    person = np.concatenate([*parts, np.zeros((0, 3))])
    body = person[: len(parts[0])]
    flags = np.isin(body[:, 2], (0, 1, 2)).all() and (body[:, 2] == 2).any()
    if flags:
        body[:, 2] = np.choose(body[:, 2].astype(int), (0.0, _HIDDEN_SCORE, 1.0))
    return person


def _names(
    content: Mapping[str, Any], count: int, whole: bool, options: Options, where: str
) -> tuple[str, ...]:
    """The file's own names of the body, in its category, where they are as many as the keypoints."""
    if options.keypoint_names:
        return names_for(count, options, where)
    categories = content.get("categories")
    for category in categories if isinstance(categories, list) else []:
        own = category.get("keypoints") if isinstance(category, Mapping) else None
        if isinstance(own, list) and own:
            names = tuple(str(name) for name in own)
            if whole and count == 133:
                names += KEYPOINT_SETS["coco_wholebody133"][17:]
            if len(names) == count:
                return names
    return names_for(count, options, where)


def _id(entry: Mapping[str, Any], key: str, where: str) -> int:
    try:
        return int(entry[key])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"has no {key} that is a number", where=where) from error
