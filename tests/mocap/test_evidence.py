"""The evidence: what was planted in the pictures is read from them again."""

import numpy as np
import pytest

from mocap.evidence import evidence
from mocap.reconstruct import observe, solve
from mocap.settings import ReconstructSettings


def of(stage):
    observations, association = observe(stage.keypoints, stage.cameras, stage.clock)
    points, _ = solve(observations, association, stage.cameras)
    return observations, evidence(observations, stage.cameras, points, 0, ReconstructSettings())


def test_deviations_wrong_views_and_sides(make_stage) -> None:
    stage = make_stage(frames=120, noise_px=2.0)
    names = stage.keypoints["a"].keypoint_names
    mirror = [
        names.index(n.replace("left", "@").replace("right", "left").replace("@", "right")) for n in names
    ]
    stage.keypoints["c"].xy_px[30:40] = stage.keypoints["c"].xy_px[30:40][:, :, mirror]
    stage.keypoints["b"].xy_px[60:65, 0, 5] += 300.0
    observations, found = of(stage)
    assert found.xy_px.shape == (120, 4, 19, 2)
    assert found.camera_names == stage.cameras.names
    # chance is averaged out over some frames, which then say the same: all in all they say as much
    assert np.median(found.sigma_px) < 1.0
    assert np.median(found.weight / found.sigma_px**2) == pytest.approx(1 / 2.0**2, rel=0.4)
    put_back = observations.xy_px[30:40, 2, 0][:, mirror]
    assert np.abs(found.xy_px[30:40, 2] - put_back).max() < 10.0
    rough = [np.diff(xy, 2, axis=0).std() for xy in (observations.xy_px[:30, :, 0], found.xy_px[:30])]
    assert rough[1] < rough[0] / 3
    assert np.isnan(found.xy_px[60:65, 1, 5]).all()
    assert np.isfinite(found.xy_px).all(-1).sum() == 120 * 4 * 19 - 5
    assert (found.weight > 0.05).all(), "the errors are new in every frame"
    assert (found.bias_sd_px < 0.6).all()


def test_lasting_and_constant_errors(make_stage) -> None:
    stage = make_stage(frames=400)
    rng = np.random.default_rng(0)
    for view in stage.keypoints.values():
        error = rng.normal(0, 2, view.xy_px.shape)
        for frame in range(1, len(error)):
            error[frame] = 0.8 * error[frame - 1] + 0.6 * error[frame]
        view.xy_px[:] += error + rng.normal(0, 2, error.shape[1:])
    _, found = of(stage)
    assert (found.weight < 0.2).all()
    assert 0.8 < np.median(found.bias_sd_px) < 3.5
