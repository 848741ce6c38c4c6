"""Every family from image to keypoints in the image, with networks that really look at the pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mocap.detect import DETECTORS
from mocap.detect.families import FAMILIES
from mocap.detect.models import FOLDER_VARIABLE
from mocap.detect.names import SETS
from mocap.detect.own_models import add
from mocap.settings import DetectSettings
from tests.mocap.detect import painted
from tests.mocap.detect.painted import Painting, paint

IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
FASTPOSE = {"mean": (0.406 * 255, 0.457 * 255, 0.480 * 255), "std": (255.0,) * 3}
RTMDET = {"bgr": True, "mean": (103.53, 116.28, 123.675), "std": (57.375, 57.12, 58.395)}

BODY_25_LIMBS = (
    *(
        (1, 8),
        (1, 2),
        (1, 5),
        (2, 3),
        (3, 4),
        (5, 6),
        (6, 7),
        (8, 9),
        (9, 10),
        (10, 11),
        (8, 12),
        (12, 13),
        (13, 14),
    ),
    *((1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (2, 17), (5, 18)),
    *((14, 19), (19, 20), (14, 21), (11, 22), (22, 23), (11, 24)),
)
BODY_25_X = (
    *(0, 14, 22, 16, 18, 24, 26, 6, 2, 4, 8, 10, 12, 30, 32, 36, 34, 38, 20, 28),
    *(40, 42, 44, 46, 48, 50),
)
COCO_LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17)),
)
COCO_X = (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26)
POSENET_EDGES = (
    *((0, 1), (1, 3), (0, 2), (2, 4), (0, 5), (5, 7), (7, 9), (5, 11), (11, 13), (13, 15)),
    *((0, 6), (6, 8), (8, 10), (6, 12), (12, 14), (14, 16)),
)

SIZES = ((723, 411), (367, 641))
"""Odd, landscape and portrait; larger than the networks' inputs and smaller."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path


Make = Callable[[Path], Path]
CROP = (192, 256)

CASES: dict[str, tuple[str, int, Make, float]] = {
    "hrnet": ("hrnet", 17, lambda p: painted.heatmap_net(p, 17, CROP, **IMAGENET), 1.0),
    "hrnet 384x288": ("hrnet", 17, lambda p: painted.heatmap_net(p, 17, (288, 384), **IMAGENET), 1.0),
    "vitpose": ("vitpose", 17, lambda p: painted.unbiased_net(p, 17, CROP, **IMAGENET), 1.0),
    "alphapose": ("alphapose", 17, lambda p: painted.heatmap_net(p, 17, CROP, **FASTPOSE), 1.0),
    "alphapose halpe": ("alphapose", 26, lambda p: painted.heatmap_net(p, 26, CROP, **FASTPOSE), 1.0),
    "rtmpose": ("rtmpose", 17, lambda p: painted.simcc_net(p, 17, CROP, **IMAGENET), 1.0),
    "rtmpose halpe": ("rtmpose", 26, lambda p: painted.simcc_net(p, 26, (288, 384), **IMAGENET), 1.0),
    "movenet thunder": ("movenet", 17, lambda p: painted.movenet_single_net(p, 256), 1.0),
    "movenet lightning": ("movenet", 17, lambda p: painted.movenet_single_net(p, 192), 1.0),
    "movenet multipose": ("movenet", 17, painted.movenet_multi_net, 1.0),
    "rtmo": ("rtmo", 17, lambda p: painted.rtmo_net(p, 17), 1.0),
    "yolo-pose": ("yolo-pose", 17, lambda p: painted.yolo_net(p, 17, poses=True), 1.0),
    "yolo26-pose": ("yolo26-pose", 17, lambda p: painted.yolo_list_net(p, 17, poses=True), 1.0),
    "torchvision": ("keypoint-rcnn", 17, lambda p: painted.rcnn_net(p, torchvision=True), 1.0),
    "detectron2": ("keypoint-rcnn", 17, lambda p: painted.rcnn_net(p, torchvision=False), 1.0),
    "openpose body25": (
        "openpose",
        25,
        lambda p: painted.openpose_net(p, 25, BODY_25_LIMBS, BODY_25_X, joined=True),
        4.0,
    ),
    "openpose coco": (
        "openpose",
        18,
        lambda p: painted.openpose_net(p, 18, COCO_LIMBS, COCO_X, joined=False),
        4.0,
    ),
    "posenet": ("posenet", 17, lambda p: painted.posenet_net(p, POSENET_EDGES), 8.0),
    "deeplabcut": ("deeplabcut", 14, lambda p: painted.deepercut_net(p, 14, pairs=False), 1.0),
    "deepercut": ("deeplabcut", 6, lambda p: painted.deepercut_net(p, 6, pairs=True), 1.0),
}
"""Family, keypoints, its network, and how far off keypoints may lie, in pixels of the network's input."""

ONE_PERSON = {"deeplabcut"}
SPARSE = {"posenet", "openpose body25", "openpose coco", "deepercut", "deeplabcut"}
"""Grids that cannot tell apart what is nearer than two cells."""


def detector(name: str, path: Path) -> Any:
    family, keypoints, make, _ = CASES[name]
    own = () if keypoints in FAMILIES[family].names else tuple(f"point{k}" for k in range(keypoints))
    add(family, make(path / "net.onnx"), own)
    settings = DetectSettings(detector=family, person="rtmdet", mirror=False)
    if FAMILIES[family].codes[0].engine == "crop" and "multipose" not in name:
        add("rtmdet", painted.labelled_net(path / "person.onnx", keypoints, **RTMDET))
    entry = DETECTORS[family]
    return entry.create(entry.files(settings), settings)


def matched(found: Any, truth: Painting) -> NDArray[np.int64]:
    """For each planted person the detection nearest to it."""
    middle = np.nanmedian(found.xy_px, axis=1)
    planted = np.median(truth.xy_px, axis=1)
    return np.linalg.norm(planted[:, None] - middle[None], axis=-1).argmin(axis=1)


@pytest.mark.parametrize("name", CASES)
def test_keypoints_come_back_to_where_they_were_planted(name: str, tmp_path: Path) -> None:
    _, keypoints, _, tolerance = CASES[name]
    find = detector(name, tmp_path)
    assert len(find.keypoint_names) == keypoints
    start = find.state()
    single = name in ONE_PERSON
    for size, people in zip((*SIZES, SIZES[0]), (1 if single else 2, 1 if single else 2, 1), strict=True):
        radius = 9.0 if name in SPARSE else 5.0
        truth = paint(size, people, keypoints, radius=radius, most=1 if single else 2, seed=people)
        find.restore(start)
        found = find.step(truth.rgb, 0.0)
        assert len(found.slot) == people, size
        order = matched(found, truth)
        assert sorted(order.tolist()) == list(range(people))
        off = np.linalg.norm(found.xy_px[order] - truth.xy_px, axis=-1)
        # A pixel of the input is that much of the image.
        assert off.max() <= tolerance * max(1.0, input_scale(name, size)), (size, off.max())
        assert found.score.min() > 0.3
        assert found.score.max() <= 1.0
    if not single:
        empty = find.step(np.zeros((411, 723, 3), np.uint8), 0.1)
        assert empty.xy_px.shape == (0, keypoints, 2)
        assert empty.score.shape == (0, keypoints)


def input_scale(name: str, size: tuple[int, int]) -> float:
    """Image pixels for one pixel of the network's input; crops are larger than a person's box."""
    longest = {"posenet": 385, "openpose body25": 656, "openpose coco": 656, "movenet multipose": 512}
    if name in longest:
        return max(size) / longest[name]
    if CASES[name][0] in ("rtmo", "yolo-pose", "yolo26-pose"):
        return max(size) / 640
    if CASES[name][0] in ("keypoint-rcnn", "deeplabcut"):
        return 1.0
    rows = {"hrnet 384x288": 384, "rtmpose halpe": 384, "movenet lightning": 192}.get(name, 256)
    box = (0.4 * size[0], 0.75 * size[1]) if size[0] > size[1] else (0.4 * size[0], 0.36 * size[1])
    return 1.25 * max(box[1], box[0] * 4 / 3) / rows


def test_whole_body(tmp_path: Path) -> None:
    add("rtmw", painted.simcc_net(tmp_path / "w.onnx", 133, (288, 384), people=1, **IMAGENET))
    add("yolox", painted.labelled_net(tmp_path / "p.onnx", 133, side=320, people=1, bgr=True))
    settings = DetectSettings(detector="rtmw", person="yolox", mirror=False)
    entry = DETECTORS["rtmw"]
    find = entry.create(entry.files(settings), settings)
    assert find.keypoint_names == SETS["coco_wholebody133"]
    truth = paint((801, 703), 1, 133, most=1)
    found = find.step(truth.rgb, 0.0)
    scale = 1.25 * max(0.75 * 703, 0.4 * 801 * 4 / 3) / 384
    assert np.linalg.norm(found.xy_px[0] - truth.xy_px[0], axis=-1).max() < scale


@pytest.mark.parametrize("mirror", [False, True])
def test_the_mirror_image_agrees(mirror: bool, tmp_path: Path) -> None:
    """The discs' colours stay in a mirror, where a real network would see the other side."""
    add("hrnet", painted.heatmap_net(tmp_path / "n.onnx", 17, CROP, **IMAGENET))
    add("rtmdet", painted.labelled_net(tmp_path / "p.onnx", 17, **RTMDET))
    settings = DetectSettings(detector="hrnet", person="rtmdet", mirror=mirror)
    entry = DETECTORS["hrnet"]
    truth = paint((643, 365), 1, 17)
    found = entry.create(entry.files(settings), settings).step(truth.rgb, 0.0)
    swapped = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    wanted = (truth.xy_px[0] + truth.xy_px[0][swapped]) / 2 if mirror else truth.xy_px[0]
    assert np.linalg.norm(found.xy_px[0] - wanted, axis=-1).max() < 1.5


PERSONS: dict[str, Make] = {
    "rtmdet": lambda p: painted.labelled_net(p, 17, **RTMDET),
    "yolox": lambda p: painted.labelled_net(p, 17, bgr=True),
    "yolo": lambda p: painted.yolo_net(p, 17, poses=False),
    "yolo, a list": lambda p: painted.yolo_list_net(p, 17, poses=False),
    "yolo-pose": lambda p: painted.yolo_net(p, 17, poses=True),
    "movenet": painted.movenet_multi_net,
}


@pytest.mark.parametrize(("name", "size"), [*zip(PERSONS, SIZES * 3, strict=True)])
def test_person_detectors(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    family = name.split(",", maxsplit=1)[0]
    add(family, PERSONS[name](tmp_path / "p.onnx"))
    add("hrnet", painted.heatmap_net(tmp_path / "n.onnx", 17, CROP, **IMAGENET))
    settings = DetectSettings(detector="hrnet", person=family, mirror=False)
    entry = DETECTORS["hrnet"]
    find = entry.create(entry.files(settings), settings)
    truth = paint(size, 2, 17)
    found = find.step(truth.rgb, 0.0)
    assert len(found.slot) == 2
    off = np.linalg.norm(found.xy_px[matched(found, truth)] - truth.xy_px, axis=-1)
    assert off.max() < 2.0
    # From now on people are followed by their keypoints.
    again = find.step(truth.rgb, 0.1)
    np.testing.assert_allclose(again.xy_px, found.xy_px, atol=2.0)
    assert len(find.step(np.zeros_like(truth.rgb), 0.2).slot) == 0


def test_no_more_people_than_asked_for(tmp_path: Path) -> None:
    add("rtmo", painted.rtmo_net(tmp_path / "n.onnx", 17))
    settings = replace(DetectSettings(detector="rtmo"), max_people=1)
    entry = DETECTORS["rtmo"]
    found = entry.create(entry.files(settings), settings).step(paint((643, 365), 2, 17).rgb, 0.0)
    assert len(found.slot) == 1
