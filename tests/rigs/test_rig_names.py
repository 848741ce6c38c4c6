from __future__ import annotations

from pathlib import Path

import pytest

from rigs.errors import RigError
from rigs.rig_names import DEFAULT_RIG, available_rigs, load_rig_names
from rigs.skeleton import SMPL_JOINT_NAMES

REQUIRED_BY_UNITY_VRM_AND_HUMANIK = [
    *("pelvis", "spine1", "head", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee"),
    *("right_ankle", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow"),
    "right_wrist",
]


def test_the_promised_rigs_are_there() -> None:
    assert {"smpl", "mixamo", "unreal", "unity", "vrm", "humanik", "cmu"} <= set(available_rigs())
    assert DEFAULT_RIG in available_rigs()


@pytest.mark.parametrize("rig", available_rigs())
def test_every_rig_names_the_body_uniquely(rig: str) -> None:
    names = load_rig_names(rig)
    assert set(SMPL_JOINT_NAMES[:22]) <= set(names)
    assert len(set(names.values())) == len(names)
    for joint, name in names.items():
        side = joint.split("_")[0]
        if side not in ("left", "right"):
            continue
        other = names[{"left": "right_", "right": "left_"}[side] + joint.split("_", 1)[1]]
        assert other != name
        assert len(set(name) ^ set(other)) <= 7, f"{name} and {other} should differ by the side alone"


@pytest.mark.parametrize(
    ("rig", "joint", "name"),
    [
        # The trap: SMPL's shoulder is everybody else's upper arm, its collar their shoulder.
        ("mixamo", "left_shoulder", "LeftArm"),
        ("mixamo", "left_collar", "LeftShoulder"),
        ("humanik", "right_foot", "RightToeBase"),
        ("unreal", "left_shoulder", "upperarm_l"),
        ("unreal", "spine3", "spine_05"),
        ("unreal4", "spine3", "spine_03"),
        ("unity", "right_hip", "RightUpperLeg"),
        ("unity", "left_thumb1", "LeftThumbProximal"),
        ("vrm", "left_thumb1", "leftThumbMetacarpal"),
        ("vrm", "left_ankle", "leftFoot"),
        ("cmu", "spine1", "LowerBack"),
        ("rigify", "left_hip", "thigh.L"),
        ("daz", "right_middle2", "rMid2"),
        ("reallusion", "right_elbow", "CC_Base_R_Forearm"),
        ("smpl", "left_hand", "left_hand"),
    ],
)
def test_known_names(rig: str, joint: str, name: str) -> None:
    assert load_rig_names(rig)[joint] == name


def test_joints_that_humanoids_require_are_distinct() -> None:
    for rig in ("unity", "vrm", "humanik"):
        names = load_rig_names(rig)
        assert len({names[joint] for joint in REQUIRED_BY_UNITY_VRM_AND_HUMANIK}) == 15


def test_only_blender_and_max_have_signs_that_break_bvh_readers() -> None:
    broken = {
        rig
        for rig in available_rigs()
        if any(not name.replace("_", "").isalnum() for name in load_rig_names(rig).values())
    }
    assert broken == {"rigify", "biped"}


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[names]\npelvis = "Hüfte"\n', encoding="utf-8")
    assert load_rig_names(str(file)) == {"pelvis": "Hüfte"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pelvis = 1", r"no \[names\]"),
        ("[names]\npelvis = 1", "must be text"),
        ('[names]\npelvis = "a"\nhead = "a"', "to pelvis and head"),
        ("[names", "not readable"),
    ],
)
def test_broken_files_say_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(RigError, match=message):
        load_rig_names(str(file))


def test_unknown_rig_lists_the_known() -> None:
    with pytest.raises(RigError, match=r"choose one of .*mixamo.*unreal"):
        load_rig_names("mixmao")
