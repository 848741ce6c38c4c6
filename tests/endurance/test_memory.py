"""Memory does not grow with the clip: ten minutes of footage through one camera process."""

import os
import threading
from pathlib import Path

import pytest

from mocap.detect import detect
from mocap.keypoints import CameraKeypoints
from mocap.settings import DetectSettings
from mocap.video import ClipWriter, frames, open_clip
from mocap.virtual.demo import demo_studio

pytestmark = pytest.mark.slow

MINUTES = 10
RATE_HZ = 15.0
SIZE_PX = (480, 270)
LIMIT_BYTES = 1.5 * 2**30


class PeakOfWorkers:
    """The largest resident memory that any child process of this one has reached, while it is open."""

    def __init__(self) -> None:
        self.bytes = 0
        self.seen: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakOfWorkers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            now = max((self._resident(status) for status in Path("/proc").glob("[0-9]*/status")), default=0)
            self.seen.append(now)
            self.bytes = max(self.bytes, now)

    @staticmethod
    def _resident(status: Path) -> int:
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:  # the process ended meanwhile
            return 0
        if int(fields["PPid"]) != os.getpid():
            return 0
        return 1024 * int(fields.get("VmRSS", "0 kB").split()[0])


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rendered seconds, over and over."""
    folder = tmp_path_factory.mktemp("long")
    studio = demo_studio(cameras=2, seconds=3.0, seed=2, size_px=SIZE_PX)
    for _ in studio.film_take("cam1", folder / "once.mp4"):
        pass
    pictures = [frame.rgb for frame in frames(open_clip(folder / "once.mp4"))]
    with ClipWriter(folder / "cam1.mp4", SIZE_PX, RATE_HZ) as writer:
        for index in range(int(60 * MINUTES * RATE_HZ)):
            writer.write(pictures[index % len(pictures)])
    return folder / "cam1.mp4"


def test_ten_minutes_stay_below_the_limit(long_clip: Path, tmp_path: Path) -> None:
    saved: dict[str, CameraKeypoints] = {}
    settings = DetectSettings(variant="lite", mirror=False, max_people=1)
    with PeakOfWorkers() as peak:
        detect({"cam1": long_clip}, settings=settings, scratch=tmp_path, save=saved.__setitem__)
    assert len(saved["cam1"].time_s) == 60 * MINUTES * RATE_HZ
    assert 50e6 < peak.bytes < LIMIT_BYTES, "a worker was seen, and it stayed below the limit"
    quarter = len(peak.seen) // 4
    early, late = max(peak.seen[: 2 * quarter]), max(peak.seen[2 * quarter :])
    assert late < early + 100e6, "the second half must not need more than the first"
