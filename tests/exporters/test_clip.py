from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from exporters import ExportError
from exporters.clip import clip

from ..clients.walk import walking_character, walking_poses


def test_a_part_by_time() -> None:
    walker = walking_character(num_frames=31)
    part = clip(walker, start_s=0.2, end_s=0.6)
    assert np.allclose(part.motion.time_s, np.arange(6, 19) / 30)
    assert np.array_equal(part.motion.poses, walker.motion.poses[6:19])


@pytest.mark.parametrize("rate_hz", [24000 / 1001, 25.0, 60.0, 120.0])
def test_another_rate_is_by_time_and_keeps_the_length(rate_hz: float) -> None:
    walker = walking_character(num_frames=61, rate_hz=60.0)
    made = clip(walker, rate_hz=rate_hz).motion
    assert made.mocap_framerate == rate_hz
    assert made.time_s[-1] == pytest.approx(1.0, abs=1 / rate_hz)
    assert np.allclose(np.diff(made.time_s), 1 / rate_hz)
    for column, joint in enumerate(made.joint_names):
        known = walker.motion.joints[:, column]
        at = np.stack([np.interp(made.time_s, walker.motion.time_s, known[:, axis]) for axis in range(3)], -1)
        assert np.abs(made.joints[:, column] - at).max() < 2e-3, joint


def test_frames_that_are_there_already_stay_as_they_are() -> None:
    walker = walking_character(num_frames=20)
    assert np.array_equal(clip(walker, rate_hz=30.0).motion.poses, walker.motion.poses)


def test_a_loop_ends_before_the_first_pose_comes_again() -> None:
    """The walk on the spot has a period of 1/0.9 s; what it waves has been left out."""
    walker = walking_character(num_frames=70, turns=0.0)
    poses = walking_poses(walker.motion.time_s)
    poses[:, 0] = walker.motion.poses.reshape(70, -1, 3)[:1, 0]
    swing = np.sin(2 * np.pi * 0.9 * walker.motion.time_s)
    joints = walker.motion.joints[:1] + 0.2 * swing[:, None, None] * np.linspace(0, 1, 24)[None, :, None]
    looping = replace(walker, motion=replace(walker.motion, joints=joints))
    assert len(clip(looping, loop=True).motion.time_s) == pytest.approx(30 / 0.9, abs=1)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"start_s": 5.0}, r"nothing from 5 to 0\.633333 s; the motion lasts from 0 to"),
        ({"rate_hz": -1.0}, "must be positive"),
        ({"end_s": 0.1, "loop": True}, "4 frames are too few for a loop"),
    ],
)
def test_refusals(wanted: dict[str, float], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        clip(walking_character(num_frames=20), **wanted)  # type: ignore[arg-type]
