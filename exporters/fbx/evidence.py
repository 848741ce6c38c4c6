"""How sure we are of a motion, as properties of the joints: standard deviations, contacts with the floor."""

from __future__ import annotations

import numpy as np

from exporters.animation import Animation
from exporters.fbx.binary import Node
from exporters.fbx.curves import add_curves
from exporters.fbx.objects import TICKS_PER_SECOND, Scene, number
from exporters.smooth import Track

_STD = "std_mm"
_CHANGE = 1 / 64
"""Smallest change of a contact's probability that makes a key."""


def evidence_properties(animation: Animation, joint: int) -> list[Node]:
    """The properties of one joint; the root's tell the contacts of the first frame."""
    found: list[Node] = []
    if animation.joint_std is not None and np.isfinite(animation.joint_std[:, joint]).any():
        found.append(number(_STD, float(np.nanmedian(animation.joint_std[:, joint]) * 1000), "AU"))
    if joint == 0:
        first = animation.contacts[0] if animation.contact_names else ()
        pairs = zip(animation.contact_names, first, strict=True)
        found += [number(_contact(name), float(value), "AU") for name, value in pairs]
    return found


def add_evidence(
    scene: Scene, animation: Animation, joints: list[int], layer: int, *, uncertainty: bool
) -> None:
    """Curves of the contacts, and on demand of the joints' standard deviations.

    Args:
        scene: the scene; objects are added to it.
        animation: the character.
        joints: ids of its joints.
        layer: id of the animation layer.
        uncertainty: whether the standard deviations get curves.
    """
    ticks = np.round(animation.time_s * TICKS_PER_SECOND).astype(np.int64)
    for column, name in enumerate(animation.contact_names):
        values = np.round(animation.contacts[:, column] / _CHANGE) * _CHANGE
        change = np.flatnonzero(np.diff(values))
        keys = np.unique(
            np.r_[0, change, change + 1]
        )  # both ends of every change: the lines between are flat
        label = _contact(name)
        track = Track(keys, values[keys])
        add_curves(scene, layer, joints[0], label.lower(), label, [track], ticks, (label,))
    if uncertainty and animation.joint_std is not None:
        for joint, ident in enumerate(joints):
            known = np.flatnonzero(np.isfinite(animation.joint_std[:, joint]))
            if len(known):
                track = Track(known, np.round(animation.joint_std[known, joint] * 1000, 2))
                add_curves(scene, layer, ident, _STD, _STD, [track], ticks, (_STD,))


def _contact(name: str) -> str:
    return f"contact_{name}"
