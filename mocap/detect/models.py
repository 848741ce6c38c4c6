"""Detector weights: which there are, where they lie on this machine, and how they get there."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from mocap.detect.published import MODELS
from mocap.errors import InputError, MissingModel
from mocap.files import write_atomic

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "MOCAP_MODELS"
"""Environment variable with the folder of the weights, in place of the user's cache folder."""


def folder() -> Path:
    """Where the weights lie."""
    from platformdirs import user_cache_path

    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else user_cache_path("mocap-studio") / "models"


def model_path(name: str) -> Path:
    """The file of some weights, fetched where it is not on this machine or damaged.

    Raises:
        InputError: there are no weights of this name.
        MissingModel: they cannot be fetched.
    """
    return installed(name) or pull(_known(name))[0]


def installed(name: str) -> Path | None:
    """The file of some weights, None where it is not on this machine, or not what was put there."""
    path = _path(name)
    if not path.is_file():
        return None
    noted = (_content(path) or {}).get("sha256")
    return path if sha256_of(path) in published(name) | {noted} else None


def origin(name: str) -> str | None:
    """Where the weights on this machine come from; None where there are none."""
    path = installed(name)
    return None if path is None else str((_content(path) or {}).get("origin", "package"))


def pull(name: str) -> list[Path]:
    """Fetch weights into the models folder, those of a whole family where its name is given.

    What is there already stays. Two programs at once fetch once.

    Raises:
        InputError: there are no weights of this name.
        MissingModel: they cannot be fetched; the message says how to bring them by hand.
    """
    from filelock import FileLock

    from mocap.detect.fetch import fetch

    names = [key for key, model in MODELS.items() if model.family == name] or [_known(name)]
    make_folder()
    with FileLock(str(folder() / ".lock")):
        for key in names:
            if installed(key) is None:
                for found, data in fetch(key).items():
                    if installed(found) is None:
                        suffix = MODELS[found].suffix
                        store(found, data, origin="package", suffix=suffix)
    return [_path(key) for key in names]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def missing_model(name: str, reasons: list[str]) -> MissingModel:
    """The error for weights that could not be fetched."""
    return MissingModel(
        name,
        reason=f"not on this machine, and it could not be fetched ({'; '.join(reasons)})",
        todo=f"go online and run it again, or bring the file from elsewhere: mocap models add {name} FILE",
    )


def own_names() -> list[str]:
    """Names of all weights on this machine that the user brought."""
    return sorted(
        path.stem
        for path in folder().glob("*")
        if path.suffix in _SUFFIXES and (_content(path) or {}).get("origin") == OWN
    )


def own_keypoints(path: Path) -> tuple[str, ...]:
    """Names of the keypoints that the user gave with a file; none for most."""
    return tuple((_content(path) or {}).get("keypoints", ()))


OWN = "your own file"
"""Where weights come from that are in no package."""
_SUFFIXES = (".tflite", ".onnx")


def _known(name: str) -> str:
    if name not in MODELS:
        families = sorted({model.family for model in MODELS.values()})
        known = ", ".join([*MODELS, *families])
        raise InputError(f"there are no weights named {name!r}", todo=f"choose from {known}")
    return name


def _path(name: str) -> Path:
    """The file of some weights: the one that is there, or the one that would be fetched."""
    there = [path for suffix in _SUFFIXES if (path := folder() / f"{name}{suffix}").is_file()]
    if len(there) == 1 or (there and name not in MODELS):
        return there[0]
    return folder() / f"{name}{MODELS[name].suffix if name in MODELS else '.onnx'}"


def _note(path: Path) -> Path:
    """The file beside weights that are not a package's own file: hash, origin, names of keypoints."""
    return path.with_name(f"{path.name}.json")


def _content(path: Path) -> dict[str, Any] | None:
    """What is noted about a file; None where there is nothing, or nothing that makes sense."""
    try:
        content = json.loads(_note(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def published(name: str) -> set[str]:
    """SHA-256 of the files that packages have under a name."""
    return {source.sha256 for source in MODELS[name].sources} if name in MODELS else set()


def store(
    name: str, data: bytes, *, origin: str, suffix: str = ".tflite", keypoints: tuple[str, ...] = ()
) -> Path:
    """Put weights into the folder, and a note beside them where they are not a package's own file.

    Args:
        name: their name.
        data: the file's content.
        origin: where they come from.
        suffix: what the file is.
        keypoints: the names that the user gave.
    """
    make_folder()
    path, sha256 = folder() / f"{name}{suffix}", hashlib.sha256(data).hexdigest()
    for other in _SUFFIXES:
        if other != suffix:
            (folder() / f"{name}{other}").unlink(missing_ok=True)
    if sha256 in published(name) and not keypoints:
        _note(path).unlink(missing_ok=True)
    else:
        content = {"sha256": sha256, "origin": origin, "keypoints": list(keypoints)}
        write_atomic(_note(path), json.dumps(content, indent=2).encode())
    write_atomic(path, data)
    return path


def make_folder() -> None:
    """Make the folder of the weights."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the folder of the weights cannot be made ({error.strerror})",
            where=folder(),
            todo=f"name another one in {FOLDER_VARIABLE}",
        ) from error
