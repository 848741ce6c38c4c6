"""Bundle adjustment: derivatives, recovery of planted rigs, outliers, gauge, priors."""

from dataclasses import replace

import pytest
import roma
import torch
from torch import Tensor

from calibration import Cameras
from calibration.boards.board import Board
from calibration.lenses.prior import LensPrior, prior_rows
from calibration.rig.bundle import Bundle, BundleOptions, Problem, adjust, build, linearise
from calibration.rig.observations import collect
from calibration.rig.schur import POSE, Linearised, normal_equations
from calibration.rig.synthetic import BoardScene, carried_board, look_at_board, ring_of_cameras

BOARD = Board(columns=5, rows=7, square_m=0.1, marker_m=0.075)


@pytest.fixture(scope="module")
def scene() -> BoardScene:
    return look_at_board(ring_of_cameras(), BOARD, carried_board(14.0), noise_px=0.3)


def disturbed(scene: BoardScene, shift_m: float = 0.05, turn: float = 0.03, focal: float = 1.02) -> Problem:
    """The scene's problem, started off the truth (the first camera's pose is the gauge and stays)."""
    generator = torch.Generator().manual_seed(1)

    def off(poses: Tensor) -> Tensor:
        moved = poses.clone()
        noise = torch.randn(len(poses), 6, generator=generator, dtype=torch.float64)
        moved[:, :3, :3] = roma.rotvec_to_rotmat(turn * noise[:, 3:]) @ moved[:, :3, :3]
        moved[:, :3, 3] += shift_m * noise[:, :3]
        return moved

    cameras = scene.cameras
    poses = off(cameras.cam_from_world)
    poses[0] = cameras.cam_from_world[0]
    start = replace(
        cameras,
        cam_from_world=poses,
        focal_px=cameras.focal_px * focal,
        distortion=torch.zeros_like(cameras.distortion),
    )
    boards = dict(enumerate(off(scene.world_from_board)))
    views = [view for view in scene.views if len(view.ids) >= 6]
    return build(views, scene.board, start, boards)


def errors(found: Bundle, truth: Cameras) -> tuple[float, float]:
    """Largest error of a camera's place (mm) and direction (degrees) after laying the rigs on each other.

    The gauge is one camera's lens axis: a tenth of a degree there is centimetres on the other side.
    """
    ours = found.cameras
    rotation, shift = roma.rigid_points_registration(ours.centers_world, truth.centers_world)
    apart = (ours.centers_world @ rotation.T + shift - truth.centers_world).norm(dim=-1).max()
    turned = ours.cam_from_world[:, :3, :3] @ rotation.T
    turn = roma.rotmat_geodesic_distance(turned, truth.cam_from_world[:, :3, :3])
    return float(apart) * 1e3, float(torch.rad2deg(turn).max())


def test_derivatives_are_those_of_autodiff(scene: BoardScene) -> None:
    cameras, boards = scene.cameras, scene.world_from_board
    seen = collect(scene.views, BOARD, cameras.names)
    boards = boards[list(seen.frames)]

    def errors_at(camera: Tensor, board: Tensor) -> Tensor:
        moved = replace(
            cameras,
            cam_from_world=_exp(camera[:, :POSE]) @ cameras.cam_from_world,
            focal_px=cameras.focal_px + camera[:, 6:8],
            center_px=cameras.center_px + camera[:, 8:10],
            distortion=cameras.distortion + camera[:, 10:],
        )
        poses = (_exp(board) @ boards)[seen.pose]
        xyz = (poses[..., :3, :3] @ seen.xyz_board[..., None])[..., 0] + poses[..., :3, 3]
        xy = moved.project_each(xyz)[0]
        return torch.where(seen.seen[..., None], xy, 0.0)

    at = linearise(cameras, boards, seen)
    worst = _worst_column(errors_at, at, seen.pose)
    assert worst[1] < 1e-8, f"column {worst[0]} of the Jacobian is off by {worst[1]:.1e} of its size"
    broken = replace(at, d_board=at.d_board * torch.tensor([1, 1, 1, 1, -1, 1.0]))
    assert _worst_column(errors_at, broken, seen.pose)[0] == "board 4"


def _exp(tangent: Tensor) -> Tensor:
    """(..., 4, 4) exp([rho, phi])."""
    rho, phi = tangent[..., :3], tangent[..., 3:]
    matrix = torch.zeros(*tangent.shape[:-1], 4, 4, dtype=torch.float64)
    zero = torch.zeros_like(phi[..., 0])
    x, y, z = phi.unbind(-1)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    matrix = torch.nn.functional.pad(torch.cat([skew, rho[..., None]], -1), (0, 0, 0, 1))
    return torch.linalg.matrix_exp(matrix)


def _worst_column(function: object, at: Linearised, pose: Tensor) -> tuple[str, float]:
    """The parameter whose directional derivative differs most from forward-mode autodiff."""
    cameras, width = at.d_camera.shape[0], at.d_camera.shape[-1]
    boards = int(pose.max()) + 1
    base = (torch.zeros(cameras, width, dtype=torch.float64), torch.zeros(boards, 6, dtype=torch.float64))
    worst = ("none", 0.0)
    for column in range(width + 6):
        tangent = [torch.zeros_like(value) for value in base]
        tangent[column >= width][:, column - width * (column >= width)] = 1.0
        _, expected = torch.autograd.functional.jvp(function, base, tuple(tangent))
        ours = at.d_camera[..., column] if column < width else at.d_board[..., column - width]
        gap = float((ours - expected)[at.valid].abs().max() / expected.abs().max())
        name = f"camera {column}" if column < width else f"board {column - width}"
        worst = max(worst, (name, gap), key=lambda pair: pair[1])
    return worst


def test_the_schur_complement_solves_the_whole_system(scene: BoardScene) -> None:
    some = tuple(view for view in scene.views if view.frame < 12)
    few = replace(scene, views=some, world_from_board=scene.world_from_board[:12])
    problem = disturbed(few)
    at = linearise(problem.cameras, problem.world_from_board, problem.observations)
    weight = torch.where(at.valid, 1.0, 0.0).double()
    pose = problem.observations.pose
    boards = len(problem.world_from_board)
    system = normal_equations(at, weight, problem.observations.rows, boards)
    free = torch.ones(len(problem.cameras) * at.d_camera.shape[-1], dtype=torch.bool)
    free[:POSE] = False
    camera, board = system.solve(0.01, free)
    dense, residual = _dense(at, pose, boards)
    keep = torch.cat([free, torch.ones(boards * 6, dtype=torch.bool)])
    hessian = (dense.T @ dense)[keep][:, keep]
    hessian += torch.diag(0.01 * hessian.diagonal() + 1e-12)
    expected = torch.linalg.solve(hessian, -(dense.T @ residual)[keep])
    ours = torch.cat([camera, board.flatten()])[keep]
    assert float((ours - expected).abs().max() / expected.abs().max()) < 1e-6
    assert camera[:POSE].abs().max() == 0


def _dense(at: Linearised, pose: Tensor, boards: int) -> tuple[Tensor, Tensor]:
    """The whole Jacobian, camera parameters before those of the boards, and the residual."""
    cameras, corners, _, width = at.d_camera.shape
    jacobian = torch.zeros(cameras, corners, 2, cameras * width + boards * 6, dtype=torch.float64)
    for c in range(cameras):
        jacobian[c, :, :, c * width : (c + 1) * width] = at.d_camera[c]
        for n in range(corners):
            start = cameras * width + int(pose[c, n]) * 6
            jacobian[c, n, :, start : start + 6] = at.d_board[c, n]
    jacobian = jacobian * at.valid[..., None, None]
    return jacobian.flatten(0, 2), at.error_px.flatten()


def test_a_planted_rig_is_recovered(scene: BoardScene) -> None:
    found = adjust(disturbed(scene))
    mm, degrees = errors(found, scene.cameras)
    assert found.converged
    assert mm < 25.0  # lenses from 14 s of shared footage; known lenses: next test
    assert degrees < 0.8  # a pixel of the image centre is 0.06 degrees
    assert found.rms_px() == pytest.approx(0.3 * 2**0.5, rel=0.05)
    assert found.noise.common < 0.05


def test_known_lenses_give_millimetres(scene: BoardScene) -> None:
    problem = disturbed(scene, focal=1.0)
    problem = replace(
        problem,
        cameras=replace(problem.cameras, distortion=scene.cameras.distortion),
        free_lens=torch.zeros_like(problem.free_lens),
    )
    mm, degrees = errors(adjust(problem), scene.cameras)
    assert mm < 2.0
    assert degrees < 0.05


def test_without_noise_the_truth_is_a_fixed_point(scene: BoardScene) -> None:
    clean = look_at_board(scene.cameras, BOARD, scene.world_from_board, noise_px=0.0)
    weak = BundleOptions(
        prior=LensPrior(1e3, 1e3, 1e3, (1e3, 1e3, 1e3), 1e3, edge=1e3), tolerance=1e-14, least=0.0
    )
    found = adjust(disturbed(clean), weak)
    mm, degrees = errors(found, scene.cameras)
    assert mm < 0.05
    assert degrees < 2e-3


def test_outliers_are_dropped_and_nothing_else(scene: BoardScene) -> None:
    problem = disturbed(scene)
    generator = torch.Generator().manual_seed(3)
    seen = problem.observations
    wrong = seen.seen & (torch.rand(seen.seen.shape, generator=generator) < 0.05)
    away = 30.0 * torch.randn(*seen.xy_px.shape, generator=generator, dtype=torch.float64)
    spoilt = replace(problem, observations=replace(seen, xy_px=seen.xy_px + away * wrong[..., None]))
    found = adjust(spoilt)
    mm, _ = errors(found, scene.cameras)
    assert mm < 25.0
    far = wrong & (away.norm(dim=-1) > 5.0)
    assert not (found.used & far).any()
    assert (found.used & ~wrong).sum() > 0.98 * (seen.seen & ~wrong).sum()
    least_squares = adjust(spoilt, BundleOptions(huber_sigmas=1e6, reject_sigmas=1e6))
    assert errors(least_squares, scene.cameras)[0] > 2.0 * mm


def test_moving_the_whole_scene_moves_the_answer_with_it(scene: BoardScene) -> None:
    problem = disturbed(scene)
    world_from_old = _exp(torch.tensor([[1.0, -2.0, 0.5, 0.4, 0.9, -0.3]], dtype=torch.float64))[0]
    back = torch.linalg.inv(world_from_old)
    elsewhere = replace(
        problem,
        cameras=problem.cameras.with_poses(problem.cameras.cam_from_world @ back),
        world_from_board=world_from_old @ problem.world_from_board,
    )
    exact = BundleOptions(tolerance=1e-10, least=0.0)
    here, there = adjust(problem, exact), adjust(elsewhere, exact)
    torch.testing.assert_close(
        there.cameras.cam_from_world @ world_from_old, here.cameras.cam_from_world, atol=2e-5, rtol=0
    )
    assert there.rms_px() == pytest.approx(here.rms_px(), rel=1e-4)


def test_the_first_camera_stays(scene: BoardScene) -> None:
    found = adjust(disturbed(scene))
    torch.testing.assert_close(found.cameras.cam_from_world[0], scene.cameras.cam_from_world[0])


def test_the_same_input_gives_the_same_bits(scene: BoardScene) -> None:
    one, two = (adjust(disturbed(scene)).cameras for _ in range(2))
    assert torch.equal(one.cam_from_world, two.cam_from_world)
    assert torch.equal(one.distortion, two.distortion)


def test_noise_common_to_views_is_noticed() -> None:
    late = look_at_board(
        ring_of_cameras(), BOARD, carried_board(14.0), noise_px=0.2, late_s=(0.0, 0.04, -0.03, 0.02)
    )
    in_step = look_at_board(ring_of_cameras(), BOARD, carried_board(14.0), noise_px=0.2)
    assert adjust(disturbed(late)).noise.common > 0.3
    assert adjust(disturbed(in_step)).noise.common < 0.05


def test_the_prior_is_nothing_for_an_ideal_lens_and_one_at_one_deviation() -> None:
    ideal = ring_of_cameras(distorted=False)
    ideal = replace(
        ideal, focal_px=ideal.focal_px[:, :1].expand(-1, 2), center_px=(ideal.size_px - 1.0) / 2.0
    )
    prior = LensPrior(edge=1e9)
    rows, target = prior_rows(ideal, prior)
    lens = torch.cat([ideal.focal_px, ideal.center_px, ideal.distortion], -1)
    residual = (rows @ lens[..., None])[..., 0] - target
    torch.testing.assert_close(residual, torch.zeros_like(residual), atol=1e-12, rtol=0)
    for column, step in ((2, prior.center * 1280.0), (4, prior.radial[0]), (6, prior.tangential)):
        moved = lens.clone()
        moved[:, column] += step
        squares = ((rows @ moved[..., None])[..., 0] - target).square().sum(-1)
        torch.testing.assert_close(squares, torch.ones_like(squares))
    moved = lens.clone()
    moved[:, 0] += prior.aspect * ideal.focal_px[:, 0]
    squares = ((rows @ moved[..., None])[..., 0] - target).square().sum(-1)
    torch.testing.assert_close(squares, torch.ones_like(squares), atol=1e-3, rtol=0)
