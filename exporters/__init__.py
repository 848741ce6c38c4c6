"""Write a take to interchange formats. One format per file; the table below is the list.

Packages add formats of their own through entry points of the group ``mocap.exporters``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from exporters.axes import WORLD, Axes
from exporters.blender_scene import blender_scene
from exporters.bvh import BVH_AXES, export_bvh
from exporters.c3d import C3D_AXES, export_c3d
from exporters.errors import ExportError
from exporters.fbx import FBX_AXES, export_fbx
from exporters.gltf import GLTF_AXES, export_glb
from exporters.json_file import export_json
from exporters.mot import MOT_AXES, export_mot
from exporters.npz import export_npz
from exporters.pieces import Pieces
from exporters.table import TRC_AXES, export_csv, export_trc
from exporters.take import Character, Markers, Plate, Take
from exporters.targets import TARGETS, Target, target
from exporters.timecode import Timecode
from exporters.usd import USD_AXES, usd_writer

__all__ = [
    "EXPORTERS",
    "TARGETS",
    "Character",
    "ExportError",
    "Exporter",
    "FileFormat",
    "Markers",
    "Pieces",
    "Plate",
    "Take",
    "Target",
    "Timecode",
    "available_formats",
    "blender_scene",
    "export",
    "format_options",
    "target",
]

_GROUP: Final = "mocap.exporters"


@runtime_checkable
class Exporter(Protocol):
    """A pure function from a take to file contents."""

    @property
    def suffix(self) -> str:
        """File ending with dot, e.g. ``".bvh"``."""
        ...

    @property
    def axes(self) -> Axes:
        """Axes and unit that the format expects."""
        ...

    @property
    def options(self) -> Sequence[str]:
        """Names of the keyword options that it takes."""
        ...

    def __call__(self, take: Take, /, **options: Any) -> Mapping[str, bytes | Pieces]:
        """Return {file name: contents}, one for each person or for all; touches no disk."""
        ...


@dataclass(frozen=True)
class FileFormat:
    """An ``Exporter`` made of a function."""

    suffix: str
    """File ending with dot."""
    axes: Axes
    """Axes and unit that the format expects."""
    write: Callable[..., Mapping[str, bytes | Pieces]]
    """Takes a take and keyword options."""
    needs: str = ""
    """Module without which nothing can be written."""

    @property
    def works(self) -> bool:
        """Whether what it needs is installed."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the function's keyword options."""
        parameters = inspect.signature(self.write).parameters.values()
        return tuple(item.name for item in parameters if item.kind is item.KEYWORD_ONLY)

    def __call__(self, take: Take, /, **options: Any) -> Mapping[str, bytes | Pieces]:
        """Contents of the files; an unknown option is an ``ExportError`` that lists those there are."""
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            valid = ", ".join(self.options) or "none"
            raise ExportError(f"{self.suffix} has no option {unknown[0]!r}; it has: {valid}")
        return self.write(take, **options)


EXPORTERS: Final[dict[str, Exporter]] = {
    "bvh": FileFormat(".bvh", BVH_AXES, export_bvh),
    "fbx": FileFormat(".fbx", FBX_AXES, export_fbx),
    "glb": FileFormat(".glb", GLTF_AXES, export_glb),
    "usda": FileFormat(".usda", USD_AXES, usd_writer("usda"), needs="pxr"),
    "usdc": FileFormat(".usdc", USD_AXES, usd_writer("usdc"), needs="pxr"),
    "usdz": FileFormat(".usdz", USD_AXES, usd_writer("usdz"), needs="pxr"),
    "c3d": FileFormat(".c3d", C3D_AXES, export_c3d, needs="ezc3d"),
    "npz": FileFormat(".npz", WORLD, export_npz),
    "trc": FileFormat(".trc", TRC_AXES, export_trc),
    "mot": FileFormat(".mot", MOT_AXES, export_mot),
    "csv": FileFormat(".csv", WORLD, export_csv),
    "json": FileFormat(".json", WORLD, export_json),
}
"""Built-in formats by name; they go before entry points of the same name."""


def available_formats() -> tuple[str, ...]:
    """Names of the formats that can be written here, the built-in ones first."""
    ours = (name for name, kind in EXPORTERS.items() if getattr(kind, "works", True))
    extra = sorted({entry.name for entry in metadata.entry_points(group=_GROUP)} - set(EXPORTERS))
    working: list[str] = []
    for name in extra:
        with contextlib.suppress(ExportError):
            _exporter(name)
            working.append(name)
    return (*ours, *working)


def format_options(format: str) -> tuple[str, ...]:
    """Names of the options that a format takes, such as ``rig``; ``ExportError`` if it is unknown."""
    return tuple(_exporter(format).options)


def export(take: Take, path: Path, *, format: str | None = None, **options: Any) -> list[Path]:
    """Write a take to disk, all files or none.

    Args:
        take: the people and their motions.
        path: a file such as ``walk.bvh`` (with a ``format``, also ``walk``), of which several people make
            ``walk_<person>.bvh``; or a folder that exists, which gets ``<person>.bvh``.
        format: one of ``available_formats()``; by the path's suffix if left out.
        options: the format's own.

    Returns:
        The files made.

    Raises:
        ExportError: unknown format or option, a take that the format cannot hold, or a disk that is full.
    """
    name = path.suffix.removeprefix(".").lower() if format is None else format
    exporter = _exporter(name)
    if not take.characters:
        raise ExportError(f"take {take.name!r} has nobody in it; run the fit first")
    contents = exporter(take, **options)
    targets = {_target(path, file, exporter.suffix, len(contents)): data for file, data in contents.items()}
    _write_all(targets)
    return list(targets)


def _target(path: Path, file: str, suffix: str, num_files: int) -> Path:
    """Where one of a take's files goes."""
    if path.is_dir():
        return path / file
    named = path.suffix.lower() == suffix
    if num_files == 1:
        return path if named else path.with_name(path.name + suffix)
    return path.with_name(f"{path.stem if named else path.name}_{file}")


def _exporter(name: str) -> Exporter:
    """The exporter of a format, built in or from another package."""
    if name in EXPORTERS:
        return EXPORTERS[name]
    entries = {entry.name: entry for entry in metadata.entry_points(group=_GROUP)}
    if name not in entries:
        known = ", ".join([*EXPORTERS, *sorted(entries)])
        raise ExportError(f"no export format {name!r}; choose one of {known}")
    try:
        found = entries[name].load()
    except Exception as error:  # another package's import may fail in any way
        raise ExportError(f"export format {name!r} ({entries[name].value}) does not load: {error}") from error
    if not isinstance(found, Exporter):
        raise ExportError(f"export format {name!r} ({entries[name].value}) has no suffix, axes or call")
    return found


def _write_all(contents: Mapping[Path, bytes | Pieces]) -> None:
    """Write under temporary names beside the targets, then rename."""
    written: list[tuple[Path, Path]] = []
    try:
        for target, data in contents.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            written.append((Path(temporary), target))
            with os.fdopen(handle, "wb") as stream:
                stream.writelines([data] if isinstance(data, bytes) else data)
            Path(temporary).chmod(0o666 & ~_umask())
        for temporary, target in written:
            temporary.replace(target)
    except OSError as error:
        place = error.filename or ", ".join(str(target) for target in contents)
        raise ExportError(f"cannot write {place}: {error.strerror}; make room, or write elsewhere") from error
    finally:
        _remove(temporary for temporary, _ in written)


def _umask() -> int:
    """The mask that new files of this process get; reading it means setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _remove(leftovers: Iterable[Path]) -> None:
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
