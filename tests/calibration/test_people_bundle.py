"""The adjustment on people: derivatives against autodiff, gauge freedom, planted truth, determinism."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import roma
import torch
from torch import Tensor

from calibration import Cameras
from calibration.people.bundle import covariance, minimise, stepped
from calibration.people.curves import PersonView
from calibration.people.errors import bone_errors, cost, linearise, observe, pose_error, shift
from calibration.people.normal import normal_equations
from calibration.people.state import LENS, WIDTH, People, Priors, State

MakeCameras = Callable[..., Cameras]
KEYPOINTS, INSTANTS, PERSONS = 5, 6, 2
BONES = torch.tensor([[0, 1], [1, 2], [2, 3]])
COLUMNS = ("rho_x", "rho_y", "rho_z", "phi_x", "phi_y", "phi_z", *LENS)


def _noise(seed: int) -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def _views(cameras: Cameras, track: Callable[[Tensor], Tensor], offset_s: Tensor) -> list[PersonView]:
    """Smooth tracks (T,) -> (T, P, K, 3) as each camera sees them on its own clock, without error."""
    time = torch.arange(40, dtype=torch.float64) / 30
    views = []
    for row, name in enumerate(cameras.names):
        xy = cameras[name].project(track(time + offset_s[row]).flatten(1, 2))[0][:, 0]
        xy = xy.reshape(len(time), PERSONS, KEYPOINTS, 2)
        views.append(PersonView(time, xy, torch.full(xy.shape[:3], 3.0, dtype=torch.float64), (1920, 1080)))
    return views


def _track(seed: int) -> Callable[[Tensor], Tensor]:
    noise = _noise(seed)
    place, way, swing = noise(PERSONS, KEYPOINTS, 3) * 0.6, noise(PERSONS, 1, 3) * 0.3, noise(PERSONS, 1, 3)

    def at(time: Tensor) -> Tensor:
        t = time[:, None, None, None]
        return place + way * t + 0.1 * swing * (3 * t).sin()

    return at


@pytest.fixture
def scene(make_cameras: MakeCameras) -> tuple[State, People]:
    cameras = make_cameras(4)
    offset = torch.tensor([0.0, 0.11, -0.07], dtype=torch.float64)
    track = _track(3)
    time = 0.3 + 0.12 * torch.arange(INSTANTS, dtype=torch.float64)
    xyz = track(time).transpose(0, 1).flatten(0, 1)
    person = torch.arange(PERSONS).repeat_interleave(INSTANTS)
    length = (xyz[:, BONES[:, 0]] - xyz[:, BONES[:, 1]]).norm(dim=-1)
    state = State(
        cameras,
        torch.zeros(3, dtype=torch.float64),
        offset,
        torch.stack([length[person == who].mean(0) for who in range(PERSONS)]).log(),
        xyz,
        torch.zeros(3, PERSONS, KEYPOINTS, 2, dtype=torch.float64),
    )
    count = len(state.values())
    rows = 0.01 * _noise(7)(4, count)
    rows.reshape(4, -1)[:, : 3 * WIDTH].reshape(4, 3, WIDTH)[..., :6] = 0.0
    people = People(
        views=_views(cameras, track, offset),
        time_s=time.repeat(PERSONS),
        person=person,
        size_px=300.0 + 20 * _noise(5)(3, PERSONS * INSTANTS),
        bones=BONES,
        bone_sigma_m=torch.full((3,), 0.02, dtype=torch.float64),
        seen=torch.ones(3, PERSONS * INSTANTS, KEYPOINTS, dtype=torch.bool),
        trust=0.4,
        priors=Priors(rows, rows @ state.values()),
        free=torch.ones(count, dtype=torch.bool),
    )
    return state, people


def _disturbed(state: State, seed: int, size: float = 1.0) -> State:
    noise = _noise(seed)
    step = size * torch.cat(
        [
            (
                noise(3, WIDTH) * torch.tensor([0.02] * 3 + [0.01] * 3 + [0.02, 3, 3, 0.01, 0.01, 0.01])
            ).flatten(),
            0.05 * noise(state.log_bone.numel()),
            0.005 * noise(state.bias.numel()),
        ]
    )
    return stepped(state, step, size * 0.03 * noise(*state.xyz.shape))


def _flat(state: State) -> int:
    return 3 * WIDTH + state.log_bone.numel() + state.bias.numel()


def test_slopes_are_those_of_the_cost(scene: tuple[State, People]) -> None:
    state, people = scene
    state = _disturbed(state, 1)
    pose = _disturbed(state, 2).cameras.cam_from_world
    factor = _noise(9)(3, 6, 6)
    people = replace(people, priors=replace(people.priors, pose=pose, pose_information=factor @ factor.mT))
    step = torch.zeros(_flat(state) + state.xyz.numel(), dtype=torch.float64, requires_grad=True)
    moved = stepped(state, step[: _flat(state)], step[_flat(state) :])
    (slope,) = torch.autograd.grad(cost(moved, people), step)
    system = normal_equations(state, people)
    found = torch.cat([system.glob_slope, system.point_slope.flatten()])
    assert (found - slope).abs().max() < 1e-10 * slope.abs().max()


def test_jacobians_match_autodiff_column_by_column(scene: tuple[State, People]) -> None:
    state, people = scene
    state = _disturbed(state, 1)
    at = linearise(state, people)
    assert at.valid.all()

    def error(step: Tensor) -> Tensor:
        glob = torch.cat([step[: 3 * WIDTH], torch.zeros(_flat(state) - 3 * WIDTH, dtype=torch.float64)])
        moved = stepped(state, glob, step[3 * WIDTH :])
        xy, _, _ = observe(people, moved.offset_s)
        return moved.cameras.project(moved.xyz.flatten(0, 1))[0].reshape(xy.shape) + shift(moved, people) - xy

    zero = torch.zeros(3 * WIDTH + state.xyz.numel(), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(error, zero, vectorize=True)
    for camera in range(3):
        for column, name in enumerate(COLUMNS):
            true = jacobian[camera, ..., camera * WIDTH + column]
            scale = true.abs().max().clamp(min=1.0)
            assert (at.d_camera[camera, ..., column] - true).abs().max() < 1e-10 * scale, name
    by_point = jacobian[..., 3 * WIDTH :].reshape(*at.error_px.shape, -1, KEYPOINTS, 3)
    s, k = torch.meshgrid(torch.arange(len(state.xyz)), torch.arange(KEYPOINTS), indexing="ij")
    own = by_point[:, s, k, :, s, k].permute(2, 0, 1, 3, 4)
    assert (at.d_point - own).abs().max() < 1e-10 * own.abs().max()


def test_curvature_is_that_of_the_blocks(scene: tuple[State, People]) -> None:
    """The assembled system is J^T W J of the residuals stacked the plain way."""
    state, people = scene
    people = replace(people, trust=1.0, bone_sigma_m=people.bone_sigma_m * 1e3)

    def residual(step: Tensor) -> Tensor:
        moved = stepped(state, step[: _flat(state)], step[_flat(state) :])
        xy, _, sigma = observe(people, moved.offset_s)
        error = (
            moved.cameras.project(moved.xyz.flatten(0, 1))[0].reshape(xy.shape) + shift(moved, people) - xy
        )
        bones = bone_errors(moved, people)[0] / people.bone_sigma_m
        prior = people.priors.rows @ moved.values() - people.priors.target
        # At the truth every Student-t weighs (nu + 2) / nu.
        root = (5.0 / 3.0) ** 0.5
        return torch.cat([root * (error / sigma[..., None]).flatten(), root * bones.flatten(), prior])

    zero = torch.zeros(_flat(state) + state.xyz.numel(), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(residual, zero, vectorize=True)
    whole = jacobian.T @ jacobian
    system = normal_equations(state, people)
    size = _flat(state)
    tolerance = (
        3e-3 * whole.abs().max()
    )  # tracks between frames are not quite the truth, so weights are not quite alike
    assert (system.glob - whole[:size, :size]).abs().max() < tolerance
    assert (torch.block_diag(*system.point) - whole[size:, size:]).abs().max() < tolerance
    assert (system.coupling.transpose(0, 1).flatten(1) - whole[:size, size:]).abs().max() < tolerance


def test_pose_error_is_the_perturbation_and_its_derivative() -> None:
    noise = _noise(4)
    expected = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    expected[:, :3, :3], expected[:, :3, 3] = roma.rotvec_to_rotmat(noise(2, 3)), noise(2, 3)

    def moved(step: Tensor, pose: Tensor) -> Tensor:
        turn = roma.rotvec_to_rotmat(step[:, 3:])
        top = torch.cat([turn @ pose[:, :3, :3], turn @ pose[:, :3, 3:] + step[:, :3, None]], -1)
        return torch.cat([top, pose[:, 3:]], 1)

    step = 0.3 * noise(2, 6)
    off, jacobian = pose_error(moved(step, expected), expected)
    torch.testing.assert_close(off, step)
    here = moved(step, expected)
    true = torch.autograd.functional.jacobian(
        lambda more: pose_error(moved(more, here), expected)[0], torch.zeros(2, 6, dtype=torch.float64)
    )
    torch.testing.assert_close(
        jacobian, torch.stack([true[row, :, row] for row in range(2)]), atol=1e-10, rtol=0
    )


def test_moving_and_turning_everything_changes_nothing(scene: tuple[State, People]) -> None:
    state, people = scene
    state = _disturbed(state, 1)
    free = replace(
        people, priors=Priors(torch.zeros(1, len(state.values())).double(), torch.zeros(1).double())
    )
    noise = _noise(6)
    motion = torch.eye(4, dtype=torch.float64)
    motion[:3, :3], motion[:3, 3] = roma.rotvec_to_rotmat(noise(3)), noise(3)
    elsewhere = replace(
        state,
        cameras=state.cameras.with_poses(state.cameras.cam_from_world @ torch.linalg.inv(motion)),
        xyz=state.xyz @ motion[:3, :3].T + motion[:3, 3],
    )
    torch.testing.assert_close(cost(elsewhere, free), cost(state, free), rtol=1e-12, atol=0)
    larger = replace(state, xyz=2 * state.xyz, log_bone=state.log_bone + torch.tensor(2.0).double().log())
    poses = state.cameras.cam_from_world.clone()
    poses[:, :3, 3] *= 2
    larger = replace(larger, cameras=state.cameras.with_poses(poses))
    doubled = replace(free, bone_sigma_m=2 * free.bone_sigma_m)
    torch.testing.assert_close(cost(larger, doubled), cost(state, free), rtol=1e-12, atol=0)


def test_the_planted_truth_comes_back_and_twice_alike(scene: tuple[State, People]) -> None:
    state, people = scene
    free = people.free.clone()
    free[:6] = False
    for camera in range(3):  # lenses stay; clocks, poses, bones and points are found again
        free[camera * WIDTH + 6 : camera * WIDTH + 11] = False
    free[11] = False
    free[3 * WIDTH + state.log_bone.numel() :] = False
    held = torch.zeros(1, len(state.values()), dtype=torch.float64)
    held[0, 3 * WIDTH] = 1e3  # one bone gives the scale
    people = replace(people, free=free, priors=Priors(held, held @ state.values()))
    noise = _noise(8)
    step = torch.zeros(_flat(state), dtype=torch.float64)
    step[free] = 0.01 * noise(int(free.sum()))
    start = stepped(state, step, 0.02 * noise(*state.xyz.shape))
    first, value, _ = minimise(start, people, tolerance=1e-12, max_steps=60)
    again, same, _ = minimise(start, people, tolerance=1e-12, max_steps=60)
    assert value == same and torch.equal(first.xyz, again.xyz)
    centers = first.cameras.centers_world - state.cameras.centers_world
    assert centers.norm(dim=-1).max() < 0.01
    assert (first.offset_s - state.offset_s).abs().max() < 0.002
    spread = covariance(first, people)
    assert torch.equal(spread[:6], torch.zeros_like(spread[:6])) and (spread.diagonal()[12:18] > 0).all()
