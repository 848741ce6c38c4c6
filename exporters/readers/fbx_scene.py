"""Skeleton and motion of a binary FBX file, whoever wrote it.

Pivots, pre- and post-rotations, all rotation orders, bind poses, and constant, linear and cubic keys are
understood. Of several takes the active one is read, of its layers the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exporters.axes import FloatArray
from exporters.errors import ExportError
from exporters.fbx.binary import Node, decode
from exporters.fbx.objects import TICKS_PER_SECOND
from exporters.readers.curves import CONSTANT, CUBIC, LINEAR, value_at
from exporters.readers.moving_skeleton import (
    MovingSkeleton,
    clean_names,
    depth_first,
    largest_tree,
    rotations_of,
)

_RATES: Final = {
    1: 120.0, 2: 100.0, 3: 60.0, 4: 50.0, 5: 48.0, 6: 30.0, 7: 30.0, 8: 30000 / 1001, 9: 30000 / 1001,
    10: 25.0, 11: 24.0, 12: 1000.0, 13: 24000 / 1001, 15: 96.0, 16: 72.0, 17: 60000 / 1001, 18: 120000 / 1001,
}  # fmt: skip
"""Frame rates by FBX's numbers."""
_ORDERS: Final = ("xyz", "xzy", "yzx", "yxz", "zxy", "zyx")
"""Extrinsic orders by FBX's numbers."""
_LIMBS: Final = (b"LimbNode", b"Limb", b"Root")
_MOST_FRAMES: Final = 2_000_000
"""More is a broken file."""
_VECTORS: Final = {
    "Lcl Translation": 0.0, "Lcl Rotation": 0.0, "Lcl Scaling": 1.0, "PreRotation": 0.0, "PostRotation": 0.0,
    "RotationOffset": 0.0, "RotationPivot": 0.0, "ScalingOffset": 0.0, "ScalingPivot": 0.0,
}  # fmt: skip


@dataclass
class _Model:
    """A node of the scene."""

    ident: int
    name: str
    is_limb: bool
    values: dict[str, FloatArray]
    order: str
    alone: bool
    """Whether the scale of its parent is not its own: Maya's bones compensate for it."""
    parent: int = 0
    curves: dict[tuple[str, int], Node] = field(default_factory=dict[tuple[str, int], Node])


def read_fbx(data: bytes) -> MovingSkeleton:
    """The skeleton of a binary FBX file and how it moves; the largest, where there are several.

    Raises:
        ExportError: a text or encrypted FBX, a broken one, or one without a skeleton.
    """
    _, nodes = decode(data)
    top = {node.name: node for node in nodes}
    header = top.get("FBXHeaderExtension")
    secret = header.find("EncryptionType") if header else None
    if secret is not None and secret.values and secret.values[0]:
        raise ExportError("this FBX file is encrypted; save it without a password")
    try:
        return _Reader(top).read()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ExportError(f"this FBX file is broken: {type(error).__name__} {error}") from error


class _Reader:
    """One file's objects, and what is connected with what."""

    def __init__(self, top: dict[str, Node]) -> None:
        objects = top["Objects"].children if "Objects" in top else ()
        self.objects = {int(node.values[0]): node for node in objects if node.values}
        links = top["Connections"].children if "Connections" in top else ()
        self.links = [node.values for node in links if len(node.values) >= 3]
        self.settings = _properties(top.get("GlobalSettings"))
        self.active = self._active_take(top.get("Documents"))

    def read(self) -> MovingSkeleton:
        """Everything."""
        models = self._models()
        names, parents = [model.name for model in models], _parents(models)
        order, above = depth_first(names, parents)
        models = [models[index] for index in order]
        limbs = np.array([model.is_limb for model in models])
        if not limbs.any():
            raise ExportError("this FBX file has no skeleton; export the bones too")
        self._add_curves({model.ident: model for model in models})
        time_s, rate_hz = self._frames(models)
        rest = _global(models, [_local(model, None) for model in models], above)
        moving = _global(models, [_local(model, time_s) for model in models], above)
        rest = self._bind(models, above, rest)
        kept, joints_above = depth_first(names, above, limbs)
        inside = largest_tree(joints_above)
        place = {joint: index for index, joint in enumerate(inside)}
        rows = [kept[joint] for joint in inside]
        return MovingSkeleton(
            names=clean_names([models[row].name for row in rows]),
            parents=tuple(place.get(joints_above[joint], -1) for joint in inside),
            rest_xyz=np.stack([rest[row][0, :3, 3] for row in rows]),
            rest_turn=rotations_of(np.stack([rest[row][0, :3, :3] for row in rows])),
            xyz=np.stack([moving[row][:, :3, 3] for row in rows], axis=1),
            turn=rotations_of(np.stack([moving[row][:, :3, :3] for row in rows], axis=1)),
            rate_hz=rate_hz,
            tips={},
            up="+z" if self._setting("UpAxis", 1) == 2 else "+y",
            metres=0.01 * float(self._setting("UnitScaleFactor", 1.0)),
        )

    def _setting(self, name: str, default: float) -> float:
        values = self.settings.get(name, ())
        return float(values[0]) if values else default

    def _active_take(self, documents: Node | None) -> str:
        for document in documents.all("Document") if documents else ():
            values = _properties(document).get("ActiveAnimStackName", ())
            if values and isinstance(values[0], bytes):
                return values[0].decode("utf-8", "replace")
        return ""

    def _models(self) -> list[_Model]:
        found: dict[int, _Model] = {}
        for ident, node in self.objects.items():
            if node.name == "Model":
                found[ident] = _model(ident, node)
        for link in self.links:
            if link[0] == b"OO" and link[1] in found and link[2] in found:
                found[link[1]].parent = int(link[2])
        if found and not any(model.is_limb for model in found.values()):  # bones may be plain nodes
            for model in found.values():
                model.is_limb = self.objects[model.ident].values[2] == b"Null"
        return list(found.values())

    def _add_curves(self, models: dict[int, _Model]) -> None:
        """Give the models the curves of the take's first layer."""
        stacks = [ident for ident, node in self.objects.items() if node.name == "AnimationStack"]
        named = [ident for ident in stacks if _name(self.objects[ident]) == self.active]
        stack = (named or stacks or [None])[0]
        layer = next((link[1] for link in self.links if link[0] == b"OO" and link[2] == stack
                      and self._is(link[1], "AnimationLayer")), None)  # fmt: skip
        on_layer = {link[1] for link in self.links if link[0] == b"OO" and link[2] == layer}
        channels = {
            int(link[1]): (models[link[2]], link[3].decode("utf-8", "replace"))
            for link in self.links
            if link[0] == b"OP" and link[1] in on_layer and link[2] in models and len(link) > 3
        }
        for link in self.links:
            if link[0] == b"OP" and link[2] in channels and len(link) > 3 and link[3][:2] == b"d|":
                model, channel = channels[link[2]]
                axis = b"XYZ".find(link[3][2:])
                if self._is(link[1], "AnimationCurve") and axis >= 0:
                    model.curves[(channel, axis)] = self.objects[link[1]]

    def _is(self, ident: int, kind: str) -> bool:
        return ident in self.objects and self.objects[ident].name == kind

    def _frames(self, models: list[_Model]) -> tuple[FloatArray, float]:
        """Times of the frames, from the first key to the last, and their rate; none where nothing moves."""
        mode = int(self._setting("TimeMode", 0))
        rate_hz = _RATES.get(mode, 30.0)
        custom = self._setting("CustomFrameRate", -1.0)
        if mode == 14 and custom > 0:
            rate_hz = custom
        keys = [_array(curve, "KeyTime") for model in models for curve in model.curves.values()]
        keys = [ticks for ticks in keys if len(ticks)]
        if not keys:
            return np.zeros(0), rate_hz
        start = min(float(ticks[0]) for ticks in keys) / TICKS_PER_SECOND
        stop = max(float(ticks[-1]) for ticks in keys) / TICKS_PER_SECOND
        count = (stop - start) * rate_hz
        if not 0 <= count < _MOST_FRAMES:
            raise ExportError(f"this FBX file is broken: its keys span {stop - start:.0f} s")
        return start + np.arange(round(count) + 1) / rate_hz, rate_hz

    def _bind(self, models: list[_Model], above: tuple[int, ...], rest: list[FloatArray]) -> list[FloatArray]:
        """The rest pose of the skin where there is one; what is not bound keeps its place to its parent."""
        bound: dict[int, FloatArray] = {}
        for pose in (node for node in self.objects.values() if node.name == "Pose"):
            for entry in pose.all("PoseNode"):
                node, matrix = entry.find("Node"), entry.find("Matrix")
                if node and matrix and pose.values[2] == b"BindPose":
                    bound[int(node.values[0])] = np.asarray(matrix.values[0], dtype=np.float64)
        for link in self.links:
            matrix = self.objects[link[2]].find("TransformLink") if self._is(link[2], "Deformer") else None
            if matrix is not None and link[0] == b"OO":
                bound[int(link[1])] = np.asarray(matrix.values[0], dtype=np.float64)
        if not any(model.is_limb and model.ident in bound for model in models):
            return rest
        result: list[FloatArray] = []
        for index, model in enumerate(models):
            if model.ident in bound and bound[model.ident].size == 16:
                result.append(bound[model.ident].reshape(1, 4, 4).swapaxes(1, 2))
            elif above[index] >= 0:
                kept = np.linalg.solve(rest[above[index]], rest[index])
                result.append(result[above[index]] @ kept)
            else:
                result.append(rest[index])
        return result


def _model(ident: int, node: Node) -> _Model:
    entries = _properties(node)
    values = {
        name: np.array(entries[name][:3] if len(entries.get(name, ())) >= 3 else [default] * 3, dtype=float)
        for name, default in _VECTORS.items()
    }
    active = bool(entries.get("RotationActive", (0,))[0])
    order = int(entries.get("RotationOrder", (0,))[0]) if active else 0
    if not active:
        values["PreRotation"] = values["PostRotation"] = np.zeros(3)
    if not all(np.isfinite(value).all() for value in values.values()):
        raise ExportError(f"this FBX file is broken: {_name(node)!r} stands nowhere")
    alone = int(entries.get("InheritType", (0,))[0]) == 2
    turns = _ORDERS[order if order < len(_ORDERS) else 0]
    return _Model(ident, _name(node), node.values[2] in _LIMBS, values, turns, alone)


def _parents(models: list[_Model]) -> list[int]:
    place = {model.ident: index for index, model in enumerate(models)}
    return [place.get(model.parent, -1) for model in models]


def _local(model: _Model, time_s: FloatArray | None) -> FloatArray:
    """(T, 4, 4) parent from node at times; (1, 4, 4) at rest."""
    count = 1 if time_s is None else len(time_s)

    def values(name: str) -> FloatArray:
        still = np.repeat(model.values[name][None], count, axis=0)
        for axis in range(3) if time_s is not None else ():
            curve = model.curves.get((name, axis))
            if curve is not None and len(_array(curve, "KeyTime")):
                still[:, axis] = _sample(curve, time_s if time_s is not None else np.zeros(0))
        return still

    def place(name: str) -> FloatArray:
        return _moved(model.values[name][None])

    def turn(name: str) -> FloatArray:
        return _rotated(model.values[name][None], "xyz")

    scale = np.zeros((count, 4, 4))
    scale[:, [0, 1, 2], [0, 1, 2]] = values("Lcl Scaling")
    scale[:, 3, 3] = 1.0
    return (
        _moved(values("Lcl Translation")) @ place("RotationOffset") @ place("RotationPivot")
        @ turn("PreRotation") @ _rotated(values("Lcl Rotation"), model.order)
        @ np.linalg.inv(turn("PostRotation")) @ np.linalg.inv(place("RotationPivot"))
        @ place("ScalingOffset") @ place("ScalingPivot") @ scale @ np.linalg.inv(place("ScalingPivot"))
    )  # fmt: skip


def _global(models: list[_Model], local: list[FloatArray], above: tuple[int, ...]) -> list[FloatArray]:
    """World from node, of nodes of which parents come first."""
    result: list[FloatArray] = []
    for index, matrix in enumerate(local):
        if models[index].alone and above[index] >= 0:
            scale = models[above[index]].values["Lcl Scaling"]
            matrix[:, :3, :3] /= np.where(scale == 0, 1.0, scale)[:, None]
        result.append(matrix if above[index] < 0 else result[above[index]] @ matrix)
    return result


def _moved(xyz: FloatArray) -> FloatArray:
    matrices = np.tile(np.eye(4), (len(xyz), 1, 1))
    matrices[:, :3, 3] = xyz
    return matrices


def _rotated(degrees: FloatArray, order: str) -> FloatArray:
    from scipy.spatial.transform import Rotation

    matrices = np.tile(np.eye(4), (len(degrees), 1, 1))
    angles = np.deg2rad(degrees)[:, ["xyz".index(axis) for axis in order]]
    if len(angles):
        matrices[:, :3, :3] = Rotation.from_euler(order, angles).as_matrix()
    return matrices


def _sample(curve: Node, time_s: FloatArray) -> FloatArray:
    """(T,) values of one curve."""
    keys_s = _array(curve, "KeyTime").astype(np.float64) / TICKS_PER_SECOND
    values = _array(curve, "KeyValueFloat").astype(np.float64)
    if len(values) != len(keys_s) or (np.diff(keys_s) < 0).any() or not np.isfinite(values).all():
        raise ExportError("this FBX file is broken: a curve's keys and values do not go together")
    flags, data, counts = (
        _array(curve, name) for name in ("KeyAttrFlags", "KeyAttrDataFloat", "KeyAttrRefCount")
    )
    if not len(flags) or counts.sum() != len(keys_s) or len(data) != 4 * len(flags) or (counts < 0).any():
        return value_at(time_s, keys_s, values)
    each = np.repeat(flags.astype(np.int64), counts)
    kind = np.select([(each & 8) > 0, (each & 2) > 0], [CUBIC, CONSTANT], LINEAR)
    slope = np.repeat(data.reshape(-1, 4).astype(np.float64), counts, axis=0)
    return value_at(time_s, keys_s, values, kind, (slope[:, 0], slope[:, 1]))


def _array(node: Node, name: str) -> NDArray[Any]:
    child = node.find(name)
    values = child.values[0] if child and child.values else np.zeros(0)
    return values if isinstance(values, np.ndarray) else np.zeros(0)


def _properties(node: Node | None) -> dict[str, list[Any]]:
    """The values of a node's properties by name."""
    entries = node.find("Properties70") if node else None
    return {
        entry.values[0].decode("utf-8", "replace"): entry.values[4:]
        for entry in (entries.children if entries else ())
        if entry.values and isinstance(entry.values[0], bytes)
    }


def _name(node: Node) -> str:
    text = node.values[1]
    return text.split(b"\x00")[0].decode("utf-8", "replace") if isinstance(text, bytes) else ""
