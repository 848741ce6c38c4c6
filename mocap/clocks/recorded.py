"""What a clip says of when it was recorded: timecode, and the time of recording."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_CREATED_STD_S = 2.0
"""Recorders write whole seconds, when they begin or when they end, by a clock that somebody set."""
_TIMECODE_STD_FRAMES = 2.0
"""Recorders in one timecode agree to a frame or two."""


@dataclass(frozen=True)
class Recorded:
    """What one clip tells without being decoded."""

    rate_hz: float
    """Frames per second."""
    start_s: float | None = None
    """When its first frame was taken, seconds of the day or of the epoch; None where it does not say."""
    std_s: float = 0.0
    """Standard deviation of that, seconds."""
    source: str = ""
    """timecode or time of recording."""


def recorded(path: Path, rate_hz: float) -> Recorded:
    """Read the labels of a video file; a folder of images has none."""
    import av
    from av.error import FFmpegError

    if path.is_dir():
        return Recorded(rate_hz)
    try:
        with av.open(str(path)) as container:
            labels = dict(container.metadata)
            for stream in container.streams:
                labels |= {key: value for key, value in stream.metadata.items() if key == "timecode"}
    except FFmpegError:  # whoever decodes it will say what is wrong with the file
        return Recorded(rate_hz)
    return from_labels(labels, rate_hz)


def from_labels(labels: dict[str, Any], rate_hz: float) -> Recorded:
    """The start of a clip by its labels: timecode where it counts, else the time of recording."""
    start_s = timecode_seconds(str(labels.get("timecode", "")), rate_hz)
    if start_s:  # a counter that begins at 0 was never set
        return Recorded(rate_hz, start_s, _TIMECODE_STD_FRAMES / rate_hz, "timecode")
    text = labels.get("com.apple.quicktime.creationdate") or labels.get("creation_time")
    try:
        created = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return Recorded(rate_hz)
    if created.year < 1990 or created.tzinfo is None:  # the epoch of a container: never set
        return Recorded(rate_hz)
    return Recorded(rate_hz, created.timestamp(), _CREATED_STD_S, "time of recording")


def timecode_seconds(text: str, rate_hz: float) -> float | None:
    """Seconds of ``hh:mm:ss:ff``, or of ``hh:mm:ss;ff`` with dropped numbers (SMPTE 12M); None for others."""
    match = re.fullmatch(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)", text)
    if match is None:
        return None
    hours, minutes, seconds, frames = (int(match[k]) for k in (1, 2, 3, 5))
    nominal = round(rate_hz)
    number = ((hours * 60 + minutes) * 60 + seconds) * nominal + frames
    if match[4] != ":" and nominal % 30 == 0:
        passed = hours * 60 + minutes
        number -= nominal // 15 * (passed - passed // 10)
    return number / rate_hz
