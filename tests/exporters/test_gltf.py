from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from exporters import Character, Take
from exporters.gltf import export_glb
from exporters.quaternions import continuous_quaternions
from rigs.rig_names import load_rig_names

from ..clients.walk import walking_character, walking_take
from .fbx.test_fbx import with_skin

COMPONENTS = {5126: "<f4", 5123: "<u2", 5125: "<u4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """A reader of our own for the files of these tests."""

    def __init__(self, data: bytes) -> None:
        magic, version, size = struct.unpack_from("<4sII", data)
        assert (magic, version, size) == (b"glTF", 2, len(data))
        length = struct.unpack_from("<I", data, 12)[0]
        self.json: dict[str, Any] = json.loads(data[20 : 20 + length])
        self.binary = data[20 + length + 8 :]
        assert len(self.binary) >= self.json["buffers"][0]["byteLength"]

    def array(self, index: int) -> NDArray[np.generic]:
        accessor = self.json["accessors"][index]
        view = self.json["bufferViews"][accessor["bufferView"]]
        kind = np.dtype(COMPONENTS[accessor["componentType"]])
        count = accessor["count"] * WIDTHS[accessor["type"]]
        return np.frombuffer(self.binary, kind, count, view["byteOffset"]).reshape(accessor["count"], -1)

    def track(self, node: int, path: str) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        motion = self.json["animations"][0]
        channel = next(c for c in motion["channels"] if c["target"] == {"node": node, "path": path})
        sampler = motion["samplers"][channel["sampler"]]
        return self.array(sampler["input"])[:, 0], self.array(sampler["output"])


def only(files: dict[str, bytes]) -> Glb:
    (data,) = files.values()
    return Glb(data)


def test_joints_of_every_frame() -> None:
    character = walking_character(num_frames=15)
    glb = only(export_glb(Take("walk", (character,))))
    nodes = glb.json["nodes"]
    names = load_rig_names("mixamo")
    parents = {child: index for index, node in enumerate(nodes) for child in node.get("children", ())}
    turn, place = {}, {}
    for index, node in enumerate(nodes):
        time_s, quaternion = glb.track(index, "rotation")
        local = Rotation.from_quat(quaternion).as_matrix()
        if index in parents:
            turn[index] = turn[parents[index]] @ local
            place[index] = place[parents[index]] + turn[parents[index]] @ np.array(node["translation"])
        else:
            turn[index], place[index] = local, glb.track(index, "translation")[1]
        np.testing.assert_allclose(time_s, np.arange(15) / 30, atol=1e-6)
    ours = {name: joint for joint, name in names.items()}
    for index, node in enumerate(nodes):
        x, y, z = character.motion.joints[:, character.motion.joint_names.index(ours[node["name"]])].T
        np.testing.assert_allclose(place[index], np.stack([x, z, -y], -1), atol=1e-5)


def test_the_skin() -> None:
    character = with_skin(walking_character(num_frames=3))
    glb = only(export_glb(Take("walk", (character,))))
    (skin,) = glb.json["skins"]
    (primitive,) = glb.json["meshes"][0]["primitives"]
    weights = glb.array(primitive["attributes"]["WEIGHTS_0"])
    joints = glb.array(primitive["attributes"]["JOINTS_0"])
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-6)
    assert (joints[weights == 0] == 0).all()  # else validators complain
    position = glb.array(primitive["attributes"]["POSITION"])
    accessor = glb.json["accessors"][primitive["attributes"]["POSITION"]]
    np.testing.assert_array_equal(accessor["min"], position.min(0))
    assert position[:, 1].min() == pytest.approx(0.0, abs=1e-6)
    bind = glb.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4)
    rest = {
        index: np.array(node["translation"])
        for index, node in enumerate(glb.json["nodes"])
        if "mesh" not in node
    }
    for index, node in enumerate(glb.json["nodes"]):
        for child in node.get("children", ()):
            rest[child] = rest[child] + rest[index]
    np.testing.assert_allclose(bind[:, 3, :3], [-rest[joint] for joint in skin["joints"]], atol=1e-6)
    carrier = next(index for index, node in enumerate(glb.json["nodes"]) if "mesh" in node)
    assert carrier in glb.json["scenes"][0]["nodes"]


def test_quaternions_take_the_short_way() -> None:
    angles = np.linspace(0, 6 * np.pi, 200)
    turning = Rotation.from_rotvec(np.stack([0 * angles, angles, 0 * angles], -1)).as_matrix()[:, None]
    quaternion = continuous_quaternions(turning)
    assert (quaternion[1:] * quaternion[:-1]).sum(-1).min() > 0.9
    np.testing.assert_allclose(Rotation.from_quat(quaternion[:, 0]).as_matrix(), turning[:, 0], atol=1e-12)


def test_the_same_bytes_and_one_file_for_all() -> None:
    take = walking_take("anna", "ben", num_frames=3)
    assert export_glb(take) == export_glb(take)
    glb = only(export_glb(take, one_file=True))
    assert len(glb.json["scenes"][0]["nodes"]) == 2
    assert len(glb.json["animations"]) == 1


def test_a_left_out_joint_leaves_its_skin_to_its_parent() -> None:
    character: Character = with_skin(walking_character(num_frames=2))
    names = {joint: name for joint, name in load_rig_names("mixamo").items() if joint != "left_foot"}
    glb = only(export_glb(Take("walk", (character,)), rig=names))
    (primitive,) = glb.json["meshes"][0]["primitives"]
    joints = glb.array(primitive["attributes"]["JOINTS_0"])[:, 0].reshape(-1, 4)[:, 0]
    nodes = [glb.json["nodes"][index]["name"] for index in glb.json["skins"][0]["joints"]]
    foot = character.motion.joint_names.index("left_foot")
    assert nodes[joints[foot]] == names["left_ankle"]
