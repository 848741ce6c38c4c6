"""OpenCap's pickled camera: ``intrinsicMat``, ``distortion``, ``imageSize`` [[h], [w]].

Where the pose is known, ``rotation`` and ``translation`` are there too, world to camera.

A pickle is a program. This reader lets it build plain values and arrays of numbers; anything else that it
names is refused before it is looked up, so code in the file never runs. Translations are millimetres. One
camera is a file, several are a folder with a folder for each, as in an OpenCap session.
"""

import io
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calibration.errors import CalibrationError

from .records import CameraRecord, as_numbers, make_record, numbers, require
from .source import Source

FILE = "cameraIntrinsicsExtrinsics.pickle"

_GENERIC = ("cameraIntrinsics", "cameraIntrinsicsExtrinsics")
_KEYS = {"intrinsicMat", "distortion", "imageSize"}
_MAGIC = (b"\x80", b"(", b"}")


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How old pickles spell bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {encoding}")
    return text.encode("latin1")


_RECONSTRUCT: Any = np.zeros(1).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}


class _ArraysOnly(pickle.Unpickler):
    """Builds plain values and arrays, nothing else."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """The few names that an array needs; every other one ends the reading."""
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"it wants to run {module_name}.{global_name}") from None


def _load(source: Source) -> dict[str, Any]:
    try:
        value = _ArraysOnly(io.BytesIO(source.data)).load()
    except Exception as error:  # a damaged pickle fails in as many ways as there are opcodes
        raise CalibrationError(
            f"{source.path}: not a pickle of numbers alone, so it is not read: {error}"
        ) from error
    if not isinstance(value, dict) or not set(value) >= _KEYS:
        raise CalibrationError(f"{source.path}: not an OpenCap camera: it needs {', '.join(sorted(_KEYS))}")
    return value


def is_opencap(source: Source) -> bool:
    """Whether a file is a pickle, or a folder holds OpenCap's."""
    if source.path.is_dir():
        return bool(_files(source.path))
    return source.data.startswith(_MAGIC) and bool(_load(source))


def looks_pickled(source: Source) -> bool:
    """Whether a file is some pickle, even one that is refused."""
    return source.data[:1] == b"\x80" and source.data[-1:] == b"."


def _files(folder: Path) -> list[Path]:
    """Those of a session, cam2 before cam10."""

    def order(path: Path) -> list[tuple[int, str]]:
        parts = re.findall(r"[0-9]+|[^0-9]+", path.parent.name)
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    return sorted(folder.glob(f"*/{FILE}"), key=order)


def read_opencap(source: Source, metres: float) -> list[CameraRecord]:
    """Read the camera, or the folder's; ``metres`` is the length of the file's unit."""
    if source.path.is_dir():
        return [_record(Source(path), metres) for path in _files(source.path)]
    return [_record(source, metres)]


def _record(source: Source, metres: float) -> CameraRecord:
    value = _load(source)
    stem = source.path.stem
    name = str(value.get("name") or (source.path.parent.name if stem in _GENERIC else stem))
    where = f"{source.path}: camera {name}"
    pose: dict[str, Any] = {}
    if "rotation" in value and "translation" in value:
        pose["rotation"] = numbers(value, "rotation", (3, 3), where)
        pose["translation"] = numbers(value, "translation", (3,), where) * metres
    height, width = as_numbers(value["imageSize"], "imageSize", (2,), where).tolist()
    return make_record(
        name,
        where,
        matrix=numbers(value, "intrinsicMat", (3, 3), where),
        distortion=numbers(value, "distortion", 14, where),
        size_px=(width, height),
        **pose,
    )


def write_opencap(
    records: Sequence[CameraRecord], metres: float, metadata: Mapping[str, Any]
) -> dict[str, bytes]:
    """One pickle for each camera, in a folder of its name."""
    del metadata  # the format has no place for it
    require(records, "opencap", pose=False)
    for record in records:
        if len(records) > 1 and (record.name in {".", ".."} or set(record.name) & set('/\\:*?"<>|')):
            raise CalibrationError(
                f"{record.where} cannot be written as opencap: no folder can have its name"
            )
    if len(records) == 1:
        return {"": _pickled(records[0], metres)}
    return {f"{record.name}/{FILE}": _pickled(record, metres) for record in records}


def _pickled(record: CameraRecord, metres: float) -> bytes:
    value: dict[str, Any] = {
        "distortion": record.padded(max(5, len(record.distortion)))[None],
        "intrinsicMat": record.matrix,
        "imageSize": np.array([[record.size_px[1]], [record.size_px[0]]]),
        "name": record.name,
    }
    if record.cam_from_world is not None:
        value |= {
            "rotation": record.rotation.copy(),
            "translation": record.translation[:, None] / metres,
        }
    # Old numpy knows its own module by another name, and the new one still answers to it.
    return pickle.dumps(value, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
