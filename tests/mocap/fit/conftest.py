"""A person whose motion is known exactly, and the keypoints that a detector would see of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mocap.keypoints import Keypoints3D
from rigs.body import Body, load_body
from rigs.keypoints import KEYPOINT_SETS
from rigs.limits import joint_limits

STANDING = Rotation.from_euler("x", 90, degrees=True)
LIMBS = [f"{side}_{joint}" for side in ("left", "right") for joint in
         ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")]  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What the keypoints were made from."""

    points: Keypoints3D
    poses: np.ndarray
    trans: np.ndarray
    betas: np.ndarray
    joints: np.ndarray

    def limb_error_mm(self, body: Body, joints: np.ndarray) -> np.ndarray:
        """(T, 12) distance of limb joints from the truth."""
        which = [body.joint_names.index(name) for name in LIMBS]
        return 1000 * np.linalg.norm((joints - self.joints)[:, which], axis=-1)


@pytest.fixture(scope="session")
def body() -> Body:
    torch.set_num_threads(1)
    return load_body()


def smooth_poses(
    body: Body, frames: int, rate_hz: float, root: Rotation, random: np.random.Generator
) -> np.ndarray:
    """(T, J, 3) rotation vectors that swing within the joints' ranges, of a person who turns."""
    lower, upper = (wall.numpy() for wall in joint_limits(body.joint_names))
    time_s = np.arange(frames) / rate_hz
    poses = np.zeros((frames, len(body.joint_names), 3))
    for joint, name in enumerate(body.joint_names[1:], 1):
        if not name.endswith(("hand", "foot")):
            amount = 0.15 if name.startswith("spine") or name.endswith("collar") else 0.4
            middle, reach = (lower[joint] + upper[joint]) / 2, (upper[joint] - lower[joint]) / 2
            wave = np.sin(2 * np.pi * random.uniform(0.2, 0.6, 3) * time_s[:, None] + random.uniform(0, 6, 3))
            poses[:, joint] = amount * (middle + reach * wave)
    turn = Rotation.from_euler("z", time_s[:, None])
    poses[:, 0] = (turn * root).as_rotvec()
    return poses


@pytest.fixture
def make_truth(body: Body) -> Callable[..., Truth]:
    """Keypoints of a known motion."""

    def make(
        frames: int = 40, *, rate_hz: float = 30.0, noise_m: float = 0.0, root: Rotation = STANDING,
        seed: int = 5,
        names: tuple[str, ...] = KEYPOINT_SETS["blazepose33"], keypoint_set: str = "blazepose33",
        offset_sigmas: float = 0.0,
    ) -> Truth:  # fmt: skip
        random = np.random.default_rng(seed)
        poses = smooth_poses(body, frames, rate_hz, root, random).reshape(frames, -1)
        phase = np.arange(frames) / rate_hz
        trans = np.stack([np.sin(phase), np.cos(phase), 1.2 + 0.1 * np.sin(3 * phase)], -1)
        betas = np.clip(random.normal(size=body.num_betas), -1.5, 1.5)
        model = body.detector_model(names, keypoint_set)
        offsets = (
            torch.from_numpy(random.normal(size=(len(names), 3))) * model.sigma_m[:, None] * offset_sigmas
        )
        rotation, joints = body.pose_frames(poses, trans, betas)
        seen = model.with_offsets(offsets).pose(rotation, joints, torch.from_numpy(betas)).numpy()
        seen = seen + noise_m * random.normal(size=seen.shape)
        return Truth(keypoints(names, phase, seen, max(noise_m, 1e-3)), poses, trans, betas, joints.numpy())

    return make


def keypoints(names: tuple[str, ...], time_s: np.ndarray, xyz: np.ndarray, sd_m: float) -> Keypoints3D:
    """One person's keypoints (T, K, 3) with the same uncertainty everywhere."""
    shape = (len(time_s), 1, len(names))
    covariance = np.broadcast_to(np.eye(3) * sd_m**2, (*shape, 3, 3)).copy()
    covariance[~np.isfinite(xyz).all(-1)[:, None]] = np.nan
    return Keypoints3D(
        time_s, np.array([0]), names, xyz[:, None].copy(), covariance, np.zeros(shape), np.full(shape, 4)
    )
