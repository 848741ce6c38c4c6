"""Planted truth: cameras come back from nothing but rendered, compressed board footage."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mocap.calibrate import calibrate
from mocap.settings import BoardSettings
from mocap.video import open_clip
from mocap.virtual.board_path import BoardSession
from mocap.virtual.rig import ring_of
from mocap.virtual.studio import Studio, demo_board

MAX_CENTER_MM = 10.0
MAX_ROTATION_DEG = 0.3


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(ring=ring_of(2), board=BoardSession(board=demo_board(), seconds=8.0, rate_hz=8.0))


def test_two_cameras_are_found_in_the_boards_own_frame(studio, tmp_path) -> None:
    clips = {}
    for camera in studio.cameras().names:
        list(studio.film_board(camera, tmp_path / f"{camera}.mp4"))
        clips[camera] = open_clip(tmp_path / f"{camera}.mp4")
    board = studio.board.board
    named = BoardSettings(square_m=board.square_m, marker_m=board.marker_m)
    found, summary = calibrate({}, clips, board=named)
    assert summary.usable, summary.reasons
    assert summary.rest_s > 0
    center_mm, rotation_deg = _errors(found[list(studio.cameras().names)], studio.cameras())
    assert center_mm.max() < MAX_CENTER_MM
    assert rotation_deg.max() < MAX_ROTATION_DEG


def test_the_measure_notices_a_camera_that_was_knocked(studio) -> None:
    knocked = replace(studio, faults=replace(studio.faults, knocked_deg={"cam2": 0.5}))
    center_mm, rotation_deg = _errors(knocked.take_cameras(), studio.cameras())
    np.testing.assert_allclose(center_mm, 0, atol=1e-6)
    np.testing.assert_allclose(rotation_deg, [0, 0.5], atol=1e-6)


def _errors(found, true) -> tuple[np.ndarray, np.ndarray]:
    """Distance of the centres, mm, and angle between the orientations, degrees; nothing is aligned."""
    center_mm = 1e3 * (found.centers_world - true.centers_world).norm(dim=-1).numpy()
    turn = found.cam_from_world[:, :3, :3] @ true.cam_from_world[:, :3, :3].transpose(-1, -2)
    return center_mm, np.degrees(Rotation.from_matrix(turn.numpy()).magnitude())
