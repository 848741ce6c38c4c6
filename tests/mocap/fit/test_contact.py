"""When points stand, and on what: planted stands, jumps and steps."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from mocap.fit.contact import find_contacts, floor_height
from mocap.fit.contact_points import CONTACT_NAMES, SOLES, contact_points, contacts_of
from mocap.fit.floor import find_floor
from rigs.body import Body


def step_in_place(rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """(T, 1, 3): stands for a second, swings forward 20 cm high for half a second, stands for a second."""
    time_s = np.arange(0, 2.5, 1 / rate_hz)
    swing = np.clip((time_s - 1.0) / 0.5, 0, 1)
    place = np.stack([0.6 * swing, 0 * swing, 0.2 * np.sin(np.pi * swing)], -1)
    return place[:, None], time_s


def shaken(place: np.ndarray, rate_hz: float, sd_m: float, last_s: float) -> np.ndarray:
    """With an error of a given size that lasts for a while."""
    error = np.random.default_rng(0).normal(size=place.shape)
    error = gaussian_filter1d(error, max(0.3, last_s * rate_hz), axis=0)
    return place + error * sd_m / error.std()


@pytest.mark.parametrize("rate_hz", [30.0, 120.0])
@pytest.mark.parametrize(("sd_m", "last_s"), [(0.002, 0.02), (0.015, 0.1)])
def test_a_step_has_two_stands(rate_hz: float, sd_m: float, last_s: float) -> None:
    place, time_s = step_in_place(rate_hz)
    found = find_contacts(shaken(place, rate_hz, sd_m, last_s), time_s)
    stands = found.stands[:, 0]
    assert stands[time_s < 0.95].all()
    assert stands[time_s > 1.55].all()
    assert not stands[(time_s > 1.08) & (time_s < 1.42)].any()
    # both ends alike: nothing is late
    lift, land = time_s[np.flatnonzero(~stands)[[0, -1]]]
    assert abs((lift - 1.0) - (1.5 - land)) < 0.04 + 2 / rate_hz


def test_how_still_still_is_follows_the_data() -> None:
    place, time_s = step_in_place(60.0)
    calm, wild = (find_contacts(shaken(place, 60.0, sd, 0.1), time_s) for sd in (0.001, 0.02))
    assert wild.still_m_s > 2 * calm.still_m_s


@pytest.mark.parametrize("up_m_s", [0.7, 1.5, 3.0])
@pytest.mark.parametrize("sd_m", [0.002, 0.01])
def test_no_contact_is_invented_in_a_jump(up_m_s: float, sd_m: float) -> None:
    """Straight up and down on the spot, 2.5, 11 and 46 cm high."""
    time_s = np.arange(0, 2.5, 1 / 60)
    height = np.clip(up_m_s * (time_s - 0.7) - 4.905 * (time_s - 0.7) ** 2, 0, None)
    place = np.stack([0 * height, 0 * height, height], -1)[:, None]
    found = find_contacts(shaken(place, 60.0, sd_m, 0.05), time_s)
    end = 0.7 + up_m_s / 4.905
    middle = (time_s > 0.7 + 0.25 * (end - 0.7)) & (time_s < 0.7 + 0.75 * (end - 0.7))
    if up_m_s > 1:
        assert not found.stands[middle].any()
    assert found.stands[(time_s < 0.6) | (time_s > end + 0.1)].all()


def test_what_stands_near_the_floor_stands_on_it_and_else_on_a_step() -> None:
    time_s = np.arange(120) / 60
    for height, least, most in ((0.0, 0.0, 0.001), (-0.02, 0.0, 0.0), (0.2, 0.19, 0.2)):
        place = np.zeros((120, 1, 3))
        place[..., 2] = height
        found = find_contacts(place, time_s)
        assert found.stands.all()
        assert least <= found.support_m.min() <= found.support_m.max() <= most, height
    place[..., 2] = 0.2
    assert not find_contacts(place, time_s, on_steps=np.array([False])).stands.any(), "a hand in the air"


def test_the_floor_is_where_feet_stand_lowest() -> None:
    place, time_s = step_in_place(60.0)
    beside = np.array([0, 0.2, 0.3])
    feet = np.concatenate([place, place + beside], 1) - np.array([0, 0, 0.4])
    assert floor_height(shaken(feet, 60.0, 0.003, 0.05), time_s) == pytest.approx(-0.4, abs=0.01)
    gone = np.stack([time_s, 0 * time_s, 1 + np.sin(time_s)], -1)[:, None] * [3.0, 1.0, 1.0]
    assert floor_height(gone, time_s) is None


def test_one_frame_has_contacts_too() -> None:
    place = np.array([[[0, 0, 0.0], [0, 0, 0.5]]])
    assert find_contacts(place, np.zeros(1)).stands.tolist() == [[True, False]]


def test_a_long_take_is_quick_and_certain() -> None:
    """Log odds of an hour neither over- nor underflow."""
    place, _ = step_in_place(30.0)
    long = np.tile(place, (400, 1, 1))
    found = find_contacts(long, np.arange(len(long)) / 30)
    assert np.isfinite(found.probability).all()
    assert 0.6 < found.stands.mean() < 0.9


def test_points_are_on_the_surface_where_they_should_be(body: Body) -> None:
    points = contact_points(body)
    assert points is not None
    joints = body.joint_template
    unturned = torch.eye(3, dtype=torch.float64).expand(len(joints), 3, 3)
    for betas in (torch.zeros(16).double(), torch.eye(16).double()[0] * 2):
        rest = points.model.pose(unturned, body.joints_rest(betas), betas)
        place = dict(zip(points.model.names, rest.numpy(), strict=True))
        floor = float(body.vertices_rest(betas)[:, 1].min())
        for name, clearance in zip(points.model.names, points.clearance_m.tolist(), strict=True):
            if name in SOLES:
                assert abs(place[name][1] - floor - clearance) < 0.004, name
        assert place["left_heel"][0] > 0 > place["right_heel"][0]
        assert place["left_outer"][0] - place["left_inner"][0] > 0.03
        assert place["left_inner"][2] - place["left_heel"][2] > 0.08
        knee = body.joints_rest(betas)[body.joint_names.index("left_knee")].numpy()
        assert 0.02 < place["left_knee"][2] - knee[2] < 0.09
        wrist = body.joints_rest(betas)[body.joint_names.index("left_wrist")].numpy()
        assert place["left_palm"][1] < wrist[1]


def test_a_body_without_vertices_on_its_feet_has_no_soles(body: Body) -> None:
    from dataclasses import replace

    weights = torch.zeros_like(body.weights)
    weights[:, 0] = 1.0
    assert contact_points(replace(body, weights=weights)) is None


def test_a_foot_stands_where_either_side_of_its_ball_does() -> None:
    names = ("left_heel", "left_inner", "left_outer", "right_palm")
    found = contacts_of(names, torch.tensor([[0.1, 0.2, 0.9, 0.4]], dtype=torch.float64))
    told = dict(zip(CONTACT_NAMES, found[0].tolist(), strict=True))
    assert told == {
        **dict.fromkeys(CONTACT_NAMES, 0.0), "left_heel": 0.1, "left_foot": 0.9, "right_hand": 0.4,
    }  # fmt: skip


def test_somebody_on_the_hands_does_not_lift_the_floor(body: Body) -> None:
    points = contact_points(body)
    assert points is not None
    frames = 60
    poses, betas = np.zeros((frames, 72)), np.zeros(16)
    poses[:, :3] = [-np.pi / 2, 0, 0]  # head down
    poses[:, 16 * 3 + 2], poses[:, 17 * 3 + 2] = 1.4, -1.4
    trans = np.tile([0.0, 0.0, 1.2], (frames, 1))
    rotation, joints = body.pose_frames(poses, trans, betas)
    place = points.model.pose(rotation, joints, torch.from_numpy(betas))
    time_s = torch.arange(frames).double() / 30
    trans[:, 2] -= float(place[..., 2].min()) - 0.01
    rotation, joints = body.pose_frames(poses, trans, betas)
    floor = find_floor(points, points.model.pose(rotation, joints, torch.from_numpy(betas)), time_s)
    assert floor.how == "used"
    told = dict(zip(CONTACT_NAMES, floor.probability(frames).min(0).values.tolist(), strict=True))
    assert told["left_hand"] > 0.5 and told["right_hand"] > 0.5
    # feet that are still a man's height above the hands may stand on something: nothing pulls them down
    assert floor.contacts is not None
    feet = points.is_sole.numpy()
    assert floor.contacts.support_m[:, feet][floor.contacts.stands[:, feet]].min(initial=9.0) > 0.5
