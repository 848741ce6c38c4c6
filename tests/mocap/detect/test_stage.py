"""The stage: what a kill leaves, that resuming changes nothing, and how workers fail."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mocap.detect import detect
from mocap.detect.chunks import ChunkFolder
from mocap.detect.detector import Detections, TrackerState
from mocap.detect.worker import Job, detect_clip
from mocap.errors import ConfigError, InputError, MocapError
from mocap.keypoints import CameraKeypoints
from mocap.settings import DetectSettings
from mocap.video import ClipWriter, frames, open_clip

FAST = DetectSettings(variant="lite", mirror=False, max_people=2)


class Wanderer:
    """A detector whose answer depends on the image and on all that it saw before."""

    keypoint_names = ("head", "foot")

    def __init__(self, fail_at: int | None = None) -> None:
        self._memory = np.zeros(3)
        self._count = 0
        self._fail_at = fail_at

    def step(self, rgb: NDArray[np.uint8], time_s: float) -> Detections:
        if self._count == self._fail_at:
            raise ZeroDivisionError
        self._count += 1
        self._memory = np.sin(self._memory * 1.7 + rgb.mean(axis=(0, 1)) / 3 + time_s)
        people = self._count // 20 % 3
        slot = np.arange(people)[::-1]
        xy_px = self._memory[0] * 100 + np.arange(4 * people, dtype=float).reshape(people, 2, 2)
        return Detections(xy_px, np.full((people, 2), abs(self._memory[1])), slot.astype(np.int64))

    def state(self) -> TrackerState:
        return {"memory": self._memory.copy(), "count": np.array(self._count)}

    def restore(self, state: TrackerState) -> None:
        self._memory = state["memory"].astype(float)
        self._count = int(state["count"])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of noise, unevenly spaced in time."""
    path = tmp_path_factory.mktemp("clip") / "cam1.mp4"
    random = np.random.default_rng(4)
    times_s = np.cumsum(random.choice([1 / 30, 1 / 15], 110)) - 1 / 30
    with ClipWriter(path, (64, 48), 30) as writer:
        for time_s in times_s:
            writer.write(random.integers(0, 255, (48, 64, 3), np.uint8), time_s)
    return path


def job(clip: Path, folder: Path, **key: Any) -> Job:
    return Job(str(clip), str(folder), {"made_from": "this", **key}, {}, {})


def quiet(frames: int) -> None:
    """Report to nobody."""


def whole(clip: Path, folder: Path) -> CameraKeypoints:
    task = job(clip, folder)
    detect_clip(task, Wanderer(), quiet)
    return task.chunks().assemble((64, 48))


def same(a: CameraKeypoints, b: CameraKeypoints) -> bool:
    return a.keypoint_names == b.keypoint_names and all(
        getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in ("time_s", "xy_px", "score")
    )


def test_all_frames_come_out_in_order(clip: Path, tmp_path: Path) -> None:
    keypoints = whole(clip, tmp_path / "a")
    assert keypoints.xy_px.shape == (110, 2, 2, 2)
    assert keypoints.keypoint_names == ("head", "foot")
    people = np.isfinite(keypoints.score[..., 0]).sum(axis=1)
    np.testing.assert_array_equal(people, [(count // 20) % 3 for count in range(1, 111)])
    assert (np.diff(keypoints.time_s) > 0).all()
    assert np.isnan(keypoints.xy_px[people == 0]).all()


@pytest.mark.parametrize("kills", [[0], [1], [37], [100], [109], [30, 61, 62, 90]])
def test_a_killed_run_goes_on_to_the_same_bits(clip: Path, tmp_path: Path, kills: list[int]) -> None:
    task = job(clip, tmp_path / "b")
    for kill in kills:
        done = task.chunks().open().frames
        with pytest.raises(ZeroDivisionError):
            detect_clip(task, Wanderer(fail_at=kill), quiet)
        assert task.chunks().open().frames >= max(done, kill - 32)  # at most a second of footage is lost
    counts: list[int] = []
    detect_clip(task, Wanderer(), counts.append)
    assert counts[-1] == 110
    assert counts[0] > kills[-1] - 32
    assert same(task.chunks().assemble((64, 48)), whole(clip, tmp_path / "a"))


def test_forgetting_a_part_of_the_state_would_show(clip: Path, tmp_path: Path) -> None:
    class Forgetful(Wanderer):
        def restore(self, state: TrackerState) -> None:
            super().restore({**state, "memory": np.zeros(3)})

    task = job(clip, tmp_path / "b")
    with pytest.raises(ZeroDivisionError):
        detect_clip(task, Forgetful(fail_at=60), quiet)
    detect_clip(task, Forgetful(), quiet)
    assert not same(task.chunks().assemble((64, 48)), whole(clip, tmp_path / "a"))


def test_a_finished_clip_is_not_read_again(clip: Path, tmp_path: Path) -> None:
    task = job(clip, tmp_path / "a")
    detect_clip(task, Wanderer(), quiet)
    detect_clip(task, Wanderer(fail_at=0), quiet)


def test_chunks_made_from_something_else_are_not_used(clip: Path, tmp_path: Path) -> None:
    task = job(clip, tmp_path / "a", settings="old")
    detect_clip(task, Wanderer(), quiet)
    assert job(clip, tmp_path / "a", settings="old").chunks().open().complete
    assert job(clip, tmp_path / "a", settings="new").chunks().open().frames == 0
    assert job(clip, tmp_path / "a", settings="old").chunks().open().frames == 0  # they are gone


def test_a_damaged_chunk_costs_only_what_comes_after_it(clip: Path, tmp_path: Path) -> None:
    task = job(clip, tmp_path / "a")
    wanted = whole(clip, tmp_path / "a")
    chunk = tmp_path / "a" / "chunk_00002.npz"
    chunk.write_bytes(chunk.read_bytes()[:200])
    assert task.chunks().open().chunks == 2
    detect_clip(task, Wanderer(), quiet)
    assert same(task.chunks().assemble((64, 48)), wanted)


# --- The stage with its processes ---


class Saved(dict[str, CameraKeypoints]):
    """What the stage saved, by camera."""

    def __call__(self, camera: str, keypoints: CameraKeypoints) -> None:
        self[camera] = keypoints


def test_clips_without_anybody(
    clip: Path, tmp_path: Path, lite_files: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    saved, told = Saved(), list[tuple[str, float, float | None]]()
    short = tmp_path / "short.mp4"
    with ClipWriter(short, (64, 48), 30) as writer:
        for frame in islice(frames(open_clip(clip)), 12):
            writer.write(frame.rgb)

    def progress(what: str, done: float, total: float | None = None, /) -> None:
        told.append((what, done, total))

    clips = {"a": short, "b": short, "c": short}
    summary = detect(clips, settings=FAST, scratch=tmp_path / "scratch", save=saved, progress=progress)
    assert sorted(saved) == ["a", "b", "c"]
    assert saved["a"].xy_px.shape == (12, 0, 33, 2)
    assert saved["a"].score.shape == (12, 0, 33)
    assert summary.frames == {"a": 12, "b": 12, "c": 12}
    assert summary.people == {"a": 0, "b": 0, "c": 0}
    assert summary.score["a"] is None
    assert len(summary.warnings) == 3
    assert "camera a: nobody was found in its 12 frames" in caplog.text
    assert told[-1] == ("detect", 36, 36)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert not any((tmp_path / "scratch").iterdir())


def test_an_unknown_detector(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"detect\.detector 'hal' is unknown; choose from blazepose"):
        detect({"a": clip}, settings=replace(FAST, detector="hal"), scratch=tmp_path, save=Saved())


def test_a_clip_that_breaks_half_way_ends_the_stage_and_keeps_the_rest(
    clip: Path, tmp_path: Path, lite_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(40):
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(folder / f"{index}.png")
    (folder / "35.png").write_bytes(b"damaged")
    with pytest.raises(MocapError, match=r"35\.png: this image cannot be read"):
        detect({"broken": folder}, settings=FAST, scratch=tmp_path / "scratch", save=Saved())
    assert (tmp_path / "scratch" / "broken" / "chunk_00000.npz").is_file()
    with pytest.raises(InputError):
        detect({"broken": tmp_path / "none.mp4"}, settings=FAST, scratch=tmp_path / "scratch", save=Saved())


def workers_of(parent: int) -> list[int]:
    """Process numbers of the workers that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"PPid:\t{parent}\n" in status.read_text() and b"mocap.detect.worker" in (
                status.with_name("cmdline").read_bytes()
            ):
                found.append(int(status.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise TimeoutError


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
def test_a_worker_that_dies_gives_one_clear_line(
    clip: Path, tmp_path: Path, lite_files: dict[str, Path]
) -> None:
    ended = set(workers_of(os.getpid()))

    def kill() -> None:
        for worker in wait_for(lambda: set(workers_of(os.getpid())) - ended):
            os.kill(worker, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(
        MocapError, match=r"^detection in camera a stopped \(killed by SIGKILL.*run the same command"
    ):
        detect({"a": clip}, settings=FAST, scratch=tmp_path, save=Saved())
    thread.join()
    assert workers_of(os.getpid()) == []


RUN = """
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
import numpy as np
from mocap.detect import detect
from mocap.settings import DetectSettings
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
def save(camera, keypoints):
    np.savez(out / f"{camera}.npz", time_s=keypoints.time_s, xy_px=keypoints.xy_px, score=keypoints.score)
try:
    detect({path.stem: path for path in sorted(folder.glob("*.mp4"))}, scratch=out / "scratch", save=save,
        settings=DetectSettings(variant="lite", mirror=False, max_people=1))
except KeyboardInterrupt:
    raise SystemExit(130)
"""


def start(folder: Path, out: Path) -> subprocess.Popen[bytes]:
    out.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", RUN, str(folder), str(out)], start_new_session=True)


def stopped(process: subprocess.Popen[bytes], out: Path, how: signal.Signals) -> tuple[int, list[int]]:
    """Exit code and workers of a run that gets a signal: a kill once it has made something more."""
    chunks = len(list(out.glob("scratch/*/chunk_*.npz")))
    if how == signal.SIGKILL:
        wait_for(lambda: len(list(out.glob("scratch/*/chunk_*.npz"))) > chunks or list(out.glob("*.npz")))
    else:  # in the midst of work, long before it is done
        wait_for(lambda: workers_of(process.pid) or process.poll() is not None)
    workers = workers_of(process.pid)
    if how == signal.SIGKILL:
        process.kill()  # the parent alone: its workers must notice
    else:
        os.killpg(process.pid, how)  # as the terminal does
    return process.wait(30), workers


@linux
@pytest.mark.footage
def test_runs_that_are_killed_or_interrupted_end_in_the_same_files(
    footage: dict[str, Path], tmp_path: Path, lite_files: dict[str, Path]
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for camera in ("cam03", "cam04"):
        with ClipWriter(folder / f"{camera}.mp4", (272, 480), 30) as writer:
            for frame in islice(frames(open_clip(footage[camera])), 0, 100, 2):
                writer.write(np.asarray(Image.fromarray(frame.rgb).resize((272, 480))))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert start(folder, tmp_path / "whole").wait(120) == 0
    out = tmp_path / "killed"
    for how in (signal.SIGKILL, signal.SIGINT):
        code = 0
        for _ in range(6):  # whoever is done before the signal comes begins anew
            code, workers = stopped(start(folder, out), out, how)
            wait_for(lambda gone=workers: not any(Path(f"/proc/{worker}").exists() for worker in gone))
            if code:
                break
            shutil.rmtree(out)
        assert code == (-9 if how == signal.SIGKILL else 130)
    assert start(folder, out).wait(120) == 0
    for camera in ("cam03", "cam04"):
        assert (out / f"{camera}.npz").read_bytes() == (tmp_path / "whole" / f"{camera}.npz").read_bytes()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert open_clip(folder / "cam03.mp4").num_frames == len(np.load(out / "cam03.npz")["time_s"])


def test_the_folder_of_a_camera_can_be_thrown_away(tmp_path: Path) -> None:
    folder = ChunkFolder(tmp_path / "a", {"x": 1})
    folder.remove()
    folder.open()
    assert (tmp_path / "a" / "key.json").is_file()
    folder.remove()
    assert not (tmp_path / "a").exists()
