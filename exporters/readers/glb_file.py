"""Skeleton and motion of a GLB file, whoever wrote it."""

from __future__ import annotations

import json
import struct
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from exporters.axes import FloatArray
from exporters.errors import ExportError
from exporters.readers.curves import turn_at, value_at
from exporters.readers.moving_skeleton import (
    MovingSkeleton,
    clean_names,
    depth_first,
    largest_tree,
    rotations_of,
)

_MAGIC, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
_TYPES: Final = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS: Final = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_MOST_FRAMES: Final = 2_000_000
_USUAL_HZ: Final = (
    24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 48.0, 50.0, 60000 / 1001, 60.0, 90.0, 100.0,
    120000 / 1001, 120.0, 240.0,
)  # fmt: skip


def read_glb(data: bytes) -> MovingSkeleton:
    """The skeleton of a GLB file and how its first animation moves it; the largest of several.

    Raises:
        ExportError: no GLB, a broken one, or one without a skeleton.
    """
    document, binary = _chunks(data)
    try:
        return _Reader(document, binary).read()
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        struct.error,
        RecursionError,
    ) as error:
        raise ExportError(f"this GLB file is broken: {type(error).__name__} {error}") from error


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) < 20 or struct.unpack_from("<I", data)[0] != _MAGIC:
        raise ExportError("this is no GLB file; glTF in several files must be packed into one .glb")
    length, kind = struct.unpack_from("<II", data, 12)
    try:
        document = json.loads(data[20 : 20 + length].decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ExportError("this GLB file is broken: its JSON cannot be read") from error
    if kind != _JSON_CHUNK or not isinstance(document, dict):
        raise ExportError("this GLB file is broken: it does not begin with JSON")
    at = 20 + length
    binary = b""
    if len(data) >= at + 8:
        size, kind = struct.unpack_from("<II", data, at)
        binary = data[at + 8 : at + 8 + size] if kind == _BINARY_CHUNK else b""
    return cast("dict[str, Any]", document), binary


class _Reader:
    """One file."""

    def __init__(self, document: dict[str, Any], binary: bytes) -> None:
        self.json, self.binary = document, binary
        self.nodes: list[dict[str, Any]] = document.get("nodes", [])

    def read(self) -> MovingSkeleton:
        """Everything."""
        parents = [-1] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            for child in node.get("children", ()):
                parents[int(child)] = index
        names = [str(node.get("name", f"node{index}")) for index, node in enumerate(self.nodes)]
        order, above = depth_first(names, parents)
        tracks = self._tracks()
        joints = {int(j) for skin in self.json.get("skins", ()) for j in skin["joints"]} or set(tracks)
        kept = np.array([index in joints for index in range(len(self.nodes))], dtype=bool)
        if not kept.any():
            raise ExportError("this GLB file has no skeleton; export the bones too")
        time_s, rate_hz = _frames(tracks)
        rest, moving = self._matrices(order, above, tracks, time_s)
        rest |= self._bind()
        rows, joints_above = depth_first(names, parents, kept)
        inside = largest_tree(joints_above)
        place = {joint: index for index, joint in enumerate(inside)}
        rows = [rows[joint] for joint in inside]
        return MovingSkeleton(
            names=clean_names([names[row] for row in rows]),
            parents=tuple(place.get(joints_above[joint], -1) for joint in inside),
            rest_xyz=np.stack([rest[row][:3, 3] for row in rows]),
            rest_turn=rotations_of(np.stack([rest[row][:3, :3] for row in rows])),
            xyz=np.stack([moving[row][:, :3, 3] for row in rows], axis=1),
            turn=rotations_of(np.stack([moving[row][:, :3, :3] for row in rows], axis=1)),
            rate_hz=rate_hz,
            tips={},
            up="+y",
            metres=1.0,
        )

    def _tracks(self) -> dict[int, dict[str, tuple[FloatArray, FloatArray, str]]]:
        """{node: {path: (times, values, interpolation)}} of the first animation."""
        tracks: dict[int, dict[str, tuple[FloatArray, FloatArray, str]]] = {}
        animation = (self.json.get("animations") or [{}])[0]
        for channel in animation.get("channels", ()):
            sampler = animation["samplers"][channel["sampler"]]
            kind = sampler.get("interpolation", "LINEAR")
            keys_s = self._array(sampler["input"])[:, 0]
            values = self._array(sampler["output"])
            if kind == "CUBICSPLINE":  # in-tangent, value, out-tangent: dense keys need no tangents
                values = values.reshape(len(keys_s), 3, -1)[:, 1]
            path = channel["target"]["path"]
            if path in ("translation", "rotation", "scale") and "node" in channel["target"]:
                if len(values) != len(keys_s) or not len(keys_s) or (np.diff(keys_s) <= 0).any():
                    raise ExportError("this GLB file is broken: keys and values do not go together")
                tracks.setdefault(int(channel["target"]["node"]), {})[path] = (keys_s, values, kind)
        return tracks

    def _array(self, index: int) -> FloatArray:
        """(n, width) numbers of an accessor."""
        accessor = self.json["accessors"][index]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise ExportError("this GLB file has sparse numbers; save it without compression")
        view = self.json["bufferViews"][accessor["bufferView"]]
        kind, width = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]]
        count, stride = int(accessor["count"]), int(view.get("byteStride", 0)) or kind.itemsize * width
        start = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
        if count < 1 or start < 0 or start + stride * (count - 1) + kind.itemsize * width > len(self.binary):
            raise ExportError("this GLB file is broken: numbers lie outside of it")
        rows: NDArray[Any] = np.ndarray((count, width), kind, self.binary, start, (stride, kind.itemsize))
        values = rows.astype(np.float64)
        if kind.kind in "iu" and accessor.get("normalized"):
            values = np.maximum(values / np.iinfo(kind).max, -1.0)
        if not np.isfinite(values).all():
            raise ExportError("this GLB file is broken: a number is not finite")
        return values

    def _matrices(
        self, order: list[int], above: tuple[int, ...],
        tracks: dict[int, dict[str, tuple[FloatArray, FloatArray, str]]], time_s: FloatArray,
    ) -> tuple[dict[int, FloatArray], dict[int, FloatArray]]:  # fmt: skip
        """(4, 4) of nodes at rest and (T, 4, 4) in motion, world from node."""
        rest: dict[int, FloatArray] = {}
        moving: dict[int, FloatArray] = {}
        for row, index in enumerate(order):
            node = self.nodes[index]
            still = _local(node, {}, np.zeros(1))[0]
            now = _local(node, tracks.get(index, {}), time_s)
            parent = order[above[row]] if above[row] >= 0 else -1
            rest[index] = still if parent < 0 else rest[parent] @ still
            moving[index] = now if parent < 0 else moving[parent] @ now
        return rest, moving

    def _bind(self) -> dict[int, FloatArray]:
        """(4, 4) of the joints of skins where they were bound."""
        bound: dict[int, FloatArray] = {}
        for skin in self.json.get("skins", ()):
            if "inverseBindMatrices" in skin:
                matrices = self._array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
                for joint, matrix in zip(skin["joints"], matrices, strict=False):
                    if abs(np.linalg.det(matrix)) > 1e-12:
                        bound[int(joint)] = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
        return bound


def _local(
    node: dict[str, Any], tracks: dict[str, tuple[FloatArray, FloatArray, str]], time_s: FloatArray
) -> FloatArray:
    """(T, 4, 4) parent from node."""
    from scipy.spatial.transform import Rotation

    count = len(time_s)
    if "matrix" in node:
        return np.repeat(np.array(node["matrix"], dtype=np.float64).reshape(1, 4, 4).swapaxes(1, 2), count, 0)
    matrix: FloatArray = np.tile(np.eye(4), (count, 1, 1))
    if count and "rotation" in tracks:
        keys_s, values, kind = tracks["rotation"]
        matrix[:, :3, :3] = turn_at(time_s, keys_s, values, constant=kind == "STEP")
    elif "rotation" in node:
        turn = Rotation.from_quat(np.array(node["rotation"], dtype=np.float64)).as_matrix()
        matrix[:, :3, :3] = np.asarray(turn, dtype=np.float64)
    scale = _vector(node, tracks, "scale", 1.0, time_s)
    matrix[:, :3, :3] *= scale[:, None, :]
    matrix[:, :3, 3] = _vector(node, tracks, "translation", 0.0, time_s)
    return matrix


def _vector(
    node: dict[str, Any], tracks: dict[str, tuple[FloatArray, FloatArray, str]], name: str, default: float,
    time_s: FloatArray,
) -> FloatArray:  # fmt: skip
    """(T, 3) translation or scale."""
    if name not in tracks or not len(time_s):
        return np.repeat(np.array(node.get(name, [default] * 3), dtype=np.float64)[None], len(time_s), 0)
    keys_s, values, kind = tracks[name]
    steps = np.zeros(len(keys_s), dtype=np.int64) if kind == "STEP" else None
    return np.stack([value_at(time_s, keys_s, values[:, axis], steps) for axis in range(3)], axis=-1)


def _frames(
    tracks: dict[int, dict[str, tuple[FloatArray, FloatArray, str]]],
) -> tuple[FloatArray, float]:
    """Times of frames from first to last key and their rate: that of the track with the most keys."""
    keys = [track[0] for paths in tracks.values() for track in paths.values()]
    if not keys:
        return np.zeros(0), 30.0
    most = max(keys, key=len)
    rate_hz = 1 / float(np.median(np.diff(most))) if len(most) > 1 else 30.0
    nearest = min(_USUAL_HZ, key=lambda usual: abs(rate_hz / usual - 1))
    if len(most) > 1:  # single precision spoils steps, but not the whole length
        steps = round((most[-1] - most[0]) * rate_hz)
        rate_hz = steps / float(most[-1] - most[0]) if steps else rate_hz
    rate_hz = nearest if abs(rate_hz / nearest - 1) < 2e-4 else rate_hz
    start, stop = min(float(each[0]) for each in keys), max(float(each[-1]) for each in keys)
    if not 0 <= (stop - start) * rate_hz < _MOST_FRAMES:
        raise ExportError(f"this GLB file is broken: its keys span {stop - start:.0f} s")
    return start + np.arange(round((stop - start) * rate_hz) + 1) / rate_hz, rate_hz
