from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from exporters import Character, ExportError, Take
from exporters.bvh import bvh_axes, export_bvh, parse_bvh, read_bvh
from exporters.euler import ROTATION_ORDERS
from exporters.rigged import joints_on_rig
from rigs.rig import load_rig
from rigs.rig_names import available_rigs
from rigs.skeleton import SMPL_JOINT_NAMES

from ..clients.walk import SOLE_M, walking_character, walking_take

MAX_ERROR_M = 1e-6
"""A micrometre: six decimals of a degree at the end of an arm, and of a centimetre."""


def written(take: Take | Character, **options: Any) -> str:
    take = take if isinstance(take, Take) else Take("take", (take,))
    (data,) = export_bvh(take, **options).values()
    return bytes(data).decode("ascii")


def difference_m(character: Character, read: Character, rig: str = "mixamo") -> NDArray[np.float64]:
    """(T, N) how far the joints of the file are from where the rig has them."""
    wanted = joints_on_rig(character, load_rig(rig))
    joints = np.stack([wanted[name] for name in read.motion.joint_names], axis=1)
    return np.linalg.norm(read.motion.joints - joints, axis=-1)


@pytest.fixture(scope="module")
def walker() -> Character:
    return walking_character()


@pytest.mark.parametrize(
    ("options", "reading"),
    [
        *(({"rotation_order": order}, {}) for order in ROTATION_ORDERS),
        ({"unit": "m", "decimals": 8}, {"unit": "m"}),
        ({"unit": "inch"}, {"unit": "inch"}),
        ({"up": "z"}, {"up": "z"}),
        ({"up": "z", "unit": "m", "rotation_order": "XYZ", "decimals": 9}, {"up": "z", "unit": "m"}),
    ],
)
def test_joints_survive(walker: Character, options: dict[str, Any], reading: dict[str, Any]) -> None:
    read = read_bvh(written(walker, **options).encode(), **reading)
    assert len(read.motion.joint_names) == 22
    assert difference_m(walker, read).max() < MAX_ERROR_M


@pytest.mark.parametrize("rig", [rig for rig in available_rigs() if rig not in ("rigify", "biped")])
def test_joints_survive_under_every_name(walker: Character, rig: str) -> None:
    assert difference_m(walker, read_bvh(written(walker, rig=rig).encode()), rig).max() < MAX_ERROR_M


def test_poses_and_skeleton_survive(walker: Character) -> None:
    read = read_bvh(written(walker, rig="smpl", decimals=10).encode())
    order = [read.motion.joint_names.index(joint) for joint in SMPL_JOINT_NAMES]
    poses = read.motion.poses.reshape(-1, 24, 3)[:, order].reshape(-1, 3)
    turn = Rotation.from_rotvec(poses).inv() * Rotation.from_rotvec(walker.motion.poses.reshape(-1, 3))
    assert turn.magnitude().max() < 1e-10
    assert np.allclose(read.rest_xyz[order], walker.rest_xyz, atol=1e-10)
    assert np.allclose(read.motion.trans, walker.motion.trans, atol=1e-10)
    assert read.motion.mocap_framerate == pytest.approx(30.0, rel=1e-6)
    assert np.allclose(read.skeleton.tips["head"], walker.skeleton.tips["head"])


def test_a_body_that_rests_off_the_origin() -> None:
    """SMPL's own pelvis does; its trans is not where the pelvis is."""
    walker = walking_character(root_xyz=(-0.002, -0.223, 0.028))
    assert difference_m(walker, read_bvh(written(walker).encode())).max() < MAX_ERROR_M


def test_the_form_that_all_readers_understand(walker: Character) -> None:
    text = written(walker)
    lines = text.split("\n")
    assert lines[:5] == [
        "HIERARCHY",
        "ROOT Hips",
        "{",
        "\tOFFSET 0.000000 0.000000 0.000000",
        "\tCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation",
    ]
    channels = [line.strip() for line in lines if "CHANNELS" in line]
    assert set(channels[1:]) == {"CHANNELS 3 Zrotation Xrotation Yrotation"}
    assert len(channels) == 22
    assert sum(line.strip() == "End Site" for line in lines) == 5
    assert "\r" not in text and "\n\n" not in text and text.endswith("\n")
    start = lines.index("MOTION")
    assert lines[start + 1 : start + 3] == ["Frames: 91", "Frame Time: 0.03333333"]
    rows = lines[start + 3 : -1]
    assert len(rows) == 91
    row = re.compile(r"-?\d+\.\d{6}( -?\d+\.\d{6}){68}")
    assert all(row.fullmatch(line) for line in rows)
    assert "-0.000000" not in text
    file = parse_bvh(text.encode())
    assert all(np.linalg.norm(offset) > 0.5 for offset in file.end_sites.values())


def test_rest_is_a_tpose_in_the_files_axes(walker: Character) -> None:
    """Y up, facing +Z, left = +X: the toes point to +z, the left arm to +x, the head to +y."""
    file = parse_bvh(written(walker).encode())
    offset = dict(zip(file.joint_names, file.offsets, strict=True))
    assert np.argmax(np.abs(offset["LeftForeArm"])) == 0 and offset["LeftForeArm"][0] > 0
    assert np.argmax(np.abs(offset["LeftToeBase"])) == 2 and offset["LeftToeBase"][2] > 0
    assert np.argmax(np.abs(offset["Neck"])) == 1 and offset["Neck"][1] > 0
    z_up = parse_bvh(written(walker, up="z").encode())
    offset = dict(zip(z_up.joint_names, z_up.offsets, strict=True))
    assert np.argmax(np.abs(offset["LeftToeBase"])) == 1 and offset["LeftToeBase"][1] < 0
    assert np.argmax(np.abs(offset["Neck"])) == 2 and offset["Neck"][2] > 0


def test_who_faces_minus_y_in_the_world_faces_plus_z_in_the_file(walker: Character) -> None:
    motion = walker.motion
    poses = np.zeros_like(motion.poses[:1])
    poses[:, 0] = np.pi / 2
    still = replace(
        motion,
        poses=poses,
        trans=np.array([[0.5, 2.0, 0.95]]),
        time_s=motion.time_s[:1],
        joints=motion.joints[:1],
        joint_std=motion.joint_std[:1],
        contacts=motion.contacts[:1],
    )
    file = parse_bvh(written(Character("0", walker.skeleton, still)).encode())
    assert np.allclose(file.local_rotation, np.eye(3), atol=1e-8)
    assert np.allclose(file.local_xyz[0, 0], [50, 95, -200])


def test_curves_do_not_jump(walker: Character) -> None:
    """The walker turns by more than a whole turn, waves, and is followed at 30 Hz."""
    for order in ROTATION_ORDERS:
        rows = written(walker, rotation_order=order).split("Frame Time:")[1].splitlines()[1:]
        values = np.array([row.split() for row in rows], dtype=float)
        steps = np.abs(np.diff(values[:, 3:], axis=0)).max(axis=0)
        # With the heading as the middle angle a turn goes through the lock, where the others run fast.
        assert steps[:3].max() < (90 if order[1] == "Y" else 10), f"root in {order}"
        assert steps[3:].max() < 160, f"joints in {order}"
        if order == "ZXY":
            assert values[-1, 5] - values[0, 5] == pytest.approx(450, abs=1)


@pytest.mark.parametrize(
    ("rate_hz", "text"), [(29.97, "0.03336670"), (30000 / 1001, "0.03336667"), (60, "0.01666667")]
)
def test_frame_time_has_eight_decimals(rate_hz: float, text: str) -> None:
    assert f"Frame Time: {text}\n" in written(walking_character(num_frames=2, rate_hz=rate_hz))


def test_tpose_first(walker: Character) -> None:
    plain, posed = written(walker), written(walker, tpose_first_frame=True)
    assert "Frames: 92\n" in posed
    rows = posed.split("Frame Time:")[1].splitlines()[1:]
    assert rows[1:] == plain.split("Frame Time:")[1].splitlines()[1:]
    first = np.array(rows[0].split(), dtype=float)
    assert np.all(first[3:] == 0)
    begin = np.array(rows[1].split(), dtype=float)
    # Where the motion begins, with the lowest point, a toe's tip, on the floor.
    assert np.allclose(first[:3], [begin[0], SOLE_M * 100, begin[2]])
    z_up = np.array(written(walker, tpose_first_frame=True, up="z").splitlines()[-92].split(), dtype=float)
    assert z_up[2] == pytest.approx(SOLE_M * 100)


def test_frames_can_be_left_out(walker: Character) -> None:
    rows = written(walker).split("Frame Time:")[1].splitlines()[1:]
    cut = written(walker, start_frame=10, end_frame=20).split("Frame Time:")[1].splitlines()[1:]
    ours = np.array([row.split() for row in rows[10:20]], dtype=float)
    cut_values = np.array([row.split() for row in cut], dtype=float)
    assert cut_values.shape == ours.shape
    # Whole turns aside: unwinding starts at the first frame that is written.
    assert np.allclose((cut_values - ours + 180) % 360, 180)
    with pytest.raises(ExportError, match="no frames from 200 to None; the motion has 91"):
        written(walker, start_frame=200)


def spoiled(walker: Character, frames: list[int], *, part: str = "poses") -> Character:
    array = getattr(walker.motion, part).copy()
    array[frames, 1] = np.nan
    return replace(walker, motion=replace(walker.motion, **{part: array}))


@pytest.mark.parametrize("part", ["poses", "trans"])
def test_frames_without_a_pose_are_named(walker: Character, part: str) -> None:
    gappy = spoiled(walker, [30, 31, 45], part=part)
    with pytest.raises(ExportError, match=r"person 0: frame 30 \(1.000 s\) has no pose, nor have 2 others"):
        written(gappy)
    with pytest.raises(ExportError, match="frame 45"):
        written(gappy, start_frame=32)
    assert "Frames: 30\n" in written(gappy, end_frame=30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rotation_order": "XYX"}, "no rotation order 'XYX'"),
        ({"unit": "furlong"}, "no unit 'furlong'; choose one of"),
        ({"up": "x"}, "no up axis 'x'"),
        ({"decimals": 0}, "decimals must be between 1 and 15"),
        ({"rig": "nobody"}, "no rig 'nobody'; choose one of"),
        ({"rig": "rigify"}, "break on the joint name 'thigh.L'"),
        ({"rig": {joint: "Bone" for joint in SMPL_JOINT_NAMES}}, "'Bone' to more than one"),
        ({"rig": {joint: f"mixamorig:{joint}" for joint in SMPL_JOINT_NAMES}}, "break on the joint name"),
    ],
)
def test_what_cannot_be_written_is_refused(walker: Character, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError) as caught:
        written(walker, **options)
    assert message in str(caught.value)


def test_one_file_for_each_person() -> None:
    files = export_bvh(walking_take("anna", "ben"))
    assert set(files) == {"anna.bvh", "ben.bvh"}


def test_axes() -> None:
    assert (bvh_axes().up, bvh_axes().forward, bvh_axes().unit) == ("+y", "+z", "cm")


def test_joints_that_slide_about_are_no_skeleton(walker: Character) -> None:
    text = written(walker, end_frame=2)
    sliding = text.replace("CHANNELS 3 Zrotation", "CHANNELS 4 Xposition Zrotation", 1)
    rows = sliding.split("Frame Time: 0.03333333\n")
    longer = [
        " ".join([*row.split()[:6], str(9 + i), *row.split()[6:]])
        for i, row in enumerate(rows[1].splitlines())
    ]
    sliding = rows[0] + "Frame Time: 0.03333333\n" + "\n".join(longer)
    with pytest.raises(ExportError, match=r"LeftUpLeg moves against its parent by up to 5\.0 mm"):
        read_bvh(sliding.encode())


@pytest.mark.parametrize(
    "path", ["bvh_other_tools/bvh_toolbox/source/walk01.bvh", "motion_cmu/fairmotion_01_01.bvh"]
)
def test_other_programs_files_become_characters_and_go_round(test_data: Path, path: str) -> None:
    read = read_bvh((test_data / path).read_bytes(), name="other")
    joints = read.motion.joints
    # Heads are up in our world, whatever the file's axes were.
    head, foot = (read.motion.joint_names.index(name) for name in ("Head", "LeftFoot"))
    assert np.all(joints[:, head, 2] > joints[:, foot, 2])
    own_names = {name: name for name in read.motion.joint_names}
    (data,) = export_bvh(Take("take", (read,)), rig=own_names).values()
    again = read_bvh(bytes(data))
    order = [again.motion.joint_names.index(name) for name in read.motion.joint_names]
    assert np.abs(again.motion.joints[:, order] - joints).max() < MAX_ERROR_M
