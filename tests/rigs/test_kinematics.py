import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from rigs.kinematics import (
    cross_matrix,
    left_jacobian,
    rotation_from_rotvec,
    rotvec_from_rotation,
    world_from_joint,
)
from rigs.skeleton import SMPL_PARENTS

ANGLES = [0.0, 1e-300, 1e-12, 1e-7, 1e-4, 0.0999, 0.1, 0.1001, 1.0, 3.0, math.pi - 1e-7, math.pi, 6.0]


def _rotvecs(angle: float, count: int = 20) -> torch.Tensor:
    axis = np.random.default_rng(3).normal(size=(count, 3))
    return torch.from_numpy(angle * axis / np.linalg.norm(axis, axis=1, keepdims=True))


@pytest.mark.parametrize("angle", ANGLES)
def test_rotation_against_scipy(angle: float) -> None:
    rotvec = _rotvecs(angle)
    ours = rotation_from_rotvec(rotvec).numpy()
    assert np.abs(ours - Rotation.from_rotvec(rotvec.numpy()).as_matrix()).max() < 4e-15
    back = rotvec_from_rotation(torch.from_numpy(ours)).numpy()
    again = Rotation.from_rotvec(back).as_matrix()
    assert (
        np.abs(again - ours).max() < 1e-7
        if abs(angle - math.pi) < 1e-3
        else np.abs(again - ours).max() < 1e-12
    )


@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batch_and_dtype_follow_the_input(batch: tuple[int, ...], dtype: torch.dtype) -> None:
    rotvec = torch.randn(*batch, 3, dtype=dtype)
    rotation = rotation_from_rotvec(rotvec)
    assert rotation.shape == (*batch, 3, 3) and rotation.dtype == dtype
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3, dtype=dtype).expand_as(rotation), atol=1e-5)


@pytest.mark.parametrize("angle", ANGLES)
def test_first_derivative_is_the_left_jacobian(angle: float) -> None:
    """dR/dr_i = [J e_i] R."""
    for rotvec in _rotvecs(angle, 3):
        derivative = torch.autograd.functional.jacobian(rotation_from_rotvec, rotvec)  # (3, 3, 3)
        rotation, jacobian = rotation_from_rotvec(rotvec), left_jacobian(rotvec)
        for axis in range(3):
            expected = cross_matrix(jacobian[:, axis]) @ rotation
            assert torch.allclose(derivative[..., axis], expected, atol=1e-12), f"column {'xyz'[axis]}"


def test_left_jacobian_against_differences() -> None:
    step = 1e-6
    for rotvec in torch.cat([_rotvecs(angle, 2) for angle in (0.05, 1.0, 3.0)]):
        start = Rotation.from_rotvec(rotvec.numpy())
        for axis in range(3):
            moved = Rotation.from_rotvec((rotvec + step * torch.eye(3, dtype=torch.float64)[axis]).numpy())
            turned = torch.from_numpy((moved * start.inv()).as_rotvec() / step)
            # second order of the step
            assert torch.allclose(left_jacobian(rotvec)[:, axis], turned, atol=1e-5), f"column {'xyz'[axis]}"


def test_second_derivative_at_zero() -> None:
    """R = 1 + [r] + [r]² / 2 + ..., so that d²R_00 / dy² = -1; libraries give NaN or -0.74 here."""
    hessian = torch.autograd.functional.hessian(
        lambda r: rotation_from_rotvec(r)[0, 0], torch.zeros(3).double()
    )
    assert torch.allclose(hessian, torch.diag(torch.tensor([0.0, -1, -1]).double()), atol=1e-14)


@pytest.mark.parametrize("angle", [0.0, 0.0999, 0.1001, 1.0])
def test_second_derivatives_against_differences(angle: float) -> None:
    rotvec = _rotvecs(angle, 1)[0].requires_grad_()
    assert torch.autograd.gradgradcheck(rotation_from_rotvec, rotvec, atol=1e-5)


def test_a_library_that_fails_the_second_derivative_is_noticed() -> None:
    """The check above is not vacuous: Rodrigues' formula through the norm fails it."""

    def through_the_norm(rotvec: torch.Tensor) -> torch.Tensor:
        angle = torch.linalg.norm(rotvec + 1e-8)
        cross = cross_matrix(rotvec / angle)
        return (torch.eye(3) + torch.sin(angle) * cross + (1 - torch.cos(angle)) * cross @ cross)[0, 0]

    hessian = torch.autograd.functional.hessian(through_the_norm, torch.zeros(3).double())
    assert not torch.allclose(hessian, torch.diag(torch.tensor([0.0, -1, -1]).double()), atol=1e-2)


def _scipy_chain(rotvec: np.ndarray, offsets: np.ndarray, translation: np.ndarray):
    turns: list[Rotation] = []
    places: list[np.ndarray] = []
    for joint, parent in enumerate(SMPL_PARENTS):
        local = Rotation.from_rotvec(rotvec[joint])
        turns.append(local if parent < 0 else turns[parent] * local)
        start = translation if parent < 0 else places[parent]
        places.append(start + (offsets[joint] if parent < 0 else turns[parent].apply(offsets[joint])))
    return np.stack([turn.as_matrix() for turn in turns]), np.stack(places)


def test_forward_kinematics_against_scipy() -> None:
    random = np.random.default_rng(0)
    rotvec, translation = random.normal(size=(4, 24, 3)), random.normal(size=(4, 3))
    offsets = random.normal(size=(24, 3))
    rotation, places = world_from_joint(
        rotation_from_rotvec(torch.from_numpy(rotvec)),
        torch.from_numpy(offsets),
        SMPL_PARENTS,
        torch.from_numpy(translation),
    )
    assert rotation.shape == (4, 24, 3, 3) and places.shape == (4, 24, 3)
    for time in range(4):
        expected_rotation, expected = _scipy_chain(rotvec[time], offsets, translation[time])
        assert np.abs(rotation[time].numpy() - expected_rotation).max() < 1e-13
        assert np.abs(places[time].numpy() - expected).max() < 1e-13


def test_forward_kinematics_batches_broadcast() -> None:
    local = rotation_from_rotvec(torch.randn(5, 24, 3).double())
    offsets = torch.randn(2, 1, 24, 3).double()
    rotation, places = world_from_joint(local, offsets, SMPL_PARENTS)
    assert rotation.shape == (2, 5, 24, 3, 3) and places.shape == (2, 5, 24, 3)
    alone = world_from_joint(local[3], offsets[1, 0], SMPL_PARENTS)
    assert torch.allclose(places[1, 3], alone[1], atol=1e-14)
    assert torch.allclose(rotation[1, 3], alone[0], atol=1e-14)


def test_translation_may_carry_the_batch() -> None:
    local = torch.eye(3).double().expand(24, 3, 3)
    translation = torch.randn(6, 3).double()
    rotation, places = world_from_joint(local, torch.ones(24, 3).double(), SMPL_PARENTS, translation)
    assert rotation.shape == (6, 24, 3, 3)
    assert torch.allclose(places[:, 0], translation + 1)
