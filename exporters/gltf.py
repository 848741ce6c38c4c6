"""glTF 2.0 in one binary file (GLB): skin and animation for the web, engines and viewers.

Y up, facing +Z, metres, as the format demands. A key on every frame, linear between them.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exporters.animation import Animation, RigLike, animate
from exporters.axes import Axes, FloatArray
from exporters.errors import ExportError
from exporters.hierarchy import check_names
from exporters.lenses import Lens, lenses
from exporters.quaternions import continuous_quaternions
from exporters.reduction import Curves, curves_of
from exporters.take import Take
from rigs.mesh import SkinnedMesh
from rigs.rig_names import DEFAULT_RIG

GLTF_AXES: Final = Axes(up="+y", forward="+z", unit="m")
"""The format's own: metres, Y up."""

_MAGIC, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
_COMPONENT: Final = {"float32": 5126, "uint16": 5123, "uint32": 5125}
_KIND: Final = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_VERTICES, _INDICES = 34962, 34963
_INFLUENCES: Final = 4
"""Joints to a vertex: what one set of attributes holds."""


def export_glb(
    take: Take,
    /,
    *,
    rig: RigLike = DEFAULT_RIG,
    mesh: bool = True,
    one_file: bool = False,
    max_error_mm: float | None = None,
    uncertainty: bool = False,
    start_frame: int = 0,
    end_frame: int | None = None,
) -> dict[str, bytes]:
    """One GLB file for each person, or one for all.

    Args:
        take: the people and their motions.
        rig: a preset, a TOML file's path, {our joint: name}, or a rig that was loaded.
        mesh: write the body's skin where the character has one.
        one_file: all people in one file.
        max_error_mm: leave out keys and digits where no joint moves by more, in any reader; every key where
            left out.
        uncertainty: let the animation's extras name an accessor with each joint's standard deviation in every
            frame, beside the joints' medians in their nodes' extras.
        start_frame: first frame of the motion that is written; it lies at time 0 of the file.
        end_frame: frame after the last one, counted from the end where negative; all if left out.

    Returns:
        {file name: contents}; the same bytes for the same input.

    Raises:
        ExportError: a rig that does not suit, or frames without a pose.
    """
    frames = slice(start_frame, end_frame)
    animations = [animate(character, rig, GLTF_AXES, frames) for character in take.characters]
    for animation in animations:
        check_names(animation.hierarchy.names, "GLB")
    if not mesh:
        animations = [replace(animation, mesh=None) for animation in animations]
    bound_m = None if max_error_mm is None else max_error_mm / 1000
    views, timecode = lenses(take.cameras, GLTF_AXES), take.timecode_of(frames)

    def write(people: list[Animation]) -> bytes:
        document = _scene(take.name, people, bound_m, uncertainty=uncertainty)
        for view in views:
            document.json["scenes"][0]["nodes"].append(_add_camera(document, view))
        if timecode is not None:
            document.json["scenes"][0]["extras"] = {"start_timecode": str(timecode)}
        return _pack(document)

    if one_file:
        return {f"{take.name}.glb": write(animations)}
    return {f"{one.name}.glb": write([one]) for one in animations}


@dataclass
class _Document:
    """The JSON part and the binary part as they grow."""

    json: dict[str, Any] = field(default_factory=dict[str, Any])
    binary: bytearray = field(default_factory=bytearray)

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Append to one of the lists and return the index."""
        items = self.json.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def accessor(self, values: NDArray[Any], *, target: int | None = None, bounds: bool = False) -> int:
        """Store an array (N,), (N, C) or (N, 4, 4); returns the accessor's index."""
        flat = np.ascontiguousarray(values.reshape(len(values), -1))
        self.binary += bytes(-len(self.binary) % 4)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": flat.nbytes}
        self.binary += flat.tobytes()
        accessor: dict[str, Any] = {
            "bufferView": self.add("bufferViews", view | ({"target": target} if target else {})),
            "componentType": _COMPONENT[flat.dtype.name],
            "count": len(flat),
            "type": _KIND[flat.shape[1]],
        }
        if bounds:
            accessor |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        return self.add("accessors", accessor)


def _scene(name: str, animations: list[Animation], bound_m: float | None, *, uncertainty: bool) -> _Document:
    """The people of one file."""
    document = _Document({"asset": {"version": "2.0", "generator": "Mocap Studio"}, "scene": 0})
    motion: dict[str, Any] = {"name": name, "samplers": [], "channels": []}
    roots: list[int] = []
    for animation in animations:
        joints = _add_joints(document, animation)
        roots.append(joints[0])
        if animation.mesh is not None:
            roots.append(_add_skin(document, animation, animation.mesh.strongest(_INFLUENCES), joints))
        _add_motion(document, animation, joints, motion, curves_of(animation, bound_m))
        _add_evidence(document, animation, motion, uncertainty=uncertainty)
    document.json["scenes"] = [{"name": name, "nodes": roots}]
    document.json["animations"] = [motion]
    return document


def _add_joints(document: _Document, animation: Animation) -> list[int]:
    """The joints as nodes at rest; indices of them."""
    hierarchy = animation.hierarchy
    turns = [
        {"rotation": quaternion.tolist()} if len(animation.frames) else {}
        for quaternion in continuous_quaternions(animation.node_rest_rotation[None])[0]
    ]
    ids = [
        document.add("nodes", {"name": name, "translation": offset.tolist(), **turn})
        for name, offset, turn in zip(hierarchy.names, animation.node_offsets, turns, strict=True)
    ]
    for joint, ident in enumerate(ids):
        children = [ids[child] for child in hierarchy.children(joint)]
        if children:
            document.json["nodes"][ident]["children"] = children
    document.json["nodes"][ids[0]]["extras"] = {"person": animation.name}
    if animation.joint_std is not None:
        for ident, std in zip(ids, animation.joint_std.T, strict=True):
            if np.isfinite(std).any():
                extras = document.json["nodes"][ident].setdefault("extras", {})
                extras["std_mm"] = round(float(np.nanmedian(std)) * 1000, 3)
    return ids


def _add_skin(document: _Document, animation: Animation, mesh: SkinnedMesh, joints: list[int]) -> int:
    """The skinned mesh; its node stands at the top of the scene, where validators want it."""
    inverse_bind = np.linalg.inv(animation.bind_matrices).astype(np.float32)
    inverse_bind[:, 3] = [0.0, 0.0, 0.0, 1.0]
    skin = document.add(
        "skins",
        {
            "inverseBindMatrices": document.accessor(np.swapaxes(inverse_bind, 1, 2)),
            "joints": joints,
            "skeleton": joints[0],
        },
    )
    order = np.argsort(-mesh.weights, axis=1, kind="stable")[:, :_INFLUENCES]
    weights = np.take_along_axis(mesh.weights, order, axis=1).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    influences = np.where(weights > 0, order, 0).astype(np.uint16)
    attributes = {
        "POSITION": document.accessor(mesh.vertices.astype(np.float32), target=_VERTICES, bounds=True),
        "NORMAL": document.accessor(_unit(mesh.normals), target=_VERTICES),
        "TEXCOORD_0": document.accessor((mesh.uv * [1, -1] + [0, 1]).astype(np.float32), target=_VERTICES),
        "JOINTS_0": document.accessor(influences, target=_VERTICES),
        "WEIGHTS_0": document.accessor(weights, target=_VERTICES),
    }
    material = {
        "name": f"{animation.name}_material",
        "pbrMetallicRoughness": {"baseColorFactor": [0.62, 0.64, 0.68, 1.0], "metallicFactor": 0.0},
    }
    primitive = {
        "attributes": attributes,
        "indices": document.accessor(mesh.faces.astype(np.uint32).ravel(), target=_INDICES),
        "material": document.add("materials", material),
    }
    name = f"{animation.name}_body"
    number = document.add("meshes", {"name": name, "primitives": [primitive]})
    return document.add("nodes", {"name": name, "mesh": number, "skin": skin})


def _add_motion(
    document: _Document, animation: Animation, joints: list[int], motion: dict[str, Any], curves: Curves
) -> None:
    times: dict[bytes, int] = {}

    def channel(node: int, path: str, keys: NDArray[np.intp], values: FloatArray) -> None:
        frames = keys.tobytes()
        if frames not in times:
            times[frames] = document.accessor(animation.time_s[keys].astype(np.float32), bounds=True)
        output = document.accessor(values[keys].astype(np.float32))
        sampler = {"input": times[frames], "output": output, "interpolation": "LINEAR"}
        motion["samplers"].append(sampler)
        target = {"node": node, "path": path}
        motion["channels"].append({"sampler": len(motion["samplers"]) - 1, "target": target})

    for joint, xyz in curves.travel.items():
        channel(joints[joint], "translation", curves.keys[joint], xyz)
    for joint, (node, keys) in enumerate(zip(joints, curves.keys, strict=True)):
        channel(node, "rotation", keys, curves.quaternions[:, joint])


def _unit(vectors: FloatArray) -> NDArray[np.float32]:
    single = vectors.astype(np.float32)
    return single / np.linalg.norm(single, axis=-1, keepdims=True)


def _add_evidence(
    document: _Document, animation: Animation, motion: dict[str, Any], *, uncertainty: bool
) -> None:
    """How sure we are, as extras: arrays are accessors of (frames times columns) numbers, row by row."""
    found: dict[str, Any] = {}
    if animation.contact_names:
        found["contact_names"] = list(animation.contact_names)
        found["contacts"] = document.accessor(animation.contacts.astype(np.float32).ravel())
    if uncertainty and animation.joint_std is not None:
        found["joint_names"] = list(animation.hierarchy.names)
        # The format forbids NaN; what is not known is below zero.
        known = np.nan_to_num(animation.joint_std, nan=-1.0).astype(np.float32)
        found["joint_std_m"] = document.accessor(known.ravel())
    if found:
        motion.setdefault("extras", {})[animation.name] = found


def _add_camera(document: _Document, view: Lens) -> int:
    """A node with a camera. The format's cameras have no offset and no distortion; extras tell them."""
    from scipy.spatial.transform import Rotation

    width, height = view.size_px
    perspective = {
        "aspectRatio": width / height * view.focal_px[1] / view.focal_px[0],
        "yfov": 2 * float(np.arctan2(height / 2, view.focal_px[1])),
        "znear": 0.05,
        "zfar": 1000.0,
    }
    camera = {"name": view.name, "type": "perspective", "perspective": perspective}
    node = {
        "name": view.name,
        "camera": document.add("cameras", camera),
        "translation": view.xyz.tolist(),
        "rotation": Rotation.from_matrix(view.right_up_back).as_quat().tolist(),
        "extras": view.properties(),
    }
    return document.add("nodes", node)


def _pack(document: _Document) -> bytes:
    document.json["buffers"] = [{"byteLength": len(document.binary)}]
    text = json.dumps(document.json, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    binary = bytes(document.binary) + bytes(-len(document.binary) % 4)
    size = 12 + 8 + len(text) + 8 + len(binary)
    if size > 0xFFFFFFFF:
        raise ExportError("more than 4 GiB of GLB; export a shorter range")
    return b"".join(
        [
            struct.pack("<III", _MAGIC, 2, size),
            struct.pack("<II", len(text), _JSON_CHUNK),
            text,
            struct.pack("<II", len(binary), _BINARY_CHUNK),
            binary,
        ]
    )
