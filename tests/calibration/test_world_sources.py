"""Worlds from measured points, camera heights and people; axes; and one rig laid on another."""

import pytest
import roma
import torch
from torch import Tensor

from calibration import CalibrationError, Cameras
from calibration.alignment import Similarity, align, fit_similarity
from calibration.rig.synthetic import ring_of_cameras
from calibration.world_sources import (
    from_heights,
    from_people,
    from_points,
    heading,
    moved_origin,
    scaled_by,
    turned,
)


def elsewhere(scale: float = 1.0) -> Similarity:
    """The rig's frame: turned, shifted, perhaps scaled."""
    rotation = roma.rotvec_to_rotmat(torch.tensor([0.4, -1.1, 2.0], dtype=torch.float64))
    return Similarity(rotation, torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), scale)


def apart(one: Cameras, other: Cameras) -> tuple[float, float]:
    """Millimetres and degrees between cameras."""
    turn = roma.rotmat_geodesic_distance(one.cam_from_world[:, :3, :3], other.cam_from_world[:, :3, :3])
    shift = (one.centers_world - other.centers_world).norm(dim=-1)
    return 1e3 * float(shift.max()), float(torch.rad2deg(turn).max())


def level(cameras: Cameras, truth: Cameras) -> float:
    """Largest error of a camera's height, metres."""
    return float((cameras.centers_world[:, 2] - truth.centers_world[:, 2]).abs().max())


POINTS = {
    "corner": (0.0, 0.0, 0.0),
    "tape": (1.2, 0.1, 0.0),
    "chair": (0.2, -1.0, 0.45),
    "door": (-0.8, 0.9, 1.3),
}


def marked(cameras: Cameras, noise_px: float = 0.0) -> dict[str, dict[str, tuple[float, float]]]:
    xyz = torch.tensor(list(POINTS.values()), dtype=torch.float64)
    xy, valid = cameras.project(xyz)
    generator = torch.Generator().manual_seed(1)
    xy = xy + noise_px * torch.randn(xy.shape, generator=generator, dtype=torch.float64)
    return {
        point: {
            name: (float(xy[c, i, 0]), float(xy[c, i, 1]))
            for c, name in enumerate(cameras.names)
            if valid[c, i]
        }
        for i, point in enumerate(POINTS)
    }


@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_a_similarity_changes_nothing_that_cameras_see(scale: float) -> None:
    cameras, motion = ring_of_cameras(), elsewhere(scale)
    xyz = torch.tensor([[0.1, 0.2, 0.9], [-0.4, 0.3, 1.2]], dtype=torch.float64)
    there = motion.cameras(cameras).project(motion.points(xyz))[0]
    torch.testing.assert_close(there, cameras.project(xyz)[0], atol=1e-8, rtol=0)
    twice = motion.after(motion)
    torch.testing.assert_close(twice.points(xyz), motion.points(motion.points(xyz)))


@pytest.mark.parametrize("scaled", [False, True])
def test_measured_points_are_the_world(scaled: bool) -> None:
    truth = ring_of_cameras()
    rig = elsewhere(2.5 if scaled else 1.0).cameras(truth)
    fit = from_points(rig, marked(truth, 0.3), POINTS, scaled=scaled)
    mm, degrees = apart(fit.world_from_rig.cameras(rig), truth)
    assert mm < 12.0
    assert degrees < 0.15
    assert max(fit.error_m.values()) < 0.003


def test_a_point_in_the_wrong_place_shows(scaled: bool = False) -> None:
    truth = ring_of_cameras()
    wrong = POINTS | {"chair": (0.2, -1.0, 0.95)}
    fit = from_points(truth, marked(truth), wrong, scaled=scaled)
    assert max(fit.error_m, key=lambda name: fit.error_m[name]) == "chair"
    assert fit.error_m["chair"] > 0.1


def test_too_few_points_are_refused() -> None:
    truth = ring_of_cameras()
    some = {name: places for name, places in marked(truth).items() if name in ("corner", "tape")}
    with pytest.raises(CalibrationError, match="2 measured points"):
        from_points(truth, some, POINTS)
    with pytest.raises(CalibrationError, match="camera cellar, which is not calibrated"):
        from_points(truth, {"corner": {"cellar": (1.0, 2.0)}}, POINTS)
    with pytest.raises(CalibrationError, match="attic is marked in images"):
        from_points(truth, {"attic": {"cam1": (1.0, 2.0)}}, POINTS)
    line = torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0]], dtype=torch.float64)
    with pytest.raises(CalibrationError, match="not on a line"):
        fit_similarity(line, line)


def test_camera_heights_make_the_floor() -> None:
    truth = ring_of_cameras(5)
    rig = elsewhere().cameras(truth)
    heights = dict(zip(truth.names, truth.centers_world[:, 2].tolist(), strict=True))
    assert level(from_heights(rig, heights).world_from_rig.cameras(rig), truth) < 1e-6
    heights["cam3"] += 0.2
    fit = from_heights(rig, heights)
    assert max(fit.error_m, key=lambda name: fit.error_m[name]) == "cam3"
    with pytest.raises(CalibrationError, match="2 cameras are known"):
        from_heights(rig, {"cam1": 1.0, "cam2": 1.0})


def test_camera_heights_give_the_scale_where_they_differ() -> None:
    truth = ring_of_cameras(5)
    rig = elsewhere(3.0).cameras(truth)
    heights = dict(zip(truth.names, truth.centers_world[:, 2].tolist(), strict=True))
    fit = from_heights(rig, heights, scaled=True)
    assert fit.world_from_rig.scale == pytest.approx(1 / 3.0, rel=1e-6)
    assert level(fit.world_from_rig.cameras(rig), truth) < 1e-6


def walk(line: bool) -> Tensor:
    """(N, 3) two feet that stand and swing, with 1 cm of noise, and a few mistakes under the floor."""
    generator = torch.Generator().manual_seed(3)
    time = torch.arange(600, dtype=torch.float64) / 60.0
    phase = torch.stack([time, time + 0.5], -1) * 2.0 * torch.pi
    height = 0.12 * phase.sin().clamp(min=0.0)
    along = 0.8 * (0.6 * time)[:, None].sin().expand(-1, 2) + 0.2 * phase.cos()
    across = torch.tensor([0.1, -0.1]).expand(600, 2) + (0.0 if line else 1.0) * (0.9 * time)[:, None].cos()
    feet = torch.stack([along, across, height + 0.03], -1).reshape(-1, 3)
    feet = feet + 0.01 * torch.randn(feet.shape, generator=generator, dtype=torch.float64)
    feet[::50, 2] -= 0.4
    feet[7] = torch.nan
    return feet


@pytest.mark.parametrize("line", [False, True])
def test_feet_make_the_floor(line: bool) -> None:
    truth = ring_of_cameras()
    rig, motion = elsewhere().cameras(truth), elsewhere()
    tilted = torch.tensor([0.05, -0.03, 1.0], dtype=torch.float64)
    fit = from_people(motion.points(walk(line)), motion.rotation @ tilted, sole_m=0.03)
    found = fit.world_from_rig.cameras(rig)
    assert level(found, truth) < (0.15 if line else 0.03)
    assert fit.error_m["feet"] < 0.01
    up = fit.world_from_rig.rotation @ motion.rotation @ torch.tensor([0.0, 0.0, 1.0]).double()
    assert float(torch.rad2deg(up[2].clamp(max=1.0).acos())) < (3.5 if line else 0.4)


def test_feet_that_are_too_few_are_refused() -> None:
    with pytest.raises(CalibrationError, match="3 places of feet"):
        from_people(torch.zeros(3, 3).double(), torch.tensor([0.0, 0.0, 1.0]).double())


def test_axes_and_origin_and_scale() -> None:
    point = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert turned("y").points(point).tolist() == [2.0, -1.0, 3.0]
    assert turned("x", up="y").points(point).tolist() == [1.0, -3.0, 2.0]
    assert float(torch.linalg.det(turned("-z", up="-x").rotation)) == pytest.approx(1.0)
    ahead = heading(point).points(point)
    assert ahead[1] == pytest.approx(0.0, abs=1e-12)
    assert ahead[2] == 3.0
    assert moved_origin(point).points(point).tolist() == [0.0, 0.0, 0.0]
    assert scaled_by(0.5, 1.0).points(point).tolist() == [2.0, 4.0, 6.0]
    with pytest.raises(CalibrationError, match="choose two different"):
        turned("z", up="-z")
    with pytest.raises(CalibrationError, match="no scale"):
        scaled_by(0.0, 1.7)
    with pytest.raises(CalibrationError, match="vertical"):
        heading(torch.tensor([0.0, 0.0, 1.0]).double())


# --- One rig laid on another ---


def kicked(cameras: Cameras, *names: str) -> Cameras:
    """Some cameras stand elsewhere and look elsewhere."""
    pose = cameras.cam_from_world.clone()
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.12, 0.05], dtype=torch.float64))
    for name in names:
        row = cameras.names.index(name)
        pose[row, :3, :3] = turn @ pose[row, :3, :3]
        pose[row, :3, 3] += torch.tensor([0.2, -0.1, 0.15], dtype=torch.float64)
    return cameras.with_poses(pose)


@pytest.mark.parametrize("scaled", [False, True])
def test_cameras_that_did_not_move_carry_the_others(scaled: bool) -> None:
    old = ring_of_cameras(6)
    new = elsewhere(1.7 if scaled else 1.0).cameras(kicked(old, "cam2", "cam5"))
    found = align(new, old, scaled=scaled)
    assert set(found.unmoved) == {"cam1", "cam3", "cam4", "cam6"}
    mm, degrees = apart(found.cameras, kicked(old, "cam2", "cam5"))
    assert mm < 1e-3
    assert degrees < 1e-3
    assert found.shift_m["cam2"] > 0.2
    assert found.turn_deg["cam5"] > 5.0


def test_noise_of_two_calibrations_is_no_move() -> None:
    old = ring_of_cameras(4)
    generator = torch.Generator().manual_seed(2)
    pose = old.cam_from_world.clone()
    turn = roma.rotvec_to_rotmat(0.002 * torch.randn(4, 3, generator=generator, dtype=torch.float64))
    pose[:, :3] = turn @ pose[:, :3]
    pose[:, :3, 3] += 0.005 * torch.randn(4, 3, generator=generator, dtype=torch.float64)
    found = align(elsewhere().cameras(old.with_poses(pose)), old)
    assert found.unmoved == old.names
    assert max(found.shift_m.values()) < 0.02


def test_nothing_to_align_by_is_said() -> None:
    old = ring_of_cameras(3)
    with pytest.raises(CalibrationError, match="two at least are needed"):
        align(old, old[["cam1"]])
    other = ring_of_cameras(3, radius_m=2.0, height_m=3.0)
    with pytest.raises(CalibrationError, match="nothing to align by"):
        align(kicked(other, "cam2"), old)
