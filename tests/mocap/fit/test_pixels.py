"""Motions recovered from what cameras saw of them; the 3D points only start the fit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from calibration.cameras import Cameras
from mocap.errors import InputError
from mocap.evidence import Evidence
from mocap.fit import fit
from mocap.fit.noise import Noise, estimate_noise
from mocap.fit.problem import BorderPrior, Problem
from mocap.fit.reprojection_term import Pixels, ReprojectionTerm
from mocap.fit.state import Layout, State
from mocap.settings import FitSettings
from rigs.body import Body
from tests.recovery.body_truth import ring

IN_THE_AIR = FitSettings(floor=False)


def seen_by(truth, body: Body, cameras: Cameras, sigma_px: float = 3.0, seed: int = 0) -> Evidence:
    """White noise in all pictures; a tenth is missing."""
    random = np.random.default_rng(seed)
    names = truth.points.keypoint_names
    rotation, joints = body.pose_frames(truth.poses, truth.trans, truth.betas)
    place = body.detector_model(names).pose(rotation, joints, torch.from_numpy(truth.betas))
    xy = cameras.project(place)[0].numpy()
    xy = xy + sigma_px * random.normal(size=xy.shape)
    xy[random.random(xy.shape[:-1]) < 0.1] = np.nan
    shape = xy.shape[1:3]
    return Evidence(
        truth.points.time_s, cameras.names, names, xy, np.full(xy.shape[:3], sigma_px), np.ones(shape),
        np.full(shape, 0.1),
    )  # fmt: skip


def test_pixels_are_better_than_the_points_that_start(body: Body, make_truth: Callable) -> None:
    truth, cameras = make_truth(45, noise_m=0.02), ring(4)
    evidence = seen_by(truth, body, cameras)
    errors = []
    for kwargs in ({}, {"cameras": cameras, "evidence": {0: evidence}}):
        motion = fit(truth.points, body, settings=IN_THE_AIR, **kwargs)[0][0]
        errors.append(truth.limb_error_mm(body, motion.joints).mean())
    assert errors[1] < 0.75 * errors[0]
    assert errors[1] < 9.0


def test_fewer_cameras_know_less_and_say_so(body: Body, make_truth: Callable) -> None:
    truth = make_truth(30, noise_m=0.02)
    error, told = [], []
    for count in (6, 2):
        cameras = ring(count)
        evidence = {0: seen_by(truth, body, cameras)}
        motion = fit(truth.points, body, settings=IN_THE_AIR, cameras=cameras, evidence=evidence)[0][0]
        error.append(truth.limb_error_mm(body, motion.joints).mean())
        told.append(motion.joint_std.mean())
    assert error[1] > error[0]
    assert told[1] > 1.2 * told[0]


def test_a_known_shape_is_held(body: Body, make_truth: Callable) -> None:
    truth = make_truth(12, noise_m=0.01)
    motion = fit(truth.points, body, settings=IN_THE_AIR, shape=truth.betas[:10])[0][0]
    assert np.array_equal(motion.betas[:10], truth.betas[:10])
    assert np.all(motion.betas[10:] == 0)
    with pytest.raises(InputError, match="a shape of"):
        fit(truth.points, body, shape=np.zeros(99))


def test_evidence_of_other_times_is_refused(body: Body, make_truth: Callable) -> None:
    truth, cameras = make_truth(10), ring(3)
    evidence = seen_by(truth, body, cameras)
    short = replace(evidence, time_s=evidence.time_s[:5])
    with pytest.raises(InputError, match="evidence of 5 instants"):
        fit(truth.points, body, cameras=cameras, evidence={0: short})


def test_bias_and_spread_of_a_camera_are_found(body: Body, make_truth: Callable) -> None:
    """At the true state: one keypoint of one camera is 6 px off all the time, another errs twice as much."""
    truth, cameras = make_truth(60), ring(3)
    evidence = seen_by(truth, body, cameras)
    evidence.xy_px[:, 1, 4] += [6.0, 0.0]
    evidence.xy_px[:, 2, 7] += np.random.default_rng(3).normal(0, 6.0, (60, 2))
    arrays = (evidence.xy_px, evidence.sigma_px, evidence.weight, np.full((3, 33), 3.0))
    pixels = Pixels(*(torch.from_numpy(array) for array in arrays))
    noise = Noise.as_told(pixels)
    points = body.detector_model(evidence.keypoint_names)
    layout = Layout((0,), len(body.parents), 0, 0)
    term = ReprojectionTerm(points, cameras, pixels, tail=4.0, bias_px=noise.bias_px)
    nothing = torch.zeros(0, dtype=torch.float64)
    problem = Problem(body, layout, (term,), BorderPrior(nothing, nothing))
    turns = Rotation.from_rotvec(truth.poses.reshape(-1, 3)).as_quat().reshape(60, -1, 4)
    state = State(
        torch.from_numpy(turns), torch.from_numpy(truth.trans), torch.from_numpy(truth.betas),
        torch.zeros(33, 3).double(),
    )  # fmt: skip
    found = estimate_noise(problem, state, pixels, noise)
    assert float(found.bias_px[1, 4, 0]) == pytest.approx(6.0, abs=1.2)
    others = torch.cat([found.bias_px[0].flatten(), found.bias_px[2, :7].flatten()])
    assert float(others.abs().max()) < 2.0
    assert float(found.scale[2, 7]) > 1.5
    assert float(found.scale[0].mean()) == pytest.approx(1.0, abs=0.15)
