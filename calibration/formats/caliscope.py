"""Caliscope's ``camera_array.toml``: tables ``[cameras.0]`` with a rotation matrix, metres.

Caliscope numbers its cameras; ``cam_0`` is the name of its video, so that is the camera's name here. Other
names are kept in an entry of their own, which Caliscope does not read.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .records import CameraRecord, as_size, make_record, numbers, require
from .source import Source
from .toml_text import toml_text

_NUMBERED = re.compile(r"cam_(0|[1-9][0-9]*)")


def is_caliscope(source: Source) -> bool:
    """Whether a TOML file has Caliscope's table of cameras."""
    return bool(_tables(source))


def read_caliscope(source: Source, metres: float) -> list[CameraRecord]:
    """Read the cameras; ``metres`` is the length of the file's unit."""
    return [_record(key, table, source, metres) for key, table in _tables(source).items()]


def write_caliscope(records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]) -> str:
    """The text of a ``camera_array.toml``."""
    del metadata  # the format has no place for it
    require(records, "caliscope", coefficients=5, fisheye=True, pose=False)
    found = [_NUMBERED.fullmatch(record.name) for record in records]
    numbered = all(found)
    tables: dict[str, Mapping[str, Any]] = {}
    for i, (record, match) in enumerate(zip(records, found, strict=True)):
        number = int(match[1]) if numbered and match else i
        tables[f"cameras.{number}"] = _table(record, number, metres, named=not numbered)
    return toml_text(tables)


def _table(record: CameraRecord, number: int, metres: float, *, named: bool) -> dict[str, Any]:
    fisheye = record.model == "fisheye"
    table: dict[str, Any] = {
        "cam_id": number,
        "rotation_count": 0,
        "ignore": False,
        "size": [int(x) for x in record.size_px],
        "matrix": record.matrix,
        "distortions": record.padded(4 if fisheye else 5)[: 4 if fisheye else 5],
        "fisheye": fisheye,
    }
    if record.cam_from_world is not None:
        table |= {"translation": record.translation / metres, "rotation": record.rotation}
    return table | ({"name": record.name} if named else {})


def _tables(source: Source) -> dict[str, Mapping[str, Any]]:
    tables = source.toml.get("cameras")
    if not isinstance(tables, dict):
        return {}
    return {key: table for key, table in tables.items() if isinstance(table, dict) and "matrix" in table}


def _record(key: str, table: Mapping[str, Any], source: Source, metres: float) -> CameraRecord:
    name = str(table.get("name", f"cam_{table.get('cam_id', table.get('port', key))}"))
    where = f"{source.path}: camera {name}"
    pose: dict[str, Any] = {}
    if "rotation" in table and "translation" in table:
        turned = np.asarray(table["rotation"], dtype=object).size == 9
        pose["rotation"] = numbers(table, "rotation", (3, 3) if turned else (3,), where)
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
