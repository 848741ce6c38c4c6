"""Long motions are written a piece at a time: the same file, and no more memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from exporters import EXPORTERS, Character, ExportError, Pieces, Take, export, pieces

from ..clients.walk import walking_character, walking_take

STREAMED = ["bvh", "csv", "trc"]


@pytest.mark.parametrize("name", STREAMED)
def test_the_pieces_make_the_same_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    take = walking_take(num_frames=120, turns=3.0)
    (whole,) = EXPORTERS[name](take, start_frame=3).values()
    expected = bytes(whole)
    monkeypatch.setattr(pieces, "PIECE_FRAMES", 7)
    (parts,) = EXPORTERS[name](take, start_frame=3).values()
    assert isinstance(parts, Pieces)
    assert len(list(parts)) > 10
    assert bytes(parts) == expected
    assert bytes(parts) == expected, "a second time"


def written_peak(name: str, num_frames: int, folder: Path) -> int:
    take = Take("walk", (walking_character(num_frames=num_frames),))
    tracemalloc.start()
    try:
        export(take, folder / f"walk.{name}")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", STREAMED)
def test_memory_does_not_grow(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_FRAMES", 100)
    written_peak(name, 150, tmp_path)  # what is loaded but once
    short, long = (written_peak(name, count, tmp_path) for count in (150, 1500))
    poses_bytes = 1350 * 24 * 9 * 8
    assert long - short < 0.2 * poses_bytes


def test_a_frame_without_a_pose_is_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_FRAMES", 10)
    character = walking_character(num_frames=40)
    poses = character.motion.poses.copy()
    poses[33] = float("nan")
    motion = replace(character.motion, poses=poses)
    with pytest.raises(ExportError, match="frame 33"):
        EXPORTERS["bvh"](Take("walk", (Character("0", character.skeleton, motion),)))
