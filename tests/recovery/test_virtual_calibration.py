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
from mocap.virtual.studio import Faults, Studio, demo_board

MAX_CENTER_MM = 10.0
MAX_ROTATION_DEG = 0.3


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(ring=ring_of(2), board=BoardSession(board=demo_board(), seconds=12.0, rate_hz=8.0))


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


@pytest.mark.slow
def test_free_running_cameras_are_found_from_their_clips_alone(tmp_path) -> None:
    """Clips that start up to 0.6 s apart and drift, blurred by motion; lenses and clocks unknown."""
    names = ("cam1", "cam2", "cam3", "cam4")
    studio = Studio(
        ring=ring_of(4, seed=21),
        board=BoardSession(board=demo_board(), seconds=32.0, seed=21),
        faults=Faults(
            board_late_s=dict(zip(names, (0.0, 0.31, 0.12, -0.27), strict=True)),
            drift_ppm=dict(zip(names, (0.0, 70.0, -20.0, -45.0), strict=True)),
        ),
        exposure_s=0.008,
        seed=21,
    )
    clips = {}
    for camera in names:
        list(studio.film_board(camera, tmp_path / f"{camera}.mp4"))
        clips[camera] = open_clip(tmp_path / f"{camera}.mp4")
    board = studio.board.board
    named = BoardSettings(square_m=board.square_m, marker_m=board.marker_m)
    found, summary = calibrate({}, clips, board=named)
    center_mm, rotation_deg = _errors(found[list(names)], studio.cameras())
    offset_ms = [abs(_offset_error_ms(summary.cameras[name].clock, studio, name)) for name in names]
    print(f"{center_mm.max():.2f} mm, {rotation_deg.max():.3f} degrees, {max(offset_ms):.2f} ms")  # noqa: T201
    assert center_mm.max() < 3.0
    assert rotation_deg.max() < 0.1
    assert max(offset_ms) < 2.0


def _offset_error_ms(clock, studio: Studio, name: str) -> float:
    """How far a camera's clock is off in the middle of its clip; the first camera's is the rig's."""
    late_s, drift = studio.faults.board_late_s[name], 1e-6 * studio.faults.drift_ppm[name]
    true_s = late_s + (1 + drift) * clock.middle_s
    return 1e3 * (clock.rig_time_s(clock.middle_s) - true_s)


def _errors(found, true) -> tuple[np.ndarray, np.ndarray]:
    """Distance of the centres, mm, and angle between the orientations, degrees; nothing is aligned."""
    center_mm = 1e3 * (found.centers_world - true.centers_world).norm(dim=-1).numpy()
    turn = found.cam_from_world[:, :3, :3] @ true.cam_from_world[:, :3, :3].transpose(-1, -2)
    return center_mm, np.degrees(Rotation.from_matrix(turn.numpy()).magnitude())
