"""TOML of Anipose and its relatives: Pose2Sim, FreeMoCap, and our own ``cameras.toml``.

One table for each camera: name, size, matrix, distortions, rotation (Rodrigues, world to camera),
translation, fisheye. Pose2Sim and we write metres, Anipose and FreeMoCap millimetres; FreeMoCap is known
by what it adds to the file, a plain file in millimetres has to be read with ``unit="mm"``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calibration.errors import CalibrationError

from .records import CameraRecord, as_size, make_record, numbers, require
from .source import Source
from .toml_text import toml_text

FORMAT = "mocap-studio cameras"
VERSION = 1

_FARTHEST = 200.0  # between two cameras of a rig; more metres than this are millimetres
_FREEMOCAP = {"groundplane_calibration", "charuco_square_size", "charuco_board_object", "recording_info"}


def is_anipose(source: Source) -> bool:
    """Whether a TOML file has tables of cameras."""
    return bool(_tables(source))


def is_freemocap(source: Source) -> bool:
    """Whether a TOML file of this dialect comes from FreeMoCap."""
    tables = _tables(source)
    marked = bool(_FREEMOCAP & set(_metadata(source)))
    return bool(tables) and (marked or any("world_position" in table for table in tables.values()))


def read_anipose(source: Source, metres: float) -> list[CameraRecord]:
    """Read the cameras; ``metres`` is the length of the file's unit."""
    records = _records(source, metres)
    centers = np.array([r.center_world for r in records if r.cam_from_world is not None])
    far = float(np.ptp(centers, axis=0).max()) if len(centers) else 0.0
    if metres == 1.0 and far > _FARTHEST:
        raise CalibrationError(
            f"{source.path}: cameras {far:.0f} m apart mean that it is in millimetres; read it with unit mm"
        )
    return records


def read_freemocap(source: Source, metres: float) -> list[CameraRecord]:
    """Read the cameras; ``metres`` is the length of the file's unit."""
    return _records(source, metres)


def write_anipose(records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]) -> str:
    """The text of our own ``cameras.toml``."""
    tables = {f"cam_{i}": _table(record, metres) for i, record in enumerate(records)}
    head = {"format": FORMAT, "version": VERSION, "adjusted": True, "error": 0.0}
    return toml_text(tables | {"metadata": head | dict(metadata)})


def write_freemocap(records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]) -> str:
    """The text of a FreeMoCap calibration, with the places of the cameras that it adds."""
    require(records, "freemocap", coefficients=5, size=True)
    tables: dict[str, dict[str, Any]] = {}
    for i, record in enumerate(records):
        place = {"world_position": record.center_world / metres, "world_orientation": record.rotation.T}
        tables[f"cam_{i}"] = _table(record, metres) | place
    head = {"adjusted": False, "error": 0.0, "groundplane_calibration": True}
    return toml_text(tables | {"metadata": head | dict(metadata)})


def _table(record: CameraRecord, metres: float) -> dict[str, Any]:
    table: dict[str, Any] = {"name": record.name}
    if all(np.isfinite(record.size_px)):
        table["size"] = [int(x) if x.is_integer() else x for x in record.size_px]
    table |= {"matrix": record.matrix, "distortions": record.padded(max(4, len(record.distortion)))}
    if record.cam_from_world is not None:
        table |= {"rotation": record.rotvec, "translation": record.translation / metres}
    return table | {"fisheye": record.model == "fisheye"}


def _metadata(source: Source) -> Mapping[str, Any]:
    metadata = source.toml.get("metadata", {})
    return metadata if isinstance(metadata, dict) else {}


def _tables(source: Source) -> dict[str, Mapping[str, Any]]:
    tables = {
        key: table for key, table in source.toml.items() if key != "metadata" and isinstance(table, dict)
    }
    return {key: table for key, table in tables.items() if {"matrix", "distortions"} & set(table)}


def _records(source: Source, metres: float) -> list[CameraRecord]:
    metadata = _metadata(source)
    if metadata.get("format") == FORMAT and _version(metadata, source) > VERSION:
        raise CalibrationError(
            f"{source.path}: written by a newer version of the program (version {metadata['version']}, "
            f"known are up to {VERSION}); update it"
        )
    records: list[CameraRecord] = []
    for key, table in source.toml.items():
        if key == "metadata" or not isinstance(table, dict):
            continue
        name = str(table.get("name", key))
        records.append(_record(name, table, f"{source.path}: camera {name}", metres))
    return records


def _version(metadata: Mapping[str, Any], source: Source) -> int:
    version = metadata.get("version", 1)
    if not isinstance(version, int):
        raise CalibrationError(f"{source.path}: version {version!r} is not a whole number")
    return version


def _record(name: str, table: Mapping[str, Any], where: str, metres: float) -> CameraRecord:
    pose: dict[str, Any] = {}
    if "rotation" in table:
        turned = np.asarray(table["rotation"], dtype=object).size == 9
        pose["rotation"] = numbers(table, "rotation", (3, 3) if turned else (3,), where)
    if "translation" in table:
        pose["translation"] = numbers(table, "translation", (3,), where) * metres
    return make_record(
        name,
        where,
        matrix=numbers(table, "matrix", (3, 3), where),
        distortion=numbers(table, "distortions", 14, where),
        size_px=as_size(table.get("size"), where),
        fisheye=bool(table.get("fisheye", False)),
        **pose,
    )
