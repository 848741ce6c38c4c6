"""Frame numbers and cameras, as the names of files and folders tell them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from mocap.errors import InputError

_NOISE = (
    *("json", "keypoints", "keypoint", "labels", "label", "results", "result", "pose", "poses", "output"),
    *(
        "alphapose",
        "openpose",
        "mmpose",
        "mediapipe",
        "sleap",
        "analysis",
        "predictions",
        "preds",
        "filtered",
    ),
    *("el", "sk", "bx", "landmarks", "yolo", "csv", "2d", "predict"),
)
_TAIL = re.compile(r"[\s._-]+(?:" + "|".join(_NOISE) + r")$", re.IGNORECASE)
_DEEPLABCUT = re.compile(r"(DLC|DeepCut)[_A-Za-z].*$")


def split_number(name: str) -> tuple[str, int | None]:
    """The name of a frame's file without its number, and the number: ``cam01.0000`` is cam01 and 0."""
    bare = strip_noise(name)
    found = re.search(r"^(.*?)[\s._-]*(\d+)$", bare)
    if found is None:
        return bare, None
    return found.group(1), int(found.group(2)[-18:])


def strip_noise(name: str) -> str:
    """A name without the words that tools append: ``cam01_json`` and ``cam1DLC_resnet50_…`` are cameras."""
    name = _DEEPLABCUT.sub("", name) or name
    while (shorter := _TAIL.sub("", name)) != name and shorter:
        name = shorter
    return name.strip(" ._-") or name


def numbered(files: Iterable[Path]) -> list[tuple[int, Path]]:
    """Files by rising frame number.

    Raises:
        InputError: a file without a number, or two of one number.
    """
    found: dict[int, Path] = {}
    for path in sorted(files):
        number = split_number(path.stem)[1]
        if number is None:
            raise InputError("has no frame number in its name", where=path)
        if number in found:
            raise InputError(f"is frame {number} as well as {found[number].name}", where=path)
        found[number] = path
    return sorted(found.items())


def cameras_of_folders(folders: Iterable[Path], root: Path) -> dict[Path, str]:
    """A camera's name for each folder below the source, without what tools add to it.

    The last word that names anything, ``cam01`` of ``cam01/labels``; where those are not all different, all
    of the folders' names. Empty for the source itself.
    """
    parts: dict[Path, list[str]] = {}
    for folder in folders:
        words = [strip_noise(part) for part in folder.relative_to(root).parts if part.lower() not in _NOISE]
        parts[folder] = [word for word in words if word]
    last = [words[-1] if words else "" for words in parts.values()]
    alone = len(set(last)) == len(last)
    return {f: (words[-1] if alone else "_".join(words)) if words else "" for f, words in parts.items()}


def groups(files: Sequence[Path], root: Path) -> dict[str, list[Path]]:
    """The files of each camera where each file is a frame.

    One folder for a camera, or all of them in one folder with the camera's name before the number.
    """
    own: dict[Path, dict[str, list[Path]]] = {}
    for path in files:
        own.setdefault(path.parent, {}).setdefault(split_number(path.stem)[0], []).append(path)
    cameras = cameras_of_folders(own, root)
    result: dict[str, list[Path]] = {}
    for folder, prefixes in sorted(own.items()):
        base = cameras[folder] if len(own) > 1 else ""
        for prefix, inside in sorted(prefixes.items()):
            name = f"{base}_{prefix}" if base and len(prefixes) > 1 else base or prefix
            result.setdefault(name or strip_noise(folder.name), []).extend(inside)
    return result
