"""The world: rests are found in the pixels, and the board at rest is origin and floor."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.rig.synthetic import BoardScene, carried_board, look_at_board, ring_of_cameras
from calibration.world import FLIP, World, find_rests, moved, to_world

BOARD = Board(columns=5, rows=7, square_m=0.1, marker_m=0.075)


@pytest.fixture(scope="module")
def scene() -> BoardScene:
    return look_at_board(ring_of_cameras(), BOARD, carried_board(8.0, rest_s=1.0), noise_px=0.2)


ELSEWHERE = torch.tensor(
    [[0.0, -1.0, 0.0, 3.0], [0.6, 0.0, -0.8, -2.0], [0.8, 0.0, 0.6, 1.0], [0.0, 0.0, 0.0, 1.0]],
    dtype=torch.float64,
)


def placed(scene: BoardScene, views: Sequence[BoardView] | None = None) -> World:
    return to_world(
        moved(scene.cameras, ELSEWHERE),
        scene.views if views is None else views,
        BOARD,
        size_px=scene.size_px,
        time_s=scene.time_s,
        fallback=ELSEWHERE @ scene.world_from_board[0],
    )


def test_the_rest_is_found_and_nothing_else(scene: BoardScene) -> None:
    rests = find_rests(scene.views, scene.size_px, scene.time_s)
    assert rests[0] == tuple(range(70, 80))
    assert len(rests) == 1


def test_the_board_at_rest_is_the_world(scene: BoardScene) -> None:
    world = placed(scene)
    assert world.rest is not None
    assert world.rest.on_floor
    assert world.rest.duration_s == pytest.approx(0.9)
    apart = (world.cameras.centers_world - scene.cameras.centers_world).norm(dim=-1)
    assert float(apart.max()) < 0.004
    torch.testing.assert_close(
        world.cameras.cam_from_world[:, :3, :3], scene.cameras.cam_from_world[:, :3, :3], atol=2e-3, rtol=0
    )


def test_world_axes_are_those_of_the_contract() -> None:
    """x along the board's columns, z out of the print, y = z cross x, right-handed, origin kept."""
    x, y, z = (FLIP[:3, :3] @ axis for axis in torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(x, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(z, torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64))
    torch.testing.assert_close(y, torch.linalg.cross(z, x))


def test_without_a_rest_the_given_board_is_the_world(scene: BoardScene) -> None:
    moving = [view for view in scene.views if view.frame < 70]
    world = placed(scene, moving)
    assert world.rest is None
    expected = FLIP @ torch.linalg.inv(scene.world_from_board[0]) @ torch.linalg.inv(ELSEWHERE)
    torch.testing.assert_close(world.world_from_rig, expected)


def test_a_pause_in_the_air_does_not_beat_the_floor() -> None:
    """The board is held upright for two seconds and lies on the floor for one."""
    poses = carried_board(8.0, rest_s=1.0)
    poses[20:40] = poses[20]
    scene = look_at_board(ring_of_cameras(), BOARD, poses, noise_px=0.2)
    rests = find_rests(scene.views, scene.size_px, scene.time_s)
    assert rests[0] == tuple(range(20, 40))
    world = placed(scene)
    assert world.rest is not None
    assert world.rest.frames == tuple(range(70, 80))
    assert world.rest.on_floor


def test_a_slow_drift_is_no_rest(scene: BoardScene) -> None:
    """Two millimetres from frame to frame add up."""
    poses = scene.world_from_board[70:80].repeat(3, 1, 1)
    poses[:, 0, 3] += 0.002 * torch.arange(30)
    drifting = look_at_board(scene.cameras, BOARD, poses, noise_px=0.1)
    rests = find_rests(drifting.views, drifting.size_px, drifting.time_s)
    assert all(len(rest) < 6 for rest in rests)


def test_a_camera_that_sees_motion_vetoes() -> None:
    scene = look_at_board(ring_of_cameras(), BOARD, carried_board(4.0, rest_s=2.0), noise_px=0.1)
    shaken = [
        replace(view, xy_px=view.xy_px + 3.0 * (view.frame % 2)) if view.camera == "cam2" else view
        for view in scene.views
    ]
    assert find_rests(scene.views, scene.size_px, scene.time_s) != []
    assert find_rests(shaken, scene.size_px, scene.time_s) == []
