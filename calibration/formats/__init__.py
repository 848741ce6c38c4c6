"""Other tools' calibration files, read and written; ``CAMERA_FORMATS`` is the list.

A file is recognised by what is in it. What a format cannot say, such as its unit of length, is an option.
"""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from calibration.cameras import Cameras
from calibration.errors import CalibrationError

from . import anipose, caliscope, colmap, easymocap, kalibr, metashape, opencap, opencv, panoptic, qualisys
from .records import CameraRecord, to_cameras, to_records
from .source import Source, looks

__all__ = [
    "CAMERA_FORMATS",
    "UNITS",
    "CameraFormat",
    "load_cameras",
    "read_cameras",
    "save_cameras_text",
    "write_cameras",
]

Written = str | Mapping[str, str] | Mapping[str, bytes]

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
"""Lengths that a file may count in, metres."""


@dataclass(frozen=True)
class CameraFormat:
    """How one kind of calibration file is known, read and written."""

    about: str
    """One line for people."""
    unit: str
    """Unit of length in such a file, unless the caller knows better; in ``UNITS``."""
    endings: tuple[str, ...]
    """Ends of file names that are written in this format."""
    recognises: Callable[[Source], bool]
    """Whether a file's content is of this format."""
    read: Callable[..., list[CameraRecord]]
    """Source and metres per unit (and options of the format) -> cameras."""
    write: Callable[[Sequence[CameraRecord], float, Mapping[str, Any]], Written]
    """Cameras, metres per unit, metadata -> contents: one file's, or those of the files of a folder."""


CAMERA_FORMATS: dict[str, CameraFormat] = {
    "caliscope": CameraFormat(
        "Caliscope camera_array.toml",
        "m",
        ("camera_array.toml",),
        caliscope.is_caliscope,
        caliscope.read_caliscope,
        caliscope.write_caliscope,
    ),
    "freemocap": CameraFormat(
        "FreeMoCap TOML, millimetres",
        "mm",
        ("camera_calibration.toml",),
        anipose.is_freemocap,
        anipose.read_freemocap,
        anipose.write_freemocap,
    ),
    "anipose": CameraFormat(
        "cameras.toml, Pose2Sim and Anipose TOML",
        "m",
        (".toml",),
        anipose.is_anipose,
        anipose.read_anipose,
        anipose.write_anipose,
    ),
    "metashape": CameraFormat(
        "Agisoft Metashape cameras.xml",
        "m",
        ("cameras.xml",),
        metashape.is_metashape,
        metashape.read_metashape,
        metashape.write_metashape,
    ),
    "qualisys": CameraFormat(
        "Qualisys .qca.txt",
        "mm",
        (".qca.txt", ".xml"),
        qualisys.is_qualisys,
        qualisys.read_qualisys,
        qualisys.write_qualisys,
    ),
    "kalibr": CameraFormat(
        "Kalibr camchain.yaml",
        "m",
        ("camchain.yaml",),
        kalibr.is_kalibr,
        kalibr.read_kalibr,
        kalibr.write_kalibr,
    ),
    "easymocap": CameraFormat(
        "EasyMocap intri.yml and extri.yml",
        "m",
        ("intri.yml", "extri.yml"),
        easymocap.is_easymocap,
        easymocap.read_easymocap,
        easymocap.write_easymocap,
    ),
    "opencv-yaml": CameraFormat(
        "OpenCV (and ROS) YAML",
        "m",
        (".yml", ".yaml"),
        opencv.is_opencv_yaml,
        opencv.read_opencv_yaml,
        opencv.write_opencv_yaml,
    ),
    "voxelpose": CameraFormat(
        "VoxelPose JSON, millimetres",
        "mm",
        (),
        panoptic.is_voxelpose,
        panoptic.read_voxelpose,
        panoptic.write_voxelpose,
    ),
    "panoptic": CameraFormat(
        "CMU Panoptic JSON, centimetres",
        "cm",
        (),
        panoptic.is_panoptic,
        panoptic.read_panoptic,
        panoptic.write_panoptic,
    ),
    "opencv-json": CameraFormat(
        "OpenCV JSON",
        "m",
        (".json",),
        opencv.is_opencv_json,
        opencv.read_opencv_json,
        opencv.write_opencv_json,
    ),
    "opencap": CameraFormat(
        "OpenCap pickle, one camera a file, millimetres",
        "mm",
        (".pickle", ".pkl"),
        opencap.is_opencap,
        opencap.read_opencap,
        opencap.write_opencap,
    ),
    "colmap": CameraFormat(
        "COLMAP text model, cameras.txt and images.txt",
        "m",
        ("cameras.txt", "images.txt"),
        colmap.is_colmap,
        colmap.read_colmap,
        colmap.write_colmap,
    ),
}
"""Formats by name, the particular before the general: the first that recognises a file reads it."""


def read_cameras(
    path: Path, format: str | None = None, *, unit: str | None = None, **options: float
) -> Cameras:
    """Read a calibration of any known format.

    Args:
        path: file or folder.
        format: name in ``CAMERA_FORMATS``; found from the content where it is not given.
        unit: unit of length in the file, in ``UNITS``; the format's own where it is not given.
        options: of the format: ``binning`` for Qualisys.

    Raises:
        CalibrationError: no such file, not of any format, or nothing that could be used.
    """
    source = Source(Path(path))
    chosen = _format(format) if format else _recognised(source)
    if format and not chosen.recognises(source):
        raise CalibrationError(f"{path}: is not of the format {format} ({chosen.about})")
    records = chosen.read(source, _metres(unit or chosen.unit), **options)
    return to_cameras(records, str(path))


def write_cameras(
    cameras: Cameras,
    path: Path,
    format: str | None = None,
    *,
    unit: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a calibration for another tool; each file appears whole or not at all.

    Args:
        cameras: the cameras.
        path: file, or folder for formats of several files.
        format: name in ``CAMERA_FORMATS``; found from the file's ending where it is not given.
        unit: unit of length to write, in ``UNITS``; the format's own where it is not given.
        metadata: more entries for formats with a place for them (TOML).

    Returns:
        The files made.

    Raises:
        CalibrationError: unknown format, or cameras that it cannot hold.
    """
    path = Path(path)
    chosen = _format(format) if format else _by_ending(path)
    written = chosen.write(to_records(cameras), _metres(unit or chosen.unit), metadata or {})
    if isinstance(written, str):
        written = {"": written}
    named_file = path.name in written
    if not named_file and "" not in written and path.name.lower().endswith(chosen.endings or "/"):
        raise CalibrationError(f"{path}: these cameras make several files; give the name of a folder")
    folder = path.parent if named_file else path
    files = {folder / PurePosixPath(name) if name else path: content for name, content in written.items()}
    for file, content in files.items():
        _replace(file, content.encode() if isinstance(content, str) else content)
    return list(files)


def load_cameras(path: Path) -> Cameras:
    """Read our own ``cameras.toml``, or any TOML of the Anipose dialect in metres.

    Raises:
        CalibrationError: written by a newer program, a missing entry, or a value that is no finite number.
    """
    source = Source(Path(path))
    return to_cameras(anipose.read_anipose(source, 1.0), str(path))


def save_cameras_text(cameras: Cameras, metadata: Mapping[str, Any] | None = None) -> str:
    """The text of our own ``cameras.toml``; ``metadata`` is added to its last table."""
    return anipose.write_anipose(to_records(cameras), 1.0, metadata or {})


def _format(name: str) -> CameraFormat:
    if name not in CAMERA_FORMATS:
        raise CalibrationError(f"unknown camera format {name}; choose one of {', '.join(CAMERA_FORMATS)}")
    return CAMERA_FORMATS[name]


def _metres(unit: str) -> float:
    if unit not in UNITS:
        raise CalibrationError(f"unknown unit {unit}; choose one of {', '.join(UNITS)}")
    return UNITS[unit]


def _recognised(source: Source) -> CameraFormat:
    for candidate in CAMERA_FORMATS.values():
        if looks(source, candidate.recognises):
            return candidate
    if opencap.looks_pickled(source):
        opencap.read_opencap(source, 1.0)  # says why not
    if source.path.suffix == ".toml":
        _ = source.toml  # says where the syntax is wrong
    if source.path.suffix == ".json":
        _ = source.json
    raise CalibrationError(f"{source.path}: no calibration that is known; tried {', '.join(CAMERA_FORMATS)}")


def _by_ending(path: Path) -> CameraFormat:
    for candidate in CAMERA_FORMATS.values():
        if path.name.lower().endswith(candidate.endings):
            return candidate
    raise CalibrationError(
        f"{path}: the name does not say which format to write; choose one of {', '.join(CAMERA_FORMATS)}"
    )


def _replace(path: Path, data: bytes) -> None:
    """Write beside the file and rename, so that nobody ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise CalibrationError(
            f"{path}: cannot be written: {error.strerror}; choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
