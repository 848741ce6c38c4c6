"""The shipped body: axes, proportions, joints, keypoints, shape space, file."""

import json
import time

import numpy as np
import pytest
import torch

from rigs.body import DEFAULT_BODY_FILE, Body, _body_from, load_body
from rigs.body_files import read_body
from rigs.keypoints import mirrored_name
from rigs.limits import joint_limits
from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS

INDEX = {name: index for index, name in enumerate(SMPL_JOINT_NAMES)}
MIRROR = torch.tensor([-1.0, 1, 1], dtype=torch.float64)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def shapes() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(100, 16))


def _at(body: Body, betas: np.ndarray) -> dict[str, torch.Tensor]:
    joints = body.joints_rest(betas)
    return {name: joints[..., index, :] for name, index in INDEX.items()}


def _posed(body: Body, **turns: tuple[float, float, float]) -> dict[str, torch.Tensor]:
    """Joints of the mean body with some joints turned, degrees."""
    poses = np.zeros((24, 3))
    for name, turn in turns.items():
        poses[INDEX[name]] = np.radians(turn)
    joints = body.pose_joints(poses.reshape(72), np.zeros(3), np.zeros(16))
    return {name: joints[index] for name, index in INDEX.items()}


def test_file_is_small_and_loads_fast(body: Body) -> None:
    assert DEFAULT_BODY_FILE.stat().st_size < 2_000_000
    times_s: list[float] = []
    for _ in range(5):
        start = time.process_time()
        _body_from("default", read_body(DEFAULT_BODY_FILE))
        times_s.append(time.process_time() - start)
    assert min(times_s) < 0.2
    assert load_body() is load_body()
    assert body.joint_names == SMPL_JOINT_NAMES and body.parents == SMPL_PARENTS


def test_origin_and_licence_are_inside(body: Body) -> None:
    metadata = json.loads(body.metadata)
    assert "NAVER" in metadata["licence"] and "CC0" in metadata["licence"]
    assert metadata["bodies"] >= 800 and metadata["versions"]["anny"].startswith("0.6")


def test_weights_and_regressors_are_convex(body: Body) -> None:
    for matrix in (body.weights, body.joint_regressor, body.keypoint_regressor):
        assert (matrix >= 0).all()
        assert (matrix.sum(1) - 1).abs().max() < 1e-9
    assert len(body.keypoint_names) == 60 and len(body.v_template) > 5900 and len(body.faces) > 11_900
    assert body.faces.max() < len(body.v_template)


def test_axes(body: Body) -> None:
    """Left is +x, up is +y, the toes point to +z: a wrong sign leaves a plausible mirrored body."""
    at = _at(body, np.zeros(16))
    assert at["left_wrist"][0] > 0.6 and at["right_wrist"][0] < -0.6
    assert at["head"][1] > 0.5 and at["left_ankle"][1] < -0.7
    assert at["left_foot"][2] > at["left_ankle"][2] + 0.1
    keypoints = dict(zip(body.keypoint_names, body.keypoint_regressor @ body.v_template, strict=True))
    assert keypoints["nose"][2] > at["head"][2] + 0.08
    assert keypoints["left_thumb_tip"][2] > keypoints["left_pinky_tip"][2] + 0.1  # palms down
    assert keypoints["left_heel_back"][2] < at["left_ankle"][2]


def test_faces_look_outward(body: Body) -> None:
    corners = body.v_template[body.faces]
    volume = (corners[:, 0] * torch.linalg.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert 0.04 < volume < 0.12  # cubic metres: a person's


def test_zero_pose_has_straight_limbs_for_every_shape(body: Body, shapes: np.ndarray) -> None:
    at = _at(body, np.concatenate([np.zeros((1, 16)), shapes]))
    for side, sign in (("left_", 1), ("right_", -1)):
        arm = torch.stack([at[side + name] for name in ("shoulder", "elbow", "wrist", "hand")])
        assert (arm[..., 1:] - arm[:1, :, 1:]).abs().max() < 2e-4
        assert (sign * arm[1:, :, 0] > sign * arm[:-1, :, 0]).all()
        thigh, shank = at[side + "knee"] - at[side + "hip"], at[side + "ankle"] - at[side + "knee"]
        bend = torch.linalg.cross(thigh, shank).norm(dim=-1) / (thigh.norm(dim=-1) * shank.norm(dim=-1))
        assert bend.max() < 1e-4
        assert torch.allclose(
            sign * thigh[:, 0] / -thigh[:, 1], torch.tensor(np.tan(np.radians(3))), atol=1e-4
        )


def test_pelvis_is_the_origin_for_every_shape(body: Body, shapes: np.ndarray) -> None:
    assert body.joints_rest(3 * shapes)[:, 0].abs().max() < 1e-5  # what rounding to micrometres leaves


def test_left_and_right_are_mirror_images(body: Body) -> None:
    swap = [INDEX[mirrored_name(name)] for name in SMPL_JOINT_NAMES]
    joints = body.joint_template
    assert (joints[swap] * MIRROR - joints).abs().max() < 2e-4
    keypoints = body.keypoint_regressor @ body.v_template
    swap = [body.keypoint_names.index(mirrored_name(name)) for name in body.keypoint_names]
    assert (keypoints[swap] * MIRROR - keypoints).abs().max() < 5e-4


def test_shapes_stay_symmetric(body: Body, shapes: np.ndarray) -> None:
    joints = body.joints_rest(shapes)
    swap = [INDEX[mirrored_name(name)] for name in SMPL_JOINT_NAMES]
    assert (joints[:, swap] * MIRROR - joints).abs().max() < 3e-3


def test_proportions_of_the_mean_body(body: Body) -> None:
    """Heights of the joints over the floor as parts of stature, after Winter's segment table."""
    stature = np.ptp(body.v_template[:, 1].numpy())
    floor = body.v_template[:, 1].min()
    assert 1.65 < stature < 1.76
    for joint, part in (
        ("left_hip", 0.53),
        ("left_knee", 0.29),
        ("left_ankle", 0.04),
        ("left_shoulder", 0.82),
    ):
        assert abs(float(body.joint_template[INDEX[joint], 1] - floor) / stature - part) < 0.02, joint


@pytest.mark.parametrize("stature_m", [1.45, 2.05])
def test_stature_of_adults_is_reached(body: Body, stature_m: float) -> None:
    def stature(first: float) -> float:
        return float(np.ptp(body.vertices_rest(np.array([first]))[:, 1].numpy()))

    assert stature(1.0) > stature(0.0) + 0.08  # + is taller
    low, high = -4.5, 4.5
    assert stature(low) < stature_m < stature(high)


def test_betas_are_principal_and_unit(body: Body) -> None:
    size_mm = body.shapedirs.pow(2).sum(1).mean(0).sqrt() * 1000
    assert 35 < size_mm[0] < 50 and (size_mm[1:] < 20).all() and (size_mm > 1).all()
    assert size_mm[0] > 2 * size_mm[1] and size_mm[1:4].mean() > 2 * size_mm[8:].mean()


def test_arms_vary_at_a_given_length_of_the_legs(body: Body) -> None:
    """People of one size differ by about a centimetre in each segment; the shape space must be able to."""
    betas = np.random.default_rng(1).normal(size=(2000, 16))
    at = _at(body, betas)
    length = (at["left_shoulder"] - at["left_elbow"]).norm(dim=-1).numpy()
    legs = (at["left_hip"] - at["left_ankle"]).norm(dim=-1).numpy()
    assert length.std() > 0.006 and legs.std() > 0.02
    residual = length - np.polyval(np.polyfit(legs, length, 1), legs)
    assert 0.006 < residual.std() < 0.02


@pytest.mark.parametrize(
    ("joint", "axis", "end", "moves"),
    [
        ("left_knee", (1, 0, 0), "left_ankle", (0, 1, -1)),  # flexion takes the foot back and up
        ("left_hip", (-1, 0, 0), "left_knee", (0, 1, 1)),  # flexion takes the knee forward and up
        ("left_elbow", (0, -1, 0), "left_wrist", (-1, 0, 1)),  # flexion takes the hand forward
        ("left_shoulder", (0, 0, -1), "left_elbow", (-1, -1, 0)),  # down
        ("spine1", (1, 0, 0), "head", (0, -1, 1)),  # flexion bows
        ("left_ankle", (1, 0, 0), "left_foot", (0, -1, 0)),  # plantar flexion
        ("left_wrist", (0, 0, -1), "left_hand", (-1, -1, 0)),  # flexion, palm down
    ],
)
def test_joints_turn_as_the_limits_table_says(body: Body, joint: str, axis, end: str, moves) -> None:
    """The large end of the range is the anatomical flexion; the right side is the mirror image."""
    lower, upper = joint_limits([joint])
    component, sign = int(np.flatnonzero(axis)[0]), sum(axis)
    flexion, extension = (upper, -lower) if sign > 0 else (-lower, upper)
    assert flexion[0, component] > extension[0, component]
    rest, moved = _posed(body), _posed(body, **{joint: tuple(60.0 * np.array(axis))})
    change = (moved[end] - rest[end]).numpy()
    for seen, sign in zip(change, moves, strict=True):
        assert sign == 0 or (np.sign(seen) == sign and abs(seen) > 0.01)
    if joint.startswith("left_"):
        mirrored = _posed(body, **{mirrored_name(joint): tuple(60.0 * np.array(axis) * [1, -1, -1])})
        assert torch.allclose(mirrored[mirrored_name(end)] * MIRROR, moved[end], atol=5e-4)


def test_keypoints_ride_on_their_bones(body: Body) -> None:
    """Posing the body moves a keypoint with its segment: its distance from the joint hardly changes."""
    random = np.random.default_rng(5)
    poses = random.normal(0, 0.4, (50, 72))
    joints = body.pose_joints(poses, np.zeros((50, 3)), np.zeros(16))
    for keypoint, joint in (
        ("nose", "head"),
        ("left_heel", "left_ankle"),
        ("right_middle_knuckle", "right_wrist"),
    ):
        seen = body.pose_keypoints([keypoint], poses, np.zeros((50, 3)), np.zeros(16))[:, 0]
        distance = (seen - joints[:, INDEX[joint]]).norm(dim=-1)
        assert (distance.max() - distance.min()) < 0.025
        assert torch.linalg.norm(seen.std(0)) > 0.1


@pytest.mark.parametrize(
    ("keypoint", "joint", "offset_mm"),
    [
        ("left_shoulder", "left_shoulder", (-21, 15, -1)),
        ("left_hip", "left_hip", (-13, -20, 19)),
        ("left_knee", "left_knee", (5, -27, -2)),
        ("left_ankle", "left_ankle", (0, 18, 2)),
        ("left_wrist", "left_wrist", (-3, -3, 4)),
        ("left_ear", "head", (75, 25, 8)),
        ("nose", "head", (0, 13, 114)),
        ("head_top", "head", (0, 156, 14)),
    ],
)
def test_keypoints_lie_where_an_earlier_bake_had_them(
    body: Body, keypoint: str, joint: str, offset_mm
) -> None:
    """Offsets from the joint on the mean body; a second, independent implementation found these."""
    place = body.keypoint_regressor[body.keypoint_names.index(keypoint)] @ body.v_template
    seen_mm = 1000 * (place - body.joint_template[INDEX[joint]]).numpy()
    assert np.abs(seen_mm - offset_mm).max() < 4
