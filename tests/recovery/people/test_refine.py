"""Cameras corrected from the performers: which moved, when, how far; and true cameras left alone."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from calibration.cameras import Cameras
from calibration.formats import read_cameras
from mocap.camera_steps import THRESHOLD, all_steps
from mocap.keypoints import CameraKeypoints
from mocap.observations import gather
from mocap.reconstruct import observe
from mocap.refine_cameras import refine_from_take
from mocap.sync import CameraClock, Clock

BODY_25B = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee"),
    *("right_knee", "left_ankle", "right_ankle", "neck", "head_top", "left_big_toe", "left_small_toe"),
    *("left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)


def _clock(scene) -> Clock:
    return Clock({name: CameraClock(offset) for name, offset in scene.offset_s.items()})


def _turned(cameras: Cameras, row: int, degrees: float, shift_m: float = 0.0) -> Cameras:
    poses = cameras.cam_from_world.clone()
    turn = torch.from_numpy(Rotation.from_rotvec(np.radians(degrees) * np.array([0.28, 0.96, 0])).as_matrix())
    center = cameras.centers_world[row] + torch.tensor([shift_m, 0.0, 0.0], dtype=torch.float64)
    poses[row, :3, :3] = turn @ poses[row, :3, :3]
    poses[row, :3, 3] = -poses[row, :3, :3] @ center
    return cameras.with_poses(poses)


def _bumped_from(scene, row: int, degrees: float, frame: int) -> dict[str, CameraKeypoints]:
    """What the camera would have seen had it been turned from a frame on: rays keep, pixels move."""
    name = scene.cameras.names[row]
    one, other = scene.cameras[name], _turned(scene.cameras, row, degrees)[name]
    view = scene.keypoints[name]
    ray = one.rays(torch.from_numpy(view.xy_px.reshape(1, -1, 2))).direction_world[0].nan_to_num(nan=0.0)
    moved = other.project(one.centers_world[0] + 3 * ray)[0][0].reshape(view.xy_px.shape).numpy()
    xy = view.xy_px.copy()
    xy[frame:] = np.where(np.isfinite(view.xy_px), moved, np.nan)[frame:]
    return {**scene.keypoints, name: replace(view, xy_px=xy)}


def _steps(keypoints, scene) -> list:
    own = {name: np.zeros(view.xy_px[:, 0, :, 0].shape, int) for name, view in keypoints.items()}
    clock = _clock(scene)
    taken = {name: clock.take_time(name, view.time_s) for name, view in keypoints.items()}
    time = np.arange(0.6, 6.0, 1 / 30)
    seen = gather(keypoints, taken, [own], time, 30.0)
    limbs = slice(11, 33)
    return all_steps(scene.cameras, seen.xy_px[:, :, 0, limbs], seen.sigma_px[:, :, 0, limbs], time)


def test_a_camera_that_turns_during_the_take_is_named_and_dated(walks: ModuleType) -> None:
    scene = walks.walk(cameras=4, seconds=6.0, seed=51)
    still = max(step.chi2_per_parameter for step in _steps(scene.keypoints, scene))
    assert still < THRESHOLD
    steps = _steps(_bumped_from(scene, 2, 1.5, 90), scene)
    best = max(steps, key=lambda step: step.chi2_per_parameter)
    assert best.chi2_per_parameter > THRESHOLD
    assert best.camera == 2
    assert abs(best.from_s - (scene.offset_s["cam3"] + 3.0)) < 0.15


@pytest.mark.slow
def test_true_cameras_are_left_alone(walks: ModuleType) -> None:
    for seed in (61, 62):
        scene = walks.walk(cameras=4, seconds=8.0, seed=seed)
        refined = refine_from_take(scene.cameras, scene.keypoints, _clock(scene))
        assert not refined.summary.changed and not refined.summary.bumps
        assert torch.equal(refined.cameras.cam_from_world, scene.cameras.cam_from_world)


@pytest.mark.slow
def test_a_camera_that_was_moved_before_the_take_is_named_and_put_back(walks: ModuleType) -> None:
    scene = walks.walk(cameras=4, seconds=8.0, seed=63)
    old = _turned(scene.cameras, 1, 2.0, 0.05)
    summary = refine_from_take(old, scene.keypoints, _clock(scene)).summary
    assert [bump.camera for bump in summary.bumps] == ["cam2"]
    assert summary.bumps[0].from_s is None
    assert summary.after_px < 0.7 * summary.before_px
    assert 1.0 < summary.bumps[0].turned_deg < 3.0


@pytest.mark.slow
def test_a_camera_that_was_moved_during_the_take_is_put_right_afterwards(walks: ModuleType) -> None:
    scene = walks.walk(cameras=4, seconds=8.0, seed=64)
    refined = refine_from_take(scene.cameras, _bumped_from(scene, 2, 2.0, 120), _clock(scene))
    (bump,) = refined.summary.bumps
    assert bump.camera == "cam3" and refined.after is not None
    assert bump.from_frame is not None and abs(bump.from_frame - 120) <= 5
    assert 1.0 < bump.turned_deg < 3.0
    assert torch.equal(refined.cameras.cam_from_world, scene.cameras.cam_from_world)


def _dlt_px(cameras: Cameras, xy_px: np.ndarray) -> float:
    """Median error of the views against a plain linear triangulation from all of them."""
    flat = np.moveaxis(xy_px, 1, 0).reshape(len(cameras), -1, 2)
    normal = cameras.undistort(torch.from_numpy(flat)).numpy()
    pose = cameras.cam_from_world[:, :3].numpy()
    rows = [
        np.stack([n[:, :1] * p[2] - p[0], n[:, 1:] * p[2] - p[1]], 1)
        for n, p in zip(normal, pose, strict=True)
    ]
    system = np.concatenate(rows, 1)
    good = np.isfinite(system).all((1, 2))
    point = np.linalg.svd(system[good])[2][:, -1]
    again = cameras.project(torch.from_numpy(point[:, :3] / point[:, 3:]))[0].numpy()
    return float(np.median(np.linalg.norm(again - flat[:, good], axis=-1)))


@pytest.mark.slow
@pytest.mark.footage
def test_a_poor_calibration_of_a_real_take_is_put_right(test_data: Path) -> None:
    source = test_data / "pose2sim_single"
    cameras = read_cameras(source / "calibration" / "Calib_qualisys.toml")
    cameras = replace(cameras, names=tuple(name.replace("_", "") for name in cameras.names))
    keypoints = {name: _openpose(source / "openpose_body25b" / f"{name}_json") for name in cameras.names}
    clock = Clock({name: CameraClock() for name in cameras.names})
    seen, _ = observe(keypoints, cameras, clock)
    limbs = [
        BODY_25B.index(f"{side}_{part}")
        for part in ("wrist", "knee", "ankle", "shoulder")
        for side in ("left", "right")
    ]
    xy = seen.xy_px[:, :, 0][:, :, limbs]
    assert _dlt_px(cameras, xy) > 13
    refined = refine_from_take(cameras, keypoints, clock)
    assert refined.summary.after_px < 0.6 * refined.summary.before_px
    assert _dlt_px(refined.cameras, xy) < 7.9, "what the scene's own calibration gives"


def _openpose(folder: Path) -> CameraKeypoints:
    frames = [json.loads(file.read_text())["people"] for file in sorted(folder.glob("*.json"))]
    numbers = np.full((len(frames), max(len(people) for people in frames), 25, 3), np.nan)
    for frame, people in enumerate(frames):
        for row, person in enumerate(people):
            numbers[frame, row] = np.reshape(person["pose_keypoints_2d"], (25, 3))
    xy = np.where(numbers[..., 2:] > 0, numbers[..., :2], np.nan)
    return CameraKeypoints(np.arange(len(frames)) / 60, xy, numbers[..., 2], BODY_25B, (1088, 1920))
