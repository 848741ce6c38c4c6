"""The numbers of ``mocap evaluate`` against pycocotools on real annotations."""

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.cli import REFUSED, execute
from mocap.detect import DETECTORS
from mocap.detect.detector import Detections
from mocap.errors import InputError
from mocap.evaluate import evaluate
from mocap.settings import DetectSettings
from rigs.keypoints import KEYPOINT_SETS


@pytest.fixture(scope="module")
def truth() -> Path:
    folder = os.environ.get("MOCAP_TEST_DATA")
    if not folder:
        pytest.skip("needs coco_json_mmpose in the folder that MOCAP_TEST_DATA names")
    return Path(folder) / "coco_json_mmpose" / "test_coco.json"


def results(truth: Path, seed: int, spread: float = 0.05) -> list[dict[str, Any]]:
    """Labelled people moved by shares of their boxes, some doubled, some made up, some left out."""
    rng = np.random.default_rng(seed)
    content = json.loads(truth.read_text())
    rows = []
    for entry in content["annotations"]:
        own = np.array(entry["keypoints"], dtype=float).reshape(-1, 3)[:17]
        for _ in range(rng.integers(0, 3)):
            moved = own[:, :2] + rng.normal(0, spread * max(entry["bbox"][2:]), (17, 2))
            if rng.random() < 0.15:
                moved = rng.uniform(0, 400, (17, 2))
            keypoints = np.concatenate([moved, np.ones((17, 1))], 1).ravel().tolist()
            score = float(np.round(rng.random(), 1))  # ties are common
            rows.append(
                {"image_id": entry["image_id"], "category_id": 1, "keypoints": keypoints, "score": score}
            )
    return rows


@pytest.mark.parametrize("seed", range(6))
def test_ap_and_ar_are_those_of_pycocotools(truth: Path, tmp_path: Path, seed: int) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    rows = results(truth, seed, spread=(0.01, 0.03, 0.06)[seed % 3])
    path = tmp_path / "results.json"
    path.write_text(json.dumps(rows))
    with contextlib.redirect_stdout(io.StringIO()):
        real = coco.COCO(str(truth))
        oracle = COCOeval(real, real.loadRes(rows), "keypoints")
        oracle.evaluate()
        oracle.accumulate()
        oracle.summarize()
    ours = evaluate(path, truth)
    ap, ap50, ap75, _, _, ar = oracle.stats[:6]
    np.testing.assert_allclose([ours.ap, ours.ap50, ours.ap75, ours.ar], [ap, ap50, ap75, ar], atol=1e-12)
    assert 0 < ours.ap < 1


def test_the_truth_itself_is_perfect(truth: Path, tmp_path: Path) -> None:
    content = json.loads(truth.read_text())
    rows = [
        {"image_id": entry["image_id"], "keypoints": entry["keypoints"], "score": 0.9}
        for entry in content["annotations"] if entry["num_keypoints"]
    ]  # fmt: skip
    path = tmp_path / "results.json"
    path.write_text(json.dumps(rows))
    perfect = evaluate(path, truth)
    assert perfect.people == len(rows) == 12
    assert perfect.images == 4
    for name in ("ap", "ar", "f1", "oks", "pck"):
        assert getattr(perfect, name) == pytest.approx(1), name
    path.write_text(json.dumps(rows[:6]))
    half = evaluate(path, truth)
    assert half.f1 == pytest.approx(2 / 3)  # all right, half of them found
    assert half.ar == pytest.approx(0.5)


def test_halpe_counts_by_its_body(truth: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results(truth, 1)))
    same = evaluate(path, truth.with_name("test_halpe.json"))
    assert same.ap == pytest.approx(evaluate(path, truth).ap)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no list of COCO results"),
        ([{"image_id": 785, "bbox": [1, 2, 3, 4], "score": 1}], "boxes of people and no keypoints"),
        ([{"image_id": 1, "keypoints": [1, 2, 3] * 17}], "image 1, which the truth does not have"),
        ([{"image_id": 785, "keypoints": [1, 2, 3]}], "1 keypoints and not 17"),
    ],
)
def test_what_cannot_be_judged_is_one_line(
    truth: Path, tmp_path: Path, content: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    assert execute(["evaluate", str(path), str(truth)]) == REFUSED
    assert message in capsys.readouterr().err


class _Seer:
    """A detector that knows where everybody is, and remembers nothing."""

    keypoint_names = tuple(reversed(KEYPOINT_SETS["coco17"]))
    people = np.zeros((0, 17, 2))

    def files(self, settings: DetectSettings) -> dict[str, Path]:
        return {}

    def create(self, files: object, settings: DetectSettings) -> "_Seer":
        return self

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: object) -> None:
        pass

    def step(self, rgb: np.ndarray, time_s: float) -> Detections:
        assert rgb.shape == (40, 60, 3)
        count = len(self.people)
        return Detections(self.people[:, ::-1], np.ones((count, 17)), np.arange(count))


def test_a_detector_runs_on_images_and_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    people = np.random.default_rng(0).uniform(5, 35, (2, 17, 2))
    monkeypatch.setattr(_Seer, "people", people)
    monkeypatch.setitem(DETECTORS, "seer", _Seer())
    annotations = [
        {
            "image_id": 3, "area": 400.0, "bbox": [5, 5, 30, 30], "iscrowd": 0,
            "keypoints": np.concatenate([p, np.full((17, 1), 2)], 1).ravel().tolist(),
        }
        for p in people
    ]  # fmt: skip
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"images": [{"id": 3, "file_name": "a.png"}], "annotations": annotations}))
    with pytest.raises(InputError, match="no such image"):
        evaluate(tmp_path, truth, settings=DetectSettings(detector="seer"))
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    outcome = evaluate(tmp_path, truth, settings=DetectSettings(detector="seer"))
    assert outcome.ap == pytest.approx(1)
    assert outcome.latency_ms is not None
    assert outcome.latency_ms > 0
    assert outcome.cpu_s is not None
