"""Fingers reach the body: joints where it has them, the knuckles of the hand where it has none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mocap.fit import fit
from mocap.settings import FitSettings
from rigs.body import Body, load_body
from rigs.body_files import _JOINT_NAMES
from rigs.keypoints import KEYPOINT_SETS
from rigs.placements import placed
from tests.mocap.fit.conftest import STANDING, keypoints, smooth_poses
from tests.rigs.family import family_arrays

FINGERS = ("index", "middle", "pinky", "ring")


def body_with_fingers(path: Path) -> Body:
    """A body in SMPL-H's format whose fingers are chains of three joints along x."""
    arrays, _ = family_arrays("smplh", seed=2)
    names, template = _JOINT_NAMES[52], arrays["v_template"]
    parents = arrays["kintree_table"][0].astype(np.int64)
    rest = arrays["J_regressor"] @ template
    for side, out in (("left", 1), ("right", -1)):
        wrist = names.index(f"{side}_wrist")
        for number, finger in enumerate((*FINGERS, "thumb")):
            for part in (1, 2, 3):
                joint = names.index(f"{side}_{finger}{part}")
                parents[joint] = wrist if part == 1 else joint - 1
                ahead = (0.03 if finger == "thumb" else 0.09) + 0.032 * (part - 1)
                place = rest[wrist] + [out * ahead, 0, 0.05 - 0.02 * number]
                near = np.argsort(np.linalg.norm(template - place, axis=1))[:40]
                system = np.vstack([template[near].T, np.ones(len(near))])
                arrays["J_regressor"][joint] = 0
                arrays["J_regressor"][joint, near] = np.linalg.lstsq(
                    system, np.append(place, 1.0), rcond=None
                )[0]
    arrays["kintree_table"] = np.array([parents % 2**32, range(52)]).astype(np.uint32)
    np.savez(path, **arrays)
    return load_body(str(path))


@pytest.mark.parametrize("name", ["coco_wholebody133", "blazepose75"])
def test_curled_fingers_are_recovered(tmp_path: Path, name: str) -> None:
    body, frames, random = body_with_fingers(tmp_path / "body.npz"), 10, np.random.default_rng(4)
    poses = np.zeros((frames, 52, 3))
    poses[:, :22] = smooth_poses(load_body(), frames, 30.0, STANDING, random)[:, :22]
    for side, out in (("left", 1), ("right", -1)):
        for finger in FINGERS:
            for part, most in ((1, 60), (2, 80), (3, 40)):
                curl = np.radians(most) * np.linspace(0.1, 0.9, frames)
                poses[:, body.joint_names.index(f"{side}_{finger}{part}"), 2] = -out * curl
    trans = np.tile([0.2, 0.1, 1.3], (frames, 1))
    betas = np.zeros(body.num_betas)
    rotation, joints = body.pose_frames(poses.reshape(frames, -1), trans, betas)
    names = placed(name, body.joint_names)
    assert len(names) == {"coco_wholebody133": 65, "blazepose75": 75}[name]
    seen = body.detector_model(names, name).pose(rotation, joints, torch.from_numpy(betas)).numpy()
    points = keypoints(names, np.arange(frames) / 30, seen, 1e-3)
    motion = fit(points, body, settings=FitSettings(floor=False, correlation_s=0.0))[0][0]
    error_mm = 1000 * np.linalg.norm(motion.joints - joints.numpy(), axis=-1)
    bent = [body.joint_names.index(f"{s}_{f}{p}") for s in ("left", "right") for f in FINGERS for p in (2, 3)]
    assert error_mm[:, bent].mean() < 5.0


def test_knuckles_turn_the_hand_of_a_body_without_fingers(body: Body) -> None:
    names = placed("coco_wholebody133", body.joint_names)
    frames, random = 10, np.random.default_rng(4)
    poses = smooth_poses(body, frames, 30.0, STANDING, random)
    poses[:, body.joint_names.index("left_wrist"), 0] = np.radians(np.linspace(-40, 40, frames))
    trans, betas = np.tile([0.2, 0.1, 1.3], (frames, 1)), np.zeros(body.num_betas)
    rotation, joints = body.pose_frames(poses.reshape(frames, -1), trans, betas)
    seen = (
        body.detector_model(names, "coco_wholebody133")
        .pose(rotation, joints, torch.from_numpy(betas))
        .numpy()
    )
    twisted: dict[bool, float] = {}
    for hands in (True, False):
        kept = [
            index for index, name in enumerate(names) if hands or name in KEYPOINT_SETS["coco_wholebody23"]
        ]
        points = keypoints(tuple(names[i] for i in kept), np.arange(frames) / 30, seen[:, kept], 1e-3)
        motion = fit(points, body, settings=FitSettings(floor=False, correlation_s=0.0))[0][0]
        knuckle = body.detector_model(["left_pinky"], "blazepose33")
        turned, placed_at = body.pose_frames(motion.poses, motion.trans, motion.betas)
        found = knuckle.pose(turned, placed_at, torch.from_numpy(motion.betas)).numpy()
        true = knuckle.pose(rotation, joints, torch.from_numpy(betas)).numpy()
        twisted[hands] = float(1000 * np.linalg.norm(found - true, axis=-1).mean())
    assert twisted[True] < 10
    assert twisted[True] < twisted[False] / 2
