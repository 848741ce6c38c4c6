"""MMPose: its inferencer's JSON (a clip or an image a file), and pickled predictions of several cameras."""

from __future__ import annotations

import collections
import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from mocap.errors import InputError
from mocap.importers.frames import numbered
from mocap.importers.text_files import read_json
from mocap.importers.view import Options, View, build_view, names_for, numbers
from mocap.keypoints import FloatArray

_LARGEST_PICKLE_BYTES: Final = 256 * 2**20


def kind(path: Path) -> str | None:
    """``clip`` or ``frames`` if a file is MMPose's."""
    if path.suffix in (".pkl", ".pickle"):
        return "clip" if isinstance(_unpickled(path), Mapping) else None
    if path.suffix != ".json":
        return None
    content = read_json(path)
    if isinstance(content, dict):
        return "clip" if isinstance(content.get("instance_info"), list) else None
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return None
    if "instances" in content[0]:
        return "clip"
    return "frames" if {"keypoints", "keypoint_scores"} <= set(content[0]) else None


def read(camera: str, files: Sequence[Path], options: Options) -> list[View]:
    """One camera of JSON files; all the cameras of a pickle."""
    if files[0].suffix in (".pkl", ".pickle"):
        return _pickled(files[0], options)
    names: tuple[str, ...] = ()
    if len(files) > 1 or kind(files[0]) == "frames":
        frames = {
            number: [_person(entry, path) for entry in read_json(path)] for number, path in numbered(files)
        }
    else:
        content = read_json(files[0])
        listed = content["instance_info"] if isinstance(content, dict) else content
        names = _own_names(content)
        frames = {}
        for index, entry in enumerate(listed):
            if not isinstance(entry, Mapping) or not isinstance(entry.get("instances"), list):
                raise InputError("has no list of instances", where=f"{files[0]}, frame {index}")
            number = entry.get("frame_id", index)
            people = [_person(person, files[0]) for person in entry["instances"]]
            frames[number if isinstance(number, int) else index] = people
    count = max((len(person) for row in frames.values() for person in row), default=17)
    if len(names) != count or options.keypoint_names:
        names = names_for(count, options, str(files[0]))
    return [build_view(camera, frames, names)]


def _person(entry: object, path: Path) -> FloatArray:
    """(K, 3) of an instance; its keypoints may have a third coordinate, which is not used."""
    if not isinstance(entry, Mapping) or not entry.get("keypoints"):
        return np.zeros((0, 3))
    xy = np.atleast_1d(numbers(entry["keypoints"], str(path)))
    score = numbers(entry.get("keypoint_scores", np.ones(len(xy))), str(path))
    if xy.ndim != 2 or xy.shape[1] < 2 or score.shape != xy.shape[:1]:
        raise InputError(f"keypoints {xy.shape} with scores {score.shape}", where=path)
    return np.concatenate([xy[:, :2], score[:, None]], axis=1)


def _own_names(content: object) -> tuple[str, ...]:
    """The keypoints' names of the file's header, in order; none where there is no such header."""
    meta = content.get("meta_info") if isinstance(content, Mapping) else None
    table = meta.get("keypoint_id2name") if isinstance(meta, Mapping) else None
    if not isinstance(table, Mapping) or not all(str(key).isdecimal() for key in table):
        return ()
    return tuple(str(table[key]) for key in sorted(table, key=int))


_ALLOWED: Final[dict[tuple[str, str], Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "defaultdict"): collections.defaultdict,
    ("builtins", "list"): list,
    ("__builtin__", "list"): list,
}
"""All that a pickle of keypoints is made of."""


class _Restricted(pickle.Unpickler):
    """Reads arrays in lists and tables, and refuses everything else: a pickle can name any code to run."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """One of the few allowed names."""
        if module_name in ("numpy.core.multiarray", "numpy._core.multiarray") and global_name in (
            "_reconstruct",
            "scalar",
        ):
            from numpy._core import multiarray

            return getattr(multiarray, global_name)
        if (module_name, global_name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it wants to run {module_name}.{global_name}")
        return _ALLOWED[module_name, global_name]


def _unpickled(path: Path) -> Any:
    if path.stat().st_size > _LARGEST_PICKLE_BYTES:
        raise InputError("is too large for a pickle of keypoints", where=path)
    try:
        return _Restricted(io.BytesIO(path.read_bytes())).load()
    except Exception as error:  # a broken pickle may fail in any way, and none of them is ours
        raise InputError(
            f"is no pickle of keypoints ({error})", where=path, todo="export it as JSON"
        ) from error


def _pickled(path: Path, options: Options) -> list[View]:
    """``<camera>_<frame>`` -> people, each with ``pred`` (K, 3)."""
    cameras: dict[str, dict[int, list[FloatArray]]] = {}
    for key, people in _unpickled(path).items():
        camera, _, number = str(key).rpartition("_")
        if not camera or not number.isdecimal() or not isinstance(people, list):
            raise InputError(f"{key!r} is no <camera>_<frame> with its people", where=path)
        rows = [numbers(person["pred"], str(path)) for person in people if isinstance(person, Mapping)]
        if any(row.ndim != 2 or row.shape[1] != 3 for row in rows):
            raise InputError(f"{key!r} holds people who are not (K, 3)", where=path)
        cameras.setdefault(camera, {})[int(number)] = rows
    everybody = [p for frames in cameras.values() for row in frames.values() for p in row]
    names = names_for(max((len(p) for p in everybody), default=17), options, str(path))
    return [
        build_view(f"cam_{name}" if name.isdecimal() else name, frames, names)
        for name, frames in cameras.items()
    ]
