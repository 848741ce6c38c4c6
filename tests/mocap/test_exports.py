"""What the export stage adds to a motion: points, cameras, clips, timecode, and what a program wants."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from calibration import Cameras
from exporters import TARGETS
from exporters.fbx.binary import decode
from mocap.cli import execute
from mocap.pipeline import run_stage
from mocap.session import Session
from mocap.take import Take
from mocap.video import ClipWriter
from rigs import load_body
from rigs.motion import Motion

FRAMES, RATE_HZ = 6, 30000 / 1001


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """A motion with points, two cameras and a clip."""
    take = Session.create(tmp_path / "s").take("take1")
    body = load_body()
    poses = np.zeros((FRAMES, len(body.joint_names) * 3))
    poses[:, 0] = np.pi / 2
    trans, betas = np.tile([0.1, 0.2, 0.93], (FRAMES, 1)), np.zeros(body.num_betas)
    time_s = np.arange(FRAMES) / RATE_HZ + 0.5
    motion = Motion(
        poses, trans, betas, "neutral", RATE_HZ, time_s, body.joint_names,
        body.pose_joints(poses, trans, betas).numpy(),
    )  # fmt: skip
    take.save_motion("person1", motion)
    xyz = np.random.default_rng(0).normal(size=(2 * FRAMES, 2, 3, 3))
    np.savez(
        take.points_file,
        time_s=np.arange(2 * FRAMES) / (2 * RATE_HZ) + 0.5,
        keypoint_names=np.array(["nose", "left_eye", "right_eye"]),
        person=np.array([4, 0]),
        xyz_world=xyz,
    )
    pose = torch.eye(4, dtype=torch.float64)
    pose[2, 3] = 4.0
    take.save_cameras(
        Cameras(
            ("cam1", "cam2"),
            torch.tensor([[64.0, 48.0]] * 2),
            torch.full((2, 2), 50.0).double(),
            torch.tensor([[31.5, 23.5]] * 2).double(),
            torch.zeros(2, 4).double(),
            pose.repeat(2, 1, 1),
        )
    )
    with ClipWriter(take.folder / "cam2.mp4", (64, 48), RATE_HZ, 21.0) as clip:
        for _ in range(3):
            clip.write(np.zeros((48, 64, 3), np.uint8))
    return take


def exported(take: Take, *overrides: str) -> list[str]:
    return [path.name for path in run_stage("export", take.session.root, overrides=list(overrides)).files]


def test_points_of_the_same_person_at_the_same_times(take: Take) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    assert exported(take, "export.formats=c3d") == ["person1.c3d"]
    found = ezc3d.c3d(str(take.export_folder / "person1.c3d"))
    assert found["parameters"]["POINT"]["LABELS"]["value"][:3] == ["nose", "left_eye", "right_eye"]
    points = take.load_points().xyz_world[::2, 1]
    assert np.abs(found["data"]["points"][:3, :3].transpose(2, 1, 0) - 1000 * points).max() < 1e-3


def test_cameras_travel_along_with_a_script(take: Take) -> None:
    assert exported(take, 'export.formats=["fbx", "glb"]', "export.cameras=true") == [
        "blender_scene.py", "person1.fbx", "person1.glb",
    ]  # fmt: skip
    nodes = decode((take.export_folder / "person1.fbx").read_bytes())[1]
    objects = next(node for node in nodes if node.name == "Objects")
    kinds = [node.values[2] for node in objects.all("Model")]
    assert kinds.count(b"Camera") == 2
    script = (take.export_folder / "blender_scene.py").read_text(encoding="utf-8")
    call = next(
        node for node in ast.walk(ast.parse(script))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "json.loads"
    )  # fmt: skip
    scene = json.loads(ast.literal_eval(call.args[0]))
    assert scene["characters"] == ["person1.fbx"]
    assert scene["cameras"][1]["clip"] == "../cam2.mp4"
    assert scene["cameras"][1]["clip_begins_after"] == -round(0.5 * RATE_HZ)
    assert "clip" not in scene["cameras"][0]
    assert run_stage(
        "export", take.session.root, overrides=['export.formats=["fbx", "glb"]', "export.cameras=true"]
    ).skipped


def test_timecode_counts_from_the_take(take: Take) -> None:
    exported(take, "export.formats=json", 'export.timecode="00:59:59;25"')
    content = json.loads((take.export_folder / "person1.json").read_text())
    assert content["start_timecode"] == "01:00:00;10"  # half a second later


@pytest.mark.parametrize("program", TARGETS)
def test_every_target_writes_its_format(program: str, take: Take, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["export", str(take.session.root), "--for", program]) == 0
    wanted = TARGETS[program]
    names = [path.name for path in take.export_files()]
    assert f"person1.{wanted.format}" in names
    assert ("blender_scene.py" in names) == wanted.cameras


def test_an_unknown_target_lists_the_known(take: Take, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["export", str(take.session.root), "--for", "paint"]) == 2
    assert "choose one of blender, unreal" in capsys.readouterr().err
