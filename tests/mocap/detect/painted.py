"""Small ONNX networks with the inputs and outputs of real families, which find discs of known colours.

Each keypoint of each person is a disc of its own colour on black. A network undoes its family's
normalisation, measures how near every pixel's colour is to each of the palette's, and writes what it finds in
the family's code. Numbers are those of papers and exporters, stated here once more and not taken from the
adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats = NDArray[np.float64]
SHARP = 1e6


def palette(count: int) -> NDArray[np.int64]:
    """(count, 3) RGB colours that differ much; one channel is 255, so that edges on black are no other."""
    levels = [0, 64, 128, 191, 255] if count <= 60 else [*range(0, 256, 32), 255]
    found = [colour for colour in product(levels, repeat=3) if 255 in colour and colour != (255, 255, 255)]
    order = np.random.default_rng(3).permutation(len(found))
    return np.array(found)[order][:count]


@dataclass(frozen=True)
class Painting:
    """An image with people on it."""

    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    xy_px: Floats
    """(P, K, 2) where the discs' centres are, integer = pixel centre."""


def paint(
    size_px: tuple[int, int],
    people: int,
    keypoints: int,
    *,
    most: int = 2,
    seed: int = 0,
    radius: float = 5.0,
) -> Painting:
    """People side by side, their keypoints spread at random over a box without touching."""
    rng = np.random.default_rng([seed, *size_px])
    width, height = size_px
    rgb = np.zeros((height, width, 3), np.uint8)
    colours = palette(most * keypoints).reshape(most, keypoints, 3)
    wide = width > height
    box_w, box_h = (0.4 * width, 0.75 * height) if wide else (0.4 * width, 0.36 * height)
    gap = 2 * radius + 4
    cells = np.stack(np.meshgrid(np.arange(0, box_w - gap, gap), np.arange(0, box_h - gap, gap)), -1).reshape(
        -1, 2
    )
    assert len(cells) >= keypoints
    xy = np.zeros((people, keypoints, 2))
    for person in range(people):
        place = cells[rng.choice(len(cells), keypoints, replace=False)]
        place = place[np.argsort(place[:, 1], kind="stable")]  # as in a body: face above, feet below
        corner = np.array([0.06 * width, 0.08 * height])
        corner += person * 0.5 * np.array([width, 0.0] if wide else [0.0, height])
        xy[person] = corner + place + rng.uniform(0, 2, (keypoints, 2))
        for at, colour in zip(xy[person], colours[person], strict=True):
            fixed = tuple(round(float(value) * 16) for value in at)
            cv2.circle(rgb, fixed, int(radius * 16), tuple(map(int, colour)), -1, cv2.LINE_AA, 4)
    return Painting(rgb, np.round(xy * 16) / 16)


class Graph:
    """An ONNX graph that grows as its wires are computed with."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def op(self, kind: str, *inputs: Any, **options: Any) -> Wire:
        name = f"w{len(self.nodes)}"
        given = [self.wire(one).name if one is not None else "" for one in inputs]
        self.nodes.append(helper.make_node(kind, given, [name], **options))
        return Wire(self, name)

    def wire(self, value: Any) -> Wire:
        if isinstance(value, Wire):
            return value
        array = np.asarray(value)
        array = array if array.dtype == np.int64 and array.ndim else array.astype(np.float32)
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return Wire(self, name)

    def ints(self, *values: int) -> Wire:
        return self.wire(np.array(values, np.int64))

    def save(
        self,
        path: Path,
        image: tuple[str, int, Sequence[Any]],
        outputs: dict[str, tuple[Wire, Sequence[Any]]],
    ) -> Path:
        for name, (wire, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [wire.name], [name]))
        made = helper.make_graph(
            self.nodes,
            "painted",
            [helper.make_tensor_value_info(*image)],
            [
                helper.make_tensor_value_info(name, _kind(wire), shape)
                for name, (wire, shape) in outputs.items()
            ],
            self.constants,
        )
        onnx.save(
            helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path)
        )
        return path


def _kind(wire: Wire) -> int:
    return TensorProto.INT64 if wire.integer else TensorProto.FLOAT


@dataclass(frozen=True)
class Wire:
    """A value in a graph."""

    graph: Graph
    name: str
    integer: bool = False

    def __add__(self, other: Any) -> Wire:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Any) -> Wire:
        return self.graph.op("Sub", self, other)

    def __rsub__(self, other: Any) -> Wire:
        return self.graph.op("Sub", other, self)

    def __mul__(self, other: Any) -> Wire:
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: Any) -> Wire:
        return self.graph.op("Div", self, other)

    def sum(self, *axes: int, keep: bool = False) -> Wire:
        return self.graph.op("ReduceSum", self, self.graph.ints(*axes), keepdims=int(keep))

    def low(self, *axes: int) -> Wire:
        return self.graph.op("ReduceMin", self, axes=list(axes), keepdims=0)

    def high(self, *axes: int) -> Wire:
        return self.graph.op("ReduceMax", self, axes=list(axes), keepdims=0)

    def shape(self, *sizes: int) -> Wire:
        return self.graph.op("Reshape", self, self.graph.ints(*sizes))

    def turn(self, *order: int) -> Wire:
        return self.graph.op("Transpose", self, perm=list(order))

    def clip(self, low: float, high: float) -> Wire:
        return self.graph.op("Clip", self, low, high)

    def at_least(self, other: Any) -> Wire:
        """1 where this is larger than the other, else 0."""
        return self.graph.op("Cast", self.graph.op("Greater", self, other), to=TensorProto.FLOAT)

    def pick(self, axis: int, start: int, stop: int) -> Wire:
        ints = self.graph.ints
        return self.graph.op("Slice", self, ints(start), ints(stop), ints(axis))


def join(axis: int, *wires: Wire) -> Wire:
    return wires[0].graph.op("Concat", *wires, axis=axis)


@dataclass(frozen=True)
class Seen:
    """What is on the image, for networks with one image at a time."""

    graph: Graph
    heat: Wire
    """(N, P K, H, W) 1 on a disc."""
    x: Wire
    """(N, 1, H, W) of every pixel's centre; the image's corner is 0."""
    y: Wire
    xy: Wire
    """(N, P, K, 2) centres of the discs, the image's corner at 0."""
    score: Wire
    """(N, P, K) 1 where there is a disc."""
    people: int
    keypoints: int

    @property
    def sure(self) -> Wire:
        """(N, P) 1 where there is a person."""
        return self.score.high(2)

    @property
    def box(self) -> Wire:
        """(N, P, 4) left, top, right, bottom."""
        hidden = (1.0 - self.score).shape(-1, self.people, self.keypoints, 1) * SHARP
        return join(2, (self.xy + hidden).low(2), (self.xy - hidden).high(2)) * self.sure.shape(
            -1, self.people, 1
        )


def look(
    keypoints: int,
    *,
    people: int = 2,
    mean: Sequence[float] = (0, 0, 0),
    std: Sequence[float] = (1, 1, 1),
    bgr: bool = False,
    channels_first: bool = True,
    batched: bool = True,
    integers: bool = False,
) -> Seen:
    """The part that all networks share: from a normalised image to the discs."""
    graph = Graph()
    image = Wire(graph, "image")
    if integers:
        image = graph.op("Cast", image, to=TensorProto.FLOAT)
    if not batched:
        image = graph.op("Unsqueeze", image, graph.ints(0))
    if not channels_first:
        image = image.turn(0, 3, 1, 2)
    image = image * np.array(std, float).reshape(1, 3, 1, 1) + np.array(mean, float).reshape(1, 3, 1, 1)
    colours = palette(people * keypoints)[:, :: -1 if bgr else 1].astype(float)
    reach = 30.0 if people * keypoints <= 60 else 15.0
    apart = graph.op("Conv", image, -2 * colours[:, :, None, None], (colours**2).sum(axis=1))
    apart = apart + (image * image).sum(1, keep=True)
    heat = (1.0 - apart / reach**2).clip(0.0, 1.0)
    ones = (heat.pick(1, 0, 1) * 0.0) + 1.0
    x = graph.op("CumSum", ones, graph.op("Squeeze", graph.ints(3))) - 0.5
    y = graph.op("CumSum", ones, graph.op("Squeeze", graph.ints(2))) - 0.5
    mass = heat.sum(2, 3)
    safe = mass.clip(1e-3, SHARP)
    x_found, y_found = (heat * x).sum(2, 3) / safe, (heat * y).sum(2, 3) / safe
    xy = graph.op(
        "Concat", x_found.shape(-1, people, keypoints, 1), y_found.shape(-1, people, keypoints, 1), axis=3
    )
    score = mass.at_least(2.0).shape(-1, people, keypoints)
    return Seen(graph, heat, x, y, xy, score, people, keypoints)


IMAGE = ("N", 3, "height", "width")


def save(
    seen: Seen,
    path: Path,
    shape: Sequence[Any],
    outputs: dict[str, tuple[Wire, Sequence[Any]]],
    kind: int = 1,
) -> Path:
    return seen.graph.save(path, ("image", kind, shape), outputs)


# --- Heads ---


def one_of_all(seen: Seen) -> Wire:
    """(N, K, H, W) the keypoints of whoever is in a crop, each with mass 1."""
    graph = seen.graph
    size = graph.op("Shape", seen.heat)
    sides = graph.op("Slice", size, graph.ints(2), graph.ints(4))
    wanted = graph.op("Concat", graph.ints(-1, seen.people, seen.keypoints), sides, axis=0)
    heat = graph.op("Reshape", seen.heat, wanted).sum(1)
    return heat / heat.sum(2, 3, keep=True).clip(1.0, SHARP)


def gaussian(graph: Graph, heat: Wire, keypoints: int, sigma: float, half: int, stride: int) -> Wire:
    """Blurred by a bell of height 1, and read at every so many pixels from the first one on."""
    bell = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * sigma**2))
    for axis in (0, 1):
        sides = [1, 1]
        sides[axis] = len(bell)
        kernel = np.tile(bell.reshape(sides)[None, None], (keypoints, 1, 1, 1))
        pads = [half * (axis == 0), half * (axis == 1)] * 2
        strides = [stride if axis == 0 else 1, stride if axis == 1 else 1]
        heat = graph.op("Conv", heat, kernel, group=keypoints, strides=strides, pads=pads)
    return heat


def heatmap_net(path: Path, keypoints: int, size: tuple[int, int], **pixels: Any) -> Path:
    """Cell i lies on pixel 4 i: a kernel of odd width, strides of 4 from the first pixel on."""
    seen = look(keypoints, **pixels)
    heat = gaussian(seen.graph, one_of_all(seen), keypoints, 8.0, 12, 4)
    out = ("N", keypoints, size[1] // 4, size[0] // 4)
    return save(seen, path, ("N", 3, size[1], size[0]), {"output": (heat, out)})


def unbiased_net(path: Path, keypoints: int, size: tuple[int, int], **pixels: Any) -> Path:
    """The first and last cells lie on the first and last pixels."""
    seen = look(keypoints, **pixels)
    graph = seen.graph
    heat = gaussian(graph, one_of_all(seen), keypoints, 8.0, 12, 1)
    small = graph.op(
        "Concat",
        graph.op("Slice", graph.op("Shape", heat), graph.ints(0), graph.ints(2)),
        graph.ints(size[1] // 4, size[0] // 4),
        axis=0,
    )
    heat = graph.op(
        "Resize", heat, None, None, small, mode="linear", coordinate_transformation_mode="align_corners"
    )
    out = ("N", keypoints, size[1] // 4, size[0] // 4)
    return save(seen, path, ("N", 3, size[1], size[0]), {"output": (heat, out)})


def simcc_net(path: Path, keypoints: int, size: tuple[int, int], **pixels: Any) -> Path:
    """Bin i stands for pixel i / 2."""
    seen = look(keypoints, **pixels)
    graph, heat = seen.graph, one_of_all(seen)
    bell = np.tile(np.exp(-(np.arange(-12, 13) ** 2) / 32)[None, None], (keypoints, 1, 1))
    outputs = {}
    for name, axis, side in (("simcc_x", 2, size[0]), ("simcc_y", 3, size[1])):
        line = graph.op("Conv", heat.sum(axis), bell, group=keypoints, pads=[12, 12])
        first = graph.op("Slice", graph.op("Shape", line), graph.ints(0), graph.ints(2))
        both = graph.op("Concat", first, graph.ints(2 * side), axis=0)
        line = graph.op(
            "Resize", line, None, None, both, mode="linear", coordinate_transformation_mode="asymmetric"
        )
        outputs[name] = (line, ("N", keypoints, 2 * side))
    return save(seen, path, ("N", 3, size[1], size[0]), outputs)


def movenet_single_net(path: Path, size: int) -> Path:
    seen = look(17, channels_first=False, integers=True)
    # Whoever is in the crop: places and scores of those who are not there are 0.
    score = seen.score.high(1).shape(-1, 1, 17, 1)
    xy = (seen.xy * seen.score.shape(-1, 2, 17, 1)).sum(1).shape(-1, 1, 17, 2) / float(size)
    row = join(3, xy.pick(3, 1, 2), xy.pick(3, 0, 1), score * 0.9)
    shape = (1, size, size, 3)
    return save(seen, path, shape, {"output_0": (row, (1, 1, 17, 3))}, TensorProto.INT32)


def movenet_multi_net(path: Path) -> Path:
    seen = look(17, channels_first=False, integers=True)
    extent = join(2, seen.x.high(1, 2, 3).shape(-1, 1, 1), seen.y.high(1, 2, 3).shape(-1, 1, 1)) + 0.5
    xy = seen.xy / extent.shape(-1, 1, 1, 2)
    rows = join(3, xy.pick(3, 1, 2), xy.pick(3, 0, 1), seen.score.shape(-1, 2, 17, 1) * 0.9).shape(-1, 2, 51)
    box = seen.box / join(2, extent, extent)
    box = join(2, *(box.pick(2, index, index + 1) for index in (1, 0, 3, 2)))
    rows = join(2, rows, box, seen.sure.shape(-1, 2, 1) * 0.8)
    rows = join(1, rows, rows.pick(1, 0, 1) * np.zeros((1, 4, 1)))
    return save(seen, path, (1, "h", "w", 3), {"output_0": (rows, (1, 6, 56))}, TensorProto.INT32)


def rtmo_net(path: Path, keypoints: int) -> Path:
    seen = look(keypoints, bgr=True)
    boxes = join(2, seen.box - 0.5, seen.sure.shape(-1, 2, 1) * 0.9)
    points = join(3, seen.xy - 0.5, seen.score.shape(-1, 2, keypoints, 1) * 0.9)
    outputs = {"dets": (boxes, (1, 2, 5)), "keypoints": (points, (1, 2, keypoints, 3))}
    return save(seen, path, (1, 3, 640, 640), outputs)


def labelled_net(path: Path, keypoints: int, *, side: int = 640, **pixels: Any) -> Path:
    """Boxes and labels; the last one is no person but as sure."""
    seen = look(keypoints, **pixels)
    rows = join(2, seen.box - 0.5, seen.sure.shape(-1, seen.people, 1) * 0.9)
    cat = np.array([[[5.0, 5.0, 300.0, 300.0, 0.99]]], np.float32)
    labels = Wire(
        seen.graph, seen.graph.op("Identity", np.array([[0] * seen.people + [16]], np.int64)).name, True
    )
    outputs = {
        "dets": (join(1, rows, seen.graph.wire(cat)), (1, seen.people + 1, 5)),
        "labels": (labels, (1, seen.people + 1)),
    }
    return save(seen, path, (1, 3, side, side), outputs)


def yolo_net(path: Path, keypoints: int, *, poses: bool) -> Path:
    """(1, values, anchors): each person three times, a little apart, at different places of the list."""
    seen = look(keypoints, std=(255.0,) * 3)
    corner, far = seen.box.pick(2, 0, 2), seen.box.pick(2, 2, 4)
    rows = join(2, (corner + far) * 0.5, far - corner, seen.sure.shape(-1, 2, 1) * 0.9)
    if poses:
        points = join(3, seen.xy, seen.score.shape(-1, 2, keypoints, 1) * 0.9).shape(-1, 2, 3 * keypoints)
        rows = join(2, rows, points)
    values = 5 + 3 * keypoints * poses
    worse = rows * np.concatenate([[1.0] * 4, [0.7], [1.0] * (values - 5)]).reshape(1, 1, -1)
    worse = worse + np.concatenate([[3.0, -2.0, 0.0, 0.0], [0.0] * (values - 4)]).reshape(1, 1, -1)
    graph, ints = seen.graph, seen.graph.ints
    # As many anchors as the three grids of this size have; most are empty.
    area = (seen.x * 0.0 + 1.0).sum(1, 2, 3)
    anchors = graph.op("Cast", area * (1 / 64 + 1 / 256 + 1 / 1024) + 0.5, to=TensorProto.INT64)
    more = graph.op("Concat", ints(0, 0, 0, 0), graph.op("Sub", anchors, ints(4)), ints(0), axis=0)
    rows = graph.op("Pad", join(1, rows, worse), more)
    if not poses:  # one class more: cats, which are everywhere
        cats = rows.pick(2, 4, 5) * 0.0 + 0.99
        rows, values = join(2, rows, cats), values + 1
    return save(seen, path, (1, 3, "h", "w"), {"output0": (rows.turn(0, 2, 1), (1, values, "anchors"))})


def yolo_list_net(path: Path, keypoints: int, *, poses: bool) -> Path:
    """(1, 300, 6 + 3 K): a short list, end to end."""
    seen = look(keypoints, std=(255.0,) * 3)
    rows = join(2, seen.box, seen.sure.shape(-1, 2, 1) * 0.9, seen.sure.shape(-1, 2, 1) * 0.0)
    if poses:
        points = join(3, seen.xy, seen.score.shape(-1, 2, keypoints, 1) * 0.9)
        rows = join(2, rows, points.shape(-1, 2, 3 * keypoints))
    values = 6 + 3 * keypoints * poses
    rows = join(1, rows, seen.graph.wire(np.zeros((1, 298, values), np.float32)))
    return save(seen, path, (1, 3, 640, 640), {"output0": (rows, (1, 300, values))})


def rcnn_net(path: Path, *, torchvision: bool) -> Path:
    """Only people who are there are in the lists; torchvision's scores of keypoints are logits."""
    pixels: dict[str, Any] = {"std": (255.0,) * 3} if torchvision else {"bgr": True}
    seen = look(17, batched=False, **pixels)
    graph = seen.graph
    there = graph.op("Cast", seen.sure.shape(2), to=TensorProto.BOOL)

    def only(wire: Wire) -> Wire:
        return graph.op("Compress", wire, there, axis=0)

    score = seen.score.shape(2, 17)
    labels = graph.op("Cast", only(seen.sure.shape(2)), to=TensorProto.INT64)
    third = score.shape(2, 17, 1) * (1.0 if torchvision else 0.9)
    outputs: dict[str, tuple[Wire, Sequence[Any]]] = {
        "boxes": (only(seen.box.shape(2, 4)), ("n", 4)),
        "labels": (Wire(graph, labels.name, True), ("n",)),
        "scores": (only(seen.sure.shape(2) * 0.9), ("n",)),
        "keypoints": (only(join(2, seen.xy.shape(2, 17, 2), third)), ("n", 17, 3)),
    }
    if torchvision:
        outputs["keypoints_scores"] = (only(score * 12.0 - 4.0), ("n", 17))
    return save(seen, path, (3, "h", "w"), outputs)


def cells(seen: Seen, stride: int, first: float) -> tuple[Wire, Wire]:
    """(1, 1, h, w) x and y of a grid's cells in pixels, the image's corner at 0."""
    graph = seen.graph
    options: Any = {"kernel_shape": [1, 1], "strides": [stride] * 2}
    return tuple(  # type: ignore[return-value]
        graph.op("AveragePool", plane, **options) - 0.5 + first for plane in (seen.x, seen.y)
    )


def flat(seen: Seen, wire: Wire, which: int) -> Wire:
    """(1, P K, 1, 1) x (0) or y (1) of all keypoints."""
    return wire.pick(3, which, which + 1).shape(1, seen.people * seen.keypoints, 1, 1)


def over_people(seen: Seen, wire: Wire) -> Wire:
    """(1, K, h, w) the sum over people of (1, P K, h, w)."""
    graph = seen.graph
    sides = graph.op("Slice", graph.op("Shape", wire), graph.ints(2), graph.ints(4))
    return graph.op(
        "Reshape", wire, graph.op("Concat", graph.ints(seen.people, seen.keypoints), sides, axis=0)
    ).sum(0, keep=True)


def bells(seen: Seen, x: Wire, y: Wire, sigma: float) -> tuple[Wire, Wire, Wire, Wire]:
    """Bells of height 1 about all keypoints on a grid, 1 within two sigma, and the way from cells to them."""
    graph, there = seen.graph, seen.score.shape(1, seen.people * seen.keypoints, 1, 1)
    dx, dy = flat(seen, seen.xy, 0) - x, flat(seen, seen.xy, 1) - y
    apart = dx * dx + dy * dy
    bell = graph.op("Exp", apart * (-1 / (2 * sigma**2))) * there
    return bell, (4 * sigma**2 - apart).at_least(0.0) * there, dx, dy


def openpose_net(
    path: Path, keypoints: int, limbs: Sequence[tuple[int, int]], channels: Sequence[int], *, joined: bool
) -> Path:
    """A cell's middle is the middle of its 8 pixels; fields are unit vectors within a cell of the limb."""
    seen = look(keypoints, bgr=True, mean=(128.0,) * 3, std=(256.0,) * 3)
    graph = seen.graph
    x, y = cells(seen, 8, 4.0)
    bell, *_ = bells(seen, x, y, 7.0)
    heat = over_people(seen, bell)
    heat = join(1, heat, 1.0 - graph.op("ReduceMax", heat, axes=[1], keepdims=1))
    count = seen.people * len(limbs)
    fields = []
    ends = []
    for end in (0, 1):
        which = graph.wire(np.array([limb[end] for limb in limbs], np.int64))
        ends.append(
            [
                graph.op("Gather", seen.xy.pick(3, one, one + 1), which, axis=2).shape(1, count, 1, 1)
                for one in (0, 1)
            ]
        )
    there = [
        graph.op("Gather", seen.score, graph.wire(np.array([limb[end] for limb in limbs], np.int64)), axis=2)
        for end in (0, 1)
    ]
    both = (there[0] * there[1]).shape(1, count, 1, 1)
    (ax, ay), (bx, by) = ends
    vx, vy = bx - ax, by - ay
    length = graph.op("Sqrt", vx * vx + vy * vy + 1e-6)
    ux, uy = vx / length, vy / length
    along, across = (x - ax) * ux + (y - ay) * uy, graph.op("Abs", (x - ax) * uy - (y - ay) * ux)
    near = (
        (12.0 - across).at_least(0.0)
        * (along + 12.0).at_least(0.0)
        * (length + 12.0 - along).at_least(0.0)
        * both
    )
    sides = graph.op("Slice", graph.op("Shape", near), graph.ints(2), graph.ints(4))
    form = graph.op("Concat", graph.ints(seen.people, len(limbs)), sides, axis=0)
    for one in (ux * near, uy * near):
        fields.append(graph.op("Reshape", one, form).sum(0, keep=True))
    order = np.zeros(2 * len(limbs), np.int64)
    for limb, channel in enumerate(channels):
        order[channel], order[channel + 1] = limb, len(limbs) + limb
    field = graph.op("Gather", join(1, *fields), graph.wire(order), axis=1)
    total = keypoints + 1 + 2 * len(limbs)
    outputs = (
        {"net_output": (join(1, heat, field), (1, total, "h", "w"))}
        if joined
        else {
            "pafs": (field, (1, 2 * len(limbs), "h", "w")),
            "heatmaps": (heat, (1, keypoints + 1, "h", "w")),
        }
    )
    return save(seen, path, (1, 3, "height", "width"), outputs)


def posenet_net(path: Path, edges: Sequence[tuple[int, int]]) -> Path:
    """Cell i lies on pixel 16 i; all y come before all x."""
    seen = look(17, channels_first=False, mean=(127.5,) * 3, std=(127.5,) * 3)
    x, y = cells(seen, 16, 0.5)
    bell, near, dx, dy = bells(seen, x, y, 16.0)
    logits = over_people(seen, bell) * 10.0 - 5.0

    def field(wire_y: Wire, wire_x: Wire) -> Wire:
        parts = [over_people(seen, wire * near) for wire in (wire_y, wire_x)]
        return join(1, *parts)

    offsets = field(dy, dx)
    moves = {}
    for name, (start, stop) in (("fwd", (0, 1)), ("bwd", (1, 0))):
        planes = []
        for one in (1, 0):
            for edge in edges:
                a, b = edge[start], edge[stop]
                way = seen.xy.pick(2, b, b + 1).pick(3, one, one + 1) - seen.xy.pick(2, a, a + 1).pick(
                    3, one, one + 1
                )
                around = seen.graph.op(
                    "Gather", near, seen.graph.wire(np.array([a, 17 + a], np.int64)), axis=1
                )
                planes.append((around * way.shape(1, 2, 1, 1)).sum(1, keep=True))
        moves[name] = join(1, *planes)
    wires = {
        "displacement_fwd": moves["fwd"],
        "heatmap": logits,
        "displacement_bwd": moves["bwd"],
        "offset": offsets,
    }
    sizes = {"displacement_fwd": 32, "heatmap": 17, "displacement_bwd": 32, "offset": 34}
    outputs = {name: (wire.turn(0, 2, 3, 1), (1, 25, 25, sizes[name])) for name, wire in wires.items()}
    return save(seen, path, (1, 385, 385, 3), outputs)


def deepercut_net(path: Path, keypoints: int, *, pairs: bool) -> Path:
    """A cell's middle is the middle of its 8 pixels; refinement in units of 7.2801 px."""
    seen = look(keypoints, channels_first=False, people=2 if pairs else 1)
    x, y = cells(seen, 8, 4.0)
    bell, near, dx, dy = bells(seen, x, y, 9.0)
    score = over_people(seen, bell)
    graph, people = seen.graph, seen.people
    sides = graph.op("Slice", graph.op("Shape", near), graph.ints(2), graph.ints(4))

    def interleaved(wires: list[Wire], kinds: int) -> Wire:
        """x and y of each kind one after the other."""
        form = graph.op("Concat", graph.ints(1, kinds, 1), sides, axis=0)
        both = join(2, *(graph.op("Reshape", wire, form) for wire in wires))
        return graph.op("Reshape", both, graph.op("Concat", graph.ints(1, 2 * kinds), sides, axis=0))

    # Where two people's discs are near each other, the nearer one has the say.
    refinement = interleaved([over_people(seen, way * near) / 7.2801 for way in (dx, dy)], keypoints)
    outputs: dict[str, tuple[Wire, Sequence[Any]]] = {
        "scores": (score.turn(0, 2, 3, 1), (1, "h", "w", keypoints)),
        "locref": (refinement.turn(0, 2, 3, 1), (1, "h", "w", 2 * keypoints)),
    }
    if pairs:
        planes: list[list[Wire]] = [[], []]
        for a in range(keypoints):
            around = graph.op(
                "Gather", near, graph.wire(np.array([a, keypoints + a][:people], np.int64)), axis=1
            )
            for b in (other for other in range(keypoints) if other != a):
                for one in (0, 1):
                    end = seen.xy.pick(2, b, b + 1).pick(3, one, one + 1)
                    way = end - seen.xy.pick(2, a, a + 1).pick(3, one, one + 1)
                    planes[one].append((around * way.shape(1, people, 1, 1)).sum(1, keep=True))
        kinds = keypoints * (keypoints - 1)
        offsets = interleaved([join(1, *plane) for plane in planes], kinds)
        outputs["pairwise"] = (offsets.turn(0, 2, 3, 1), (1, "h", "w", 2 * kinds))
    return save(seen, path, (1, "height", "width", 3), outputs)
