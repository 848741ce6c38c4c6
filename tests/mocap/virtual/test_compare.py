"""The comparison with the truth: nothing found is not called right, planted errors come out at their size."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mocap.keypoints import CameraKeypoints
from mocap.virtual.compare import Figure, compare_cameras, compare_motion, joint_errors_m, keypoint_errors_px
from mocap.virtual.performer import Performer
from mocap.virtual.rig import CameraRing, build_cameras


@pytest.fixture(scope="module")
def motion():
    return Performer().motion(np.arange(30) / 30, seconds=1.0, rate_hz=30.0)


def _values(figures: list[Figure]) -> dict[str, float]:
    return {figure.name: figure.value for figure in figures}


def test_truth_compared_with_itself_is_zero(motion) -> None:
    cameras = build_cameras(CameraRing())
    figures = compare_cameras(cameras, cameras) + compare_motion(motion, motion)
    assert all(figure.value == pytest.approx(0, abs=1e-6) for figure in figures)
    assert all(figure.passed for figure in figures)


def test_a_moved_camera_fails_by_as_much_as_it_was_moved() -> None:
    true = build_cameras(CameraRing())
    poses = true.cam_from_world.clone()
    poses[2, :3, 3] -= poses[2, :3, :3] @ torch.tensor([0.0, 0.012, 0.0], dtype=torch.float64)
    figures = compare_cameras(replace(true, cam_from_world=poses, focal_px=true.focal_px * 1.01), true)
    values = _values(figures)
    assert values["camera centre, worst"] == pytest.approx(12.0)
    assert values["focal length, worst"] == pytest.approx(1.0)
    assert not figures[0].passed
    assert figures[1].passed


def test_a_missing_camera_fails() -> None:
    true = build_cameras(CameraRing())
    assert not any(figure.passed for figure in compare_cameras(true[:3], true))


def test_joints_are_compared_without_alignment_at_their_own_times(motion) -> None:
    shifted = replace(motion, joints=motion.joints + np.array([0.0, 0.03, 0.0]))
    assert joint_errors_m(shifted, motion) == pytest.approx(0.03)
    figures = {figure.name: figure for figure in compare_motion(shifted, motion)}
    assert not figures["limb joints, mean"].passed
    half = slice(0, 15)
    part = replace(
        motion,
        poses=motion.poses[half],
        trans=motion.trans[half],
        time_s=motion.time_s[half],
        joints=motion.joints[half],
        joint_std=motion.joint_std[half],
        contacts=motion.contacts[half],
    )
    assert _values(compare_motion(part, motion))["frames of the take without a pose"] == pytest.approx(50)


def test_keypoints_are_matched_to_the_nearest_person_whatever_the_order() -> None:
    rng = np.random.default_rng(0)
    names = ("left_knee", "right_knee", "nose")
    true = CameraKeypoints(
        np.arange(4) / 10, rng.uniform(0, 500, (4, 1, 3, 2)), np.ones((4, 1, 3)), names, (640, 480)
    )
    stranger = true.xy_px + 200
    actor = true.xy_px[:, :, ::-1] + np.array([3.0, 4.0])
    found = CameraKeypoints(
        true.time_s,
        np.concatenate([stranger[:, :, ::-1], actor], 1),
        np.ones((4, 2, 3)),
        names[::-1],
        (640, 480),
    )
    assert keypoint_errors_px(found, true) == pytest.approx(5.0)


def test_a_figure_that_could_not_be_measured_does_not_pass() -> None:
    assert not Figure("x", float("nan"), "mm", 1.0).passed
    assert Figure("x", float("nan"), "mm").passed
