"""Weights that the user brings: tried before they are taken."""

from __future__ import annotations

import zipfile
from pathlib import Path

from mocap.detect import models
from mocap.detect.families import FAMILIES, family_of
from mocap.detect.family import fitting, keypoint_names
from mocap.detect.network import open_network
from mocap.detect.published import MODELS
from mocap.errors import InputError


def add(name: str, file: Path, keypoints: tuple[str, ...] = ()) -> Path:
    """Use a file of the user's own.

    Args:
        name: a name of the table; or a family's, with a word of the user's own behind it: ``rtmpose-mine``.
        file: an ONNX or tflite file; or MediaPipe's ``.task`` bundle, which brings the person detector too.
        keypoints: names of its keypoints, where it has others than the family's sets.

    Returns:
        Where it lies now.

    Raises:
        InputError: unknown name, or the file is no such network: the line says what was expected and found.
    """
    if not file.is_file():
        raise InputError("there is no such file", where=file)
    family = family_of(name)
    if family is not None:
        entry = FAMILIES[family]
        _, found = fitting(open_network(file), entry)
        keypoint_names(entry, found, keypoints, file)
        suffix = ".tflite" if _is_tflite(file) else ".onnx"
        return models.store(name, file.read_bytes(), origin=models.OWN, suffix=suffix, keypoints=keypoints)
    if name not in MODELS:
        known = ", ".join(dict.fromkeys([*MODELS, *FAMILIES]))
        raise InputError(f"there are no weights named {name!r}", todo=f"choose from {known}")
    if zipfile.is_zipfile(file):
        person, landmarks = _task_parts(file)
        if name != "blazepose-person":
            models.store(name, landmarks, origin=models.OWN)
        models.store("blazepose-person", person, origin=models.OWN)
    else:
        if not _is_tflite(file):
            todo = "give the network itself, not its source"
            raise InputError("this is no tflite file", where=file, todo=todo)
        _check_blazepose(name, file)
        models.store(name, file.read_bytes(), origin=models.OWN)
    return models.model_path(name)


def _is_tflite(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(8)[4:] == b"TFL3"


def _check_blazepose(name: str, file: Path) -> None:
    """Load one of BlazePose's two networks; its shapes are looked at."""
    from mocap.detect.landmarks import LandmarkNetwork
    from mocap.detect.person import PersonDetector

    if MODELS[name].family == "blazepose":
        _ = PersonDetector(file) if name == "blazepose-person" else LandmarkNetwork(file, mirror=False)


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
