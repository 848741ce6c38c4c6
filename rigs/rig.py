"""Rigs that other programs use, as data: names, further joints, pose at rest and the axes of bones.

A rig is one TOML file in ``presets/``. Joints that we have are named in ``[names]``; what the rig has beyond
them stands in ``joints``, each with its place between two of ours and how it turns. All lengths come from
the person: a rig has proportions of its own only where it is read from a character's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from rigs.errors import RigError
from rigs.rig_names import check_names, rig_source

FloatArray = NDArray[np.float64]
Kind = Literal["", "root", "ik", "twist"]
RootMotion = Literal["full", "ground", "in place"]

_DIRECTIONS: Final[dict[str, tuple[float, float, float]]] = {
    "left": (1, 0, 0), "right": (-1, 0, 0), "up": (0, 1, 0), "down": (0, -1, 0),
    "forward": (0, 0, 1), "back": (0, 0, -1),
}  # fmt: skip
LIMBS: Final = ("trunk", "left_leg", "right_leg", "left_arm", "right_arm")
"""Parts of a body whose bones share a rule for their axes."""


@dataclass(frozen=True)
class ExtraJoint:
    """A joint of the rig that our bodies lack."""

    name: str
    """Its name in the rig."""
    under: str = ""
    """Our joint, or another joint of the rig, that it hangs on."""
    carries: tuple[str, ...] = ()
    """Our joints that hang on it instead of on ``under``."""
    toward: str = ""
    """Our joint towards which it lies from ``under``; the first that it carries if left out."""
    at: float = 0.0
    """How far it lies that way, 1 being there."""
    share: float = 0.0
    """How much of the turn from ``under`` to ``toward`` it takes: at 0 it moves with the first."""
    twist: float = 0.0
    """How much of the roll of ``toward`` about the bone it takes over."""
    untwist: float = 0.0
    """How much of the roll of ``under`` about the bone it leaves out."""
    kind: Kind = ""
    """``root``: on the floor, above all others. ``ik``: goes where ``follows`` goes. ``twist``: takes the
    roll of the joint before it, which is left with the swing."""
    follows: str = ""
    """Our joint whose place and turn an ``ik`` joint has; it stays at the root's place if left out."""


@dataclass(frozen=True)
class BoneAxes:
    """How the axes of a bone lie at rest."""

    along: str
    """Axis of the bone that runs to its child, such as ``+x``."""
    second: str
    """Another axis of it,"""
    toward: str
    """and the direction of the resting character that it points in as well as it can."""

    def frame(self, direction: FloatArray) -> FloatArray:
        """(3, 3) columns: the bone's axes in rig axes, for a bone that runs along ``direction`` (3,)."""
        first = direction / np.linalg.norm(direction) * _sign(self.along)
        aim = np.array(_DIRECTIONS[self.toward], dtype=np.float64) * _sign(self.second)
        other = aim - first * (first @ aim)
        if np.linalg.norm(other) < 1e-3:  # the bone runs that way itself: any right angle will do
            other = np.roll(first, 1) - first * (first @ np.roll(first, 1))
        other /= np.linalg.norm(other)
        one, two = "xyz".index(self.along[1]), "xyz".index(self.second[1])
        frame = np.zeros((3, 3))
        frame[:, one], frame[:, two] = first, other
        sign = 1.0 if (two - one) % 3 == 1 else -1.0
        frame[:, 3 - one - two] = sign * np.cross(first, other)
        return frame


@dataclass(frozen=True)
class FileRig:
    """The skeleton of a character's file, standing in rig axes: N joints, metres."""

    names: tuple[str, ...]
    """Joint names, parents before children."""
    parents: tuple[int, ...]
    """Index of each joint's parent, -1 for the root."""
    rest_xyz: FloatArray
    """(N, 3) where the joints are at rest; the floor is at 0."""
    frames: FloatArray
    """(N, 3, 3) the bones' axes at rest, in rig axes."""


@dataclass(frozen=True)
class Rig:
    """A rig that a motion is put on."""

    name: str
    """Its name or its file's."""
    names: Mapping[str, str]
    """{our joint: its name}."""
    extras: tuple[ExtraJoint, ...] = ()
    """Joints that our bodies lack."""
    arms_down_deg: float = 0.0
    """How far the arms hang below the horizontal at rest: 0 is a T pose."""
    axes: Mapping[str, BoneAxes] = field(default_factory=dict[str, BoneAxes])
    """Rules for the axes of bones by limb; parallel to the world's where there is none."""
    own: FileRig | None = None
    """Proportions and pose of a character's file; a person's if left out."""
    root_motion: RootMotion = "full"
    """``full``: the character travels. ``ground``: the root on the floor travels below it, ``in place``: it
    stays where it is."""

    @property
    def is_plain(self) -> bool:
        """Whether the rig is our own skeleton under other names."""
        shaped = self.extras or self.arms_down_deg or self.axes or self.own
        return not shaped and self.root_motion == "full"

    def with_options(self, *, rest: str = "rig", root_motion: str = "full") -> Rig:
        """The rig with a T pose at rest, or with another treatment of travel.

        Raises:
            RigError: a choice that there is not, or travel of a root that the rig has not.
        """
        if rest not in ("rig", "t"):
            raise RigError(f"no rest pose {rest!r}; choose rig or t")
        if root_motion not in ("full", "ground", "in place"):
            raise RigError(f"no root motion {root_motion!r}; choose full, ground or in place")
        if rest == "t" and self.own is not None:
            raise RigError(f"rig {self.name} rests as its file says; leave the rest pose out")
        has_root = any(extra.kind == "root" for extra in self.extras)
        if root_motion == "ground" and not has_root and self.own is None:
            root = ExtraJoint("root", kind="root")
            return replace(self, extras=(root, *self.extras)).with_options(rest=rest, root_motion=root_motion)
        arms = 0.0 if rest == "t" else self.arms_down_deg
        return replace(self, arms_down_deg=arms, root_motion=root_motion)


def load_rig(name: str) -> Rig:
    """A rig by name.

    Args:
        name: a preset of ``available_rigs()``, or the path of a TOML file like those in ``presets/``.

    Raises:
        RigError: no such preset or file, or one with mistakes in it.
    """
    table = rig_source(name)
    names = check_names(table.get("names"), name)
    sides = table.get("sides", ["left", "right"])
    try:
        left, right = (str(side) for side in sides)
        extras = tuple(
            joint for entry in table.get("joints", []) for joint in _extras(dict(entry), left, right)
        )
        axes = {limb: BoneAxes(**rule) for limb, rule in dict(table.get("axes", {})).items()}
        arms = float(table.get("arms_down_deg", 0.0))
    except (TypeError, ValueError) as error:
        raise RigError(f"rig {name!r}: {error}; see rigs/presets for examples") from error
    _check(name, names, extras, axes)
    return Rig(name, names, extras, arms, axes)


def _extras(entry: dict[str, Any], left: str, right: str) -> list[ExtraJoint]:
    """The joint of an entry; two where its name has a star, which stands for the side."""
    if "carries" in entry:
        entry["carries"] = tuple(entry["carries"])
    if "*" not in str(entry.get("name", "")):
        return [ExtraJoint(**entry)]
    made: list[ExtraJoint] = []
    for ours, theirs in (("left", left), ("right", right)):
        values = dict(entry)
        for key, value in entry.items():
            if isinstance(value, tuple):
                values[key] = tuple(_sided(text, ours, theirs) for text in cast("tuple[str, ...]", value))
            elif isinstance(value, str):
                values[key] = _sided(value, ours, theirs)
        made.append(ExtraJoint(**values))
    return made


def _sided(text: str, ours: str, theirs: str) -> str:
    return text.replace("*", ours if text.startswith("*_") else theirs)


def _check(
    rig: str, names: Mapping[str, str], extras: tuple[ExtraJoint, ...], axes: Mapping[str, BoneAxes]
) -> None:
    """Complain of the first mistake."""
    taken = set(names.values())
    for extra in extras:
        if extra.name in taken:
            raise RigError(f"rig {rig!r} has two joints named {extra.name!r}; rename one")
        if extra.kind not in ("", "root", "ik", "twist"):
            raise RigError(f"rig {rig!r}: {extra.name} is of no known kind ({extra.kind!r})")
        if extra.kind != "root" and extra.under not in {*names, *taken}:
            raise RigError(
                f"rig {rig!r}: {extra.name} hangs on {extra.under!r}, which is not there before it"
            )
        taken.add(extra.name)
    for limb, rule in axes.items():
        letters = {rule.along[1:], rule.second[1:]}
        fine = letters <= set("xyz") and len(letters) == 2 and rule.toward in _DIRECTIONS
        if limb not in LIMBS or not fine or {rule.along[:1], rule.second[:1]} - {"+", "-"}:
            raise RigError(f"rig {rig!r}: axes of {limb!r} cannot be used; see rigs/presets for examples")


def _sign(axis: str) -> float:
    return -1.0 if axis[0] == "-" else 1.0
