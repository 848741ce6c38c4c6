"""Networks of the user's own: those that fit are taken, and each of the others is one clear line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mocap.cli import _detecting, execute
from mocap.detect import DETECTORS
from mocap.detect.catalogue import listing
from mocap.detect.families import FAMILIES, family_of
from mocap.detect.models import FOLDER_VARIABLE, installed, own_names
from mocap.detect.own_models import add
from mocap.errors import ConfigError, InputError, MissingModel
from mocap.settings import DetectSettings

CROP = (1, 3, 256, 192)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def net(path: Path, *shapes: Sequence[int], image: Sequence[Any] = CROP, inputs: int = 1) -> Path:
    """A network whose outputs have these shapes, whatever it sees."""
    constants = [
        numpy_helper.from_array(np.zeros(shape, np.float32), f"c{i}") for i, shape in enumerate(shapes)
    ]
    nodes = [helper.make_node("Identity", [f"c{i}"], [f"out{i}"]) for i in range(len(shapes))]
    given = [helper.make_tensor_value_info(f"in{i}", TensorProto.FLOAT, image) for i in range(inputs)]
    results = [helper.make_tensor_value_info(f"out{i}", TensorProto.FLOAT, s) for i, s in enumerate(shapes)]
    graph = helper.make_graph(nodes, "n", given, results, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def refusal(name: str, file: Path, keypoints: tuple[str, ...] = ()) -> str:
    with pytest.raises(InputError) as caught:
        add(name, file, keypoints)
    line = str(caught.value)
    assert "\n" not in line
    assert own_names() == []
    return line


def test_a_network_of_another_family(tmp_path: Path) -> None:
    line = refusal("rtmpose", net(tmp_path / "n.onnx", (1, 17, 64, 48)))
    assert "no RTMPose network: expected two outputs, simcc_x (N, K, 2 width) and simcc_y" in line
    assert line.endswith("found 1x17x64x48 for an image of 192x256")
    line = refusal("hrnet", net(tmp_path / "n.onnx", (1, 17, 384), (1, 17, 512)))
    assert "expected one output of heatmaps" in line
    assert "found 1x17x384 and 1x17x512" in line


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_takes_a_classifier(family: str, tmp_path: Path) -> None:
    line = refusal(family, net(tmp_path / "n.onnx", (1, 1000)))
    assert "expected" in line
    assert "found 1x1000" in line


def test_other_keypoints_need_names(tmp_path: Path) -> None:
    file = net(tmp_path / "n.onnx", (1, 21, 384), (1, 21, 512))
    line = refusal("rtmpose", file)
    assert "a network of 17 or 26 or 133 keypoints was expected for RTMPose; this one has 21" in line
    assert "--keypoints" in line
    assert "2 names were given for a network of 21" in refusal("rtmpose", file, ("a", "b"))
    assert "same name" in refusal("rtmpose", file, ("a",) * 21)
    names = tuple(f"point{k}" for k in range(21))
    add("rtmpose-hands", file, names)
    add("movenet-crop", net(tmp_path / "p.onnx", (1, 1, 17, 3), image=(1, 192, 192, 3)))
    entry = DETECTORS["rtmpose"]
    add("rtmdet", boxes := net(tmp_path / "b.onnx", (1, 3, 5), (1, 3), image=(1, 3, 640, 640)))
    settings = DetectSettings(detector="rtmpose", variant="hands", person="rtmdet")
    files = entry.files(settings)
    assert entry.create(files, settings).keypoint_names == names
    assert files["person"].read_bytes() == boxes.read_bytes()
    row = next(row for row in listing() if row["name"] == "rtmpose-hands")
    assert (row["keypoints"], row["licence"]) == ("21 of your own", "your own file")


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    text = tmp_path / "a.onnx"
    text.write_text("no network at all")
    assert "no network that ONNX Runtime can run" in refusal("rtmo", text)
    broken = tmp_path / "b.tflite"
    broken.write_bytes(b"\x1c\0\0\0TFL3" + bytes(200))
    assert "no network that LiteRT can run" in refusal("movenet", broken)
    assert "no network that LiteRT can run" in refusal("blazepose-full", broken)
    whole = net(tmp_path / "c.onnx", (1, 17, 64, 48)).read_bytes()
    cut = tmp_path / "d.onnx"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "no network that ONNX Runtime can run" in refusal("hrnet", cut)
    empty = tmp_path / "e.onnx"
    empty.touch()
    refusal("hrnet", empty)
    assert "takes in0, in1" in refusal("hrnet", net(tmp_path / "f.onnx", (1, 1), inputs=2))
    assert "its input in0 is 1x5x7" in refusal("hrnet", net(tmp_path / "g.onnx", (1, 1), image=(1, 5, 7)))
    assert "no weights named 'resnet'; choose from" in refusal("resnet", cut)
    assert "no such file" in refusal("hrnet", tmp_path / "nowhere.onnx")


def test_what_the_settings_mean(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match=r"mocap models add hrnet FILE"):
        DETECTORS["hrnet"].files(DetectSettings(detector="hrnet"))
    add("hrnet-mine", net(tmp_path / "n.onnx", (1, 17, 64, 48)))
    with pytest.raises(ConfigError, match=r"'yours' is unknown to hrnet; choose from .*mine"):
        DETECTORS["hrnet"].files(DetectSettings(detector="hrnet", variant="yours"))
    with pytest.raises(ConfigError, match=r"detect.person 'hrnet' is unknown; choose from blazepose, "):
        DETECTORS["hrnet"].files(DetectSettings(detector="hrnet", person="hrnet"))
    path = installed("hrnet-mine")
    assert path is not None
    path.write_bytes(path.read_bytes()[:-5])  # its hash was noted, so damage shows
    assert installed("hrnet-mine") is None


def test_what_the_options_mean() -> None:
    assert _detecting(None, None) == []
    assert _detecting("movenet", "fast") == [
        'detect.detector="movenet"',
        "detect.variant=fast",
        "detect.mirror=false",
    ]
    assert _detecting(None, None, True) == ["detect.hands=true"]
    assert _detecting(None, "best") == ["detect.variant=best", "detect.mirror=true"]


def test_names_of_families() -> None:
    assert family_of("yolo26-pose-x") == "yolo26-pose"
    assert family_of("yolo-pose-x") == "yolo-pose"
    assert family_of("yolo-x") == "yolo"
    assert family_of("rtmwhatever") is None


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = net(tmp_path / "n.onnx", (1, 2, 384), (1, 2, 512))
    assert execute(["models", "add", "rtmpose-wand", str(file)]) == 2
    assert "this one has 2" in capsys.readouterr().err
    assert execute(["models", "add", "rtmpose-wand", str(file), "--keypoints", "tip, end", "--json"]) == 0
    content = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert Path(content["file"]).name == "rtmpose-wand.onnx"
    assert execute(["models", "list", "--json"]) == 0
    out = capsys.readouterr().out.splitlines()
    rows = json.loads(out[-1])["models"]
    assert {row["family"] for row in rows} == {"blazepose", "hands", *FAMILIES}
    assert next(row for row in rows if row["name"] == "rtmpose-wand")["installed"]
    assert execute(["detect", str(tmp_path), "--quality", "superb"]) == 2
    assert "choose from fast, standard, best" in capsys.readouterr().err
