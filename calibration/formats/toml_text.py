"""TOML as this package writes it: few kinds of value, numbers in full precision, always the same text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def toml_text(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Tables of strings, numbers, booleans and (nested) lists or arrays of numbers."""
    return "\n".join(
        f"[{header}]\n" + "".join(f"{toml_key(key)} = {_value(value)}\n" for key, value in table.items())
        for header, table in tables.items()
    )


def toml_key(key: str) -> str:
    """A key, quoted where TOML wants it."""
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, np.ndarray):
        return _value(value.tolist())
    if isinstance(value, Sequence):
        items: Sequence[Any] = value
        return "[" + ", ".join(_value(item) for item in items) + "]"
    raise TypeError(f"{type(value).__name__} cannot be written as TOML")
