"""The worker processes of the detection: started, listened to, and ended together."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from mocap.detect.worker import Job, start_line
from mocap.errors import MocapError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Worker:
    """One running process."""

    process: subprocess.Popen[str]
    """The process."""
    listener: threading.Thread
    """Reads what it says."""
    errors: IO[bytes]
    """What it printed, to be shown where it dies."""

    def end(self) -> None:
        """Stop it, if it still runs, and let go of everything."""
        self.process.kill()
        self.process.wait()
        self.listener.join()
        self.errors.close()

    def last_words(self) -> str:
        """How it ended, and the last line that it printed."""
        code = self.process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return f"{how}: {lines[-1]}" if lines else how


class Crew:
    """Does the jobs of several cameras, a few at a time.

    Args:
        jobs: one for each camera.
        together: all in one process, where they ask a network together; otherwise each in a process.
        finish: called with the camera's name as soon as its job is done.
        report: called with the frames done, all cameras together.
    """

    def __init__(
        self,
        jobs: Mapping[str, Job],
        finish: Callable[[str], None],
        report: Callable[[int], None],
        *,
        together: bool = False,
    ) -> None:
        self._shifts = [dict(jobs)] if together else [{camera: job} for camera, job in jobs.items()]
        self._finish = finish
        self._report = report
        self._frames: dict[str, int] = {}
        self._running: dict[int, _Worker] = {}  # by the number of its shift
        self._inbox: queue.SimpleQueue[tuple[int, dict[str, Any] | None]] = queue.SimpleQueue()
        self.warnings: list[str] = []
        """What the workers logged."""

    def work(self, *, processes: int) -> None:
        """Do all jobs, so many at a time. Whatever happens, no worker is left running.

        Raises:
            MocapError: a worker reported a fault of its input, or died.
        """
        waiting = [number for number, jobs in enumerate(self._shifts) if jobs]
        try:
            while waiting or self._running:
                while waiting and len(self._running) < processes:
                    shift = waiting.pop(0)
                    self._running[shift] = self._start(shift)
                self._take(*self._inbox.get())
        finally:
            for worker in self._running.values():
                worker.end()

    def _start(self, shift: int) -> _Worker:
        errors = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the worker
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        # One thread in each worker: cameras are what runs in parallel.
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "mocap.detect.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            env=environment,
        )
        listener = threading.Thread(target=self._listen, args=(shift, process), daemon=True)
        listener.start()
        return _Worker(process, listener, errors)

    def _listen(self, shift: int, process: subprocess.Popen[str]) -> None:
        """Give a worker its jobs and put what it says into the inbox; None when it has closed its output."""
        if process.stdin is None or process.stdout is None:
            raise ValueError("the worker needs pipes")
        try:
            with process.stdin as line:
                line.write(start_line(self._shifts[shift]))
        except OSError:
            log.debug("the worker of %s died before it was given its job", ", ".join(self._shifts[shift]))
        with process.stdout as lines:
            for line in lines:
                self._inbox.put((shift, json.loads(line)))
        self._inbox.put((shift, None))

    def _take(self, shift: int, message: dict[str, Any] | None) -> None:
        """Act on what a worker said."""
        if shift not in self._running:
            return  # the end of the output of one that is finished
        if message is None:
            raise _failed(", ".join(self._shifts[shift]), self._running[shift].last_words())
        camera = message.get("camera") or ", ".join(self._shifts[shift])
        if "error" in message:
            raise MocapError(message["error"])
        if "failure" in message:
            log.debug("camera %s: %s", camera, message["failure"])
            raise _failed(camera, message["failure"].strip().splitlines()[-1])
        if "warning" in message:
            log.warning("camera %s: %s", camera, message["warning"])
            self.warnings.append(f"camera {camera}: {message['warning']}")
        if "frames" in message:
            self._frames[camera] = message["frames"]
            self._report(sum(self._frames.values()))
        if "finished" in message:
            del self._shifts[shift][camera]
            if not self._shifts[shift]:
                self._running.pop(shift).end()
            self._finish(camera)


def _failed(camera: str, why: str) -> MocapError:
    return MocapError(
        f"detection in camera {camera} stopped ({why}); what is done is kept: run the same command again, "
        "and if it stops again with --verbose"
    )
