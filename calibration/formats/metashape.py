"""Agisoft Metashape's ``cameras.xml``, as File > Export Cameras writes it; one photo for each camera.

A photo's transform takes its coordinates (x right, y down, z forward) to the chunk's, and the chunk's own
transform (rotation, translation, scale), where it has one, these to the world. Lenses follow the user
manual's appendix on camera models: ``u = w / 2 + cx + x f + x b1 + y b2``, ``v = h / 2 + cy + y f``, pixels
counted from the image's corner, so that a pixel's centre is at a half; ``p1``, ``p2`` are OpenCV's p2, p1.
The file says nothing of its unit: metres where scale bars or markers were given in metres.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from calibration.errors import CalibrationError

from .records import Array, CameraRecord, as_numbers, make_record, require
from .source import Source

_UNHELD = ("p3", "p4")
_FISHEYE = ("fisheye", "equidistant_fisheye")


def is_metashape(source: Source) -> bool:
    """Whether an XML file is Metashape's."""
    head = source.text[:4096]
    return "<document" in head and "<chunk" in head and "<sensor" in source.text


def read_metashape(source: Source, metres: float) -> list[CameraRecord]:
    """Read the aligned photos; ``metres`` is the length of the file's unit."""
    if "<!DOCTYPE" in source.text:
        raise CalibrationError(f"{source.path}: a calibration has no document type; this file is not read")
    try:
        root = ET.fromstring(source.text.encode())
    except ET.ParseError as error:
        raise CalibrationError(f"{source.path}: not an XML file: {error}") from error
    chunk = root.find("chunk")
    if chunk is None:
        raise CalibrationError(f"{source.path}: has no chunk; export the cameras again")
    sensors = {str(sensor.get("id")): sensor for sensor in chunk.iterfind("sensors/sensor")}
    world_from_chunk, scale = _chunk_pose(chunk.find("transform"), str(source.path))
    records: list[CameraRecord] = []
    for camera in chunk.iterfind("cameras//camera"):
        where = f"{source.path}: camera {camera.get('label', '?')}"
        transform = camera.findtext("transform")
        if transform is None:  # a photo that could not be aligned
            continue
        sensor = sensors.get(str(camera.get("sensor_id")))
        if sensor is None:
            raise CalibrationError(f"{where}: has no sensor; export the cameras again")
        chunk_from_cam = as_numbers(transform.split(), "transform", (4, 4), where)
        rotation = world_from_chunk[:3, :3] @ chunk_from_cam[:3, :3]
        center = scale * world_from_chunk[:3, :3] @ chunk_from_cam[:3, 3] + world_from_chunk[:3, 3]
        records.append(_record(camera.get("label", "?"), sensor, rotation.T, center * metres, where))
    return records


def _chunk_pose(transform: ET.Element | None, where: str) -> tuple[Array, float]:
    pose = np.eye(4)
    if transform is None:
        return pose, 1.0
    if (rotation := transform.findtext("rotation")) is not None:
        pose[:3, :3] = as_numbers(rotation.split(), "the chunk's rotation", (3, 3), where)
    if (translation := transform.findtext("translation")) is not None:
        pose[:3, 3] = as_numbers(translation.split(), "the chunk's translation", (3,), where)
    scale = transform.findtext("scale", "1").split()
    return pose, float(as_numbers(scale, "the chunk's scale", (1,), where)[0])


def _record(name: str, sensor: ET.Element, rotation: Array, center: Array, where: str) -> CameraRecord:
    found = sensor.findall("calibration")
    if not found:
        raise CalibrationError(f"{where}: its lens is not calibrated; align the photos and export again")
    lens = next((one for one in found if one.get("class") == "adjusted"), found[0])
    kind = lens.get("type", "frame")
    if kind not in ("frame", *_FISHEYE):
        raise CalibrationError(f"{where}: camera type {kind} is not known; known are frame and fisheye")
    resolution = lens.find("resolution")
    size = sensor.find("resolution") if resolution is None else resolution
    if size is None:
        raise CalibrationError(f"{where}: has no resolution")
    width, height = as_numbers([size.get("width"), size.get("height")], "resolution", (2,), where)

    def value(key: str) -> float:
        return float(as_numbers([lens.findtext(key, "0")], key, (1,), where)[0])

    fisheye = kind in _FISHEYE
    unheld = [*_UNHELD, *(("p1", "p2") if fisheye else ("k4",))]
    if given := [key for key in unheld if value(key) != 0.0]:
        raise CalibrationError(f"{where}: coefficient {given[0]} cannot be held; calibrate without it")
    radial = [value(f"k{i}") for i in (1, 2, 3)]
    bent = [*radial, value("k4")] if fisheye else [*radial[:2], value("p2"), value("p1"), radial[2]]
    focal = value("f")
    cx, cy = (value(key) + side / 2.0 - 0.5 for key, side in (("cx", width), ("cy", height)))
    return make_record(
        name,
        where,
        matrix=np.array([[focal + value("b1"), value("b2"), cx], [0.0, focal, cy], [0.0, 0.0, 1.0]]),
        distortion=bent,
        size_px=(float(width), float(height)),
        rotation=rotation,
        center=center,
        fisheye=fisheye,
    )


def write_metashape(records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]) -> str:
    """The text of a ``cameras.xml``, a sensor for each camera."""
    del metadata  # the format has no place for it
    require(records, "metashape", coefficients=5, fisheye=True)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<document version="1.5.0">']
    lines += ['  <chunk label="Chunk 1" enabled="true">', f'    <sensors next_id="{len(records)}">']
    for i, record in enumerate(records):
        lines += _sensor_lines(i, record)
    lines += ["    </sensors>", f'    <cameras next_id="{len(records)}" next_group_id="0">']
    for i, record in enumerate(records):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = record.rotation.T, record.center_world / metres
        text = " ".join(repr(float(value)) for value in pose.ravel())
        head = f'      <camera id="{i}" sensor_id="{i}" label={quoteattr(record.name)} enabled="true">'
        lines += [head, f"        <transform>{text}</transform>", "      </camera>"]
    return "\n".join([*lines, "    </cameras>", "  </chunk>", "</document>", ""])


def _sensor_lines(number: int, record: CameraRecord) -> list[str]:
    width, height = record.size_px
    if not (width.is_integer() and height.is_integer()):
        raise CalibrationError(f"{record.where} cannot be written as metashape: its size is not whole pixels")
    fisheye = record.model == "fisheye"
    values = {
        "f": record.focal_px[1],
        "cx": record.center_px[0] + 0.5 - width / 2.0,
        "cy": record.center_px[1] + 0.5 - height / 2.0,
        "b1": record.focal_px[0] - record.focal_px[1],
    }
    if fisheye:
        values |= dict(zip(("k1", "k2", "k3", "k4"), record.padded(4)[:4].tolist(), strict=True))
    else:
        values |= dict(zip(("k1", "k2", "p2", "p1", "k3"), record.padded(5)[:5].tolist(), strict=True))
    resolution = f'<resolution width="{int(width)}" height="{int(height)}"/>'
    kind = "equidistant_fisheye" if fisheye else "frame"
    return [
        f'      <sensor id="{number}" label={quoteattr(record.name)} type="{kind}">',
        f"        {resolution}",
        f'        <calibration type="{kind}" class="adjusted">',
        f"          {resolution}",
        *(f"          <{key}>{float(value)!r}</{key}>" for key, value in values.items()),
        "        </calibration>",
        "      </sensor>",
    ]
