"""Reading and writing files so that nothing is ever lost: atomic, versioned, one-line errors."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import math
import os
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mocap.errors import InputError

_WHOLE_HASH_BYTES = 32 * 2**20
"""Files up to this size are hashed whole; of larger ones (footage) blocks are sampled."""
_SAMPLED_BLOCKS = 64
_BLOCK_BYTES = 2**17


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a kill or a full disk leaves the old one as it was.

    Raises:
        InputError: the disk is full, or the place cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _write_error(error, path) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_error(error: OSError, path: Path) -> InputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(
            "the disk is full",
            where=path,
            todo="free some space and run the same command again; nothing was lost",
        )
    return InputError(
        f"cannot be written ({error.strerror})", where=path, todo="check the folder's permissions"
    )


def write_json(path: Path, format_name: str, version: int, content: Mapping[str, Any]) -> None:
    """Write a JSON file that carries its format name and version."""
    document = {"format": format_name, "version": version, **plain(content)}
    write_atomic(path, (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path, format_name: str, version: int) -> dict[str, Any]:
    """Read a JSON file of a known format, up to a known version."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is no JSON file ({error})", where=path, todo="restore or delete it") from error
    if not isinstance(document, dict):
        raise InputError("holds no JSON object", where=path, todo="restore or delete it")
    check_version(document, format_name, version, path)
    return document


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is no valid TOML ({error})", where=path, todo="mend that line") from error


def write_npz(path: Path, format_name: str, version: int, arrays: Mapping[str, Any]) -> None:
    """Write a compressed NPZ that carries its format name and version; same arrays, same bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, format=np.array(format_name), version=np.array(version), **arrays)
    write_atomic(path, buffer.getvalue())


def read_npz(path: Path, format_name: str, version: int, *, required: tuple[str, ...]) -> dict[str, Any]:
    """Read an NPZ of a known format, up to a known version; code in the file never runs.

    Raises:
        InputError: no NPZ, a newer version, or arrays are missing.
    """
    try:
        # Opened here, because numpy leaves the file open when its end is missing.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"is no readable NPZ file ({error})", where=path, todo="make it again") from error
    missing = [name for name in required if name not in arrays]
    if missing:
        raise InputError(
            f"lacks {', '.join(missing)}", where=path, todo=f"it holds: {', '.join(arrays) or 'nothing'}"
        )
    check_version(
        {key: arrays[key].item() for key in ("format", "version") if key in arrays},
        format_name,
        version,
        path,
    )
    return arrays


def check_version(document: Mapping[str, Any], format_name: str, version: int, path: Path) -> None:
    """Refuse a file of another format, or of a version that is newer than this program."""
    seen = document.get("format", format_name)
    if seen != format_name:
        raise InputError(
            f"is a '{seen}' file, not '{format_name}'", where=path, todo="check the file's place"
        )
    number = document.get("version", 1)
    if not isinstance(number, int) or number < 1:
        raise InputError(f"has no valid version ({number!r})", where=path, todo="it should be a whole number")
    if number > version:
        raise InputError(
            f"has version {number} and this program reads up to {version}",
            where=path,
            todo="update mocap-studio",
        )


def fingerprint(path: Path) -> str:
    """A hash of the file's content: whole for small files, sampled blocks and the size for footage.

    Footage runs to gigabytes and is never modified in place, so reading blocks of it tells one clip
    from another without making every no-op run wait for the disk.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _WHOLE_HASH_BYTES:
            digest.update(file.read())
        else:
            for block in range(_SAMPLED_BLOCKS):
                file.seek((size - _BLOCK_BYTES) * block // (_SAMPLED_BLOCKS - 1))
                digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """Value that JSON can hold, made of arrays, paths or dataclasses as it may be; NaN (missing) is null."""
    if dataclasses.is_dataclass(value):
        return plain(vars(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
