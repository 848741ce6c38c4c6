"""DeepLabCut: tables as HDF5 or CSV, of one animal or several."""

from __future__ import annotations

import csv
import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.errors import InputError
from mocap.importers.frames import split_number
from mocap.importers.text_files import open_hdf5, read_text
from mocap.importers.view import MOST_PEOPLE, Options, View, cleaned, names_for, somebody
from mocap.keypoints import FloatArray

_HEADS = ("scorer", "individuals", "bodyparts", "coords")
Column = tuple[str, ...]
"""Scorer, perhaps individual, body part, coordinate."""


def kind(path: Path) -> str | None:
    """``clip`` if a file is one of DeepLabCut's tables."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return "clip" if file.readline().split(",")[0].strip() == "scorer" else None
    if path.suffix not in (".h5", ".hdf5"):
        return None
    with open_hdf5(path) as file:
        return "clip" if _table(file) is not None else None


def read(camera: str, files: Sequence[Path], options: Options) -> list[View]:
    """The individuals of one camera; parts that only some of them have are missing in the others."""
    (path,) = files
    frame, columns, values = _csv(path) if path.suffix == ".csv" else _hdf5(path)
    coords = {column[-1] for column in columns}
    if "z" in coords:
        raise InputError(
            "holds 3D points, not what a camera saw", where=path, todo="import the table of each camera"
        )
    if not {"x", "y"} <= coords:
        raise InputError(f"has columns {', '.join(sorted(coords))} in place of x and y", where=path)
    individuals = list(dict.fromkeys(column[-3] if len(column) == 4 else "" for column in columns))
    parts = list(dict.fromkeys(column[-2] for column in columns))
    if len(individuals) > MOST_PEOPLE:
        raise InputError(f"holds {len(individuals)} individuals", where=path)
    data = np.full((len(frame), len(individuals), len(parts), 3), np.nan)
    data[..., 2] = 0.0 if "likelihood" in coords else 1.0
    place = {name: index for index, name in enumerate(("x", "y", "likelihood"))}
    for index, column in enumerate(columns):
        if column[-1] in place:
            one = individuals.index(column[-3] if len(column) == 4 else "")
            data[:, one, parts.index(column[-2]), place[column[-1]]] = values[:, index]
    names = options.keypoint_names and names_for(len(parts), options, str(path))
    rising = np.argsort(frame, kind="stable")
    if (np.diff(frame[rising]) == 0).any():
        raise InputError("holds a frame twice", where=path, todo="import the table of one clip at a time")
    view = View(camera, frame[rising], data[rising][..., :2], data[rising][..., 2], names or tuple(parts))
    return [cleaned(view, somebody(view.xy))]


def _csv(path: Path) -> tuple[NDArray[np.int64], list[Column], FloatArray]:
    rows = [row for row in csv.reader(io.StringIO(read_text(path))) if row]
    heads = [row for row in rows[:4] if row[0].strip() in _HEADS]
    first = next((i for i, cell in enumerate(heads[0][1:], 1) if cell.strip()), 1)
    wide = len(heads[0])
    body = rows[len(heads) :]
    if any(len(row) != wide for row in (*heads, *body)):
        raise InputError("has rows of different lengths", where=path, todo="export it again")
    if len(heads) not in (3, 4):
        raise InputError("has no rows scorer, bodyparts, coords above its numbers", where=path)
    columns = [tuple(row[index].strip() for row in heads) for index in range(first, wide)]
    frame = np.array([_frame_number("/".join(row[:first]), path) for row in body], dtype=np.int64)
    try:
        values = np.array([[float(cell) if cell else np.nan for cell in row[first:]] for row in body])
    except ValueError as error:
        raise InputError(f"has cells that are no numbers ({error})", where=path) from error
    return frame, columns, values.reshape(len(body), len(columns))


def _frame_number(index: str, path: Path) -> int:
    """The number of a row, which may be the name of an image."""
    number = int(index) if index.isdecimal() else split_number(Path(index).stem)[1]
    if number is None:
        raise InputError(f"row {index!r} has no frame number", where=path)
    return number


def _table(file: Any) -> Any:
    """The group that pandas wrote, None where there is none."""
    for group in file.values():
        if hasattr(group, "keys") and "table" in group and "non_index_axes" in group.attrs:
            return group
    return None


def _hdf5(path: Path) -> tuple[NDArray[np.int64], list[Column], FloatArray]:
    """A table as pandas writes it: blocks of columns, whose names are pickled lists in the attributes."""
    with open_hdf5(path) as file:
        group = _table(file)
        rows = group["table"][()]
        blocks = sorted(name for name in rows.dtype.names if name.startswith("values_block_"))
        columns: list[Column] = []
        values: list[FloatArray] = []
        for block in blocks:
            columns += _labels(group["table"].attrs[f"{block}_kind"], path)
            values.append(np.asarray(rows[block], dtype=np.float64).reshape(len(rows), -1))
        index = rows["index"] if "index" in rows.dtype.names else np.arange(len(rows))
    joined = np.concatenate(values, axis=1) if values else np.zeros((len(rows), 0))
    if joined.shape[1] != len(columns) or not columns:
        raise InputError("has columns without names", where=path, todo="export it as CSV")
    if index.dtype.kind in "iu":
        return index.astype(np.int64), columns, joined
    texts = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in index]
    return np.array([_frame_number(text, path) for text in texts], dtype=np.int64), columns, joined


class _Plain(pickle.Unpickler):
    """Reads lists and texts; a pickle that names any class is none of pandas' lists of columns."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Nothing is allowed."""
        raise pickle.UnpicklingError(f"it wants {module_name}.{global_name}")


def _labels(pickled: Any, path: Path) -> list[Column]:
    try:
        listed = _Plain(io.BytesIO(bytes(pickled))).load()
        labels = [tuple(str(part) for part in label) for label in listed]
    except Exception as error:  # a broken pickle may fail in any way
        raise InputError(f"has no readable columns ({error})", where=path, todo="export it as CSV") from error
    if any(len(label) not in (3, 4) for label in labels):
        raise InputError("has columns that are not scorer, bodyparts, coords", where=path)
    return labels
