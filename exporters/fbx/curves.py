"""Curves that move a property of an FBX object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from exporters.fbx.binary import Node, array, f64, i32
from exporters.fbx.objects import Scene, number, properties
from exporters.smooth import Track

_LINEAR = 4
"""Interpolation flag of a key: all readers agree on it."""
_CUBIC = 8 | 0x400
"""With slopes that the key itself holds, as Autodesk's SDK and ufbx read it."""
_THIRDS = 3333 << 16 | 3333
"""Lengths of both tangents, in ten-thousandths of the gap between keys: two 16-bit integers in the bits of a
float. Thirds make the cubic a plain polynomial of time."""
_KEY_VERSION = 4009


def add_curves(
    scene: Scene,
    layer: int,
    model: int,
    name: str,
    channel: str,
    tracks: Sequence[Track],
    frame_ticks: NDArray[np.int64],
    parts: Sequence[str] = "XYZ",
    bare: Sequence[bool] | None = None,
) -> None:
    """A curve for each part of one property of an object.

    Args:
        scene: the scene; objects are added to it.
        layer: id of the animation layer.
        model: id of the object.
        name: the curve node's name. three.js takes every node with a capital R, S or T for a transform.
        channel: the property.
        tracks: the property's values, one track for each part.
        frame_ticks: (T,) times of the frames.
        parts: names of the parts.
        bare: parts that have their first value and no curve; but readers want to hear of all three axes.
    """
    pairs = list(zip(parts, tracks, strict=True))
    defaults = [number(f"d|{part}", float(track.values[0]), "A") for part, track in pairs]
    node = scene.add("AnimationCurveNode", name, "AnimCurveNode", "", properties(*defaults))
    scene.connect(node, layer)
    scene.connect(node, model, channel)
    for (part, track), no_curve in zip(pairs, bare or [False] * len(pairs), strict=True):
        if no_curve:
            continue
        flags, data, counts = _attributes(track)
        curve = scene.add(
            "AnimationCurve",
            "",
            "AnimCurve",
            "",
            Node("Default", (f64(float(track.values[0])),)),
            Node("KeyVer", (i32(_KEY_VERSION),)),
            Node("KeyTime", (array(frame_ticks[track.frames], "l"),)),
            Node("KeyValueFloat", (array(track.values, "f"),)),
            Node("KeyAttrFlags", (array(flags, "i"),)),
            Node("KeyAttrDataFloat", (array(data, "f"),)),
            Node("KeyAttrRefCount", (array(counts, "i"),)),
        )
        scene.connect(curve, node, f"d|{part}")


def _attributes(track: Track) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
    """Flags, four numbers, and how many keys in a row have them: once for all, or for each key its slopes."""
    count = len(track.frames)
    if track.slopes is None or count < 2:
        return np.array([_LINEAR], np.int32), np.zeros(4, np.float32), np.array([count], np.int32)
    data = np.zeros((count, 4), dtype=np.float32)
    data[:, 0] = track.slopes  # after the key
    data[:, 1] = track.slopes[[*range(1, count), -1]]  # before the next one
    data[:, 2] = np.array([_THIRDS], np.uint32).view(np.float32)
    return np.full(count, _CUBIC, np.int32), data, np.ones(count, np.int32)
