"""Kalibr's ``camchain.yaml``, metres.

Cameras are ``cam0``, ``cam1`` ... in a chain: ``T_cn_cnm1`` takes the coordinates of the camera before to
this one's. Where all have ``T_cam_imu``, from the IMU to the camera, the IMU's frame is the world; else the
first camera's is. Lenses are ``pinhole`` with ``radtan`` (k1 k2 p1 p2), ``equidistant`` (a fisheye) or no
distortion. A camera's name is kept in ``rostopic``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calibration.errors import CalibrationError

from .filestorage import is_key
from .records import Array, CameraRecord, as_numbers, as_size, make_record, numbers, require
from .source import Source

_KEY = re.compile(r"cam(\d+)")
_TOPIC = re.compile(r"/([^/]+)/image_raw")
_MODELS = {"radtan": False, "equidistant": True, "none": False}


def is_kalibr(source: Source) -> bool:
    """Whether a YAML file is a chain of Kalibr's cameras."""
    first = source.yaml.get("cam0")
    return isinstance(first, dict) and "intrinsics" in first and "distortion_model" in first


def read_kalibr(source: Source, metres: float) -> list[CameraRecord]:
    """Read the cameras; ``metres`` is the length of the file's unit."""
    keys = sorted((key for key in source.yaml if _KEY.fullmatch(key)), key=lambda key: int(key[3:]))
    cameras = {key: source.yaml[key] for key in keys if isinstance(source.yaml[key], dict)}
    by_imu = all("T_cam_imu" in camera for camera in cameras.values())
    poses: list[Array] = []
    for key, camera in cameras.items():
        where = f"{source.path}: camera {key}"
        if by_imu:
            poses.append(_pose(camera, "T_cam_imu", where))
        elif not poses:
            poses.append(np.eye(4))
        else:
            poses.append(_pose(camera, "T_cn_cnm1", where) @ poses[-1])
    names = _names(cameras)
    return [
        _record(name, camera, pose, f"{source.path}: camera {name}", metres)
        for name, camera, pose in zip(names, cameras.values(), poses, strict=True)
    ]


def _names(cameras: Mapping[str, Any]) -> list[str]:
    """Names from the topics where all have one and they differ, else the keys."""
    found = [_TOPIC.fullmatch(str(camera.get("rostopic", ""))) for camera in cameras.values()]
    names = [match[1] for match in found if match]
    return names if len(set(names)) == len(cameras) else list(cameras)


def _pose(camera: Mapping[str, Any], key: str, where: str) -> Array:
    return numbers(camera, key, (4, 4), where)


def _record(name: str, camera: Mapping[str, Any], pose: Array, where: str, metres: float) -> CameraRecord:
    projection = str(camera.get("camera_model", "pinhole"))
    if projection != "pinhole":
        raise CalibrationError(f"{where}: camera model {projection} is not known; calibrate it as pinhole")
    model = str(camera.get("distortion_model"))
    if model not in _MODELS:
        raise CalibrationError(
            f"{where}: distortion model {model} is not known; known are {', '.join(_MODELS)}"
        )
    fx, fy, cx, cy = numbers(camera, "intrinsics", (4,), where)
    return make_record(
        name,
        where,
        matrix=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]),
        distortion=as_numbers(camera.get("distortion_coeffs") or [], "distortion_coeffs", 4, where),
        size_px=as_size(camera.get("resolution"), where),
        rotation=pose[:3, :3],
        translation=pose[:3, 3] * metres,
        fisheye=_MODELS[model],
    )


def write_kalibr(records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]) -> str:
    """The text of a ``camchain.yaml``; the world stands in the place of the IMU."""
    del metadata  # the format has no place for it
    require(records, "kalibr", coefficients=4, fisheye=True)
    lines: list[str] = []
    before: Array | None = None
    for i, record in enumerate(records):
        if not is_key(f"cam_{record.name}"):
            raise CalibrationError(
                f"{record.where} cannot be written as kalibr: its names are letters, digits, - and _"
            )
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = record.rotation, record.translation / metres
        width, height = (int(x) if x.is_integer() else x for x in record.size_px)
        lines += [
            f"cam{i}:",
            "  camera_model: pinhole",
            f"  intrinsics: {_row([*record.focal_px, *record.center_px])}",
            f"  distortion_model: {'equidistant' if record.model == 'fisheye' else 'radtan'}",
            f"  distortion_coeffs: {_row(record.padded(4)[:4])}",
            *_matrix("T_cam_imu", pose),
            *([] if before is None else _matrix("T_cn_cnm1", pose @ np.linalg.inv(before))),
            f"  resolution: [{width}, {height}]",
            f"  rostopic: /{record.name}/image_raw",
        ]
        before = pose
    return "\n".join([*lines, ""])


def _row(values: Sequence[float] | Array) -> str:
    return f"[{', '.join(repr(float(value)) for value in values)}]"


def _matrix(key: str, value: Array) -> list[str]:
    return [f"  {key}:", *(f"  - {_row(row)}" for row in value)]
