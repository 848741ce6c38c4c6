"""The stage: clips in, cameras and a verdict out."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from calibration import CalibrationError
from calibration.boards.board import Board, draw_board
from calibration.rig.synthetic import carried_board, ring_of_cameras
from mocap.board_footage import common_step_s, watch_board
from mocap.calibrate import calibrate
from mocap.errors import InputError
from mocap.settings import BoardSettings, CalibrateSettings
from mocap.video import Clip, ClipWriter, find_clips, open_clip

BOARD = BoardSettings(columns=5, rows=7, square_m=0.16, marker_m=0.12)
RATE_HZ = 10.0


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Board clips of three cameras, 640x360, warped from a drawing of the board; the truth is the ring."""
    folder = tmp_path_factory.mktemp("board")
    cameras = small_ring()
    board = Board(**asdict(BOARD))
    scale, margin = 500.0, 0.05
    drawing = draw_board(board, scale, margin)
    poses = carried_board(9.0, rate_hz=RATE_HZ, rest_s=0.8, reach_m=0.3, lean_rad=0.6)
    shift = 0.5 / scale - margin
    from_drawing = np.array([[1 / scale, 0, shift], [0, 1 / scale, shift], [0, 0, 1.0]])
    for row, name in enumerate(cameras.names):
        with ClipWriter(folder / f"{name}.mp4", (640, 360), RATE_HZ, crf=15) as clip:
            for pose in poses:
                cam_from_board = (cameras.cam_from_world[row] @ pose).numpy()
                # The plane z = 0 of the board is seen through a homography; from behind it shows no pattern.
                homography = cameras.camera_matrices[row].numpy() @ cam_from_board[:3, [0, 1, 3]]
                image = np.full((360, 640), 110, np.uint8)
                if cam_from_board[:3, 2] @ cam_from_board[:3, 3] > 0:
                    cv2.warpPerspective(
                        drawing,
                        homography @ from_drawing,
                        (640, 360),
                        dst=image,
                        flags=cv2.INTER_LINEAR,
                        borderMode=cv2.BORDER_TRANSPARENT,
                    )
                image = cv2.GaussianBlur(image, (0, 0), 0.7)
                clip.write(np.repeat(image[..., None], 3, 2))
    return folder


def small_ring():
    cameras = ring_of_cameras(7, radius_m=2.3, height_m=2.4, distorted=False)[["cam1", "cam2", "cam3"]]
    return replace(
        cameras,
        size_px=cameras.size_px / 2.0,
        focal_px=cameras.focal_px / 2.0,
        center_px=(cameras.center_px + 0.5) / 2.0 - 0.5,
    )


def clips(folder: Path) -> dict[str, Clip]:
    return {name: open_clip(path) for name, path in find_clips(folder).items()}


def test_cameras_come_from_clips(footage: Path) -> None:
    told: list[tuple[str, float]] = []
    truth = small_ring()
    one, two, three = truth.centers_world
    tape = {"cam1 cam2": float((one - two).norm()), "cam2 cam3": 1.1 * float((two - three).norm())}
    cameras, summary = calibrate(
        {},
        clips(footage),
        board=BOARD,
        distances_m=tape,
        progress=lambda what, done, total=None, /: told.append((what, done)),
    )
    assert summary.usable, summary.reasons
    apart = (cameras.centers_world - truth.centers_world).norm(dim=-1)
    assert float(apart.max()) < 0.05
    assert summary.rms_px < 0.4
    assert summary.rest_s > 0.5
    assert set(summary.cameras) == {"cam1", "cam2", "cam3"}
    assert told[-1] == ("calibrate: solve", 1)
    report = json.loads(json.dumps(summary.report(), allow_nan=False))
    assert report["cameras"]["cam1"]["examined"] == 90
    assert report["places"]["cam1"]["pose_std_m"] > 0
    assert report["places"]["cam1"]["turn_std_deg"] > 0
    (wrong,) = [text for text in summary.warnings if "by the tape" in text]
    assert wrong.startswith(f"{tape['cam2 cam3']:.3f} m by the tape are")


def test_cameras_side_by_side_find_what_each_finds_alone(footage: Path) -> None:
    some = dict(list(clips(footage).items())[:2])
    board = Board(**asdict(BOARD))
    side_by_side = watch_board(some, board, step_s=0.5)
    for name, clip in some.items():
        alone = watch_board({name: clip}, board, step_s=0.5)[name]
        assert alone.num_images == side_by_side[name].num_images == 18
        pairs = zip(alone.views, side_by_side[name].views, strict=True)
        assert all(a.frame == b.frame and torch.equal(a.xy_px, b.xy_px) for a, b in pairs)


def test_an_interrupt_ends_the_search_at_once(footage: Path) -> None:
    def interrupt(what: str, done: float, total: float | None = None, /) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch_board(clips(footage), Board(**asdict(BOARD)), step_s=0.1, progress=interrupt)


def test_instants_are_common_to_cameras_of_different_rates() -> None:
    slow = Clip(Path("a.mp4"), (640, 360), 25.0, 250, 10.0)
    fast = replace(slow, path=Path("b.mp4"), rate_hz=50.0, num_frames=500)
    assert common_step_s({"a": slow, "b": fast}, 10.0, 900) == pytest.approx(2 / 25)
    assert common_step_s({"a": slow}, 100.0, 900) == pytest.approx(1 / 25)
    assert common_step_s({"a": slow}, 10.0, 50) == pytest.approx(5 / 25)


def test_every_image_of_a_folder_is_examined(footage: Path, tmp_path: Path) -> None:
    video = cv2.VideoCapture(str(footage / "cam1.mp4"))
    for number in range(6):
        ok, image = video.read()
        assert ok
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    seen = watch_board(
        {"cam1": open_clip(tmp_path)},
        Board(**asdict(BOARD)),
        step_s=common_step_s({"cam1": open_clip(tmp_path)}, 10.0, 900),
    )["cam1"]
    assert seen.num_images == 6


def test_a_board_that_is_described_wrongly_is_put_right(footage: Path) -> None:
    quick = CalibrateSettings(examine_hz=2.0)
    for change, advice in (
        ({"inverted": True}, "it is not inverted.*inverted = false"),
        ({"columns": 7, "rows": 5}, "columns and rows are exchanged.*set columns = 5, rows = 7"),
        ({"marker_ids": tuple(range(20, 37))}, r"numbered from 0.*marker_ids = \[\]"),
    ):
        with pytest.raises(InputError, match=advice):
            calibrate({}, clips(footage), board=replace(BOARD, **change), settings=quick)


def test_footage_without_a_board_says_where(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with ClipWriter(tmp_path / f"{name}.mp4", (320, 240), 10.0) as clip:
            for _ in range(10):
                clip.write(np.full((240, 320, 3), 90, np.uint8))
    with pytest.raises(InputError, match=r"a\.mp4: the board is found in 0 of 10"):
        calibrate({}, clips(tmp_path), board=BOARD)


def test_a_lens_clip_of_another_size_is_refused(footage: Path, tmp_path: Path) -> None:
    with ClipWriter(tmp_path / "cam1.mp4", (320, 240), 10.0) as clip:
        clip.write(np.full((240, 320, 3), 90, np.uint8))
    with pytest.raises(InputError, match="320x240, those of the extrinsics clip 640x360"):
        calibrate(clips(tmp_path), clips(footage), board=BOARD)


def test_an_error_of_the_solve_names_the_camera(footage: Path, tmp_path: Path) -> None:
    """The board never reaches the third camera."""
    blank = tmp_path / "cam3.mp4"
    with ClipWriter(blank, (640, 360), RATE_HZ) as clip:
        for _ in range(90):
            clip.write(np.full((360, 640, 3), 90, np.uint8))
    three = clips(footage) | {"cam3": open_clip(blank)}
    with pytest.raises(CalibrationError, match="camera cam3"):
        calibrate({}, three, board=BOARD)


@pytest.mark.footage
def test_a_real_rig_without_a_common_clock(test_data: Path) -> None:
    """Four webcams, six frames a second, not in step; nobody had noticed that one is nearly a frame late.

    Each half of the footage is solved for itself and judged by the other.
    """
    folder = test_data / "caliscope_post_optimization/calibration/extrinsic"
    board = BoardSettings(
        columns=4, rows=5, square_m=0.054, marker_m=0.0405, dictionary="DICT_4X4_1000", inverted=True
    )
    cameras, summary = calibrate({}, clips(folder), board=board)
    assert summary.usable, summary.reasons
    assert summary.held_out_rms_px < 0.4
    assert summary.held_out_free_px < 0.3
    assert summary.square_std_mm < 0.25
    assert abs(summary.square_bias_mm) < 0.1
    assert summary.repeatability_mm < 0.7
    late = {name: report.clock.offset_s for name, report in summary.cameras.items()}
    assert late["cam_1"] == pytest.approx(-0.1, abs=0.03)
    assert all(abs(late[name]) < 0.03 for name in ("cam_0", "cam_2", "cam_3"))
    assert all(1e-5 < report.clock.line_delay_s < 6e-5 for report in summary.cameras.values())
    assert not any("not simultaneous" in warning for warning in summary.warnings)
    assert any("never lay still" in warning for warning in summary.warnings)
    focal = cameras.focal_px[:, 0].tolist()
    np.testing.assert_allclose(focal, [899.3, 760.2, 642.6, 641.3], rtol=0.01)
