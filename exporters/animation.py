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
    joint_std: FloatArray | None = None
    """(T, N) metres, standard deviation of the joints' places; None where nothing is known of it."""
    contacts: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    """(T, n) how surely each of ``contact_names`` stands on the floor, in [0, 1]."""
    contact_names: tuple[str, ...] = ()
    """n names."""

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
                xyz[:, joint] = xyz[:, parent] + turn[:, parent] @ self.offsets[joint]
                turn[:, joint] = turn[:, parent] @ self.rotation[:, joint]
        return xyz


def animate(
    character: Character, rig: str | Mapping[str, str], axes: Axes, frames: slice = slice(None)
) -> Animation:
    """Put a character under a rig's names and into a file's axes.

    Args:
        character: the person.
        rig: a preset's name, a path of a TOML file, or {our joint: name}.
        axes: the file's.
        frames: the part of the motion that is written.

    Raises:
        ExportError: a rig that does not suit, or frames without a pose.
    """
    hierarchy = name_hierarchy(character, rig)
    rotation = character.local_rotation[frames][:, list(hierarchy.source)]
    root_xyz = character.root_xyz[frames]
    _check_frames(character, root_xyz, rotation, frames)
    local = axes.rotations(rotation, RIG)
    local[:, 0] = axes.from_axes(WORLD) @ rotation[:, 0] @ RIG.from_axes(axes)
    to_floor = np.array([0.0, -_lowest(character, hierarchy), 0.0])
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
        joint_std=_known(character.motion.joint_std[frames][:, list(hierarchy.source)]),
        contacts=character.motion.contacts[frames],
        contact_names=character.motion.contact_names,
    )


def _known(values: FloatArray) -> FloatArray | None:
    """The values, or None if all of them are missing."""
    return values if np.isfinite(values).any() else None


def _lowest(character: Character, hierarchy: Hierarchy) -> float:
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


def _check_frames(character: Character, root_xyz: FloatArray, rotation: FloatArray, frames: slice) -> None:
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
