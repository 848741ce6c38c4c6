from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from exporters.errors import ExportError
from exporters.euler import ROTATION_ORDERS, axis_rotation, continuous_euler, rotation_from_euler

every_order = pytest.mark.parametrize("order", ROTATION_ORDERS)


@every_order
def test_random_rotations_against_scipy(order: str) -> None:
    rotation = Rotation.random(1000, rng=np.random.default_rng(0))
    for matrix, expected in zip(rotation.as_matrix(), rotation.as_euler(order), strict=True):
        angles = continuous_euler(matrix[None], order)[0]
        assert np.allclose(angles, expected, atol=1e-9)


@every_order
def test_angles_give_back_the_rotations(order: str) -> None:
    rotation = Rotation.random(600, rng=np.random.default_rng(1)).as_matrix().reshape(100, 2, 3, 3, 3)
    angles = continuous_euler(rotation, order)
    assert angles.shape == (100, 2, 3, 3)
    again = Rotation.from_euler(order, angles.reshape(-1, 3)).as_matrix()
    assert np.allclose(again.reshape(rotation.shape), rotation, atol=1e-12)
    assert np.allclose(rotation_from_euler(angles, order), rotation, atol=1e-12)


@every_order
def test_smooth_turning_has_smooth_curves(order: str) -> None:
    """All three angles run through several whole turns, the middle one past its quarter turn."""
    time = np.linspace(0, 1, 500)
    truth = np.stack([0.2 + 12 * time, 0.4 * np.sin(7 * time), -9 * time], axis=1)
    truth[:, 1] += np.linspace(0, np.pi, 500)  # through the lock between two frames
    angles = continuous_euler(Rotation.from_euler(order, truth).as_matrix(), order)
    assert np.allclose(angles, truth, atol=1e-9)


@every_order
@pytest.mark.parametrize("quarter", [np.pi / 2, -np.pi / 2])
def test_locked_frames_follow_their_neighbours(order: str, quarter: float) -> None:
    time = np.linspace(-1, 1, 41)  # frame 20 is locked exactly
    truth = np.stack([1 + 0.3 * time, quarter + 0.5 * time, -2 + 0.1 * time], axis=1)
    rotation = Rotation.from_euler(order, truth).as_matrix()
    angles = continuous_euler(rotation, order)
    # The first frame may be told by the other triple: what counts is that nothing jumps.
    assert np.abs(np.diff(angles, axis=0)).max() < 0.05
    assert np.allclose(Rotation.from_euler(order, angles).as_matrix(), rotation, atol=1e-7)


@every_order
def test_always_locked(order: str) -> None:
    truth = np.stack([np.linspace(0, 15, 200), np.full(200, np.pi / 2), np.zeros(200)], axis=1)
    rotation = Rotation.from_euler(order, truth).as_matrix()
    angles = continuous_euler(rotation, order)
    assert np.abs(np.diff(angles, axis=0)).max() < 0.1
    assert np.allclose(Rotation.from_euler(order, angles).as_matrix(), rotation, atol=1e-7)


@every_order
@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-8, 9e-7, 1.1e-6, 1e-4])
def test_rotations_at_and_near_the_lock(order: str, distance: float) -> None:
    random = np.random.default_rng(3)
    truth = random.uniform(-np.pi, np.pi, size=(50, 3))
    truth[:, 1] = np.pi / 2 * random.choice([-1, 1], 50) + distance
    rotation = Rotation.from_euler(order, truth).as_matrix()
    angles = continuous_euler(rotation, order)
    # A millionth of a radian is a micrometre at the end of an arm.
    assert np.allclose(Rotation.from_euler(order, angles).as_matrix(), rotation, atol=2e-6)


@every_order
def test_identity_is_zero_and_stays(order: str) -> None:
    assert np.all(continuous_euler(np.tile(np.eye(3), (5, 2, 1, 1)), order) == 0)


def test_one_axis_against_scipy() -> None:
    for axis, letter in enumerate("xyz"):
        expected = Rotation.from_euler(letter, 0.7).as_matrix()
        assert np.allclose(axis_rotation(axis, np.array(0.7)), expected)


def test_an_unknown_order_lists_the_six() -> None:
    with pytest.raises(ExportError, match="'XYX'; choose one of ZXY, ZYX, XYZ, YXZ, XZY, YZX"):
        continuous_euler(np.eye(3)[None], "XYX")
