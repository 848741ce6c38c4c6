"""Qualisys ``.qca.txt``: XML, millimetres, pixels in 64ths, cameras that look along their own -z.

The rows ``r11 r12 r13`` ... are the camera's axes in the world, x right, y up, z backwards; x y z is its
centre. Lengths on the sensor are 64ths of a pixel of the whole, unbinned sensor. ``fov_video`` is the part of
the sensor that was filmed, its last pixel included. Distortion coefficients belong to the normalised image
plane and have no unit: they are not to be divided by 64. The file says nothing of half pixels; a pixel's
number times 64 is taken as its centre, as other readers do.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from calibration.errors import CalibrationError

from .records import Array, CameraRecord, as_numbers, make_record, require
from .source import Source

_SUBPIXELS = 64.0
_FLIP = np.diag([1.0, -1.0, -1.0])
_RADIAL = ("radialDistortion1", "radialDistortion2", "radialDistortion3")
_TANGENTIAL = ("tangentalDistortion1", "tangentalDistortion2")  # sic
_ROTATION = tuple(f"r{i}{j}" for i in (1, 2, 3) for j in (1, 2, 3))


def is_qualisys(source: Source) -> bool:
    """Whether an XML file has Qualisys' cameras."""
    return "<calibration" in source.text[:4096] and "<intrinsic" in source.text


def read_qualisys(source: Source, metres: float, *, binning: float = 1.0) -> list[CameraRecord]:
    """Read the cameras.

    Args:
        source: the file.
        metres: the length of its unit.
        binning: how many pixels of the sensor make one of the video, along each side; the file does not say.
    """
    if "<!DOCTYPE" in source.text:
        raise CalibrationError(f"{source.path}: a calibration has no document type; this file is not read")
    try:
        root = ET.fromstring(source.text.encode())
    except ET.ParseError as error:
        raise CalibrationError(f"{source.path}: not a well-formed XML file: {error}") from error
    cameras = root.findall("cameras/camera")
    return [
        _record(camera, f"{source.path}: camera {camera.get('serial', '?')}", metres, binning)
        for camera in cameras
    ]


def _record(camera: ET.Element, where: str, metres: float, binning: float) -> CameraRecord:
    intrinsic, transform = _child(camera, "intrinsic", where), _child(camera, "transform", where)
    left, top, right, bottom = _values(
        _child(camera, "fov_video", where), ("left", "top", "right", "bottom"), where
    )
    names = ("focalLengthU", "focalLengthV", "centerPointU", "centerPointV")
    fu, fv, cu, cv = _values(intrinsic, names, where) / _SUBPIXELS
    k1, k2, k3 = _values(intrinsic, _RADIAL, where)
    p1, p2 = _values(intrinsic, _TANGENTIAL, where)
    skew = float(_values(intrinsic, ("skew",), where)[0]) if "skew" in intrinsic.attrib else 0.0
    matrix = np.array([[fu, skew, cu - left], [0.0, fv, cv - top], [0.0, 0.0, binning]]) / binning
    rotation = _FLIP @ _values(transform, _ROTATION, where).reshape(3, 3)
    center = _values(transform, ("x", "y", "z"), where) * metres
    return make_record(
        camera.get("serial", "?"),
        where,
        matrix=matrix,
        distortion=[k1, k2, p1, p2, k3],
        size_px=(
            _extent(left, right, intrinsic, "sensorMaxU", where) / binning,
            _extent(top, bottom, intrinsic, "sensorMaxV", where) / binning,
        ),
        rotation=rotation,
        center=center,
    )


def _extent(first: float, last: float, intrinsic: ET.Element, sensor: str, where: str) -> float:
    """Pixels of one side. Pose2Sim's files give the end instead of the last pixel.

    Its files show in a difference that is even, as sides are, and in a sensor that does not end one
    subpixel before a whole pixel, as Qualisys' own do.
    """
    sensor_max = float(_values(intrinsic, (sensor,), where)[0]) if sensor in intrinsic.attrib else 0.0
    counted = (sensor_max + 1) % _SUBPIXELS == 0
    exclusive = (last - first) % 2 == 0 and not counted
    return float(last - first) if exclusive else float(last - first + 1)


def _child(camera: ET.Element, tag: str, where: str) -> ET.Element:
    found = camera.find(tag)
    if found is None:
        raise CalibrationError(f"{where}: has no {tag}; export the calibration again")
    return found


def _values(element: ET.Element, names: Sequence[str], where: str) -> Array:
    if missing := [name for name in names if name not in element.attrib]:
        raise CalibrationError(f"{where}: {element.tag} has no {missing[0]}")
    return as_numbers([element.attrib[name] for name in names], element.tag, (len(names),), where)


def write_qualisys(records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]) -> str:
    """The text of a ``.qca.txt``."""
    del metadata  # the format has no place for it
    require(records, "qualisys", coefficients=5)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines += ['<calibration source="mocap-studio" type="regular">', "  <cameras>"]
    for record in records:
        lines += _camera_lines(record, metres)
    return "\n".join([*lines, "  </cameras>", "</calibration>", ""])


def _camera_lines(record: CameraRecord, metres: float) -> list[str]:
    width, height = record.size_px
    if not (width.is_integer() and height.is_integer()):
        raise CalibrationError(f"{record.where} cannot be written as qualisys: its size is not whole pixels")
    fov = {"left": 0, "top": 0, "right": int(width) - 1, "bottom": int(height) - 1}
    axes = (_FLIP @ record.rotation).ravel()
    transform = dict(zip("xyz", record.center_world / metres, strict=True))
    transform |= dict(zip(_ROTATION, axes, strict=True))
    k1, k2, p1, p2, k3 = record.padded(5)[:5]
    intrinsic: dict[str, Any] = {
        "sensorMinU": 0.0,
        "sensorMaxU": width * _SUBPIXELS - 1.0,
        "sensorMinV": 0.0,
        "sensorMaxV": height * _SUBPIXELS - 1.0,
        "focalLengthU": record.focal_px[0] * _SUBPIXELS,
        "focalLengthV": record.focal_px[1] * _SUBPIXELS,
        "centerPointU": record.center_px[0] * _SUBPIXELS,
        "centerPointV": record.center_px[1] * _SUBPIXELS,
        "skew": 0.0,
    }
    intrinsic |= dict(zip(_RADIAL, (k1, k2, k3), strict=True)) | dict(zip(_TANGENTIAL, (p1, p2), strict=True))
    head = f'    <camera active="1" model="none" serial={quoteattr(record.name)} viewrotation="0">'
    fovs = [_tag(name, fov) for name in ("fov_marker", "fov_marker_max", "fov_video", "fov_video_max")]
    return [head, *fovs, _tag("transform", transform), _tag("intrinsic", intrinsic), "    </camera>"]


def _tag(name: str, attributes: Mapping[str, Any]) -> str:
    text = " ".join(
        f'{key}="{value if isinstance(value, int) else repr(float(value))}"'
        for key, value in attributes.items()
    )
    return f"      <{name} {text}/>"
