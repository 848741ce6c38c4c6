"""The whole calibration on planted scenes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import roma
import torch

from calibration import CalibrationError, Cameras
from calibration.boards.board import Board, draw_board
from calibration.boards.detection import BoardView
from calibration.boards.search import suggest_board
from calibration.checks.table import judge
from calibration.rig.bundle import BundleOptions
from calibration.rig.calibrate import RigCalibration, RigOptions, calibrate_rig, check_squares
from calibration.rig.synthetic import (
    BoardScene,
    FreeRun,
    carried_board,
    film_freely,
    look_at_board,
    ring_of_cameras,
)
from calibration.timed.association import Shift

BOARD = Board(columns=5, rows=7, square_m=0.1, marker_m=0.075)
BUNDLE = BundleOptions(tolerance=1e-5, max_iterations=20)
QUICK = RigOptions(max_frames=48, bundle=BUNDLE, choose_lens=False, halves=False)
IN_STEP = replace(QUICK, max_frames=30, clocks=False)
RATE_HZ = 5.0


def solve(
    scene: BoardScene, views: Sequence[BoardView] | None = None, options: RigOptions = QUICK
) -> RigCalibration:
    seen = scene.views if views is None else views
    return calibrate_rig(seen, {}, scene.board, size_px=scene.size_px, options=options)


@pytest.fixture(scope="module")
def scene() -> BoardScene:
    """Cameras in step, as if triggered together."""
    return film_freely(
        ring_of_cameras(),
        BOARD,
        carried_board(14.0, rate_hz=50.0),
        50.0,
        RATE_HZ,
        FreeRun(),
        noise_px=0.2,
    )


@pytest.fixture(scope="module")
def solved(scene: BoardScene) -> RigCalibration:
    return solve(scene, options=replace(QUICK, max_frames=96, halves=True))


@pytest.fixture(scope="module")
def in_step(scene: BoardScene) -> RigCalibration:
    return solve(scene, options=replace(IN_STEP, max_frames=96, halves=True))


def worst(found: Cameras, truth: Cameras) -> tuple[float, float]:
    """Millimetres and degrees, the rigs laid on each other."""
    rotation, shift = roma.rigid_points_registration(found.centers_world, truth.centers_world)
    apart = (found.centers_world @ rotation.T + shift - truth.centers_world).norm(dim=-1).max()
    turned = found.cam_from_world[:, :3, :3] @ rotation.T
    turn = roma.rotmat_geodesic_distance(turned, truth.cam_from_world[:, :3, :3])
    return float(apart) * 1e3, float(torch.rad2deg(turn).max())


def test_cameras_in_step_do_not_suffer_from_clocks(
    scene: BoardScene, solved: RigCalibration, in_step: RigCalibration
) -> None:
    mm, degrees = worst(solved.cameras, scene.cameras)
    still_mm, still_degrees = worst(in_step.cameras, scene.cameras)
    assert mm < max(6.0, 1.3 * still_mm)
    assert degrees < max(0.15, 1.3 * still_degrees)
    for clock in solved.clocks.values():
        assert abs(clock.offset_s) < max(3.0 * clock.std_s, 1e-3)
    assert all(clock.offset_s == 0.0 for clock in in_step.clocks.values())
    assert judge(solved).reasons == ()


def test_halves_judge_each_other(solved: RigCalibration, in_step: RigCalibration) -> None:
    held, twice = solved.held_out, solved.repeatability
    assert held is not None
    assert twice is not None
    assert 0.2 < held.rigid_px < 0.45  # 0.2 px in each coordinate is 0.28
    assert 0.1 < held.free_px < held.rigid_px
    assert abs(held.square_bias_m) < 3e-4
    assert solved.squares.count == held.squares > 100
    assert twice.points_m < 4e-3
    assert in_step.held_out is None
    assert in_step.held_out_rms_px == pytest.approx(0.2 * 2**0.5, rel=0.15)


def test_what_the_report_needs_is_there(scene: BoardScene, solved: RigCalibration) -> None:
    assert set(solved.residuals) == set(scene.cameras.names)
    some = solved.residuals["cam2"]
    error = some.error_px[some.used]
    assert float(error.square().sum(-1).mean().sqrt()) == pytest.approx(0.28, rel=0.2)
    assert len(solved.path.time_s) == len(solved.path.world_from_board) == len(solved.frames)
    assert (solved.path.time_s.diff() > 0).all()
    width = 6 + 4 + solved.cameras.distortion.shape[-1]
    assert solved.covariance.shape == (4, width, width)
    assert (solved.covariance.diagonal(dim1=-2, dim2=-1)[1:, :8] > 0).all()


def test_clips_that_started_at_other_times_are_put_right(scene: BoardScene) -> None:
    late = {"cam2": 0.6, "cam4": -0.83}
    views = [replace(v, frame=0, time_s=v.time_s - late.get(v.camera, 0.0)) for v in scene.views]
    found = solve(scene, views)
    for name, clock in found.clocks.items():
        assert clock.offset_s == pytest.approx(late.get(name, 0.0), abs=3e-3)
    assert worst(found.cameras, scene.cameras)[0] < 15.0  # 14 s without lens clips


def test_a_shift_that_was_taken_for_the_next_frames_is_put_right(
    scene: BoardScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boards put together from two instants are a bad start: the clock that comes out makes a good one."""
    wrong = {name: Shift(1.2 / RATE_HZ if name == "cam3" else 0.0, 0.9, 0.9) for name in scene.cameras.names}
    monkeypatch.setattr("calibration.rig.calibrate._shifts", lambda *_: wrong)
    found = solve(scene)
    for clock in found.clocks.values():
        assert clock.offset_s == pytest.approx(0.0, abs=3e-3)
        assert abs(clock.shift_s) < 0.5 / RATE_HZ
    assert worst(found.cameras, scene.cameras)[0] < 15.0


def test_lens_clips_make_it_better(scene: BoardScene) -> None:
    lens_views: dict[str, list[BoardView]] = {}
    for name in scene.cameras.names:
        camera = scene.cameras[[name]]
        generator = torch.Generator().manual_seed(5)
        poses = torch.eye(4, dtype=torch.float64).repeat(40, 1, 1)
        tilt = 0.5 * torch.randn(40, 3, generator=generator, dtype=torch.float64)
        poses[:, :3, :3] = roma.rotvec_to_rotmat(tilt)
        spread = torch.rand(40, 3, generator=generator, dtype=torch.float64) - 0.5
        poses[:, :3, 3] = spread * torch.tensor([1.6, 0.9, 0.8]) + torch.tensor([-0.25, -0.35, 1.4])
        near = look_at_board(
            camera, BOARD, torch.linalg.inv(camera.cam_from_world[0]) @ poses, noise_px=0.2, seed=7
        )
        lens_views[name] = list(near.views)
    some = [view for view in scene.views if view.frame < 30]
    without = calibrate_rig(some, {}, BOARD, size_px=scene.size_px, options=QUICK)
    found = calibrate_rig(some, lens_views, BOARD, size_px=scene.size_px, options=QUICK)
    assert found.own_lens_clip == set(scene.cameras.names)
    focal = scene.cameras.focal_px[:, 0]
    off, off_without = ((rig.cameras.focal_px[:, 0] - focal).abs().max() for rig in (found, without))
    assert off < off_without
    assert off < 3.5
    assert found.focal_std_px("cam1") < without.focal_std_px("cam1")


def test_the_same_views_give_the_same_bits(scene: BoardScene) -> None:
    few = [view for view in scene.views if view.frame < 30]
    one, two = (solve(scene, few).cameras.cam_from_world for _ in range(2))
    assert torch.equal(one, two)


def test_squares_measure_the_scale(scene: BoardScene) -> None:
    """Cameras whose world is 2 % too large measure squares that are 2 mm too long."""
    larger = scene.cameras.cam_from_world.clone()
    larger[:, :3, 3] *= 1.02
    right = check_squares(scene.cameras, scene.views, BOARD)
    wrong = check_squares(scene.cameras.with_poses(larger), scene.views, BOARD)
    assert abs(right.bias_m) < 1e-4
    assert wrong.bias_m == pytest.approx(0.002, abs=1e-4)


def test_one_camera_is_refused(scene: BoardScene) -> None:
    with pytest.raises(CalibrationError, match="two at least"):
        calibrate_rig(scene.of("cam1"), {}, BOARD, size_px={"cam1": (1280, 720)}, options=QUICK)


@pytest.mark.parametrize("options", [QUICK, IN_STEP])
def test_a_camera_without_the_board_is_named(scene: BoardScene, options: RigOptions) -> None:
    with pytest.raises(CalibrationError, match="cam4"):
        solve(scene, scene.of("cam1", "cam2", "cam3"), options)


@pytest.mark.parametrize(
    "described",
    [
        {"inverted": True},
        {"columns": 7, "rows": 5},
        {"columns": 6, "rows": 7},
        {"dictionary": "DICT_6X6_50"},
    ],
)
def test_the_board_in_the_images_is_suggested(described: dict[str, object]) -> None:
    board = Board(columns=5, rows=7, square_m=0.04, marker_m=0.03)
    images = [draw_board(board, 1500.0, 0.03)]
    assert suggest_board(images, replace(board, **described)) == replace(board)
    assert suggest_board(images, board) is None
