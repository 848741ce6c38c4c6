"""The board's path: derivatives against autodiff, poses against scipy, a path through given poses."""

import numpy as np
import roma
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from calibration.timed.board_motion import (
    BoardMotion,
    aligned_start,
    basis,
    basis_slope,
    carry,
    carry_jacobian,
    fit_motion,
    quat_tangent,
    third_differences,
)

POINTS = 40


def some_motion(controls: int = 9) -> BoardMotion:
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    quat = torch.nn.functional.normalize(noise(4) + 0.4 * noise(controls, 4), dim=-1)
    one_part = torch.zeros(0, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    linked = torch.ones(controls - 3, dtype=torch.bool)
    return BoardMotion(0.3, 0.17, noise(3), noise(controls, 3), quat, *one_part, linked)


def looked_at(motion: BoardMotion) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    span = motion.step_s * (len(motion.place) - 3)
    time_s = motion.start_s + span * torch.rand(POINTS, generator=generator, dtype=torch.float64)
    interval, part = motion.at(time_s)
    return interval, part, torch.randn(POINTS, 3, generator=generator, dtype=torch.float64)


def test_derivatives_are_those_of_autodiff() -> None:
    motion = some_motion()
    interval, part, xyz = looked_at(motion)
    found = carry_jacobian(motion, interval, part, xyz)
    still = torch.zeros(len(motion.place), 6, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(
        lambda step: carry(motion.stepped(step), interval, part, xyz), still
    )
    itself = torch.eye(3, dtype=torch.float64).expand(POINTS, 3, 3)
    d_control = found.by_control(itself, quat_tangent(motion.quat_wxyz), interval)
    ours = torch.zeros_like(expected)
    for row in range(POINTS):
        ours[row, :, interval[row] : interval[row] + 4] = d_control[row]
    assert float((ours - expected).abs().max()) < 1e-10
    by_part = torch.autograd.functional.jacobian(lambda u: carry(motion, interval, u, xyz).sum(0), part)
    assert float((found.velocity - by_part.T / motion.step_s).abs().max()) < 1e-10
    torch.testing.assert_close(found.xyz_world, carry(motion, interval, part, xyz), rtol=0, atol=1e-12)


def test_third_differences_have_their_derivatives() -> None:
    motion = some_motion()
    _, slope = third_differences(motion)
    still = torch.zeros(len(motion.place), 6, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(
        lambda step: third_differences(motion.stepped(step))[0], still
    )
    ours = torch.zeros_like(expected)
    for row in range(len(slope)):
        ours[row, :, row : row + 4] = slope[row]
    assert float((ours - expected).abs().max()) < 1e-10


def test_the_basis_is_that_of_scipy() -> None:
    part = torch.linspace(0, 1, 11, dtype=torch.float64)
    for k in range(4):
        one = BSpline(np.arange(-3.0, 5.0), np.eye(4)[k], 3)
        np.testing.assert_allclose(basis(part)[:-1, k], one(part.numpy()[:-1]), atol=1e-14)
        np.testing.assert_allclose(basis_slope(part)[:-1, k], one(part.numpy()[:-1], 1), atol=1e-13)


def test_poses_carry_points_as_the_path_does() -> None:
    motion = some_motion()
    interval, part, xyz = looked_at(motion)
    time_s = motion.start_s + motion.step_s * (interval + part)
    pose = motion.poses(time_s)
    moved = (pose[:, :3, :3] @ xyz[..., None])[..., 0] + pose[:, :3, 3]
    torch.testing.assert_close(moved, carry(motion, interval, part, xyz), rtol=0, atol=1e-12)


def test_a_path_leads_near_the_poses_that_it_came_from() -> None:
    time_s = torch.arange(0.0, 4.0, 0.1, dtype=torch.float64) + 0.037
    poses = torch.eye(4, dtype=torch.float64).repeat(len(time_s), 1, 1)
    # More than one whole turn: the quaternions change sides.
    poses[:, :3, :3] = roma.rotvec_to_rotmat(time_s[:, None] * torch.tensor([0.0, 2.0, 0.5]))
    poses[:, :3, 3] = torch.stack([time_s.sin(), time_s.cos(), 0.1 * time_s], -1)
    middle = torch.tensor([0.2, 0.1, 0.0], dtype=torch.float64)
    found = fit_motion(time_s, poses, 0.1, middle, time_s).poses(time_s)
    turn = roma.rotmat_geodesic_distance(found[:, :3, :3], poses[:, :3, :3])[2:-2]
    assert float(turn.max()) < 0.02
    assert float((found - poses)[2:-2, :3, 3].abs().max()) < 0.01


def test_gaps_have_no_control_points() -> None:
    early = torch.arange(0.0, 2.0, 0.1, dtype=torch.float64)
    time_s = torch.cat([early, early + 60.0])
    poses = torch.eye(4, dtype=torch.float64).repeat(len(time_s), 1, 1)
    poses[:, 0, 3] = 0.1 * time_s + (0.7 * time_s).sin()
    middle = torch.zeros(3, dtype=torch.float64)
    path = fit_motion(time_s, poses, 0.1, middle, time_s)
    assert len(path.place) < 2 * 20 + 25
    found = path.poses(time_s)
    inner = torch.ones(len(time_s), dtype=torch.bool)
    inner[[0, 1, 18, 19, 20, 21, 38, 39]] = False
    assert float((found - poses)[inner, 0, 3].abs().max()) < 0.01
    assert int((~path.linked).sum()) == 3
    interval, _ = path.at(time_s)
    assert int(interval[20:].min() - interval[:20].max()) >= 4


def test_knots_lie_where_the_images_are() -> None:
    time_s = torch.arange(0.0, 2.0, 0.1, dtype=torch.float64) + 0.037
    steps = (time_s - aligned_start(time_s, 0.1)) / 0.1
    assert float((steps - steps.round()).abs().max()) < 1e-9
