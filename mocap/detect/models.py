"""Detector weights: which there are, where they lie on this machine, and how they get there."""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mocap.errors import InputError, MissingModel
from mocap.files import write_atomic

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "MOCAP_MODELS"
"""Environment variable with the folder of the weights, in place of the user's cache folder."""


@dataclass(frozen=True)
class Source:
    """A file inside a published package, known by name only: where packages are is the managers' affair."""

    manager: str
    """npm or pip."""
    package: str
    """Name of the package."""
    version: str
    """Its version, exactly."""
    member: str
    """Path inside the package's archive."""
    sha256: str
    """Of the member."""


@dataclass(frozen=True)
class Model:
    """Weights that can be fetched."""

    family: str
    """Name in the DETECTORS table."""
    variant: str
    """Which of the family's networks."""
    keypoints: str
    """Keypoint set, or what else the network finds."""
    size_bytes: int
    """Size of the file."""
    licence: str
    """SPDX name."""
    sources: tuple[Source, ...]
    """Where it is, best first."""


def _npm(member: str, sha256: str) -> Source:
    return Source("npm", "@mediapipe/pose", "0.5.1675469404", f"package/{member}", sha256)


def _pip(member: str, sha256: str) -> Source:
    return Source("pip", "mediapipe", "0.10.21", f"mediapipe/modules/{member}", sha256)


_FULL_SHA256 = "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
MODELS: dict[str, Model] = {
    "blazepose-person": Model(
        "blazepose",
        "person",
        "regions of people",
        2962288,
        "Apache-2.0",
        (
            _npm(  # this file is the network, whatever its name says
                "pose_solution_packed_assets.data",
                "a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85",
            ),
            _pip(
                "pose_detection/pose_detection.tflite",
                "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
            ),
        ),
    ),
    "blazepose-heavy": Model(
        "blazepose",
        "heavy",
        "blazepose33",
        27709200,
        "Apache-2.0",
        (
            _npm(
                "pose_landmark_heavy.tflite",
                "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
            ),
        ),
    ),
    "blazepose-full": Model(
        "blazepose",
        "full",
        "blazepose33",
        6440512,
        "Apache-2.0",
        (
            _npm("pose_landmark_full.tflite", _FULL_SHA256),
            _pip("pose_landmark/pose_landmark_full.tflite", _FULL_SHA256),
        ),
    ),
    "blazepose-lite": Model(
        "blazepose",
        "lite",
        "blazepose33",
        2819824,
        "Apache-2.0",
        (
            _npm(
                "pose_landmark_lite.tflite",
                "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
            ),
        ),
    ),
    "hands-palm": Model(
        "hands",
        "palm",
        "regions of hands",
        2339846,
        "Apache-2.0",
        (
            _pip(
                "palm_detection/palm_detection_full.tflite",
                "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
            ),
        ),
    ),
    "hands-landmarks": Model(
        "hands",
        "full",
        "hands42",
        5478917,
        "Apache-2.0",
        (
            _pip(
                "hand_landmark/hand_landmark_full.tflite",
                "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
            ),
            Source(
                "npm",
                "@mediapipe/hands",
                "0.4.1675469240",
                "package/hand_landmark_full.tflite",
                "8c026882c9ec059ce0f8e75266bee5a9a23c341a40e0000df755374d3d1b9b68",
            ),
        ),
    ),
}
"""Weights by name."""


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
    return path if sha256_of(path) in _accepted(name) else None


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
    _make_folder()
    with FileLock(str(folder() / ".lock")):
        for key in names:
            if installed(key) is None:
                for found, data in fetch(key).items():
                    if installed(found) is None:
                        _store(found, data)
    return [_path(key) for key in names]


def add(name: str, file: Path) -> Path:
    """Use a file of the user's own as some weights.

    Args:
        name: a name of the table.
        file: a tflite file; or MediaPipe's ``.task`` bundle, which brings the person detector too.

    Raises:
        InputError: unknown name, or the file is no such thing.
    """
    _known(name)
    if not file.is_file():
        raise InputError("there is no such file", where=file)
    _make_folder()
    if zipfile.is_zipfile(file):
        person, landmarks = _task_parts(file)
        if name != "blazepose-person":
            _store(name, landmarks)
        _store("blazepose-person", person)
    else:
        data = file.read_bytes()
        if data[4:8] != b"TFL3":
            raise InputError(
                "this is no tflite file", where=file, todo="give the network itself, not its source"
            )
        _store(name, data)
    return _path(name)


def listing() -> list[dict[str, Any]]:
    """A row for each of the known weights."""
    rows = []
    for name, model in MODELS.items():
        path = installed(name)
        sha256 = sha256_of(path) if path else model.sources[0].sha256
        rows.append(
            {
                "name": name,
                "variant": model.variant,
                "keypoints": model.keypoints,
                "size_mb": round((path.stat().st_size if path else model.size_bytes) / 1e6, 1),
                "licence": model.licence if sha256 in _published(name) else "your own file",
                "sha256": sha256,
                "installed": path is not None,
            }
        )
    return rows


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


def _known(name: str) -> str:
    if name not in MODELS:
        families = sorted({model.family for model in MODELS.values()})
        known = ", ".join([*MODELS, *families])
        raise InputError(f"there are no weights named {name!r}", todo=f"choose from {known}")
    return name


def _path(name: str) -> Path:
    return folder() / f"{name}.tflite"


def _own_hash(name: str) -> Path:
    """File with the hash of a file that the user brought, beside it."""
    return folder() / f"{name}.tflite.sha256"


def _published(name: str) -> set[str]:
    return {source.sha256 for source in MODELS[name].sources}


def _accepted(name: str) -> set[str]:
    own = _own_hash(name)
    return _published(name) | ({own.read_text().strip()} if own.is_file() else set())


def _store(name: str, data: bytes) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 in _published(name):
        _own_hash(name).unlink(missing_ok=True)
    else:
        write_atomic(_own_hash(name), f"{sha256}\n".encode())
    write_atomic(_path(name), data)


def _task_parts(file: Path) -> tuple[bytes, bytes]:
    """Person detector and landmark network of a ``.task`` bundle."""
    members = ("pose_detector.tflite", "pose_landmarks_detector.tflite")
    try:
        with zipfile.ZipFile(file) as bundle:
            return bundle.read(members[0]), bundle.read(members[1])
    except (KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            "this is no pose .task bundle", where=file, todo=f"it must hold {' and '.join(members)}"
        ) from error


def _make_folder() -> None:
    try:
        folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the folder of the weights cannot be made ({error.strerror})",
            where=folder(),
            todo=f"name another one in {FOLDER_VARIABLE}",
        ) from error
