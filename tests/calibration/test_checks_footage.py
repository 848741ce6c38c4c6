"""No false alarm on a real session: four webcams that run freely, a board that never lies still."""

from pathlib import Path

import pytest

from calibration.boards.board import Board
from calibration.checks.table import Footage, judge
from calibration.rig.calibrate import calibrate_rig
from mocap.board_footage import common_step_s, watch_board
from mocap.video import find_clips, open_clip

pytestmark = [pytest.mark.slow, pytest.mark.footage]


def test_a_good_real_session_is_trusted(test_data: Path) -> None:
    board = Board(
        columns=4, rows=5, square_m=0.054, marker_m=0.0405, dictionary="DICT_4X4_1000", inverted=True
    )
    folder = test_data / "caliscope_post_optimization/calibration/extrinsic"
    clips = {name: open_clip(path) for name, path in find_clips(folder).items()}
    found = watch_board(clips, board, step_s=common_step_s(clips, 10.0, 900))
    views = [view for one in found.values() for view in one.views]
    rig = calibrate_rig(views, {}, board, size_px={name: clip.size_px for name, clip in clips.items()})
    footage = Footage(
        board,
        views,
        {},
        {name: one.num_images for name, one in found.items()},
        {name: one.num_with_markers for name, one in found.items()},
    )
    told = judge(rig, footage)
    assert told.reasons == ()
    # True, and all that there is to say: the board was not laid on the floor.
    assert {check.name for check in told.checks if check.grade == "warn"} == {"floor"}
    assert max(check.value for check in told.of("moved_camera")) < 30.0
