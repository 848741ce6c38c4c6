"""A file or folder of another tool: which format it is, and which files belong to which camera."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mocap.errors import InputError
from mocap.importers import IMPORTERS, Options, View
from mocap.importers.frames import cameras_of_folders, groups, strip_noise
from rigs.keypoints import KEYPOINT_SETS

_DEEPEST = 6
"""Folders below the source that are searched."""
_TRIED = 8
"""Files of a folder that are opened to recognise it: the first frames may be empty."""


@dataclass(frozen=True)
class Source:
    """What lies at a place."""

    format: str
    """A name of the IMPORTERS table."""
    frames: bool
    """Whether each file is one frame."""
    cameras: dict[str, tuple[Path, ...]]
    """Files of each camera, by the name that files and folders give it."""

    def views(self, options: Options) -> list[View]:
        """The keypoints of every camera.

        Raises:
            InputError: a file that cannot be read, or keypoints that make no sense.
        """
        read = IMPORTERS[self.format].read
        return _alike([view for name, files in self.cameras.items() for view in read(name, files, options)])


def _alike(views: list[View]) -> list[View]:
    """Views whose keypoints are named as those of the fullest one, where they are as many.

    A camera that saw nobody, or hardly anybody, cannot tell models of 25 keypoints apart; all have the same.
    """
    fullest = max(views, key=lambda view: int(np.isfinite(view.xy).sum()), default=None)
    if fullest is None:
        return views
    names, count = fullest.keypoint_names, len(fullest.keypoint_names)

    def named(view: View) -> View:
        if view.xy.shape[1] == 0:  # nobody: the arrays have no entries, whatever the number of keypoints
            frames = len(view.frame)
            empty = np.zeros((frames, 0, count, 2)), np.zeros((frames, 0, count))
            return replace(view, xy=empty[0], score=empty[1], keypoint_names=names)
        same_models = {view.keypoint_names, names} == {KEYPOINT_SETS["body25"], KEYPOINT_SETS["body25b"]}
        return replace(view, keypoint_names=names) if same_models else view

    return [named(view) for view in views]


def find(path: Path, format: str | None = None) -> Source:
    """Look at a file or folder.

    Args:
        path: of another tool.
        format: a name of the table, where the content does not say which.

    Raises:
        InputError: no such place, no such format, nothing of a known format, or of several.
    """
    if format is not None and format not in IMPORTERS:
        raise InputError(
            f"no format {format!r}", where="--format", todo=f"choose from {', '.join(IMPORTERS)}"
        )
    if not path.exists():
        raise InputError("there is no such file or folder", where=path)
    root = path if path.is_dir() else path.parent
    files = _files(path)
    kinds = _kinds(files, [format] if format else list(IMPORTERS))
    found = Counter(name for name, _ in kinds.values())
    if not found:
        raise _nothing(path, files, format)
    if len(found) > 1:
        told = ", ".join(f"{name} ({count})" for name, count in found.items())
        raise InputError(f"holds results of several formats: {told}", where=path, todo="choose with --format")
    (name,) = found
    chosen = [file for file, (_, _) in kinds.items()]
    frames = next(iter(kinds.values()))[1] == "frames"
    if frames:
        suffixes = {file.suffix.lower() for file in chosen}
        folders = {file.parent for file in chosen}
        rest = [file for file in files if file.suffix.lower() in suffixes and file.parent in folders]
        named = groups(rest, root)
    else:
        named = _clips(_without_doubles(chosen), root)
    return Source(name, frames, {camera: tuple(own) for camera, own in named.items()})


def _files(path: Path) -> list[Path]:
    """The files with endings of the table; hidden ones and those too deep are left out."""
    if path.is_file():
        return [path]
    found: list[Path] = []
    for folder, below, names in os.walk(path):
        depth = len(Path(folder).relative_to(path).parts)
        below[:] = sorted(name for name in below if not name.startswith(".")) if depth < _DEEPEST else []
        found += [Path(folder) / name for name in sorted(names) if not name.startswith(".")]
    return found


def _kinds(files: Sequence[Path], formats: Sequence[str]) -> dict[Path, tuple[str, str]]:
    """Format and kind of the files that have one; of a folder's frames only some are opened."""
    result: dict[Path, tuple[str, str]] = {}
    tried: Counter[tuple[Path, str]] = Counter()
    frames: set[tuple[Path, str]] = set()
    broken: InputError | None = None
    for file in files:
        suffix = file.suffix.lower()
        known = [name for name in formats if suffix in IMPORTERS[name].suffixes]
        place = (file.parent, suffix)
        if not known or place in frames or tried[place] >= _TRIED * 8:
            continue
        tried[place] += 1
        for name in known:
            try:
                kind = IMPORTERS[name].kind(file)
            except InputError as error:
                broken = broken or error
                break
            if kind is not None:
                result[file] = (name, kind)
                if kind == "frames":
                    frames.add(place)
                break
    if not result and broken is not None:
        raise broken
    return result


def _without_doubles(files: Sequence[Path]) -> list[Path]:
    """DeepLabCut writes each table twice, as HDF5 and as CSV."""
    binary = {file.with_suffix("") for file in files if file.suffix.lower() in (".h5", ".hdf5")}
    return [file for file in files if file.suffix.lower() != ".csv" or file.with_suffix("") not in binary]


def _clips(files: Sequence[Path], root: Path) -> dict[str, list[Path]]:
    """A camera for each file, named after it, or after its folder where all files are named alike."""
    stems = Counter(strip_noise(file.stem) for file in files)
    folders = cameras_of_folders([file.parent for file in files], root)
    named: dict[str, list[Path]] = {}
    for file in files:
        stem = strip_noise(file.stem)
        name = stem if stems[stem] == 1 else folders[file.parent] or stem
        if name in named:
            raise InputError(
                f"two files for camera {name}: {named[name][0].name} and {file.name}",
                where=root,
                todo="import one of them, with --camera",
            )
        named[name] = [file]
    return named


def _nothing(path: Path, files: Sequence[Path], format: str | None) -> InputError:
    """The error that says what was found instead."""
    counts = Counter(file.suffix.lower() or "without ending" for file in files)
    there = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(4)) or "no files"
    wanted = IMPORTERS[format].what if format else "2D results of a known tool"
    known = "; ".join(entry.what for entry in IMPORTERS.values())
    what = f"is no {wanted}" if path.is_file() else f"holds no {wanted}, but {there}"
    return InputError(what, where=path, todo=f"known are: {known}")
