"""Dances and looks drawn at random: nobody sinks, slides or breaks a joint, and no two are alike."""

import numpy as np
import pytest

from mocap.virtual.cast import draw_dance, draw_look, draw_performer, draw_room
from mocap.virtual.moves import Beat, Stand, flight_time
from mocap.virtual.performer import Performer
from rigs.body import load_body
from rigs.limits import joint_limits

RATE_HZ = 60.0


def _dance(seed, **how):
    rng = np.random.default_rng(seed)
    performer = draw_performer(rng, draw_dance(rng, 6.0, **how))
    return performer.motion(np.arange(0, 6.0, 1 / RATE_HZ), seconds=6.0, rate_hz=RATE_HZ)


def _moved(*moves):
    performer = Performer(moves=(Stand(0.2), *moves, Stand(0.3)))
    seconds = 0.5 + sum(move.seconds for move in moves)
    return performer.motion(np.arange(0, seconds, 1 / RATE_HZ), seconds=seconds, rate_hz=RATE_HZ)


def _heights(motion, joint):
    return motion.joints[:, motion.joint_names.index(joint), 2]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_fast_dance_is_one_that_a_person_could_dance(seed) -> None:
    motion = _dance(seed, beat_s=0.42)
    lower, upper = (limit.numpy() for limit in joint_limits(motion.joint_names))
    angles = motion.poses.reshape(len(motion.time_s), -1, 3)
    over_deg = np.degrees(np.maximum(lower - angles, angles - upper))
    assert over_deg.max() < 15
    vertices, _ = load_body().skin(motion.poses[::6], motion.trans[::6], motion.betas)
    assert vertices[..., 2].min() > -0.008
    speed = np.linalg.norm(np.diff(motion.joints, axis=0), axis=-1) * RATE_HZ
    assert np.quantile(speed[:, motion.joint_names.index("right_wrist")], 0.95) > 2.0
    assert speed.max() < 12.0
    pelvis = motion.joints[:, 0]
    assert np.linalg.norm(np.diff(pelvis, 2, axis=0), axis=-1).max() * RATE_HZ**2 < 60


def test_a_slow_dance_is_slow() -> None:
    fast, slow = (_dance(5, beat_s=beat_s, energy=0.5) for beat_s in (0.42, 1.5))
    speeds = [np.linalg.norm(np.diff(motion.joints, axis=0), axis=-1).mean() for motion in (fast, slow)]
    assert speeds[1] < 0.5 * speeds[0]


def test_a_jump_leaves_the_floor_with_both_feet_for_as_long_as_gravity_says() -> None:
    motion = _moved(Beat(1.2, "jump", height_m=0.2))
    feet = np.minimum(_heights(motion, "left_foot"), _heights(motion, "right_foot"))
    up_s = (feet > feet.min() + 0.02).sum() / RATE_HZ
    assert up_s == pytest.approx(flight_time(0.2), abs=0.08)
    assert _heights(motion, "pelvis").max() - _heights(motion, "pelvis")[0] == pytest.approx(0.2, abs=0.05)


def test_a_kick_lifts_one_foot_and_brings_it_back() -> None:
    motion = _moved(Beat(0.7, "kick", side="left", height_m=0.6, way_m=(0.7, 0.1)))
    left, right = _heights(motion, "left_ankle"), _heights(motion, "right_ankle")
    assert left.max() - left[0] > 0.4
    assert right.max() - right[0] < 0.02
    legs = [motion.joint_names.index(name) for name in ("pelvis", "left_knee", "left_ankle", "left_foot")]
    np.testing.assert_allclose(motion.joints[-1, legs], motion.joints[0, legs], atol=0.005)


def test_beats_end_in_the_arms_pose_that_they_are_given() -> None:
    up = {"shoulder": (0.0, -20.0, 62.0)}
    motion = _moved(Beat(0.5, left_arm=up, right_arm=up))
    at = int(0.69 * RATE_HZ)
    for side in ("left", "right"):
        assert _heights(motion, f"{side}_elbow")[at] > _heights(motion, f"{side}_shoulder")[at] + 0.1


def test_draws_differ_and_repeat() -> None:
    first, again, other = (np.random.default_rng(seed) for seed in (3, 3, 4))
    for draw in (draw_look, draw_room, lambda rng: draw_dance(rng, 3.0)):
        one = draw(first)
        assert one == draw(again)
        assert one != draw(other)
