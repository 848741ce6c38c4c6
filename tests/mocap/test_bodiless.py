"""Animals and props: other tools' results to points in files, without a body in between."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from calibration import Cameras
from mocap.cli import execute
from mocap.session import Session
from mocap.take import Take

DOG = {
    "nose": (0.5, 0, 0.6),
    "left_ear": (0.4, 0.1, 0.7),
    "right_ear": (0.4, -0.1, 0.7),
    "withers": (0.2, 0, 0.55),
    "tail_base": (-0.3, 0, 0.5),
    "left_front_paw": (0.3, 0.1, 0.05),
}
WAND = {"tip": (0.0, 0.0, 1.4), "grip": (0.0, 0.0, 1.0)}
LIGHT = {"led": (0.0, 0.0, 1.0)}
RATE_HZ, FRAMES = 50.0, 40


def ring() -> Cameras:
    poses = []
    for angle in np.linspace(0, 2 * np.pi, 4, endpoint=False) + 0.3:
        center = np.array([3 * np.cos(angle), 3 * np.sin(angle), 1.2])
        forward = np.array([0, 0, 0.7]) - center
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        poses.append(np.vstack([np.column_stack([rotation, -rotation @ center]), [0, 0, 0, 1]]))
    ones = torch.ones(4, 2, dtype=torch.float64)
    size = torch.tensor([[1280.0, 720.0]] * 4, dtype=torch.float64)
    return Cameras(
        ("cam1", "cam2", "cam3", "cam4"), size, 900 * ones, (size - 1) / 2,
        torch.zeros(4, 4, dtype=torch.float64), torch.tensor(np.array(poses)),
    )  # fmt: skip


def tracked(take: Take, folder: Path, parts: dict[str, tuple[float, float, float]]) -> np.ndarray:
    """DeepLabCut's tables of something that moves; the truth (T, K, 3) in metres."""
    time = np.arange(FRAMES) / RATE_HZ
    path = np.stack([0.3 * np.sin(time), 0.2 * np.cos(time), 0.05 * np.sin(3 * time)], -1)
    xyz = np.array(list(parts.values()))[None] + path[:, None]
    cameras = ring()
    take.session.save_cameras(cameras)
    xy = cameras.project(torch.as_tensor(xyz))[0].numpy() + np.random.default_rng(0).normal(
        0, 0.5, (FRAMES, 4, len(parts), 2)
    )
    folder.mkdir()
    for index, name in enumerate(cameras.names):
        with (folder / f"{name}DLC_resnet50_dogNov1shuffle1_100000.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["scorer", *["DLC"] * 3 * len(parts)])
            writer.writerow(["bodyparts", *[part for part in parts for _ in range(3)]])
            writer.writerow(["coords", *["x", "y", "likelihood"] * len(parts)])
            for frame in range(FRAMES):
                cells = np.concatenate([xy[frame, index], np.full((len(parts), 1), 0.95)], -1)
                writer.writerow([300 + frame, *cells.ravel().tolist()])
    return xyz


@pytest.mark.parametrize("parts", [DOG, WAND, LIGHT], ids=["dog", "wand", "light"])
def test_from_tables_to_points_in_files(
    tmp_path: Path, parts: dict[str, tuple[float, float, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    take = Session.create(tmp_path / "s", takes=("t",)).take("t")
    truth = tracked(take, tmp_path / "dlc", parts)
    root = str(take.session.root)
    assert execute(["import", root, str(tmp_path / "dlc"), "--take", "t", "--fps", "50"]) == 0
    assert execute(["run", root]) == 0
    assert "note: no body is fitted" in capsys.readouterr().out
    points = take.load_points()
    assert points.keypoint_names == tuple(parts)
    assert points.time_s[0] == pytest.approx(300 / RATE_HZ)
    error = np.linalg.norm(points.xyz_world[:, 0] - truth, axis=-1)
    assert error.mean() < 0.002
    assert {path.name for path in take.export_files()} == {"points1.trc", "points1.csv", "points1.json"}
    assert not take.motion_files()
    with (take.export_folder / "points1.csv").open() as file:
        rows = list(csv.DictReader(file))
    first = next(iter(parts))
    written = np.array([[float(row[f"{first}_{axis}_m"]) for axis in "xyz"] for row in rows])
    np.testing.assert_allclose(written, points.xyz_world[:, 0, 0], atol=1e-6)


def test_the_wanted_format_alone_is_written_and_only_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take = Session.create(tmp_path / "s", takes=("t",)).take("t")
    tracked(take, tmp_path / "dlc", WAND)
    root = str(take.session.root)
    execute(["import", root, str(tmp_path / "dlc"), "--take", "t", "--fps", "50"])
    assert execute(["run", root, "--set", 'export.formats=["trc", "bvh"]']) == 0
    assert [path.name for path in take.export_files()] == ["points1.trc"]
    text = (take.export_folder / "points1.trc").read_text().splitlines()
    assert text[3].split("\t")[2:5:3] == ["tip"]
    before = (take.export_folder / "points1.trc").stat().st_mtime_ns
    capsys.readouterr()
    assert execute(["export", root, "--format", "trc"]) == 0
    assert "skipped" in capsys.readouterr().out
    assert (take.export_folder / "points1.trc").stat().st_mtime_ns == before
