"""Long shifts that the board's turning suggests, against what its poses say."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.rig.synthetic import BoardScene, carried_board, look_at_board, ring_of_cameras
from calibration.timed.shift_check import confirmed
from calibration.timed.turning import ClockLink

RATE_HZ = 5.0
STEP_S = 1.0 / RATE_HZ
LATE_S = 2.0


@pytest.fixture(scope="module")
def scene() -> BoardScene:
    board = Board(columns=5, rows=7, square_m=0.1, marker_m=0.075)
    path = carried_board(12.0, rate_hz=RATE_HZ)
    return look_at_board(ring_of_cameras(), board, path, rate_hz=RATE_HZ)


def late(views: Sequence[BoardView], camera: str) -> list[BoardView]:
    """The same footage, but this camera's clip began ``LATE_S`` later: its own times are smaller."""
    return [replace(view, time_s=view.time_s - LATE_S) if view.camera == camera else view for view in views]


def link(lag_s: float, *others: float) -> ClockLink:
    return ClockLink(("cam1", "cam2"), lag_s, 0.95, 0.5, 0.1, others)


def checked(scene: BoardScene, views: Sequence[BoardView], lag_s: float, *others: float) -> list[ClockLink]:
    lenses = scene.cameras.with_poses(torch.eye(4, dtype=torch.float64).repeat(4, 1, 1))
    return confirmed([link(lag_s, *others)], views, lenses, scene.board, STEP_S)


def test_clips_that_began_together_stay_together(scene: BoardScene) -> None:
    (kept,) = checked(scene, scene.views, LATE_S)
    assert kept.lag_s == 0.0
    assert kept.agreement > 0.8


def test_a_clip_that_began_later_is_shifted(scene: BoardScene) -> None:
    assert checked(scene, late(scene.views, "cam2"), LATE_S) == [replace(link(LATE_S), rival=0.0)]


def test_poses_choose_among_the_shifts_that_turning_allows(scene: BoardScene) -> None:
    (kept,) = checked(scene, late(scene.views, "cam2"), -LATE_S, 1.2, LATE_S, 3.0)
    assert kept.lag_s == pytest.approx(LATE_S, abs=0.6 * STEP_S)
    assert kept.agreement > 0.8
    assert kept.at_zero < 0.6


def test_neither_is_believed_where_neither_suits(scene: BoardScene) -> None:
    assert checked(scene, late(scene.views, "cam2"), -LATE_S) == []


def test_short_shifts_are_left_to_the_adjustment(scene: BoardScene) -> None:
    assert checked(scene, scene.views, 2 * STEP_S) == [link(2 * STEP_S)]
