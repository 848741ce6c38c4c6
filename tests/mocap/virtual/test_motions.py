"""Motions that a person could perform: feet on the floor, joints within their range, no jumps."""

import numpy as np
import pytest

from mocap.virtual.motions import perform
from mocap.virtual.moves import (
    Crouch,
    Reach,
    Stand,
    Turn,
    Walk,
    Wave,
    default_moves,
    duration,
    least_jerk,
)
from mocap.virtual.performer import Performer
from mocap.virtual.script import lay_out
from rigs.body import load_body
from rigs.limits import joint_limits

RATE_HZ = 30.0
SLACK_DEG = 6.0
"""The ranges are soft walls; a move may lean on them."""

MOVES = {
    "stand": (Stand(1.0),),
    "walk": (Walk(4),),
    "turn": (Turn(80.0, 2),),
    "turn back": (Turn(-120.0, 4),),
    "reach": (Reach("left"),),
    "crouch": (Crouch(),),
    "wave": (Wave("right"),),
    "default": default_moves(6.0),
}
BETAS = {"mean": (0.0,), "short": (-1.5, 0.5), "tall": (1.5, -0.5, 0.5)}


def _motion(moves, betas=(0.0,), yaw_deg=0.0):
    performer = Performer(betas=betas, moves=moves, start_yaw_deg=yaw_deg)
    seconds = sum(duration(move) for move in moves)
    return performer.motion(np.arange(0.0, seconds, 1 / RATE_HZ), seconds=seconds, rate_hz=RATE_HZ)


def _range_violation_deg(motion):
    lower, upper = (limit.numpy() for limit in joint_limits(motion.joint_names))
    angles = motion.poses.reshape(len(motion.time_s), -1, 3)
    return np.degrees(np.maximum(lower - angles, angles - upper)).max(axis=(0, 2))


def _slide_m(motion, side):
    """How far the ball of a foot moves in all while the foot is flat on the floor, metres."""
    ball = motion.joints[:, motion.joint_names.index(f"{side}_foot")]
    down = ball[:, 2] < ball[:, 2].min() + 1e-4
    both = down[1:] & down[:-1]
    return np.linalg.norm(np.diff(ball, axis=0), axis=-1)[both].sum()


@pytest.mark.parametrize("betas", BETAS.values(), ids=BETAS)
@pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES)
def test_the_lowest_point_of_the_body_is_on_the_floor(moves, betas) -> None:
    motion = _motion(moves, betas)
    vertices, _ = load_body().skin(motion.poses, motion.trans, motion.betas)
    lowest_mm = 1e3 * vertices[..., 2].amin(dim=1).numpy()
    assert np.abs(lowest_mm).max() < 8.0


@pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES)
def test_joints_stay_within_a_persons_range(moves) -> None:
    motion = _motion(moves)
    over = _range_violation_deg(motion)
    assert over.max() < SLACK_DEG, motion.joint_names[int(over.argmax())]


def test_the_range_check_notices_a_knee_bent_backwards() -> None:
    motion = _motion(MOVES["stand"])
    motion.poses[:, 3 * motion.joint_names.index("left_knee")] = np.radians(-30)
    assert _range_violation_deg(motion).max() > 25


@pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_standing_feet_do_not_slide(moves, side) -> None:
    assert _slide_m(_motion(moves), side) < 2e-3


def test_the_slide_check_notices_a_drifting_body() -> None:
    motion = _motion(MOVES["stand"])
    motion.joints[:, :, 0] += 0.1 * motion.time_s[:, None]
    assert _slide_m(motion, "left") > 0.05


@pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES)
def test_nothing_jumps(moves) -> None:
    motion = _motion(moves)
    acceleration = np.linalg.norm(np.diff(motion.joints, 2, axis=0), axis=-1) * RATE_HZ**2
    inner = [motion.joint_names.index(name) for name in ("pelvis", "head", "left_knee", "right_knee")]
    assert acceleration[:, inner].max() < 60.0
    assert acceleration.max() < 150.0  # hands and feet


def test_walking_goes_ahead_and_turning_turns() -> None:
    walked = _motion((Walk(4, 0.5),), yaw_deg=90.0)
    way = walked.trans[-1] - walked.trans[0]
    np.testing.assert_allclose(way[:2], [1.5, 0.0], atol=0.05)
    turned = _motion((Turn(90.0, 2), Stand(0.5)))
    hips = [turned.joint_names.index(name) for name in ("right_hip", "left_hip")]
    to_left = turned.joints[:, hips[1]] - turned.joints[:, hips[0]]
    assert to_left[0, 0] > 0.1
    assert to_left[-1, 1] > 0.1  # facing +x now, so the left is +y


def test_poses_depend_on_the_time_alone_not_on_the_other_times() -> None:
    body, script = load_body(), lay_out(default_moves(4.0))
    betas = np.zeros(body.num_betas)
    all_s = np.arange(0, 4, 0.05)
    some_s = all_s[7::13]
    whole = perform(script, body, betas, all_s, rate_hz=20.0)
    part = perform(script, body, betas, some_s, rate_hz=20.0)
    np.testing.assert_allclose(part.joints, whole.joints[7::13], atol=1e-9)


def test_the_reach_reaches_up_and_the_crouch_goes_down() -> None:
    reach, crouch = _motion((Reach("right"),)), _motion((Crouch(0.3),))
    wrist = reach.joint_names.index("right_wrist")
    assert reach.joints[:, wrist, 2].max() > reach.joints[0, reach.joint_names.index("head"), 2]
    assert reach.trans[0, 2] - crouch.trans[:, 2].min() == pytest.approx(0.3, abs=0.03)


def test_least_jerk_starts_and_ends_at_rest() -> None:
    s = np.linspace(-0.5, 1.5, 2001)
    course = least_jerk(s)
    assert course[0] == 0.0
    assert course[-1] == 1.0
    assert np.abs(np.diff(course, 2)).max() < 1e-5
