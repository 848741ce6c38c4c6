"""A character on a rig that has more joints, another rest pose or other proportions than our bodies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from exporters.animation import Animation, check_frames, known_std, lowest_point
from exporters.axes import RIG, WORLD, Axes, FloatArray
from exporters.errors import ExportError
from exporters.hierarchy import Hierarchy, name_hierarchy
from exporters.take import Character
from rigs.errors import RigError
from rigs.retarget import Performance, Retargeted, retarget
from rigs.rig import Rig

if TYPE_CHECKING:
    from rigs.mesh import SkinnedMesh

_SHORTEST_TIP_M = 0.005
_TIP_M = 0.05
"""Where a childless joint's bone ends if nothing says."""


def performance_of(character: Character, frames: slice = slice(None)) -> Performance:
    """What a character does, as it is retargeted; its soles at rest stand on the floor.

    Raises:
        ExportError: frames without a pose.
    """
    import torch

    from rigs.kinematics import world_from_joint

    motion, skeleton = character.motion, character.skeleton
    rotation, root_xyz = character.local_rotation[frames], character.root_xyz[frames]
    check_frames(character, root_xyz, rotation, frames)
    offsets = skeleton.offsets.detach().cpu().clone()
    offsets[0] = 0.0
    turn, xyz = world_from_joint(
        torch.from_numpy(rotation), offsets.double(), skeleton.parents, torch.from_numpy(root_xyz)
    )
    plain = name_hierarchy(character, {name: name for name in skeleton.joint_names})
    rest_xyz = character.rest_xyz - character.rest_xyz[0] * [1.0, 0.0, 1.0]
    rest_xyz[:, 1] -= lowest_point(character, plain)
    known = zip(motion.contact_names, motion.contacts[frames].T, strict=True)
    try:
        return Performance(
            names=tuple(skeleton.joint_names),
            rest_xyz=rest_xyz,
            turn=turn.numpy(),
            xyz=xyz.numpy(),
            rate_hz=motion.mocap_framerate,
            contacts=dict(known),
        )
    except RigError as error:
        raise ExportError(f"person {character.name}: {error}") from error


def joints_on_rig(character: Character, rig: Rig, frames: slice = slice(None)) -> dict[str, FloatArray]:
    """(T, 3) metres, world, for each joint of a rig: where a right file of this character has it.

    Raises:
        ExportError: a rig that does not suit, or frames without a pose.
    """
    try:
        result = retarget(performance_of(character, frames), rig)
    except RigError as error:
        raise ExportError(str(error)) from error
    return {joint.name: result.xyz[:, index] for index, joint in enumerate(result.target.joints)}


def animate_rig(
    character: Character, rig: Rig, axes: Axes, frames: slice = slice(None), *, helpers: bool = True
) -> Animation:
    """Put a character on a rig and into a file's axes.

    Args:
        character: the person.
        rig: the rig.
        axes: the file's.
        frames: the part of the motion that is written.
        helpers: write joints on the floor and joints that follow others. Without them the pelvis is the root.

    Raises:
        ExportError: a rig that does not suit, or frames without a pose.
    """
    source = performance_of(character, frames)
    try:
        result = retarget(source, rig)
    except RigError as error:
        raise ExportError(str(error)) from error
    kept = _kept(result, helpers)
    target = result.target
    change = axes.from_axes(WORLD), RIG.from_axes(axes)
    world = change[0] @ result.turn[:, kept] @ change[1]
    xyz = axes.points(result.xyz[:, kept], WORLD)
    hierarchy = _hierarchy(character, result, kept)
    parents = np.array(hierarchy.parents)
    rotation = world.copy()
    for joint, parent in enumerate(hierarchy.parents):
        if parent >= 0:
            rotation[:, joint] = np.swapaxes(world[:, parent], -1, -2) @ world[:, joint]
    moving: dict[int, FloatArray] = {}
    for joint, index in enumerate(kept):
        if index in result.moving and parents[joint] >= 0:
            apart = xyz[:, joint] - xyz[:, parents[joint]]
            moving[joint] = (np.swapaxes(world[:, parents[joint]], -1, -2) @ apart[..., None])[..., 0]
    offsets = hierarchy.offsets
    offsets[0] = hierarchy.rest_xyz[0]
    frames_at_rest = axes.from_axes(RIG) @ target.frames[kept] @ RIG.from_axes(axes)
    if np.allclose(frames_at_rest, np.eye(3), atol=1e-12):
        frames_at_rest = np.zeros((0, 3, 3))
    return Animation(
        name=character.name,
        hierarchy=hierarchy,
        offsets=axes.points(offsets, RIG),
        rotation=rotation,
        root_xyz=xyz[:, 0],
        rate_hz=source.rate_hz,
        mesh=_mesh(character, source, result, kept, axes),
        axes=axes,
        frames=frames_at_rest,
        moving=moving,
        joint_std=known_std(character, hierarchy, frames),
        contacts=character.motion.contacts[frames],
        contact_names=character.motion.contact_names,
    )


def _kept(result: Retargeted, helpers: bool) -> list[int]:
    """The joints that are written, in order."""
    joints = result.target.joints
    if helpers:
        return list(range(len(joints)))
    pelvis = result.target.index("pelvis") or 0
    kept = {pelvis}
    for index, joint in enumerate(joints):
        if joint.parent in kept and not (joint.extra and joint.extra.kind == "ik"):
            kept.add(index)
    return sorted(kept)


def _hierarchy(character: Character, result: Retargeted, kept: list[int]) -> Hierarchy:
    target = result.target
    place = {index: number for number, index in enumerate(kept)}
    names = character.skeleton.joint_names
    parents = tuple(place.get(target.joints[index].parent, -1) for index in kept)
    tips = {
        number: _tip(character, result, index)
        for number, index in enumerate(kept)
        if number not in set(parents)
    }
    joints = [target.joints[index] for index in kept]
    return Hierarchy(
        names=tuple(joint.name for joint in joints),
        parents=parents,
        source=tuple(names.index(joint.ours) if joint.ours in names else -1 for joint in joints),
        rest_xyz=target.rest_xyz[kept],
        tips=tips,
    )


def _tip(character: Character, result: Retargeted, index: int) -> FloatArray:
    """(3,) where a childless joint's bone ends: as in our body, or a little on from its parent."""
    target, joint = result.target, result.target.joints[index]
    place = target.rest_xyz[index]
    plain = name_hierarchy(character, {name: name for name in character.skeleton.joint_names})
    if joint.ours in plain.names:
        ours = plain.names.index(joint.ours)
        ends = [plain.tips[ours]] if ours in plain.tips else [plain.rest_xyz[c] for c in plain.children(ours)]
        run = target.align[joint.ours].T @ (np.mean(ends, axis=0) - plain.rest_xyz[ours])
        if np.linalg.norm(run) > _SHORTEST_TIP_M:
            return place + run * target.scale
    run = 0.5 * (place - target.rest_xyz[joint.parent]) if joint.parent >= 0 else np.zeros(3)
    return place + (run if np.linalg.norm(run) > _SHORTEST_TIP_M else np.array([0.0, _TIP_M, 0.0]))


def _mesh(
    character: Character, source: Performance, result: Retargeted, kept: list[int], axes: Axes
) -> SkinnedMesh | None:
    """The skin in the rig's rest pose on the written joints; none on a rig of other proportions."""
    mesh, target = character.mesh, result.target
    if mesh is None or not target.fitted:
        return None
    skeleton = character.skeleton
    carrier: list[int] = []
    vertices = np.zeros_like(mesh.vertices)
    shift = source.rest_xyz[0] - character.rest_xyz[0]
    for joint, name in enumerate(skeleton.joint_names):
        place = target.index(name)
        own = place if place is not None else carrier[skeleton.parents[joint]]
        carrier.append(own)
        ours = target.joints[own].ours
        pivot = source.rest(ours)
        moved = (mesh.vertices + shift - pivot) @ target.align[ours] + target.rest_xyz[own]
        vertices += mesh.weights[:, joint, None] * moved
    weights = np.zeros((len(vertices), len(kept)))
    for joint, own in enumerate(carrier):
        weights[:, kept.index(own)] += mesh.weights[:, joint]
    faces = mesh.faces if axes.handedness == "right" else mesh.faces[:, ::-1]
    return replace(mesh, vertices=axes.points(vertices, RIG), faces=faces, weights=weights)
