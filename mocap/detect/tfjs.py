"""TensorFlow.js graph models as ONNX: the operators that MoveNet and PoseNet are made of, and no others.

TensorFlow's images have their channels last, ONNX's convolutions first: each convolution is wrapped in two
transposes, which ONNX Runtime then removes between neighbours.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 17

Attributes = dict[str, Any]


class UnknownOperator(ValueError):
    """The model has an operator that is not in the table."""


class _Graph:
    """An ONNX graph that grows."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, NDArray[Any]] = {}

    def add(self, op: str, inputs: list[str], output: str = "", outputs: int = 1, **attributes: Any) -> str:
        """Append a node; returns the name of its first output, the others are ``name:1`` and so on."""
        from onnx import helper

        output = output or f"{op}_{len(self.nodes)}"
        names = [output, *(f"{output}:{index}" for index in range(1, outputs))]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return output

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """A constant's name."""
        name = f"constant_{len(self.weights)}"
        self.weights[name] = np.asarray(value, dtype)
        return name

    def known(self, name: str) -> NDArray[Any]:
        """The value of an input that must be a constant."""
        return self.weights[name]


def onnx_from_tfjs(model: bytes, weights: bytes) -> bytes:
    """Convert a graph model.

    Args:
        model: the JSON file.
        weights: the files that it names, one after the other.

    Raises:
        UnknownOperator: an operator has no counterpart here.
    """
    from onnx import helper, numpy_helper

    content = json.loads(model)
    graph = _Graph()
    graph.weights.update(_weights(content["weightsManifest"], weights))
    inputs = []
    for node in content["modelTopology"]["node"]:
        name, op = node["name"], node["op"]
        attributes = {key: _attribute(value) for key, value in node.get("attr", {}).items()}
        if op == "Placeholder":
            shape = [size if size > 0 else f"side_{axis}" for axis, size in enumerate(attributes["shape"])]
            inputs.append(helper.make_tensor_value_info(name, _TYPES[attributes["dtype"]], shape))
        elif op != "Const":
            given = [text.removesuffix(":0") for text in node.get("input", []) if not text.startswith("^")]
            if op not in OPERATORS:
                raise UnknownOperator(f"{op} ({name})")
            OPERATORS[op](graph, given, attributes, name)
    outputs = []
    for entry in content["signature"]["outputs"].values():
        shape = [int(dim["size"]) for dim in entry["tensorShape"]["dim"]]
        kind = _TYPES[entry["dtype"]]
        outputs.append(helper.make_tensor_value_info(entry["name"].removesuffix(":0"), kind, shape))
    used = {name for node in graph.nodes for name in node.input}
    made = helper.make_graph(
        graph.nodes,
        "tfjs",
        inputs,
        outputs,
        [numpy_helper.from_array(value, name) for name, value in graph.weights.items() if name in used],
    )
    wrapped = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return wrapped.SerializeToString()


# --- Values ---

_TYPES = {"DT_FLOAT": 1, "DT_INT32": 6, "DT_BOOL": 9, "DT_INT64": 7}


def _weights(manifest: list[dict[str, Any]], data: bytes) -> dict[str, NDArray[Any]]:
    """All constants; those that are stored as half floats become floats."""
    found, start = {}, 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        kind = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
        count = int(np.prod(entry["shape"], dtype=int))
        part = np.frombuffer(data, kind, count, start).reshape(entry["shape"])
        start += count * kind.itemsize
        found[entry["name"]] = part.astype(entry["dtype"])
    return found


def _attribute(value: dict[str, Any]) -> Any:
    """An attribute's plain value."""
    kind, content = next(iter(value.items()))
    if kind == "s":
        return base64.b64decode(content).decode()
    if kind == "i":
        return int(content)
    if kind == "shape":
        return [int(dim["size"]) for dim in content.get("dim", [])]
    if kind == "list":
        items = next(iter(content.values()), [])
        return [base64.b64decode(item).decode() if "s" in content else item for item in items]
    return content


# --- Operators ---


def _plain(op: str) -> Callable[[_Graph, list[str], Attributes, str], None]:
    def convert(graph: _Graph, given: list[str], _: Attributes, name: str) -> None:
        graph.add(op, given, name)

    return convert


def _conv(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    """Convolutions, depthwise ones too, with the bias and activation that are fused into them."""
    strides = [int(stride) for stride in attributes["strides"]][1:3]
    dilations = [int(size) for size in attributes.get("dilations") or [1, 1, 1, 1]][1:3]
    kernel = graph.known(given[1])
    groups = 1
    if attributes["depthwise"]:
        rows, columns, groups, times = kernel.shape
        kernel = kernel.reshape(rows, columns, 1, groups * times)
    filters = graph.constant(kernel.transpose(3, 2, 0, 1), np.float32)
    padding = {"SAME": "SAME_UPPER", "VALID": "VALID"}[attributes["padding"]]
    image = graph.add("Transpose", given[:1], perm=[0, 3, 1, 2])
    fused = attributes.get("fused_ops") or []
    inputs = [image, filters, *(given[2:3] if "BiasAdd" in fused else [])]
    options: Any = {"strides": strides, "dilations": dilations, "group": groups, "auto_pad": padding}
    image = graph.add("Conv", inputs, **options)
    for op in fused:
        if op == "Relu6":
            image = graph.add("Clip", [image, graph.constant(0, np.float32), graph.constant(6, np.float32)])
        elif op in ("Relu", "Elu"):
            image = graph.add(op, [image])
        elif op != "BiasAdd":
            raise UnknownOperator(f"{op} within {name}")
    graph.add("Transpose", [image], name, perm=[0, 2, 3, 1])


def _dense_conv(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    _conv(graph, given, attributes | {"depthwise": False}, name)


def _depthwise_conv(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    _conv(graph, given, attributes | {"depthwise": True}, name)


def _max_pool(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    sizes: Any = {
        "kernel_shape": [int(size) for size in attributes["ksize"]][1:3],
        "strides": [int(size) for size in attributes["strides"]][1:3],
        "auto_pad": {"SAME": "SAME_UPPER", "VALID": "VALID"}[attributes["padding"]],
    }
    image = graph.add("MaxPool", [graph.add("Transpose", given, perm=[0, 3, 1, 2])], **sizes)
    graph.add("Transpose", [image], name, perm=[0, 2, 3, 1])


def _resize(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    aligned, centered = attributes.get("align_corners"), attributes.get("half_pixel_centers")
    mode = "align_corners" if aligned else "half_pixel" if centered else "asymmetric"
    image = graph.add("Transpose", given[:1], perm=[0, 3, 1, 2])
    head = graph.add("Slice", [graph.add("Shape", [image]), graph.constant([0]), graph.constant([2])])
    size = graph.add("Cast", given[1:2], to=_TYPES["DT_INT64"])
    sizes = graph.add("Concat", [head, size], axis=0)
    image = graph.add("Resize", [image, "", "", sizes], mode="linear", coordinate_transformation_mode=mode)
    graph.add("Transpose", [image], name, perm=[0, 2, 3, 1])


def _cast(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    graph.add("Cast", given, name, to=_TYPES[attributes["DstT"]])


def _int64(graph: _Graph, name: str) -> str:
    """An integer input in ONNX's type for shapes and indices."""
    return graph.add("Cast", [name], to=_TYPES["DT_INT64"])


def _int32_after(op: str) -> Callable[[_Graph, list[str], Attributes, str], None]:
    def convert(graph: _Graph, given: list[str], _: Attributes, name: str) -> None:
        graph.add("Cast", [graph.add(op, given)], name, to=_TYPES["DT_INT32"])

    return convert


def _with_int64(op: str, which: int, **options: Any) -> Callable[[_Graph, list[str], Attributes, str], None]:
    def convert(graph: _Graph, given: list[str], _: Attributes, name: str) -> None:
        inputs = [_int64(graph, text) if index == which else text for index, text in enumerate(given)]
        graph.add(op, inputs, name, **options)

    return convert


def _fill(graph: _Graph, given: list[str], _: Attributes, name: str) -> None:
    graph.add("Expand", [given[1], _int64(graph, given[0])], name)


def _expand_dims(graph: _Graph, given: list[str], _: Attributes, name: str) -> None:
    graph.add("Unsqueeze", [given[0], graph.constant(graph.known(given[1]).reshape(-1))], name)


def _squeeze(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    axes = [int(axis) for axis in attributes.get("squeeze_dims") or []]
    graph.add("Squeeze", [given[0], *([graph.constant(axes)] if axes else [])], name)


def _pack(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    axis = int(attributes.get("axis", 0))
    layers = [graph.add("Unsqueeze", [text, graph.constant([axis])]) for text in given]
    graph.add("Concat", layers, name, axis=axis)


def _unpack(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    axis, count = int(attributes.get("axis", 0)), int(attributes["num"])
    parts = graph.add("Split", [given[0]], f"{name}_parts", outputs=count, axis=axis)
    for index in range(count):
        part = parts if index == 0 else f"{parts}:{index}"
        graph.add("Squeeze", [part, graph.constant([axis])], name if index == 0 else f"{name}:{index}")


def _split(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    axis = int(graph.known(given[0]))
    graph.add("Split", [given[1]], name, outputs=int(attributes["num_split"]), axis=axis)


def _concat(graph: _Graph, given: list[str], _: Attributes, name: str) -> None:
    graph.add("Concat", given[:-1], name, axis=int(graph.known(given[-1])))


def _arg_max(graph: _Graph, given: list[str], _: Attributes, name: str) -> None:
    where = graph.add("ArgMax", [given[0]], axis=int(graph.known(given[1])), keepdims=0)
    graph.add("Cast", [where], name, to=_TYPES["DT_INT32"])


def _floor_div(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    # Integers here count cells and are never negative, where ONNX's division rounds down as well.
    quotient = graph.add("Div", given, "" if attributes["T"] == "DT_FLOAT" else name)
    if attributes["T"] == "DT_FLOAT":
        graph.add("Floor", [quotient], name)


def _squared_difference(graph: _Graph, given: list[str], _: Attributes, name: str) -> None:
    apart = graph.add("Sub", given)
    graph.add("Mul", [apart, apart], name)


def _reduce(op: str) -> Callable[[_Graph, list[str], Attributes, str], None]:
    def convert(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
        axes = [int(axis) for axis in graph.known(given[1]).reshape(-1)]
        keep = int(bool(attributes.get("keep_dims")))
        if op == "ReduceSum":
            graph.add(op, [given[0], graph.constant(axes)], name, keepdims=keep)
        else:
            graph.add(op, [given[0]], name, axes=axes, keepdims=keep)

    return convert


def _top_k(graph: _Graph, given: list[str], _: Attributes, name: str) -> None:
    count = graph.add("Reshape", [_int64(graph, given[1]), graph.constant([1])])
    found = graph.add("TopK", [given[0], count], f"{name}_top", outputs=2, axis=-1)
    graph.add("Identity", [found], name)
    graph.add("Cast", [f"{found}:1"], f"{name}:1", to=_TYPES["DT_INT32"])


def _strided_slice(graph: _Graph, given: list[str], attributes: Attributes, name: str) -> None:
    """Slices with constant ends; a mask's bit: this end is open, this axis vanishes or is new."""
    masks = {kind: int(attributes.get(f"{kind}_mask", 0)) for kind in _MASKS}
    if masks["ellipsis"]:
        raise UnknownOperator(f"StridedSlice with an ellipsis ({name})")
    starts, ends, steps, gone, new = [], [], [], [], []
    for place, (begin, end, step) in enumerate(zip(*(graph.known(text) for text in given[1:4]), strict=True)):
        has = {kind: bool(mask >> place & 1) for kind, mask in masks.items()}
        if has["new_axis"]:
            new.append(len(starts) - len(gone) + len(new))
            continue
        if has["shrink_axis"]:
            gone.append(len(starts))
            end, step, has["end"] = begin + 1, 1, int(begin) == -1  # noqa: PLW2901
        starts.append(0 if has["begin"] and not has["shrink_axis"] else int(begin))
        ends.append(np.iinfo(np.int64).max if has["end"] else int(end))
        steps.append(int(step))
    part = given[0]
    if starts:
        axes = list(range(len(starts)))
        part = graph.add("Slice", [part, *(graph.constant(list_) for list_ in (starts, ends, axes, steps))])
    if gone:
        part = graph.add("Squeeze", [part, graph.constant(gone)])
    if new:
        part = graph.add("Unsqueeze", [part, graph.constant(new)])
    graph.add("Identity", [part], name)


_MASKS = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")

OPERATORS: dict[str, Callable[[_Graph, list[str], Attributes, str], None]] = {
    "_FusedConv2D": _dense_conv,
    "Conv2D": _dense_conv,
    "FusedDepthwiseConv2dNative": _depthwise_conv,
    "DepthwiseConv2dNative": _depthwise_conv,
    "MaxPool": _max_pool,
    "ResizeBilinear": _resize,
    "Cast": _cast,
    "Shape": _int32_after("Shape"),
    "Size": _int32_after("Size"),
    "Reshape": _with_int64("Reshape", 1),
    "Tile": _with_int64("Tile", 1),
    "GatherNd": _with_int64("GatherND", 1),
    "Fill": _fill,
    "ExpandDims": _expand_dims,
    "Squeeze": _squeeze,
    "Pack": _pack,
    "Unpack": _unpack,
    "Split": _split,
    "ConcatV2": _concat,
    "ArgMax": _arg_max,
    "FloorDiv": _floor_div,
    "SquaredDifference": _squared_difference,
    "Sum": _reduce("ReduceSum"),
    "Max": _reduce("ReduceMax"),
    "TopKV2": _top_k,
    "StridedSlice": _strided_slice,
    **{op: _plain(op) for op in ("Mul", "Sub", "Sigmoid", "Sqrt", "Identity", "Abs", "Exp", "Range")},
    **{op: _plain(op) for op in ("Less", "Equal", "Greater", "Reciprocal")},
    "AddV2": _plain("Add"),
    "AddN": _plain("Sum"),
    "RealDiv": _plain("Div"),
    "Maximum": _plain("Max"),
    "Minimum": _plain("Min"),
    "LogicalAnd": _plain("And"),
    "GreaterEqual": _plain("GreaterOrEqual"),
    "Select": _plain("Where"),
}
"""What each operator becomes, by TensorFlow's name."""
