"""Footage: video files and folders of images, as upright RGB frames with their true times.

Times are presentation times in seconds since the clip's first frame, as the container stores them: a phone's
variable rate stays what it is. Frames come one at a time, so that memory does not grow with the clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocap.clip_writer import ClipWriter
from mocap.errors import InputError
from mocap.image_folder import IMAGE_SUFFIXES, image_files, natural_order, read_folder, read_image
from mocap.video_file import probe, read_video

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Clip",
    "ClipWriter",
    "Frame",
    "find_clips",
    "frames",
    "natural_order",
    "open_clip",
]

RgbImage = NDArray[np.uint8]

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg"}
    | {".wmv", ".flv", ".3gp", ".mxf", ".ogv", ".insv", ".360", ".lrv"}
)
"""File endings, lower case, that are taken for videos."""
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
    """Look at a video file or a folder of images; not more than one frame is decoded.

    Args:
        path: a video file, or a folder of jpg or png images that are taken in natural order.
        image_rate_hz: frames per second of a folder of images.

    Raises:
        InputError: no such file, no video, or a cut-off one: the message says what can be read.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path, image_rate_hz)
    if not path.exists():
        raise InputError("there is no such video file or image folder", where=path)
    if path.stat().st_size == 0:
        raise InputError("the file is empty", where=path, todo="copy it again from the camera")
    facts = probe(path)
    duration_s = facts.num_frames / facts.rate_hz
    return Clip(path, facts.size_px, facts.rate_hz, facts.num_frames, duration_s, facts.exact)


def _open_folder(folder: Path, rate_hz: float) -> Clip:
    if not 0 < rate_hz < float("inf"):
        raise InputError(f"{rate_hz} is no frame rate", where=folder, todo="give the images per second")
    files = image_files(folder)
    if not files:
        raise InputError("there are no jpg or png images in this folder", where=folder)
    height, width = read_image(files[0]).shape[:2]
    return Clip(folder, (width, height), rate_hz, len(files), len(files) / rate_hz)


def frames(clip: Clip, *, start_s: float = 0.0) -> Iterator[Frame]:
    """The frames of a clip, one after the other, from the first whose time is at least ``start_s``.

    They are the same, bit for bit and with the same numbers, wherever reading starts.

    Raises:
        InputError: the clip cannot be read to its end; the message says how far it could.
    """
    if clip.path.is_dir():
        read = read_folder(clip.path, clip.size_px, clip.rate_hz, start_s)
    else:
        read = read_video(clip.path, clip.num_frames, start_s)
    for index, time_s, rgb in read:
        yield Frame(index, time_s, rgb)


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
            if not image_files(path):
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
