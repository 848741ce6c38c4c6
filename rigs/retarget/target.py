"""A rig in the size of a person, or in its own: the tree of its joints, and what drives each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rigs.errors import RigError
from rigs.retarget.performance import SPINE, Performance, about, parent_of, turn_between
from rigs.rig import LIMBS, ExtraJoint, FileRig, Rig

FloatArray = NDArray[np.float64]

CHILD: Final[dict[str, tuple[str, ...]]] = {
    f"{side}_{joint}": tuple(f"{side}_{child}" for child in children)
    for side in ("left", "right")
    for joint, children in {
        "hip": ("knee",), "knee": ("ankle",), "ankle": ("foot",),
        "collar": ("shoulder",), "shoulder": ("elbow",), "elbow": ("wrist",),
        "wrist": ("middle1", "hand", "index1"),
        **{f"{finger}{n}": (f"{finger}{n + 1}",)
           for finger in ("thumb", "index", "middle", "ring", "pinky") for n in (1, 2)},
    }.items()
}  # fmt: skip
"""Where the bone of a joint runs: the first of these that there is."""
_AIMED: Final = ("hip", "knee", "shoulder", "elbow", "wrist")
"""Joints whose bone points in the target where it points in the source."""
_FINGERS: Final = ("thumb", "index", "middle", "ring", "pinky")
_ROOT_M: Final = np.array([0.0, 0.0, -2e-5])
"""A root on the floor, a hair beside the line below the pelvis: Blender joins a bone to a lone child that its
tail touches, and then the child cannot travel."""
_SHORTEST_M: Final = 0.005
"""A shorter bone has no direction."""


@dataclass(frozen=True)
class Driven:
    """How one joint of a target is driven."""

    name: str
    """Its name in the rig."""
    parent: int
    """Index of its parent, -1 for the root."""
    ours: str = ""
    """Our joint that it is."""
    extra: ExtraJoint | None = None
    """What the rig says of a joint that we lack."""


@dataclass(frozen=True)
class Target:
    """A rig at rest, N joints, parents before children; rig axes, metres, the floor at 0."""

    joints: tuple[Driven, ...]
    """The joints."""
    rest_xyz: FloatArray
    """(N, 3) where they are."""
    frames: FloatArray
    """(N, 3, 3) the bones' axes."""
    align: Mapping[str, FloatArray]
    """(3, 3) for our joints: what a turn of the source is behind, as the two rest poses differ."""
    scale: float
    """How long its legs are in those of the source."""
    fitted: bool
    """Whether it has the source's own proportions."""

    @property
    def parents(self) -> tuple[int, ...]:
        """Index of each joint's parent, -1 for the root."""
        return tuple(joint.parent for joint in self.joints)

    @property
    def offsets(self) -> FloatArray:
        """(N, 3) each joint from its parent; the root's own place."""
        parents = np.array(self.parents)
        return self.rest_xyz - np.where(parents[:, None] >= 0, self.rest_xyz[np.maximum(parents, 0)], 0.0)

    def index(self, ours: str) -> int | None:
        """The joint that is one of ours; None where there is none."""
        return next((place for place, joint in enumerate(self.joints) if joint.ours == ours), None)


def fit_target(rig: Rig, source: Performance) -> Target:
    """Bring a rig to a person's size, or a person's turns to a rig of its own proportions.

    Args:
        rig: the rig.
        source: whose rest pose it is compared with.

    Raises:
        RigError: the rig lacks a joint that carries others.
    """
    if rig.own is not None:
        joints = _own_joints(rig, rig.own)
        target = Target(joints, rig.own.rest_xyz, rig.own.frames, {}, 1.0, fitted=False)
    else:
        joints, rest_xyz = _sized(rig, source)
        target = Target(joints, rest_xyz, np.tile(np.eye(3), (len(joints), 1, 1)), {}, 1.0, fitted=True)
        target = _arms_down(target, np.deg2rad(rig.arms_down_deg))
        target = replace(target, frames=_frames(rig, target))
    scale = 1.0
    if not target.fitted:
        legs = _leg_length(target), _source_leg(source)
        if min(legs) < _SHORTEST_M:
            whose = f"rig {rig.name}" if legs[0] < _SHORTEST_M else "the performer"
            raise RigError(f"the legs of {whose} have no length at rest; name the joints that are meant")
        scale = legs[0] / legs[1]
    return replace(target, align=_alignment(target, source), scale=scale)


def _own_joints(rig: Rig, own: FileRig) -> tuple[Driven, ...]:
    """The joints of a file; those between two spines that we know share their turn."""
    ours = {theirs: joint for joint, theirs in rig.names.items()}
    extras = {extra.name: extra for extra in rig.extras}
    return tuple(
        Driven(name, parent, ours.get(name, ""), extras.get(name))
        for name, parent in zip(own.names, own.parents, strict=True)
    )


def _sized(rig: Rig, source: Performance) -> tuple[tuple[Driven, ...], FloatArray]:
    """Joints in order and their places (N, 3), all between joints of the person."""
    names = {ours: theirs for ours, theirs in rig.names.items() if ours in source.names}
    if "pelvis" not in names:
        raise RigError(f"rig {rig.name} has no name for the pelvis; name it too")
    parent: dict[str, str] = {}
    place: dict[str, FloatArray] = {}
    made: dict[str, tuple[str, ExtraJoint | None]] = {}
    for ours, theirs in names.items():
        if ours != "pelvis" and parent_of(ours) not in names:
            raise RigError(f"rig {rig.name} lacks {parent_of(ours)} (which carries {ours}); name it too")
        parent[theirs] = "" if ours == "pelvis" else names[parent_of(ours)]
        place[theirs], made[theirs] = source.rest(ours), (ours, None)
    for extra in rig.extras:
        _splice(extra, names, parent, place, made)
    order = _in_order(parent)
    indices = {name: index for index, name in enumerate(order)}
    joints = tuple(Driven(name, indices.get(parent[name], -1), *made[name]) for name in order)
    return joints, np.stack([place[name] for name in order])


def _splice(
    extra: ExtraJoint,
    names: Mapping[str, str],
    parent: dict[str, str],
    place: dict[str, FloatArray],
    made: dict[str, tuple[str, ExtraJoint | None]],
) -> None:
    """Hang one more joint into the tree, unless the body lacks what it belongs to."""
    toward = extra.toward or (extra.carries[0] if extra.carries else "")
    wanted = [*extra.carries, *([toward] if toward else []), *([extra.follows] if extra.follows else [])]
    if any(joint not in names for joint in wanted):
        return
    if extra.kind == "root":
        top = next(name for name, above in parent.items() if not above)
        parent[extra.name], place[extra.name] = "", _ROOT_M
        parent[top] = extra.name
    else:
        under = names.get(extra.under, extra.under)
        if under not in place:
            return
        parent[extra.name], place[extra.name] = under, place[under]
        if toward:
            place[extra.name] = place[under] + extra.at * (place[names[toward]] - place[under])
        if extra.follows:
            place[extra.name] = place[names[extra.follows]]
        for carried in extra.carries:
            parent[names[carried]] = extra.name
    made[extra.name] = ("", extra)


def _in_order(parent: Mapping[str, str]) -> list[str]:
    """Joint names, each followed by its descendants."""
    order: list[str] = []
    waiting = [name for name, above in parent.items() if not above]
    while waiting:
        name = waiting.pop()
        order.append(name)
        waiting += [child for child in reversed(list(parent)) if parent[child] == name]
    return order


def _arms_down(target: Target, angle: float) -> Target:
    """The rest pose with the arms turned down at the shoulders."""
    if not angle:
        return target
    rest_xyz = target.rest_xyz.copy()
    for side, sign in (("left", -1.0), ("right", 1.0)):
        shoulder = target.index(f"{side}_shoulder")
        if shoulder is None:
            continue
        turn = about(np.array([0.0, 0.0, 1.0]), np.array([sign * angle]))[0]
        for joint in below(target.parents, shoulder):
            rest_xyz[joint] = rest_xyz[shoulder] + turn @ (rest_xyz[joint] - rest_xyz[shoulder])
        for index, joint in enumerate(target.joints):  # what follows the hand rests where it does
            followed = target.index(joint.extra.follows) if joint.extra and joint.extra.follows else None
            if followed is not None:
                rest_xyz[index] = rest_xyz[followed]
    return replace(target, rest_xyz=rest_xyz)


def below(parents: tuple[int, ...], top: int) -> list[int]:
    """A joint and all its descendants."""
    found = {top}
    for joint, parent in enumerate(parents):
        if parent in found:
            found.add(joint)
    return sorted(found)


def limb_of(joint: str) -> str:
    """The part of the body that one of our joints belongs to, of ``LIMBS``."""
    side, _, part = joint.partition("_")
    if side not in ("left", "right") or part.startswith(("eye", "jaw")):
        return LIMBS[0]
    return f"{side}_leg" if part in ("hip", "knee", "ankle", "foot") else f"{side}_arm"


def _frames(rig: Rig, target: Target) -> FloatArray:
    """(N, 3, 3) axes of the bones by the rig's rules."""
    frames = np.tile(np.eye(3), (len(target.joints), 1, 1))
    for index, joint in enumerate(target.joints):
        extra = joint.extra
        ours = joint.ours or (_our_parent(target, index) if extra and extra.kind != "root" else "")
        if extra and extra.follows:
            frames[index] = frames[target.index(extra.follows) or 0]
        elif ours and limb_of(ours) in rig.axes and not (extra and extra.kind == "ik"):
            frames[index] = rig.axes[limb_of(ours)].frame(_direction(target, index, ours))
    return frames


def _our_parent(target: Target, index: int) -> str:
    """The nearest of our joints above one of the rig's."""
    while index >= 0 and not target.joints[index].ours:
        index = target.joints[index].parent
    return target.joints[index].ours if index >= 0 else ""


def _direction(target: Target, index: int, ours: str) -> FloatArray:
    """(3,) where a joint's bone runs at rest: the trunk up, limbs to their child, ends as their parent."""
    if limb_of(ours) == "trunk":
        return np.array([0.0, 1.0, 0.0])
    while ours:
        start = target.index(ours)
        for child in CHILD.get(ours, ()):
            end = target.index(child)
            if start is not None and end is not None:
                run = target.rest_xyz[end] - target.rest_xyz[start]
                if np.linalg.norm(run) > _SHORTEST_M:
                    return run
        above = target.joints[start].parent if start is not None else -1
        ours = _our_parent(target, above)
    return np.array([0.0, 1.0, 0.0])


def _leg_length(target: Target) -> float:
    """Metres from the floor up both legs' bones, mean of the sides."""
    total = 0.0
    for side in ("left", "right"):
        places = [target.index(f"{side}_{part}") for part in ("hip", "knee", "ankle")]
        if None in places:
            raise RigError(f"the rig has no {side} hip, knee and ankle; name the joints that are meant")
        hip, knee, ankle = (target.rest_xyz[place] for place in places if place is not None)
        total += float(np.linalg.norm(hip - knee) + np.linalg.norm(knee - ankle)) + float(ankle[1])
    return total / 2


def _source_leg(source: Performance) -> float:
    total = 0.0
    for side in ("left", "right"):
        hip, knee, ankle = (source.rest(f"{side}_{part}") for part in ("hip", "knee", "ankle"))
        total += float(np.linalg.norm(hip - knee) + np.linalg.norm(knee - ankle)) + float(ankle[1])
    return total / 2


def _alignment(target: Target, source: Performance) -> dict[str, FloatArray]:
    """For each of our joints in the target, ``C`` such that its turn is that of the source times ``C``.

    Bones of limbs point as in the source: ``C`` takes the target's direction at rest to the source's, by the
    smallest turn after that of the joint before. Feet keep their soles flat, so they turn about the vertical
    only; trunk, collars and head are parallel at rest in both.
    """
    align: dict[str, FloatArray] = {}
    for joint in target.joints:
        if not joint.ours:
            continue
        part = joint.ours.partition("_")[2]
        parallel = joint.ours in SPINE or part in ("collar", "ankle")
        turn = np.eye(3) if parallel else align.get(parent_of(joint.ours), np.eye(3))
        bones = _bones(target, source, joint.ours)
        if bones is not None and part == "ankle":
            flat = np.array([1.0, 0.0, 1.0])
            turn = turn_between(bones[0] * flat, bones[1] * flat)
        elif bones is not None and (part in _AIMED or part[:-1] in _FINGERS):
            turn = turn_between(turn @ bones[0], bones[1]) @ turn
        align[joint.ours] = turn
    return align


def _bones(target: Target, source: Performance, joint: str) -> tuple[FloatArray, FloatArray] | None:
    """(3,) each: a joint's bone at rest in target and source, each to the first child that it has."""
    start = target.index(joint)
    ends = [index for child in CHILD.get(joint, ()) if (index := target.index(child)) is not None]
    known = [child for child in CHILD.get(joint, ()) if child in source.names]
    if start is None or joint not in source.names or not ends or not known:
        return None
    theirs = target.rest_xyz[ends[0]] - target.rest_xyz[start]
    ours = source.rest(known[0]) - source.rest(joint)
    long = min(float(np.linalg.norm(theirs)), float(np.linalg.norm(ours))) > _SHORTEST_M
    return (theirs, ours) if long else None
