from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest

from exporters import (
    EXPORTERS,
    Exporter,
    ExportError,
    FileFormat,
    Take,
    available_formats,
    export,
    format_options,
)
from exporters.axes import WORLD

from ..clients.walk import walking_take


@pytest.fixture(scope="module")
def take() -> Take:
    return walking_take(num_frames=3)


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_format_writes_a_file_of_its_suffix(name: str, take: Take, tmp_path: Path) -> None:
    exporter = EXPORTERS[name]
    assert isinstance(exporter, Exporter)
    assert export(take, tmp_path / f"walk{exporter.suffix}") == [tmp_path / f"walk{exporter.suffix}"]
    assert export(take, tmp_path / "sub" / "run", format=name) == [tmp_path / "sub" / f"run{exporter.suffix}"]
    assert export(take, tmp_path, format=name) == [tmp_path / f"0{exporter.suffix}"]
    assert listing(tmp_path) == [f"0{exporter.suffix}", f"sub/run{exporter.suffix}", f"walk{exporter.suffix}"]


def test_several_people_share_a_name(tmp_path: Path) -> None:
    take = walking_take("anna", "ben", num_frames=2)
    made = export(take, tmp_path / "walk.bvh")
    assert [path.name for path in made] == ["walk_anna.bvh", "walk_ben.bvh"]
    made = export(take, tmp_path, format="bvh")
    assert [path.name for path in made] == ["anna.bvh", "ben.bvh"]
    assert len(listing(tmp_path)) == 4


def test_a_dot_in_a_name_is_no_suffix(take: Take, tmp_path: Path) -> None:
    assert export(take, tmp_path / "person.1", format="bvh") == [tmp_path / "person.1.bvh"]
    (tmp_path / "take.01").mkdir()
    assert export(take, tmp_path / "take.01", format="bvh") == [tmp_path / "take.01" / "0.bvh"]


def test_formats_say_which_options_they_take() -> None:
    assert {"rig", "unit", "rotation_order", "up", "tpose_first_frame"} <= set(format_options("bvh"))
    assert format_options("npz") == ()
    with pytest.raises(ExportError, match="no export format"):
        format_options("fpx")


def test_options_reach_the_format(take: Take, tmp_path: Path) -> None:
    (file,) = export(take, tmp_path / "walk.BVH", rig="unreal", unit="m")
    assert "ROOT pelvis" in file.read_text()


def test_what_is_there_is_replaced_or_kept_whole(
    take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "walk.bvh"
    file.write_text("old")
    with pytest.raises(ExportError):
        export(take, file, rig="nobody")
    assert file.read_text() == "old"

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(ExportError, match=r"cannot write .*walk\.bvh: No space left on device"):
            export(take, file)
    assert file.read_text() == "old"
    assert listing(tmp_path) == ["walk.bvh"]
    export(take, file)
    assert file.read_text().startswith("HIERARCHY")
    assert listing(tmp_path) == ["walk.bvh"]


def test_new_files_get_the_usual_permissions(take: Take, tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    (file,) = export(take, tmp_path / "walk.bvh")
    assert file.stat().st_mode == usual.stat().st_mode


def test_a_place_that_cannot_be_written(take: Take, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="cannot write"):
        export(take, tmp_path / "file" / "walk.bvh")


def test_unknown_formats_and_options_list_the_known(take: Take, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no export format 'fpx'; choose one of bvh, fbx, glb"):
        export(take, tmp_path / "walk.fpx")
    with pytest.raises(ExportError, match="no export format ''"):
        export(take, tmp_path / "walk")
    with pytest.raises(ExportError, match=r"\.bvh has no option 'order'; it has: rig, unit, rotation_order"):
        export(take, tmp_path / "walk.bvh", order="XYZ")
    with pytest.raises(ExportError, match=r"\.npz has no option 'rig'; it has: none"):
        export(take, tmp_path / "walk.npz", rig="smpl")
    with pytest.raises(ExportError, match="has nobody in it"):
        export(Take("empty", ()), tmp_path / "walk.bvh")
    assert listing(tmp_path) == []


def write_names(take: Take, /, *, greeting: str = "hello") -> Mapping[str, bytes]:
    return {"names.txt": " ".join([greeting, *(person.name for person in take.characters)]).encode()}


NAMES = FileFormat(".txt", WORLD, write_names)
NOT_AN_EXPORTER = "text"


class FakeEntry:
    """An entry point of a package that is not installed here."""

    def __init__(self, name: str, found: object) -> None:
        self.name, self.value, self.found = name, f"package:{name}", found

    def load(self) -> object:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        FakeEntry("txt", NAMES),
        FakeEntry("broken", ImportError("no module named 'pixie_dust'")),
        FakeEntry("odd", NOT_AN_EXPORTER),
        FakeEntry("bvh", NAMES),
    ]

    def entry_points(*, group: str) -> list[FakeEntry]:
        assert group == "mocap.exporters"
        return entries

    monkeypatch.setattr(metadata, "entry_points", entry_points)


@pytest.mark.usefixtures("plugins")
def test_other_packages_add_formats(take: Take, tmp_path: Path) -> None:
    assert available_formats() == (*EXPORTERS, "txt")
    (file,) = export(take, tmp_path / "walk.txt", greeting="hi")
    assert file.read_text() == "hi 0"
    (file,) = export(take, tmp_path / "walk.bvh")
    assert file.read_text().startswith("HIERARCHY"), "built-in formats go first"


@pytest.mark.usefixtures("plugins")
def test_broken_plugins_break_nothing_else(take: Take, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"'broken' \(package:broken\) does not load: no module named"):
        export(take, tmp_path, format="broken")
    with pytest.raises(ExportError, match=r"'odd' \(package:odd\) has no suffix"):
        export(take, tmp_path, format="odd")


def test_listing_the_formats_loads_no_torch() -> None:
    heavy = "{'torch', 'cv2', 'scipy'} & set(sys.modules)"
    code = f"import sys, exporters; exporters.available_formats(); assert not {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)
