"""Our FBX and GLB files, skeleton, skin and motion, in the programs that read them: ``make clients``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from exporters import Character, Take, export
from exporters.fbx.binary import Node, decode, encode
from rigs.body import load_body
from rigs.mesh import mesh_of
from rigs.rig_names import load_rig_names

from .check_file import SEEN, check_file, compare, joints_of, on_rig, table
from .readers import READERS, THREE, gltf_issues
from .walk import walking_character, walking_poses, walking_take

pytestmark = pytest.mark.slow


def skinned(num_frames: int, rate_hz: float = 30.0) -> Take:
    """The walk on the shipped body, in a shape that is nobody's mean."""
    body = load_body()
    walker = walking_character(num_frames=num_frames, rate_hz=rate_hz).motion
    betas = np.linspace(-1.0, 1.0, body.num_betas)
    poses = np.zeros((num_frames, len(body.joint_names), 3))
    made_up = walking_poses(walker.time_s)
    for index, joint in enumerate(body.joint_names):
        if joint in walker.joint_names:
            poses[:, index] = made_up[:, walker.joint_names.index(joint)]
    poses[:, 0] = walker.poses[:, :3]
    flat = poses.reshape(num_frames, -1)
    motion = replace(
        walker,
        poses=flat,
        betas=betas,
        joint_names=body.joint_names,
        joints=body.pose_joints(flat, walker.trans, betas).numpy(),
        joint_std=np.zeros((0, 0)),
    )
    return Take("walk", (Character("person", body.skeleton(betas), motion, mesh_of(body, betas)),))


def assert_read_right(take: Take, folder: Path, suffix: str, rig: str = "mixamo", **options: object) -> Path:
    (file,) = export(take, folder / f"person{suffix}", rig=rig, **options)
    results = check_file(file, on_rig(take.characters[0], rig))
    SEEN[suffix, rig, take.characters[0].motion.mocap_framerate] = results
    report = table(results)
    print(f"\n{suffix} {rig} {take.characters[0].motion.mocap_framerate:.3f} Hz\n{report}")  # noqa: T201 (the figures are what `make clients` is for)
    assert all(row.usable for row in results), report
    return file


@pytest.mark.parametrize("suffix", [".fbx", ".glb", ".usda", ".usdc", ".usdz"])
def test_the_shipped_body(suffix: str, tmp_path: Path) -> None:
    assert_read_right(skinned(8, 24.0), tmp_path, suffix)


@pytest.mark.parametrize("suffix", [".fbx", ".glb"])
def test_without_a_mesh(suffix: str, tmp_path: Path) -> None:
    take = walking_take(num_frames=8)
    (file,) = export(take, tmp_path / f"person{suffix}")
    results = check_file(file, joints_of(take.characters[0].motion, load_rig_names("mixamo")))
    # Without a skin these tell joints from other nodes by their motion, or make no armature at all.
    blind = {".fbx": {"Autodesk SDK"}, ".glb": {"Blender 5.0.1", "three.js r187"}}[suffix]
    assert all(row.usable for row in results if row.client not in blind), table(results)


def test_version_7500(tmp_path: Path) -> None:
    assert_read_right(skinned(8), tmp_path, ".fbx", version=7500)


def test_the_validator_finds_nothing(tmp_path: Path) -> None:
    (file,) = export(skinned(10), tmp_path / "person.glb")
    (found,) = gltf_issues([file])
    assert (found["errors"], found["warnings"]) == (0, 0), found["messages"]
    data = file.read_bytes()
    file.write_bytes(data.replace(b'"SCALAR"', b'"SCALER"'))
    assert gltf_issues([file])[0]["errors"] > 0


def without_file_id(nodes: list[Node]) -> list[Node]:
    return [node for node in nodes if node.name != "FileId"]


def without_definitions(nodes: list[Node]) -> list[Node]:
    return [node for node in nodes if node.name != "Definitions"]


@pytest.mark.parametrize("spoil", [without_file_id, without_definitions])
def test_the_check_sees_what_only_autodesk_minds(
    spoil: Callable[[list[Node]], list[Node]], tmp_path: Path
) -> None:
    take = skinned(5)
    (file,) = export(take, tmp_path / "person.fbx")
    version, nodes = decode(file.read_bytes())
    file.write_bytes(encode(spoil(nodes), version))
    truth = joints_of(take.characters[0].motion, load_rig_names("mixamo"))
    results = {row.client: row for row in check_file(file, truth)}
    assert not results["Autodesk SDK"].usable
    assert results["ufbx"].usable


@pytest.mark.parametrize("suffix", [".fbx", ".glb"])
def test_the_check_sees_a_wrong_frame(suffix: str, tmp_path: Path) -> None:
    take = skinned(6)
    motion = take.characters[0].motion
    (file,) = export(take, tmp_path / f"person{suffix}")
    shifted = motion.joints.copy()
    shifted[3, 5] += 1e-4
    results = check_file(file, joints_of(replace(motion, joints=shifted), load_rig_names("mixamo")))
    assert not any(row.usable for row in results), table(results)
    assert len(results) == len(READERS[suffix])


def test_the_check_sees_wrong_turns_rest_and_skin(tmp_path: Path) -> None:
    """At the end of a chain, where no joint's place tells."""
    take = skinned(6)
    (file,) = export(take, tmp_path / "person.glb")
    truth, read = on_rig(take.characters[0], "mixamo"), THREE(file)
    assert compare("three.js r187", read, truth).usable
    turns, rest_xyz, vertices = truth.turns.copy(), truth.rest_xyz.copy(), truth.vertices.copy()
    turns[3, -1] = turns[3, -1] @ Rotation.from_euler("x", 0.05, degrees=True).as_matrix()
    rest_xyz[-1] += 1e-4
    vertices[1, 100] += 1e-4
    for wrong in ({"turns": turns}, {"rest_xyz": rest_xyz}, {"vertices": vertices}):
        assert not compare("three.js r187", read, replace(truth, **wrong)).usable
