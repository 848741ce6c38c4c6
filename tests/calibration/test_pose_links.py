"""Clocks of cameras that hardly see the board together, by where it was."""

from itertools import combinations

import pytest
import torch

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.rig.synthetic import BoardScene, FreeRun, carried_board, film_freely, ring_of_cameras
from calibration.timed.pose_links import pose_links

PATH_HZ, RATE_HZ = 100.0, 10.0
OFFSET_S = (0.0, 0.234, -0.187, 0.411)
REST_S = 1.0


@pytest.fixture(scope="module")
def scene() -> BoardScene:
    board = Board(columns=5, rows=7, square_m=0.1, marker_m=0.075)
    path = carried_board(12.0, rate_hz=PATH_HZ, rest_s=REST_S)
    run = FreeRun(offset_s=OFFSET_S, drift=(0.0, 4e-5, -3e-5, 6e-5))
    return film_freely(ring_of_cameras(), board, path, PATH_HZ, RATE_HZ, run)


def lags(scene: BoardScene, views: list[BoardView]) -> dict[tuple[str, str], float]:
    names = scene.cameras.names
    ideal = scene.cameras.with_poses(torch.eye(4, dtype=torch.float64).repeat(len(names), 1, 1))
    lenses = {name: ideal[[name]] for name in names}
    pairs = list(combinations(names, 2))
    links = pose_links(views, lenses, scene.board, 1.0 / RATE_HZ, 3.0, pairs)
    return {link.cameras: link.lag_s for link in links}


def rig_s(view: BoardView, scene: BoardScene) -> float:
    return view.time_s + OFFSET_S[scene.cameras.names.index(view.camera)]


def test_one_turn_before_all_cameras_is_enough(scene: BoardScene) -> None:
    found = lags(scene, [view for view in scene.views if rig_s(view, scene) < 6.5])
    own = dict(zip(scene.cameras.names, OFFSET_S, strict=True))
    assert len(found) > 2
    assert {name for pair in found for name in pair} == set(scene.cameras.names)
    for (first, second), lag_s in found.items():
        assert lag_s == pytest.approx(own[second] - own[first], abs=0.015)


def test_a_board_at_rest_tells_no_time(scene: BoardScene) -> None:
    assert lags(scene, [view for view in scene.views if rig_s(view, scene) > 12.1 - REST_S]) == {}


def test_clips_of_different_motions_are_not_linked(scene: BoardScene) -> None:
    other = film_freely(
        scene.cameras,
        scene.board,
        carried_board(24.0, rate_hz=PATH_HZ, reach_m=0.6)[1200:].flip(0),
        PATH_HZ,
        RATE_HZ,
        FreeRun(),
    )
    views = [view for view in scene.views if view.camera == "cam1"]
    found = lags(scene, views + [view for view in other.views if view.camera != "cam1"])
    assert not any("cam1" in pair for pair in found)
