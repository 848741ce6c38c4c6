"""BVH: skeleton hierarchy with Euler channels. Y up, centimetres, one file per person.

Readers disagree on much that BVH leaves open; this writer keeps to what Blender, three.js and Assimp read
alike: the root's OFFSET is zero and its channels hold the place in space, other joints have rotations alone,
every leaf has an end site, and the rest pose is the T pose with all rotations zero, facing +Z.

Which way people face: a motion's root rotation takes rig axes to our Z-up world, and the file's root rotation
is ``file_from_world @ root``. Someone who faces world -Y so faces +Z in the file, and world X stays X.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from exporters.animation import RigLike, animate, check_poses, in_pieces
from exporters.axes import RIG, WORLD, Axes, FloatArray, Unit
from exporters.bvh_file import BvhFile, parse_bvh
from exporters.errors import ExportError
from exporters.euler import carried_on, check_order, continuous_euler
from exporters.hierarchy import Hierarchy
from exporters.pieces import Pieces, piece_ranges
from exporters.rest_first import with_rest_first
from exporters.take import Character, Take
from rigs.rig_names import DEFAULT_RIG

if TYPE_CHECKING:
    from torch import Tensor

BVH_AXES: Final = Axes(up="+y", forward="+z", unit="cm")
"""What Blender and MotionBuilder take for granted and what three.js shows upright."""

_STEADY_M = 1e-4
"""A joint that moves less than this against its parent has an offset, not a motion: digits are few."""

_FRAME_TIME_DECIMALS = 8
"""With six, a rate such as 29.97 comes out wrong by a frame in a few hours."""


def bvh_axes(unit: Unit = "cm", up: Literal["y", "z"] = "y") -> Axes:
    """The axes of a BVH file: Y up facing +Z, or Z up facing -Y."""
    if up not in ("y", "z"):
        raise ExportError(f"no up axis {up!r}; choose y or z")
    return Axes(up="+y", forward="+z", unit=unit) if up == "y" else Axes(up="+z", forward="-y", unit=unit)


def export_bvh(
    take: Take,
    /,
    *,
    rig: RigLike = DEFAULT_RIG,
    unit: Unit = "cm",
    rotation_order: str = "ZXY",
    up: Literal["y", "z"] = "y",
    tpose_first_frame: bool = False,
    decimals: int = 6,
    start_frame: int = 0,
    end_frame: int | None = None,
) -> dict[str, Pieces]:
    """One BVH file for each person.

    Args:
        take: the people and their motions.
        rig: a preset, a TOML file's path, {our joint: name}, or a rig that was loaded. Outer joints that
            it does not name (SMPL's hands in most rigs) become end sites; joints that move against their
            parents (a root on the floor, helpers for inverse kinematics) are left out.
        unit: unit of offsets and positions.
        rotation_order: intrinsic, first turn first, the same for all joints.
        up: the file's vertical axis.
        tpose_first_frame: put the rest pose before the motion, standing where it begins, for programs that
            look for it there (MotionBuilder, iClone). All others see the figure jump.
        decimals: digits after the point of angles, offsets and positions.
        start_frame: first frame of the motion that is written.
        end_frame: frame after the last one, counted from the end where negative; all if left out.

    Returns:
        {file name: contents}.

    Raises:
        ExportError: an unknown option, a name that BVH cannot hold, or frames without a pose.
    """
    check_order(rotation_order)
    if not 1 <= decimals <= 15:
        raise ExportError(f"decimals must be between 1 and 15, not {decimals}")
    axes = bvh_axes(unit, up)

    def pieces(character: Character) -> Pieces:
        frames = range(len(character.motion.time_s))[start_frame:end_frame]
        check_poses(character, slice(start_frame, end_frame))
        parts = list(piece_ranges(frames)) if in_pieces(rig) else [slice(frames.start, frames.stop)]
        first = animate(character, rig, axes, parts[0], helpers=False)
        _check_names(first.hierarchy.names)
        count, rate_hz = len(frames) + tpose_first_frame, character.motion.mocap_framerate
        head = _hierarchy_text(first.hierarchy, axes, rotation_order, decimals)
        head += f"MOTION\nFrames: {count}\nFrame Time: {1 / rate_hz:.{_FRAME_TIME_DECIMALS}f}\n"

        def make() -> Iterator[bytes]:
            yield head.encode("ascii")
            before: FloatArray | None = None
            for part in parts:
                animation = first if part is parts[0] else animate(character, rig, axes, part, helpers=False)
                if tpose_first_frame and part is parts[0]:
                    animation = with_rest_first(animation)
                angles = continuous_euler(animation.rotation, rotation_order)
                if before is not None:
                    angles = carried_on(angles, before)
                before = angles[-1]
                yield _rows(animation.root_xyz, np.rad2deg(angles), decimals).encode("ascii")

        return Pieces(make)

    return {f"{character.name}.bvh": pieces(character) for character in take.characters}


def read_bvh(data: bytes, *, unit: Unit = "cm", up: Literal["y", "z"] = "y", name: str = "bvh") -> Character:
    """A character from a BVH file; the inverse of ``export_bvh`` but for the joints' names: they stay.

    Args:
        data: the file's contents.
        unit: what its numbers count in; the format does not say.
        up: its vertical axis; the format does not say either.
        name: the character's name.

    Returns:
        Skeleton and motion in our world. The rest pose is the file's own: a T pose if its zero pose is one.

    Raises:
        ExportError: the file is broken (the message has the line), or joints move against their parents.
    """
    import torch

    from rigs.kinematics import rotvec_from_rotation
    from rigs.motion import Motion
    from rigs.skeleton import Skeleton

    file = parse_bvh(data)
    axes = bvh_axes(unit, up)
    offsets = RIG.points(_steady_offsets(file, axes), axes)
    rest_xyz = offsets.copy()
    for joint, parent in enumerate(file.parents):
        rest_xyz[joint] += rest_xyz[parent] if parent >= 0 else 0.0
    tips: dict[str, Tensor] = {
        file.joint_names[joint]: torch.from_numpy(rest_xyz[joint] + RIG.points(offset, axes))
        for joint, offset in file.end_sites.items()
        if joint not in file.parents
    }
    rotation = RIG.rotations(file.local_rotation, axes)
    rotation[:, 0] = WORLD.from_axes(axes) @ file.local_rotation[:, 0] @ axes.from_axes(RIG)
    times = len(rotation)
    motion = Motion(
        poses=rotvec_from_rotation(torch.from_numpy(rotation)).numpy().reshape(times, -1),
        trans=WORLD.points(file.local_xyz[:, 0], axes),
        betas=np.zeros(0),
        gender="neutral",
        mocap_framerate=1 / file.frame_time_s,
        time_s=np.arange(times, dtype=np.float64) * file.frame_time_s,
        joint_names=file.joint_names,
        joints=WORLD.points(file.joints_xyz(), axes),
        body=name,
    )
    return Character(name, Skeleton(file.joint_names, file.parents, torch.from_numpy(rest_xyz), tips), motion)


def _check_names(names: tuple[str, ...]) -> None:
    """Other signs make three.js lose the animation and Assimp refuse the file."""
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_]+", name):
            raise ExportError(
                f"BVH readers break on the joint name {name!r}; use letters a-z, digits and _, or another rig"
            )
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ExportError(f"the rig gives the name {double[0]!r} to more than one joint; rename one")


def _hierarchy_text(hierarchy: Hierarchy, axes: Axes, order: str, decimals: int) -> str:
    """The part up to MOTION."""
    offsets = axes.points(hierarchy.offsets, RIG)
    rotations = " ".join(f"{letter}rotation" for letter in order)
    lines = ["HIERARCHY"]

    def offset(vector: FloatArray) -> str:
        return "OFFSET " + " ".join(_number(value, decimals) for value in vector)

    def write(joint: int, depth: int) -> None:
        pad, inner = "\t" * depth, "\t" * (depth + 1)
        lines.append(f"{pad}{'JOINT' if depth else 'ROOT'} {hierarchy.names[joint]}")
        lines.append(f"{pad}{{")
        lines.append(inner + offset(offsets[joint]))
        position = "" if depth else "Xposition Yposition Zposition "
        lines.append(f"{inner}CHANNELS {3 if depth else 6} {position}{rotations}")
        for child in hierarchy.children(joint):
            write(child, depth + 1)
        if joint in hierarchy.tips:
            tip = axes.points(hierarchy.tips[joint] - hierarchy.rest_xyz[joint], RIG)
            lines.extend([f"{inner}End Site", f"{inner}{{", f"{inner}\t{offset(tip)}", f"{inner}}}"])
        lines.append(f"{pad}}}")

    write(0, 0)
    return "\n".join(lines) + "\n"


def _rows(root_xyz: FloatArray, degrees: FloatArray, decimals: int) -> str:
    """One frame a line: the root's position in the file's unit, then each joint's angles."""
    values = np.concatenate([root_xyz, degrees.reshape(len(degrees), -1)], axis=1)
    pattern = " ".join([f"%.{decimals}f"] * values.shape[1]) + "\n"
    rounded = np.round(values, decimals) + 0.0  # no "-0.000000"
    return "".join(pattern % tuple(row) for row in rounded.tolist())


def _number(value: float, decimals: int) -> str:
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}"


def _steady_offsets(file: BvhFile, axes: Axes) -> FloatArray:
    """(N, 3) offsets in the file's unit, zero for the root; joints that slide about have none."""
    offsets = np.median(file.local_xyz, axis=0)
    offsets[0] = 0.0
    spread = np.abs(RIG.points(file.local_xyz - offsets, axes)).max(axis=(0, 2))
    spread[0] = 0.0
    worst = int(np.argmax(spread))
    if spread[worst] > _STEADY_M:
        raise ExportError(
            f"joint {file.joint_names[worst]} moves against its parent by up to "
            f"{spread[worst] * 1000:.1f} mm, which a skeleton of fixed bones cannot do; "
            "export the BVH with root translation only"
        )
    return offsets
