"""Filming: clips of all cameras into a session, in parallel, and the truth into a folder of its own."""

from __future__ import annotations

import multiprocessing
import os
import queue
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mocap import files
from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.progress import Progress, silent
from mocap.session import Session
from mocap.sync import CameraClock, Clock
from mocap.virtual.board_path import board_poses
from mocap.virtual.performer import Performer
from mocap.virtual.studio import Studio, rolled_share
from rigs.keypoints import KEYPOINT_SETS

TRUTH_KEYPOINTS = KEYPOINT_SETS["blazepose33"]
"""Keypoints of the true bodies that are written in every camera's picture."""


def film(
    studio: Studio,
    session: Session,
    *,
    take: str = "take1",
    progress: Progress = silent,
    processes: int | None = None,
) -> None:
    """Film the board and the performance into a session's folders.

    Args:
        studio: what to film.
        session: where the clips go; clips that are there already are left alone.
        take: name of the take.
        progress: told of the frames.
        processes: how many cameras are filmed at once; by default as many as there are cores.
    """
    jobs = [
        (kind, camera, path)
        for camera in studio.cameras().names
        for kind, path in (
            ("board", session.clips_folder("extrinsics") / f"{camera}.mp4"),
            ("take", session.take(take).folder / f"{camera}.mp4"),
        )
        if not path.exists()
    ]
    total = sum(studio.num_board_frames if kind == "board" else studio.num_frames for kind, _, _ in jobs)
    by_camera = {camera: [job for job in jobs if job[1] == camera] for camera in studio.cameras().names}
    for _, _, path in jobs:
        path.parent.mkdir(parents=True, exist_ok=True)
    processes = min(processes or os.cpu_count() or 1, len(by_camera))
    if processes < 2:
        done = 0
        for camera_jobs in by_camera.values():
            for _ in _film_camera(studio, camera_jobs):
                done += 1
                progress("rendering", done, total)
        return
    _film_in_parallel(studio, [part for part in by_camera.values() if part], total, processes, progress)


def _film_camera(studio: Studio, jobs: list[tuple[str, str, Path]]) -> Any:
    """Film the clips of one camera, yielding once for each frame."""
    view = None
    for kind, camera, path in jobs:
        if kind == "board":
            view = studio.view(camera)
            yield from studio.film_board(camera, path, view)
        else:
            yield from studio.film_take(camera, path, studio.take_view(camera, view))


def _film_in_parallel(
    studio: Studio, parts: list[list[tuple[str, str, Path]]], total: int, processes: int, progress: Progress
) -> None:
    context = multiprocessing.get_context("spawn")
    ticks = context.Queue()
    done = 0
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin_worker, initargs=(ticks,)
    ) as pool:
        waiting: set[Future[None]] = {pool.submit(_film_part, studio, part) for part in parts}
        try:
            while waiting:
                finished, waiting = wait_for(waiting, timeout=0.2)
                done += _drain(ticks)
                progress("rendering", done, total)
                for future in finished:
                    future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    progress("rendering", done + _drain(ticks), total)


def _drain(ticks: Any) -> int:
    """How many frames were reported since last asked."""
    count = 0
    try:
        while True:
            ticks.get_nowait()
            count += 1
    except queue.Empty:
        return count


_worker_ticks: Any = None


def _begin_worker(ticks: Any) -> None:
    import cv2

    global _worker_ticks  # noqa: PLW0603 - a pool's initializer has no other place to leave its queue
    _worker_ticks = ticks
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _film_part(studio: Studio, jobs: list[tuple[str, str, Path]]) -> None:
    for _ in _film_camera(studio, jobs):
        _worker_ticks.put(1)


def write_truth(studio: Studio, folder: Path, *, take: str = "take1") -> Session:
    """Write what is true into a folder laid out like a session.

    Cameras, clocks, motions, keypoints and board poses. The chain never reads it; without ``session.toml``
    it is no session to it.
    """
    truth = Session(folder)
    cameras = studio.cameras()
    truth.save_cameras(cameras, {"source": "virtual studio, true"})
    times = np.arange(studio.num_board_frames) / studio.board.rate_hz
    poses = board_poses(studio.board, cameras, times)
    names = cameras.names
    faults = studio.faults
    clocks = {
        "board_late_s": np.array([faults.board_late_s.get(name, 0.0) for name in names]),
        "drift_ppm": np.array([faults.drift_ppm.get(name, 0.0) for name in names]),
        "line_delay_s": np.array([faults.line_delay_s.get(name, 0.0) for name in names]),
    }
    board = {"time_s": times, "world_from_board": poses, "camera_names": np.array(names), **clocks}
    files.write_npz(folder / "board.npz", "mocap-studio board poses", 1, board)
    this = truth.take(take)
    this.save_cameras(studio.take_cameras())
    clock = {
        name: CameraClock(faults.start_late_s.get(name, 0.0), faults.drift_ppm.get(name, 0.0), 0.0, "true")
        for name in names
    }
    this.save_clock(Clock(clock))
    grid = np.arange(studio.num_frames) / studio.rate_hz
    for number, performer in enumerate(studio.performers, 1):
        this.save_motion(
            f"person{number}", performer.motion(grid, seconds=studio.seconds, rate_hz=studio.rate_hz)
        )
    for name in cameras.names:
        this.save_keypoints(name, true_keypoints(studio, name))
    return truth


def true_keypoints(studio: Studio, camera: str) -> CameraKeypoints:
    """Where BlazePose should see the true bodies in a camera's frames; score 1, NaN outside the picture."""
    one = studio.take_cameras()[camera]
    camera_s, take_s = studio.frame_times(camera)
    width, height = studio.ring.size_px
    readout_s = studio.faults.line_delay_s.get(camera, 0.0) * (height - 1)
    people = []
    for performer in studio.performers:
        first, last = (_keypoints_world(studio, performer, take_s + after_s) for after_s in (0.0, readout_s))
        seen = first + rolled_share(one, first, last) * (last - first) if readout_s else first
        xy_px, _ = one.project(torch.from_numpy(seen))
        xy_px = xy_px[..., 0, :, :].numpy()
        inside = ((xy_px > -0.5) & (xy_px < np.array([width, height]) - 0.5)).all(-1)
        people.append(np.where(inside[..., None], xy_px, np.nan))
    stacked = np.stack(people, 1)
    score = np.where(np.isfinite(stacked[..., 0]), 1.0, np.nan)
    return CameraKeypoints(camera_s, stacked, score, TRUTH_KEYPOINTS, (width, height))


def _keypoints_world(studio: Studio, performer: Performer, time_s: FloatArray) -> FloatArray:
    """(T, K, 3) metres, world: where BlazePose's keypoints lie on a performer."""
    motion = performer.motion(time_s, seconds=studio.seconds, rate_hz=studio.rate_hz)
    body = performer.load_body()
    rotation, xyz_joint = body.pose_frames(motion.poses, motion.trans, motion.betas)
    model = body.detector_model(TRUTH_KEYPOINTS, "blazepose33")
    return model.pose(rotation, xyz_joint, torch.from_numpy(motion.betas)).numpy()
