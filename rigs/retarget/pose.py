"""How every joint of a target turns, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rigs.retarget.performance import about, parent_of, roll_about, shared_turn, turn_between
from rigs.retarget.target import CHILD, Target

FloatArray = NDArray[np.float64]

WORLD_FROM_RIG: Final[FloatArray] = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Someone who rests facing +Z, Y up, stands in the world facing -Y, Z up."""

Turns = Mapping[str, FloatArray]
"""(T, 3, 3) for each of our joints in the target: world from rig axes."""


def joint_turns(target: Target, turns: Turns, root_turn: FloatArray) -> FloatArray:
    """(T, N, 3, 3) of all joints: ours as they are, the rig's own by their shares of twist and bend.

    Args:
        target: the rig.
        turns: of our joints.
        root_turn: (T, 3, 3) of a root on the floor.
    """
    rolling = {joint.extra.under for joint in target.joints if joint.extra and joint.extra.kind == "twist"}
    result = np.empty((len(root_turn), len(target.joints), 3, 3))
    for index, joint in enumerate(target.joints):
        extra = joint.extra
        if joint.ours in turns:
            own = turns[joint.ours]
            result[:, index] = _unrolled(target, turns, joint.ours, 1.0) if joint.ours in rolling else own
        elif extra is None:
            result[:, index] = result[:, joint.parent] if joint.parent >= 0 else root_turn
        elif extra.kind == "root" or (extra.kind == "ik" and not extra.follows):
            result[:, index] = root_turn
        elif extra.kind == "ik":
            result[:, index] = turns[extra.follows]
        elif extra.kind == "twist":
            result[:, index] = turns[extra.under]
        elif extra.untwist:
            result[:, index] = _unrolled(target, turns, extra.under, extra.untwist)
        elif extra.twist:
            toward = extra.toward or extra.carries[0]
            along = bone_direction(target, extra.under)
            roll = roll_about(np.swapaxes(turns[extra.under], -1, -2) @ turns[toward], along)
            result[:, index] = turns[extra.under] @ about(along, extra.twist * roll)
        elif extra.share:
            toward = extra.toward or extra.carries[0]
            result[:, index] = shared_turn(turns[extra.under], turns[toward], extra.share)
        else:
            result[:, index] = result[:, joint.parent]
    return result


def _unrolled(target: Target, turns: Turns, joint: str, share: float) -> FloatArray:
    """(T, 3, 3) a joint's turn less a share of its roll against the joint above."""
    along = bone_direction(target, joint)
    roll = roll_about(np.swapaxes(turns[parent_of(joint)], -1, -2) @ turns[joint], along)
    return turns[joint] @ about(along, -share * roll)


def bone_direction(target: Target, joint: str) -> FloatArray:
    """(3,) from one of our joints to its child at rest; up where it has none."""
    start = target.index(joint)
    for child in CHILD.get(joint, ()):
        end = target.index(child)
        if start is not None and end is not None:
            return target.rest_xyz[end] - target.rest_xyz[start]
    return np.array([0.0, 1.0, 0.0])


def place_joints(target: Target, turns: FloatArray, pelvis_xyz: FloatArray) -> FloatArray:
    """(T, N, 3) metres, world, of all joints that hang on the pelvis; those above it stand on the floor.

    Args:
        target: the rig.
        turns: (T, N, 3, 3) of its joints.
        pelvis_xyz: (T, 3) where the pelvis is.
    """
    xyz = np.zeros((*turns.shape[:2], 3))
    pelvis = target.index("pelvis") or 0
    offsets = target.offsets
    xyz[:, pelvis] = pelvis_xyz
    for index, joint in enumerate(target.joints):
        if joint.parent < 0 and index != pelvis:
            xyz[:, index] = WORLD_FROM_RIG @ target.rest_xyz[index]
        elif index != pelvis:
            xyz[:, index] = xyz[:, joint.parent] + turns[:, joint.parent] @ offsets[index]
    for index, joint in enumerate(target.joints):
        followed = target.index(joint.extra.follows) if joint.extra and joint.extra.follows else None
        if followed is not None:
            xyz[:, index] = xyz[:, followed]
    return xyz


def bend_limb(
    turns: dict[str, FloatArray], places: tuple[FloatArray, FloatArray, FloatArray], joints: tuple[str, str],
    shift: FloatArray,
) -> None:  # fmt: skip
    """Move the end of a limb by bending it: its upper and lower bone turn as little as they can.

    Args:
        turns: of our joints; those of the limb are replaced.
        places: (T, 3) each: where its three joints are.
        joints: names of the first two.
        shift: (T, 3) metres that the end moves; cut where the limb is too short for it.
    """
    top, middle, end = places
    first, second = (np.linalg.norm(b - a, axis=-1) for a, b in ((top, middle), (middle, end)))
    goal = end + shift
    reach = np.linalg.norm(goal - top, axis=-1)
    lowest, highest = np.abs(first - second) + 1e-6, first + second - 1e-9
    new_reach = np.clip(reach, lowest, highest)
    goal = top + (goal - top) * (new_reach / np.maximum(reach, 1e-9))[:, None]
    along = (goal - top) / new_reach[:, None]
    side = middle - top - along * ((middle - top) * along).sum(-1, keepdims=True)
    side /= np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-12)
    run = (first**2 + new_reach**2 - second**2) / (2 * new_reach)
    out = np.sqrt(np.maximum(first**2 - run**2, 0.0))
    new_middle = top + along * run[:, None] + side * out[:, None]
    turns[joints[0]] = turn_between(middle - top, new_middle - top) @ turns[joints[0]]
    turns[joints[1]] = turn_between(end - middle, goal - new_middle) @ turns[joints[1]]
