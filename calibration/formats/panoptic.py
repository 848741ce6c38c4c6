"""JSON of two data-set worlds: VoxelPose's calibration (millimetres) and CMU Panoptic's (centimetres).

VoxelPose keeps a camera's centre: ``x_cam = R (X - T)``, with focal lengths, centre, radial ``k`` and
tangential ``p`` apart. Panoptic keeps ``x_cam = R X + t`` and OpenCV's five coefficients. The world's axes
stay as they are in the file.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .records import CameraRecord, as_numbers, as_size, make_record, numbers, require
from .source import Source

_VOXELPOSE = {"fx", "fy", "cx", "cy", "R", "T"}


def is_voxelpose(source: Source) -> bool:
    """Whether a JSON file is VoxelPose's."""
    content = source.json
    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(camera, dict) and set(camera) >= _VOXELPOSE for camera in content.values())
    )


def is_panoptic(source: Source) -> bool:
    """Whether a JSON file is CMU Panoptic's."""
    content = source.json
    cameras: Any = content.get("cameras") if isinstance(content, dict) else None
    return isinstance(cameras, list) and any(isinstance(c, dict) and "distCoef" in c for c in cameras)


def read_voxelpose(source: Source, metres: float) -> list[CameraRecord]:
    """Read the cameras; ``metres`` is the length of the file's unit."""
    records: list[CameraRecord] = []
    for name, camera in source.json.items():
        where = f"{source.path}: camera {name}"
        fx, fy, cx, cy = (float(numbers(camera, key, (1,), where)[0]) for key in ("fx", "fy", "cx", "cy"))
        k = np.pad(as_numbers(camera.get("k", []), "k", 3, where), (0, 3))[:3]
        p = np.pad(as_numbers(camera.get("p", []), "p", 2, where), (0, 2))[:2]
        record = make_record(
            str(name),
            where,
            matrix=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]),
            distortion=[k[0], k[1], p[0], p[1], k[2]],
            size_px=as_size(camera["resolution"], where) if "resolution" in camera else None,
            rotation=numbers(camera, "R", (3, 3), where),
            center=numbers(camera, "T", (3,), where) * metres,
        )
        records.append(record)
    return records


def read_panoptic(source: Source, metres: float) -> list[CameraRecord]:
    """Read the cameras; ``metres`` is the length of the file's unit."""
    records: list[CameraRecord] = []
    for i, camera in enumerate(source.json["cameras"]):
        name = str(camera.get("name", i))
        where = f"{source.path}: camera {name}"
        record = make_record(
            name,
            where,
            matrix=numbers(camera, "K", (3, 3), where),
            distortion=numbers(camera, "distCoef", 14, where),
            size_px=as_size(camera.get("resolution"), where),
            rotation=numbers(camera, "R", (3, 3), where),
            translation=numbers(camera, "t", (3,), where) * metres,
        )
        records.append(record)
    return records


def write_voxelpose(records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]) -> str:
    """The text of a VoxelPose calibration; the image size is an entry of our own."""
    del metadata  # the format has no place for it
    require(records, "voxelpose", coefficients=5, size=False)
    content: dict[str, Any] = {}
    for record in records:
        k1, k2, p1, p2, k3 = record.padded(5)[:5].tolist()
        camera: dict[str, Any] = {
            "R": record.rotation.tolist(),
            "T": (record.center_world[:, None] / metres).tolist(),
            "fx": record.focal_px[0],
            "fy": record.focal_px[1],
            "cx": record.center_px[0],
            "cy": record.center_px[1],
            "k": [[k1], [k2], [k3]],
            "p": [[p1], [p2]],
        }
        if all(np.isfinite(record.size_px)):
            camera["resolution"] = [int(x) if x.is_integer() else x for x in record.size_px]
        content[record.name] = camera
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_panoptic(records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]) -> str:
    """The text of a Panoptic calibration."""
    del metadata  # the format has no place for it
    require(records, "panoptic", coefficients=5)
    cameras = [
        {
            "name": record.name,
            "type": "hd",
            "resolution": [int(x) if x.is_integer() else x for x in record.size_px],
            "K": record.matrix.tolist(),
            "distCoef": record.padded(5)[:5].tolist(),
            "R": record.rotation.tolist(),
            "t": (record.translation[:, None] / metres).tolist(),
        }
        for record in records
    ]
    return json.dumps({"cameras": cameras}, indent=2, ensure_ascii=False) + "\n"
