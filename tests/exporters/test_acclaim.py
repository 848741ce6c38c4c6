"""Motions of the CMU database in its own format."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest

from exporters import ExportError
from exporters.readers import read_performance, read_skeleton, rig_from_file

DATA = Path(os.environ.get("MOCAP_TEST_DATA", ""))
foreign = pytest.mark.skipif("MOCAP_TEST_DATA" not in os.environ, reason="MOCAP_TEST_DATA is not set")

SKELETON = """# a comment
:version 1.10
:units
  mass 1.0
  length 0.5
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name lhipjoint
     direction 1 0 0
     length 2
     axis 0 0 0 XYZ
  end
  begin
     id 2
     name lfemur
     direction 0 -1 0
     length 8
     axis 0 0 90 XYZ
    dof rx rz
    limits (-160 20)
           (-70 70)
  end
:hierarchy
  begin
    root lhipjoint
    lhipjoint lfemur
  end
"""
MOTION = """#!OML
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 0 0
lfemur 0 0
2
root 1 2 3 0 90 0
lfemur 90 0
"""


def write(folder: Path, skeleton: str = SKELETON, motion: str = MOTION) -> Path:
    (folder / "07.asf").write_text(skeleton)
    (folder / "07_01.amc").write_text(motion)
    return folder / "07_01.amc"


def test_places_and_turns_by_hand(tmp_path: Path) -> None:
    read = read_skeleton(write(tmp_path))
    assert read.names == ("root", "lhipjoint", "lfemur")
    assert read.parents == (-1, 0, 1)
    assert read.metres == pytest.approx(2 * 0.0254)
    assert np.allclose(read.xyz[0, 2], [3, 2, 3])
    assert np.allclose(read.xyz[1, 2], [1, 2, 1])  # the root turned left about the vertical
    assert np.allclose(read.turn[0], np.eye(3))
    # the bone's x axis is the world's y: by 90 degrees about it, below the root's turn
    about_y = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    assert np.allclose(read.turn[1, 2], about_y @ about_y)
    assert np.allclose(read.tips[2], [2, -8, 0])


@pytest.mark.parametrize(
    ("skeleton", "motion", "message"),
    [
        (SKELETON.replace("lhipjoint lfemur", ""), MOTION, "07.asf is broken or no Acclaim skeleton"),
        (SKELETON.replace("length 8", "length x"), MOTION, "07.asf is broken"),
        ("hello", MOTION, "07.asf is broken"),
        (SKELETON, MOTION.replace("lfemur 90 0", "lfemur 90"), "line 9: lfemur needs 2 numbers"),
        (SKELETON, MOTION.replace("lfemur 90 0", "rfemur 90 0"), "line 9: the skeleton has no bone 'rfemur'"),
        (SKELETON, MOTION.removesuffix("lfemur 90 0\n"), "2 frames, but 1 of bone lfemur"),
        (SKELETON, MOTION.replace("root 1", "root nan"), "line 5: root needs 6 numbers"),
    ],
)
def test_refusals(skeleton: str, motion: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message):
        read_skeleton(write(tmp_path, skeleton, motion))


def test_without_its_skeleton(tmp_path: Path) -> None:
    file = write(tmp_path)
    (tmp_path / "07.asf").unlink()
    with pytest.raises(ExportError, match=r"07_01\.amc: no skeleton for it; put its \.asf beside it"):
        read_skeleton(file)


def test_broken_files_are_read_or_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    file = write(tmp_path)
    for spoiled in (file, tmp_path / "07.asf"):
        data = spoiled.read_bytes()
        for _ in range(60):
            broken = bytearray(data)
            for place in random.integers(0, len(data), 4):
                broken[place] = int(random.integers(0, 256))
            spoiled.write_bytes(broken[: int(random.integers(1, len(data) + 1))])
            with contextlib.suppress(ExportError):
                assert np.isfinite(read_skeleton(file).xyz).all()
        spoiled.write_bytes(data)


@foreign
def test_the_same_clip_as_bvh() -> None:
    """Converted by somebody else, with a T-pose before the first frame: the limbs point the same way."""
    acclaim, bvh = (
        read_performance(DATA / f"motion_cmu/fairmotion_01_01.{suffix}").performance
        for suffix in ("amc", "bvh")
    )
    assert acclaim.rate_hz == pytest.approx(120.0, rel=1e-4)
    assert bvh.rate_hz == pytest.approx(120.0, rel=1e-4)
    for top, end in (("left_hip", "left_knee"), ("right_knee", "right_ankle"), ("left_elbow", "left_wrist")):
        ours, theirs = acclaim.place(end) - acclaim.place(top), bvh.place(end)[1:] - bvh.place(top)[1:]
        assert np.abs(ours - theirs[: len(ours)]).max() < 0.02 * np.abs(theirs).max(), top


@foreign
def test_a_rig_of_a_skeleton() -> None:
    rig = rig_from_file(DATA / "motion_cmu/02.asf")
    assert rig.names["left_shoulder"] == "lhumerus"
    assert len(rig.names) == 22
