"""A character as a file holds it: the rig's names, the file's axes and unit, frames that are all there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from exporters.axes import RIG, WORLD, Axes, FloatArray
from exporters.errors import ExportError
from exporters.hierarchy import Hierarchy, name_hierarchy
from exporters.take import Character
from rigs.rig import Rig

if TYPE_CHECKING:
    from rigs.mesh import SkinnedMesh


@dataclass(frozen=True)
class Animation:
    """N joints over T frames; the first frame is at time 0 of the file."""

    name: str
    """The character's name."""
    hierarchy: Hierarchy
    """Joints, order and names; its lengths are metres in rig axes."""
    offsets: FloatArray
    """(N, 3) each joint from its parent at rest; the root above the origin, its lowest point on the floor."""
    rotation: FloatArray
    """(T, N, 3, 3) each joint in its parent's frame, identity at rest; the root in the file's world."""
    root_xyz: FloatArray
    """(T, 3) where the root is."""
    rate_hz: float
    """Frames a second."""
    mesh: SkinnedMesh | None
    """The skin at rest in the file's axes and unit, round the skeleton of ``offsets``; N columns."""
    axes: Axes
    """What lengths and directions are in."""
    frames: FloatArray = field(default_factory=lambda: np.zeros((0, 3, 3)))
    """(N, 3, 3) the bones' axes at rest in the file's, where they are not parallel to them; else empty."""
    moving: Mapping[int, FloatArray] = field(default_factory=dict[int, FloatArray])
    """(T, 3) of joints besides the root that move against their parents: where they are from them, in the
    file's axes as the parent's turn since rest has left them."""
    joint_std: FloatArray | None = None
    """(T, N) metres, standard deviation of the joints' places; None where nothing is known of it."""
    contacts: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    """(T, n) how surely each of ``contact_names`` stands on the floor, in [0, 1]."""
    contact_names: tuple[str, ...] = ()
    """n names."""

    @property
    def node_rotation(self) -> FloatArray:
        """(T, N, 3, 3) ``rotation`` as nodes of a scene have it, whose axes at rest are ``frames``."""
        if not len(self.frames):
            return self.rotation
        return np.swapaxes(self._parent_frames, -1, -2) @ self.rotation @ self.frames

    @property
    def node_rest_rotation(self) -> FloatArray:
        """(N, 3, 3) the same at rest."""
        if not len(self.frames):
            return np.tile(np.eye(3), (len(self.offsets), 1, 1))
        return np.swapaxes(self._parent_frames, -1, -2) @ self.frames

    @property
    def node_offsets(self) -> FloatArray:
        """(N, 3) ``offsets`` as nodes of a scene have them."""
        return self._in_parents(self.offsets)

    @property
    def node_travel(self) -> dict[int, FloatArray]:
        """(T, 3) places of the joints that move against their parents, the root's first, for a scene."""
        travel = {0: self.root_xyz}
        for joint, xyz in self.moving.items():
            turn = self._parent_frames[joint] if len(self.frames) else np.eye(3)
            travel[joint] = xyz @ turn
        return travel

    @property
    def bind_matrices(self) -> FloatArray:
        """(N, 4, 4) world from joint at rest."""
        matrices = np.tile(np.eye(4), (len(self.offsets), 1, 1))
        matrices[:, :3, 3] = self.rest_xyz
        if len(self.frames):
            matrices[:, :3, :3] = self.frames
        return matrices

    @property
    def _parent_frames(self) -> FloatArray:
        """(N, 3, 3) of each joint's parent; the file's own axes above the root."""
        parents = np.array(self.hierarchy.parents)
        return np.where(parents[:, None, None] >= 0, self.frames[np.maximum(parents, 0)], np.eye(3))

    def _in_parents(self, vectors: FloatArray) -> FloatArray:
        if not len(self.frames):
            return vectors
        return (np.swapaxes(self._parent_frames, -1, -2) @ vectors[..., None])[..., 0]

    @property
    def rest_xyz(self) -> FloatArray:
        """(N, 3) joints at rest."""
        xyz = self.offsets.copy()
        for joint, parent in enumerate(self.hierarchy.parents):
            xyz[joint] += xyz[parent] if parent >= 0 else 0.0
        return xyz

    @property
    def time_s(self) -> FloatArray:
        """(T,) seconds of the frames in the file."""
        return np.arange(len(self.root_xyz)) / self.rate_hz

    def joints_xyz(self) -> FloatArray:
        """(T, N, 3) joints in the file's world."""
        num_frames, num_joints = self.rotation.shape[:2]
        xyz = np.empty((num_frames, num_joints, 3))
        turn = np.empty_like(self.rotation)
        for joint, parent in enumerate(self.hierarchy.parents):
            if parent < 0:
                xyz[:, joint], turn[:, joint] = self.root_xyz, self.rotation[:, joint]
            else:
                offset = self.moving.get(joint, self.offsets[joint])
                xyz[:, joint] = xyz[:, parent] + (turn[:, parent] @ offset[..., None])[..., 0]
                turn[:, joint] = turn[:, parent] @ self.rotation[:, joint]
        return xyz


RigLike = str | Mapping[str, str] | Rig
"""A preset's name, the path of a TOML file or of a character's file, {our joint: name}, or a loaded rig."""


def animate(
    character: Character, rig: RigLike, axes: Axes, frames: slice = slice(None), *, helpers: bool = True
) -> Animation:
    """Put a character under a rig's names and into a file's axes.

    Args:
        character: the person.
        rig: a preset's name, a path of a TOML file, {our joint: name}, or a rig that was loaded.
        axes: the file's.
        frames: the part of the motion that is written.
        helpers: write the rig's joints on the floor and those that follow others; not every format can.

    Raises:
        ExportError: a rig that does not suit, or frames without a pose.
    """
    shaped = rig if isinstance(rig, Mapping) else _loaded(rig)
    if isinstance(shaped, Rig) and not shaped.is_plain:
        from exporters.rigged import animate_rig  # which is built on this

        return animate_rig(character, shaped, axes, frames, helpers=helpers)
    hierarchy = name_hierarchy(character, shaped.names if isinstance(shaped, Rig) else shaped)
    rotation = character.rotation_in(frames)[:, list(hierarchy.source)]
    root_xyz = character.root_xyz[frames]
    check_frames(character, root_xyz, rotation, frames)
    local = axes.rotations(rotation, RIG)
    local[:, 0] = axes.from_axes(WORLD) @ rotation[:, 0] @ RIG.from_axes(axes)
    to_floor = np.array([0.0, -lowest_point(character, hierarchy), 0.0])
    rest_xyz = hierarchy.rest_xyz + to_floor - np.array([1.0, 0.0, 1.0]) * hierarchy.rest_xyz[0]
    offsets = hierarchy.offsets
    offsets[0] = rest_xyz[0]
    return Animation(
        name=character.name,
        hierarchy=hierarchy,
        offsets=axes.points(offsets, RIG),
        rotation=local,
        root_xyz=axes.points(root_xyz, WORLD),
        rate_hz=character.motion.mocap_framerate,
        mesh=_mesh(character, hierarchy, axes, rest_xyz[0] - hierarchy.rest_xyz[0]),
        axes=axes,
        joint_std=known_std(character, hierarchy, frames),
        contacts=character.motion.contacts[frames],
        contact_names=character.motion.contact_names,
    )


def known_std(character: Character, hierarchy: Hierarchy, frames: slice) -> FloatArray | None:
    """(T, N) metres, NaN for joints that the solve did not know; None if nothing is known of any."""
    source = np.array(hierarchy.source)
    std = np.where(source >= 0, character.motion.joint_std[frames][:, np.maximum(source, 0)], np.nan)
    return std if np.isfinite(std).any() else None


def in_pieces(rig: RigLike) -> bool:
    """Whether a motion comes out the same under a rig if it is taken a piece at a time."""
    return isinstance(rig, Mapping) or _loaded(rig).is_plain


def _loaded(rig: str | Rig) -> Rig:
    if isinstance(rig, Rig):
        return rig
    from exporters.readers import load_any_rig  # which few takes need

    return load_any_rig(rig)


def lowest_point(character: Character, hierarchy: Hierarchy) -> float:
    """Height of the lowest point at rest, metres in rig axes."""
    if character.mesh is not None:
        return float(character.mesh.vertices[:, 1].min())
    return min(float(xyz[1]) for xyz in [*hierarchy.rest_xyz, *hierarchy.tips.values()])


def _mesh(character: Character, hierarchy: Hierarchy, axes: Axes, shift: FloatArray) -> SkinnedMesh | None:
    """The skin on the written joints; what followed a left-out joint follows the one that carried it."""
    mesh = character.mesh
    if mesh is None:
        return None
    place = {source: index for index, source in enumerate(hierarchy.source)}
    weights = np.zeros((len(mesh.vertices), len(hierarchy.names)))
    for joint in range(mesh.weights.shape[1]):
        carrier = joint
        while carrier not in place:
            carrier = character.skeleton.parents[carrier]
        weights[:, place[carrier]] += mesh.weights[:, joint]
    faces = mesh.faces if axes.handedness == "right" else mesh.faces[:, ::-1]
    return replace(mesh, vertices=axes.points(mesh.vertices + shift, RIG), faces=faces, weights=weights)


def check_poses(character: Character, frames: slice) -> None:
    """``check_frames`` of what poses are made of, before any is made."""
    poses = character.motion.poses[frames]
    num_joints = len(character.motion.joint_names)
    check_frames(character, character.root_xyz[frames], poses.reshape(len(poses), num_joints, 1, 3), frames)


def check_frames(character: Character, root_xyz: FloatArray, rotation: FloatArray, frames: slice) -> None:
    """No format can say that a frame is missing."""
    motion = character.motion
    numbers = range(len(motion.time_s))[frames]
    if not numbers:
        raise ExportError(
            f"person {character.name}: no frames from {frames.start} to {frames.stop}; "
            f"the motion has {len(motion.time_s)}"
        )
    bad = np.flatnonzero(~np.isfinite(root_xyz).all(1) | ~np.isfinite(rotation).all((1, 2, 3)))
    if bad.size:
        frame = numbers[int(bad[0])]
        raise ExportError(
            f"person {character.name}: frame {frame} ({motion.time_s[frame]:.3f} s) has no pose, nor have "
            f"{bad.size - 1} others; fill the gap, or leave it out with start_frame and end_frame"
        )
