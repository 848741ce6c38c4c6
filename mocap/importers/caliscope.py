"""Caliscope: ``xy.csv``, the points of all cameras in one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocap.errors import InputError
from mocap.importers.text_files import read_text
from mocap.importers.view import Options, View, cleaned, somebody
from mocap.keypoints import FloatArray

_CAMERA, _POINT = ("cam_id", "port"), ("keypoint_id", "point_id")
_MOST_POINTS = 10_000


def kind(path: Path) -> str | None:
    """``clip`` if a file is a table of image points."""
    if path.suffix != ".csv":
        return None
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        heads = {cell.strip() for cell in file.readline().split(",")}
    needed = {"sync_index", "img_loc_x", "img_loc_y"}
    return "clip" if needed <= heads and heads & set(_CAMERA) and heads & set(_POINT) else None


def read(camera: str, files: Sequence[Path], options: Options) -> list[View]:
    """A view of every camera; frames are Caliscope's sync index, times its own where it has them."""
    (path,) = files
    table = _columns(path)
    cameras = table[next(name for name in _CAMERA if name in table)].astype(np.int64)
    points = table[next(name for name in _POINT if name in table)].astype(np.int64)
    objects = table.get("object_id", np.zeros(len(points))).astype(np.int64)
    labels, which = np.unique(np.stack([objects, points], 1), axis=0, return_inverse=True)
    if len(labels) > _MOST_POINTS:
        raise InputError(f"holds {len(labels)} different points", where=path)
    several = len(np.unique(objects)) > 1
    names = [f"object_{a}_point_{b}" if several else f"point_{b}" for a, b in labels.tolist()]
    if options.keypoint_names:
        if len(options.keypoint_names) != len(names):
            raise InputError(f"{len(names)} points, and {len(options.keypoint_names)} names", where=path)
        names = list(options.keypoint_names)
    return [
        _view(f"cam_{number}", cameras == number, table, which.ravel(), tuple(names), path)
        for number in np.unique(cameras).tolist()
    ]


def _view(
    camera: str, rows: NDArray[np.bool_], table: Mapping[str, FloatArray], which: NDArray[np.integer],
    names: tuple[str, ...], path: Path,
) -> View:  # fmt: skip
    frame, at = np.unique(table["sync_index"][rows].astype(np.int64), return_inverse=True)
    xy = np.full((len(frame), 1, len(names), 2), np.nan)
    xy[at, 0, which[rows]] = np.stack([table["img_loc_x"][rows], table["img_loc_y"][rows]], 1)
    time_s = None
    if "frame_time" in table:
        time_s = np.full(len(frame), np.nan)
        time_s[at] = table["frame_time"][rows]
        if not np.isfinite(time_s).all() or (np.diff(time_s) <= 0).any():
            raise InputError(f"the times of camera {camera} do not increase", where=path)
    view = View(camera, frame, xy, np.ones(xy.shape[:3]), names, time_s=time_s)
    return cleaned(view, somebody(xy))


def _columns(path: Path) -> dict[str, FloatArray]:
    """The columns by name; an empty cell is NaN."""
    rows = list(csv.reader(io.StringIO(read_text(path))))
    heads = [cell.strip() for cell in rows[0]]
    body = [row for row in rows[1:] if row]
    if any(len(row) != len(heads) for row in body):
        raise InputError("has rows of different lengths", where=path, todo="export it again")
    columns = list(zip(*body, strict=True)) or [() for _ in heads]
    try:
        table = {
            head: np.array([float(cell) if cell else np.nan for cell in column])
            for head, column in zip(heads, columns, strict=True)
        }
    except ValueError as error:
        raise InputError(f"has cells that are no numbers ({error})", where=path) from error
    needed = [name for name in (*_CAMERA, *_POINT, "sync_index") if name in table]
    if any(not np.isfinite(table[name]).all() for name in needed):
        raise InputError("has rows without camera, point or frame", where=path)
    return table
