"""Time in the pictures: late clips, drifting clocks, rolling shutters, exposures that blur."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mocap.virtual.board_path import BoardPath
from mocap.virtual.film import true_keypoints
from mocap.virtual.plate import render_board
from mocap.virtual.studio import Faults, small_studio

STUDIO = replace(small_studio(seconds=0.4), rate_hz=10.0)
LINE_S = 6e-5


def _with(**faults):
    return replace(STUDIO, faults=Faults(noise=0.0, **faults))


def test_a_clock_that_drifts_takes_its_frames_ever_later() -> None:
    camera_s, take_s = _with(drift_ppm={"cam1": 1e4}, start_late_s={"cam1": 0.5}).frame_times("cam1")
    np.testing.assert_allclose(take_s, 0.5 + 1.01 * camera_s)


def test_a_rolling_shutter_sees_each_keypoint_at_the_time_of_its_row() -> None:
    rolled = true_keypoints(_with(line_delay_s={"cam1": LINE_S}), "cam1").xy_px[:, 0]
    still = true_keypoints(STUDIO, "cam1").xy_px[:, 0]
    later = true_keypoints(_with(start_late_s={"cam1": LINE_S * 359}), "cam1").xy_px[:, 0]
    share = rolled[..., 1:] / 359
    np.testing.assert_allclose(rolled, still + share * (later - still), atol=0.02)
    assert np.nanmax(np.abs(rolled - still)) > 0.5


@pytest.fixture(scope="module")
def board_scene():
    view = STUDIO.view("cam1")
    path = BoardPath(STUDIO.board, STUDIO.cameras())
    # when the board is near to this camera and moves
    times = np.arange(1.0, 2.9, 0.05)
    speed = np.linalg.norm(np.diff(path.at(times)[:, :3, 3], axis=0), axis=-1)
    return view, path, float(times[speed[:18].argmax()])


def test_the_board_under_a_rolling_shutter_is_put_together_row_by_row(board_scene) -> None:
    """The rows of the rolled picture are those of pictures taken at the rows' own times."""
    view, path, time_s = board_scene
    rows_s = LINE_S * np.arange(view.height)
    rolled = render_board(view, STUDIO.board.board, path.at(time_s + rows_s[None]))
    still = render_board(view, STUDIO.board.board, path.at(np.array(time_s)))
    wrong, plain = [], []
    for row in range(40, view.height, 40):
        then = render_board(view, STUDIO.board.board, path.at(np.array(time_s + rows_s[row])))
        wrong.append(np.abs(rolled[row].astype(int) - then[row]).mean())
        plain.append(np.abs(still[row].astype(int) - then[row]).mean())
    assert np.mean(wrong) < 0.25 * np.mean(plain)  # the shadow is cast but once


def test_an_exposure_blurs_what_moves_and_nothing_else(board_scene) -> None:
    view, path, time_s = board_scene
    sharp = render_board(view, STUDIO.board.board, path.at(np.array(time_s)))
    instants = time_s + np.linspace(-0.03, 0.03, 4)[:, None] + np.zeros(view.height)
    blurred = render_board(view, STUDIO.board.board, path.at(instants))

    def detail(picture):
        return cv2.Laplacian(picture[..., 1], cv2.CV_64F).std()

    assert detail(blurred) < 0.8 * detail(sharp)
    still = np.broadcast_to(path.at(np.array(time_s)), (4, view.height, 4, 4))
    same = render_board(view, STUDIO.board.board, still)
    assert np.abs(same.astype(int) - sharp).max() <= 1


def test_people_are_rolled_and_blurred_too() -> None:
    sharp = [next(_with().take_frames("cam1"))]
    rolled = next(_with(line_delay_s={"cam1": LINE_S}).take_frames("cam1"))
    blurred = next(replace(_with(), exposure_s=0.05).take_frames("cam1"))
    for other in (rolled, blurred):
        apart = np.abs(other.astype(int) - sharp[0]).sum(-1) > 12
        assert 20 < apart.sum() < 0.1 * apart.size
