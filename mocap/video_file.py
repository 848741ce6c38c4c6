"""Video files through PyAV: what is in them, and their frames from any time on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.container import lacks_index, promised_size
from mocap.errors import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoFacts:
    """What a video file says about itself."""

    size_px: tuple[int, int]
    """Width and height of the upright image."""
    rate_hz: float
    """Mean frame rate."""
    num_frames: int
    """Frames that are shown."""
    exact: bool
    """False where ``num_frames`` is only duration times rate."""


def probe(path: Path) -> VideoFacts:
    """Look into a video file; one frame is decoded, because the rotation flag comes with it.

    Raises:
        InputError: it is no video, or cut off.
    """
    with _open(path) as container:
        stream = _video_stream(container, path)
        promised = promised_size(path)
        if promised is not None and promised > path.stat().st_size:
            raise _cut_off(path, promised)
        first = _first_frame(container, path)
        rate_hz = float(stream.average_rate or stream.guessed_rate or 0) or 30.0
        num_frames, exact = _count(stream, container, rate_hz)
    turned = _quarter_turns(first) % 2
    size_px = (first.height, first.width) if turned else (first.width, first.height)
    return VideoFacts(size_px, rate_hz, num_frames, exact)


def read_video(path: Path, num_frames: int, start_s: float) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
    """Number, time and upright RGB image of each frame, from the first whose time is at least ``start_s``.

    Raises:
        InputError: decoding fails on the way; the message says how many of ``num_frames`` could be read.
    """
    import av

    start = _plan(path, start_s) if start_s > 0 else _BEGINNING
    read, time_s = start.index, 0.0
    with _open(path) as container:
        stream = _video_stream(container, path)
        # One thread: cameras are read side by side, and every further thread holds frames of its own.
        stream.codec_context.thread_count = 1
        if start.key_pts is not None:
            container.seek(start.key_pts, stream=stream, backward=True)
        try:
            for index, time_s, frame in _shown_frames(container, stream, start):
                if time_s >= start_s:
                    yield index, time_s, _upright(frame)
                read = index + 1
        except av.FFmpegError as error:
            raise InputError(
                f"the video is damaged: only {read} of {num_frames} frames ({time_s:.2f} s) could be read "
                f"({error.strerror})",
                where=path,
                todo="copy it again from the camera, or cut the damaged part off",
            ) from error


# --- Opening ---


def _open(path: Path) -> Any:
    import av

    try:
        return av.open(str(path))
    except av.FFmpegError as error:
        if lacks_index(path):
            raise InputError(
                "the recording was never finished: its index is missing, so that 0 frames (0 s) can be read",
                where=path,
                todo="copy it again from the camera, or repair it with a tool for unfinished MP4 files",
            ) from error
        raise InputError(
            f"this is no video that can be read ({error.strerror})",
            where=path,
            todo="check that the file plays, or copy it again from the camera",
        ) from error


def _video_stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise InputError("there is no video in this file", where=path, todo="check what it holds")
    return container.streams.video[0]


def _first_frame(container: Any, path: Path) -> Any:
    import av

    todo = "copy it again from the camera"
    try:
        for frame in container.decode(video=0):
            return frame
    except av.FFmpegError as error:
        what = f"not one frame can be decoded ({error.strerror})"
        raise InputError(what, where=path, todo=todo) from error
    raise InputError("there is not one frame in this video", where=path, todo=todo)


def _count(stream: Any, container: Any, rate_hz: float) -> tuple[int, bool]:
    """Frames of a stream, and whether that is exact."""
    entries = getattr(stream, "index_entries", None)
    if stream.frames and entries is not None and len(entries) == stream.frames:
        # An edit list hides frames before the true beginning: they are in the file but never shown.
        return sum(not entry.is_discard for entry in entries), True
    if stream.frames:
        return int(stream.frames), True
    if stream.duration is not None:
        duration_s = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        duration_s = container.duration / 1e6
    else:
        return 0, False
    return max(1, round(duration_s * rate_hz)), False


def _cut_off(path: Path, promised: int) -> InputError:
    """The error for a file that is shorter than its container says, with what can be read of it."""
    import av

    size, count, end_s = path.stat().st_size, 0, 0.0
    with _open(path) as container:
        stream = container.streams.video[0]
        of_total = f" of {stream.frames}" if stream.frames else ""
        try:
            for packet in container.demux(stream):
                if packet.size == 0 or (packet.pos is not None and packet.pos + packet.size > size):
                    break
                count += 1
                if packet.pts is not None:
                    end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        except av.FFmpegError:
            log.debug("%s: the packets end with an error, as expected", path)
    return InputError(
        f"the file is cut off at {size / 1e6:.1f} of {promised / 1e6:.1f} MB: "
        f"{count}{of_total} frames ({end_s:.2f} s) can be read",
        where=path,
        todo=f"copy it again from the camera, or keep what can be read: "
        f"ffmpeg -i {path.name} -c copy {path.stem}_part{path.suffix}",
    )


# --- Decoding ---


@dataclass(frozen=True)
class _Start:
    """Where decoding begins."""

    first_pts: int | None
    """Time stamp of the clip's first frame, in the stream's unit; None: that of the first decoded frame."""
    index: int
    """Number of the first frame that counts."""
    key_pts: int | None
    """Key frame to go to; frames before it miss what they refer to and do not count. None: the beginning."""


_BEGINNING = _Start(None, 0, None)


def _plan(path: Path, start_s: float) -> _Start:
    """The key frame from which ``start_s`` is reached; the beginning where the container cannot go to it."""
    shown: list[int] = []
    keys: list[int] = []
    with _open(path) as container:  # packets only: far faster than decoding
        stream = _video_stream(container, path)
        for packet in container.demux(stream):
            if packet.size == 0:  # the end
                continue
            if packet.pts is None:
                return _BEGINNING
            if not packet.is_discard:
                shown.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
        first = min(shown, default=0)
        before = [pts for pts in keys if pts > first and float((pts - first) * stream.time_base) <= start_s]
    if not before or not _lands_on(path, max(before)):
        return _BEGINNING
    return _Start(first, len({pts for pts in shown if pts < max(before)}), max(before))


def _lands_on(path: Path, key_pts: int) -> bool:
    """Whether seeking to a key frame arrives at it or earlier; in MPEG-TS and AVI it may come too late."""
    with _open(path) as container:
        stream = _video_stream(container, path)
        container.seek(key_pts, stream=stream, backward=True)
        for packet in container.demux(stream):
            return packet.pts is not None and packet.is_keyframe and packet.pts <= key_pts
    return False


def _shown_frames(container: Any, stream: Any, start: _Start) -> Iterator[tuple[int, float, Any]]:
    """Number, time and ``av.VideoFrame``; a frame whose time does not advance is left out."""
    first_pts, index, last_pts = start.first_pts, start.index, None
    for frame in container.decode(stream):
        pts = frame.pts
        if pts is None or (start.key_pts is not None and pts < start.key_pts):
            continue
        if last_pts is not None and pts <= last_pts:
            log.warning("%s: a frame that does not advance in time was left out", container.name)
            continue
        first_pts = pts if first_pts is None else first_pts
        last_pts = pts
        yield index, float((pts - first_pts) * stream.time_base), frame
        index += 1


def _quarter_turns(frame: Any) -> int:
    """Counterclockwise quarter turns that bring the stored image upright."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def _upright(frame: Any) -> NDArray[np.uint8]:
    turns = _quarter_turns(frame)
    rgb = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb
