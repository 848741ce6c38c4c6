"""Is a video file all there? Read from the container's own boxes, without decoding anything."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_MP4_BOXES = {
    b"ftyp",
    b"moov",
    b"mdat",
    b"free",
    b"skip",
    b"wide",
    b"styp",
    b"moof",
    b"sidx",
    b"pnot",
    b"uuid",
}
_MATROSKA_SEGMENT = bytes.fromhex("18538067")
_MATROSKA_HEADER = bytes.fromhex("1a45dfa3")


def promised_size(path: Path) -> int | None:
    """Bytes that the file must have by its own account; None where its format does not say.

    A file shorter than this was cut off while it was copied or recorded.
    """
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[4:8] in _MP4_BOXES:
            return max((end for _, end in _mp4_boxes(file)), default=None)
        if head[:4] == _MATROSKA_HEADER:
            return _matroska_size(file)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little")
    return None


def lacks_index(path: Path) -> bool:
    """Whether this is an MP4 or MOV without its index: the recorder was stopped before it could write it."""
    with path.open("rb") as file:
        kinds = {kind for kind, _ in _mp4_boxes(file)}
    return b"ftyp" in kinds and not kinds & {b"moov", b"moof"}


def _mp4_boxes(file: BinaryIO) -> list[tuple[bytes, int]]:
    """Kind and end (byte) of each top-level box; the last one may end beyond the file."""
    boxes: list[tuple[bytes, int]] = []
    start = 0
    while len(header := _read_at(file, start, 16)) >= 8:
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if size == 1:  # the true size follows, in 64 bits
            size = int.from_bytes(header[8:16], "big")
        if size < 8 or (not boxes and kind not in _MP4_BOXES):  # 0 means up to the end of the file
            break
        start += size
        boxes.append((kind, start))
    return boxes


def _matroska_size(file: BinaryIO) -> int | None:
    header_size, header_end = _matroska_number(file, 4)
    start = header_end + (header_size or 0)
    if _read_at(file, start, 4) != _MATROSKA_SEGMENT:
        return None
    size, content = _matroska_number(file, start + 4)
    return None if size is None else content + size


def _matroska_number(file: BinaryIO, start: int) -> tuple[int | None, int]:
    """A number of variable length and the byte after it; None where it stands for unknown."""
    raw = _read_at(file, start, 8).ljust(8, b"\0")
    length = 9 - raw[0].bit_length() if raw[0] else 8
    value = int.from_bytes(raw[:length], "big") & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), start + length


def _read_at(file: BinaryIO, start: int, count: int) -> bytes:
    file.seek(start)
    return file.read(count)
