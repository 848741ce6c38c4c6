"""Footage: video files and folders of images, as upright RGB frames with their true times.

Times are presentation times in seconds since the clip's first frame, as the container stores them: a phone's
variable rate stays what it is. Frames come one at a time, so that memory does not grow with the clip.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.container import lacks_index, promised_size
from mocap.errors import InputError

log = logging.getLogger(__name__)

RgbImage = NDArray[np.uint8]

VIDEO_SUFFIXES = frozenset(
    ".mp4 .mov .m4v .avi .mkv .webm .mts .m2ts .ts .mpg .mpeg .wmv .flv .3gp .mxf .ogv .insv .360 .lrv".split()
)
"""File endings, lower case, that are taken for videos."""
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
"""File endings, lower case, that are taken for images."""
DEFAULT_IMAGE_RATE_HZ = 30.0
"""Rate of a folder of images, which carries no times of its own."""


@dataclass(frozen=True)
class Clip:
    """What one camera recorded: a video file or a folder of images."""

    path: Path
    """The file or the folder."""
    size_px: tuple[int, int]
    """Width and height of the upright image, after the rotation flag."""
    rate_hz: float
    """Mean frame rate; single frames may lie closer or wider."""
    num_frames: int
    """How many frames there are."""
    duration_s: float
    """From the first frame to the end of the last one."""
    num_frames_exact: bool = True
    """False where the container has no index, and ``num_frames`` is duration times rate."""


@dataclass(frozen=True)
class Frame:
    """One image of a clip."""

    index: int
    """Number of the frame in the clip, from 0, in order of presentation."""
    time_s: float
    """Presentation time, seconds since the clip's first frame."""
    rgb: RgbImage
    """(H, W, 3) upright image."""


def open_clip(path: Path, *, image_rate_hz: float = DEFAULT_IMAGE_RATE_HZ) -> Clip:
    """Look at a video file or a folder of images, without decoding more than one frame.

    Args:
        path: a video file, or a folder of jpg or png images that are taken in natural order.
        image_rate_hz: frames per second of a folder of images.

    Raises:
        InputError: there is no such file, it is no video, or it is cut off (the message says what can be read).
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path, image_rate_hz)
    if not path.exists():
        raise InputError("there is no such video file or image folder", where=path)
    if path.stat().st_size == 0:
        raise InputError("the file is empty", where=path, todo="copy it again from the camera")
    with _container(path) as container:
        stream = _video_stream(container, path)
        promised = promised_size(path)
        if promised is not None and promised > path.stat().st_size:
            raise _cut_off(path, promised)
        first = _first_frame(container, path)
        rate_hz = float(stream.average_rate or stream.guessed_rate or 0) or 30.0
        num_frames, exact = _count(stream, container, rate_hz)
    turned = _quarter_turns(first) % 2
    size_px = (first.height, first.width) if turned else (first.width, first.height)
    return Clip(path, size_px, rate_hz, num_frames, num_frames / rate_hz, exact)


def frames(clip: Clip, *, start_s: float = 0.0) -> Iterator[Frame]:
    """The frames of a clip, one after the other, from the first whose time is at least ``start_s``.

    They are the same, bit for bit and with the same numbers, wherever reading starts.

    Raises:
        InputError: the clip cannot be read to its end; the message says how far it could.
    """
    if clip.path.is_dir():
        yield from _folder_frames(clip, start_s)
        return
    import av

    with _container(clip.path) as container:
        stream = _video_stream(container, clip.path)
        # One thread: cameras are read side by side, and every further thread holds frames of its own.
        stream.codec_context.thread_count = 1
        start = _seek(container, clip, start_s) if start_s > 0 else _BEGINNING
        last: Frame | None = None
        try:
            for frame in _presented(container, stream, start):
                if frame.time_s >= start_s:
                    last = frame
                    yield Frame(frame.index, frame.time_s, _upright(frame.rgb))
        except av.FFmpegError as error:
            raise _broken(clip, last, error) from error


def find_clips(folder: Path) -> dict[str, Path]:
    """Camera name to its clip: ``<camera>.<video>`` files and ``<camera>/`` folders of jpg or png images.

    Names come in natural order. Other files are ignored; a folder that is not there holds no clips.

    Raises:
        InputError: two clips claim the same camera name.
    """
    clips: dict[str, Path] = {}
    if not folder.is_dir():
        return clips
    for path in sorted(folder.iterdir(), key=lambda path: natural_order(path.name)):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if not any(_is_image(file) for file in path.iterdir()):
                continue
            name = path.name
        elif path.suffix.lower() in VIDEO_SUFFIXES:
            name = path.stem
        else:
            continue
        if name in clips:
            raise InputError(
                f"two clips for the camera {name!r}: {clips[name].name} and {path.name}",
                where=folder,
                todo="keep one of them there",
            )
        clips[name] = path
    return clips


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorting key that counts: img2 comes before img10."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part.lower()) for part in parts)


# --- Folders of images ---


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _image_files(folder: Path) -> list[Path]:
    return sorted(filter(_is_image, folder.iterdir()), key=lambda path: natural_order(path.name))


def _open_folder(folder: Path, rate_hz: float) -> Clip:
    if not 0 < rate_hz < float("inf"):
        raise InputError(f"{rate_hz} is no frame rate", where=folder, todo="give the images per second")
    files = _image_files(folder)
    if not files:
        raise InputError("there are no jpg or png images in this folder", where=folder)
    height, width = _read_image(files[0]).shape[:2]
    return Clip(folder, (width, height), rate_hz, len(files), len(files) / rate_hz)


def _read_image(path: Path) -> RgbImage:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(
            f"this image cannot be read ({error})", where=path, todo="copy it again, or remove it"
        ) from error


def _folder_frames(clip: Clip, start_s: float) -> Iterator[Frame]:
    for index, file in enumerate(_image_files(clip.path)):
        time_s = index / clip.rate_hz
        if time_s < start_s:
            continue
        rgb = _read_image(file)
        if (rgb.shape[1], rgb.shape[0]) != clip.size_px:
            raise InputError(
                f"the image is {rgb.shape[1]}x{rgb.shape[0]}, the first one of its folder "
                f"{clip.size_px[0]}x{clip.size_px[1]}",
                where=file,
                todo="one camera's images must have one size",
            )
        yield Frame(index, time_s, rgb)


# --- Video files ---


@dataclass(frozen=True)
class _Start:
    """Where decoding begins."""

    first_pts: int | None
    """Time stamp of the clip's first frame, in the stream's unit; None: that of the first decoded frame."""
    index: int
    """Number of the first frame that counts."""
    from_pts: int | None
    """Frames before this time stamp belong to an earlier key frame and are incomplete; None: all count."""


_BEGINNING = _Start(None, 0, None)


@dataclass(frozen=True)
class _Decoded:
    """A decoded frame before its conversion to RGB, with its place in the clip."""

    index: int
    time_s: float
    rgb: Any
    """The ``av.VideoFrame``; converted only where it is wanted."""


def _container(path: Path) -> Any:
    import av

    av.logging.set_level(av.logging.PANIC)  # ours is the message that counts
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

    try:
        for frame in container.decode(video=0):
            return frame
    except av.FFmpegError as error:
        raise InputError(
            f"not one frame can be decoded ({error.strerror})",
            where=path,
            todo="copy it again from the camera",
        ) from error
    raise InputError("there is not one frame in this video", where=path, todo="copy it again from the camera")


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


def _quarter_turns(frame: Any) -> int:
    """Counterclockwise quarter turns that bring the stored image upright."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def _upright(frame: Any) -> RgbImage:
    turns = _quarter_turns(frame)
    rgb = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def _presented(container: Any, stream: Any, start: _Start) -> Iterator[_Decoded]:
    """Decoded frames with number and time; a frame whose time does not advance is left out."""
    first_pts, index, last_pts = start.first_pts, start.index, None
    for frame in container.decode(stream):
        pts = frame.pts
        if pts is None or (start.from_pts is not None and pts < start.from_pts):
            continue
        if last_pts is not None and pts <= last_pts:
            log.warning("%s: a frame that does not advance in time was left out", container.name)
            continue
        first_pts = pts if first_pts is None else first_pts
        last_pts = pts
        yield _Decoded(index, float((pts - first_pts) * stream.time_base), frame)
        index += 1


def _seek(container: Any, clip: Clip, start_s: float) -> _Start:
    """Go to the key frame at or before ``start_s``; stay at the beginning where the packets carry no times."""
    stream = container.streams.video[0]
    shown: list[int] = []
    keys: list[int] = []
    with _container(clip.path) as other:  # reads packets only: much faster than decoding
        for packet in other.demux(video=0):
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
    for key in sorted(before, reverse=True):
        container.seek(key, stream=stream, backward=True)
        landed = next(packet.pts for packet in container.demux(stream))
        container.seek(key, stream=stream, backward=True)
        if landed is not None and landed <= key:
            return _Start(first, len({pts for pts in shown if pts < key}), key)
    if before:
        container.seek(min(keys), stream=stream, backward=True)
    return _BEGINNING


# --- Clips that end too early ---


def _cut_off(path: Path, promised: int) -> InputError:
    """The error for a file that is shorter than its container says, with what can be read of it."""
    import av

    size, count, total, end_s = path.stat().st_size, 0, 0, 0.0
    with _container(path) as container:
        stream = container.streams.video[0]
        total = int(stream.frames)
        try:
            for packet in container.demux(stream):
                if packet.size == 0 or (packet.pos is not None and packet.pos + packet.size > size):
                    break
                count += 1
                if packet.pts is not None:
                    end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        except av.FFmpegError:
            log.debug("%s: the packets end with an error, as expected", path)
    of_total = f" of {total}" if total else ""
    return InputError(
        f"the file is cut off at {size / 1e6:.1f} of {promised / 1e6:.1f} MB: "
        f"{count}{of_total} frames ({end_s:.2f} s) can be read",
        where=path,
        todo=f"copy it again from the camera, or keep what can be read: "
        f"ffmpeg -i {path.name} -c copy {path.stem}_part{path.suffix}",
    )


def _broken(clip: Clip, last: Frame | None, error: Exception) -> InputError:
    """The error for a clip that stops decoding half-way."""
    read = f"only {last.index + 1} of {clip.num_frames} frames ({last.time_s:.2f} s)" if last else "no frame"
    return InputError(
        f"the video is damaged: {read} could be read ({getattr(error, 'strerror', error)})",
        where=clip.path,
        todo="copy it again from the camera, or cut the damaged part off",
    )


# --- Writing ---


class ClipWriter:
    """Writes an H.264 mp4; the same frames give the same bytes. The file appears when it is complete.

    Args:
        path: file to write.
        size_px: width and height, both even.
        rate_hz: frame rate.
        crf: x264's quality, 0 (lossless) to 51; 23 is a camera's ordinary quality.
    """

    def __init__(self, path: Path, size_px: tuple[int, int], rate_hz: float, crf: float = 23) -> None:
        if size_px[0] % 2 or size_px[1] % 2:
            raise ValueError(f"H.264 needs an even width and height, not {size_px}")
        self.path = Path(path)
        self.size_px = size_px
        self._partial = self.path.with_name(f".{self.path.name}.part")
        self._rate = Fraction(rate_hz).limit_denominator(1001)
        # Ten ticks a frame leave room for frames that come early or late.
        self._tick = 1 / (self._rate * 10)
        self._count = 0
        self._crf = crf
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> ClipWriter:
        """Begin the file."""
        import av

        self._container = av.open(str(self._partial), "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=self._rate)
        self._stream.width, self._stream.height = self.size_px
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": str(self._crf)}
        self._stream.codec_context.thread_count = 1  # x264's choices depend on the number of threads
        self._stream.codec_context.time_base = self._tick
        return self

    def write(self, rgb: RgbImage, time_s: float | None = None) -> None:
        """Append one (H, W, 3) image.

        Args:
            rgb: the image.
            time_s: its presentation time; by default the frames are evenly spaced.
        """
        import av

        if rgb.shape != (self.size_px[1], self.size_px[0], 3):
            raise ValueError(f"the image must be {(self.size_px[1], self.size_px[0], 3)}, not {rgb.shape}")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame.pts = self._count * 10 if time_s is None else round(time_s / self._tick)
        frame.time_base = self._tick
        self._count += 1
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or drop it where the frames could not all be made."""
        try:
            if kind is None:
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
            self._container.close()
            if kind is None:
                self._partial.replace(self.path)
        finally:
            self._partial.unlink(missing_ok=True)
