"""Curves that move a property of an FBX object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from exporters.axes import FloatArray
from exporters.fbx.binary import Node, array, f64, i32
from exporters.fbx.objects import Scene, number, properties

_LINEAR = 4
"""Interpolation flag of a key: readers agree on no other."""
_KEY_VERSION = 4009


def add_curves(
    scene: Scene,
    layer: int,
    model: int,
    name: str,
    channel: str,
    key_ticks: NDArray[np.int64],
    values: FloatArray,
    parts: Sequence[str] = "XYZ",
) -> None:
    """A curve for each part of one property of an object.

    Args:
        scene: the scene; objects are added to it.
        layer: id of the animation layer.
        model: id of the object.
        name: the curve node's name. three.js takes every node with a capital R, S or T for a transform.
        channel: the property.
        key_ticks: (T,) times of the keys.
        values: (T, C) the property's values.
        parts: C names of the parts.
    """
    defaults = [number(f"d|{part}", float(values[0, row]), "A") for row, part in enumerate(parts)]
    node = scene.add("AnimationCurveNode", name, "AnimCurveNode", "", properties(*defaults))
    scene.connect(node, layer)
    scene.connect(node, model, channel)
    for row, part in enumerate(parts):
        curve = scene.add(
            "AnimationCurve",
            "",
            "AnimCurve",
            "",
            Node("Default", (f64(float(values[0, row])),)),
            Node("KeyVer", (i32(_KEY_VERSION),)),
            Node("KeyTime", (array(key_ticks, "l"),)),
            Node("KeyValueFloat", (array(values[:, row], "f"),)),
            Node("KeyAttrFlags", (array(np.array([_LINEAR]), "i"),)),
            Node("KeyAttrDataFloat", (array(np.zeros(4), "f"),)),
            Node("KeyAttrRefCount", (array(np.array([len(key_ticks)]), "i"),)),
        )
        scene.connect(curve, node, f"d|{part}")
