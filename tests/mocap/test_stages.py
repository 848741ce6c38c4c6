from collections.abc import Mapping
from pathlib import Path

import pytest

from mocap.stages import Record, Stage, State


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.txt").write_text("input")
    return tmp_path


def stage(folder: Path, settings: Mapping[str, object] | None = None, version: int = 1) -> Stage:
    out = folder / "out.txt"
    return Stage(
        "copy",
        {"in": folder / "in.txt"},
        settings or {"a": 1},
        lambda: [path for path in (out,) if path.exists()],
        version,
    )


def made(folder: Path) -> Record:
    record = Record(folder / ".mocap" / "stages.json", folder)
    record.begin(stage(folder))
    (folder / "out.txt").write_text("output")
    record.finish(stage(folder))
    return record


def test_fresh_until_anything_changes(folder: Path) -> None:
    record = made(folder)
    assert record.state(stage(folder)) is State.FRESH
    assert record.state(stage(folder, {"a": 2})) is State.STALE
    assert record.state(stage(folder, version=2)) is State.STALE
    (folder / "in.txt").write_text("other input")
    assert record.state(stage(folder)) is State.STALE
    (folder / "in.txt").write_text("input")
    assert record.state(stage(folder)) is State.FRESH


def test_results_from_elsewhere_are_kept(folder: Path) -> None:
    record = Record(folder / ".mocap" / "stages.json", folder)
    assert record.state(stage(folder)) is State.MISSING
    (folder / "out.txt").write_text("from another program")
    assert record.state(stage(folder)) is State.FOREIGN


def test_an_edited_result_is_kept_and_a_deleted_one_made_again(folder: Path) -> None:
    record = made(folder)
    (folder / "out.txt").write_text("edited")
    assert record.state(stage(folder)) is State.FOREIGN
    (folder / "out.txt").unlink()
    assert record.state(stage(folder)) is State.MISSING


def test_half_written_results_are_made_again(folder: Path) -> None:
    record = Record(folder / ".mocap" / "stages.json", folder)
    record.begin(stage(folder))
    (folder / "out.txt").write_text("half")
    assert record.state(stage(folder)) is State.MISSING
