"""What is retargeted: a performance, told by how the limbs of its skeleton turn from their pose at rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rigs.errors import RigError
from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS

FloatArray = NDArray[np.float64]

SPINE = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
"""The trunk from below: joints between two that are known share their turn."""
_NEEDED = ("pelvis", *(f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle")))


@dataclass(frozen=True)
class Performance:
    """A person in motion over T frames: M of our joints, in the world and in rig axes at rest."""

    names: tuple[str, ...]
    """M of our joint names."""
    rest_xyz: FloatArray
    """(M, 3) metres, rig axes: a standing pose; the floor is at 0."""
    turn: FloatArray
    """(T, M, 3, 3) how each joint has turned from its rest: world from rig axes."""
    xyz: FloatArray
    """(T, M, 3) metres, world: where the joints are."""
    rate_hz: float
    """Frames a second."""
    contacts: Mapping[str, FloatArray] = field(default_factory=dict[str, FloatArray])
    """(T,) how surely what a motion calls ``left_heel``, ``left_foot``, ``left_hand``, ... stands."""

    def __post_init__(self) -> None:
        missing = [name for name in _NEEDED if name not in self.names]
        if missing:
            raise RigError(
                f"the skeleton has no {', '.join(missing)}; name the joints that are meant in a .toml file"
            )
        if self.turn.shape[1] != len(self.names) or self.xyz.shape[:2] != self.turn.shape[:2]:
            raise ValueError(f"turn {self.turn.shape} and xyz {self.xyz.shape} of {len(self.names)} joints")

    def index(self, joint: str) -> int:
        """Place of a joint among ``names``."""
        return self.names.index(joint)

    def place(self, joint: str) -> FloatArray:
        """(T, 3) where a joint is."""
        return self.xyz[:, self.index(joint)]

    def rest(self, joint: str) -> FloatArray:
        """(3,) where a joint is at rest."""
        return self.rest_xyz[self.index(joint)]

    def turn_of(self, joint: str) -> FloatArray:
        """(T, 3, 3) how a joint has turned; a joint that the skeleton lacks turns as its neighbours say."""
        if joint in self.names:
            return self.turn[:, self.index(joint)]
        if joint in SPINE:
            place = SPINE.index(joint)
            below = next(index for index in range(place, -1, -1) if SPINE[index] in self.names)
            above = next((index for index in range(place, len(SPINE)) if SPINE[index] in self.names), None)
            if above is None:
                return self.turn_of(SPINE[below])
            share = (place - below) / (above - below)
            return shared_turn(self.turn_of(SPINE[below]), self.turn_of(SPINE[above]), share)
        return self.turn_of(parent_of(joint))


def parent_of(joint: str) -> str:
    """Our joint that one of ours hangs on; fingers and faces hang on wrists and the head."""
    if joint in SMPL_JOINT_NAMES:
        return SMPL_JOINT_NAMES[max(SMPL_PARENTS[SMPL_JOINT_NAMES.index(joint)], 0)]
    if joint[-1:] in ("2", "3"):
        return f"{joint[:-1]}{int(joint[-1]) - 1}"
    return f"{joint.split('_', maxsplit=1)[0]}_wrist" if joint[-1:] == "1" else "head"


def ground(rest_xyz: FloatArray, lowest: float) -> FloatArray:
    """The rest pose with its lowest point on the floor."""
    return rest_xyz - np.array([0.0, lowest, 0.0])


def shared_turn(first: FloatArray, second: FloatArray, share: float) -> FloatArray:
    """(T, 3, 3) on the shortest way from one turn to the other, 0 being the first and 1 the second."""
    from scipy.spatial.transform import Rotation

    way = Rotation.from_matrix(np.swapaxes(first, -1, -2) @ second).as_rotvec()
    return first @ Rotation.from_rotvec(share * way).as_matrix()


def turn_between(first: FloatArray, second: FloatArray) -> FloatArray:
    """(..., 3, 3) smallest rotation that takes the direction of one vector (..., 3) to that of another."""
    from scipy.spatial.transform import Rotation

    one = first / np.maximum(np.linalg.norm(first, axis=-1, keepdims=True), 1e-12)
    two = second / np.maximum(np.linalg.norm(second, axis=-1, keepdims=True), 1e-12)
    axis = np.cross(one, two)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (one * two).sum(-1, keepdims=True))
    across = np.roll(one, 1, axis=-1) - one * (one * np.roll(one, 1, axis=-1)).sum(-1, keepdims=True)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-12)
    unit = np.where(sine > 1e-12, axis / np.maximum(sine, 1e-12), across)
    vector = (unit * angle).reshape(-1, 3)
    return Rotation.from_rotvec(vector).as_matrix().reshape(*axis.shape[:-1], 3, 3)


def roll_about(rotation: FloatArray, axis: FloatArray) -> FloatArray:
    """(T,) radians by which rotations (T, 3, 3) turn about an axis (3,), without jumps over time."""
    from scipy.spatial.transform import Rotation

    quaternion = Rotation.from_matrix(rotation).as_quat()
    unit = axis / max(float(np.linalg.norm(axis)), 1e-12)
    return np.unwrap(2 * np.arctan2(quaternion[:, :3] @ unit, quaternion[:, 3]))


def about(axis: FloatArray, angle: FloatArray) -> FloatArray:
    """(T, 3, 3) rotations by (T,) radians about an axis (3,)."""
    from scipy.spatial.transform import Rotation

    unit = axis / max(float(np.linalg.norm(axis)), 1e-12)
    return Rotation.from_rotvec(angle[:, None] * unit).as_matrix()
