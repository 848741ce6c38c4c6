"""A made-up person who walks a curve, waves and turns round: known to the last digit, and easy to look at."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from exporters import Character, Take
from rigs.kinematics import rotation_from_rotvec, world_from_joint
from rigs.motion import Motion
from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS, Skeleton

# Rest places in metres, rig axes, of the middle and the left; the right is the mirror image. Nobody's body.
MIDDLE = {
    "pelvis": (0.0, 0.0, 0.0),
    "spine1": (0.0, 0.11, -0.02),
    "spine2": (0.0, 0.25, -0.01),
    "spine3": (0.0, 0.31, 0.01),
    "neck": (0.0, 0.52, -0.03),
    "head": (0.0, 0.61, 0.02),
}
LEFT = {
    "hip": (0.09, -0.09, 0.0),
    "knee": (0.1, -0.47, 0.01),
    "ankle": (0.095, -0.87, -0.03),
    "foot": (0.12, -0.93, 0.09),
    "collar": (0.07, 0.43, -0.02),
    "shoulder": (0.18, 0.46, -0.03),
    "elbow": (0.44, 0.45, -0.05),
    "wrist": (0.69, 0.46, -0.05),
    "hand": (0.78, 0.45, -0.05),
}
TIPS = {
    "head": (0.0, 0.82, 0.03),
    "left_foot": (0.13, -0.95, 0.17),
    "right_foot": (-0.13, -0.95, 0.17),
}
SOLE_M = 0.95
"""Height of the pelvis above the soles at rest."""

Array = NDArray[np.float64]


def rest_places() -> Array:
    """(24, 3) metres, rig axes."""
    places: list[tuple[float, float, float]] = []
    for joint in SMPL_JOINT_NAMES:
        side, _, part = joint.partition("_")
        if joint in MIDDLE:
            places.append(MIDDLE[joint])
        else:
            x, y, z = LEFT[part]
            places.append((x if side == "left" else -x, y, z))
    return np.array(places)


def made_up_skeleton(*, root_xyz: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Skeleton:
    """A person 1.77 m tall; ``root_xyz`` puts the rest pelvis off the origin, as SMPL does."""
    shift = torch.tensor(root_xyz, dtype=torch.float64)
    tips = {joint: torch.tensor(xyz, dtype=torch.float64) + shift for joint, xyz in TIPS.items()}
    return Skeleton(SMPL_JOINT_NAMES, SMPL_PARENTS, torch.from_numpy(rest_places()) + shift, tips)


def walking_poses(time_s: Array) -> Array:
    """(T, 24, 3) rotation vectors in rig axes; the root's is its turn from a stand facing +Z."""
    step = 2 * np.pi * 0.9 * time_s
    poses = np.zeros((len(time_s), 24, 3))

    def turn(joint: str, order: str, *degrees: Array | float) -> None:
        angles = np.stack([np.broadcast_to(angle, time_s.shape) for angle in degrees], axis=-1)
        poses[:, SMPL_JOINT_NAMES.index(joint)] = Rotation.from_euler(order, angles, degrees=True).as_rotvec()

    for side, phase, mirror in (("left", 0.0, 1.0), ("right", np.pi, -1.0)):
        swing = np.sin(step + phase)
        turn(f"{side}_hip", "X", -25 * swing - 5)
        turn(f"{side}_knee", "X", 10 + 45 * np.clip(np.cos(step + phase), 0, None))
        turn(f"{side}_ankle", "X", 8 * swing)
        turn(f"{side}_foot", "X", -10 * np.clip(-swing, 0, None))
        turn(f"{side}_collar", "Z", -4 * mirror)
        # Over the arms' way down and up again lies a frame near the lock of most Euler orders.
        lift = -75 * mirror + (160 * np.sin(0.5 * time_s * np.pi / 1.5) ** 4 if side == "right" else 0.0)
        turn(f"{side}_shoulder", "YZX", 20 * mirror * swing, lift, 5.0)
        turn(f"{side}_elbow", "Y", -mirror * (20 + 15 * swing))
        turn(f"{side}_wrist", "ZX", 10 * mirror * swing, 15.0)
        turn(f"{side}_hand", "Z", 12.0 * mirror)
    turn("spine1", "YX", 6 * np.sin(step), 4.0)
    turn("spine3", "Y", -9 * np.sin(step))
    turn("head", "YX", 15 * np.sin(step / 3), 5 * np.cos(step))
    return poses


def walking_character(
    name: str = "0",
    *,
    num_frames: int = 91,
    rate_hz: float = 30.0,
    turns: float = 1.25,
    root_xyz: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Character:
    """Walks along a curve at 1.2 m/s, and spins ``turns`` times on the way."""
    time_s = np.arange(num_frames) / rate_hz
    skeleton = made_up_skeleton(root_xyz=root_xyz)
    poses = walking_poses(time_s)
    progress = time_s / time_s[-1] if num_frames > 1 else time_s
    heading = 2 * np.pi * turns * progress
    lean = Rotation.from_euler("X", 4.0, degrees=True)
    # World from rig is a quarter turn about x; headings are about the world's z.
    upright = Rotation.from_euler("x", 90, degrees=True)
    poses[:, 0] = (Rotation.from_euler("z", heading[:, None]) * upright * lean).as_rotvec()
    pelvis = np.stack(
        [
            0.4 + 0.3 * np.sin(1.2 * time_s),
            0.7 - 1.2 * time_s,
            SOLE_M - 0.03 + 0.02 * np.cos(4 * np.pi * 0.9 * time_s),
        ],
        axis=1,
    )
    trans = pelvis - np.array(root_xyz)
    rotation = rotation_from_rotvec(torch.from_numpy(poses))
    joints = world_from_joint(rotation, skeleton.offsets, SMPL_PARENTS, torch.from_numpy(trans))[1]
    motion = Motion(
        poses=poses.reshape(num_frames, -1),
        trans=trans,
        betas=np.zeros(1),
        gender="neutral",
        mocap_framerate=rate_hz,
        time_s=time_s,
        joint_names=SMPL_JOINT_NAMES,
        joints=joints.numpy(),
    )
    return Character(name, skeleton, motion)


def walking_take(*names: str, **options: float) -> Take:
    """One person for each name, ``"0"`` if none is given."""
    return Take("walk", tuple(walking_character(name, **options) for name in names or ("0",)))  # type: ignore[arg-type]
