"""Truth to recover: the shipped body in motion, and what cameras with an imperfect detector see of it.

The spoiling of the keypoints follows the definition of the project's synthetic benchmark: 3 px white noise,
3 % outliers within 150 px, 10 % missing, 1 % of camera-frames with left and right swapped, and a confidence
that follows the error but is fooled by three outliers in ten.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from calibration.cameras import Cameras
from mocap.keypoints import CameraKeypoints, Keypoints3D
from mocap.sync import CameraClock, Clock
from rigs.body import Body, load_body
from rigs.keypoints import KEYPOINT_SETS, mirrored_name
from rigs.motion import Motion
from tests.recovery import cmu
from tests.recovery.planted import plant

SIZE_PX = (1920, 1080)
CONTACTS = ("left_heel", "left_foot", "right_heel", "right_foot")
BODY_JOINTS = 22
"""Joints of the body without hands, SMPL's first."""


@dataclass(frozen=True)
class Spoil:
    """How a detector errs."""

    sigma_px: float = 3.0
    outliers: float = 0.03
    outlier_px: float = 150.0
    fooled: float = 0.3
    missing: float = 0.10
    swaps: float = 0.01
    correlation: float = 0.0
    """Of the noise from one frame to the next; the deviation stays."""


EXACT = Spoil(sigma_px=0.0, outliers=0.0, missing=0.0, swaps=0.0)


@dataclass(frozen=True)
class BodyTruth:
    """A motion, and what is seen of it."""

    body: Body
    motion: Motion
    cameras: Cameras
    keypoints: dict[str, CameraKeypoints]
    points: np.ndarray
    """(T, K, 3) metres: the keypoints' true places."""
    keypoint_names: tuple[str, ...]
    keypoint_set: str
    clock: Clock = field(default_factory=lambda: Clock({}))

    def joint_error_mm(self, found: Motion, joints: int = BODY_JOINTS) -> np.ndarray:
        """(T, joints) distance from the truth, nothing aligned."""
        return 1000 * np.linalg.norm((found.joints - self.motion.joints)[:, :joints], axis=-1)

    def bone_error(self, found: Motion) -> np.ndarray:
        """Relative error of the lengths of the bones of the body (without hips, collars, hands)."""
        lengths = [
            self.body.skeleton(betas).bone_lengths.numpy() for betas in (found.betas, self.motion.betas)
        ]
        limbs = [
            index
            for index, name in enumerate(self.body.joint_names)
            if name.endswith(("knee", "ankle", "elbow", "wrist"))
        ]
        return lengths[0][limbs] / lengths[1][limbs] - 1

    def stature_error_m(self, found: Motion) -> float:
        heights = [
            np.ptp(self.body.vertices_rest(betas)[:, 1].numpy()) for betas in (found.betas, self.motion.betas)
        ]
        return float(heights[0] - heights[1])

    def points_3d(self, noise_m: float = 0.0, seed: int = 0) -> Keypoints3D:
        """The keypoints in space, exact or with white noise, for a fit without cameras."""
        random = np.random.default_rng(seed)
        xyz = self.points + noise_m * random.normal(size=self.points.shape)
        shape = (len(xyz), 1, xyz.shape[1])
        variance = np.eye(3) * max(noise_m, 1e-3) ** 2
        return Keypoints3D(
            self.motion.time_s, np.array([0]), self.keypoint_names, xyz[:, None],
            np.broadcast_to(variance, (*shape, 3, 3)).copy(), np.zeros(shape),
            np.full(shape, len(self.cameras)),
        )  # fmt: skip

    def with_cameras(self, names: Sequence[str]) -> "BodyTruth":
        """The same seen by some of the cameras."""
        return replace(
            self,
            cameras=self.cameras[list(names)],
            keypoints={name: self.keypoints[name] for name in names},
            clock=Clock({name: self.clock.cameras[name] for name in names}),
        )


def data_folder(name: str = "motion_cmu") -> Path:
    """A folder of the real data, or the test is skipped."""
    root = os.environ.get("MOCAP_TEST_DATA")
    if not root:
        pytest.skip("needs real motions; MOCAP_TEST_DATA names no folder")
    return Path(root) / name


def random_betas(body: Body, seed: int) -> np.ndarray:
    """An adult."""
    return np.clip(np.random.default_rng([seed, 17]).normal(size=body.num_betas), -2.0, 2.0)


def cmu_motion(
    clip: str, *, seed: int = 0, start_s: float = 0.0, seconds: float | None = None, rate_hz: float = 60.0,
    body: Body | None = None, planted: bool = True,
) -> Motion:  # fmt: skip
    """A clip of CMU's on our body, in the middle of the stage, its lowest sole on the floor.

    With ``planted``, feet that nearly stand do so exactly, and the motion tells when.
    """
    body = body or load_body()
    betas = random_betas(body, seed)
    folder = data_folder()
    asf, amc = cmu.CLIPS[clip]
    poses, trans = cmu.retarget(folder / asf, folder / amc, body, betas)
    step = round(cmu.RATE_HZ / rate_hz)
    first = round(start_s * cmu.RATE_HZ)
    last = len(poses) if seconds is None else first + round(seconds * cmu.RATE_HZ)
    # 120 Hz capture has some noise of its own: people do not shake at 30 Hz
    poses = _smooth(poses, 1.5)[first:last:step]
    trans = gaussian_filter1d(trans, 1.5, axis=0, mode="nearest")[first:last:step].copy()
    trans[:, :2] -= (trans[:, :2].max(0) + trans[:, :2].min(0)) / 2
    lowest = _lowest(body, poses, trans, betas)
    trans[:, 2] -= np.quantile(lowest, 0.02)
    if not planted:
        return motion_of(body, poses, trans, betas, rate_hz)
    feet = plant(body, poses, trans, betas, rate_hz)
    motion = motion_of(body, feet.poses, feet.trans, betas, rate_hz)
    return replace(motion, contacts=feet.contacts.astype(float), contact_names=CONTACTS)


def motion_of(body: Body, poses: np.ndarray, trans: np.ndarray, betas: np.ndarray, rate_hz: float) -> Motion:
    """A motion from (T, J, 3) rotation vectors."""
    flat = poses.reshape(len(poses), -1)
    return Motion(
        poses=flat, trans=trans, betas=betas, gender="neutral", mocap_framerate=rate_hz,
        time_s=np.arange(len(poses)) / rate_hz, joint_names=body.joint_names,
        joints=body.pose_joints(flat, trans, betas).numpy(), body=body.name,
    )  # fmt: skip


def _smooth(poses: np.ndarray, frames: float) -> np.ndarray:
    quat = Rotation.from_rotvec(poses.reshape(-1, 3)).as_quat().reshape(*poses.shape[:2], 4)
    for row in range(1, len(quat)):
        quat[row] *= np.where((quat[row] * quat[row - 1]).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    smooth = gaussian_filter1d(quat, frames, axis=0, mode="nearest")
    return Rotation.from_quat(smooth.reshape(-1, 4)).as_rotvec().reshape(poses.shape)


def _lowest(body: Body, poses: np.ndarray, trans: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """(T,) metres, height of the lowest point of the feet."""
    names = [
        f"{side}_{part}"
        for side in ("left", "right")
        for part in ("heel_back", "big_toe_tip", "small_toe_tip")
    ]
    feet = body.pose_keypoints(names, poses.reshape(len(poses), -1), trans, betas)
    return feet[..., 2].min(-1).values.numpy()


def ring(count: int, seed: int = 0) -> Cameras:
    """Cameras 4 m around the stage, 1 to 2.5 m high, with lenses that bend a little."""
    random = np.random.default_rng([seed, 31])
    poses = np.tile(np.eye(4), (count, 1, 1))
    angle = 2 * np.pi * np.arange(count) / count + random.uniform(-0.1, 0.1, count)
    height = 1.0 + 1.5 * ((np.arange(count) * 0.618) % 1.0)
    center = np.stack([4 * np.cos(angle), 4 * np.sin(angle), height], -1)
    forward = np.array([0, 0, 0.9]) + random.normal(0, 0.05, (count, 3)) - center
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    poses[:, :3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
    poses[:, :3, 3] = -(poses[:, :3, :3] @ center[..., None])[..., 0]
    lens = np.stack(
        [random.uniform(-0.12, -0.04, count), random.uniform(0, 0.04, count),
         *random.normal(0, 5e-4, (2, count)), np.zeros(count)], -1
    )  # fmt: skip
    focal = 1400 * random.uniform(0.97, 1.03, (count, 1)) * np.ones((1, 2))
    middle = np.array([SIZE_PX]) / 2 + random.normal(0, 12, (count, 2))
    size = np.tile(np.array([SIZE_PX], float), (count, 1))
    return Cameras(
        tuple(f"cam{index + 1}" for index in range(count)),
        *(torch.from_numpy(part) for part in (size, focal, middle, lens, poses)),
    )


def see(
    motion: Motion, body: Body, cameras: Cameras, *, keypoint_set: str = "halpe26",
    spoil: Spoil | None = None, seed: int = 0, offset_sigmas: float = 0.0,
) -> BodyTruth:  # fmt: skip
    """What a detector of a keypoint set finds of a motion in all cameras.

    Args:
        motion: of ``body``.
        body: the body.
        cameras: where from.
        keypoint_set: a key of ``KEYPOINT_SETS``.
        spoil: how it errs, by default as the benchmark's.
        seed: of the errors.
        offset_sigmas: how far each keypoint constantly lies from its place on the body, in its own sigmas.
    """
    spoil = spoil or Spoil()
    names = KEYPOINT_SETS[keypoint_set]
    random = np.random.default_rng([seed, 43])
    model = body.detector_model(names, keypoint_set)
    offsets = torch.from_numpy(random.normal(size=(len(names), 3))) * model.sigma_m[:, None] * offset_sigmas
    rotation, joints = body.pose_frames(motion.poses, motion.trans, motion.betas)
    points = model.with_offsets(offsets).pose(rotation, joints, torch.from_numpy(motion.betas))
    exact = cameras.project(points)[0].numpy()  # (T, C, K, 2)
    xy, score = _spoilt(exact, names, spoil, random)
    keypoints = {
        camera: CameraKeypoints(motion.time_s, xy[:, index, None], score[:, index, None], names, SIZE_PX)
        for index, camera in enumerate(cameras.names)
    }
    clock = Clock({name: CameraClock(0.0, 0.0, 0.0, "true") for name in cameras.names})
    return BodyTruth(body, motion, cameras, keypoints, points.numpy(), names, keypoint_set, clock)


def _spoilt(
    exact: np.ndarray, names: Sequence[str], spoil: Spoil, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (T, C, K, 2) and confidences (T, C, K)."""
    shape = exact.shape[:-1]
    noise = spoil.sigma_px * random.normal(size=exact.shape)
    for row in range(1, len(noise) if spoil.correlation else 0):
        keep = spoil.correlation
        noise[row] = keep * noise[row - 1] + np.sqrt(1 - keep**2) * noise[row]
    wild = random.random(shape) < spoil.outliers
    radius, angle = spoil.outlier_px * np.sqrt(random.random(shape)), random.uniform(0, 2 * np.pi, shape)
    noise[wild] = (radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1))[wild]
    error = np.linalg.norm(noise, axis=-1)
    error[wild & (random.random(shape) < spoil.fooled)] = 4.0
    score = np.clip(0.08 + 0.88 * np.exp(-error / 60) + random.normal(0, 0.06, shape), 0.02, 1.0)
    xy = exact + noise
    other = [list(names).index(mirrored_name(name)) for name in names]
    swapped = random.random(shape[:2]) < spoil.swaps
    xy[swapped], score[swapped] = xy[swapped][:, other], score[swapped][:, other]
    with np.errstate(invalid="ignore"):
        outside = ~((xy >= 0) & (xy < np.array(SIZE_PX))).all(-1)
    missing = outside | (random.random(shape) < spoil.missing)
    xy[missing], score[missing] = np.nan, 0.0
    return xy, score


def cmu_truth(
    clip: str = "playground", *, cameras: int = 8, seed: int = 0, start_s: float = 0.0,
    seconds: float | None = None, rate_hz: float = 60.0, keypoint_set: str = "halpe26",
    spoil: Spoil | None = None, offset_sigmas: float = 0.0, planted: bool = True,
) -> BodyTruth:  # fmt: skip
    """All of it: a clip on a random adult, in a ring of cameras, as a detector sees it."""
    body = load_body()
    motion = cmu_motion(
        clip, seed=seed, start_s=start_s, seconds=seconds, rate_hz=rate_hz, body=body, planted=planted
    )
    return see(
        motion, body, ring(cameras, seed), keypoint_set=keypoint_set, spoil=spoil, seed=seed,
        offset_sigmas=offset_sigmas,
    )  # fmt: skip
