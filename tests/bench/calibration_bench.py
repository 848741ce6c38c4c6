"""Calibration of a real rig of free-running webcams beside other programs, from the same corners.

    MOCAP_TEST_DATA=... python tests/bench/calibration_bench.py

Blocks of six frames are dealt into two halves. Every program calibrates either half from nothing (no lens
clips, no timestamps of the cameras) and is judged on the other: whole-frame shifts that ours finds are taken
out first, then clocks, line delays and the board's motion are fitted to the unseen half for each set of
cameras, the cameras stay. "rigid" is the error that is left, "free" that after each corner was triangulated
for itself; "repeat" is how far points by the two halves lie apart. Seconds are processor time of one solve
of all corners; compare "ours, static" with Caliscope, neither of which looks for clocks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from calibration import Cameras
from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.rig.calibrate import BLOCK, RigOptions, calibrate_rig
from calibration.rig.extrinsics import fit_boards
from calibration.rig.held_out import HeldOut, compare_cameras, judge_cameras, pooled
from calibration.timed.association import associate
from mocap.board_footage import common_step_s, watch_board
from mocap.video import find_clips, open_clip

CLIPS = "caliscope_post_optimization/calibration/extrinsic"
BOARD = Board(columns=4, rows=5, square_m=0.054, marker_m=0.0405, dictionary="DICT_4X4_1000", inverted=True)
GOALS = {"rigid px": 0.40, "free px": 0.30, "squares std mm": 0.25, "bias mm": 0.10, "repeat mm": 0.7}
_CALISCOPE = Path(__file__).parents[2] / ".venv-bench" / "bin" / "python"

Solver = Callable[[Sequence[BoardView]], Cameras]


@dataclass(frozen=True)
class Scene:
    """Corners of all cameras."""

    views: Sequence[BoardView]
    """Every view; a frame number is an instant by the clips' own times."""
    size_px: Mapping[str, tuple[int, int]]
    """Image sizes."""
    step_s: float
    """Time between frames."""

    def half(self, number: int) -> list[BoardView]:
        """Every other block of frames."""
        return [view for view in self.views if (view.frame // BLOCK) % 2 == number]


@dataclass(frozen=True)
class Row:
    """What a program reached."""

    name: str
    """The program."""
    held_out: HeldOut
    """On frames that it did not have."""
    repeat_mm: float
    """Between the halves."""
    seconds: float
    """Of one solve without clocks."""


def look(folder: Path) -> Scene:
    """Find the board in all clips."""
    clips = {name: open_clip(path) for name, path in find_clips(folder).items()}
    step_s = common_step_s(clips, 10.0, 900)
    footage = watch_board(clips, BOARD, step_s=step_s)
    views = [view for one in footage.values() for view in one.views if len(view.ids) >= 6]
    return Scene(views, {name: clip.size_px for name, clip in clips.items()}, step_s)


def ours(scene: Scene) -> Solver:
    """This program, with clocks."""
    options = RigOptions(halves=False)
    return lambda views: calibrate_rig(views, {}, BOARD, size_px=scene.size_px, options=options).cameras


def ours_static(scene: Scene) -> Solver:
    """This program, images of one number taken for simultaneous."""
    options = RigOptions(halves=False, clocks=False, choose_lens=False)
    return lambda views: calibrate_rig(views, {}, BOARD, size_px=scene.size_px, options=options).cameras


def opencv(scene: Scene) -> Solver:
    """OpenCV's calibrateMultiview, which takes boards that were seen whole."""
    names = list(scene.size_px)

    def solve(views: Sequence[BoardView]) -> Cameras:
        count = len(BOARD.corners_xyz)
        views = [view for view in views if len(view.ids) == count]
        frames = sorted({view.frame for view in views})
        xy = np.full((len(names), len(frames), count, 2), -1.0, np.float32)
        mask = np.zeros((len(names), len(frames)), np.uint8)
        for view in views:
            camera, frame = names.index(view.camera), frames.index(view.frame)
            xy[camera, frame, view.ids.numpy()] = view.xy_px.numpy()
            mask[camera, frame] = 1
        board = [BOARD.corners_xyz.numpy().astype(np.float32)] * len(frames)
        empty: list[np.ndarray] = []
        _, matrix, bent, rotation, shift = cv2.calibrateMultiview(
            board,
            [list(one) for one in xy],
            [scene.size_px[name] for name in names],
            mask,
            np.zeros((len(names), 1), np.uint8),
            empty,
            empty,
            empty,
            empty,
        )
        turns = [r if r.shape == (3, 3) else cv2.Rodrigues(r)[0] for r in map(np.asarray, rotation)]
        return _cameras(scene, np.stack(matrix), np.stack([np.ravel(b)[:5] for b in bent]), turns, shift)

    return solve


def caliscope(scene: Scene, seconds: list[float]) -> Solver:
    """Caliscope in its own environment; its processor time is appended to ``seconds``."""
    names = list(scene.size_px)

    def solve(views: Sequence[BoardView]) -> Cameras:
        with tempfile.TemporaryDirectory() as folder:
            given, found = Path(folder) / "in.npz", Path(folder) / "out.npz"
            counts = [len(view.ids) for view in views]
            np.savez(
                given,
                sync=np.repeat([view.frame for view in views], counts),
                camera=np.repeat([names.index(view.camera) for view in views], counts),
                keypoint=torch.cat([view.ids for view in views]).numpy(),
                xy_px=torch.cat([view.xy_px for view in views]).numpy(),
                xyz_board=torch.cat([BOARD.corners_xyz[view.ids] for view in views]).numpy(),
                size_px=[scene.size_px[name] for name in names],
                board=[BOARD.columns, BOARD.rows, BOARD.square_m],
            )
            script = Path(__file__).with_name("caliscope_solve.py")
            subprocess.run([_CALISCOPE, script, given, found], check=True, stdout=subprocess.DEVNULL)
            with np.load(found) as one:
                seconds.append(float(one["cpu_s"]))
                return _cameras(
                    scene, one["matrix"], one["distortion"], list(one["rotation"]), list(one["translation"])
                )

    return solve


def _cameras(
    scene: Scene,
    matrix: np.ndarray,
    distortion: np.ndarray,
    rotation: Sequence[np.ndarray],
    shift: Sequence[np.ndarray],
) -> Cameras:
    pose = torch.eye(4, dtype=torch.float64).repeat(len(rotation), 1, 1)
    pose[:, :3, :3] = torch.from_numpy(np.stack(rotation).astype(np.float64))
    pose[:, :3, 3] = torch.from_numpy(np.stack([np.ravel(one) for one in shift]).astype(np.float64))
    intrinsics = torch.from_numpy(matrix.astype(np.float64))
    return Cameras(
        names=tuple(scene.size_px),
        size_px=torch.tensor(list(scene.size_px.values()), dtype=torch.float64),
        focal_px=torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], -1),
        center_px=intrinsics[:, :2, 2],
        distortion=torch.from_numpy(distortion.astype(np.float64)),
        cam_from_world=pose,
    )


def judge(name: str, solve: Solver, scene: Scene, shift_s: Mapping[str, float]) -> Row:
    """Calibrate either half and judge it by the other; time a solve of everything."""
    halves = [scene.half(0), scene.half(1)]
    cameras = [solve(half) for half in halves]
    scores: list[HeldOut] = []
    for number, one in enumerate(cameras):
        unseen = associate(halves[1 - number], shift_s, scene.step_s)
        score = judge_cameras(one, unseen, BOARD, offset_s=shift_s, step_s=scene.step_s)
        if score is None:
            raise SystemExit(f"{name}: its cameras explain no board of the other half")
        scores.append(score)
    boards = fit_boards(cameras[0], associate(scene.views, shift_s, scene.step_s), BOARD)
    if boards is None:
        raise SystemExit(f"{name}: its cameras explain no board")
    poses = boards.world_from_board
    xyz = (poses[:, None, :3, :3] @ BOARD.corners_xyz[:, :, None])[..., 0] + poses[:, None, :3, 3]
    twice = compare_cameras(cameras[0], cameras[1], xyz.flatten(0, 1))
    start = time.process_time()
    solve(scene.views)
    return Row(name, pooled(scores), 1e3 * twice.points_m, time.process_time() - start)


def shifts(scene: Scene) -> dict[str, float]:
    """Whole-frame shifts of the clips, for the judge alone: every program's cameras get them."""
    rig = calibrate_rig(scene.views, {}, BOARD, size_px=scene.size_px, options=RigOptions(halves=False))
    return {name: clock.shift_s for name, clock in rig.clocks.items()}


def table(rows: Sequence[Row]) -> str:
    """The figures in columns."""
    head = ["", "rigid px", "free px", "squares std mm", "bias mm", "repeat mm", "solve s"]
    lines = [head]
    for row in rows:
        held = row.held_out
        figures = [held.rigid_px, held.free_px, 1e3 * held.square_std_m, 1e3 * held.square_bias_m]
        lines.append([row.name, *(f"{value:.2f}" for value in [*figures, row.repeat_mm, row.seconds])])
    lines.append(["goal, at most", *(f"{value:.2f}" for value in GOALS.values()), ""])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    data = os.environ.get("MOCAP_TEST_DATA")
    if not data:
        raise SystemExit("set MOCAP_TEST_DATA to the folder of the real recordings")
    plain = look(Path(data) / CLIPS)
    shift_s = shifts(plain)
    rows = [
        judge("ours", ours(plain), plain, shift_s),
        judge("ours, static", ours_static(plain), plain, shift_s),
        judge("OpenCV calibrateMultiview", opencv(plain), plain, shift_s),
    ]
    if _CALISCOPE.exists():
        seconds: list[float] = []
        row = judge("Caliscope", caliscope(plain, seconds), plain, shift_s)
        rows.append(replace(row, seconds=seconds[-1]))
    else:
        sys.stdout.write("Caliscope is not installed (tests/bench/install.sh): left out\n")
    sys.stdout.write(table(rows) + "\n")


if __name__ == "__main__":
    main()
