"""Every number against one computed by hand."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mocap import metrics
from mocap.keypoints import Keypoints3D


def as_points(xyz: np.ndarray, names: tuple[str, ...]) -> Keypoints3D:
    shape = xyz.shape[:3]
    return Keypoints3D(
        np.arange(shape[0]) / 60.0,
        np.arange(shape[1]),
        names,
        xyz,
        np.full((*shape, 3, 3), np.nan),
        np.zeros(shape),
        np.full(shape, 2),
    )


def test_there_are_fourteen_bones_and_twelve_keypoints() -> None:
    assert len(set(metrics.LIMB_BONES)) == 14
    assert len(set(metrics.LIMB_KEYPOINTS)) == 12


def test_bone_length_std() -> None:
    names = ("left_hip", "left_knee", "left_ankle", "nose")
    xyz = np.zeros((4, 1, 4, 3))
    xyz[:, 0, 1, 2] = [0.4, 0.5, 0.4, 0.5]  # thigh: mean 0.45, deviation 0.05
    xyz[:, 0, 2, 2] = xyz[:, 0, 1, 2] + 0.4  # shank: constant
    assert metrics.bone_length_std_m(as_points(xyz, names)) == pytest.approx(0.025)
    xyz[3, 0, 2] = np.nan
    assert metrics.bone_length_std_m(as_points(xyz, names)) == pytest.approx(0.025)
    xyz[:, 0, 2] = np.nan
    assert metrics.bone_length_std_m(as_points(xyz, names)) == pytest.approx(0.05)
    xyz[:] = np.nan
    assert np.isnan(metrics.bone_length_std_m(as_points(xyz, names)))


def test_mpjpe_leaves_out_what_is_missing() -> None:
    truth = np.zeros((2, 2, 3))
    estimate = truth.copy()
    estimate[0, 0] = [0.03, 0.04, 0.0]
    estimate[1, 1] = np.nan
    assert metrics.mpjpe(estimate, truth) == pytest.approx(0.05 / 3)
    assert np.isnan(metrics.mpjpe(estimate * np.nan, truth))


def test_pa_mpjpe_is_blind_to_similarity_and_sees_pose() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(5, 8, 3))
    turn = Rotation.from_rotvec([0.3, -2.0, 0.7]).as_matrix()
    moved = 1.3 * truth @ turn.T + [1.0, 2.0, 3.0]
    assert metrics.pa_mpjpe(moved, truth) < 1e-12
    moved[0, 0] = np.nan
    assert metrics.pa_mpjpe(moved, truth) < 1e-12
    assert metrics.pa_mpjpe(truth * [1, 1, -1], truth) > 0.1, "a mirror image is not a rotation"
    assert np.isnan(metrics.pa_mpjpe(truth * np.nan, truth))


def test_pa_mpjpe_agrees_with_scipy_on_noise() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(1, 10, 3))
    noisy = truth + 0.1 * rng.normal(size=truth.shape)
    a, b = noisy[0] - noisy[0].mean(0), truth[0] - truth[0].mean(0)
    turn = Rotation.align_vectors(b, a)[0].as_matrix()
    turned = a @ turn.T
    scale = (turned * b).sum() / (turned**2).sum()
    expected = np.linalg.norm(scale * turned - b, axis=-1).mean()
    assert metrics.pa_mpjpe(noisy, truth) == pytest.approx(expected, rel=1e-9)


def test_accelerations() -> None:
    time_s = np.arange(10) / 50.0
    truth = np.zeros((10, 1, 3))
    truth[:, 0, 2] = -4.9 * time_s**2
    assert metrics.jitter(truth, 50.0) == pytest.approx(9.8)
    estimate = truth.copy()
    estimate[:, 0, 0] = 1.5 * time_s**2
    assert metrics.acceleration_error(estimate, truth, 50.0) == pytest.approx(3.0)
    estimate[4] = np.nan
    assert metrics.acceleration_error(estimate, truth, 50.0) == pytest.approx(3.0)


def test_reprojection_and_held_out_views(make_stage, actor_type) -> None:
    stage = make_stage(frames=5)
    xyz = actor_type().at(np.arange(5) / 60)
    xy = stage.cameras.project(torch.as_tensor(xyz))[0].numpy()  # (T, C, K, 2)
    shifted = xy.copy()
    shifted[:, 2, 3] += [3.0, 4.0]
    shifted[0, 1, 0] = np.nan
    error = metrics.reprojection_error_px(stage.cameras, xyz, shifted)
    np.testing.assert_allclose(error[:, 2, 3], 5.0)
    assert np.isnan(error[0, 1, 0])
    held = metrics.held_out_error_px(shifted, np.full(xy.shape[:-1], 2.0), stage.cameras)
    np.testing.assert_allclose(held[:, 2, 3], 5.0, atol=1e-6)
    assert np.isnan(held[0, 1, 0])
    assert np.nanmax(np.delete(held, 3, axis=2)) < 1e-6
    assert held[0, 0, 3] > 0.5, "the other views are predicted with the wrong one"


def test_held_out_sees_a_camera_that_stands_elsewhere(make_stage, actor_type) -> None:
    stage = make_stage(frames=3)
    xy = stage.cameras.project(torch.as_tensor(actor_type().at(np.arange(3) / 60)))[0].numpy()
    poses = stage.cameras.cam_from_world.clone()
    poses[1, 0, 3] += 0.05
    held = metrics.held_out_error_px(xy, np.full(xy.shape[:-1], 2.0), stage.cameras.with_poses(poses))
    assert 8.0 < np.median(held[:, 1]) < 20.0
    assert np.median(held[:, 1]) > 1.5 * np.median(held[:, 0])


def test_foot_skate() -> None:
    xyz = np.zeros((11, 2, 3))
    xyz[:, 0, 0] = 0.01 * np.arange(11)  # slides at 0.6 m/s
    xyz[:, 1, 1] = 0.05 * np.arange(11)  # swings
    xyz[1:, 1, 2] = 0.2
    assert metrics.foot_skate(xyz, 60.0) == pytest.approx(0.6)
    standing = np.zeros((11, 2), dtype=bool)
    standing[:, 1] = True
    assert metrics.foot_skate(xyz, 60.0, standing) == pytest.approx(3.0)
    assert np.isnan(metrics.foot_skate(xyz, 60.0, np.zeros((11, 2), dtype=bool)))


def test_bone_length_drift() -> None:
    names = ("left_hip", "left_knee")
    xyz = np.zeros((50, 2, 3))
    xyz[:, 1, 2] = 0.4 + 0.001 * np.arange(50)
    assert metrics.bone_length_drift_m(xyz, names) == pytest.approx(0.04)
    xyz[:, 1, 2] = 0.4 + 0.01 * np.sin(np.arange(50) * 2 * np.pi / 10)
    assert metrics.bone_length_drift_m(xyz, names) < 1e-12


@pytest.mark.parametrize("late_s", [0.0, 0.05, -0.125])
def test_lag(late_s: float) -> None:
    time_s = np.arange(200) / 50

    def at(time_s: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(3 * time_s), np.cos(5 * time_s), np.sin(1.3 * time_s)], -1)[:, None]

    assert metrics.lag_s(at(time_s - late_s), at(time_s), 50.0) == pytest.approx(late_s, abs=0.002)


def test_cost() -> None:
    cost = metrics.Cost(2.0, 100, cameras=4)
    assert (cost.ms_per_frame, cost.ms_per_image) == (20.0, 5.0)
    assert cost.times_real_time(25.0) == pytest.approx(2.0)


def test_held_out_views_judge_any_solution(make_stage, actor_type) -> None:
    stage = make_stage(frames=3)
    xyz = actor_type().at(np.arange(3) / 60)
    xy = stage.cameras.project(torch.as_tensor(xyz))[0].numpy()
    asked: list[tuple[str, ...]] = []

    def solve(names: tuple[str, ...]) -> np.ndarray:
        asked.append(names)
        return xyz + (0.1 if "a" in names else 0.0)  # camera a leads astray

    error = metrics.held_out_views_px(stage.cameras, xy, solve)
    assert [set(stage.cameras.names) - set(names) for names in asked] == [{n} for n in stage.cameras.names]
    assert np.nanmax(error[:, 0]) < 1e-9
    assert np.nanmin(error[:, 1:]) > 5.0
