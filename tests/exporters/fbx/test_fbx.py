from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from exporters import Character, ExportError, Take
from exporters.fbx import export_fbx
from exporters.fbx.binary import Node, decode
from exporters.rigged import joints_on_rig
from rigs.body import load_body
from rigs.mesh import SkinnedMesh, mesh_of
from rigs.rig import load_rig
from rigs.rig_names import available_rigs, load_rig_names

from ...clients.walk import walking_character, walking_take

TICKS_PER_SECOND = 46186158000
Array = NDArray[np.float64]


class Scene:
    """A reader of our own for the files of these tests: objects, connections and the pose at each key."""

    def __init__(self, data: bytes) -> None:
        self.version, top = decode(data)
        self.top = {node.name: node for node in top}
        self.objects = {node.values[0]: node for node in self.top["Objects"].children}
        self.links = [node.values for node in self.top["Connections"].children]

    def setting(self, name: str) -> object:
        return self.property(self.top["GlobalSettings"], name)[-1]

    @staticmethod
    def property(node: Node, name: str) -> list[object]:
        entries = node.find("Properties70")
        assert entries is not None
        return next(entry.values[4:] for entry in entries.children if entry.values[0] == name.encode())

    def named(self, kind: str, subtype: bytes) -> dict[str, int]:
        return {
            node.values[1].split(b"\x00")[0].decode(): ident
            for ident, node in self.objects.items()
            if node.name == kind and node.values[2] == subtype
        }

    def parent(self, ident: int) -> int:
        return next(link[2] for link in self.links if link[0] == b"OO" and link[1] == ident)

    def curves(self, model: int, channel: bytes) -> tuple[Array, Array]:
        """Times in seconds and (T, 3) values of one property."""
        node = next(link[1] for link in self.links if link[2] == model and link[3:] == [channel])
        curves = {link[3]: self.objects[link[1]] for link in self.links if link[2] == node and len(link) > 3}
        values = [curves[key].find("KeyValueFloat").values[0] for key in (b"d|X", b"d|Y", b"d|Z")]
        times = curves[b"d|X"].find("KeyTime").values[0] / TICKS_PER_SECOND
        return times, np.stack(values, axis=-1).astype(np.float64)

    def joints_xyz(self) -> dict[str, Array]:
        """(T, 3) centimetres of each joint, by forward kinematics with scipy's rotations."""
        models = self.named("Model", b"LimbNode")
        names = {ident: name for name, ident in models.items()}
        turn: dict[int, Array] = {}
        place: dict[int, Array] = {}
        for ident in models.values():  # parents come first
            _, degrees = self.curves(ident, b"Lcl Rotation")
            local = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
            parent = self.parent(ident)
            moves = any(link[2:] == [ident, b"Lcl Translation"] for link in self.links)
            offset = np.array(self.property(self.objects[ident], "Lcl Translation"), dtype=np.float64)
            if moves:
                offset = self.curves(ident, b"Lcl Translation")[1]
            if parent == 0:
                turn[ident], place[ident] = local, offset
                continue
            turn[ident] = turn[parent] @ local
            place[ident] = place[parent] + (turn[parent] @ offset[..., None])[..., 0]
        return {names[ident]: xyz for ident, xyz in place.items()}


def only(files: dict[str, bytes]) -> bytes:
    (data,) = files.values()
    return data


def with_skin(character: Character) -> Character:
    """A box round every joint: few vertices, weights in every column."""
    num = len(character.skeleton.joint_names)
    corners = np.array([[-1, -1, -1], [1, -1, -1], [0, 1, -1], [0, 0, 1]]) * 0.02
    vertices = (character.rest_xyz[:, None] + corners).reshape(-1, 3)
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    weights = np.repeat(np.eye(num), 4, axis=0)
    return replace(
        character,
        mesh=SkinnedMesh(vertices, np.concatenate([faces + 4 * joint for joint in range(num)]), weights),
    )


@pytest.mark.parametrize("rig", available_rigs())
def test_joints_of_every_frame(rig: str) -> None:
    character = walking_character(num_frames=20)
    scene = Scene(only(export_fbx(Take("walk", (character,)), rig=rig)))
    xyz = scene.joints_xyz()
    wanted = joints_on_rig(character, load_rig(rig))
    assert set(xyz) == set(wanted)
    for name, place in wanted.items():
        x, y, z = np.moveaxis(place, -1, 0)
        np.testing.assert_allclose(xyz[name], 100 * np.stack([x, z, -y], -1), atol=2e-3)


@pytest.mark.parametrize(
    ("rate_hz", "mode"),
    [(24000 / 1001, 13), (24.0, 11), (25.0, 10), (29.97, 9), (30.0, 6), (60.0, 3), (119.88, 18), (75.0, 14)],
)
def test_frame_rates_and_key_times(rate_hz: float, mode: int) -> None:
    scene = Scene(only(export_fbx(walking_take(num_frames=10, rate_hz=rate_hz))))
    assert scene.setting("TimeMode") == mode
    assert scene.setting("UnitScaleFactor") == 1.0
    assert scene.setting("UpAxis") == 1
    if mode == 14:
        assert scene.setting("CustomFrameRate") == rate_hz
    times, _ = scene.curves(scene.named("Model", b"LimbNode")["Hips"], b"Lcl Rotation")
    np.testing.assert_allclose(times, np.arange(10) / rate_hz, atol=1e-10)


def test_what_readers_insist_on() -> None:
    character = with_skin(walking_character(num_frames=4))
    scene = Scene(only(export_fbx(Take("walk", (character,)))))
    assert scene.version == 7400
    assert list(scene.top)[:4] == ["FBXHeaderExtension", "FileId", "CreationTime", "Creator"]
    joints = scene.named("Model", b"LimbNode")
    assert [name for name, ident in joints.items() if scene.parent(ident) == 0] == ["Hips"]
    layer = next(node for node in scene.objects.values() if node.name == "AnimationLayer")
    assert layer.scope
    for node in scene.objects.values():
        if node.name == "AnimationCurve":
            keys = len(node.find("KeyTime").values[0])
            assert node.find("KeyAttrRefCount").values[0].sum() == keys == 4
    counts = {
        entry.values[0].decode(): entry.find("Count").values[0]
        for entry in scene.top["Definitions"].all("ObjectType")
    }
    kinds = [node.name for node in scene.objects.values()]
    assert counts == {kind: kinds.count(kind) for kind in kinds} | {"GlobalSettings": 1}


def test_the_skin_is_bound_where_the_skeleton_rests() -> None:
    character = with_skin(walking_character(num_frames=4))
    scene = Scene(only(export_fbx(Take("walk", (character,)))))
    joints = scene.named("Model", b"LimbNode")
    clusters = scene.named("Deformer", b"Cluster")
    assert list(clusters) == list(joints)
    total = np.zeros(len(character.mesh.vertices))
    for name, ident in clusters.items():
        node = scene.objects[ident]
        link = node.find("TransformLink").values[0].reshape(4, 4).T
        transform = node.find("Transform").values[0].reshape(4, 4).T
        np.testing.assert_allclose(transform @ link, np.eye(4), atol=1e-9)
        rest, at = np.zeros(3), joints[name]
        while at:
            rest += np.array(scene.property(scene.objects[at], "Lcl Translation"), dtype=np.float64)
            at = scene.parent(at)
        np.testing.assert_allclose(link[:3, 3], rest, atol=1e-9)
        np.add.at(total, node.find("Indexes").values[0], node.find("Weights").values[0])
    np.testing.assert_allclose(total, 1.0, atol=1e-12)
    mesh = next(node for node in scene.objects.values() if node.name == "Geometry")
    vertices = mesh.find("Vertices").values[0].reshape(-1, 3)
    assert vertices[:, 1].min() == pytest.approx(0.0, abs=1e-9)  # it stands on the floor
    corners = mesh.find("PolygonVertexIndex").values[0].reshape(-1, 3)
    assert (corners[:, :2] >= 0).all()
    assert (corners[:, 2] < 0).all()


def test_every_person_in_a_file_or_all_in_one() -> None:
    take = walking_take("anna", "ben", num_frames=3)
    assert list(export_fbx(take)) == ["anna.fbx", "ben.fbx"]
    files = export_fbx(take, one_file=True)
    assert list(files) == ["walk.fbx"]
    assert {"anna:Hips", "ben:Hips"} <= set(Scene(only(files)).named("Model", b"LimbNode"))


def test_the_same_bytes_again() -> None:
    take = Take("walk", (with_skin(walking_character(num_frames=5)),))
    assert export_fbx(take) == export_fbx(take)


def test_a_range_starts_at_time_zero() -> None:
    take = walking_take(num_frames=10)
    scene = Scene(only(export_fbx(take, start_frame=4, end_frame=-2)))
    times, xyz = scene.curves(scene.named("Model", b"LimbNode")["Hips"], b"Lcl Translation")
    assert times[0] == 0.0
    assert len(times) == 4
    assert xyz[0, 0] == pytest.approx(100 * take.characters[0].motion.joints[4, 0, 0], abs=1e-4)


def test_names_that_fbx_cannot_hold() -> None:
    take = walking_take(num_frames=2)
    names = load_rig_names("mixamo")
    with pytest.raises(ExportError, match="visible characters"):
        export_fbx(take, rig={**names, "head": "He\nad"})
    with pytest.raises(ExportError, match="more than one joint"):
        export_fbx(take, rig={**names, "head": "Neck"})
    with pytest.raises(ExportError, match="version must be"):
        export_fbx(take, version=6100)


def test_the_body_has_a_closed_skin_with_outward_normals() -> None:
    body = load_body()
    mesh = mesh_of(body, np.zeros(body.num_betas)).strongest(4)
    assert ((mesh.weights > 0).sum(1) <= 4).all()
    np.testing.assert_allclose(mesh.weights.sum(1), 1.0, atol=1e-12)
    outward = np.einsum("va,va->v", mesh.normals, mesh.vertices - mesh.vertices.mean(0))
    assert (outward > 0).mean() > 0.7
    assert mesh.uv.min() >= 0
    assert mesh.uv.max() <= 1
