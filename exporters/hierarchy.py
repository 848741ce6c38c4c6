"""A character's skeleton as a target rig names it: the joints that are written, their order and tips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from exporters.axes import FloatArray
from exporters.errors import ExportError
from exporters.take import Character
from rigs.errors import RigError
from rigs.rig_names import load_rig_names

_SHORTEST_TIP_M = 0.005
"""A shorter end bone counts as none: importers make bones of their own where the length is zero."""


@dataclass(frozen=True)
class Hierarchy:
    """The written joints of a skeleton, each followed by its descendants. N of the skeleton's J joints."""

    names: tuple[str, ...]
    """Names in the target rig."""
    parents: tuple[int, ...]
    """Index of each joint's parent within these, -1 for the root."""
    source: tuple[int, ...]
    """Index of each joint in the skeleton."""
    rest_xyz: FloatArray
    """(N, 3) metres, rig axes."""
    tips: Mapping[int, FloatArray]
    """(3,) metres, rig axes: where the bone of each childless joint ends; never at the joint."""

    @property
    def offsets(self) -> FloatArray:
        """(N, 3) metres, rig axes: each joint from its parent at rest, zero for the root."""
        parents = np.maximum(self.parents, 0)
        return self.rest_xyz - self.rest_xyz[parents]

    def children(self, joint: int) -> list[int]:
        """Joints that hang on this one, in order."""
        return [child for child, parent in enumerate(self.parents) if parent == joint]


def name_hierarchy(character: Character, rig: str | Mapping[str, str]) -> Hierarchy:
    """Give a character's joints the names of a rig and leave out the joints that the rig has no name for.

    Only outer joints can be left out: their rotation moves nothing else. Where one was, the bone ends.

    Args:
        character: the person.
        rig: a preset's name, a path of a TOML file, or {our joint: name}.

    Raises:
        ExportError: the rig is unknown, or lacks a joint that carries others.
    """
    try:
        named = load_rig_names(rig) if isinstance(rig, str) else rig
    except RigError as error:
        raise ExportError(str(error)) from error
    skeleton = character.skeleton
    missing = [
        f"{skeleton.joint_names[parent]} (which carries {joint})"
        for joint, parent in zip(skeleton.joint_names, skeleton.parents, strict=True)
        if joint in named and parent >= 0 and skeleton.joint_names[parent] not in named
    ]
    if missing:
        raise ExportError(f"rig {rig if isinstance(rig, str) else 'names'} lacks {missing[0]}; name it too")
    order = _depth_first(skeleton.parents, [joint in named for joint in skeleton.joint_names])
    if not order:
        raise ExportError(f"the rig names none of {', '.join(skeleton.joint_names)}")
    place = {source: index for index, source in enumerate(order)}
    parents = tuple(place.get(skeleton.parents[source], -1) for source in order)
    tips = {
        index: _tip(character, source, named)
        for index, source in enumerate(order)
        if index not in set(parents)
    }
    return Hierarchy(
        names=tuple(named[skeleton.joint_names[source]] for source in order),
        parents=parents,
        source=tuple(order),
        rest_xyz=character.rest_xyz[order],
        tips=tips,
    )


def check_names(names: Sequence[str], format: str) -> None:
    """Refuse joint names that no program shows as they are, and those that two joints share.

    Raises:
        ExportError: the first such name.
    """
    for name in names:
        if not name or any(ord(sign) < 32 for sign in name):
            raise ExportError(f"{format} cannot hold the joint name {name!r}; use visible characters")
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ExportError(f"the rig gives the name {double[0]!r} to more than one joint; rename one")


def _depth_first(parents: tuple[int, ...], kept: list[bool]) -> list[int]:
    """Kept joints, each followed by its descendants; siblings stay in order."""
    roots = [joint for joint, parent in enumerate(parents) if parent < 0]
    if len(roots) != 1:
        raise ExportError(f"a skeleton with {len(roots)} roots cannot be written; give it one")
    order: list[int] = []
    waiting = roots
    while waiting:
        joint = waiting.pop()
        if kept[joint]:
            order.append(joint)
            waiting += [child for child in reversed(range(len(parents))) if parents[child] == joint]
    return order


def _tip(character: Character, joint: int, named: Mapping[str, str]) -> FloatArray:
    """Where a childless joint's bone ends: at the skeleton's tip, a left-out child, or a little on."""
    skeleton, rest_xyz = character.skeleton, character.rest_xyz
    name = skeleton.joint_names[joint]
    left_out = [
        child
        for child, parent in enumerate(skeleton.parents)
        if parent == joint and skeleton.joint_names[child] not in named
    ]
    candidates: list[FloatArray] = []
    if name in skeleton.tips:
        candidates.append(np.asarray(skeleton.tips[name].detach().cpu().numpy(), dtype=np.float64))
    if left_out:
        candidates.append(rest_xyz[left_out].mean(axis=0))
    parent = skeleton.parents[joint]
    if parent >= 0:
        candidates.append(rest_xyz[joint] + 0.5 * (rest_xyz[joint] - rest_xyz[parent]))
    for candidate in candidates:
        if np.linalg.norm(candidate - rest_xyz[joint]) >= _SHORTEST_TIP_M:
            return candidate
    return rest_xyz[joint] + np.array([0.0, 0.1, 0.0])
