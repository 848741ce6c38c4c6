"""First poses: agreement of many frames, the mirrored pose of a plane, cameras that share nothing."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import roma
import torch

from calibration import CalibrationError, Cameras
from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.boards.selection import choose_frames, shared_frames
from calibration.pnp import planar_poses
from calibration.rig.extrinsics import first_poses, fit_boards
from calibration.rig.synthetic import BoardScene, carried_board, look_at_board, ring_of_cameras

BOARD = Board(columns=5, rows=7, square_m=0.1, marker_m=0.075)


def lenses(cameras: Cameras) -> Cameras:
    """The same lenses at unknown places."""
    return cameras.with_poses(torch.eye(4, dtype=torch.float64).repeat(len(cameras), 1, 1))


def against(found: Cameras, truth: Cameras) -> tuple[float, float]:
    """Largest error of the cameras' places (m) and turns (degrees) as the first camera sees the others."""
    ours, theirs = (c.cam_from_world @ torch.linalg.inv(c.cam_from_world[0]) for c in (found, truth))
    turn = roma.rotmat_geodesic_distance(ours[:, :3, :3], theirs[:, :3, :3])
    centers = [-(pose[:, :3, :3].mT @ pose[:, :3, 3:])[..., 0] for pose in (ours, theirs)]
    return float((centers[0] - centers[1]).norm(dim=-1).max()), float(torch.rad2deg(turn).max())


@pytest.fixture(scope="module")
def scene() -> BoardScene:
    return look_at_board(ring_of_cameras(), BOARD, carried_board(15.0), noise_px=0.3)


def test_one_view_allows_two_poses_and_the_truth_is_one(scene: BoardScene) -> None:
    camera = scene.cameras[["cam1"]]
    views = [view for view in scene.of("cam1") if len(view.ids) > 12]
    for view, poses in zip(views, planar_poses(views, camera, BOARD), strict=True):
        truth = camera.cam_from_world[0] @ scene.world_from_board[view.frame]
        gaps = [float(roma.rotmat_geodesic_distance(p.cam_from_board[:3, :3], truth[:3, :3])) for p in poses]
        assert min(gaps) < 0.15
        assert poses[0].error_px <= poses[-1].error_px


def test_cameras_are_placed(scene: BoardScene) -> None:
    start = first_poses(scene.views, BOARD, lenses(scene.cameras))
    metres, degrees = against(start.cameras, scene.cameras)
    assert metres < 0.15
    assert degrees < 1.5
    assert min(pair.agreement for pair in start.pairs) > 0.8
    assert set(start.world_from_board) == set(shared_frames(scene.views))


def test_mirrored_poses_are_outvoted() -> None:
    """A small far board: the better fitting of the two poses is the wrong one in many views."""
    cameras, board = ring_of_cameras(), Board(columns=4, rows=5, square_m=0.06, marker_m=0.045)
    small = look_at_board(cameras, board, carried_board(20.0), noise_px=0.6)
    wrong = total = 0
    for name in cameras.names:
        camera = cameras[[name]]
        views = [view for view in small.of(name) if len(view.ids) >= 6]
        for view, poses in zip(views, planar_poses(views, camera, board), strict=True):
            truth = (camera.cam_from_world[0] @ small.world_from_board[view.frame])[:3, :3]
            gaps = [float(roma.rotmat_geodesic_distance(p.cam_from_board[:3, :3], truth)) for p in poses]
            wrong += len(gaps) == 2 and gaps[0] > gaps[1]
            total += 1
    assert wrong > 0.1 * total, "the scene must be ambiguous to prove anything"
    start = first_poses(small.views, board, lenses(cameras))
    metres, degrees = against(start.cameras, cameras)
    assert metres < 0.4
    assert degrees < 6.0
    turns = [
        roma.rotmat_geodesic_distance(
            (start.cameras.cam_from_world[0] @ pose)[:3, :3],
            (cameras.cam_from_world[0] @ small.world_from_board[frame])[:3, :3],
        )
        for frame, pose in start.world_from_board.items()
    ]
    assert float(torch.stack(turns).median()) < np.deg2rad(8.0)


def test_a_camera_that_shares_nothing_is_named(scene: BoardScene) -> None:
    views = [replace(v, frame=v.frame + 10_000) if v.camera == "cam3" else v for v in scene.views]
    with pytest.raises(CalibrationError, match="camera cam3 and the others never see the board"):
        first_poses(views, BOARD, lenses(scene.cameras))


def test_no_shared_view_at_all_says_so(scene: BoardScene) -> None:
    views = [replace(v, frame=v.frame + 10_000 * int(v.camera[-1])) for v in scene.views]
    with pytest.raises(CalibrationError, match="no two cameras"):
        first_poses(views, BOARD, lenses(scene.cameras))


def test_cameras_that_meet_only_through_others_are_placed(scene: BoardScene) -> None:
    """cam1 and cam3 never together: the chain goes over cam2 or cam4."""
    absent = {"cam3": 1, "cam1": 0}
    apart = [view for view in scene.views if absent.get(view.camera, -1) != view.frame % 2]
    start = first_poses(apart, BOARD, lenses(scene.cameras))
    assert ("cam1", "cam3") not in [pair.cameras for pair in start.pairs]
    assert against(start.cameras, scene.cameras)[1] < 2.5


def test_a_camera_a_second_late_shows_in_the_agreement() -> None:
    late = look_at_board(ring_of_cameras(), BOARD, carried_board(15.0), late_s=(0.0, 1.0, 0.0, 0.0))
    start = first_poses(late.views, BOARD, lenses(late.cameras))
    bad = [pair.agreement for pair in start.pairs if "cam2" in pair.cameras]
    good = [pair.agreement for pair in start.pairs if "cam2" not in pair.cameras]
    assert max(bad) < 0.5
    assert min(good) > 0.8


def test_boards_are_fitted_before_known_cameras(scene: BoardScene) -> None:
    fitted = fit_boards(scene.cameras, scene.views, BOARD)
    assert fitted is not None
    truth = scene.world_from_board[list(fitted.frames)]
    shift = (fitted.world_from_board[:, :3, 3] - truth[:, :3, 3]).norm(dim=-1)
    assert float(shift.median()) < 0.004
    torch.testing.assert_close(fitted.cameras.cam_from_world, scene.cameras.cam_from_world)
    assert fit_boards(scene.cameras, [], BOARD) is None


def test_chosen_frames_link_every_pair(scene: BoardScene) -> None:
    chosen = choose_frames(scene.views, scene.size_px, 25)
    assert 20 <= len(chosen) == len(set(chosen)) <= 25  # whole windows of neighbours
    assert chosen == sorted(chosen)
    some = [view for view in scene.views if view.frame in chosen]
    assert _linked(some) == _linked(scene.views)


def _linked(views: Sequence[BoardView]) -> set[tuple[str, ...]]:
    """Pairs of cameras that see the board together."""
    names = [sorted(view.camera for view in some) for some in shared_frames(views).values()]
    return {pair for group in names for pair in combinations(group, 2)}
