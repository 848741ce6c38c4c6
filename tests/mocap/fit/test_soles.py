"""Where the soles are, and when they stand."""

import numpy as np
import torch

from mocap.fit.soles import SOLE_NAMES, find_contacts, find_support, sole_model
from rigs.body import Body


def test_soles_are_the_lowest_points_of_the_feet(body: Body) -> None:
    soles = sole_model(body)
    assert soles is not None
    for betas in (np.zeros(16), np.eye(16)[0] * 2):
        poses, trans = np.zeros((1, 72)), np.zeros((1, 3))
        rotation, joints = body.pose_frames(poses, trans, betas)
        place = dict(
            zip(SOLE_NAMES, soles.pose(rotation, joints, torch.from_numpy(betas))[0].numpy(), strict=True)
        )
        floor = float(body.vertices_rest(betas)[:, 1].min())
        for name, (_, y, _) in place.items():
            assert 0 <= y - floor < 0.012, name
        assert place["left_heel"][0] > 0 > place["right_heel"][0]
        assert place["left_outer"][0] - place["left_inner"][0] > 0.03
        assert place["right_inner"][0] - place["right_outer"][0] > 0.03
        assert place["left_inner"][2] - place["left_heel"][2] > 0.08


def test_a_body_without_vertices_on_its_feet_has_no_soles(body: Body) -> None:
    from dataclasses import replace

    weights = torch.zeros_like(body.weights)
    weights[:, 0] = 1.0
    assert sole_model(replace(body, weights=weights)) is None


def step_in_place(rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """(T, 1, 3): stands for a second, swings forward 20 cm high for half a second, stands for a second."""
    time_s = np.arange(0, 2.5, 1 / rate_hz)
    swing = np.clip((time_s - 1.0) / 0.5, 0, 1)
    place = np.stack([0.6 * swing, 0 * swing, 0.2 * np.sin(np.pi * swing)], -1)
    return place[:, None], time_s


def test_a_step_has_two_stands() -> None:
    for rate in (30.0, 60.0, 120.0):
        place, time_s = step_in_place(rate)
        noisy = place + 0.003 * np.random.default_rng(0).normal(size=place.shape)
        stands = find_contacts(noisy, time_s)[:, 0]
        assert stands[time_s < 0.9].all()
        assert stands[time_s > 1.6].all()
        assert not stands[(time_s > 1.1) & (time_s < 1.4)].any()


def test_a_jump_has_no_contact_in_the_air() -> None:
    time_s = np.arange(0, 2, 1 / 60)
    height = np.clip(1.5 * (time_s - 0.7) - 4.905 * (time_s - 0.7) ** 2, 0, None)
    stands = find_contacts(np.stack([0 * height, 0 * height, height], -1)[:, None], time_s)[:, 0]
    assert not stands[height > 0.06].any()
    assert stands[time_s < 0.6].all()


def test_what_stands_near_the_floor_stands_on_it_and_else_on_a_step() -> None:
    time_s = np.arange(60) / 30
    low, high = np.zeros((60, 1, 3)), np.zeros((60, 1, 3))
    low[..., 2], high[..., 2] = 0.02, 0.045
    assert np.all(find_support(low, time_s) == 0.0)
    assert np.allclose(find_support(high, time_s), 0.045)


def test_one_frame_has_contacts_too() -> None:
    assert find_contacts(np.array([[[0, 0, 0.01], [0, 0, 0.5]]]), np.zeros(1)).tolist() == [[True, False]]
