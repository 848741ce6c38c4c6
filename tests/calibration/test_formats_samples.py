"""Calibrations that other programs made, against what is known of them."""

import csv
import json
import pickle
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from calibration import Cameras
from calibration.formats import CAMERA_FORMATS, read_cameras, write_cameras

pytestmark = pytest.mark.footage

SAMPLES = [
    "pose2sim_single/calibration/Calib_scene.toml",
    "pose2sim_single/calibration/Calib_qualisys.toml",
    "pose2sim_single/calibration/Calib.qca.txt",
    "pose2sim_single/calibration/Calib_2024-02.qca.txt",
    "caliscope_post_optimization/camera_array.toml",
    "voxelpose_calibration/calibration_campus.json",
    "voxelpose_calibration/calibration_shelf.json",
    "opencap_intrinsics/iPhone10_1_Deployed.pickle",
    "opencap_intrinsics/iPad13_4_Deployed_720_60fps.pickle",
]


def holds(name: str, cameras: Cameras) -> bool:
    """Whether a format can hold what the sample lacks."""
    unposed = name in {"freemocap", "qualisys", "voxelpose", "panoptic", "colmap", "kalibr", "metashape"}
    unsized = name in {"freemocap", "caliscope", "qualisys", "panoptic", "opencap", "colmap", "metashape"}
    if name == "kalibr" and bool((cameras.distortion[:, 4:] != 0.0).any()):
        return False
    unsized |= name == "kalibr"
    return (bool(cameras.posed.all()) or not unposed) and (
        not bool(cameras.size_px.isnan().any()) or not unsized
    )


def in_view(cameras: Cameras) -> torch.Tensor:
    """(C, 30, 3) points in front of each camera, metres."""
    generator = torch.Generator().manual_seed(0)
    ahead = torch.rand(len(cameras), 30, 3, dtype=torch.float64, generator=generator) - 0.5
    ahead = ahead * torch.tensor([3.0, 3.0, 2.0]) + torch.tensor([0.0, 0.0, 4.0])
    pose = torch.nan_to_num(cameras.cam_from_world)
    return (ahead - pose[:, None, :3, 3]) @ pose[:, :3, :3]


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_sample_survives_every_format(sample: str, test_data: Path, tmp_path: Path) -> None:
    """Into each format and back: no camera moves by more than 1e-9."""
    cameras = read_cameras(test_data / sample)
    formats = [name for name in CAMERA_FORMATS if holds(name, cameras)]
    assert len(formats) >= 5
    for name in formats:
        write_cameras(cameras, tmp_path / name, name)
        back = read_cameras(tmp_path / name)
        assert back.names == cameras.names
        for field in ("size_px", "focal_px", "center_px", "cam_from_world"):
            a, b = getattr(cameras, field), getattr(back, field)
            assert torch.allclose(a, b, rtol=1e-13, atol=1e-9, equal_nan=True), (name, field)
        near = in_view(cameras)
        seen, again = cameras.project_each(near)[0], back.project_each(near)[0]
        assert torch.allclose(seen, again, rtol=0, atol=1e-9, equal_nan=True)


def test_qualisys_is_the_conversion_that_came_with_it(test_data: Path) -> None:
    """Poses, focal lengths and centres agree with the same cameras converted by Pose2Sim.

    Not the distortion: Pose2Sim divides coefficients by 64 with everything else, though they belong to the
    normalised plane. Chessboard photos of the same cameras gave k1 near -0.05, as the Qualisys file says.
    """
    folder = test_data / "pose2sim_single" / "calibration"
    ours, theirs = (
        read_cameras(folder / "Calib_2024-02.qca.txt"),
        read_cameras(folder / "Calib_qualisys.toml"),
    )
    assert ours.names == theirs.names
    for field in ("size_px", "focal_px", "center_px", "cam_from_world"):
        assert torch.allclose(getattr(ours, field), getattr(theirs, field), rtol=1e-13, atol=1e-9)
    assert torch.allclose(ours.distortion[:, :4], 64 * theirs.distortion, rtol=1e-12)
    board = read_cameras(folder / "Calib_scene.toml")
    # (cam 3 of the board photos came out differently in its second coefficient)
    for i in (0, 1, 3):
        assert (ours.distortion[i, :2] - board.distortion[i, :2]).abs().max() < 0.05
        assert (theirs.distortion[i, :2] - board.distortion[i, :2]).abs().max() > 0.05


def test_pose2sim_scene_is_as_opencv_understands_it(test_data: Path) -> None:
    path = test_data / "pose2sim_single" / "calibration" / "Calib_scene.toml"
    cameras, content = read_cameras(path), tomllib.loads(path.read_text())
    xyz = np.random.default_rng(0).normal(size=(20, 3)) * 0.5
    for i, name in enumerate(cameras.names):
        table = {
            key: np.array(content[name][key]) for key in ("rotation", "translation", "matrix", "distortions")
        }
        expected = cv2.projectPoints(xyz[:, None], *table.values())[0][:, 0]
        assert np.abs(cameras.project(torch.from_numpy(xyz))[0][i].numpy() - expected).max() < 1e-9


def test_caliscope(test_data: Path) -> None:
    """The reconstructed board corners of that project fall where its cameras saw them."""
    folder = test_data / "caliscope_post_optimization"
    cameras = read_cameras(folder / "camera_array.toml")
    assert cameras.names == ("cam_0", "cam_1", "cam_2", "cam_3")
    folder = folder / "calibration" / "extrinsic" / "CHARUCO"
    with (folder / "xyz_CHARUCO.csv").open() as file:
        corners = {(row["sync_index"], row["keypoint_id"]): row for row in csv.DictReader(file)}
    with (folder / "xy_CHARUCO.csv").open() as file:
        seen = [row for row in csv.DictReader(file) if (row["sync_index"], row["keypoint_id"]) in corners][
            ::5
        ]
    solved = [corners[row["sync_index"], row["keypoint_id"]] for row in seen]
    xyz = torch.tensor(
        [[float(row[f"{axis}_coord"]) for axis in "xyz"] for row in solved], dtype=torch.float64
    )
    where = np.array([[float(row["img_loc_x"]), float(row["img_loc_y"])] for row in seen])
    xy_px = cameras.project(xyz)[0].numpy()[[int(row["cam_id"]) for row in seen], range(len(seen))]
    errors = np.linalg.norm(xy_px - where, axis=1)
    assert len(errors) > 100
    assert np.median(errors) < 2.0


def test_voxelpose_cameras_stand_where_the_file_says(test_data: Path) -> None:
    path = test_data / "voxelpose_calibration" / "calibration_shelf.json"
    cameras, content = read_cameras(path), json.loads(path.read_text())
    for i, name in enumerate(cameras.names):
        expected = np.array(content[name]["T"])[:, 0] / 1000
        assert np.abs(cameras.centers_world[i].numpy() - expected).max() < 1e-12
        assert np.abs(cameras.cam_from_world[i, :3, :3].numpy() - content[name]["R"]).max() < 2e-6
    assert (cameras.centers_world[:, 2] > 0).all()  # above the floor, Z up


def test_opencap_camera(test_data: Path) -> None:
    """A phone upright: the height comes first in the file."""
    path = test_data / "opencap_intrinsics" / "iPhone10_1_Deployed.pickle"
    cameras = read_cameras(path)
    assert cameras.names == ("iPhone10_1_Deployed",)
    assert cameras.size_px.tolist() == [[720.0, 1280.0]]
    assert not cameras.posed.any()
    value = pickle.loads(path.read_bytes())  # this one is known
    assert np.array_equal(cameras.camera_matrices[0].numpy(), value["intrinsicMat"])
    assert np.array_equal(cameras.distortion.numpy(), value["distortion"])
