"""How every joint of a target turns, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rigs.retarget.performance import about, parent_of, roll_about, shared_turn
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


def root_turns(num_frames: int) -> FloatArray:
    """(T, 3, 3) of a root that stands on the floor and faces the world's -Y."""
    return np.tile(WORLD_FROM_RIG, (num_frames, 1, 1))


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
