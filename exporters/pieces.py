"""Contents of files that are made as they are written: an hour needs no more memory than a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

PIECE_FRAMES: Final = 4096
"""Frames of a motion that are worked on at once."""


@dataclass(frozen=True)
class Pieces:
    """A file's contents, made anew each time that they are asked for."""

    make: Callable[[], Iterator[bytes]]
    """Yields the contents in order."""

    def __iter__(self) -> Iterator[bytes]:
        return self.make()

    def __bytes__(self) -> bytes:
        return b"".join(self.make())


def piece_ranges(frames: range) -> Iterator[slice]:
    """A motion's frames in slices that follow each other."""
    for start in range(frames.start, frames.stop, PIECE_FRAMES):
        yield slice(start, min(start + PIECE_FRAMES, frames.stop))
