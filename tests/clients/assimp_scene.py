"""Assimp's own dump of a scene that it read, put together to places of joints here."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]


def read_dump(dump: Path) -> tuple[tuple[str, ...], float, Array, Array]:
    """Names, rate, rest (N, 3, 4) and places (T, N, 3, 4) of the animated nodes; the file's axes.

    Raises:
        ValueError: a scene without an animation.
    """
    scene = ET.parse(dump).getroot().find("Scene")
    animation = None if scene is None else scene.find("AnimationList/Animation")
    root = None if scene is None else scene.find("Node")
    if animation is None or root is None:
        raise ValueError("assimp's dump has no animation")
    tracks = {node.attrib["node"]: node for node in animation.iter("NodeAnim")}
    times = _key_times(tracks.values())
    joints: dict[str, tuple[Array, Array]] = {}
    _walk(root, tracks, np.eye(4), np.tile(np.eye(4), (len(times), 1, 1)), joints)
    names = tuple(name for name in joints if name in tracks)
    ticks = float(animation.attrib["tick_cnt"])
    rate_hz = (len(times) - 1) / (times[-1] - times[0]) * ticks if len(times) > 1 else ticks
    rest = np.stack([joints[name][0] for name in names])[:, :3]
    return names, rate_hz, rest, np.stack([joints[name][1] for name in names], axis=1)[:, :, :3]


def _key_times(tracks: Iterable[ET.Element]) -> Array:
    """Ticks of the keys of the longest track."""
    times = [np.array([float(key.attrib["time"]) for key in track.iter("RotationKey")]) for track in tracks]
    return max(times, key=len)


def _walk(
    node: ET.Element,
    tracks: dict[str, ET.Element],
    rest: Array,
    world: Array,
    joints: dict[str, tuple[Array, Array]],
) -> None:
    """Evaluate a node of the scene at rest and at every tick, then its children."""
    name = node.attrib["name"]
    if name.startswith("EndSite"):
        return
    still = np.array(_floats(node.find("Matrix4"))).reshape(4, 4)
    local = np.tile(still, (len(world), 1, 1))
    if name in tracks:
        track = tracks[name]
        local[:, :3, :3] = Rotation.from_quat(_keys(track, "Rotation", len(world))).as_matrix()
        local[:, :3, 3] = _keys(track, "Position", len(world))
    rest, world = rest @ still, world @ local
    joints[name] = rest, world
    for child in node.findall("NodeList/Node"):
        _walk(child, tracks, rest, world, joints)


def _keys(track: ET.Element, kind: str, num_frames: int) -> Array:
    """(T, n) a track's values; one key lasts the whole time."""
    keys = track.findall(f"{kind}KeyList/{kind}Key")
    values = np.array([_floats(key) for key in keys])
    if len(values) == 1:
        return np.repeat(values, num_frames, axis=0)
    if len(values) != num_frames:
        raise ValueError(f"assimp has {len(values)} {kind} keys for {num_frames} frames")
    return values


def _floats(element: ET.Element | None) -> list[float]:
    if element is None or element.text is None:
        raise ValueError("assimp's dump lacks numbers")
    return [float(word) for word in element.text.split()]
