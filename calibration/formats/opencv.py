"""YAML and JSON in the words of OpenCV's calibration programs, which ROS shares.

One camera is a map of ``camera_matrix``, ``distortion_coefficients``, ``image_width``, ``image_height``, and,
where the pose is known, ``R`` (or ``rvec``) and ``T`` (or ``tvec``), world to camera. ``distortion_model``
says ``fisheye`` (or ``equidistant``). Several cameras are a list of such maps, each with a ``name``, under
``cameras``.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calibration.errors import CalibrationError

from .filestorage import matrix_json, yaml_text
from .records import Array, CameraRecord, as_numbers, as_size, make_record, require
from .source import Source

_MATRIX = ("camera_matrix", "cameraMatrix", "Camera_Matrix", "mtx", "K")
_DISTORTION = ("distortion_coefficients", "Distortion_Coefficients", "dist_coeffs", "distCoeffs", "dist", "D")
_ROTATION = ("R", "rvec", "rotation")
_TRANSLATION = ("T", "tvec", "translation")
_SIZE = ("image_size", "imageSize", "size")
_FISHEYE = ("fisheye", "equidistant", "kannala_brandt")
_PINHOLE = ("", "pinhole", "plumb_bob", "rational_polynomial", "opencv", "radtan")


def is_opencv_yaml(source: Source) -> bool:
    """Whether a YAML file has a camera in OpenCV's words."""
    return bool(_entries(source.yaml))


def is_opencv_json(source: Source) -> bool:
    """Whether a JSON file has a camera in OpenCV's words."""
    return isinstance(source.json, dict) and bool(_entries(source.json))


def read_opencv_yaml(source: Source, metres: float) -> list[CameraRecord]:
    """Read the cameras; ``metres`` is the length of the file's unit."""
    return _records(source.yaml, source, metres)


def read_opencv_json(source: Source, metres: float) -> list[CameraRecord]:
    """Read the cameras; ``metres`` is the length of the file's unit."""
    return _records(source.json, source, metres)


def write_opencv_yaml(records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]) -> str:
    """The text of a YAML file that ``cv2.FileStorage`` reads."""
    del metadata  # the format has no place for it
    cameras = [_camera(record, metres) for record in records]
    return yaml_text(cameras[0] if len(cameras) == 1 else {"cameras": cameras})


def write_opencv_json(records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]) -> str:
    """The text of a JSON file that ``cv2.FileStorage`` reads."""
    del metadata  # the format has no place for it
    cameras = [
        {
            key: matrix_json(v) if isinstance(v, np.ndarray) else v
            for key, v in _camera(record, metres).items()
        }
        for record in records
    ]
    value: Any = cameras[0] if len(cameras) == 1 else {"cameras": cameras}
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _camera(record: CameraRecord, metres: float) -> dict[str, Any]:
    require([record], "opencv", fisheye=True, pose=False, size=False)
    camera: dict[str, Any] = {"name": record.name}
    if all(np.isfinite(record.size_px)):
        width, height = (int(x) if x.is_integer() else x for x in record.size_px)
        camera |= {"image_width": width, "image_height": height}
    fisheye = record.model == "fisheye"
    camera |= {
        "distortion_model": "fisheye" if fisheye else "opencv",
        "camera_matrix": record.matrix,
        "distortion_coefficients": record.padded(max(4 if fisheye else 5, len(record.distortion)))[None],
    }
    if record.cam_from_world is not None:
        camera |= {"R": record.rotation, "T": record.translation[:, None] / metres}
    return camera


def _entries(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    cameras = content.get("cameras")
    found: list[Any] = cameras if isinstance(cameras, list) else [content]
    return [
        entry
        for entry in found
        if isinstance(entry, dict) and _first(entry, _MATRIX) and "R_cam" not in entry
    ]


def _records(content: Any, source: Source, metres: float) -> list[CameraRecord]:
    entries = _entries(content) if isinstance(content, dict) else []
    stem = source.path.name.split(".")[0]
    fallback = [stem] if len(entries) == 1 else [f"{stem}_{i}" for i in range(len(entries))]
    return [_record(entry, name, source, metres) for entry, name in zip(entries, fallback, strict=True)]


def _record(entry: Mapping[str, Any], fallback: str, source: Source, metres: float) -> CameraRecord:
    name = str(entry.get("name") or entry.get("camera_name") or fallback)
    where = f"{source.path}: camera {name}"
    model = str(entry.get("distortion_model") or entry.get("camera_model") or "").lower()
    if model not in (*_FISHEYE, *_PINHOLE):
        raise CalibrationError(
            f"{where}: distortion model {model!r} is not known; known are pinhole and fisheye"
        )
    rotation, translation = _first(entry, _ROTATION), _first(entry, _TRANSLATION)
    return make_record(
        name,
        where,
        matrix=_matrix(entry, _first(entry, _MATRIX), (3, 3), where),
        distortion=_matrix(entry, _first(entry, _DISTORTION), 14, where),
        size_px=_size(entry, where),
        rotation=None if rotation is None else _rotation(entry, rotation, where),
        translation=None if translation is None else _matrix(entry, translation, (3,), where) * metres,
        fisheye=model in _FISHEYE,
    )


def _rotation(entry: Mapping[str, Any], key: str, where: str) -> Array:
    size = _matrix(entry, key, 9, where).size
    return _matrix(entry, key, (3, 3) if size == 9 else (3,), where)


def _matrix(entry: Mapping[str, Any], key: str | None, shape: tuple[int, ...] | int, where: str) -> Array:
    if key is None:
        raise CalibrationError(f"{where}: has no distortion coefficients")
    value = entry[key]
    if isinstance(value, dict):  # a matrix in JSON
        value = value.get("data", [])
    return as_numbers(value, key, shape, where)


def _size(entry: Mapping[str, Any], where: str) -> tuple[float, float] | None:
    for pair in (("image_width", "image_height"), ("width", "height"), ("image_Width", "image_Height")):
        if all(key in entry for key in pair):
            return as_size([entry[key] for key in pair], where)
    key = _first(entry, _SIZE)
    return None if key is None else as_size(_matrix(entry, key, (2,), where), where)


def _first(entry: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((key for key in keys if key in entry), None)
