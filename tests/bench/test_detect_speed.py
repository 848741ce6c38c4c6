"""BlazePose through the whole stage beside a bare loop of decoding, warp and network, in the same run.

Two cameras at 1080p, one person each, two processes in both cases. The clips are the real recording,
which is 1080p; the bare loop cuts a region of the usual size, and does nothing with the result.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mocap.detect import detect
from mocap.detect.models import model_path
from mocap.errors import MissingModel
from mocap.settings import DetectSettings
from mocap.video import ClipWriter, find_clips, frames, open_clip

pytestmark = [pytest.mark.slow, pytest.mark.footage]

BARE = """
import sys, time
import cv2, numpy as np
from pathlib import Path
from ai_edge_litert.interpreter import Interpreter
import av
cv2.setNumThreads(1)
net = Interpreter(model_path=sys.argv[2], num_threads=1)
net.allocate_tensors()
slot = net.get_input_details()[0]["index"]
outs = [o["index"] for o in net.get_output_details()]
matrix = np.array([[900 / 256, 0, 300.0], [0, 900 / 256, 90.0]])
count = 0
with av.open(sys.argv[1]) as box:
    box.streams.video[0].codec_context.thread_count = 1
    for frame in box.decode(video=0):
        rgb = frame.to_ndarray(format="rgb24")
        crop = cv2.warpAffine(rgb, matrix, (256, 256), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        net.set_tensor(slot, crop.astype(np.float32)[None] / 255)
        net.invoke()
        [net.get_tensor(o) for o in outs]
        count += 1
print(count, flush=True)
"""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, test_data: Path) -> dict[str, Path]:
    """Two cameras, three times the recording's first seconds each."""
    folder = tmp_path_factory.mktemp("clips")
    found = find_clips(test_data / "pose2sim_single" / "videos")
    for name, path in list(found.items())[:2]:
        clip = open_clip(path)
        images = [frame.rgb for frame in frames(clip)]
        with ClipWriter(folder / f"{name}.mp4", clip.size_px, 30.0) as writer:
            for rgb in [*images, *images[::-1]] * 2:
                writer.write(rgb)
    return find_clips(folder)


@dataclass
class Speed:
    """How fast some frames went."""

    frames: int
    wall_s: float
    cpu_s: float

    @property
    def fps(self) -> float:
        """By the clock: what a user sees on an idle machine."""
        return self.frames / self.wall_s

    @property
    def cpu_fps(self) -> float:
        """Frames for each second of two processors: the same whatever else runs."""
        return 2 * self.frames / self.cpu_s


def children_s() -> float:
    """Processor time of this program and all that it started and that has ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def timed(work: Callable[[], int]) -> Speed:
    start, cpu = time.perf_counter(), children_s()
    frames = work()
    return Speed(frames, time.perf_counter() - start, children_s() - cpu)


def bare_loop(clips: dict[str, Path], network: Path) -> int:
    """Both cameras at once; the number of frames."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", BARE, str(path), str(network)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for path in clips.values()
    ]
    return sum(int(process.communicate()[0].split()[-1]) for process in running)


@pytest.mark.parametrize("variant", ["full", "lite"])
def test_the_stage_is_nearly_as_fast_as_a_bare_loop(
    variant: str, clips: dict[str, Path], tmp_path: Path
) -> None:
    try:
        network = model_path(f"blazepose-{variant}")
        model_path("blazepose-person")
    except MissingModel as error:
        pytest.skip(str(error))
    settings = DetectSettings(variant=variant, mirror=False, max_people=1)
    bare, ours = [], []
    for turn in range(2):  # by turns, as the machine's speed drifts

        def stage(turn: int = turn) -> int:
            scratch = tmp_path / str(turn)
            summary = detect(clips, settings=settings, scratch=scratch, save=lambda *_: None)
            assert min(summary.share_with_person.values()) > 0.9
            return sum(summary.frames.values())

        bare.append(timed(lambda: bare_loop(clips, network)))
        ours.append(timed(stage))
    sizes = {open_clip(path).size_px for path in clips.values()}
    best, loop = max(ours, key=lambda one: one.fps), max(bare, key=lambda one: one.fps)
    cpu, loop_cpu = (float(np.median([one.cpu_fps for one in many])) for many in (ours, bare))
    print(  # noqa: T201 (the figures are what this is for)
        f"\nblazepose {variant} at {sizes}, camera-frames/s: by the clock {best.fps:.0f}, "
        f"bare loop {loop.fps:.0f}; "
        f"by processor time on two cores {cpu:.0f}, bare loop {loop_cpu:.0f}, ratio {cpu / loop_cpu:.2f}"
    )
    assert cpu > 0.8 * loop_cpu
