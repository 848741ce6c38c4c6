from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from exporters.bvh_file import BvhFile, parse_bvh
from exporters.errors import ExportError

TWO_BONES = """HIERARCHY
ROOT Hips
{
  OFFSET 0 100 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Knee
  {
    OFFSET 0 -40 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 -10 5
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.04
1 2 3 90 0 0 0 0 0
4 5 6 10 20 30 40 50 60
"""


def test_a_small_file_to_the_digit() -> None:
    file = parse_bvh(TWO_BONES.encode())
    assert file.joint_names == ("Hips", "Knee")
    assert file.parents == (-1, 0)
    assert file.frame_time_s == 0.04
    assert file.end_sites[1].tolist() == [0, -10, 5]
    joints = file.joints_xyz()
    # Positions replace the root's OFFSET; a quarter turn about z takes down to the right.
    assert np.allclose(joints[0], [[1, 2, 3], [41, 2, 3]])
    turn = Rotation.from_euler("ZXY", [10, 20, 30], degrees=True)
    assert np.allclose(joints[1, 1] - [4, 5, 6], turn.apply([0, -40, 0]))
    assert np.allclose(
        file.local_rotation[1, 1], Rotation.from_euler("ZXY", [40, 50, 60], degrees=True).as_matrix()
    )


def same(one: BvhFile, other: BvhFile) -> bool:
    return (
        one.joint_names == other.joint_names
        and np.allclose(one.local_xyz, other.local_xyz)
        and np.allclose(one.local_rotation, other.local_rotation)
    )


@pytest.mark.parametrize(
    "dialect",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace(" ", "\t  "),
        lambda text: text.replace("\n", " \n\n"),
        lambda text: text.replace("\n  {", " {").replace("\n{", " {"),
        lambda text: text.replace("rotation", "ROTATION").replace("Xposition", "XPOSITION"),
        lambda text: text.replace("OFFSET", "Offset").replace("JOINT", "Joint"),
        lambda text: text.replace("Frames: 2", "Frames:\t2").replace("100 0", "1.0e+02 -0"),
        lambda text: text.replace("End Site", "End Site toe"),
        lambda text: text.rstrip("\n"),
    ],
)
def test_dialects_say_the_same(dialect) -> None:
    assert same(parse_bvh(dialect(TWO_BONES).encode()), parse_bvh(TWO_BONES.encode()))


def test_names_with_spaces_colons_and_foreign_letters() -> None:
    text = TWO_BONES.replace("Hips", "mixamorig:Hips").replace("Knee", "Linkes Knie ü {", 1)
    text = text.replace("{\n  {", "{", 1)
    assert parse_bvh(text.encode("utf-8")).joint_names == ("mixamorig:Hips", "Linkes Knie ü")
    assert parse_bvh(text.encode("latin-1")).joint_names == ("mixamorig:Hips", "Linkes Knie ü")


def test_position_channels_on_every_joint_in_any_order() -> None:
    text = (
        TWO_BONES.replace(
            "CHANNELS 3 Zrotation Xrotation Yrotation",
            "CHANNELS 6 Yrotation Zposition Xposition Xrotation Yposition Zrotation",
        )
        .replace("0 0 0 0 0\n", "0 0 50 7 8 60 9 70\n")
        .replace("40 50 60\n", "1 2 3 4 5 6\n")
    )
    file = parse_bvh(text.encode())
    assert np.allclose(file.local_xyz[0, 1], [8, 9, 7])
    expected = Rotation.from_euler("YXZ", [50, 60, 70], degrees=True).as_matrix()
    assert np.allclose(file.local_rotation[0, 1], expected)


def test_no_end_site_and_no_root_positions() -> None:
    start, end = TWO_BONES.index("    End Site"), TWO_BONES.index("  }\n}\nMOTION")
    text = (TWO_BONES[:start] + TWO_BONES[end:]).replace("6 Xposition Yposition Zposition", "3")
    text = text.replace("1 2 3 90", "90").replace("4 5 6 10", "10")
    file = parse_bvh(text.encode())
    assert file.end_sites == {}
    assert file.joints_xyz()[:, 0].tolist() == [[0, 100, 0], [0, 100, 0]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("OFFSET 0 -40 0", "OFFSET 0 -40", "line 8: expected 3 numbers, found 2"),
        ("OFFSET 0 -40 0", "OFFSET 0 -40,5 0", "line 8: not numbers"),
        ("    OFFSET 0 -40 0\n", "", "line 6: joint 'Knee' has no OFFSET"),
        ("CHANNELS 3", "CHANNELS 4", "line 9: CHANNELS 4, but 3 follow"),
        ("3 Zrotation", "3 Wrotation", "line 9: unknown channel 'wrotation'"),
        ("JOINT Knee", "JOINT Hips", "line 6: a second joint named 'Hips'"),
        ("JOINT Knee", "JOINT", "line 6: a JOINT without a name"),
        ("JOINT Knee", "JIONT Knee", "line 6: cannot read 'JIONT Knee'"),
        ("}\nMOTION", "MOTION", "line 15: MOTION before the last brace has closed"),
        ("}\nMOTION", "}\n}\nMOTION", "line 16: } closes what never opened"),
        ("ROOT Hips", "", "line 3: { after nothing"),
        ("}\nMOTION", "}\nROOT Other\n{\nOFFSET 0 0 0\n}\nMOTION", "line 16: joint 'Other' has no parent"),
        ("Frames: 2", "Frames: 3", "line 17: 3 frames announced, 2 follow; is the file cut off"),
        ("Frames: 2", "Frames: two", "line 17: expected 'Frames: N'"),
        ("Frame Time: 0.04", "Frame Time: 0", "line 18: a Frame Time of 0.0"),
        ("Frame Time: 0.04", "0.04", "line 18: expected 'Frame Time: seconds'"),
        ("4 5 6 10 20", "4 5 6 10", "line 20: expected 9 numbers, found 8"),
        ("4 5 6", "4 nan 6", "line 20: a number is not finite"),
        ("4 5 6", "4 x 6", "line 20: not numbers: '4 x 6"),
        (TWO_BONES[TWO_BONES.index("MOTION") :], "", "no MOTION in the BVH"),
        (TWO_BONES[TWO_BONES.index("Frames") :], "", "ends after MOTION"),
        (TWO_BONES, "\x00\x01PNG", "line 1: cannot read"),
        (TWO_BONES, "", "no MOTION in the BVH"),
        (TWO_BONES, "OFFSET 1 2 3", "line 1: an OFFSET outside of a joint"),
        (TWO_BONES, "CHANNELS 0", "line 1: CHANNELS outside of a joint"),
        (TWO_BONES, "End Site", "line 1: End Site outside of a joint"),
        (TWO_BONES, "HIERARCHY\nMOTION", "line 2: no ROOT"),
    ],
)
def test_broken_files_name_the_line(old: str, new: str, message: str) -> None:
    assert old in TWO_BONES
    with pytest.raises(ExportError) as caught:
        parse_bvh(TWO_BONES.replace(old, new, 1).encode())
    assert message in str(caught.value)


def test_another_programs_world_positions(test_data: Path) -> None:
    """bvh-toolbox's own table of where walk01's joints are."""
    folder = test_data / "bvh_other_tools" / "bvh_toolbox"
    file = parse_bvh((folder / "source" / "walk01.bvh").read_bytes())
    with (folder / "csv" / "walk01_pos.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    joints = file.joints_xyz()
    assert len(rows) == len(joints) == 101
    truth = np.array(
        [[[float(row[f"{name}.{axis}"]) for axis in "xyz"] for name in file.joint_names] for row in rows]
    )
    assert np.abs(joints - truth).max() < 2e-5  # centimetres; the table has five decimals


@pytest.mark.parametrize(
    ("path", "joints", "frames", "rate_hz"),
    [
        ("bvh_other_tools/20tab/test_freebvh.bvh", 55, 69, 30.0),
        ("bvh_other_tools/bvh_toolbox/source/walk01.bvh", 19, 101, 24.0),
        ("motion_cmu/fairmotion_01_01.bvh", 31, 2752, 120.0),
    ],
)
def test_other_programs_files(test_data: Path, path: str, joints: int, frames: int, rate_hz: float) -> None:
    file = parse_bvh((test_data / path).read_bytes())
    assert len(file.joint_names) == joints
    assert file.joints_xyz().shape == (frames, joints, 3)
    assert 1 / file.frame_time_s == pytest.approx(rate_hz, rel=1e-4)
