"""Files of other programs become motions of our body, and go out again on any rig."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from exporters import Take, export
from exporters.readers import performance_in, read_performance
from exporters.rigged import performance_of
from mocap.cli import execute
from mocap.import_motion import import_motion, on_our_body
from rigs import load_body

from ..clients.deepmimic import read_deepmimic
from ..clients.walk import walking_character

DATA = Path(os.environ.get("MOCAP_TEST_DATA", ""))
foreign = pytest.mark.skipif("MOCAP_TEST_DATA" not in os.environ, reason="MOCAP_TEST_DATA is not set")
LIMBS = [
    (f"{side}_{top}", f"{side}_{end}")
    for side in ("left", "right")
    for top, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
]


def angles_deg(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    cross = np.linalg.norm(np.cross(one, two), axis=-1)
    return np.rad2deg(np.arctan2(cross, (one * two).sum(-1)))


def test_a_walk_comes_in_with_its_limbs_as_they_were(tmp_path: Path) -> None:
    character = walking_character(num_frames=20)
    (file,) = export(Take("walk", (character,)), tmp_path / "walk.fbx", rig="unreal")
    motion = import_motion(file).motion
    source = performance_of(character)
    for top, end in LIMBS:
        columns = [motion.joint_names.index(name) for name in (top, end)]
        ours = motion.joints[:, columns[1]] - motion.joints[:, columns[0]]
        error = angles_deg(source.place(end) - source.place(top), ours)
        assert np.median(error) < 0.5, (top, error.max())
    body = load_body()
    posed = body.pose_joints(motion.poses, motion.trans, motion.betas).numpy()
    assert np.abs(posed - motion.joints).max() < 1e-9


@foreign
@pytest.mark.parametrize("clip", ["walk", "crawl", "cartwheel", "getup_facedown"])
def test_motions_of_another_humanoid(clip: str) -> None:
    file = DATA / f"motion_deepmimic/humanoid3d_{clip}.txt"
    performance = performance_in(read_deepmimic(file), clip).performance
    motion = on_our_body(performance)
    errors = []
    for top, end in LIMBS:
        columns = [motion.joint_names.index(name) for name in (top, end)]
        ours = motion.joints[:, columns[1]] - motion.joints[:, columns[0]]
        errors.append(angles_deg(performance.place(end) - performance.place(top), ours))
    assert np.median(np.concatenate(errors)) < 1.0  # knees bend further than the shape of the body allows


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = export(Take("walk", (walking_character(num_frames=6),)), tmp_path / "Jürgen 1.bvh")
    session = tmp_path / "library"
    assert execute(["import-motion", str(session), str(file)]) == 0
    assert "Jürgen 1: 6 frames, 30 Hz, 22 joints known" in capsys.readouterr().out
    assert execute(["import-motion", str(session), str(file)]) == 2
    assert "is there already" in capsys.readouterr().err
    command = ["export", str(session), "--format", "fbx,bvh", "--rig", "unreal", "--rate", "60"]
    assert execute([*command, "--root-motion", "ground", "--rest", "t"]) == 0
    exported = session / "takes/take1/export/Jürgen 1.fbx"
    assert len(read_performance(exported).performance.turn) == 11
    assert execute(["rig", str(exported), "--out", str(tmp_path / "mine.toml")]) == 0
    assert "upperarm_l" in (tmp_path / "mine.toml").read_text()
    assert execute(["export", str(session), "--format", "fbx", "--rig", str(tmp_path / "mine.toml")]) == 0
    assert execute(["export", str(session), "--rig", "nobody"]) == 2
    assert "no rig 'nobody'; choose one of biped, cmu" in capsys.readouterr().err
