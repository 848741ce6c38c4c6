"""Bodies of the SMPL family, from files in their formats, are fitted like our own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mocap.fit import fit
from mocap.settings import FitSettings
from rigs.body import load_body
from rigs.keypoints import KEYPOINT_SETS
from tests.mocap.fit.conftest import STANDING, keypoints, smooth_poses
from tests.rigs.family import JOINTS, write_body


@pytest.mark.parametrize("family", list(JOINTS))
def test_a_motion_of_a_body_of_the_family_is_recovered(tmp_path: Path, family: str) -> None:
    body = write_body(tmp_path / "body.npz", family, seed=2)
    random, frames = np.random.default_rng(4), 12
    poses = np.zeros((frames, len(body.joint_names), 3))
    poses[:, :22] = smooth_poses(load_body(), frames, 30.0, STANDING, random)[:, :22]
    trans = np.tile([0.2, 0.1, 1.3], (frames, 1))
    betas = np.clip(random.normal(size=body.num_betas), -1, 1)
    rotation, joints = body.pose_frames(poses.reshape(frames, -1), trans, betas)
    names = KEYPOINT_SETS["halpe26"]
    seen = body.detector_model(names, "halpe26").pose(rotation, joints, torch.from_numpy(betas)).numpy()
    points = keypoints(names, np.arange(frames) / 30, seen, 1e-3)
    motion = fit(points, body, settings=FitSettings(floor=False, correlation_s=0.0))[0][0]
    assert motion.joint_names == body.joint_names
    assert motion.poses.shape == (frames, 3 * JOINTS[family])
    error_mm = 1000 * np.linalg.norm(motion.joints - joints.numpy(), axis=-1)[:, :22]
    assert error_mm.mean() < 15.0
    again = body.pose_joints(motion.poses, motion.trans, motion.betas).numpy()
    assert np.allclose(again, motion.joints, atol=1e-9)
