"""SMPTE timecode: hours, minutes, seconds and frames, with and without dropped numbers.

At 30000/1001 and 60000/1001 frames a second, drop-frame timecode leaves out the numbers of the first two
(four) frames of each minute but every tenth, so that it keeps up with the clock on the wall (SMPTE ST 12-1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporters.errors import ExportError

_PATTERN = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})([:;.,])(\d{1,3})")
_FAMILY = 1e-4
"""Relative: 29.97 is meant for 30000/1001."""


@dataclass(frozen=True)
class Timecode:
    """A frame's number since midnight, and how it is written."""

    frame: int
    """Frames since 00:00:00:00."""
    fps: int
    """Frame numbers in a second: 30 for 29.97 too."""
    drop: bool = False
    """Whether numbers are left out to keep up with the clock."""

    def __post_init__(self) -> None:
        if self.frame < 0 or self.fps < 1:
            raise ValueError(f"no timecode of frame {self.frame} at {self.fps} numbers a second")
        if self.drop and self.fps % 30:
            raise ExportError(f"timecode drops numbers at 29.97 and 59.94 frames a second, not at {self.fps}")

    @classmethod
    def parse(cls, text: str, rate_hz: float) -> Timecode:
        """The timecode that is written so; a ``;`` before the frames means that numbers are dropped.

        Args:
            text: such as ``01:02:03:04``.
            rate_hz: frames a second of what it counts.

        Raises:
            ExportError: it is no timecode, or has a number that does not occur at that rate.
        """
        found = _PATTERN.fullmatch(text.strip())
        if found is None:
            raise ExportError(
                f"{text!r} is no timecode; write it like 01:00:00:00, or 01:00:00;00 for drop-frame"
            )
        hours, minutes, seconds, frames = (int(found[group]) for group in (1, 2, 3, 5))
        fps, drop = round(rate_hz), found[4] in ";."
        left_out = drop and seconds == 0 and minutes % 10 and frames < _dropped(fps)
        if hours > 23 or minutes > 59 or seconds > 59 or frames >= fps or left_out:
            raise ExportError(f"timecode {text} does not occur at {rate_hz:.6g} frames a second")
        if drop and abs(rate_hz * 1.001 / fps - 1) > _FAMILY:
            raise ExportError(
                f"timecode {text} is drop-frame, which {rate_hz:.6g} frames a second do not have"
            )
        total = 60 * hours + minutes
        frame = (60 * total + seconds) * fps + frames
        return cls(frame - (_dropped(fps) * (total - total // 10) if drop else 0), fps, drop)

    def __add__(self, frames: int) -> Timecode:
        """The timecode of a frame this many later."""
        return Timecode(self.frame + frames, self.fps, self.drop)

    def __str__(self) -> str:
        number = self.frame
        if self.drop:
            dropped = _dropped(self.fps)
            minute = 60 * self.fps - dropped
            tens, rest = divmod(number, 10 * minute + dropped)
            number += dropped * (9 * tens + max(0, (rest - dropped) // minute))
        seconds, frames = divmod(number, self.fps)
        minutes, seconds = divmod(seconds, 60)
        sign = ";" if self.drop else ":"
        return f"{minutes // 60 % 24:02}:{minutes % 60:02}:{seconds:02}{sign}{frames:02}"


def _dropped(fps: int) -> int:
    """Numbers left out at the start of a minute."""
    return 2 * fps // 30
