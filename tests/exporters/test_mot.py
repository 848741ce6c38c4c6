from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from exporters import Character, ExportError, Take, export
from rigs.skeleton import SMPL_JOINT_NAMES

from ..clients.walk import walking_character, walking_take


def read(file: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    head, body = file.read_text(encoding="utf-8").split("endheader\n")
    names, *rows = body.splitlines()
    values = np.array([[float(word) for word in row.split("\t")] for row in rows])
    facts = dict(line.split("=") for line in head.splitlines()[1:])
    return facts, dict(zip(names.split("\t"), values.T, strict=True))


def posed(**turns: tuple[float, float, float]) -> Take:
    """One frame; turns by joint in degrees about the rig's axes (X left, Y up, Z forward), of the T pose."""
    character = walking_character(num_frames=1)
    poses = np.zeros((24, 3))
    upright = Rotation.from_euler("x", 90, degrees=True)
    for joint, degrees in turns.items():
        poses[SMPL_JOINT_NAMES.index(joint)] = np.deg2rad(degrees)
    poses[0] = (upright * Rotation.from_rotvec(poses[0])).as_rotvec()
    motion = replace(character.motion, poses=poses.reshape(1, -1))
    return Take("pose", (Character("0", character.skeleton, motion),))


def coordinates(take: Take, folder: Path) -> dict[str, float]:
    (file,) = export(take, folder / "pose.mot")
    return {name: float(values[0]) for name, values in read(file)[1].items()}


def test_the_rest_pose_is_a_cross(tmp_path: Path) -> None:
    found = coordinates(posed(), tmp_path)
    nonzero = {name: value for name, value in found.items() if abs(value) > 1e-6 and "pelvis_t" not in name}
    assert nonzero == pytest.approx({"arm_add_r": -90.0, "arm_add_l": -90.0})


@pytest.mark.parametrize(
    ("turns", "wanted"),
    [
        ({"right_hip": (-30, 0, 0)}, {"hip_flexion_r": 30}),
        ({"left_hip": (-30, 0, 0)}, {"hip_flexion_l": 30}),
        ({"left_hip": (0, 0, 20)}, {"hip_adduction_l": -20}),  # the left leg out to the left
        ({"right_hip": (0, 0, -20)}, {"hip_adduction_r": -20}),
        ({"right_hip": (0, 15, 0)}, {"hip_rotation_r": 15}),  # toes inwards
        ({"left_hip": (0, -15, 0)}, {"hip_rotation_l": 15}),
        ({"right_knee": (50, 0, 0)}, {"knee_angle_r": 50}),
        ({"left_ankle": (-12, 0, 0)}, {"ankle_angle_l": 12}),  # toes up
        ({"right_shoulder": (0, 0, 90)}, {"arm_add_r": 0}),  # the arm hangs
        ({"left_shoulder": (0, 0, -60)}, {"arm_add_l": -30}),
        ({"left_elbow": (0, -70, 0)}, {"elbow_flex_l": 70}),  # the hand comes forward
        ({"right_elbow": (0, 70, 0)}, {"elbow_flex_r": 70}),
        ({"spine1": (-10, 0, 0), "spine2": (-5, 0, 0)}, {"lumbar_extension": 15}),
        ({"pelvis": (0, 25, 0)}, {"pelvis_rotation": 25}),  # a turn to the left
    ],
)
def test_planted_angles(
    turns: dict[str, tuple[float, float, float]], wanted: dict[str, float], tmp_path: Path
) -> None:
    found, rest = coordinates(posed(**turns), tmp_path), coordinates(posed(), tmp_path)
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-5)
    others = {name for name in found if name not in wanted and abs(found[name] - rest[name]) > 1e-5}
    assert not others


def test_head_and_columns(tmp_path: Path) -> None:
    (file,) = export(walking_take(num_frames=31, rate_hz=30000 / 1001), tmp_path / "walk.mot")
    facts, columns = read(file)
    assert facts == {"version": "1", "nRows": "31", "nColumns": str(len(columns)), "inDegrees": "yes"}
    assert columns["time"][-1] == pytest.approx(1.001, abs=1e-6)
    motion = walking_take(num_frames=31, rate_hz=30000 / 1001).characters[0].motion
    pelvis = motion.joints[:, 0]
    # Ground: X is where a person looks that faces our -Y, Y up.
    assert columns["pelvis_tx"] == pytest.approx(-pelvis[:, 1], abs=1e-6)
    assert columns["pelvis_ty"] == pytest.approx(pelvis[:, 2], abs=1e-6)
    assert columns["pelvis_tz"] == pytest.approx(-pelvis[:, 0], abs=1e-6)


def test_a_skeleton_of_other_names(tmp_path: Path) -> None:
    character = walking_character(num_frames=2)
    names = ("Hips", *SMPL_JOINT_NAMES[1:])
    other = Character(
        "0",
        replace(character.skeleton, joint_names=names),
        replace(character.motion, joint_names=names),
    )
    with pytest.raises(ExportError, match="MOT needs SMPL's joints; there is no pelvis"):
        export(Take("walk", (other,)), tmp_path / "walk.mot")
