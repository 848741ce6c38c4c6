"""The truth that recovery is judged by is itself right."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from rigs.body import load_body
from tests.recovery import cmu
from tests.recovery.body_truth import EXACT, cmu_motion, cmu_truth, data_folder


def _joints_of_clip(clip: str) -> dict[str, np.ndarray]:
    """Where the ends of the clip's own bones are, in its own unit and axes."""
    asf, amc = (data_folder() / file for file in cmu.CLIPS[clip])
    bones, parents = cmu.read_asf(asf)
    values = cmu.read_amc(amc)
    turns = cmu.world_turns(bones, parents, values)
    ends = {"root": values["root"][:, :3]}
    for name, parent in parents.items():
        ends[name] = ends[parent] + turns[name].apply(bones[name].direction * bones[name].length)
    return ends


def test_the_clip_is_read_as_another_program_read_it() -> None:
    """The same motion as BVH, converted by somebody else; it has a T-pose before the first frame."""
    from exporters.bvh import read_bvh

    read = read_bvh((data_folder() / "fairmotion_01_01.bvh").read_bytes(), unit="m").motion
    ours = _joints_of_clip("playground")
    up = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    # bone by bone: the two hang the arms at different heights of the spine
    for parent, bone, start, end in (
        ("lhipjoint", "lfemur", "LeftUpLeg", "LeftLeg"),
        ("rtibia", "rfoot", "RightFoot", "RightToeBase"),
        ("lhumerus", "lradius", "LeftForeArm", "LeftHand"),
    ):
        theirs = np.subtract(*(read.joints[1:, read.joint_names.index(joint)] for joint in (end, start)))
        apart = (ours[bone] - ours[parent]) @ up.T - theirs
        assert np.abs(apart).max() < 0.02 * np.abs(theirs).max(), bone


def test_bones_point_where_the_clips_do() -> None:
    clip, body = "walk", load_body()
    asf, amc = (data_folder() / file for file in cmu.CLIPS[clip])
    poses, trans = cmu.retarget(asf, amc, body, np.zeros(body.num_betas))
    joints = body.pose_joints(poses.reshape(len(poses), -1), trans, np.zeros(body.num_betas)).numpy()
    ends = _joints_of_clip(clip)
    up = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    pairs = {
        ("left_hip", "left_knee"): ("lhipjoint", "lfemur"),
        ("right_knee", "right_ankle"): ("rfemur", "rtibia"),
        ("left_shoulder", "left_elbow"): ("lclavicle", "lhumerus"),
        ("right_elbow", "right_wrist"): ("rhumerus", "rradius"),
    }
    for (a, b), (start, end) in pairs.items():
        bone = joints[:, body.joint_names.index(b)] - joints[:, body.joint_names.index(a)]
        theirs = (ends[end] - ends[start]) @ up.T
        cosine = (bone * theirs).sum(-1) / np.linalg.norm(bone, axis=-1) / np.linalg.norm(theirs, axis=-1)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.1, (a, b)


def test_elbows_and_knees_are_hinges() -> None:
    motion = cmu_motion("run")
    poses = motion.poses.reshape(len(motion.poses), -1, 3)
    for name, axis in (("left_elbow", 1), ("right_knee", 0)):
        turn = np.degrees(np.delete(poses[:, motion.joint_names.index(name)], axis, axis=1))
        assert np.abs(turn).max() < 6.0, name


@pytest.mark.parametrize("clip", ["walk", "jump"])
def test_planted_feet_stand_and_nothing_sinks(clip: str) -> None:
    body, motion = load_body(), cmu_motion(clip, seed=3)
    vertices = body.skin(motion.poses, motion.trans, motion.betas)[0].numpy()
    # a foot that rolls over a point of its sole dips its edge by a centimetre
    assert vertices[..., 2].min() > -0.015
    raw = cmu_motion(clip, seed=3, planted=False)
    assert np.linalg.norm(raw.joints - motion.joints, axis=-1).mean() < 0.06
    heels = body.pose_keypoints(["left_heel", "right_heel"], motion.poses, motion.trans, motion.betas).numpy()
    stands = motion.contacts[:, [0, 2]] > 0
    assert 0.2 < stands.mean() < 0.95
    speed = np.linalg.norm(np.diff(heels, axis=0), axis=-1) * 60
    # pivots of the sole, a few millimetres beside this keypoint
    assert np.quantile(speed[stands[1:] & stands[:-1]], 0.95) < 0.12
    if clip == "jump":
        in_the_air = vertices[..., 2].min(-1) > 0.05
        assert in_the_air.sum() > 10
        assert not motion.contacts[in_the_air].any()


def test_keypoints_are_spoilt_as_told() -> None:
    exact = cmu_truth("walk", cameras=4, seconds=1.0, spoil=EXACT)
    spoilt = cmu_truth("walk", cameras=4, seconds=1.0)
    again = exact.cameras.project(torch.from_numpy(exact.points))[0].numpy()
    error = np.stack([spoilt.keypoints[name].xy_px[:, 0] for name in exact.cameras.names], 1) - again
    for index, name in enumerate(exact.cameras.names):
        assert np.nanmax(np.abs(exact.keypoints[name].xy_px[:, 0] - again[:, index])) < 1e-9
    assert 0.08 < np.isnan(error).any(-1).mean() < 0.13
    off = np.linalg.norm(error, axis=-1)
    assert 0.02 < (off[np.isfinite(off)] > 12).mean() < 0.06
    assert 2.5 < np.median(np.abs(error[np.isfinite(error)])) / 0.6745 < 3.5
    assert exact.joint_error_mm(exact.motion).max() == 0
