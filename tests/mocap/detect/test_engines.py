"""The shared engines' parts against oracles: windows, suppression, the three ways to group, TensorFlow.js."""

from __future__ import annotations

import base64
import json
from itertools import product
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from mocap.detect.bottom_up import Links, Peaks, find_peaks, group_by_programme, group_greedily
from mocap.detect.families.heatmaps import peaks
from mocap.detect.names import SETS
from mocap.detect.people import People, overlap, people_from_points, without_doubles
from mocap.detect.pose_nms import doubles, similarity
from mocap.detect.region import Region
from mocap.detect.tfjs import UnknownOperator, onnx_from_tfjs
from mocap.detect.top_down import region_of_pose
from mocap.detect.window import Window, input_size, letterbox

# --- Windows ---


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.1])
def test_what_a_window_shows_lies_where_it_says(angle: float) -> None:
    rng = np.random.default_rng(0)
    rgb = np.zeros((201, 303, 3), np.uint8)
    rgb[120, 90] = rgb[60, 200] = 255
    for _ in range(5):
        window = Window((150.0 + rng.uniform(-9, 9), 100.0), rng.uniform(0.4, 0.9), (420, 380), angle)
        shown = window.cut_out(rgb)[..., 0].astype(float)
        for x, y in ((90, 120), (200, 60)):
            u, v = window.input_from_image(np.array([x, y], float))
            if not (12 < u < 408 and 12 < v < 368):
                continue
            rows, columns = np.mgrid[int(v) - 6 : int(v) + 7, int(u) - 6 : int(u) + 7]
            weight = shown[rows, columns]
            center = (
                np.array([(weight * (columns + 0.5)).sum(), (weight * (rows + 0.5)).sum()]) / weight.sum()
            )
            np.testing.assert_allclose(window.image_from_input(center), (x, y), atol=0.1)


@pytest.mark.parametrize("corner", [False, True])
@pytest.mark.parametrize("size", [(301, 200), (200, 333)])
def test_letterboxes_hold_the_whole_image(size: tuple[int, int], corner: bool) -> None:
    window = letterbox(size, (640, 480), corner=corner)
    corners = window.input_from_image(np.array([[-0.5, -0.5], [size[0] - 0.5, size[1] - 0.5]]))
    assert corners.min() > -1e-9
    assert (corners <= np.array([640, 480]) + 1e-9).all()
    assert np.isclose(np.ptp(corners, axis=0), (640, 480)).any()
    if corner:
        np.testing.assert_allclose(corners[0], 0, atol=1e-9)
    else:
        np.testing.assert_allclose(corners.sum(axis=0), (640, 480))


def test_open_sizes_are_multiples_that_hold_the_image() -> None:
    assert input_size((1920, 1080), 640, 32) == (640, 384)
    assert input_size((1080, 1920), 640, 32) == (384, 640)
    assert input_size((5000, 10), 640, 32) == (640, 32)


@pytest.mark.parametrize("lean", [0.0, 0.5, 2.0, np.pi, -1.6])
def test_the_next_region_holds_the_person_and_leans_as_they_do(lean: float) -> None:
    """Small leans are as the network knows them; acrobats are shown upright."""
    names = SETS["coco17"]
    trunk = {"shoulder": (15, -60), "hip": (10, 0), "knee": (10, 50), "ankle": (10, 100)}
    pose = np.zeros((17, 2))
    for index, name in enumerate(names):
        x, y = trunk.get(name.split("_")[-1], (20, -90))
        pose[index] = (x if name.startswith("left") else -x, y)
    turn = np.array([[np.cos(lean), -np.sin(lean)], [np.sin(lean), np.cos(lean)]])
    xy_px = np.array([400.0, 300.0]) + pose @ turn.T
    region = region_of_pose(xy_px, np.full(17, 0.9), Region((0.0, 0.0), 10.0, 0.3), names)
    assert np.cos(region.angle_rad - (lean if abs(lean) > 1 else 0.0)) == pytest.approx(1.0)
    window = Window(region.center_px, region.side_px / 256, (192, 256), region.angle_rad)
    shown = window.input_from_image(xy_px)
    assert shown.min() > 0
    assert (shown < (192, 256)).all()
    unseen = region_of_pose(xy_px, np.zeros(17), region, names)
    assert unseen == region


# --- Heatmaps ---


def test_peaks_between_cells() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(5, 40, (3, 17, 2))
    x, y = np.arange(48), np.arange(64)[:, None]
    heat = np.exp(-((x - truth[..., :1, None]) ** 2 + (y - truth[..., 1:, None]) ** 2) / 8)
    cells, score = peaks(heat)
    np.testing.assert_allclose(cells, truth, atol=0.02)
    assert score.min() > 0.9
    found = find_peaks(heat[0], 0.5)
    assert found.kind.tolist() == list(range(17))
    np.testing.assert_allclose(found.xy, truth[0], atol=0.06)


# --- Doubles ---


def test_overlapping_boxes() -> None:
    box = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [0, 0, 10, 10.0]])
    sure = np.array([0.6, 0.9, 0.2, 0.7])
    people = People(np.zeros((4, 2, 2)), np.ones((4, 2)), box, sure)
    assert without_doubles(people, 0.65).sure.tolist() == [0.9, 0.2]
    assert overlap(box[0], box).tolist() == pytest.approx([1.0, 90 / 110, 0.0, 1.0])
    assert len(people_from_points(np.zeros((0, 3, 2)), np.zeros((0, 3))).box) == 0


def test_parametric_suppression_tells_people_apart() -> None:
    rng = np.random.default_rng(2)
    pose = rng.uniform(0, 200, (17, 2))
    sure = np.full(17, 0.9)
    near, beside = pose + rng.normal(0, 3, (17, 2)), pose + np.array([150, 0])
    others = np.stack([pose, near, beside])
    assert doubles(pose, sure, others, np.tile(sure, (3, 1))).tolist() == [True, True, False]
    # Equations 8 to 10 of the paper, written out for one pair.
    unit = 0.1 * np.ptp(pose, axis=0).max()
    total = 0.0
    for a, b in zip(pose, near, strict=True):
        d = np.hypot(*(a - b)) / unit
        total += (np.tanh(0.9) ** 2 if d <= 1 else 0.0) + 1.7 * np.exp(-d / 2.65)
    assert similarity(pose, sure, near[None], sure[None])[0] == pytest.approx(total / 17)


# --- Grouping ---


def test_limbs_that_share_a_keypoint_become_one_person() -> None:
    found = Peaks(np.array([0, 0, 1, 1, 2, 2]), np.zeros((6, 2)), np.ones(6))
    arm = Links(np.array([0, 0, 1]), np.array([3, 2, 2]), np.array([0.9, 0.8, 0.7]))
    hand = Links(np.array([2, 3]), np.array([5, 4]), np.array([0.5, 0.6]))
    people = group_greedily(found, [arm, hand], 3)
    assert sorted(tuple(sorted(one.items())) for one in people) == [
        ((0, 0), (1, 3), (2, 4)),
        ((0, 1), (1, 2), (2, 5)),
    ]


def partitions(items: list[int]) -> Any:
    """All ways to put items into groups."""
    if not items:
        yield []
        return
    for rest in partitions(items[1:]):
        yield [[items[0]], *rest]
        for index in range(len(rest)):
            yield [*rest[:index], [items[0], *rest[index]], *rest[index + 1 :]]


@pytest.mark.parametrize("seed", range(4))
def test_the_programme_finds_the_cheapest_partition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = np.array([0, 0, 1, 1, 2, 2])
    score = rng.uniform(0.2, 0.9, 6)
    cost = rng.normal(0, 2, (6, 6))
    cost = (cost + cost.T) / 2
    own = np.log((1 - score) / score)

    def price(groups: list[list[int]]) -> float:
        if any(len({int(kind[i]) for i in group}) < len(group) for group in groups):
            return np.inf
        pairs = sum(cost[i, j] for group in groups for i in group for j in group if i < j)
        return float(pairs + sum(own[i] for group in groups for i in group))

    best = np.inf
    for taken in product([False, True], repeat=6):
        best = min(best, *(price(groups) for groups in partitions([i for i in range(6) if taken[i]])), best)
    people = group_by_programme(Peaks(kind, np.zeros((6, 2)), score), cost)
    assert all(kind[peak] == key for person in people for key, peak in person.items())
    assert price([list(person.values()) for person in people]) == pytest.approx(best)
    assert group_by_programme(Peaks(kind[:0], np.zeros((0, 2)), score[:0]), cost[:0, :0]) == []


# --- TensorFlow.js ---


def model(op: str, attributes: dict[str, Any], constants: list[NDArray[Any]]) -> tuple[bytes, bytes]:
    """A graph model of one operator on an input x of shape (2, 3, 4), with constants behind it."""
    nodes = [
        {"name": "x", "op": "Placeholder", "attr": {"dtype": {"type": "DT_FLOAT"}, "shape": sizes(2, 3, 4)}},
        *({"name": f"c{i}", "op": "Const"} for i in range(len(constants))),
        {
            "name": "y",
            "op": op,
            "input": ["x", *(f"c{i}" for i in range(len(constants)))],
            "attr": attributes,
        },
    ]
    entries = [
        {"name": f"c{i}", "shape": list(value.shape), "dtype": value.dtype.name}
        for i, value in enumerate(constants)
    ]
    content = {
        "signature": {
            "outputs": {"y": {"name": "y:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": []}}},
        },
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"weights": entries}],
    }
    return json.dumps(content).encode(), b"".join(value.tobytes() for value in constants)


def sizes(*shape: int) -> dict[str, Any]:
    return {"shape": {"dim": [{"size": str(size)} for size in shape]}}


def run(converted: bytes, x: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(converted, options).run(None, {"x": x})[0]


X = np.random.default_rng(4).normal(size=(2, 3, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("masks", "begin", "end", "step", "expected"),
    [
        ({}, [0, 1, 1], [2, 3, 4], [1, 1, 2], X[0:2, 1:3, 1:4:2]),
        ({"begin": 7, "end": 5}, [9, 9, 9], [0, 2, 0], [1, 1, 1], X[:, :2, :]),
        ({"shrink_axis": 2, "begin": 5, "end": 5}, [0, -1, 0], [0, 0, 0], [1, 1, 1], X[:, -1]),
        ({"new_axis": 2, "begin": 5, "end": 5}, [0, 0, 0], [0, 0, 0], [1, 1, 1], X[:, None]),
        ({"new_axis": 4, "shrink_axis": 1, "end": 2}, [1, 1, 0], [2, 9, 0], [1, 1, 1], X[1, 1:, None]),
    ],
)
def test_strided_slices(
    masks: dict[str, int], begin: list[int], end: list[int], step: list[int], expected: NDArray[np.float32]
) -> None:
    attributes = {f"{name}_mask": {"i": str(mask)} for name, mask in masks.items()}
    constants = [np.array(values, np.int32) for values in (begin, end, step)]
    np.testing.assert_array_equal(
        run(onnx_from_tfjs(*model("StridedSlice", attributes, constants)), X), expected
    )


def test_padding_is_tensorflow_s() -> None:
    """Strides of 2 over an even size: one pixel of padding, at the end."""
    kernel = np.random.default_rng(5).normal(size=(3, 3, 1, 1)).astype(np.float32)
    texts = base64.b64encode(b"SAME").decode()
    attributes = {
        "strides": {"list": {"i": ["1", "2", "2", "1"]}},
        "padding": {"s": texts},
        "fused_ops": {"list": {"s": [base64.b64encode(b"BiasAdd").decode()]}},
    }
    bias = np.array([0.5], np.float32)
    topology, data = model("_FusedConv2D", attributes, [kernel, bias])
    topology = topology.replace(json.dumps(sizes(2, 3, 4)).encode(), json.dumps(sizes(1, 6, 6, 1)).encode())
    image = np.random.default_rng(6).normal(size=(1, 6, 6, 1)).astype(np.float32)
    padded = np.pad(image[0, ..., 0], ((0, 1), (0, 1)))
    expected = [
        [(padded[r : r + 3, c : c + 3] * kernel[..., 0, 0]).sum() + 0.5 for c in (0, 2, 4)] for r in (0, 2, 4)
    ]
    found = run(onnx_from_tfjs(topology, data), image)
    np.testing.assert_allclose(found[0, ..., 0], expected, rtol=1e-5)


def test_an_operator_that_nobody_knows() -> None:
    with pytest.raises(UnknownOperator, match="Cumsum"):
        onnx_from_tfjs(*model("Cumsum", {}, []))
