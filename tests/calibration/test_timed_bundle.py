"""Adjustment with time: derivatives, elimination, clocks, shutters, frames that are late by themselves."""

from dataclasses import replace

import pytest
import roma
import torch
from torch import Tensor

from calibration import Cameras
from calibration.boards.board import Board
from calibration.rig.bundle import moved_poses
from calibration.rig.synthetic import FreeRun, carried_board, film_freely, ring_of_cameras
from calibration.timed.banded import ChainEquations, add_to_band, add_to_rows
from calibration.timed.bundle import adjust_timed
from calibration.timed.problem import LINE, OFFSET, TimedBundle, TimedProblem
from calibration.timed.slopes import Slopes, corner_errors, linearise_views, stack_views
from calibration.timed.start import near_shared, timed_problem

BOARD = Board(columns=5, rows=7, square_m=0.1, marker_m=0.075)
RATE_HZ = 8.0


def filmed(run: FreeRun, seconds: float = 12.0, noise_px: float = 0.15) -> TimedProblem:
    """Free-running cameras before a carried board, the problem started at true cameras and no clocks."""
    cameras = ring_of_cameras()
    path = carried_board(seconds, rate_hz=100.0, rest_s=0.0, lean_rad=0.3)
    scene = film_freely(cameras, BOARD, path, 100.0, RATE_HZ, run, noise_px=noise_px)
    views = [view for view in scene.views if len(view.ids) >= 6]
    boards = {frame: pose for frame, pose in enumerate(scene.world_from_board)}
    start = cameras.with_poses(cameras.cam_from_world)
    zero = dict.fromkeys(cameras.names, 0.0)
    problem = timed_problem(views, BOARD, start, boards, offset_s=zero, step_s=1 / RATE_HZ)
    return problem


@pytest.fixture(scope="module")
def run() -> FreeRun:
    return FreeRun(offset_s=(0.0, 0.03, -0.04, 0.055), line_delay_s=3e-5, jitter_s=0.004)


@pytest.fixture(scope="module")
def solved(run: FreeRun) -> TimedBundle:
    return adjust_timed(filmed(run))


def test_derivatives_are_those_of_autodiff(run: FreeRun) -> None:
    problem = filmed(run, seconds=3.0)
    state, views = problem.start, problem.views[1]
    assert len(views.own_s) > 3
    state = replace(state, clock=state.clock + torch.tensor([0.01, 1e-3, 2e-5]))
    [stack] = stack_views(problem.views)
    at = _of_camera(linearise_views(stack, state), 1, len(views.own_s))
    lens_width = 4 + state.cameras.distortion.shape[-1]

    def errors(camera: Tensor, control: Tensor, late: Tensor) -> Tensor:
        cameras = state.cameras
        grown = torch.zeros(len(cameras), 6 + lens_width + 3, dtype=torch.float64).index_add(
            0, torch.tensor([1]), camera[None]
        )
        moved = replace(
            cameras,
            cam_from_world=moved_poses(cameras.cam_from_world, grown[:, :6]),
            focal_px=cameras.focal_px + grown[:, 6:8],
            center_px=cameras.center_px + grown[:, 8:10],
            distortion=cameras.distortion + grown[:, 10:-3],
        )
        changed = replace(
            state,
            cameras=moved,
            motion=state.motion.stepped(control),
            clock=state.clock + grown[:, -3:],
            late_s=(state.late_s[0], late, *state.late_s[2:]),
        )
        return torch.where(at.valid[..., None], corner_errors(stack, changed)[1, : len(views.own_s)], 0.0)

    still = (
        torch.zeros(6 + lens_width + 3, dtype=torch.float64),
        torch.zeros(len(state.motion.place), 6, dtype=torch.float64),
        state.late_s[1].clone(),
    )
    camera, control, late = torch.autograd.functional.jacobian(errors, still)
    d_camera = torch.where(at.valid[..., None, None], at.d_camera, 0.0)
    scale = camera.abs().amax((0, 1, 2)).clamp(min=1.0)
    assert float(((d_camera - camera) / scale).abs().max()) < 1e-10
    ours = torch.zeros_like(control)
    for row, first in enumerate(at.interval.tolist()):
        ours[row, :, :, first : first + 4] = at.d_control[row].unflatten(-1, (4, 6))
    ours = torch.where(at.valid[..., None, None, None], ours, 0.0)
    assert float((ours - control).abs().max() / control.abs().max()) < 1e-10
    own = torch.diagonal(late, dim1=0, dim2=-1).movedim(-1, 0)
    d_late = torch.where(at.valid[..., None], at.d_late, 0.0)
    assert float((d_late - own).abs().max() / own.abs().max()) < 1e-10


def _of_camera(at: Slopes, camera: int, count: int) -> Slopes:
    """One camera's part of a stack, without padding."""
    return Slopes(*(value[camera, :count] for value in at))


def test_the_band_solves_the_whole_system() -> None:
    generator = torch.Generator().manual_seed(0)
    controls, width, views = 11, 7, 30
    interval = torch.randint(0, controls - 3, (views,), generator=generator)
    d_camera = torch.randn(views, 5, width, generator=generator, dtype=torch.float64)
    d_control = torch.randn(views, 5, 24, generator=generator, dtype=torch.float64)
    error = torch.randn(views, 5, 1, generator=generator, dtype=torch.float64)
    whole = torch.zeros(views, 5, width + 6 * controls, dtype=torch.float64)
    whole[..., :width] = d_camera
    for row, first in enumerate(interval.tolist()):
        whole[row, :, width + 6 * first : width + 6 * first + 24] = d_control[row]
    whole, residual = whole.flatten(0, 1), error.flatten()
    band = torch.zeros(controls, 4, 6, 6, dtype=torch.float64)
    coupling = torch.zeros(controls, 6, width, dtype=torch.float64)
    slope = torch.zeros(controls, 6, dtype=torch.float64)
    add_to_band(band, interval, d_control.mT @ d_control)
    add_to_rows(coupling, interval, d_control.mT @ d_camera)
    add_to_rows(slope, interval, (d_control.mT @ error)[..., 0])
    flat = d_camera.flatten(0, 1)
    chain = ChainEquations(flat.T @ flat, flat.T @ residual, band, slope, coupling)
    free = torch.ones(width, dtype=torch.bool)
    free[2] = False
    camera, control = chain.solve(0.1, free)
    keep = torch.cat([free, torch.ones(6 * controls, dtype=torch.bool)])
    hessian = (whole.T @ whole)[keep][:, keep]
    hessian = hessian + torch.diag(0.1 * hessian.diagonal() + 1e-12)
    expected = torch.linalg.solve(hessian, -(whole.T @ residual)[keep])
    torch.testing.assert_close(torch.cat([camera, control.flatten()])[keep], expected, rtol=1e-7, atol=1e-9)
    assert camera[2] == 0.0


def errors_of(found: Cameras, truth: Cameras) -> tuple[float, float]:
    """Largest error of a centre (mm) and a direction (degrees), the rigs laid on each other."""
    rotation, shift = roma.rigid_points_registration(found.centers_world, truth.centers_world)
    apart = (found.centers_world @ rotation.T + shift - truth.centers_world).norm(dim=-1).max()
    turned = found.cam_from_world[:, :3, :3] @ rotation.T
    turn = roma.rotmat_geodesic_distance(turned, truth.cam_from_world[:, :3, :3])
    return 1e3 * float(apart), float(torch.rad2deg(turn).max())


def test_clocks_and_shutters_are_recovered(run: FreeRun, solved: TimedBundle) -> None:
    offset_ms = 1e3 * (solved.state.clock[:, OFFSET] - torch.tensor(run.offset_s))
    assert float(offset_ms.abs().max()) < 4.0  # frames are 4 ms early or late: a hundred of them leave 1 ms
    line_us = 1e6 * solved.state.clock[:, LINE]
    assert float((line_us - 30.0).abs().max()) < 15.0
    assert 0.002 < solved.jitter_s < 0.008
    assert solved.rms_px() == pytest.approx(0.15 * 2**0.5, rel=0.15)


def test_late_frames_stay_and_wrong_corners_go(run: FreeRun) -> None:
    problem = filmed(run, seconds=6.0)
    views = problem.views[2]
    row = int(views.seen.sum(1).argmax())
    wrong, late = views.xy_px.clone(), views.own_s.clone()
    wrong[row, 0] += 30.0
    late[row + 2] += 0.05
    spoilt = replace(views, xy_px=wrong, own_s=late)
    found = adjust_timed(replace(problem, views=(*problem.views[:2], spoilt, problem.views[3])))
    assert not found.used[2][row, 0]
    assert found.used[2][row + 2][views.seen[row + 2]].double().mean() > 0.7
    assert float(found.state.late_s[2][row + 2]) == pytest.approx(-0.05, abs=0.03)  # shared with the path


def test_lonely_views_far_from_company_are_left_out(run: FreeRun) -> None:
    cameras = ring_of_cameras()
    scene = film_freely(cameras, BOARD, carried_board(4.0, rate_hz=100.0), 100.0, RATE_HZ, run, noise_px=0.1)
    views = list(scene.views)
    alone = [replace(views[0], frame=frame) for frame in range(1000, 1004)]
    kept = near_shared([*views, *alone])
    assert not {view.frame for view in kept} & set(range(1000, 1004))
    assert near_shared(alone) == alone
