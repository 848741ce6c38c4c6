"""BlazePose through the whole stage beside a bare loop of decoding, warp and network, in the same run.

Two cameras at 1080p, one person each, two processes in both cases. The clips are the real recording;
the bare loop cuts a region of the usual size, and does nothing with the result. By the clock the figures mean
something on an idle machine only; processor time is what the ratio is of.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from mocap.detect import detect
from mocap.detect.models import model_path
from mocap.errors import MissingModel
from mocap.settings import DetectSettings
from mocap.video import find_clips, open_clip

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
    """Two cameras, the recording four times over: starting costs little in a clip of ordinary length."""
    folder = tmp_path_factory.mktemp("clips")
    found = find_clips(test_data / "pose2sim_single" / "videos")
    for name, path in list(found.items())[1:3]:
        repeat(path, folder / f"{name}.mp4", 4)
    return find_clips(folder)


def repeat(source: Path, target: Path, times: int) -> None:
    """Write a clip several times in a row, without encoding it again."""
    with av.open(str(source)) as clip:
        packets = [packet for packet in clip.demux(video=0) if packet.size]
        stream = clip.streams.video[0]
        with av.open(str(target), "w") as made:
            track = made.add_stream_from_template(stream)
            length = max(packet.pts + packet.duration for packet in packets)
            start = [(packet.pts, packet.dts) for packet in packets]
            for round_ in range(times):
                for packet, (pts, dts) in zip(packets, start, strict=True):
                    packet.pts, packet.dts = pts + round_ * length, dts + round_ * length
                    packet.stream = track
                    made.mux(packet)


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

    def stage() -> int:
        summary = detect(clips, settings=settings, scratch=tmp_path / "scratch", save=lambda *_: None)
        assert min(summary.share_with_person.values()) > 0.9
        return sum(summary.frames.values())

    loop, best = timed(lambda: bare_loop(clips, network)), timed(stage)
    assert loop.frames == best.frames
    sizes = {open_clip(path).size_px for path in clips.values()}
    cpu, loop_cpu = best.cpu_fps, loop.cpu_fps
    print(  # noqa: T201 (the figures are what this is for)
        f"\nblazepose {variant} at {sizes}, camera-frames/s: by the clock {best.fps:.0f}, "
        f"bare loop {loop.fps:.0f}; "
        f"by processor time on two cores {cpu:.0f}, bare loop {loop_cpu:.0f}, ratio {cpu / loop_cpu:.2f}"
    )
    assert cpu > 0.8 * loop_cpu
