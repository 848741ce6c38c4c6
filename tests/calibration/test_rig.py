"""The whole calibration on planted scenes, and what its checks say of planted faults."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import roma
import torch

from calibration import CalibrationError, Cameras
from calibration.board_search import suggest_board
from calibration.boards import Board, draw_board
from calibration.bundle import BundleOptions
from calibration.checks import judge
from calibration.detection import BoardView
from calibration.rig import RigCalibration, RigOptions, calibrate_rig, check_squares
from calibration.synthetic import BoardScene, carried_board, look_at_board, ring_of_cameras

BOARD = Board(columns=5, rows=7, square_m=0.1, marker_m=0.075)
QUICK = RigOptions(max_frames=30, bundle=BundleOptions(tolerance=1e-5, max_iterations=20))


def solve(scene: BoardScene, views: Sequence[BoardView] | None = None) -> RigCalibration:
    return calibrate_rig(
        scene.views if views is None else views,
        {},
        scene.board,
        size_px=scene.size_px,
        time_s=scene.time_s,
        options=QUICK,
    )


@pytest.fixture(scope="module")
def scene() -> BoardScene:
    return look_at_board(
        ring_of_cameras(), BOARD, carried_board(24.0, rate_hz=4.0), rate_hz=4.0, noise_px=0.2
    )


@pytest.fixture(scope="module")
def solved(scene: BoardScene) -> RigCalibration:
    return solve(scene)


def worst(found: Cameras, truth: Cameras) -> tuple[float, float]:
    """Millimetres and degrees, in the world of the board at rest: no alignment."""
    apart = (found.centers_world - truth.centers_world).norm(dim=-1).max()
    turn = roma.rotmat_geodesic_distance(found.cam_from_world[:, :3, :3], truth.cam_from_world[:, :3, :3])
    return float(apart) * 1e3, float(torch.rad2deg(turn).max())


def test_a_rig_is_calibrated_from_one_shared_clip(scene: BoardScene, solved: RigCalibration) -> None:
    mm, degrees = worst(solved.cameras, scene.cameras)
    assert mm < 20.0
    assert degrees < 0.4
    verdict = judge(solved)
    assert verdict.reasons == ()
    assert verdict.warnings == ()
    assert solved.held_out_rms_px == pytest.approx(0.2 * 2**0.5, rel=0.1)
    assert abs(solved.squares.bias_m) < 2e-4
    assert solved.squares.count > 100


def test_lens_clips_make_it_better(scene: BoardScene, solved: RigCalibration) -> None:
    lens_views: dict[str, list[BoardView]] = {}
    for name in scene.cameras.names:
        camera = scene.cameras[[name]]
        generator = torch.Generator().manual_seed(5)
        poses = torch.eye(4, dtype=torch.float64).repeat(80, 1, 1)
        tilt = 0.5 * torch.randn(80, 3, generator=generator, dtype=torch.float64)
        poses[:, :3, :3] = roma.rotvec_to_rotmat(tilt)
        spread = torch.rand(80, 3, generator=generator, dtype=torch.float64) - 0.5
        poses[:, :3, 3] = spread * torch.tensor([1.6, 0.9, 0.8]) + torch.tensor([-0.25, -0.35, 1.4])
        near = look_at_board(
            camera, BOARD, torch.linalg.inv(camera.cam_from_world[0]) @ poses, noise_px=0.2, seed=7
        )
        lens_views[name] = list(near.views)
    found = calibrate_rig(
        scene.views, lens_views, BOARD, size_px=scene.size_px, time_s=scene.time_s, options=QUICK
    )
    mm, degrees = worst(found.cameras, scene.cameras)
    assert found.own_lens_clip == set(scene.cameras.names)
    assert mm < worst(solved.cameras, scene.cameras)[0]
    assert degrees < 0.2


def test_the_same_views_give_the_same_bits(scene: BoardScene, solved: RigCalibration) -> None:
    assert torch.equal(solve(scene).cameras.cam_from_world, solved.cameras.cam_from_world)


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
        calibrate_rig(
            scene.of("cam1"), {}, BOARD, size_px={"cam1": (1280, 720)}, time_s=scene.time_s, options=QUICK
        )


def test_a_camera_without_the_board_is_named(scene: BoardScene) -> None:
    with pytest.raises(CalibrationError, match="cam4"):
        solve(scene, scene.of("cam1", "cam2", "cam3"))


# --- What is wrong with it ---


def moved_halfway(scene: BoardScene) -> list[BoardView]:
    """The third camera is kicked in the middle of the clip: everything it sees afterwards is 12 px off."""
    half = len(scene.world_from_board) // 2
    return [
        replace(view, xy_px=view.xy_px + 12.0) if view.camera == "cam3" and view.frame > half else view
        for view in scene.views
    ]


def late(scene: BoardScene) -> list[BoardView]:
    """The second camera is half a second late."""
    return [
        replace(view, frame=view.frame + 2) if view.camera == "cam2" else view
        for view in scene.views
        if view.frame + 2 < len(scene.world_from_board)
    ]


def few(scene: BoardScene) -> list[BoardView]:
    """Four shared frames."""
    frames = (3, 22, 41, 60)
    return [view for view in scene.views if view.frame in frames or view.camera == "cam1"] + [
        replace(view, frame=10_000 * int(view.camera[-1]) + view.frame)
        for view in scene.views
        if view.frame not in frames and view.camera != "cam1"
    ]


@pytest.mark.parametrize(
    ("fault", "word"),
    [(late, r"\d\d% of the corners that camera cam2"), (few, "only 4 frames")],
)
def test_a_planted_fault_is_not_trusted(
    scene: BoardScene, fault: Callable[[BoardScene], list[BoardView]], word: str
) -> None:
    views = fault(scene)
    times = {view.frame: view.frame / scene.rate_hz for view in views}
    found = calibrate_rig(views, {}, BOARD, size_px=scene.size_px, time_s=times, options=QUICK)
    reasons = " ".join(judge(found).reasons)
    assert re.search(word, reasons), reasons


def test_a_camera_that_moved_is_mentioned(scene: BoardScene) -> None:
    warnings = " ".join(judge(solve(scene, moved_halfway(scene))).warnings)
    assert "camera cam3 shares with others contradict them: it may have moved" in warnings


def test_a_skewed_lens_is_not_trusted(solved: RigCalibration) -> None:
    stretched = replace(solved.cameras, focal_px=solved.cameras.focal_px * torch.tensor([1.0, 1.05]))
    shifted = replace(solved.cameras, center_px=solved.cameras.center_px + torch.tensor([250.0, 0.0]))
    assert "from square" in " ".join(judge(replace(solved, cameras=stretched)).reasons)
    assert "off the middle" in " ".join(judge(replace(solved, cameras=shifted)).reasons)


def test_no_rest_is_a_warning(scene: BoardScene) -> None:
    moving = solve(scene, [view for view in scene.views if view.frame < 92])
    verdict = judge(moving)
    assert verdict.reasons == ()
    assert any("never lay still" in warning for warning in verdict.warnings)


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
