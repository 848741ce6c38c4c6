"""What a USD stage of a take holds: people as UsdSkel describes them, and cameras."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from exporters.animation import Animation
from exporters.axes import METRES_PER_UNIT, Axes, FloatArray
from exporters.lenses import Lens
from exporters.libraries import need
from exporters.quaternions import continuous_quaternions
from rigs.mesh import SkinnedMesh

_INFLUENCES = 4
"""Joints to a vertex, as in the other formats: engines use no more."""


def pxr(module: str) -> Any:
    """A module of usd-core; ``ExportError`` where it is not installed."""
    return need(f"pxr.{module}", "usd-core", "USD")


def identifier(name: str, taken: set[str]) -> str:
    """The name as USD can hold it, letters of any alphabet, digits and _; added to those that are taken."""
    clean = re.sub(r"\W", "_", name)
    if not pxr("Sdf").Path.IsValidIdentifier(clean):
        clean = f"_{clean}"
    unique, number = clean, 1
    while unique in taken:
        number += 1
        unique = f"{clean}_{number}"
    taken.add(unique)
    return unique


def add_person(stage: Any, path: Any, animation: Animation, codes: FloatArray) -> None:
    """One person below ``path``: a SkelRoot that holds Skeleton, Motion and, with a mesh, the body.

    Args:
        stage: the stage.
        path: the prim's.
        animation: the character, in the stage's axes and unit.
        codes: (T,) time codes of the frames.
    """
    skel, sdf = pxr("UsdSkel"), pxr("Sdf")
    root = skel.Root.Define(stage, path)
    root.GetPrim().SetCustomDataByKey("person", animation.name)
    bodies = pxr("UsdGeom").Boundable(root.GetPrim())
    bodies.CreateExtentAttr(_extent(animation))
    skeleton = skel.Skeleton.Define(stage, path.AppendChild("Skeleton"))
    joints = _joint_paths(animation)
    rest = np.tile(np.eye(4), (len(animation.offsets), 1, 1))
    rest[:, :3, :3], rest[:, :3, 3] = animation.node_rest_rotation, animation.node_offsets
    skeleton.CreateJointsAttr(joints)
    skeleton.CreateJointNamesAttr(list(animation.hierarchy.names))
    skeleton.CreateBindTransformsAttr(_matrices(animation.bind_matrices))
    skeleton.CreateRestTransformsAttr(_matrices(rest))
    motion = skel.Animation.Define(stage, path.AppendChild("Motion"))
    motion.CreateJointsAttr(joints)
    _add_motion(stage.GetRootLayer(), motion, animation, codes)
    binding = skel.BindingAPI.Apply(skeleton.GetPrim())
    binding.CreateAnimationSourceRel().SetTargets([motion.GetPath()])
    if animation.mesh is not None:
        body = path.AppendChild(identifier(f"{animation.name}_body", {"Skeleton", "Motion"}))
        _add_body(stage, body, animation.mesh.strongest(_INFLUENCES), skeleton.GetPath())
    for name, values in _evidence(animation).items():
        kind = sdf.ValueTypeNames.FloatArray
        attribute = motion.GetPrim().CreateAttribute(f"mocap:{name}", kind)
        _set_samples(stage.GetRootLayer(), attribute, codes, values, pxr("Vt").FloatArray)
    if animation.contact_names:
        names = motion.GetPrim().CreateAttribute("mocap:contactNames", sdf.ValueTypeNames.TokenArray)
        names.Set(list(animation.contact_names))


def add_camera(stage: Any, path: Any, view: Lens, axes: Axes) -> None:
    """A camera that stands still; USD wants film and focal length in tenths of the stage's unit."""
    geom, gf, sdf = pxr("UsdGeom"), pxr("Gf"), pxr("Sdf")
    camera = geom.Camera.Define(stage, path)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[3, :3] = view.right_up_back.T, view.xyz  # USD multiplies rows
    camera.AddTransformOp().Set(gf.Matrix4d(*matrix.ravel().tolist()))
    tenth_mm = METRES_PER_UNIT[axes.unit] * 100
    camera.CreateFocalLengthAttr(view.focal_mm / tenth_mm)
    camera.CreateHorizontalApertureAttr(view.film_mm[0] / tenth_mm)
    camera.CreateVerticalApertureAttr(view.film_mm[1] / tenth_mm)
    camera.CreateHorizontalApertureOffsetAttr(view.offset_mm[0] / tenth_mm)
    camera.CreateVerticalApertureOffsetAttr(view.offset_mm[1] / tenth_mm)
    near, far = (metres / METRES_PER_UNIT[axes.unit] for metres in (0.05, 1000.0))
    camera.CreateClippingRangeAttr(gf.Vec2f(near, far))
    kinds = {str: sdf.ValueTypeNames.String, list: sdf.ValueTypeNames.DoubleArray}
    for name, value in {**view.properties(), "name": view.name}.items():
        camera.GetPrim().CreateAttribute(f"mocap:{name}", kinds[type(value)]).Set(value)


def _joint_paths(animation: Animation) -> list[str]:
    """Each joint's name behind those that carry it, as UsdSkel tells a tree."""
    paths: list[str] = []
    taken: set[str] = set()
    for name, parent in zip(animation.hierarchy.names, animation.hierarchy.parents, strict=True):
        own = identifier(name, taken)
        paths.append(own if parent < 0 else f"{paths[parent]}/{own}")
    return paths


def _matrices(matrices: FloatArray) -> Any:
    """(N, 4, 4) as USD's matrices, which multiply rows."""
    return pxr("Vt").Matrix4dArray.FromNumpy(np.ascontiguousarray(np.swapaxes(matrices, 1, 2)))


def _add_motion(layer: Any, motion: Any, animation: Animation, codes: FloatArray) -> None:
    vt, gf = pxr("Vt"), pxr("Gf")
    places = np.tile(animation.node_offsets.astype(np.float32), (len(codes), 1, 1))
    for joint, xyz in animation.node_travel.items():
        places[:, joint] = xyz
    turns = continuous_quaternions(animation.node_rotation).astype(np.float32)
    motion.CreateScalesAttr([gf.Vec3h(1.0)] * len(animation.hierarchy.names))
    _set_samples(layer, motion.CreateTranslationsAttr(), codes, places, vt.Vec3fArray)
    _set_samples(layer, motion.CreateRotationsAttr(), codes, turns, vt.QuatfArray)


def _set_samples(layer: Any, attribute: Any, codes: FloatArray, values: Any, kind: Any) -> None:
    """One value of the array for each time code. Straight into the layer: the stage would check each time."""
    path = attribute.GetPath()
    samples = np.ascontiguousarray(values, dtype=np.float32)
    with pxr("Sdf").ChangeBlock():
        for code, sample in zip(codes.round(6).tolist(), samples, strict=True):
            layer.SetTimeSample(path, code, kind.FromNumpy(sample))


def _add_body(stage: Any, path: Any, mesh: SkinnedMesh, skeleton: Any) -> None:
    geom, skel, sdf, vt = pxr("UsdGeom"), pxr("UsdSkel"), pxr("Sdf"), pxr("Vt")
    body = geom.Mesh.Define(stage, path)
    body.CreatePointsAttr(vt.Vec3fArray.FromNumpy(mesh.vertices.astype(np.float32)))
    body.CreateFaceVertexIndicesAttr(vt.IntArray.FromNumpy(mesh.faces.astype(np.int32).ravel()))
    body.CreateFaceVertexCountsAttr(vt.IntArray.FromNumpy(np.full(len(mesh.faces), 3, dtype=np.int32)))
    body.CreateSubdivisionSchemeAttr("none")
    body.CreateNormalsAttr(vt.Vec3fArray.FromNumpy(mesh.normals.astype(np.float32)))
    body.SetNormalsInterpolation("vertex")
    body.CreateExtentAttr([mesh.vertices.min(0).tolist(), mesh.vertices.max(0).tolist()])
    body.CreateDisplayColorAttr([(0.62, 0.64, 0.68)])
    coordinates = geom.PrimvarsAPI(body).CreatePrimvar("st", sdf.ValueTypeNames.TexCoord2fArray, "vertex")
    coordinates.Set(vt.Vec2fArray.FromNumpy(mesh.uv.astype(np.float32)))
    order = np.argsort(-mesh.weights, axis=1, kind="stable")[:, :_INFLUENCES]
    weights = np.take_along_axis(mesh.weights, order, axis=1).astype(np.float32)
    binding = skel.BindingAPI.Apply(body.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton])
    count = order.shape[1]
    influences = np.where(weights > 0, order, 0).astype(np.int32).ravel()
    binding.CreateJointIndicesPrimvar(False, count).Set(vt.IntArray.FromNumpy(influences))
    binding.CreateJointWeightsPrimvar(False, count).Set(vt.FloatArray.FromNumpy(weights.ravel()))
    binding.CreateGeomBindTransformAttr(pxr("Gf").Matrix4d(1.0))


def _extent(animation: Animation) -> list[list[float]]:
    """Two corners of a box that holds the person in every frame: each vertex stays near its joints."""
    xyz = animation.joints_xyz().reshape(-1, 3)
    margin = 0.0
    if animation.mesh is not None:
        nearest = animation.rest_xyz[animation.mesh.weights.argmax(axis=1)]
        margin = float(np.linalg.norm(animation.mesh.vertices - nearest, axis=1).max())
    return [(xyz.min(0) - margin).tolist(), (xyz.max(0) + margin).tolist()]


def _evidence(animation: Animation) -> dict[str, FloatArray]:
    """How sure we are, by name of the attribute: (T, N) and (T, n)."""
    found = {} if animation.joint_std is None else {"jointStd": animation.joint_std}
    return found | ({"contacts": animation.contacts} if animation.contact_names else {})
