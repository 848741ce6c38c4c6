"""Our BVH files in Blender, three.js and Assimp: ``make clients``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporters import Character, Take, export
from exporters.euler import ROTATION_ORDERS
from rigs.body import load_body
from rigs.motion import Motion
from rigs.rig_names import load_rig_names

from .check_file import SEEN, check_file, compare, joints_of, table
from .readers import READERS, THREE
from .walk import walking_character, walking_poses, walking_take

pytestmark = pytest.mark.slow


def written(take: Take, folder: Path, **options: Any) -> Path:
    (file,) = export(take, folder / "person.bvh", **options)
    return file


def assert_read_right(file: Path, motion: Motion, rig: str = "mixamo") -> None:
    results = check_file(file, joints_of(motion, load_rig_names(rig)))
    SEEN[file.suffix, rig, motion.mocap_framerate] = results
    report = table(results)
    print(f"\n{report}")  # noqa: T201 (the figures are what `make clients` is for)
    assert all(row.usable for row in results), report


@pytest.mark.parametrize("order", ROTATION_ORDERS)
def test_every_rotation_order(order: str, tmp_path: Path) -> None:
    take = walking_take(num_frames=45)
    assert_read_right(written(take, tmp_path, rotation_order=order), take.characters[0].motion)


def test_a_body_whose_pelvis_rests_off_the_origin(tmp_path: Path) -> None:
    take = Take("walk", (walking_character(num_frames=20, root_xyz=(-0.002, -0.223, 0.028)),))
    assert_read_right(written(take, tmp_path), take.characters[0].motion)


def test_the_default_body(tmp_path: Path) -> None:
    body = load_body()
    walker = walking_character(num_frames=30).motion
    betas = np.linspace(-1.0, 1.0, body.shapedirs.shape[-1])
    poses = np.zeros((len(walker.time_s), len(body.joint_names), 3))
    made_up = walking_poses(walker.time_s)
    for index, joint in enumerate(body.joint_names):
        if joint in walker.joint_names:
            poses[:, index] = made_up[:, walker.joint_names.index(joint)]
    poses[:, 0] = walker.poses[:, :3]
    flat = poses.reshape(len(poses), -1)
    motion = Motion(
        poses=flat,
        trans=walker.trans,
        betas=betas,
        gender="neutral",
        mocap_framerate=walker.mocap_framerate,
        time_s=walker.time_s,
        joint_names=body.joint_names,
        joints=body.pose_joints(flat, walker.trans, betas).numpy(),
    )
    take = Take("walk", (Character("0", body.skeleton(betas), motion),))
    assert_read_right(written(take, tmp_path), motion)


def test_a_tpose_before_the_motion(tmp_path: Path) -> None:
    take = walking_take(num_frames=10)
    file = written(take, tmp_path, tpose_first_frame=True)
    for reader in READERS[".bvh"].values():
        read = reader(file)
        head, foot = read.names.index("Head"), read.names.index("LeftToeBase")
        hands = [read.names.index("LeftHand"), read.names.index("RightHand")]
        first = read.joints[0]
        assert len(read.joints) == 11
        assert first[head, 2] > first[foot, 2] + 1.4
        assert first[foot, 2] == pytest.approx(0.02, abs=1e-5)  # the toe's tip is 2 cm below its joint
        # Left is +x and both hands are at the height of the shoulders.
        assert first[hands[0], 0] - first[hands[1], 0] == pytest.approx(1.38, abs=1e-5)
        assert np.ptp(first[hands, 2]) < 1e-5
    original = take.characters[0].motion
    read = THREE(file)
    rest = replace(read, places=read.places[1:])
    assert compare("three", rest, joints_of(original, load_rig_names("mixamo"))).usable


def test_one_frame(tmp_path: Path) -> None:
    take = walking_take(num_frames=1)
    motion = take.characters[0].motion
    assert_read_right(written(take, tmp_path), motion)


def with_root_offset(text: str) -> str:
    """A root OFFSET besides absolute positions: three.js adds the two."""
    return text.replace("OFFSET 0.000000 0.000000 0.000000", "OFFSET 0.000000 95.000000 0.000000", 1)


def with_longer_bone(text: str) -> str:
    """The left lower leg a millimetre longer."""
    assert "OFFSET 1.000000 -38.000000 1.000000" in text
    return text.replace("OFFSET 1.000000 -38.000000 1.000000", "OFFSET 1.000000 -38.100000 1.000000", 1)


def with_two_decimals(text: str) -> str:
    head, motion = text.split("Frame Time:")
    time, rows = motion.split("\n", 1)
    rounded = "\n".join(" ".join(f"{float(word):.2f}" for word in row.split()) for row in rows.splitlines())
    return f"{head}Frame Time:{time}\n{rounded}\n"


def with_three_digit_time(text: str) -> str:
    return text.replace("Frame Time: 0.03333333", "Frame Time: 0.033")


def with_another_order(text: str) -> str:
    return text.replace("Zrotation Xrotation Yrotation", "Zrotation Yrotation Xrotation")


@pytest.mark.parametrize(
    ("spoil", "sees_it"),
    [
        (with_root_offset, {"three.js r187"}),
        (with_longer_bone, set(READERS[".bvh"])),
        (with_two_decimals, set(READERS[".bvh"]) - {"Blender 5.0.1"}),
        (with_three_digit_time, set(READERS[".bvh"])),
        (with_another_order, set(READERS[".bvh"])),
    ],
)
def test_the_check_sees_planted_errors(
    spoil: Callable[[str], str], sees_it: set[str], tmp_path: Path
) -> None:
    take = walking_take(num_frames=20)
    file = written(take, tmp_path)
    good = file.read_text()
    file.write_text(spoil(good))
    assert file.read_text() != good
    results = check_file(file, joints_of(take.characters[0].motion, load_rig_names("mixamo")))
    assert {row.client for row in results if not row.usable} == sees_it, table(results)


def test_the_check_sees_refusals_and_missing_joints(tmp_path: Path) -> None:
    take = walking_take(num_frames=5)
    file = written(take, tmp_path)
    motion, names = take.characters[0].motion, load_rig_names("mixamo")
    file.write_text(file.read_text().replace("Zrotation", "ZROTATION"))
    refused = {row.client: row for row in check_file(file, joints_of(motion, names))}
    assert not refused["Assimp 5.2"].usable
    assert not refused["three.js r187"].usable
    file.write_text("no BVH")
    assert not any(row.usable for row in check_file(file, joints_of(motion, names)))
    file = written(take, tmp_path)
    other = joints_of(motion, {**names, "left_hand": "LeftThumb"})
    assert "LeftThumb" in compare("three", THREE(file), other).worst
