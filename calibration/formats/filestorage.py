"""OpenCV's own YAML, as ``cv2.FileStorage`` has it: read through OpenCV, written to the last digit."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_FLUSH_ITEMS = re.compile(r"^( *)([\w.-]+:)[ \t]*\n((?:\1- .*(?:\n|\Z))+)", re.MULTILINE)
_LINE = re.compile(r"^\s*(?:- *)?[\"']?[A-Za-z_][\w .-]*[\"']?\s*:", re.MULTILINE)


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Read YAML of the kind that OpenCV, ROS and EasyMocap write.

    Args:
        text: the file.
        where: its name, for messages.

    Returns:
        Maps as dict, sequences as list, matrices as float64 array.

    Raises:
        CalibrationError: OpenCV cannot read it.
    """
    if not _LINE.search(text[:65536]):
        raise CalibrationError(f"{where}: not a YAML file")
    import cv2

    if not text.lstrip().startswith("%YAML"):
        text = "%YAML:1.0\n---\n" + text.removeprefix("---\n")
    # YAML lets the items of a list begin below its key; OpenCV wants them further in.
    text = _FLUSH_ITEMS.sub(lambda found: f"{found[1]}{found[2]}\n" + _shifted(found[3]), text)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the one line below says it
    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        value = _value(storage.root())
        storage.release()
    except (TypeError, ValueError, OverflowError) as error:
        raise CalibrationError(f"{where}: a matrix in it is not made of numbers") from error
    except (cv2.error, SystemError) as error:
        raise CalibrationError(f"{where}: not a YAML file that OpenCV can read") from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not isinstance(value, dict):
        raise CalibrationError(f"{where}: not a YAML file with named entries")
    return value


def _shifted(lines: str) -> str:
    return "".join("  " + line for line in lines.splitlines(keepends=True))


def _value(node: Any) -> Any:
    if node.isMap():
        keys = node.keys()
        if {"rows", "cols", "data"} <= set(keys):
            flat = np.array(_value(node.getNode("data")), dtype=np.float64)
            shape = (int(node.getNode("rows").real()), int(node.getNode("cols").real()))
            return flat.reshape(shape) if flat.size == shape[0] * shape[1] else flat
        return {key: _value(node.getNode(key)) for key in keys}
    if node.isSeq():
        return [_value(node.at(i)) for i in range(node.size())]
    if node.isString():
        return node.string()
    if node.isInt():
        return int(node.real())
    return float(node.real()) if node.isReal() else None


def is_key(name: str) -> bool:
    """Whether OpenCV takes a name as a key of its YAML."""
    return _KEY.fullmatch(name) is not None


def matrix_json(value: NDArray[np.float64]) -> dict[str, Any]:
    """A matrix as ``cv2.FileStorage`` stores it in JSON."""
    rows, cols = np.atleast_2d(value).shape
    return {"type_id": "opencv-matrix", "rows": rows, "cols": cols, "dt": "d", "data": value.ravel().tolist()}


def yaml_text(entries: Mapping[str, Any]) -> str:
    """YAML that ``cv2.FileStorage`` reads, numbers in full precision.

    Args:
        entries: str, int, float, matrices, lists of str, or lists of such maps.
    """
    return "%YAML:1.0\n---\n" + "".join(_entry(key, value, "") for key, value in entries.items())


def _entry(key: str, value: Any, indent: str) -> str:
    if isinstance(value, np.ndarray):
        matrix: NDArray[np.float64] = value
        rows, cols = np.atleast_2d(matrix).shape
        numbers = ", ".join(repr(float(x)) for x in matrix.ravel())
        fields = (f"rows: {rows}", f"cols: {cols}", "dt: d", f"data: [ {numbers} ]")
        return f"{indent}{key}: !!opencv-matrix\n" + "".join(f"{indent}   {field}\n" for field in fields)
    if isinstance(value, str | int | float):
        return f"{indent}{key}: {_scalar(value)}\n"
    items: Sequence[Any] = value
    lines = [f"{indent}{key}:\n"]
    for item in items:
        if isinstance(item, Mapping):
            inner: Mapping[str, Any] = item
            lines.append(
                f"{indent}   -\n" + "".join(_entry(k, v, indent + "      ") for k, v in inner.items())
            )
        else:
            lines.append(f"{indent}   - {_scalar(item)}\n")
    return "".join(lines)


def _scalar(value: str | int | float) -> str:
    if not isinstance(value, str):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
