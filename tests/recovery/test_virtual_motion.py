"""Planted truth: a motion comes back from true cameras and keypoints as wrong as a detector's are."""

from dataclasses import replace

import numpy as np
import pytest

from mocap.fit import fit
from mocap.keypoints import CameraKeypoints
from mocap.reconstruct import reconstruct
from mocap.settings import FitSettings, ReconstructSettings
from mocap.sync import CameraClock, Clock
from mocap.virtual.compare import joint_errors_m
from mocap.virtual.film import true_keypoints
from mocap.virtual.studio import Studio
from rigs.body import load_body

STUDIO = Studio(seconds=1.5)
CLOCK = Clock({name: CameraClock(0.0, 0.0, 0.0, "true") for name in STUDIO.cameras().names})


def _detected(bias_px: float, white_px: float, seed: int) -> dict[str, CameraKeypoints]:
    """True keypoints with an error that is constant over the take and one that is new in every frame."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in STUDIO.cameras().names:
        true = true_keypoints(STUDIO, name)
        bias = rng.normal(0, bias_px, (1, 1, *true.xy_px.shape[2:]))
        xy_px = true.xy_px + bias + rng.normal(0, white_px, true.xy_px.shape)
        found[name] = CameraKeypoints(true.time_s, xy_px, 0.9 * true.score, true.keypoint_names, true.size_px)
    return found


@pytest.mark.parametrize(("bias_px", "white_px", "limit_mm"), [(0.0, 0.3, 6.0), (3.0, 2.0, 15.0)])
def test_limb_joints_come_back(bias_px, white_px, limit_mm) -> None:
    detected = _detected(bias_px, white_px, seed=0)
    points, _ = reconstruct(detected, STUDIO.cameras(), CLOCK, settings=ReconstructSettings())
    motions, _ = fit(points, load_body(), settings=FitSettings())
    assert len(motions) == 1
    true = STUDIO.performers[0].motion(points.time_s, seconds=STUDIO.seconds, rate_hz=STUDIO.rate_hz)
    error_mm = 1e3 * joint_errors_m(next(iter(motions.values())), true)
    assert error_mm.mean() < limit_mm


def test_the_measure_notices_a_motion_that_is_late() -> None:
    performer = STUDIO.performers[0]
    times = np.arange(30) / 30
    true, late = (performer.motion(times + shift, seconds=1.5, rate_hz=30.0) for shift in (0.0, 0.3))
    assert 1e3 * joint_errors_m(replace(late, time_s=true.time_s), true).mean() > 30
