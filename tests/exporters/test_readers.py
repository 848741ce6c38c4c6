"""Files of ours and of other programs, read back; and broken ones, which must be refused in time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from exporters import ExportError, Take, export
from exporters.fbx.binary import Node, decode, encode, i32
from exporters.readers import load_any_rig, read_performance, read_skeleton, rig_from_file
from exporters.rigged import joints_on_rig, performance_of
from rigs.rig import load_rig
from rigs.rig_match import match_joints
from rigs.rig_names import available_rigs, load_rig_names

from ..clients.walk import walking_character

Array = NDArray[np.float64]
DATA = Path(os.environ.get("MOCAP_TEST_DATA", ""))
foreign = pytest.mark.skipif("MOCAP_TEST_DATA" not in os.environ, reason="MOCAP_TEST_DATA is not set")


@pytest.mark.parametrize("suffix", [".fbx", ".glb", ".bvh"])
@pytest.mark.parametrize("rig", available_rigs())
def test_our_files_come_back(rig: str, suffix: str, tmp_path: Path) -> None:
    """Places of all joints, and our joints' turns within a hundredth of a degree of where they started."""
    if suffix == ".bvh" and rig in ("rigify", "biped"):
        pytest.skip("their names break BVH readers")
    character = walking_character(num_frames=12)
    (file,) = export(Take("walk", (character,)), tmp_path / f"walk{suffix}", rig=rig)
    read = read_performance(file)
    source, there = performance_of(character), joints_on_rig(character, load_rig(rig))
    performance = read.performance
    assert performance.rate_hz == pytest.approx(30.0, rel=1e-5)
    assert set(load_rig_names(rig)) & set(source.names) <= set(performance.names)
    for ours, theirs in read.names.items():
        assert np.abs(performance.place(ours) - there[theirs]).max() < 5e-5, ours
        if suffix == ".bvh" or rig not in ("unreal", "unreal4", "rigify"):  # whose arms hang at rest
            turn = np.swapaxes(source.turn_of(ours), -1, -2) @ performance.turn_of(ours)
            slack = 0.01 if rig != "daz" or suffix != ".bvh" else 0.02
            assert np.rad2deg(Rotation.from_matrix(turn).magnitude()).max() < slack or "unreal" in rig, ours


def test_a_rig_of_a_file_keeps_its_axes(tmp_path: Path) -> None:
    character = walking_character(num_frames=3)
    (file,) = export(Take("walk", (character,)), tmp_path / "hero.fbx", rig="unreal")
    rig = load_any_rig(str(file))
    assert rig.own is not None
    (again,) = export(Take("walk", (character,)), tmp_path / "again.fbx", rig=str(file))
    first, second = read_skeleton(file), read_skeleton(again)
    assert first.names == second.names
    assert first.parents == second.parents
    assert np.abs(first.rest_turn - second.rest_turn).max() < 1e-4
    assert np.abs(first.rest_xyz - second.rest_xyz).max() < 0.01
    arm, pelvis = (first.names.index(name) for name in ("lowerarm_l", "pelvis"))  # soles came up to the floor
    ours, theirs = (read.xyz[:, arm] - read.xyz[:, pelvis] for read in (first, second))
    assert np.abs(ours - theirs).max() < 0.2


def test_a_users_words_on_which_joint_is_which(tmp_path: Path) -> None:
    character = walking_character(num_frames=3)
    odd = {name: f"bone {index}" for index, name in enumerate(character.motion.joint_names)}
    (file,) = export(Take("walk", (character,)), tmp_path / "odd.fbx", rig=odd)
    with pytest.raises(ExportError, match=r"odd\.fbx: which joints are pelvis, left_hip"):
        rig_from_file(file)
    lines = "\n".join(f'{ours} = "{theirs}"' for ours, theirs in odd.items())
    words = tmp_path / "odd.toml"
    words.write_text(f'file = "odd.fbx"\n[names]\n{lines}\n')
    rig = load_any_rig(str(words))
    assert dict(rig.names) == odd
    words.write_text('file = "odd.fbx"\n[names]\npelvis = "Hips"\n')
    with pytest.raises(ExportError, match=r"odd\.fbx has no joint 'Hips'; it has bone 0, bone 1"):
        load_any_rig(str(words))


def test_names_are_matched_through_prefixes_and_case() -> None:
    names = ["HERO_" + name for name in load_rig_names("mixamo").values()][:22]
    parents = performance_parents(list(load_rig_names("mixamo"))[:22])
    found = match_joints(names, parents)
    assert {ours: names[index].removeprefix("HERO_") for ours, index in found.items()} == dict(
        list(load_rig_names("mixamo").items())[:22]
    )


def performance_parents(ours: list[str]) -> list[int]:
    from rigs.retarget.performance import parent_of

    return [-1 if name == "pelvis" else ours.index(parent_of(name)) for name in ours]


@foreign
@pytest.mark.parametrize(
    ("file", "height_m", "joints", "frames"),
    [
        ("motion_cmu/fairmotion_01_01.bvh", 1.35, 22, 2752),
        ("bvh_other_tools/20tab/test_freebvh.bvh", 1.6, 52, 69),
        ("bvh_other_tools/bvh_toolbox/source/walk01.bvh", 1.68, 19, 101),
        ("fbx_ufbx/maya_kenney_character_7700_binary.fbx", 2.7, 32, 17),
    ],
)
def test_files_of_other_programs(file: str, height_m: float, joints: int, frames: int) -> None:
    performance = read_performance(DATA / file).performance
    assert len(performance.names) == joints
    assert len(performance.turn) == frames
    assert performance.rest("head")[1] == pytest.approx(height_m, abs=0.03)
    assert performance.rest("left_hip")[0] > performance.rest("right_hip")[0]
    # upright most of the time, on the floor of the world
    assert np.median(performance.place("head")[:, 2]) > np.median(performance.place("left_ankle")[:, 2]) + 0.8


@foreign
def test_the_first_frame_of_the_cmu_files_is_a_t_pose() -> None:
    performance = read_performance(DATA / "motion_cmu/fairmotion_01_01.bvh").performance
    arm = performance.place("left_wrist")[0] - performance.place("left_shoulder")[0]
    assert arm[0] / np.linalg.norm(arm) > 0.98


@foreign
@pytest.mark.parametrize("name", ["maya_human_ik_7400", "maya_character_7500"])
def test_humanik_characters_as_rigs(name: str) -> None:
    rig = rig_from_file(DATA / f"fbx_ufbx/{name}_binary.fbx")
    assert len(rig.names) == 52
    assert rig.own is not None
    hips = rig.own.rest_xyz[rig.own.names.index(rig.names["pelvis"])]
    assert hips[1] == pytest.approx(1.0, abs=0.02)
    ankle = rig.own.rest_xyz[rig.own.names.index(rig.names["left_ankle"])]
    assert ankle[1] == pytest.approx(0.08, abs=0.02)
    assert rig.names["left_shoulder"].endswith("LeftArm")


def test_refusals(tmp_path: Path) -> None:
    cases = {
        "a.fbx": (b"; FBX 7.3.0 project file\nFBXHeaderExtension:  {\n}", "a text FBX; save it as binary"),
        "b.fbx": (b"hello", "no FBX file"),
        "c.glb": (b"hello", "no GLB file"),
        "d.bvh": (b"hello", "cannot read 'hello'"),
        "e.bvh": (b"", "no MOTION in the BVH"),
        "f.dae": (b"", r"cannot be read; use one of \.bvh, \.fbx, \.glb"),
    }
    for name, (data, message) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ExportError, match=message):
            read_skeleton(tmp_path / name)
    with pytest.raises(ExportError, match="No such file"):
        read_skeleton(tmp_path / "none.bvh")


def test_an_encrypted_file(tmp_path: Path) -> None:
    (file,) = export(Take("walk", (walking_character(num_frames=2),)), tmp_path / "walk.fbx")
    version, nodes = decode(file.read_bytes())
    nodes[0] = replace_child(nodes[0], Node("EncryptionType", (i32(1),)))
    file.write_bytes(encode(nodes, version))
    with pytest.raises(ExportError, match="encrypted"):
        read_skeleton(file)


def replace_child(node: Node, child: Node) -> Node:
    kept = tuple(child if each.name == child.name else each for each in node.children)
    return Node(node.name, node.properties, kept, node.scope)


def flipped(data: bytes, random: np.random.Generator) -> bytes:
    spoiled = bytearray(data)
    for place in random.integers(0, len(data), 1 + int(random.integers(0, 8))):
        spoiled[place] = int(random.integers(0, 256))
    return bytes(spoiled)


def cut(data: bytes, random: np.random.Generator) -> bytes:
    return data[: int(random.integers(0, len(data)))]


def doubled(data: bytes, random: np.random.Generator) -> bytes:
    start, stop = np.sort(random.integers(0, len(data), 2))
    return data[:stop] + data[start:]


@pytest.mark.parametrize("spoil", [flipped, cut, doubled])
@pytest.mark.parametrize("suffix", [".bvh", ".fbx", ".glb"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_broken_files_are_read_or_refused_in_time(
    suffix: str, spoil: Callable[[bytes, np.random.Generator], bytes], tmp_path: Path
) -> None:
    (file,) = export(Take("walk", (walking_character(num_frames=4),)), tmp_path / f"walk{suffix}", rig="smpl")
    data, random = file.read_bytes(), np.random.default_rng(7)
    refused = 0
    start = time.process_time()
    for _ in range(40):
        file.write_bytes(spoil(data, random))
        try:
            read = read_performance(file).performance
            assert np.isfinite(read.xyz).all()
        except ExportError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 0
    assert time.process_time() - start < 20
