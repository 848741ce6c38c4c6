"""What the command line shows: the progress of long work, and small tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

_TERMINAL_S, _LOG_S = 0.2, 10.0
"""Seconds between two updates: on a terminal, and in a log."""


class ProgressLine:
    """Shows how far the work is, its rate and the time left, on stderr.

    A terminal gets one line that changes; a log gets a line every ten seconds.
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._what = ""
        self._start = self._shown = 0.0
        self._first = 0.0
        self._finished = False

    def __call__(self, what: str, done: float, total: float | None = None, /) -> None:
        """Report ``done`` of ``total`` units of the work named ``what``."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._start, self._first, self._shown = what, now, done, now
            self._finished = False
        finished = total is not None and done >= total
        if finished and self._finished:
            return
        self._finished = finished
        if not finished and now - self._shown < (_TERMINAL_S if self._terminal else _LOG_S):
            return
        self._shown = now
        line = self._line(done, total, now - self._start)
        end = "\n" if finished or not self._terminal else ""
        sys.stderr.write((f"\r\x1b[K{line}" if self._terminal else line) + end)
        sys.stderr.flush()

    def _line(self, done: float, total: float | None, elapsed_s: float) -> str:
        # Work that was resumed starts above zero: only what was done now tells the rate.
        rate = (done - self._first) / elapsed_s if elapsed_s > 0 else 0.0
        line = f"{self._what}: {done:g}" + (f" of {total:g}" if total is not None else "")
        if rate > 0:
            line += f", {rate:.3g}/s"
            if total is not None and done < total:
                line += f", {_duration((total - done) / rate)} left"
        return line


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as a table of aligned columns."""
    if not rows:
        return "none"
    table = [list(rows[0])] + [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " ".join(_cell(item) for item in value)
    return "" if value is None else str(value)
