from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from exporters import Character, ExportError, Take, export
from exporters.animation import Animation, animate
from exporters.fbx import FBX_AXES
from exporters.fbx.binary import decode
from exporters.reduction import Curves, all_keys, fewer_keys, worst_distance

from ..clients.walk import walking_character


def slow_walk(rate_hz: float = 120.0, seconds: float = 1.0, slower: float = 20.0) -> Animation:
    """The walk in slow motion, whose curves bend little from frame to frame."""
    fast = walking_character(num_frames=round(seconds * rate_hz), rate_hz=rate_hz * slower, turns=0.02)
    return replace(animate(fast, "mixamo", FBX_AXES), rate_hz=rate_hz)


def posed(animation: Animation, rotation: np.ndarray, root: np.ndarray) -> np.ndarray:
    """(T, N, 3) by scipy, joint for joint."""
    turns, xyz = [], []
    for joint, parent in enumerate(animation.hierarchy.parents):
        own = Rotation.from_matrix(rotation[:, joint])
        turns.append(own if parent < 0 else turns[parent] * own)
        xyz.append(root if parent < 0 else xyz[parent] + turns[parent].apply(animation.offsets[joint]))
    return np.stack(xyz, axis=1)


def read_between(curves: Curves, reading: str) -> tuple[np.ndarray, np.ndarray]:
    """Rotations and root's place as a program has them that knows the keys alone."""
    times = np.arange(len(curves.degrees))
    rotation = np.empty((*curves.degrees.shape, 3))
    for joint, keys in enumerate(curves.keys):
        degrees = curves.degrees[keys, joint]
        turns = Rotation.from_euler("xyz", degrees, degrees=True)  # lower case: about fixed axes, x first
        if len(keys) == 1:
            rotation[:, joint] = turns.as_matrix()
        elif reading == "euler":
            lines = np.stack([np.interp(times, keys, column) for column in degrees.T], axis=1)
            rotation[:, joint] = Rotation.from_euler("xyz", lines, degrees=True).as_matrix()
        else:
            rotation[:, joint] = Slerp(keys, turns)(times).as_matrix()
    root = np.stack(
        [np.interp(times, curves.keys[0], curves.travel[0][curves.keys[0], i]) for i in range(3)], 1
    )
    return rotation, root


@pytest.mark.parametrize("bound_mm", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("reading", ["euler", "slerp"])
def test_no_joint_leaves_the_bound(bound_mm: float, reading: str) -> None:
    animation = animate(walking_character(num_frames=91), "mixamo", FBX_AXES)
    curves = fewer_keys(animation, bound_mm / 10)
    off_cm = np.linalg.norm(
        posed(animation, *read_between(curves, reading)) - animation.joints_xyz(), axis=-1
    )
    assert off_cm.max() * 10 < bound_mm
    assert worst_distance(animation, curves) * 10 < bound_mm


def test_slow_curves_need_few_keys() -> None:
    animation = slow_walk()
    curves = fewer_keys(animation, 0.01)
    assert sum(map(len, curves.keys)) < sum(map(len, all_keys(animation).keys)) / 3
    assert {keys[0] for keys in curves.keys} == {0}
    assert min(map(len, curves.keys)) == 1, "a joint that keeps still"
    assert len(curves.keys[0]) > 1


def test_a_wider_bound_needs_no_more() -> None:
    animation = animate(walking_character(num_frames=91), "mixamo", FBX_AXES)
    counts = [sum(map(len, fewer_keys(animation, bound).keys)) for bound in (0.01, 0.1, 1.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0]


def test_the_check_sees_a_key_that_is_missing() -> None:
    animation = slow_walk()
    curves = fewer_keys(animation, 0.01)
    spoilt = replace(curves, keys=(curves.keys[0][[0, -1]], *curves.keys[1:]))
    assert worst_distance(animation, spoilt) > 0.01


def test_one_frame() -> None:
    animation = animate(walking_character(num_frames=1), "mixamo", FBX_AXES)
    assert [keys.tolist() for keys in fewer_keys(animation, 0.01).keys] == [[0]] * len(
        animation.hierarchy.names
    )


def test_the_file_has_these_keys(tmp_path: Path) -> None:
    character = walking_character(num_frames=240, rate_hz=2400.0, turns=0.02)
    motion = replace(character.motion, mocap_framerate=120.0, time_s=np.arange(240) / 120)
    take = Take("slow", (Character("0", character.skeleton, motion),))
    (full,) = export(take, tmp_path / "full.fbx")
    (less,) = export(take, tmp_path / "less.fbx", max_error_mm=0.1)
    assert less.stat().st_size < full.stat().st_size / 2
    objects = next(node for node in decode(less.read_bytes())[1] if node.name == "Objects")
    counts = [len(curve.find("KeyTime").values[0]) for curve in objects.all("AnimationCurve")]
    assert max(counts) < 240
    assert 1 in counts
    with pytest.raises(ExportError, match="above 0 mm"):
        export(take, tmp_path / "none.fbx", max_error_mm=0.0)
