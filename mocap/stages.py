"""Which stages are done: what each was made from is recorded, so nothing is done twice or left stale."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from mocap.files import fingerprint, read_json, write_json

_FORMAT, _VERSION = "mocap-studio stages", 1


class State(Enum):
    """How the results of a stage stand."""

    MISSING = "missing"
    """There are none, or an earlier run was stopped while it wrote them."""
    FRESH = "fresh"
    """Made by this stage from the present inputs and settings."""
    STALE = "stale"
    """Made by this stage from other inputs or settings."""
    FOREIGN = "foreign"
    """Made or edited elsewhere: they are the user's, and are kept."""


@dataclass(frozen=True)
class Stage:
    """One piece of work: files in, files out."""

    name: str
    """Unique in its record, like ``reconstruct`` or ``detect cam01``."""
    inputs: Mapping[str, Path]
    """Files that the result depends on, by a name that does not change."""
    settings: Any
    """The settings node, or a mapping, that the result depends on."""
    outputs: Callable[[], Sequence[Path]]
    """The files of the result that are there now."""
    version: int = 1
    """Raised when a change of the program makes older results stale."""

    def made_from(self) -> str:
        """One hash over inputs, settings and version."""
        node = self.settings if isinstance(self.settings, Mapping) else asdict(self.settings)
        parts = {
            "inputs": {name: _hash(path) for name, path in sorted(self.inputs.items())},
            "settings": node,
            "version": self.version,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Record:
    """What each stage of one folder was made from, kept in one small file.

    Args:
        path: the record file.
        root: the folder that the outputs' names are relative to.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self._path = path
        self._root = root

    def state(self, stage: Stage) -> State:
        """How the results of ``stage`` stand."""
        entry = self._entries().get(stage.name)
        outputs = self._hashes(stage)
        if not outputs or (entry is not None and entry.get("unfinished")):
            return State.MISSING
        if entry is None or any(
            entry["outputs"].get(name) not in (None, value) for name, value in outputs.items()
        ):
            return State.FOREIGN
        if set(entry["outputs"]) - set(outputs):
            return State.MISSING
        return State.FRESH if entry["made_from"] == stage.made_from() else State.STALE

    def begin(self, stage: Stage) -> None:
        """Note that ``stage`` is under way, so that half of its files never pass for all of them."""
        self._put(stage.name, {"unfinished": True})

    def finish(self, stage: Stage) -> None:
        """Note that ``stage`` is done, from what, and with which files."""
        self._put(stage.name, {"made_from": stage.made_from(), "outputs": self._hashes(stage)})

    def made(self, stage: Stage) -> dict[str, str]:
        """Files of ``stage``'s last finished results, relative to the folder, and their fingerprints."""
        return dict(self._entries().get(stage.name, {}).get("outputs", {}))

    def _entries(self) -> dict[str, Any]:
        if not self._path.is_file():
            return {}
        return dict(read_json(self._path, _FORMAT, _VERSION)["stages"])

    def _put(self, name: str, entry: Mapping[str, Any]) -> None:
        entries = self._entries() | {name: entry}
        write_json(self._path, _FORMAT, _VERSION, {"stages": dict(sorted(entries.items()))})

    def _hashes(self, stage: Stage) -> dict[str, str]:
        return {path.relative_to(self._root).as_posix(): _hash(path) for path in stage.outputs()}


def _hash(path: Path) -> str:
    """Fingerprint of a file, or of all the files of a folder of images."""
    if path.is_dir():
        files = sorted(item for item in path.iterdir() if item.is_file())
        return hashlib.sha256("".join(item.name + fingerprint(item) for item in files).encode()).hexdigest()
    return fingerprint(path)
