"""What holds for every format of the table: the same bytes again, and no wrong file from a bad motion."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from exporters import EXPORTERS, Character, ExportError, Pieces, Take, Timecode, export, format_options
from exporters.bvh import read_bvh
from rigs.motion import Motion
from rigs.skeleton import Skeleton

from ..clients.walk import walking_character, walking_take

pytest.importorskip("pxr")
pytest.importorskip("ezc3d")

ROOT = Path(__file__).parents[2]
POSED = ["bvh", "fbx", "glb", "usda", "usdc", "usdz", "mot"]
"""Formats that hold poses and cannot say that one is missing."""
NAMED = ["bvh", "fbx", "glb", "usda", "usdc", "usdz"]
"""Formats with a rig."""


def chain(num_joints: int, num_frames: int = 3, length: float = 0.05) -> Character:
    """Joints in a row that bend a little."""
    names = tuple(f"joint_{index}" for index in range(num_joints))
    rest = torch.zeros(num_joints, 3, dtype=torch.float64)
    rest[:, 1] = length * torch.arange(num_joints)
    skeleton = Skeleton(names, tuple(range(-1, num_joints - 1)), rest)
    motion = Motion(
        poses=np.random.default_rng(0).normal(scale=0.02, size=(num_frames, num_joints * 3)),
        trans=np.zeros((num_frames, 3)),
        betas=np.zeros(1),
        gender="neutral",
        mocap_framerate=30.0,
        time_s=np.arange(num_frames) / 30,
        joint_names=names,
        joints=np.zeros((num_frames, num_joints, 3)),
    )
    return Character("chain", skeleton, motion)


def changed(character: Character, **values: np.ndarray) -> Take:
    return Take("take", (replace(character, motion=replace(character.motion, **values)),))


def contents(name: str, take: Take, **options: object) -> dict[str, bytes]:
    found = EXPORTERS[name](take, **options)
    return {file: bytes(data) if isinstance(data, Pieces) else data for file, data in found.items()}


@pytest.fixture(scope="module")
def made_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files of all formats, made by another process with another hash seed and time zone."""
    code = (
        "import sys; from pathlib import Path; from exporters import EXPORTERS, Timecode, export; "
        "from dataclasses import replace; from tests.clients.walk import walking_take; "
        "take = replace(walking_take('Jörg', num_frames=9), timecode=Timecode(100, 30)); "
        "[export(take, Path(sys.argv[1]) / 'there', format=name) for name in EXPORTERS]"
    )
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path), "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=environment, cwd=ROOT)
    return folder


@pytest.mark.parametrize("name", EXPORTERS)
def test_the_same_bytes_in_another_process(name: str, made_elsewhere: Path) -> None:
    take = replace(walking_take("Jörg", num_frames=9), timecode=Timecode(100, 30))
    (here,) = contents(name, take).values()
    assert here == (made_elsewhere / f"there{EXPORTERS[name].suffix}").read_bytes()


@pytest.mark.parametrize("name", POSED)
def test_a_frame_without_a_pose_is_refused(name: str, tmp_path: Path) -> None:
    character = walking_character(num_frames=9)
    poses = character.motion.poses.copy()
    poses[4, 7] = np.nan
    with pytest.raises(ExportError, match=r"person 0: frame 4 \(0\.133 s\) has no pose"):
        export(changed(character, poses=poses), tmp_path / f"walk.{name}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(set(EXPORTERS) - set(POSED)))
def test_other_formats_mark_what_is_missing(name: str) -> None:
    character = walking_character(num_frames=9)
    joints = character.motion.joints.copy()
    joints[4, 7] = np.nan
    (data,) = contents(name, changed(character, joints=joints)).values()
    assert data
    assert b"nan" not in data.lower() or name == "npz"


@pytest.mark.parametrize("name", EXPORTERS)
def test_one_frame(name: str) -> None:
    (data,) = contents(name, walking_take(num_frames=1)).values()
    assert data


@pytest.mark.parametrize("name", EXPORTERS)
def test_no_frames_are_refused(name: str) -> None:
    if "start_frame" not in format_options(name):
        pytest.skip("writes the whole motion")
    with pytest.raises(ExportError, match="frames"):
        contents(name, walking_take(num_frames=3), start_frame=3)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("bad", ["two\nlines", "tab\there", ""])
def test_joint_names_that_files_cannot_hold(name: str, bad: str) -> None:
    character = chain(3)
    rig = {"joint_0": "root", "joint_1": bad, "joint_2": "tip"}
    with pytest.raises(ExportError, match="name"):
        contents(name, Take("take", (character,)), rig=rig)


@pytest.mark.parametrize("bad", ["two\nlines", "a\tb", "a/b", "", ".hidden"])
def test_people_whose_names_make_no_file(bad: str) -> None:
    with pytest.raises(ExportError, match="makes no file name"):
        walking_character(bad, num_frames=2)


@pytest.mark.parametrize("name", NAMED)
def test_names_of_any_alphabet(name: str, tmp_path: Path) -> None:
    take = walking_take("Zoë Śmith", "李 雷", num_frames=2)
    files = export(take, tmp_path, format=name)
    assert [file.stem for file in files] == ["Zoë Śmith", "李 雷"]


@pytest.mark.parametrize("name", [*NAMED, "trc", "csv", "json"])
def test_four_hundred_joints(name: str, tmp_path: Path) -> None:
    character = chain(400)
    rig = {name: name for name in character.motion.joint_names}
    options = {"rig": rig} if name in NAMED else {}
    (file,) = export(Take("take", (character,)), tmp_path / f"chain.{name}", **options)
    if name == "bvh":
        assert len(read_bvh(file.read_bytes()).skeleton.joint_names) == 400
    elif name.startswith("usd"):
        from .read_usd import people

        assert len(people(file)[0][0]) == 400
    else:
        assert b"joint_399" in file.read_bytes()


def test_c3d_names_as_many_points_as_it_has_room_for(tmp_path: Path) -> None:
    import ezc3d

    character = chain(600)
    joints = np.random.default_rng(2).normal(size=(3, 600, 3))
    (file,) = export(changed(character, joints=joints), tmp_path / "chain.c3d")
    read = ezc3d.c3d(str(file))
    point = read["parameters"]["POINT"]
    labels = [name for key in ("LABELS", "LABELS2", "LABELS3") for name in point[key]["value"]]
    assert labels == [f"joint_{index}_joint" for index in range(600)]
    assert len(point["DESCRIPTIONS3"]["value"]) == 90
    assert np.abs(read["data"]["points"][:3].transpose(2, 1, 0) - 1000 * joints).max() < 1e-3
    with pytest.raises(ExportError, match="names of 6000 points are more than C3D holds"):
        contents("c3d", Take("take", (chain(6000),)))
    with pytest.raises(ExportError, match="255 bytes at most; shorten xxxx"):
        contents("c3d", Take("take", (renamed(character, "x" * 300),)))


def renamed(character: Character, name: str) -> Character:
    """Its second joint has another name."""
    names = (character.motion.joint_names[0], name, *character.motion.joint_names[2:])
    skeleton = replace(character.skeleton, joint_names=names)
    return Character(character.name, skeleton, replace(character.motion, joint_names=names))


@pytest.mark.parametrize("bad", ["two\nlines", "tab\there"])
@pytest.mark.parametrize("name", ["trc", "csv", "c3d", "json"])
def test_names_of_joints_that_break_lines(name: str, bad: str) -> None:
    """Formats without a rig have the body's own names."""
    take = Take("take", (renamed(chain(3), bad),))
    if name in ("trc", "c3d"):
        with pytest.raises(ExportError, match="cannot hold the joint name"):
            contents(name, take)
    else:
        (data,) = contents(name, take).values()
        text = data.decode()
        row = next(csv.reader(io.StringIO(text))) if name == "csv" else json.loads(text)["joint_names"]
        assert any(bad in field for field in row)


@pytest.mark.parametrize("name", NAMED)
def test_a_bone_without_length(name: str) -> None:
    """Joints in one place are no fault of a motion; nothing is divided by their distance."""
    character = chain(4, length=0.0)
    rig = {joint: joint for joint in character.motion.joint_names}
    options = {"max_error_mm": 0.1} if "max_error_mm" in format_options(name) else {}
    (data,) = contents(name, Take("take", (character,)), rig=rig, **options).values()
    assert data
    if name == "bvh":
        assert np.isfinite(read_bvh(data).motion.joints).all()
