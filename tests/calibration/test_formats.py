"""Calibration files: round trips of every format, what each refuses, and files that must not be read."""

import json
import math
import pickle
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import CalibrationError, Cameras
from calibration.formats import (
    CAMERA_FORMATS,
    load_cameras,
    read_cameras,
    save_cameras_text,
    write_cameras,
)

MakeCameras = Callable[..., Cameras]

HOLDS_EIGHT = {"anipose", "easymocap", "opencv-yaml", "opencv-json", "opencap", "colmap"}
HOLDS_FOURTEEN = HOLDS_EIGHT - {"colmap"}
HOLDS_FIVE = set(CAMERA_FORMATS) - {"kalibr"}
HOLDS_FISHEYE = {"anipose", "caliscope", "opencv-yaml", "opencv-json", "colmap", "kalibr", "metashape"}
HOLDS_UNPOSED = {"anipose", "freemocap", "caliscope", "easymocap", "opencv-yaml", "opencv-json", "opencap"}
HOLDS_UNSIZED = {"anipose", "freemocap", "easymocap", "opencv-yaml", "opencv-json", "voxelpose"} - {
    "freemocap"
}


def most(name: str) -> int:
    """Coefficients that a format holds, five at most."""
    return 5 if name in HOLDS_FIVE else 4


def written(cameras: Cameras, folder: Path, name: str) -> Path:
    """Written under a name that says nothing of the format."""
    write_cameras(cameras, folder / "out", name)
    return folder / "out"


def same(a: Cameras, b: Cameras) -> None:
    """Matrices and projected pixels within 1e-9, everything else equal."""
    assert a.names == b.names
    assert a.model == b.model
    width = max(a.distortion.shape[1], b.distortion.shape[1])
    rows = [torch.nn.functional.pad(c.distortion, (0, width - c.distortion.shape[1])) for c in (a, b)]
    assert torch.allclose(rows[0], rows[1], rtol=0, atol=1e-12)
    for field in ("size_px", "focal_px", "center_px", "cam_from_world"):
        assert torch.allclose(getattr(a, field), getattr(b, field), rtol=1e-13, atol=1e-9, equal_nan=True), (
            field
        )
    seen = torch.rand(
        a.focal_px.shape[0], 50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3)
    )
    seen = (seen - 0.5) * torch.tensor([5.0, 4.0, 2.0]) + torch.tensor(
        [0.0, 0.0, 5.0]
    )  # in the camera's axes
    pose = torch.nan_to_num(a.cam_from_world)
    xyz = (seen - pose[:, None, :3, 3]) @ pose[:, :3, :3]
    before, after = a.project_each(xyz)[0], b.project_each(xyz)[0]
    assert not bool(a.posed.any()) or torch.isfinite(before[a.posed]).any()
    assert torch.allclose(before, after, rtol=0, atol=1e-9, equal_nan=True)


def test_the_comparison_notices_a_small_change(make_cameras: MakeCameras) -> None:
    cameras = make_cameras(5)
    poses = cameras.cam_from_world.clone()
    poses[1, 0, 3] += 1e-8
    with pytest.raises(AssertionError):
        same(cameras, cameras.with_poses(poses))


@pytest.mark.parametrize("name", CAMERA_FORMATS)
@pytest.mark.parametrize(
    ("coefficients", "model"),
    [(0, "pinhole"), (4, "pinhole"), (5, "pinhole"), (8, "pinhole"), (14, "pinhole"), (4, "fisheye")],
)
def test_round_trip(
    name: str, coefficients: int, model: str, make_cameras: MakeCameras, tmp_path: Path
) -> None:
    """What a format holds comes back, found by its content; what it does not hold is refused in one line."""
    cameras = make_cameras(coefficients, model, ("left", "cam_2", "cam_10"))
    holds = {5: HOLDS_FIVE, 8: HOLDS_EIGHT, 14: HOLDS_FOURTEEN}.get(coefficients, set(CAMERA_FORMATS))
    if name in (HOLDS_FISHEYE if model == "fisheye" else holds):
        back = read_cameras(written(cameras, tmp_path, name))
        same(back[list(cameras.names)] if name == "opencap" else back, cameras)  # folders have no order
    else:
        with pytest.raises(CalibrationError, match=f"^camera left cannot be written as {name}: .*$"):
            written(cameras, tmp_path, name)
        assert not list(tmp_path.iterdir())


@settings(deadline=None, max_examples=60)
@given(
    turn=st.tuples(*[st.floats(-1.8, 1.8)] * 3),
    near_pi=st.booleans(),
    shift=st.tuples(*[st.floats(-90, 90)] * 3),
    name=st.sampled_from(sorted(CAMERA_FORMATS)),
)
def test_any_pose_survives(
    make_cameras: MakeCameras,
    tmp_path_factory: pytest.TempPathFactory,
    turn: tuple[float, ...],
    near_pi: bool,
    shift: tuple[float, ...],
    name: str,
) -> None:
    """Half turns and no turn are where rotation vectors are delicate."""
    rotvec = torch.tensor(turn, dtype=torch.float64)
    if near_pi:
        rotvec = (math.pi - 1e-9) * rotvec / rotvec.norm().clamp(min=1e-3)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = roma.rotvec_to_rotmat(rotvec)
    pose[:3, 3] = torch.tensor(shift, dtype=torch.float64)
    cameras = make_cameras(most(name), "pinhole", ("a",)).with_poses(pose[None])
    same(read_cameras(written(cameras, tmp_path_factory.mktemp("pose"), name)), cameras)


@pytest.mark.parametrize("name", CAMERA_FORMATS)
def test_the_same_cameras_make_the_same_bytes(name: str, make_cameras: MakeCameras, tmp_path: Path) -> None:
    """Twice written, and written after reading."""
    first = write_cameras(make_cameras(most(name)), tmp_path / "a", name)
    second = write_cameras(make_cameras(most(name)), tmp_path / "b", name)
    third = write_cameras(read_cameras(tmp_path / "a"), tmp_path / "c", name)
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]
    if name in {
        "caliscope",
        "easymocap",
        "opencv-yaml",
        "opencv-json",
        "opencap",
    }:  # those without arithmetic
        assert [f.read_bytes() for f in first] == [f.read_bytes() for f in third]


@pytest.mark.parametrize("name", CAMERA_FORMATS)
def test_unknown_poses_and_sizes(name: str, make_cameras: MakeCameras, tmp_path: Path) -> None:
    cameras = make_cameras(most(name))
    nowhere = cameras.with_poses(torch.full_like(cameras.cam_from_world, torch.nan))
    unsized = replace(cameras, size_px=torch.full_like(cameras.size_px, torch.nan))
    for changed, holders in ((nowhere, HOLDS_UNPOSED - {"freemocap"}), (unsized, HOLDS_UNSIZED)):
        if name in holders:
            folder = tmp_path / str(changed is unsized)
            same(read_cameras(written(changed, folder, name)), changed)
        else:
            with pytest.raises(CalibrationError, match=r"camera a cannot be written as .*unknown"):
                written(changed, tmp_path / "no", name)


@pytest.mark.parametrize("unit", ["mm", "cm", "m", "in"])
def test_units(unit: str, make_cameras: MakeCameras, tmp_path: Path) -> None:
    cameras = make_cameras(5)
    write_cameras(cameras, tmp_path / "a.yml", unit=unit)
    same(read_cameras(tmp_path / "a.yml", unit=unit), cameras)
    scale = {"mm": 1000, "cm": 100, "m": 1, "in": 1 / 0.0254}[unit]
    plain = read_cameras(tmp_path / "a.yml", unit="m")
    assert torch.allclose(plain.centers_world, cameras.centers_world * scale)
    with pytest.raises(CalibrationError, match="unknown unit furlong; choose one of m, cm, mm, in"):
        read_cameras(tmp_path / "a.yml", unit="furlong")


def test_millimetres_are_not_taken_for_metres(make_cameras: MakeCameras, tmp_path: Path) -> None:
    """Anipose's own files do not say their unit."""
    write_cameras(make_cameras(5), tmp_path / "calibration.toml", unit="mm")
    with pytest.raises(CalibrationError, match="in millimetres; read it with unit mm"):
        read_cameras(tmp_path / "calibration.toml")
    same(read_cameras(tmp_path / "calibration.toml", unit="mm"), make_cameras(5))


# Our own file.


def test_our_own_file(make_cameras: MakeCameras, tmp_path: Path) -> None:
    """The keys that the contract names, in a dialect that others read."""
    cameras = make_cameras(4, "pinhole", ('left "1"', "right"))
    text = save_cameras_text(cameras, {"error": 0.25, "note": "tripod\n2"})
    (tmp_path / "cameras.toml").write_text(text)
    same(load_cameras(tmp_path / "cameras.toml"), cameras)
    content = tomllib.loads(text)
    assert list(content) == ["cam_0", "cam_1", "metadata"]
    keys = ["name", "size", "matrix", "distortions", "rotation", "translation", "fisheye"]
    assert list(content["cam_0"]) == keys
    assert content["cam_0"]["size"] == [1920, 1080]
    rotation = cv2.Rodrigues(np.array(content["cam_1"]["rotation"]))[0]
    assert np.abs(rotation - cameras.cam_from_world[1, :3, :3].numpy()).max() < 1e-12
    assert content["metadata"]["format"] == "mocap-studio cameras"
    assert content["metadata"]["version"] == 1
    assert content["metadata"]["error"] == 0.25
    assert content["metadata"]["note"] == "tripod\n2"


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("version = 1", "version = 2", "newer version of the program"),
        ("version = 1", 'version = "x"', "not a whole number"),
        ("matrix = [[", "matrix = [[nan, 0, 0], [", "camera a: matrix has 12 numbers, expected 3 x 3"),
        ("rotation = [", "rotation = [nan, ", "camera a: rotation has 4 numbers"),
        ("name = ", "nom = ", None),
        ("matrix = ", "matrices = ", "camera a: has no matrix"),
        ("distortions = ", "dist = ", "camera a: has no distortions"),
        ("translation = ", "trans = ", "camera a: has a rotation and no translation"),
        ("rotation = ", "rot = ", "camera a: has a translation and no rotation"),
        ("size = [1920, 1080]", "size = [0, 1080]", "image size 0 x 1080 is not positive"),
        (
            "size = [1920, 1080]",
            "size = [inf, 1080]",
            "camera a: size holds a value that is not a finite number",
        ),
        ("size = [1920, 1080]", 'size = ["w", "h"]', "camera a: size is not made of numbers"),
        ("fisheye = false", "fisheye = true", None),
        ("[metadata]", "[metadata", "not a TOML file"),
        ("", "", None),
    ],
)
def test_a_broken_file_of_ours(
    before: str, after: str, why: str | None, make_cameras: MakeCameras, tmp_path: Path
) -> None:
    """One line, with the file, the camera and the key."""
    path = tmp_path / "cameras.toml"
    text = save_cameras_text(make_cameras(4, "pinhole", ("a",)))
    assert before in text
    path.write_text(text.replace(before, after, 1))
    if why is None:
        load_cameras(path)
        return
    with pytest.raises(CalibrationError, match=why) as error:
        load_cameras(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("key", ["matrix", "distortions", "rotation", "translation"])
def test_no_value_may_be_nan(value: str, key: str, make_cameras: MakeCameras, tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    lines = save_cameras_text(make_cameras(5, "pinhole", ("left",))).splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith(f"{key} = "))
    lines[row] = re.sub(r"-?\d+\.\d+(e-\d+)?", value, lines[row], count=1)
    path.write_text("\n".join(lines))
    for read in (load_cameras, read_cameras):
        with pytest.raises(
            CalibrationError, match=f"camera left: {key} holds a value that is not a finite number"
        ):
            read(path)


def test_a_file_without_metadata_is_version_one(make_cameras: MakeCameras, tmp_path: Path) -> None:
    text = save_cameras_text(make_cameras(4)).split("[metadata]")[0]
    (tmp_path / "Calib.toml").write_text(text)
    same(load_cameras(tmp_path / "Calib.toml"), make_cameras(4))


def test_cameras_of_mixed_kinds_in_one_file(make_cameras: MakeCameras, tmp_path: Path) -> None:
    mixed = replace(make_cameras(5), model=("pinhole", "fisheye", "pinhole"))
    mixed.distortion[1, 4] = 0
    mixed.cam_from_world[2] = torch.nan
    for name in ("anipose", "opencv-yaml", "opencv-json"):
        same(read_cameras(written(mixed, tmp_path / name, name)), mixed)


# Files of other programs, written by hand after their descriptions.


def test_opencv_reads_what_we_write(make_cameras: MakeCameras, tmp_path: Path) -> None:
    """One camera in the words of OpenCV's calibration sample, to the last bit."""
    cameras = make_cameras(5, "pinhole", ("a",))
    for path in (tmp_path / "camera.yml", tmp_path / "camera.json"):
        write_cameras(cameras, path)
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
        assert np.array_equal(storage.getNode("camera_matrix").mat(), cameras.camera_matrices[0].numpy())
        distortion = storage.getNode("distortion_coefficients").mat()
        assert distortion is not None
        assert np.array_equal(distortion.ravel(), cameras.distortion[0].numpy())
        assert storage.getNode("image_width").real() == 1920
        storage.release()


def test_what_opencv_writes_is_read(make_cameras: MakeCameras, tmp_path: Path) -> None:
    cameras = make_cameras(8, "pinhole", ("camera",))
    pose = cameras.cam_from_world[0].numpy()
    for path in (tmp_path / "camera.yml", tmp_path / "camera.json"):
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
        storage.write("cameraMatrix", cameras.camera_matrices[0].numpy())
        storage.write("distCoeffs", cameras.distortion[0].numpy()[None])
        storage.write("rvec", cv2.Rodrigues(pose[:3, :3])[0])
        storage.write("tvec", pose[:3, 3:].copy())
        storage.write("imageSize", np.array([1920, 1080]))
        storage.release()
        same(read_cameras(path), cameras)


def test_ros_yaml(tmp_path: Path) -> None:
    text = (
        "image_width: 640\nimage_height: 480\ncamera_name: head\n"
        "camera_matrix:\n  rows: 3\n  cols: 3\n  data: [500.5, 0, 320.25, 0, 501.5, 240.75, 0, 0, 1]\n"
        "distortion_model: plumb_bob\n"
        "distortion_coefficients:\n  rows: 1\n  cols: 5\n  data: [0.1, -0.2, 0.001, 0.002, 0]\n"
    )
    (tmp_path / "ost.yaml").write_text(text)
    cameras = read_cameras(tmp_path / "ost.yaml")
    assert cameras.names == ("head",)
    assert cameras.focal_px.tolist() == [[500.5, 501.5]]
    assert cameras.size_px.tolist() == [[640.0, 480.0]]
    assert cameras.distortion.tolist() == [[0.1, -0.2, 0.001, 0.002, 0.0]]
    assert not cameras.posed.any()
    (tmp_path / "ost.yaml").write_text(text.replace("plumb_bob", "omnidirectional"))
    with pytest.raises(CalibrationError, match="'omnidirectional' is not known"):
        read_cameras(tmp_path / "ost.yaml")


def test_easymocap_files(make_cameras: MakeCameras, tmp_path: Path) -> None:
    """As EasyMocap writes them with OpenCV: the folder and either file are the same thing."""
    cameras = make_cameras(5, "pinhole", ("01", "02"))
    lenses = cv2.FileStorage(str(tmp_path / "intri.yml"), cv2.FILE_STORAGE_WRITE)
    poses = cv2.FileStorage(str(tmp_path / "extri.yml"), cv2.FILE_STORAGE_WRITE)
    for storage in (lenses, poses):
        storage.startWriteStruct("names", cv2.FileNode_SEQ)
        for name in cameras.names:
            storage.write("", name)
        storage.endWriteStruct()
    for i, name in enumerate(cameras.names):
        pose = cameras.cam_from_world[i].numpy()
        lenses.write(f"K_{name}", cameras.camera_matrices[i].numpy())
        lenses.write(f"dist_{name}", cameras.distortion[i].numpy()[None])
        poses.write(f"R_{name}", cv2.Rodrigues(pose[:3, :3])[0])
        poses.write(f"T_{name}", pose[:3, 3:].copy())
        if i:  # older files have the vector alone
            poses.write(f"Rot_{name}", pose[:3, :3].copy())
    lenses.release()
    poses.release()
    unsized = replace(cameras, size_px=torch.full_like(cameras.size_px, torch.nan))
    for path in (tmp_path, tmp_path / "intri.yml", tmp_path / "extri.yml"):
        same(read_cameras(path), unsized)
    (tmp_path / "extri.yml").unlink()
    assert not read_cameras(tmp_path).posed.any()


def test_half_of_easymocap(make_cameras: MakeCameras, tmp_path: Path) -> None:
    write_cameras(make_cameras(5), tmp_path, "easymocap")
    (tmp_path / "intri.yml").unlink()
    with pytest.raises(CalibrationError, match=r"has no intri\.yml beside it"):
        read_cameras(tmp_path / "extri.yml")


def test_colmap_files(tmp_path: Path) -> None:
    """Half a pixel between COLMAP's corner and our centre, and each model's parameters in their places."""
    (tmp_path / "cameras.txt").write_text(
        "# Camera list\n1 SIMPLE_RADIAL 640 480 500 320 240 0.1\n2 RADIAL 640 480 500 320 240 0.1 -0.05\n"
        "7 FULL_OPENCV 640 480 500 510 320 240 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8\n"
        "9 OPENCV_FISHEYE 640 480 500 510 320 240 0.01 0.02 0.03 0.04\n3 SIMPLE_PINHOLE 640 480 500 320 240\n"
    )
    pose = "0.5 0.5 0.5 0.5 1 2 3"
    (tmp_path / "images.txt").write_text(
        "# Image list\n"
        f"1 {pose} 1 left/000.jpg\n10.5 20.5 3 30.5 40.5 -1\n2 {pose} 7 top.cam.png\n\n3 {pose} 9 wide.JPG\n"
    )
    cameras = read_cameras(tmp_path)
    assert cameras.names == ("left/000", "top.cam", "wide")
    assert cameras.model == ("pinhole", "pinhole", "fisheye")
    assert cameras.center_px.tolist() == [[319.5, 239.5]] * 3
    assert cameras.focal_px.tolist() == [[500, 500], [500, 510], [500, 510]]
    assert cameras.distortion.tolist() == [
        [0.1, 0, 0, 0, 0, 0, 0, 0],
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
        [0.01, 0.02, 0.03, 0.04, 0, 0, 0, 0],
    ]
    # Quaternion w x y z = a third of a turn about (1, 1, 1): x goes to y, y to z, z to x.
    expected = torch.tensor([[0, 0, 1, 1], [1, 0, 0, 2], [0, 1, 0, 3], [0, 0, 0, 1]], dtype=torch.float64)
    assert torch.allclose(cameras.cam_from_world[0], expected, atol=1e-15)
    same(read_cameras(tmp_path / "cameras.txt"), cameras)
    (tmp_path / "images.txt").unlink()
    lenses = read_cameras(tmp_path)
    assert lenses.names == ("camera_1", "camera_2", "camera_7", "camera_9", "camera_3")
    assert not lenses.posed.any()


def test_colmap_folders_are_cameras(tmp_path: Path) -> None:
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 640 480 500 510 320 240\n")
    pose = "1 0 0 0 0 0 0 1"
    (tmp_path / "images.txt").write_text(f"1 {pose} cam1/frame.jpg\n\n2 {pose} cam2/frame.jpg\n\n")
    assert read_cameras(tmp_path).names == ("cam1", "cam2")
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 640 480 500 510 320\n")
    with pytest.raises(CalibrationError, match="camera 1: PARAMS has 3 numbers, expected 4"):
        read_cameras(tmp_path)
    (tmp_path / "cameras.txt").write_text("1 FOV 640 480 500 510 320 240 0.9\n")
    with pytest.raises(CalibrationError, match="model FOV is not known; known are SIMPLE_PINHOLE"):
        read_cameras(tmp_path, "colmap")


def test_a_chain_of_kalibr(tmp_path: Path) -> None:
    """Laid out as its manual shows it: the second camera stands 11 cm to the right of the first."""
    (tmp_path / "camchain.yaml").write_text(
        "cam0:\n  camera_model: pinhole\n  intrinsics: [461.6, 460.1, 362.6, 246.0]\n"
        "  distortion_model: radtan\n  distortion_coeffs: [-0.27, 0.067, 0.0008, 0.0001]\n"
        "  rostopic: /left/image_raw\n  resolution: [752, 480]\n"
        "cam1:\n  camera_model: pinhole\n  intrinsics: [458.6, 457.2, 367.2, 248.3]\n"
        "  distortion_model: equidistant\n  distortion_coeffs: [-0.013, 0.05, -0.045, 0.012]\n"
        "  T_cn_cnm1:\n  - [1.0, 0.0, 0.0, -0.11]\n  - [0.0, 1.0, 0.0, 0.0]\n"
        "  - [0.0, 0.0, 1.0, 0.0]\n  - [0.0, 0.0, 0.0, 1.0]\n"
        "  rostopic: /right/image_raw\n  resolution: [752, 480]\n"
    )
    cameras = read_cameras(tmp_path / "camchain.yaml")
    assert cameras.names == ("left", "right")
    assert cameras.model == ("pinhole", "fisheye")
    np.testing.assert_allclose(cameras.centers_world, [[0, 0, 0], [0.11, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(cameras.distortion[0, :4], [-0.27, 0.067, 0.0008, 0.0001])
    assert cameras.size_px.tolist() == [[752, 480]] * 2


def test_a_metashape_file(tmp_path: Path) -> None:
    """Laid out as Metashape exports it; the chunk is turned, moved and half as large as the world."""
    size = '<resolution width="2256" height="1504"/>'
    bends = "<k1>-0.1</k1><k2>0.18</k2><k3>-0.06</k3><p1>0.002</p1><p2>0.0005</p2>"
    chunk = "<rotation>0 -1 0 1 0 0 0 0 1</rotation><translation>10 20 30</translation><scale>2</scale>"
    (tmp_path / "cameras.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<document version="1.5.0">\n<chunk label="Chunk">\n'
        f'<sensors next_id="1"><sensor id="0" label="unknown" type="frame">{size}'
        f'<calibration type="frame" class="initial">{size}<f>1</f></calibration>'
        f'<calibration type="frame" class="adjusted">{size}<f>1940.5</f>'
        f"<cx>13.0</cx><cy>-9.0</cy><b1>2.5</b1>{bends}</calibration></sensor></sensors>\n"
        "<cameras next_id='2'><camera id='0' sensor_id='0' label='lost'/>"
        "<group><camera id='1' sensor_id='0' label='front'>"
        "<transform>1 0 0 1 0 1 0 2 0 0 1 3 0 0 0 1</transform></camera></group></cameras>\n"
        f"<transform>{chunk}</transform></chunk></document>\n"
    )
    cameras = read_cameras(tmp_path / "cameras.xml")
    assert cameras.names == ("front",)
    np.testing.assert_allclose(cameras.centers_world, [[10 - 4, 20 + 2, 30 + 6]], atol=1e-12)
    np.testing.assert_allclose(cameras.focal_px, [[1943.0, 1940.5]])
    np.testing.assert_allclose(cameras.center_px, [[1128.0 + 13.0 - 0.5, 752.0 - 9.0 - 0.5]])
    np.testing.assert_allclose(cameras.distortion[0, :5], [-0.1, 0.18, 0.0005, 0.002, -0.06])
    # The manual's own formula for a point ahead and to the side, pixels counted from the corner.
    x, y = 0.2, -0.15
    r2 = x * x + y * y
    radial = 1 - 0.1 * r2 + 0.18 * r2**2 - 0.06 * r2**3
    bent_x = x * radial + 0.002 * (r2 + 2 * x * x) + 2 * 0.0005 * x * y
    bent_y = y * radial + 0.0005 * (r2 + 2 * y * y) + 2 * 0.002 * x * y
    expected = [1128.0 + 13.0 + bent_x * (1940.5 + 2.5) - 0.5, 752.0 - 9.0 + bent_y * 1940.5 - 0.5]
    point = torch.linalg.inv(cameras.cam_from_world[0]) @ torch.tensor([x, y, 1.0, 1.0], dtype=torch.float64)
    np.testing.assert_allclose(cameras.project(point[None, :3])[0][0, 0], expected, atol=1e-9)


def test_panoptic_file(tmp_path: Path) -> None:
    camera = {
        "name": "00_05",
        "type": "hd",
        "resolution": [1920, 1080],
        "panel": 0,
        "K": [[1400, 0, 950], [0, 1410, 540], [0, 0, 1]],
        "distCoef": [-0.2, 0.1, 0.001, 0.002, -0.03],
        "R": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
        "t": [[-150], [100], [300]],
    }
    (tmp_path / "calibration_171204.json").write_text(
        json.dumps({"calibDataSource": "x", "cameras": [camera]})
    )
    cameras = read_cameras(tmp_path / "calibration_171204.json")
    assert cameras.names == ("00_05",)
    assert cameras.cam_from_world[0, :3, 3].tolist() == pytest.approx([-1.5, 1.0, 3.0])
    assert cameras.distortion.tolist() == [[-0.2, 0.1, 0.001, 0.002, -0.03]]


def test_freemocap_is_recognised(make_cameras: MakeCameras, tmp_path: Path) -> None:
    """The Anipose layout in millimetres, with metadata or camera places of its own."""
    cameras = make_cameras(5)
    text = save_cameras_text(cameras).split("[metadata]")[0]
    for i, t in enumerate(cameras.cam_from_world[:, :3, 3].tolist()):
        line = f"translation = {[1000 * x for x in t]}"
        parts = text.split(f"[cam_{i}]")
        text = f"[cam_{i}]".join([parts[0], re.sub(r"translation = .*", line, parts[1], count=1)])
    path = tmp_path / "s_camera_calibration.toml"
    path.write_text(text + "[metadata]\ngroundplane_calibration = true\ncharuco_square_size = 58\n")
    same(read_cameras(path), cameras)
    content = tomllib.loads(written(cameras, tmp_path, "freemocap").read_text())
    place = np.array(content["cam_1"]["world_position"]) / 1000
    assert np.abs(place - cameras.centers_world[1].numpy()).max() < 1e-12


def test_qualisys_field_of_view_and_binning(make_cameras: MakeCameras, tmp_path: Path) -> None:
    """A cropped video begins at the left and top of its field of view; binning divides what is left."""
    cameras = make_cameras(5, "pinhole", ("a",))
    path = tmp_path / "calibration.qca.txt"
    write_cameras(cameras, path)
    fov = '<fov_video left="0" top="0" right="1919" bottom="1079"/>'
    assert fov in path.read_text()
    cut = '<fov_video left="100" top="40" right="1859" bottom="1039"/>'
    path.write_text(path.read_text().replace(fov, cut))
    cropped = read_cameras(path)
    assert cropped.size_px.tolist() == [[1760.0, 1000.0]]
    assert torch.allclose(cropped.center_px, cameras.center_px - torch.tensor([100.0, 40.0]))
    halved = read_cameras(path, binning=2)
    assert halved.size_px.tolist() == [[880.0, 500.0]]
    assert torch.allclose(halved.center_px, cropped.center_px / 2)
    assert torch.allclose(halved.focal_px, cropped.focal_px / 2)


def test_qualisys_sides_that_count_the_end(make_cameras: MakeCameras, tmp_path: Path) -> None:
    """Pose2Sim writes the width where Qualisys writes the last pixel."""
    path = tmp_path / "calibration.qca.txt"
    write_cameras(make_cameras(5), path)
    text = path.read_text().replace('right="1919" bottom="1079"', 'right="1920" bottom="1080"')
    text = text.replace('sensorMaxU="122879.0"', 'sensorMaxU="122880"')
    path.write_text(text.replace('sensorMaxV="69119.0"', 'sensorMaxV="69120"'))
    same(read_cameras(path), make_cameras(5))
    odd = replace(make_cameras(5), size_px=torch.tensor([[641.0, 481.0]] * 3, dtype=torch.float64))
    same(read_cameras(written(odd, tmp_path, "qualisys")), odd)


def test_qualisys_text_with_entities_is_not_read(make_cameras: MakeCameras, tmp_path: Path) -> None:
    path = tmp_path / "c.qca.txt"
    write_cameras(make_cameras(5), path)
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><calibration'
    path.write_text(path.read_text().replace("<calibration", bomb))
    with pytest.raises(CalibrationError, match="no document type"):
        read_cameras(path)


# Pickles.


class _Runs:
    """Unpickles by calling a function of somebody's choice."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_pickle_never_runs(protocol: int, tmp_path: Path) -> None:
    trace = tmp_path / "it_ran"
    value = {
        "intrinsicMat": _Runs(Path.touch, trace),
        "distortion": _Runs(eval, f"__import__('os').mkdir({str(trace) + '2'!r})"),
        "imageSize": np.array([[1.0], [1.0]]),
    }
    path = tmp_path / "camera.pickle"
    path.write_bytes(pickle.dumps(value, protocol))
    with pytest.raises(CalibrationError, match="not read") as error:
        read_cameras(path, "opencap")
    assert "wants to run" in str(error.value)
    with pytest.raises(CalibrationError):
        read_cameras(path)
    assert [p.name for p in tmp_path.iterdir()] == ["camera.pickle"]
    pickle.loads(path.read_bytes())  # the trap works where it is let
    assert len(list(tmp_path.iterdir())) == 3


def test_a_pickle_of_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "camera.pickle"
    for value in ({"a": 1}, [1, 2], np.zeros(3)):
        path.write_bytes(pickle.dumps(value))
        with pytest.raises(CalibrationError, match="not an OpenCap camera"):
            read_cameras(path)
    path.write_bytes(pickle.dumps({"intrinsicMat": 1})[:-5])
    with pytest.raises(CalibrationError):
        read_cameras(path)


def test_an_opencap_session_is_a_folder(make_cameras: MakeCameras, tmp_path: Path) -> None:
    """A folder for each camera; a plain unpickler finds OpenCap's keys in it, millimetres."""
    cameras = make_cameras(5)
    files = write_cameras(cameras, tmp_path / "Videos", "opencap")
    assert [f.parent.name for f in files] == ["a", "b", "c"]
    value = pickle.loads(files[0].read_bytes())
    assert value["imageSize"].tolist() == [[1080.0], [1920.0]]
    assert value["translation"].shape == (3, 1)
    assert np.allclose(value["translation"][:, 0] / 1000, cameras.cam_from_world[0, :3, 3])
    same(read_cameras(tmp_path / "Videos"), cameras)
    write_cameras(cameras.renamed(["cam10", "cam9", "cam1"]), tmp_path / "more", "opencap")
    assert read_cameras(tmp_path / "more").names == ("cam1", "cam9", "cam10")
    with pytest.raises(CalibrationError, match="name of a folder"):
        write_cameras(cameras, tmp_path / "all.pickle")


# The door.


def test_a_file_that_is_no_calibration(tmp_path: Path) -> None:
    """Says what was tried."""
    for name, content in (
        ("a.txt", b"hello"),
        ("b.bin", bytes(range(256))),
        ("c.json", b"[1, 2]"),
        ("d.toml", b"x = 1"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            CalibrationError, match="no calibration that is known; tried caliscope, freemocap, anipose"
        ):
            read_cameras(tmp_path / name)
    with pytest.raises(CalibrationError, match="no calibration"):
        read_cameras(tmp_path)
    with pytest.raises(CalibrationError, match="no such file"):
        read_cameras(tmp_path / "gone.toml")
    (tmp_path / "e.toml").write_text("x = [1, 2\n")
    with pytest.raises(CalibrationError, match="not a TOML file"):
        read_cameras(tmp_path / "e.toml")
    with pytest.raises(CalibrationError, match="unknown camera format vicon; choose one of caliscope"):
        read_cameras(tmp_path / "e.toml", "vicon")


def test_formats_by_ending(make_cameras: MakeCameras, tmp_path: Path) -> None:
    endings = {
        "cameras.toml": "[cam_0]",
        "camera_array.toml": "[cameras.0]",
        "x.qca.txt": "<?xml",
        "x.yml": "%YAML",
        "x.json": "{",
    }
    for name, begins in endings.items():
        (file,) = write_cameras(make_cameras(5), tmp_path / name)
        assert file == tmp_path / name
        assert file.read_text().startswith(begins)
    files = write_cameras(make_cameras(5), tmp_path / "deep" / "extri.yml")
    assert {f.name for f in files} == {"intri.yml", "extri.yml"}
    with pytest.raises(CalibrationError, match="does not say which format"):
        write_cameras(make_cameras(5), tmp_path / "cameras")


def test_a_write_that_fails_leaves_the_old_file(
    make_cameras: MakeCameras, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cameras.toml"
    write_cameras(make_cameras(5), path)
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CalibrationError, match=r"cannot be written: No space left on device"):
        write_cameras(make_cameras(5, seed=1), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["cameras.toml"]


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("focal_px", -5.0, "focal length -5, -5 is not positive"),
        ("focal_px", torch.nan, "matrix holds a value that is not a finite number"),
        ("distortion", torch.inf, "distortion holds a value that is not a finite number"),
    ],
)
def test_cameras_that_are_not_written(field: str, value: float, why: str, make_cameras: MakeCameras) -> None:
    cameras = make_cameras(5)
    wrong = replace(cameras, **{field: torch.full_like(getattr(cameras, field), value)})
    with pytest.raises(CalibrationError, match=f"camera a: {why}"):
        save_cameras_text(wrong)


def test_a_matrix_that_is_no_rotation(make_cameras: MakeCameras, tmp_path: Path) -> None:
    """Mirrored or stretched is refused; a few printed digits are repaired."""
    write_cameras(make_cameras(5, "pinhole", ("a",)), tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    exact = content["R"]["data"]
    for change, why in (
        (lambda r: [-x for x in r], "not a rotation"),
        (lambda r: [1.1 * x for x in r], "not a rotation"),
        (lambda r: [round(x, 5) for x in r], None),
    ):
        content["R"]["data"] = change(exact)
        (tmp_path / "a.json").write_text(json.dumps(content))
        if why:
            with pytest.raises(CalibrationError, match=why):
                read_cameras(tmp_path / "a.json")
        else:
            rotation = read_cameras(tmp_path / "a.json").cam_from_world[0, :3, :3]
            assert (rotation @ rotation.T - torch.eye(3)).abs().max() < 1e-14
            assert (rotation.ravel() - torch.tensor(exact, dtype=torch.float64)).abs().max() < 1e-5


def test_skewed_pixels_are_refused(make_cameras: MakeCameras, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_cameras(make_cameras(5, "pinhole", ("a",)), path)
    content = json.loads(path.read_text())
    content["camera_matrix"]["data"][1] = 3.0
    path.write_text(json.dumps(content))
    with pytest.raises(CalibrationError, match="camera a: pixels are skewed"):
        read_cameras(path)
