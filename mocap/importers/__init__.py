"""Other tools' 2D results, one file a format; the table below is the list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mocap.importers import (
    alphapose,
    caliscope,
    coco,
    deeplabcut,
    mediapipe,
    mmpose,
    openpose,
    sleap,
    ultralytics,
)
from mocap.importers.view import Options, View

__all__ = ["IMPORTERS", "Importer", "Options", "View"]


@dataclass(frozen=True)
class Importer:
    """One entry of the table."""

    what: str
    """Tool and files, in words."""
    suffixes: tuple[str, ...]
    """Endings of its files, lower case, with dot."""
    kind: Callable[[Path], str | None]
    """By its content: ``frames`` for a file of one frame, ``clip`` of a whole clip, None for others."""
    read: Callable[[str, Sequence[Path], Options], list[View]]
    """The views in the files of one camera."""


_H5 = (".h5", ".hdf5")
IMPORTERS: dict[str, Importer] = {
    "openpose": Importer("OpenPose JSON, a file a frame", (".json",), openpose.kind, openpose.read),
    "alphapose": Importer("AlphaPose JSON", (".json",), alphapose.kind, alphapose.read),
    "mmpose": Importer("MMPose JSON or pickle", (".json", ".pkl", ".pickle"), mmpose.kind, mmpose.read),
    "coco": Importer("COCO results or annotations JSON", (".json",), coco.kind, coco.read),
    "mediapipe": Importer("MediaPipe JSON", (".json",), mediapipe.kind, mediapipe.read),
    "deeplabcut": Importer("DeepLabCut h5 or csv", (*_H5, ".csv"), deeplabcut.kind, deeplabcut.read),
    "sleap": Importer("SLEAP analysis h5", (*_H5, ".slp"), sleap.kind, sleap.read),
    "yolo": Importer("Ultralytics txt, a file a frame", (".txt",), ultralytics.kind, ultralytics.read),
    "caliscope": Importer("Caliscope xy.csv", (".csv",), caliscope.kind, caliscope.read),
}
"""Formats by the name that ``--format`` takes; a file is tried with each in this order."""
