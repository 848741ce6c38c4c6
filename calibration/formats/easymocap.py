"""EasyMocap's pair ``intri.yml`` and ``extri.yml``, metres.

Entries are ``K_<camera>``, ``dist_``, ``H_``, ``W_``; and ``R_``, ``Rot_``, ``T_``, world to camera.
Either file or their folder may be given. Without ``extri.yml`` the poses are unknown.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calibration.errors import CalibrationError

from .filestorage import is_key, yaml_text
from .records import CameraRecord, as_numbers, as_size, make_record, numbers, require
from .source import Source, looks

INTRINSICS, EXTRINSICS = "intri.yml", "extri.yml"


def is_easymocap(source: Source) -> bool:
    """Whether a folder or a YAML file holds EasyMocap's cameras."""
    if source.path.is_dir():
        intrinsics = source.beside(INTRINSICS)
        return intrinsics is not None and looks(intrinsics, is_easymocap)
    names = source.yaml.get("names")
    return isinstance(names, list) and any(key.startswith(("K_", "Rot_", "R_")) for key in source.yaml)


def read_easymocap(source: Source, metres: float) -> list[CameraRecord]:
    """Read the cameras; ``metres`` is the length of the file's unit."""
    given = {} if source.path.is_dir() else source.yaml
    intrinsics, extrinsics = source.beside(INTRINSICS), source.beside(EXTRINSICS)
    lenses = given if any(key.startswith("K_") for key in given) else intrinsics.yaml if intrinsics else None
    if lenses is None:
        raise CalibrationError(f"{source.path}: has no {INTRINSICS} beside it, which holds the lenses")
    if any(key.startswith(("R_", "Rot_")) for key in given):
        poses = given
    else:
        poses = extrinsics.yaml if extrinsics else {}
    names = [str(name) for name in lenses.get("names", [])]
    return [_record(name, lenses, poses, f"{source.path}: camera {name}", metres) for name in names]


def _record(
    name: str, lenses: Mapping[str, Any], poses: Mapping[str, Any], where: str, metres: float
) -> CameraRecord:
    pose: dict[str, Any] = {}
    for key in (f"Rot_{name}", f"R_{name}"):
        if key in poses and "rotation" not in pose:
            shape = (3, 3) if np.size(poses[key]) == 9 else (3,)
            pose["rotation"] = numbers(poses, key, shape, where)
    if f"T_{name}" in poses:
        pose["translation"] = numbers(poses, f"T_{name}", (3,), where) * metres
    size = [lenses.get(f"W_{name}"), lenses.get(f"H_{name}")]
    return make_record(
        name,
        where,
        matrix=numbers(lenses, f"K_{name}", (3, 3), where),
        distortion=as_numbers(lenses.get(f"dist_{name}", []), f"dist_{name}", 14, where),
        size_px=None if None in size else as_size(size, where),
        **pose,
    )


def write_easymocap(
    records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]
) -> dict[str, str]:
    """The two files; only the first where no pose is known."""
    del metadata  # the format has no place for it
    posed = any(record.cam_from_world is not None for record in records)
    require(records, "easymocap", pose=posed, size=False)
    for record in records:
        if not is_key(f"K_{record.name}"):
            raise CalibrationError(
                f"{record.where} cannot be written as easymocap: its names are letters, digits, - and _"
            )
    names = [record.name for record in records]
    lenses: dict[str, Any] = {"names": names}
    poses: dict[str, Any] = {"names": names}
    for record in records:
        lenses[f"K_{record.name}"] = record.matrix
        lenses[f"dist_{record.name}"] = record.padded(max(5, len(record.distortion)))[None]
        if all(np.isfinite(record.size_px)):
            width, height = (int(x) if x.is_integer() else x for x in record.size_px)
            lenses |= {f"H_{record.name}": height, f"W_{record.name}": width}
        if posed:
            poses[f"R_{record.name}"] = record.rotvec[:, None]
            poses[f"Rot_{record.name}"] = record.rotation
            poses[f"T_{record.name}"] = record.translation[:, None] / metres
    files = {INTRINSICS: yaml_text(lenses)}
    return files | ({EXTRINSICS: yaml_text(poses)} if posed else {})
