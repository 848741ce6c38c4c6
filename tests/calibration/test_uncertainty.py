"""What a calibration says of its own errors: whatever is held still, and whatever terms a lens gave up."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.checks.table import Footage, judge
from calibration.rig.bundle import BundleOptions, Problem, adjust, build
from calibration.rig.calibrate import RigOptions, calibrate_rig
from calibration.rig.schur import POSE
from calibration.rig.synthetic import FreeRun, carried_board, film_freely, look_at_board, ring_of_cameras
from tests.calibration.off_truth import off_by

BOARD = Board(columns=5, rows=7, square_m=0.1, marker_m=0.075)
AS_IT_IS = BundleOptions(rounds=1, max_iterations=0, turn_over=False)


@pytest.fixture(scope="module")
def problem() -> Problem:
    scene = look_at_board(ring_of_cameras(3), BOARD, carried_board(8.0, rate_hz=5.0), noise_px=0.3)
    return build(scene.views, BOARD, scene.cameras, dict(enumerate(scene.world_from_board)))


def holding(problem: Problem, row: int) -> Tensor:
    """(C, P, P) with that camera held still."""
    free = torch.ones(len(problem.cameras), dtype=torch.bool)
    free[row] = False
    return adjust(replace(problem, free_pose=free), AS_IT_IS).covariance


def test_it_does_not_matter_which_camera_holds_still(problem: Problem) -> None:
    first, last = holding(problem, 0), holding(problem, 2)
    std = first.diagonal(dim1=-2, dim2=-1).sqrt()
    torch.testing.assert_close(
        last / std[:, None] / std[..., None], first / std[:, None] / std[..., None], atol=1e-4, rtol=0
    )
    assert (std[:, :POSE] > 0).all(), "the camera that holds still is no better known than the others"


def test_terms_that_were_given_up_are_as_unknown_as_before(problem: Problem) -> None:
    given_up = problem.free_lens.clone()
    given_up[:, 4:] = False
    less = adjust(replace(problem, free_lens=given_up), AS_IT_IS)
    torch.testing.assert_close(less.covariance, adjust(problem, AS_IT_IS).covariance)
    known = adjust(replace(problem, free_lens=torch.zeros_like(given_up)), AS_IT_IS)
    assert (known.parameter_std[:, POSE:] == 0).all()
    assert (known.parameter_std[:, :POSE] < less.parameter_std[:, :POSE]).all()


def test_boards_in_the_middle_of_the_images_are_enough_and_errors_are_as_large_as_told() -> None:
    """Lenses that would fold outside gave up all terms here, and the cameras were 70 mm and 2 degrees off."""
    truth = ring_of_cameras()
    path = carried_board(20.0, rate_hz=100.0, reach_m=0.3, lean_rad=0.4)
    board = Board(columns=6, rows=8, square_m=0.1, marker_m=0.075)
    scene = film_freely(truth, board, path, 100.0, 8.0, FreeRun(), noise_px=0.5, seed=4)
    options = RigOptions(max_frames=400, halves=False, clocks=False)
    rig = calibrate_rig(scene.views, {}, board, size_px=scene.size_px, time_s=scene.time_s, options=options)
    off = off_by(rig.cameras, truth)
    assert float(off[:, :3].norm(dim=-1).max()) < 0.03
    part = off / rig.covariance.diagonal(dim1=-2, dim2=-1).sqrt()[:, :10]
    assert 0.5 < float((part.abs() < 1.0).double().mean()) < 0.95
    assert float((part.abs() < 3.0).double().mean()) > 0.95
    assert judge(rig, Footage(board, scene.views)).usable


def test_a_rig_that_hardly_anything_fixes_says_so_and_is_refused() -> None:
    """A small, far board that stays in the middle: places are decimetres off."""
    truth, board = ring_of_cameras(radius_m=4.5), Board(columns=4, rows=5, square_m=0.05, marker_m=0.035)
    path = carried_board(14.0, rate_hz=20.0, rest_s=0.5, reach_m=0.15, lean_rad=0.3)
    scene = film_freely(truth, board, path, 20.0, 4.0, FreeRun(), noise_px=0.5, seed=3)
    options = RigOptions(halves=False, clocks=False)
    rig = calibrate_rig(scene.views, {}, board, size_px=scene.size_px, time_s=scene.time_s, options=options)
    off = off_by(rig.cameras, truth)
    part = off / rig.covariance.diagonal(dim1=-2, dim2=-1).sqrt()[:, :10]
    assert float(off[:, :3].norm(dim=-1).max()) > 0.05
    assert float(part.abs().max()) < 5.0
    told = judge(rig, Footage(board, scene.views))
    assert not told.usable
    assert any("the focal length is known to" in reason for reason in told.reasons)
