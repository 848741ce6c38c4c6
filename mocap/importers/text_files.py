"""Reading files that anybody may have written: each way to fail is one line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.errors import InputError

if TYPE_CHECKING:
    import h5py

LARGEST_BYTES = 2 * 2**30
"""A larger text file would not fit the memory once it is parsed."""


def read_text(path: Path) -> str:
    """A text file of a size that can be meant.

    Raises:
        InputError: too large, or no text.
    """
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise InputError(f"is {size / 2**30:.1f} GB large", where=path, todo="import a part of it at a time")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is no text file ({error.reason})", where=path) from error


@lru_cache(maxsize=1)
def _parsed(path: Path, size: int, changed_ns: int) -> Any:
    """The content of one file; the last one is kept, since it is recognised first and read afterwards."""
    return json.loads(read_text(path))


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: no JSON, or nested deeper than any result of a detector.
    """
    stat = path.stat()
    try:
        return _parsed(path, stat.st_size, stat.st_mtime_ns)
    except RecursionError as error:
        raise InputError("is nested too deeply to be keypoints", where=path) from error
    except ValueError as error:
        raise InputError(f"is no JSON file ({error})", where=path, todo="export it again") from error
    except MemoryError as error:
        raise InputError("does not fit the memory", where=path, todo="import a part of it") from error


@contextlib.contextmanager
def open_hdf5(path: Path) -> Generator[h5py.File]:
    """An HDF5 file, open for reading.

    Raises:
        InputError: no such file.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError("is no readable HDF5 file", where=path, todo="export it again") from error
    with file:
        try:
            yield file
        except (OSError, RuntimeError) as error:  # what HDF5 says of a file that is cut off
            raise InputError(f"is damaged ({error})", where=path, todo="export it again") from error
