"""A character in an FBX scene: joints, bind pose, skin, and the curves that move them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from exporters.animation import Animation
from exporters.axes import FloatArray
from exporters.euler import continuous_euler
from exporters.fbx.binary import Node, array, f64, flag, i32, i64, text
from exporters.fbx.curves import add_curves
from exporters.fbx.evidence import evidence_properties
from exporters.fbx.objects import TICKS_PER_SECOND, Scene, enum, integer, number, properties, string, vector
from exporters.smooth import Track, Tracks
from rigs.mesh import SkinnedMesh

_INFLUENCES = 4
"""Joints to a vertex; game engines and three.js use no more."""


def add_character(
    scene: Scene, animation: Animation, layer: int, prefix: str, tracks: Tracks, facts: Mapping[str, str]
) -> list[int]:
    """Add one character.

    Args:
        scene: the scene; objects are added to it.
        animation: the character, in the file's axes.
        layer: id of the animation layer.
        prefix: put before the names of its joints, where several people share a file.
        tracks: the curves and their keys.
        facts: texts that the root gets as properties of its own.

    Returns:
        Ids of its joints.
    """
    joints = _add_joints(scene, animation, prefix, facts)
    if animation.mesh is not None:
        _add_skin(scene, animation, animation.mesh.strongest(_INFLUENCES), joints, prefix)
    _add_curves(scene, animation, joints, layer, tracks)
    return joints


def _add_joints(scene: Scene, animation: Animation, prefix: str, facts: Mapping[str, str]) -> list[int]:
    ids: list[int] = []
    hierarchy = animation.hierarchy
    offsets = animation.node_offsets
    degrees = _rest_degrees(animation)
    for joint, (name, parent) in enumerate(zip(hierarchy.names, hierarchy.parents, strict=True)):
        model = scene.add(
            "Model",
            prefix + name,
            "Model",
            "LimbNode",
            Node("Version", (i32(232),)),
            properties(
                enum("RotationOrder", 0),
                flag_property("RotationActive"),
                enum("InheritType", 1),
                integer("DefaultAttributeIndex", 0),
                vector("Lcl Translation", "Lcl Translation", "A+", offsets[joint]),
                vector("Lcl Rotation", "Lcl Rotation", "A+", degrees[joint]),
                vector("Lcl Scaling", "Lcl Scaling", "A", (1.0, 1.0, 1.0)),
                *evidence_properties(animation, joint),
                *(string(key, value, "U") for key, value in facts.items() if joint == 0),
            ),
            Node("MultiLayer", (i32(0),)),
            Node("MultiTake", (i32(0),)),
            Node("Shading", (flag(True),)),
            Node("Culling", (text("CullingOff"),)),
        )
        attribute = scene.add(
            "NodeAttribute",
            prefix + name,
            "NodeAttribute",
            "LimbNode",
            Node("TypeFlags", (text("Skeleton"),)),
            properties(number("Size", 1.0)),
        )
        scene.connect(model, ids[parent] if parent >= 0 else 0)
        scene.connect(attribute, model)
        ids.append(model)
    return ids


def flag_property(name: str) -> Node:
    """A boolean that is set."""
    return Node("P", (text(name), text("bool"), text(""), text(""), i32(1)))


def _add_skin(scene: Scene, animation: Animation, mesh: SkinnedMesh, joints: list[int], prefix: str) -> None:
    name = f"{prefix}{animation.name}_body"
    model = scene.add(
        "Model",
        name,
        "Model",
        "Mesh",
        Node("Version", (i32(232),)),
        properties(
            enum("InheritType", 1),
            integer("DefaultAttributeIndex", 0),  # without it Autodesk's SDK sees no mesh
            vector("Lcl Translation", "Lcl Translation", "A", (0.0, 0.0, 0.0)),
            vector("Lcl Rotation", "Lcl Rotation", "A", (0.0, 0.0, 0.0)),
            vector("Lcl Scaling", "Lcl Scaling", "A", (1.0, 1.0, 1.0)),
        ),
        Node("Shading", (flag(True),)),
        Node("Culling", (text("CullingOff"),)),
    )
    geometry = scene.add("Geometry", name, "Geometry", "Mesh", *_geometry(mesh))
    material = scene.add(
        "Material",
        f"{name}_material",
        "Material",
        "",
        Node("Version", (i32(102),)),
        Node("ShadingModel", (text("lambert"),)),
        Node("MultiLayer", (i32(0),)),
        properties(vector("DiffuseColor", "Color", "A", (0.62, 0.64, 0.68))),
    )
    skin = scene.add(
        "Deformer",
        name,
        "Deformer",
        "Skin",
        Node("Version", (i32(101),)),
        Node("Link_DeformAcuracy", (f64(50.0),)),
    )
    scene.connect(model, 0)
    scene.connect(geometry, model)
    scene.connect(material, model)
    scene.connect(skin, geometry)
    bind = animation.bind_matrices
    for joint, ident in enumerate(joints):
        cluster = scene.add(
            "Deformer",
            prefix + animation.hierarchy.names[joint],
            "SubDeformer",
            "Cluster",
            *_cluster(mesh.weights[:, joint], bind[joint]),
        )
        scene.connect(cluster, skin)
        scene.connect(ident, cluster)
    everything = [model, *joints]
    places = [
        Node("PoseNode", (), (Node("Node", (i64(ident),)), Node("Matrix", (array(matrix.T, "d"),))))
        for ident, matrix in zip(everything, [np.eye(4), *bind], strict=True)
    ]
    scene.add(
        "Pose",
        name,
        "Pose",
        "BindPose",
        Node("Type", (text("BindPose"),)),
        Node("Version", (i32(100),)),
        Node("NbPoseNodes", (i32(len(everything)),)),
        *places,
    )


def _geometry(mesh: SkinnedMesh) -> list[Node]:
    faces = mesh.faces.astype(np.int32)
    polygons = faces.copy()
    polygons[:, -1] = -polygons[:, -1] - 1  # the last corner of a polygon is marked by its complement

    def layer(name: str, data: str, values: FloatArray) -> Node:
        return Node(
            name,
            (i32(0),),
            (
                Node("Version", (i32(101),)),
                Node("Name", (text("UVMap" if data == "UV" else ""),)),
                Node("MappingInformationType", (text("ByPolygonVertex"),)),
                Node("ReferenceInformationType", (text("IndexToDirect"),)),
                Node(data, (array(values, "d"),)),
                Node(f"{data}Index" if data == "UV" else "NormalsIndex", (array(faces, "i"),)),
            ),
        )

    material = Node(
        "LayerElementMaterial",
        (i32(0),),
        (
            Node("Version", (i32(101),)),
            Node("Name", (text(""),)),
            Node("MappingInformationType", (text("AllSame"),)),
            Node("ReferenceInformationType", (text("IndexToDirect"),)),
            Node("Materials", (array(np.zeros(1), "i"),)),
        ),
    )
    elements = [
        Node("LayerElement", (), (Node("Type", (text(name),)), Node("TypedIndex", (i32(0),))))
        for name in ("LayerElementNormal", "LayerElementMaterial", "LayerElementUV")
    ]
    return [
        Node("GeometryVersion", (i32(124),)),
        Node("Vertices", (array(mesh.vertices, "d"),)),
        Node("PolygonVertexIndex", (array(polygons, "i"),)),
        layer("LayerElementNormal", "Normals", mesh.normals),
        layer("LayerElementUV", "UV", mesh.uv),
        material,
        Node("Layer", (i32(0),), (Node("Version", (i32(100),)), *elements)),
    ]


def _cluster(weights: FloatArray, bind: FloatArray) -> list[Node]:
    """Vertices that follow one joint. Every joint gets one, or readers could not know where it was bound."""
    indices = np.flatnonzero(weights)
    if not len(indices):
        indices = np.zeros(1, dtype=np.int64)
    return [
        Node("Version", (i32(100),)),
        Node("UserData", (text(""), text(""))),
        Node("Indexes", (array(indices, "i"),)),
        Node("Weights", (array(weights[indices], "d"),)),
        Node("Transform", (array(np.linalg.inv(bind).T, "d"),)),
        Node("TransformLink", (array(bind.T, "d"),)),
    ]


def _add_curves(scene: Scene, animation: Animation, joints: list[int], layer: int, tracks: Tracks) -> None:
    ticks = np.round(animation.time_s * TICKS_PER_SECOND).astype(np.int64)
    degrees = _rest_degrees(animation)
    for joint, (ident, turns) in enumerate(zip(joints, tracks.turns, strict=True)):
        if joint in tracks.travel:
            add_curves(scene, layer, ident, "T", "Lcl Translation", tracks.travel[joint], ticks)
        rests = [tracks.cubic and _rests(*pair) for pair in zip(turns, degrees[joint], strict=True)]
        if not all(rests):
            add_curves(scene, layer, ident, "R", "Lcl Rotation", turns, ticks, bare=rests)


def _rests(track: Track, at_rest: float) -> bool:
    """Whether an angle has one key, and that as the node has it anyway."""
    return len(track.frames) == 1 and abs(track.values[0] - at_rest) < 1e-6


def _rest_degrees(animation: Animation) -> FloatArray:
    """(N, 3) angles of the nodes at rest about x, y, z."""
    return np.rad2deg(continuous_euler(animation.node_rest_rotation[None], "ZYX"))[0, :, ::-1]
