"""Brings bodies into the zero pose: arms out along x, legs three degrees apart, soles flat.

First from Anny's rest pose with Anny's bones, then once more with the 24 joints of the result, whose places
differ a little from Anny's bone heads. Bones are turned in the world; what hangs on them follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_ABDUCTION_DEG: Final = 3.0
"""Angle of the legs to the vertical: at zero the thighs of heavy bodies run into each other."""
_CLAVICLE_DEG, _SHOULDER_DEG = 10.0, 18.0
"""How far clavicle and shoulder blade rise with the arm from Anny's rest pose to the horizontal."""

FIRST_JOINT: Final[dict[str, str]] = {
    "pelvis": "root",
    "spine1": "spine04",
    "spine2": "spine02",
    "spine3": "spine01",
    "neck": "neck01",
    "head": "head",
    "left_hip": "upperleg01.L",
    "left_knee": "lowerleg01.L",
    "left_ankle": "foot.L",
    "left_foot": "toe2-1.L",
    "left_collar": "clavicle.L",
    "left_shoulder": "upperarm01.L",
    "left_elbow": "lowerarm01.L",
    "left_wrist": "wrist.L",
    "left_hand": "finger3-1.L",
}
"""The bone of Anny whose head is the joint; the right side has .R."""


def bone_of(joint: str) -> str:
    """The bone of Anny whose head is an SMPL joint."""
    if joint.startswith("right_"):
        return FIRST_JOINT["left_" + joint.removeprefix("right_")].replace(".L", ".R")
    return FIRST_JOINT[joint]


def straighten_anny(
    vertices: FloatArray, heads: FloatArray, names: Sequence[str], parents: Sequence[int], weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Anny's rest pose (arms down, elbows bent, feet apart) to the zero pose.

    Args:
        vertices: (n, V, 3) metres, rest axes.
        heads: (n, 104, 3) bone heads.
        names: of the bones.
        parents: of the bones.
        weights: (V, 104) skin weights.

    Returns:
        vertices and heads in the zero pose, the root's head at the origin.
    """
    at = {name: heads[:, index] for index, name in enumerate(names)}
    turns: dict[str, FloatArray] = {}
    for side, sign in ((".L", 1.0), (".R", -1.0)):
        arm = _arm_turns({name.removesuffix(side): at[name] for name in names if name.endswith(side)}, sign)
        leg = _leg_turns({name.removesuffix(side): at[name] for name in names if name.endswith(side)}, sign)
        turns |= {name + side: turn for name, turn in (arm | leg).items()}
    rotation = inherited([turns.get(name) for name in names], parents, len(heads))
    posed, posed_heads = skin(vertices, heads, rotation, parents, weights)
    origin = posed_heads[:, :1]
    return posed - origin, posed_heads - origin


def straighten_joints(
    vertices: FloatArray,
    joints: FloatArray,
    names: Sequence[str],
    parents: Sequence[int],
    weights: FloatArray,
) -> FloatArray:
    """Arms and legs once more, with SMPL's joints; arguments as ``straighten_anny``."""
    at = {name: joints[:, index] for index, name in enumerate(names)}
    turns: dict[str, FloatArray] = {}
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        x, leg = np.array([sign, 0, 0]), _leg_direction(sign)
        for start, end, direction in (
            *(("hip", "knee", leg), ("knee", "ankle", leg)),
            *(("shoulder", "elbow", x), ("elbow", "wrist", x), ("wrist", "hand", x)),
        ):
            turns[side + start] = shortest_turn(at[side + end] - at[side + start], direction)
        turns[side + "ankle"] = np.broadcast_to(np.eye(3), (len(joints), 3, 3))
    rotation = inherited([turns.get(name) for name in names], parents, len(joints))
    return skin(vertices, joints, rotation, parents, weights)[0]


def _arm_turns(at: Mapping[str, FloatArray], sign: float) -> dict[str, FloatArray]:
    """World turns (n, 3, 3) of the bones of one arm; its elbow then bends about y alone."""
    x, y, z = sign * np.array([1.0, 0, 0]), np.array([0.0, 1, 0]), np.array([0.0, 0, 1])
    upper, fore = at["lowerarm01"] - at["upperarm01"], at["wrist"] - at["lowerarm01"]
    hinge = np.cross(upper, fore)
    blade = about(z, np.full(len(upper), sign * np.deg2rad(_SHOULDER_DEG)))
    turns = {"clavicle": about(z, np.full(len(upper), sign * np.deg2rad(_CLAVICLE_DEG))), "shoulder01": blade}
    turns["upperarm02"] = frame_turn(upper, hinge, x, -sign * y)
    swung = shortest_turn((blade @ upper[..., None])[..., 0], x) @ blade
    # half of the twist at the shoulder goes into each of the two bones, and so below the elbow
    turns["upperarm01"] = about(x, 0.5 * _twist(turns["upperarm02"] @ _inverse(swung), x)) @ swung
    turns["lowerarm01"] = frame_turn(fore, hinge, x, -sign * y)
    turns["wrist"] = frame_turn(at["finger3-1"] - at["wrist"], at["finger2-1"] - at["finger5-1"], x, z)
    twist = _twist(turns["wrist"] @ _inverse(turns["lowerarm01"]), x)
    turns["lowerarm02"] = about(x, 0.5 * twist) @ turns["lowerarm01"]
    return turns


def _leg_turns(at: Mapping[str, FloatArray], sign: float) -> dict[str, FloatArray]:
    """World turns (n, 3, 3) of the bones of one leg; the foot only turns about the vertical."""
    direction = _leg_direction(sign)
    turns = {
        "upperleg01": shortest_turn(at["lowerleg01"] - at["upperleg01"], direction),
        "lowerleg01": shortest_turn(at["foot"] - at["lowerleg01"], direction),
    }
    ahead = at["toe2-1"] - at["foot"]
    turns["foot"] = about(np.array([0.0, 1, 0]), -np.arctan2(ahead[:, 0], ahead[:, 2]))
    return turns


def _leg_direction(sign: float) -> FloatArray:
    angle = np.deg2rad(_ABDUCTION_DEG)
    return np.array([sign * np.sin(angle), -np.cos(angle), 0.0])


def inherited(turns: Sequence[FloatArray | None], parents: Sequence[int], count: int) -> FloatArray:
    """(n, J, 3, 3) world turns of all bones: their own where given, else their parent's."""
    rotation = np.zeros((count, len(parents), 3, 3))
    for bone, parent in enumerate(parents):
        own = turns[bone]
        if own is not None:
            rotation[:, bone] = own
        else:
            rotation[:, bone] = np.eye(3) if parent < 0 else rotation[:, parent]
    return rotation


def skin(
    vertices: FloatArray, heads: FloatArray, rotation: FloatArray, parents: Sequence[int], weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Linear blend skinning with world turns; bones keep their lengths and the roots their places.

    Args:
        vertices: (n, V, 3).
        heads: (n, J, 3).
        rotation: (n, J, 3, 3) world turns.
        parents: of the J bones.
        weights: (V, J).

    Returns:
        vertices (n, V, 3) and heads (n, J, 3), turned.
    """
    placed = heads.copy()
    for bone, parent in enumerate(parents):
        if parent >= 0:
            offset = heads[:, bone] - heads[:, parent]
            placed[:, bone] = placed[:, parent] + (rotation[:, parent] @ offset[..., None])[..., 0]
    shift = placed - (rotation @ heads[..., None])[..., 0]
    motion = np.concatenate([rotation, shift[..., None]], -1).reshape(len(heads), -1, 12)
    blended = (weights @ motion).reshape(*vertices.shape, 4)
    return np.einsum("nvab,nvb->nva", blended[..., :3], vertices) + blended[..., 3], placed


def about(axis: FloatArray, angle: FloatArray) -> FloatArray:
    """(n, 3, 3) turns by (n,) radians about unit axes (3,) or (n, 3)."""
    axis = np.broadcast_to(axis, (len(angle), 3))
    cross = np.zeros((len(angle), 3, 3))
    for row, column, part, sign in ((0, 1, 2, -1), (0, 2, 1, 1), (1, 2, 0, -1)):
        cross[:, row, column], cross[:, column, row] = sign * axis[:, part], -sign * axis[:, part]
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + sine * cross + (1 - cosine) * cross @ cross


def shortest_turn(start: FloatArray, end: FloatArray) -> FloatArray:
    """(n, 3, 3) the smallest turns that bring directions (n, 3) onto (3,) or (n, 3)."""
    start, end = _unit(start), _unit(np.broadcast_to(end, start.shape))
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=-1)
    angle = np.arctan2(sine, (start * end).sum(-1))
    return about(axis / np.maximum(sine, 1e-300)[:, None], angle)


def frame_turn(
    first: FloatArray, second: FloatArray, to_first: FloatArray, to_second: FloatArray
) -> FloatArray:
    """(n, 3, 3) turns of ``first`` (n, 3) onto ``to_first`` (3,), and of ``second`` towards ``to_second``."""
    source = _frame(first, second)
    target = _frame(np.broadcast_to(to_first, first.shape), np.broadcast_to(to_second, first.shape))
    return target @ _inverse(source)


def _frame(first: FloatArray, second: FloatArray) -> FloatArray:
    """(n, 3, 3) right-handed frames with columns along ``first`` and across it towards ``second``."""
    one = _unit(first)
    two = _unit(second - (second * one).sum(-1, keepdims=True) * one)
    return np.stack([one, two, np.cross(one, two)], -1)


def _twist(rotation: FloatArray, axis: FloatArray) -> FloatArray:
    """(n,) radians: the part of turns (n, 3, 3) about a unit axis (3,) that they keep in place."""
    skew = np.stack([rotation[:, 2, 1] - rotation[:, 1, 2], rotation[:, 0, 2] - rotation[:, 2, 0],
                     rotation[:, 1, 0] - rotation[:, 0, 1]], -1)  # fmt: skip
    return np.arctan2(skew @ axis, np.trace(rotation, axis1=1, axis2=2) - 1)


def _inverse(rotation: FloatArray) -> FloatArray:
    return np.swapaxes(rotation, -1, -2)


def _unit(vector: FloatArray) -> FloatArray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
