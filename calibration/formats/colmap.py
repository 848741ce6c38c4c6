"""COLMAP's text model: a folder with ``cameras.txt`` and ``images.txt``; one image is one camera.

COLMAP puts the corner of the first pixel at 0, so its centres lie half a pixel further than ours; this file
is the only place that knows it. COLMAP's scale is arbitrary unless the model was scaled.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import roma
import torch

from calibration.errors import CalibrationError

from .records import Array, CameraRecord, as_numbers, make_record, pixel_text, require
from .source import Source

CAMERAS, IMAGES = "cameras.txt", "images.txt"

_HALF = 0.5
_QUATERNION_ERROR = 1e-3  # of its length: more is no rounding
_LENS_LINE = re.compile(r"^[0-9]+ [A-Z_]+ [0-9.]+ [0-9.]+ ", re.MULTILINE)
_IMAGE_SUFFIX = re.compile(r"\.(jpe?g|png|bmp|tiff?|webp|mp4|mov|avi)$", re.IGNORECASE)


class _Model(NamedTuple):
    """Where a model's parameters go."""

    focals: int
    """One focal length, or two."""
    columns: tuple[int, ...]
    """Coefficient that each further parameter is."""
    fisheye: bool = False
    """Whether the coefficients are the fisheye model's."""


_MODELS = {
    "SIMPLE_PINHOLE": _Model(1, ()),
    "PINHOLE": _Model(2, ()),
    "SIMPLE_RADIAL": _Model(1, (0,)),
    "RADIAL": _Model(1, (0, 1)),
    "OPENCV": _Model(2, (0, 1, 2, 3)),
    "FULL_OPENCV": _Model(2, (0, 1, 2, 3, 4, 5, 6, 7)),
    "SIMPLE_RADIAL_FISHEYE": _Model(1, (0,), fisheye=True),
    "RADIAL_FISHEYE": _Model(1, (0, 1), fisheye=True),
    "OPENCV_FISHEYE": _Model(2, (0, 1, 2, 3), fisheye=True),
}


class _Lens(NamedTuple):
    matrix: Array
    distortion: Array
    size_px: tuple[float, float]
    fisheye: bool


def is_colmap(source: Source) -> bool:
    """Whether a folder, or the folder of a file, is a COLMAP text model."""
    if source.path.is_file() and source.path.name not in (CAMERAS, IMAGES):
        return False
    cameras = source.beside(CAMERAS)
    return cameras is not None and _LENS_LINE.search(cameras.text) is not None


def read_colmap(source: Source, metres: float) -> list[CameraRecord]:
    """Read the images as cameras; without ``images.txt`` the lenses alone."""
    cameras, images = source.beside(CAMERAS), source.beside(IMAGES)
    if cameras is None:
        raise CalibrationError(f"{source.path}: has no {CAMERAS}")
    lenses = _lenses(cameras)
    if images is None:
        return [
            _record(f"camera_{i}", lens, None, f"{cameras.path}: camera {i}") for i, lens in lenses.items()
        ]
    rows = [line.split() for line in _pose_lines(images)]
    for row in rows:
        if len(row) < 10 or row[8] not in lenses:
            raise CalibrationError(f"{images.path}: the line of image {row[-1]} is broken or has no camera")
    names = _names([" ".join(row[9:]) for row in rows])
    return [
        _record(name, lenses[row[8]], (row[1:8], metres), f"{images.path}: camera {name}")
        for name, row in zip(names, rows, strict=True)
    ]


def _lenses(source: Source) -> dict[str, _Lens]:
    lenses: dict[str, _Lens] = {}
    for line in source.text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"{source.path}: camera {words[0]}"
        if len(words) < 5 or words[1] not in _MODELS:
            seen = words[1] if len(words) > 1 else "?"
            raise CalibrationError(f"{where}: model {seen} is not known; known are {', '.join(_MODELS)}")
        model = _MODELS[words[1]]
        count = model.focals + 2 + len(model.columns)
        values = as_numbers(words[4:], "PARAMS", (count,), where)
        width, height = as_numbers(words[2:4], "size", (2,), where).tolist()
        fx, fy = values[0], values[model.focals - 1]
        cx, cy = values[model.focals : model.focals + 2] - _HALF
        distortion = np.zeros(max([3, *model.columns]) + 1)
        distortion[list(model.columns)] = values[model.focals + 2 :]
        matrix = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
        lenses[words[0]] = _Lens(matrix, distortion, (width, height), model.fisheye)
    return lenses


def _pose_lines(source: Source) -> list[str]:
    """Every other line: the second one of an image lists its points and may be empty."""
    lines = [line for line in source.text.splitlines() if not line.startswith("#")]
    while lines and not lines[0].strip():
        lines.pop(0)
    return [line for line in lines[::2] if line.strip()]


def _names(paths: Sequence[str]) -> list[str]:
    """Image names without their endings; the folder's where each camera has a folder of its own."""
    plain = [_IMAGE_SUFFIX.sub("", path) for path in paths]
    folders = [str(PurePosixPath(path).parent) for path in paths]
    alone = all(folder != "." for folder in folders) and len(set(folders)) == len(folders)
    return folders if alone else plain


def _record(name: str, lens: _Lens, pose: tuple[Sequence[str], float] | None, where: str) -> CameraRecord:
    placed: dict[str, Any] = {}
    if pose is not None:
        values = as_numbers(pose[0], "pose", (7,), where)
        length = math.hypot(*values[:4])
        if abs(length - 1.0) > _QUATERNION_ERROR:
            raise CalibrationError(
                f"{where}: its quaternion has length {length:.3g} instead of 1; check the file"
            )
        quat_xyzw = torch.from_numpy(values[[1, 2, 3, 0]] / length)
        placed = {"rotation": roma.unitquat_to_rotmat(quat_xyzw).numpy(), "translation": values[4:] * pose[1]}
    return make_record(
        name,
        where,
        matrix=lens.matrix,
        distortion=lens.distortion,
        size_px=lens.size_px,
        fisheye=lens.fisheye,
        **placed,
    )


def write_colmap(
    records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]
) -> dict[str, str]:
    """The three files of a text model, without points."""
    del metadata  # the format has no place for it
    require(records, "colmap", coefficients=8, fisheye=True)
    cameras = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    images = ["# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME", "# POINTS2D[] as (X, Y, POINT3D_ID)"]
    for i, record in enumerate(records, start=1):
        if not record.name or any(c.isspace() for c in record.name) or "/" in record.name:
            raise CalibrationError(
                f"{record.where} cannot be written as colmap: its names have no spaces or slashes"
            )
        model = _model_of(record)
        cx, cy = record.center_px
        params = [*record.focal_px, cx + _HALF, cy + _HALF]
        params += record.padded(8)[list(_MODELS[model].columns)].tolist()
        size = " ".join(pixel_text(x) for x in record.size_px)
        cameras.append(f"{i} {model} {size} " + " ".join(map(repr, params)))
        x, y, z, w = roma.rotmat_to_unitquat(torch.from_numpy(record.rotation)).tolist()
        pose = [w, x, y, z, *(record.translation / metres).tolist()]
        images += [f"{i} {' '.join(map(repr, pose))} {i} {record.name}.png", ""]
    return {
        CAMERAS: "\n".join(cameras) + "\n",
        IMAGES: "\n".join(images) + "\n",
        "points3D.txt": "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]\n",
    }


def _model_of(record: CameraRecord) -> str:
    if record.model == "fisheye":
        return "OPENCV_FISHEYE"
    if not any(record.distortion):
        return "PINHOLE"
    return "FULL_OPENCV" if any(record.distortion[4:]) else "OPENCV"
