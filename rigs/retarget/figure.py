"""The parts of a target that may turn a little, and how places of the target move with them.

Bones are turned in the world, each for itself: a bone that turns leaves the direction of all others as it
is, and only carries what hangs on it. So a place moves by the sum of what the bones above it do, which makes
the derivatives of the whole figure one cross product for each part.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rigs.retarget.performance import SPINE
from rigs.retarget.pose import Turns, joint_turns, place_joints, root_turns
from rigs.retarget.target import Target

FloatArray = NDArray[np.float64]

_SIDED: Final = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
PARTS: Final = ("pelvis", "chest", *(f"{side}_{part}" for side in ("left", "right") for part in _SIDED))
"""Parts that turn: of the trunk the lower and the upper end, of limbs each bone."""
_CHEST: Final = {"spine1": 1 / 3, "spine2": 2 / 3, "spine3": 1.0}
"""How far a joint of the spine turns as the chest does rather than as the pelvis."""
_NECK = 0.5
"""The neck makes up half of what the chest turns; the head looks where it looked."""
_CARRIED: Final = {
    "collar": "chest", "foot": "ankle", "hand": "wrist",
    **{f"{finger}{n}": "wrist"
       for finger in ("thumb", "index", "middle", "ring", "pinky") for n in (1, 2, 3)},
}  # fmt: skip
"""Joints that turn with a part."""


def parts_of_joints(target: Target) -> FloatArray:
    """(N, P) how much each joint of a target turns with each of ``PARTS``."""
    shares = np.zeros((len(target.joints), len(PARTS)))
    for index, joint in enumerate(target.joints):
        extra = joint.extra
        if joint.ours:
            shares[index] = _shares(joint.ours)
        elif extra and extra.kind == "twist":
            shares[index] = _shares(extra.under)
        elif extra and extra.share:
            ends = _shares(extra.under), _shares(extra.toward or extra.carries[0])
            shares[index] = (1 - extra.share) * ends[0] + extra.share * ends[1]
        elif joint.parent >= 0 and not (extra and extra.kind in ("root", "ik")):
            shares[index] = shares[joint.parent]
    return shares


def _shares(ours: str) -> FloatArray:
    """(P,) how much one of our joints turns with each part."""
    row = np.zeros(len(PARTS))
    side, _, part = ours.partition("_")
    if ours in _CHEST:
        row[PARTS.index("pelvis")], row[PARTS.index("chest")] = 1 - _CHEST[ours], _CHEST[ours]
    elif ours == "neck":
        row[PARTS.index("chest")] = _NECK
    elif ours in PARTS:
        row[PARTS.index(ours)] = 1.0
    elif part in _CARRIED and ours not in SPINE:
        carrier = _CARRIED[part]
        row[PARTS.index(carrier if carrier in PARTS else f"{side}_{carrier}")] = 1.0
    return row


class Figure:
    """A target over T frames whose parts can be turned and which can be shifted."""

    def __init__(self, target: Target, turns: Turns, pelvis_xyz: FloatArray) -> None:
        """Take the pose to start from.

        Args:
            target: the rig.
            turns: (T, 3, 3) of our joints in the target: world from rig axes.
            pelvis_xyz: (T, 3) metres, world.
        """
        self.target = target
        self.shares = parts_of_joints(target)
        self._first = joint_turns(target, turns, root_turns(len(pelvis_xyz)))
        self._pelvis_xyz, self._pelvis = pelvis_xyz, target.index("pelvis") or 0
        self._offsets = target.offsets
        self.turn, self.xyz = self._first, place_joints(target, self._first, pelvis_xyz)
        self._vectors: dict[int, FloatArray] = {}
        self._known: dict[int, FloatArray] = {}

    def cut(self, frames: slice) -> Figure:
        """Some of the frames as they were at first."""
        part = copy(self)
        part._first, part._pelvis_xyz = self._first[frames], self._pelvis_xyz[frames]
        part.pose(np.zeros((len(part._first), 1 + len(PARTS), 3)))
        return part

    def pose(self, state: FloatArray) -> None:
        """Take a state (T, 1 + P, 3): metres of travel, then the parts' rotation vectors in the world."""
        from scipy.spatial.transform import Rotation

        self.turn, self._vectors, self._known = self._first.copy(), {}, {}
        for joint in np.flatnonzero(self.shares.any(1)):
            vector = np.einsum("p,tpc->tc", self.shares[joint], state[:, 1:])
            self._vectors[int(joint)] = vector
            self.turn[:, joint] = Rotation.from_rotvec(vector).as_matrix() @ self._first[:, joint]
        self.xyz = place_joints(self.target, self.turn, self._pelvis_xyz + state[:, 0])

    def place(self, joint: int, arm: FloatArray) -> FloatArray:
        """(T, 3) metres, world: a point fixed to a joint, ``arm`` (3,) from it at rest."""
        return self.xyz[:, joint] + self.turn[:, joint] @ arm

    def slopes(self, joint: int, arm: FloatArray, parts: Sequence[int]) -> FloatArray:
        """(T, 3, 3 + 3 p) how a point moves with the travel and with the vectors of some parts."""
        found = self._joint_slopes(joint)
        if arm.any():
            found = found + self._carried(joint, self.turn[:, joint] @ arm)
        chosen = found[:, :, [0, *(1 + part for part in parts)]]
        return chosen.reshape(len(self.xyz), 3, -1)

    def _joint_slopes(self, joint: int) -> FloatArray:
        """(T, 3, 1 + P, 3) how a joint's place moves: as the one above does, and what that one carries."""
        if joint not in self._known:
            if joint == self._pelvis:
                found = np.zeros((len(self.xyz), 3, 1 + len(PARTS), 3))
                found[:, :, 0] = np.eye(3)
            else:
                parent = self.target.joints[joint].parent
                bone = self.turn[:, parent] @ self._offsets[joint]
                found = self._joint_slopes(parent) + self._carried(parent, bone)
            self._known[joint] = found
        return self._known[joint]

    def _carried(self, joint: int, run: FloatArray) -> FloatArray:
        """(T, 3, 1 + P, 3) how the end of what a joint carries, (T, 3) metres long, moves against it."""
        import torch

        from rigs.kinematics import left_jacobian

        found = np.zeros((len(run), 3, 1 + len(PARTS), 3))
        if joint in self._vectors:
            slope = -_cross(run) @ left_jacobian(torch.from_numpy(self._vectors[joint])).numpy()
            for part in np.flatnonzero(self.shares[joint]):
                found[:, :, 1 + part] = self.shares[joint, part] * slope
        return found


def _cross(vector: FloatArray) -> FloatArray:
    """(T, 3, 3) matrices that take the cross product with (T, 3) vectors from the left."""
    x, y, z = vector.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
