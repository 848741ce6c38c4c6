"""Events keep their time: feet that strike the floor, and the moments at which wrists are fastest."""

import numpy as np
import pytest
import torch
from scipy.signal import find_peaks

from mocap.metrics import lag_s
from rigs.motion import Motion
from tests.recovery.body_truth import BodyTruth, cmu_truth
from tests.recovery.planted import sole_points
from tests.recovery.test_body_recovery import recover

_SHARP_S, _SHARP = 0.07, 0.1
"""A peak whose neighbours so many seconds away are less by this share has a time of its own."""
_STRIKE_M_S = 0.5
"""A foot strikes as its heel or ball becomes slower than this: it stands soon after."""


def speed(xyz: np.ndarray, rate_hz: float) -> np.ndarray:
    """(T,) m/s of a point (T, 3)."""
    return np.linalg.norm(np.gradient(xyz, axis=0), axis=-1) * rate_hz


def fastest(pace: np.ndarray, rate_hz: float, *, sharp: bool) -> np.ndarray:
    """Frames, between whole ones, at which a pace (T,) is greatest: only those of sharp peaks, or all."""
    peaks, _ = find_peaks(pace, prominence=0.5 if sharp else 0.02)
    reach = round(_SHARP_S * rate_hz)
    if sharp:
        peaks = peaks[(peaks >= reach) & (peaks < len(pace) - reach)]
        beside = np.maximum(pace[peaks - reach], pace[peaks + reach])
        peaks = peaks[beside < (1 - _SHARP) * pace[peaks]]
    before, here, after = pace[peaks - 1], pace[peaks], pace[peaks + 1]
    return peaks + (before - after) / 2 / np.minimum(before - 2 * here + after, -1e-9)


def slowed(pace: np.ndarray) -> np.ndarray:
    """Frames, between whole ones, at which a pace (T,) falls below that of a foot that strikes."""
    rows = np.flatnonzero((pace[:-1] >= _STRIKE_M_S) & (pace[1:] < _STRIKE_M_S))
    return rows + (pace[rows] - _STRIKE_M_S) / (pace[rows] - pace[rows + 1])


def late(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Frames by which the nearest found event is later than each true one."""
    return np.array([found[np.abs(found - one).argmin()] - one for one in true])


def soles(truth: BodyTruth, motion: Motion) -> np.ndarray:
    """(T, 4, 3) heels and balls."""
    rotation, joints = truth.body.pose_frames(motion.poses, motion.trans, motion.betas)
    return sole_points(truth.body).pose(rotation, joints, torch.from_numpy(motion.betas)).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["walk", "run", "jump", "playground"])
def test_of_planted_motions(clip: str) -> None:
    truth = cmu_truth(clip, cameras=8, seed=104, seconds={"run": 1.4, "walk": 2.8}.get(clip, 4.0))
    found, true, rate_hz = recover(truth), truth.motion, truth.motion.mocap_framerate
    wrists = []
    for joint in (truth.body.joint_names.index(name) for name in ("left_wrist", "right_wrist")):
        told, real = (speed(motion.joints[:, joint], rate_hz) for motion in (found, true))
        wrists.extend(late(fastest(told, rate_hz, sharp=False), fastest(real, rate_hz, sharp=True)))
    strikes = []
    told, real = (soles(truth, motion) for motion in (found, true))
    for point in range(4):
        told_pace, real_pace = (speed(place[:, point], rate_hz) for place in (told, real))
        strikes.extend(late(slowed(told_pace), slowed(real_pace)))
    lag_ms = 1e3 * lag_s(found.joints[:, :22], true.joints[:, :22], rate_hz)
    print(  # noqa: T201
        f"{clip}: wrists are fastest {np.round(wrists, 1)} frames late, feet strike {np.round(strikes, 1)} "
        f"frames late, lag {lag_ms:.1f} ms"
    )
    assert abs(lag_ms) < 2
    # limbs that land or throw stop within a frame or two: not every such event is met so closely
    events = np.abs([*wrists, *strikes])
    assert len(events) >= 3
    assert np.quantile(events, 0.75) <= 1
