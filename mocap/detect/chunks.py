"""What one camera's detection leaves on disk while it runs, so that a killed run goes on where it was.

The folder of a camera holds ``key.json``, which says what the chunks were made from, and ``chunk_00000.npz``
and so on: the people of a little while, and what the detector remembered at its end.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.detect.detector import Detections, TrackerState
from mocap.errors import InputError
from mocap.files import read_npz, write_atomic, write_npz
from mocap.keypoints import CameraKeypoints

_FORMAT = "mocap-detect-chunk"
_VERSION = 1
_STATE = "state."
_JOINED = ("time_s", "people", "slot", "xy_px", "score")


@dataclass
class Chunk:
    """A little while of a clip."""

    time_s: list[float] = field(default_factory=list)
    """Presentation time of each frame."""
    detections: list[Detections] = field(default_factory=list)
    """The people of each frame."""

    def add(self, time_s: float, detections: Detections) -> None:
        """Append a frame."""
        self.time_s.append(time_s)
        self.detections.append(detections)

    @property
    def duration_s(self) -> float:
        """From the first frame to the last one."""
        return self.time_s[-1] - self.time_s[0] if self.time_s else 0.0


@dataclass(frozen=True)
class Done:
    """How far a camera's detection has come."""

    chunks: int
    """Chunks on disk."""
    frames: int
    """Frames in them."""
    last_s: float | None
    """Time of the last frame; None where there is none."""
    state: TrackerState
    """What the detector remembered after it."""
    complete: bool
    """Whether the clip's last frame is among them."""


class ChunkFolder:
    """The chunks of one camera.

    Args:
        folder: where they are.
        key: what they are made from; chunks with another key are thrown away.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self._folder = folder
        self._key = json.dumps(key, indent=2, sort_keys=True)

    def open(self) -> Done:
        """What is there for this key; what was made from something else is removed."""
        key_file = self._folder / "key.json"
        if not key_file.is_file() or key_file.read_text(encoding="utf-8") != self._key:
            self.remove()
            write_atomic(key_file, self._key.encode())
        chunks, frames, last_s, state, complete = 0, 0, None, TrackerState(), False
        while not complete and (arrays := self._read(chunks)) is not None:
            chunks, frames = chunks + 1, frames + len(arrays["time_s"])
            last_s = float(arrays["time_s"][-1]) if len(arrays["time_s"]) else last_s
            state = {name.removeprefix(_STATE): arrays[name] for name in arrays if name.startswith(_STATE)}
            complete = bool(arrays["complete"])
        return Done(chunks, frames, last_s, state, complete)

    def write(
        self,
        number: int,
        chunk: Chunk,
        keypoint_names: tuple[str, ...],
        state: TrackerState,
        *,
        complete: bool,
    ) -> None:
        """Store one chunk; it is there wholly or not at all.

        Args:
            number: its place, from 0.
            chunk: frames and people.
            keypoint_names: K names.
            state: what the detector remembers after it.
            complete: whether the clip ends with it.
        """
        keypoints = len(keypoint_names)
        people = [len(found.slot) for found in chunk.detections]
        xy_px = [found.xy_px for found in chunk.detections]
        score = [found.score for found in chunk.detections]
        slot = [found.slot for found in chunk.detections]
        arrays: dict[str, Any] = {
            "time_s": np.array(chunk.time_s, dtype=np.float64),
            "people": np.array(people, dtype=np.int64),
            "slot": np.concatenate([np.zeros(0, np.int64), *slot]),
            "xy_px": np.concatenate([np.zeros((0, keypoints, 2)), *xy_px]),
            "score": np.concatenate([np.zeros((0, keypoints)), *score]),
            "keypoint_names": np.array(keypoint_names),
            "complete": np.array(complete),
        }
        arrays |= {_STATE + name: value for name, value in state.items()}
        write_npz(self._path(number), _FORMAT, _VERSION, arrays)

    def assemble(self, size_px: tuple[int, int]) -> CameraKeypoints:
        """All chunks as one, for an image of this width and height."""
        parts = []
        while (arrays := self._read(len(parts))) is not None:
            parts.append(arrays)
        joined = {name: np.concatenate([part[name] for part in parts]) for name in _JOINED}
        keypoint_names = tuple(str(name) for name in parts[0]["keypoint_names"])
        frames, slot = len(joined["time_s"]), joined["slot"]
        frame = np.repeat(np.arange(frames), joined["people"])
        shape = (frames, int(slot.max(initial=-1)) + 1, len(keypoint_names))
        xy_px, score = np.full((*shape, 2), np.nan, np.float32), np.full(shape, np.nan, np.float32)
        xy_px[frame, slot], score[frame, slot] = joined["xy_px"], joined["score"]
        return CameraKeypoints(joined["time_s"], xy_px, score, keypoint_names, size_px)

    def remove(self) -> None:
        """Throw everything away."""
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def _path(self, number: int) -> Path:
        return self._folder / f"chunk_{number:05d}.npz"

    def _read(self, number: int) -> dict[str, NDArray[Any]] | None:
        """One chunk, None where it is missing or not whole."""
        path = self._path(number)
        if not zipfile.is_zipfile(path):  # cut off by a disk that lost power, or not there
            return None
        try:
            return read_npz(path, _FORMAT, _VERSION, required=(*_JOINED, "keypoint_names", "complete"))
        except InputError:
            return None
