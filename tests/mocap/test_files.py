import errno
import os
from pathlib import Path

import numpy as np
import pytest

from mocap import files
from mocap.errors import InputError


def test_json_and_npz_carry_format_and_version(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", "thing", 1, {"x": np.float64(1.5), "missing": float("nan")})
    assert files.read_json(tmp_path / "a.json", "thing", 1) == {
        "format": "thing",
        "version": 1,
        "x": 1.5,
        "missing": None,
    }
    files.write_npz(tmp_path / "a.npz", "thing", 1, {"x": np.arange(3)})
    arrays = files.read_npz(tmp_path / "a.npz", "thing", 1, required=("x",))
    assert arrays["x"].tolist() == [0, 1, 2]
    assert arrays["version"].item() == 1


def test_the_same_arrays_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        files.write_npz(tmp_path / name, "thing", 1, {"x": np.arange(1000.0)})
        os.utime(tmp_path / name, (1, 1))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("kind", ["json", "npz"])
def test_a_newer_version_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    write, read = (files.write_json, files.read_json) if kind == "json" else (files.write_npz, files.read_npz)
    write(path, "thing", 2, {"x": np.arange(3)})
    extra = {} if kind == "json" else {"required": ("x",)}
    with pytest.raises(InputError, match="has version 2 and this program reads up to 1; update"):
        read(path, "thing", 1, **extra)
    with pytest.raises(InputError, match="is a 'thing' file, not 'other'"):
        read(path, "other", 2, **extra)


def test_a_file_without_a_version_is_of_version_1(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    assert files.read_npz(tmp_path / "a.npz", "thing", 1, required=("x",))["x"].sum() == 3


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    with pytest.raises(InputError, match="lacks y, z; it holds: x"):
        files.read_npz(tmp_path / "a.npz", "thing", 1, required=("x", "y", "z"))


class Planted:
    """Creates a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.path,)


def test_code_in_an_npz_never_runs(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    np.savez(tmp_path / "a.npz", x=np.array([Planted(str(trap))], dtype=object))
    with pytest.raises(InputError, match="no readable NPZ"):
        files.read_npz(tmp_path / "a.npz", "thing", 1, required=("x",))
    assert not trap.exists()


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    files.write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"a\.bin: the disk is full; free some space"):
        files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.bin"]


def test_large_files_are_told_apart_by_any_of_their_blocks(tmp_path: Path) -> None:
    size = files._WHOLE_HASH_BYTES + 12345
    first = tmp_path / "a"
    first.write_bytes(bytes(size))
    before = files.fingerprint(first)
    assert files.fingerprint(first) == before
    with first.open("r+b") as file:
        file.seek(size - 1)
        file.write(b"x")
    assert files.fingerprint(first) != before
    first.write_bytes(bytes(size + 1))
    assert files.fingerprint(first) != before


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_damaged_npz_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: is no readable NPZ file"):
        files.read_npz(tmp_path / "a.npz", "thing", 1, required=("x",))
