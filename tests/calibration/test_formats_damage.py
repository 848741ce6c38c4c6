"""Damaged calibration files: read, or refused in one line; never a fault of the program."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from calibration import CalibrationError, Cameras
from calibration.formats import CAMERA_FORMATS, read_cameras, write_cameras

_ODD = (b"nan", b"'x'", b'"x"', b"[]", b"{}", b"1e999", b"-1", b"0", b"null", b"true", b"[[1],[2,3]]", b"")


def _cut_off(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _without_a_line(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def _odd_number(data: bytes, rng: random.Random) -> bytes:
    found = list(re.finditer(rb"-?\d+\.\d+(e-?\d+)?|\b\d+\b", data))
    if not found:
        return data
    spot = rng.choice(found)
    return data[: spot.start()] + rng.choice(_ODD) + data[spot.end() :]


def _odd_byte(data: bytes, rng: random.Random) -> bytes:
    i = rng.randrange(len(data))
    return data[:i] + bytes([rng.randrange(256)]) + data[i + 1 :]


def _odd_word(data: bytes, rng: random.Random) -> bytes:
    spot = rng.choice(list(re.finditer(rb"[A-Za-z_]{3,}", data)))
    return data[: spot.start()] + b"zzz" + data[spot.end() :]


DAMAGE = [_cut_off, _without_a_line, _odd_number, _odd_byte, _odd_word]


@pytest.mark.parametrize("name", CAMERA_FORMATS)
def test_damaged_files(name: str, make_cameras: Callable[..., Cameras], tmp_path: Path) -> None:
    rng = random.Random(name)
    files = write_cameras(make_cameras(4 if name == "kalibr" else 5), tmp_path / "out", name)
    whole = {file: file.read_bytes() for file in files}
    refused = 0
    for i in range(60):
        file = rng.choice(files)
        file.write_bytes(DAMAGE[i % len(DAMAGE)](whole[file], rng))
        for given in (None, name):
            try:
                read_cameras(tmp_path / "out", given)
            except CalibrationError as error:
                refused += 1
                assert "\n" not in str(error)
                assert str(tmp_path) in str(error)
        file.write_bytes(whole[file])
    assert refused > 20
