"""The real four-camera clip, from its videos and scene calibration alone, by the commands of the README."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mocap.cli import execute
from mocap.metrics import bone_length_std_m
from mocap.session import Session

pytestmark = [pytest.mark.slow, pytest.mark.footage]

POSE2SIM_BONE_STD_M = 0.0249
"""Bone-length standard deviation of Pose2Sim's filtered result on this clip, over the same bones."""


@pytest.fixture(scope="module")
def session(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    source = test_data / "pose2sim_single"
    root = tmp_path_factory.mktemp("footage") / "balancing"
    assert execute(["new", str(root)]) == 0
    for clip in sorted((source / "videos").glob("*.mp4")):
        shutil.copyfile(clip, root / "takes" / "take1" / clip.name)
    assert (
        execute(["cameras", str(source / "calibration" / "Calib_scene.toml"), str(root / "cameras.toml")])
        == 0
    )
    assert execute(["run", str(root)]) == 0
    return Session.open(root)


@pytest.fixture(scope="module")
def report(session: Session) -> dict:
    return session.take("take1").load_report()


def test_a_bvh_of_a_hundred_frames_at_60_hz(session: Session) -> None:
    files = session.take("take1").export_files()
    assert [path.suffix for path in files] == [".bvh", ".fbx"]
    text = files[0].read_text()
    assert "Frames: 100\n" in text
    assert "Frame Time: 0.01666667\n" in text


def test_upright_with_the_feet_on_the_floor(session: Session) -> None:
    motion = session.take("take1").load_motion("person1")
    height = {name: motion.joints[:, index, 2] for index, name in enumerate(motion.joint_names)}
    assert np.median(height["head"] - height["pelvis"]) > 0.45
    assert (height["head"] > height["left_knee"]).all()
    lowest = np.minimum(height["left_foot"], height["right_foot"])
    assert -0.03 < np.median(lowest) < 0.08, (
        "the ball of the standing foot is a few centimetres above the floor"
    )


def test_bone_lengths_are_steadier_than_pose2sims(session: Session) -> None:
    spread_m = bone_length_std_m(session.take("take1").load_points())
    assert spread_m < POSE2SIM_BONE_STD_M


def test_the_fitted_body_reprojects(report: dict) -> None:
    assert report["reprojection"]["median_px"] < 12.0


def test_held_out_views(report: dict) -> None:
    assert report["held_out_limbs"]["median_px"] <= 12.0


def test_running_again_does_nothing(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", str(session.root), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.strip().split("\n")[-1])
    assert answer["done"] == []
