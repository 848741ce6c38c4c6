"""Detection in one camera's clip, or in those of several that ask a network together, in a process.

The stage starts ``python -m mocap.detect.worker``, writes its jobs to its input and reads messages, one JSON
object a line, from its output. A worker whose stage has died finds its output closed, and ends.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mocap.detect.ahead import ahead
from mocap.detect.chunks import Chunk, ChunkFolder
from mocap.detect.detector import Detector
from mocap.detect.meeting import Meeting
from mocap.detect.network import Network, open_network
from mocap.errors import MocapError
from mocap.settings import DetectSettings
from mocap.video import frames, open_clip

CHUNK_S = 1.0
"""Footage in one chunk, seconds: what a kill costs at most, in each camera that is being worked on."""


@dataclass(frozen=True)
class Job:
    """What one worker has to do."""

    clip: str
    """Path of the footage."""
    folder: str
    """Where the chunks go."""
    key: dict[str, Any]
    """What they are made from."""
    files: dict[str, str]
    """The weights, by role."""
    settings: dict[str, Any]
    """The fields of DetectSettings."""
    overlap: bool = False
    """Decode in a thread beside the network: there are more processors than cameras."""

    def chunks(self) -> ChunkFolder:
        """The folder of partial results."""
        return ChunkFolder(Path(self.folder), self.key)


def detect_clip(job: Job, detector: Detector, report: Callable[[int], None]) -> None:
    """Bring the chunks of one clip to its end, from where they stand.

    Args:
        job: clip and folder.
        detector: at the beginning of a clip.
        report: called with the number of frames done, after each of them.
    """
    folder = job.chunks()
    done = folder.open()
    if done.complete:
        return
    if done.last_s is not None:
        detector.restore(done.state)
    number, count, chunk = done.chunks, done.frames, Chunk()
    names = detector.keypoint_names
    footage = frames(open_clip(Path(job.clip)), start_s=done.last_s or 0.0)
    for frame in ahead(footage) if job.overlap else footage:
        if done.last_s is not None and frame.time_s <= done.last_s:
            continue
        if chunk.duration_s >= CHUNK_S:
            folder.write(number, chunk, names, detector.state(), complete=False)
            number, chunk = number + 1, Chunk()
        chunk.add(frame.time_s, detector.step(frame.rgb, frame.time_s))
        count += 1
        report(count)
    folder.write(number, chunk, names, detector.state(), complete=True)


def start_line(jobs: Mapping[str, Job]) -> str:
    """The cameras' jobs as the line that a worker reads."""
    return json.dumps({camera: asdict(job) for camera, job in jobs.items()}) + "\n"


def main() -> int:
    """Do the jobs on the standard input; messages go to the standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stage, which then ends its workers
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not look like a message

    writing = threading.Lock()

    def send(**message: object) -> None:
        with writing:
            out.write(json.dumps(message) + "\n")

    logging.getLogger().addHandler(_Messages(send))
    jobs = {camera: Job(**fields) for camera, fields in json.loads(sys.stdin.readline()).items()}
    if len(jobs) == 1:
        ((camera, job),) = jobs.items()
        _work(camera, job, open_network, send)
        return 0
    meeting = Meeting(len(jobs), open_network)

    def attend(camera: str, job: Job) -> None:
        try:
            _work(camera, job, meeting.open, send)
        finally:
            meeting.leave()

    threads = [threading.Thread(target=attend, args=item) for item in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


def _work(camera: str, job: Job, opener: Callable[[Path], Network], send: Callable[..., None]) -> None:
    """Do one camera's job, and say how it went."""
    try:
        detector = _detector(job, opener)
        detect_clip(job, detector, lambda count: send(camera=camera, frames=count))
        send(camera=camera, finished=True)
    except BrokenPipeError:
        os._exit(1)  # the stage is gone, and nobody is left to tell
    except MocapError as error:
        send(camera=camera, error=str(error))
    except Exception:
        send(camera=camera, failure=traceback.format_exc())


def _detector(job: Job, opener: Callable[[Path], Network]) -> Detector:
    import cv2

    from mocap.detect import DETECTORS
    from mocap.detect.hands import with_hands

    cv2.setNumThreads(1)
    settings = DetectSettings(**job.settings)
    files = {role: Path(path) for role, path in job.files.items()}
    body = DETECTORS[settings.detector].create(files, settings, opener)
    return with_hands(body, files) if settings.hands else body


class _Messages(logging.Handler):
    """Hands log records on to the stage."""

    def __init__(self, send: Callable[..., None]) -> None:
        super().__init__(logging.WARNING)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        self._send(warning=record.getMessage())


if __name__ == "__main__":
    raise SystemExit(main())
