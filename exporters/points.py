"""Points in space without a body: animals, props, wands. One file for each group of points."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from exporters.axes import Axes, FloatArray
from exporters.errors import ExportError
from exporters.table import TRC_AXES, csv_pieces, trc_pieces


@dataclass(frozen=True)
class PointSet:
    """Named points over time."""

    name: str
    """Becomes the file's name."""
    point_names: tuple[str, ...]
    """K names."""
    time_s: FloatArray
    """(T,) seconds on the take's clock."""
    xyz_world: FloatArray
    """(T, K, 3) metres, world frame; NaN where unknown."""
    std_m: FloatArray
    """(T, K) standard deviation, metres: the root mean square over the axes."""
    rate_hz: float
    """Frames per second."""

    def __post_init__(self) -> None:
        shape = (len(self.time_s), len(self.point_names))
        if self.xyz_world.shape != (*shape, 3) or self.std_m.shape != shape:
            raise ValueError(f"points {self.xyz_world.shape} and {self.std_m.shape} for {shape}")


def _trc(points: PointSet) -> bytes:
    axes = Axes(TRC_AXES.up, TRC_AXES.forward, unit="m")
    return bytes(trc_pieces(points.name, points.point_names, points.xyz_world, points.rate_hz, axes))


def _csv(points: PointSet) -> bytes:
    names = [f"{name}_{axis}_m" for name in points.point_names for axis in "xyz"]
    names += [f"{name}_std_m" for name in points.point_names]
    return bytes(csv_pieces(points.time_s, names, (points.xyz_world, points.std_m)))


def _json(points: PointSet) -> bytes:
    def plain(values: FloatArray) -> list[Any]:
        items = np.round(values, 6).astype(object)
        items[~np.isfinite(values)] = None
        return items.tolist()

    content = {
        "format": "mocap-studio points",
        "version": 1,
        "name": points.name,
        "unit": "m",
        "up": "z",
        "rate_hz": points.rate_hz,
        "time_s": points.time_s.tolist(),
        "point_names": list(points.point_names),
        "xyz_world": plain(points.xyz_world),
        "std_m": plain(points.std_m),
    }
    return (json.dumps(content, allow_nan=False) + "\n").encode()


POINT_FORMATS: Final[dict[str, Callable[[PointSet], bytes]]] = {"trc": _trc, "csv": _csv, "json": _json}
"""Formats that hold points without a body."""


def export_points(points: PointSet, format: str) -> dict[str, bytes]:
    """{file name: contents} of a group of points.

    Raises:
        ExportError: a format that holds none.
    """
    if format not in POINT_FORMATS:
        raise ExportError(f"points without a body go into {', '.join(POINT_FORMATS)}, not into {format!r}")
    return {f"{points.name}.{format}": POINT_FORMATS[format](points)}
