"""MediaPipe: landmarks as JSON, in the spellings of its Python, JavaScript and TensorFlow.js versions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mocap.importers.text_files import read_json
from mocap.importers.view import Options, View, build_view, names_for, numbers, size_from
from mocap.keypoints import FloatArray
from rigs.keypoints import KEYPOINT_SETS, hand_names

_BODY = ("pose_landmarks", "landmarks", "keypoints", "multi_hand_landmarks", "hand_landmarks")
_HANDS = {"left": "left_hand_landmarks", "right": "right_hand_landmarks"}
_LISTS = ("frames", "results", "data")
_SHARES = 2.5
"""Coordinates of which nearly all are smaller are shares of the image."""


def kind(path: Path) -> str | None:
    """``clip`` if a file is a list of frames of landmarks."""
    if path.suffix != ".json":
        return None
    frames = _frames(read_json(path))
    for frame in frames or []:
        if _parts(frame):
            return "clip"
    return None


def read(camera: str, files: Sequence[Path], options: Options) -> list[View]:
    """The frames of one camera, numbered as they come unless they say otherwise."""
    (path,) = files
    content = read_json(path)
    people: dict[int, list[FloatArray]] = {}
    times: dict[int, float] = {}
    found: list[dict[str, list[FloatArray]]] = []
    numbers_of: list[int] = []
    for index, frame in enumerate(_frames(content) or []):
        number = _first(frame, ("frame", "frame_number", "frame_index", "frame_id"))
        whole = isinstance(number, int) or (isinstance(number, float) and math.isfinite(number))
        numbers_of.append(int(number) if whole else index)
        stamp = _first(frame, ("timestamp_ms", "timestamp", "time_ms"))
        if isinstance(stamp, int | float):
            times[numbers_of[-1]] = float(stamp) / 1000
        found.append({part: [_points(p, path) for p in ps] for part, ps in _parts(frame).items()})
    counts = {
        part: max((len(p) for parts in found for p in parts.get(part, [])), default=0)
        for part in ("body", "left", "right")
    }
    for number, parts in zip(numbers_of, found, strict=True):
        people[number] = _people(parts, counts)
    names = (
        (*_names(counts["body"], options, path), *_hand_names(counts)) if not options.keypoint_names else ()
    )
    names = names or names_for(sum(counts.values()), options, str(path))
    stacked = np.concatenate([p[:, :2] for row in people.values() for p in row] or [np.zeros((0, 2))])
    known = np.abs(stacked[np.isfinite(stacked).all(-1)])
    normalised = bool(len(known)) and float(np.quantile(known.max(-1), 0.95)) < _SHARES
    size = _size(content)
    return [
        build_view(
            camera, people, names, size_px=size, normalised=normalised,
            time_s=times if len(times) == len(people) and times else None,
        )
    ]  # fmt: skip


def _people(parts: Mapping[str, list[FloatArray]], counts: Mapping[str, int]) -> list[FloatArray]:
    """The people of a frame; hands of a holistic result belong to its one person."""
    most = max((len(listed) for listed in parts.values()), default=0)
    people: list[FloatArray] = []
    for index in range(most):
        rows = [
            parts[part][index]
            if index < len(parts.get(part, [])) and len(parts[part][index])
            else np.full((count, 3), np.nan)
            for part, count in counts.items()
            if count
        ]
        people.append(np.concatenate(rows) if rows else np.zeros((0, 3)))
    return [person for person in people if np.isfinite(person[:, :2]).any()]


def _frames(content: object) -> list[Any] | None:
    if isinstance(content, list):
        return content
    if isinstance(content, Mapping):
        for key in _LISTS:
            if isinstance(content.get(key), list):
                return content[key]
        if _parts(content):
            return [content]
    return None


def _parts(frame: object) -> dict[str, list[Any]]:
    """People's bodies and hands of a frame, as lists of landmarks; empty where it holds none."""
    if isinstance(frame, list):
        return {"body": [frame]} if _is_landmarks(frame) else {"body": frame} if _is_people(frame) else {}
    if not isinstance(frame, Mapping):
        return {}
    keyed = {_snake(str(key)): value for key, value in frame.items()}
    result: dict[str, list[Any]] = {}
    for key in _BODY:
        if key in keyed and (listed := _listed(keyed[key])):
            result["body"] = listed
            break
    for side, key in _HANDS.items():
        if key in keyed and (listed := _listed(keyed[key])):
            result[side] = listed
    return result


def _listed(value: object) -> list[Any]:
    if isinstance(value, Mapping):  # a protobuf message turned into JSON
        value = value.get("landmark", value.get("landmarks"))
    if not isinstance(value, list):
        return []
    return [value] if _is_landmarks(value) else value if _is_people(value) else []


def _is_people(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(one, list) and _is_landmarks(one) for one in value)


def _is_landmarks(value: list[Any]) -> bool:
    """Whether these are the points of one body or hand."""
    if len(value) < 3:
        return False
    first = value[0]
    if isinstance(first, Mapping):
        return {"x", "y"} <= set(first)
    return isinstance(first, list) and len(first) in (2, 3, 4, 5) and isinstance(first[0], int | float)


def _points(listed: Sequence[Any], path: Path) -> FloatArray:
    """(K, 3) x, y and score; the third number of a list is its depth, the fourth its visibility."""
    if not len(listed):
        return np.zeros((0, 3))
    if isinstance(listed[0], Mapping):
        rows = [[p.get("x"), p.get("y"), _score(p)] for p in listed if isinstance(p, Mapping)]
        return numbers(rows, str(path))
    rows = numbers(listed, str(path))
    score = rows[:, 3] if rows.shape[1] > 3 else np.ones(len(rows))
    return np.stack([rows[:, 0], rows[:, 1], score], axis=1)


def _score(point: Mapping[str, Any]) -> Any:
    """The smaller one of visibility and presence, 1 where there is neither."""
    given = [
        point[key] for key in ("visibility", "presence", "score") if isinstance(point.get(key), int | float)
    ]
    return min(given, default=1.0)


def _names(count: int, options: Options, path: Path) -> tuple[str, ...]:
    if count == 75:  # body and both hands in one list
        return (*KEYPOINT_SETS["blazepose33"], *hand_names("left"), *hand_names("right"))
    return names_for(count, options, str(path)) if count else ()


def _hand_names(counts: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(
        name
        for side in ("left", "right")
        if counts[side]
        for name in (
            hand_names(side) if counts[side] == 21 else [f"{side}_hand_{i}" for i in range(counts[side])]
        )
    )


def _first(frame: object, keys: Sequence[str]) -> Any:
    if not isinstance(frame, Mapping):
        return None
    return next((frame[key] for key in keys if key in frame), None)


def _size(content: object) -> tuple[int, int] | None:
    if not isinstance(content, Mapping):
        return None
    return size_from(_first(content, ("width", "image_width")), _first(content, ("height", "image_height")))


def _snake(name: str) -> str:
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
