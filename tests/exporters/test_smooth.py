from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation

from exporters import ExportError, export
from exporters.animation import Animation, animate
from exporters.fbx import FBX_AXES
from exporters.readers import read_skeleton
from exporters.reduction import all_keys, fewer_keys
from exporters.smooth import Track, Tracks, smooth, straight

from ..clients.walk import walking_character, walking_take
from .test_reduction import posed


def at(track: Track, seconds: np.ndarray, rate_hz: float) -> np.ndarray:
    """A track's values, by scipy."""
    if len(track.frames) == 1:
        return np.full(len(seconds), track.values[0])
    if track.slopes is None:
        return np.interp(seconds, track.frames / rate_hz, track.values)
    return CubicHermiteSpline(track.frames / rate_hz, track.values, track.slopes)(seconds)


def read(tracks: Tracks, animation: Animation, seconds: np.ndarray) -> np.ndarray:
    """(T, N, 3) joints."""

    def together(parts: tuple[Track, ...]) -> np.ndarray:
        return np.stack([at(part, seconds, animation.rate_hz) for part in parts], axis=-1)

    turns = [Rotation.from_euler("xyz", together(parts), degrees=True).as_matrix() for parts in tracks.turns]
    return posed(animation, np.stack(turns, axis=1), together(tracks.travel[0]))


def count(tracks: Tracks) -> int:
    return sum(len(track.frames) for parts in (*tracks.turns, *tracks.travel.values()) for track in parts)


@pytest.fixture(scope="module")
def walk() -> Animation:
    return animate(walking_character(num_frames=181, rate_hz=60.0), "mixamo", FBX_AXES)


@pytest.mark.parametrize("bound_mm", [0.1, 1.0, 10.0])
def test_no_joint_leaves_the_bound(bound_mm: float, walk: Animation) -> None:
    joints = read(smooth(walk, bound_mm / 10), walk, walk.time_s)
    off_mm = 10 * np.linalg.norm(joints - walk.joints_xyz(), axis=-1)
    assert off_mm.max() < bound_mm
    assert off_mm.max() > 0.3 * bound_mm, "the bound is made use of"


def test_nothing_swings_between_frames(walk: Animation) -> None:
    """Halfway, joints are nearer to where they truly were than on straight lines from frame to frame."""
    truth = animate(walking_character(num_frames=361, rate_hz=120.0), "mixamo", FBX_AXES).joints_xyz()[1::2]
    half_s = walk.time_s[1:] - 0.5 / walk.rate_hz
    off_mm = [
        10 * np.linalg.norm(read(tracks, walk, half_s) - truth, axis=-1)
        for tracks in (smooth(walk, 0.01), straight(all_keys(walk)))
    ]
    assert off_mm[0].max() < off_mm[1].max()  # millimetres, where angles are near their lock
    assert np.median(off_mm[0]) < 0.05


def test_noise_keeps_its_keys() -> None:
    character = walking_character(num_frames=40)
    noise = np.random.default_rng(1).normal(scale=0.01, size=character.motion.poses.shape)
    character.motion.poses[:] += noise
    animation = animate(character, "mixamo", FBX_AXES)
    tracks = smooth(animation, 0.001)
    joints = read(tracks, animation, animation.time_s)
    assert 10 * np.linalg.norm(joints - animation.joints_xyz(), axis=-1).max() < 0.01


def test_far_fewer_keys(walk: Animation) -> None:
    tracks = smooth(walk, 0.01)
    assert count(tracks) < count(straight(fewer_keys(walk, 0.01))) / 5
    assert count(tracks) < count(straight(all_keys(walk))) / 10
    still = [track for parts in tracks.turns for track in parts if len(track.frames) == 1]
    assert len(still) > 10
    assert all(track.frames[-1] == 180 for track in tracks.travel[0])


def test_the_file(tmp_path: Path) -> None:
    """A minute of walking; our own reader knows cubic keys."""
    take = walking_take(num_frames=601, rate_hz=60.0)
    (full,) = export(take, tmp_path / "full.fbx")
    (less,) = export(take, tmp_path / "less.fbx", max_error_mm=0.1, smooth_keys=True)
    assert full.stat().st_size > 3 * less.stat().st_size
    kept, found = read_skeleton(full), read_skeleton(less)
    assert found.names == kept.names
    assert found.rate_hz == kept.rate_hz
    assert 10 * np.linalg.norm(found.xyz - kept.xyz, axis=-1).max() < 0.101
    (alone,) = export(take, tmp_path / "alone.fbx", smooth_keys=True)
    assert alone.read_bytes() == full.read_bytes(), "smooth keys are for files that leave out keys"


def test_another_rest_pose(tmp_path: Path) -> None:
    take = walking_take(num_frames=61, rate_hz=60.0)
    (full,) = export(take, tmp_path / "full.fbx", rig="unreal")
    (less,) = export(take, tmp_path / "less.fbx", rig="unreal", max_error_mm=0.1, smooth_keys=True)
    off_cm = np.linalg.norm(read_skeleton(less).xyz - read_skeleton(full).xyz, axis=-1)
    assert 10 * off_cm.max() < 0.101


def test_one_and_two_frames() -> None:
    for frames in (1, 2):
        animation = animate(walking_character(num_frames=frames), "mixamo", FBX_AXES)
        tracks = smooth(animation, 0.01)
        assert len(tracks.travel[0][0].frames) == frames


def test_a_bound_that_cannot_be(walk: Animation) -> None:
    with pytest.raises(ExportError, match="above 0 mm"):
        smooth(walk, 0.0)
