"""What a file of a moving character says, whoever wrote it, and how it is brought into our axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exporters.axes import METRES_PER_UNIT, RIG, WORLD, Axes, FloatArray
from exporters.errors import ExportError

CMU_UNIT_M: Final = 0.0254 / 0.45
"""The unit of the CMU database and of its BVH files."""
_UNITS: Final = {**METRES_PER_UNIT, "cmu": CMU_UNIT_M}
_LIKELY: Final = ("cm", "m", "inch", "cmu", "mm")
_HEIGHTS_M: Final = (1.0, 2.6)
"""How high somebody's head may be above their feet."""
_SQUARE_DEG: Final = 15.0
"""A character that faces this near to an axis faces along it."""
_ON_FLOOR_M: Final = (-0.02, 0.2)
"""A skeleton whose lowest joint rests this high stands on the floor of its file."""


@dataclass(frozen=True)
class MovingSkeleton:
    """N joints over T frames in a file's axes and unit; parents before children."""

    names: tuple[str, ...]
    """Joint names."""
    parents: tuple[int, ...]
    """Index of each joint's parent, -1 for a root."""
    rest_xyz: FloatArray
    """(N, 3) where the joints are at rest."""
    rest_turn: FloatArray
    """(N, 3, 3) the bones' axes at rest."""
    xyz: FloatArray
    """(T, N, 3) where the joints are; T may be 0."""
    turn: FloatArray
    """(T, N, 3, 3) the bones' axes."""
    rate_hz: float
    """Frames a second."""
    tips: Mapping[int, FloatArray]
    """(3,) at rest: where the bones of some joints without children end."""
    up: str | None = None
    """The axis that points up, such as ``+y``; None where the format does not say."""
    metres: float | None = None
    """Metres in its unit; None where the format does not say."""


@dataclass(frozen=True)
class Upright:
    """The same in our axes: rest in rig axes, facing +Z with the floor at 0, motion in the world. Metres."""

    names: tuple[str, ...]
    """Joint names."""
    parents: tuple[int, ...]
    """Index of each joint's parent, -1 for a root."""
    rest_xyz: FloatArray
    """(N, 3)."""
    frames: FloatArray
    """(N, 3, 3) the bones' axes at rest."""
    turn: FloatArray
    """(T, N, 3, 3) how the joints have turned from their rest: world from rig axes."""
    xyz: FloatArray
    """(T, N, 3) where they are, in the world."""
    rate_hz: float
    """Frames a second."""


def stand_up(
    skeleton: MovingSkeleton, ours: Mapping[str, int], *, unit: str | None = None, up: str | None = None
) -> Upright:
    """Bring a skeleton into our axes.

    Args:
        skeleton: what the file says.
        ours: {our joint: index in the skeleton}, hips and ankles at least.
        unit: m, cm, mm, inch or cmu; from the file, or from the character's height, if left out.
        up: +y or +z; from the file, or from where the head is, if left out.

    Raises:
        ExportError: another unit or axis, or a skeleton that is nobody's.
    """
    vertical = _up_axis(skeleton, ours, up)
    axes = Axes("+y", "+z") if vertical == "+y" else Axes("+z", "-y")
    rest = RIG.points(skeleton.rest_xyz, axes)
    tips = [RIG.points(tip, axes) for tip in skeleton.tips.values()]
    across = rest[ours["left_hip"]] - rest[ours["right_hip"]]
    yaw = np.arctan2(across[2], across[0])
    square = np.round(yaw / (np.pi / 2)) * (np.pi / 2)
    yaw = square if abs(yaw - square) < np.deg2rad(_SQUARE_DEG) else yaw
    cosine, sine = np.cos(yaw), np.sin(yaw)
    face = np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
    rest, tips = rest @ face.T, [tip @ face.T for tip in tips]
    lowest = min(float(place[1]) for place in [*rest, *tips])
    metres = _metres(skeleton, float(rest[:, 1].max()) - lowest, unit)
    floor = 0.0 if _ON_FLOOR_M[0] <= lowest * metres <= _ON_FLOOR_M[1] else lowest
    middle = (rest[ours["left_hip"]] + rest[ours["right_hip"]]) / 2
    rest = (rest - [middle[0], floor, middle[2]]) * metres
    from_file = face @ RIG.from_axes(axes)
    turn = WORLD.from_axes(axes) @ skeleton.turn @ np.swapaxes(skeleton.rest_turn, -1, -2) @ from_file.T
    return Upright(
        names=skeleton.names,
        parents=skeleton.parents,
        rest_xyz=rest,
        frames=from_file @ skeleton.rest_turn @ from_file.T,
        turn=turn,
        xyz=WORLD.points(skeleton.xyz, axes) * metres,
        rate_hz=skeleton.rate_hz,
    )


def _up_axis(skeleton: MovingSkeleton, ours: Mapping[str, int], up: str | None) -> str:
    """The file's vertical: as asked, as the file says, or where the head is above the feet."""
    if up is not None and up not in ("+y", "+z", "y", "z"):
        raise ExportError(f"no up axis {up!r}; choose y or z")
    if up is not None or skeleton.up is not None:
        return f"+{(up or skeleton.up or '')[-1]}"
    high = next((ours[name] for name in ("head", "neck", "spine3", "pelvis") if name in ours), 0)
    feet = skeleton.rest_xyz[[ours["left_ankle"], ours["right_ankle"]]].mean(0)
    rise = skeleton.rest_xyz[high] - feet
    return "+z" if abs(rise[2]) > abs(rise[1]) else "+y"


def _metres(skeleton: MovingSkeleton, height: float, unit: str | None) -> float:
    """Metres in the file's unit: as asked, as the file says, or what makes the character a person."""
    if unit is not None:
        if unit not in _UNITS:
            raise ExportError(f"no unit {unit!r}; choose one of {', '.join(_UNITS)}")
        return _UNITS[unit]
    if not height > 0:
        raise ExportError("all joints of the skeleton rest at one height; it is nobody's")
    likely = [_UNITS[name] for name in _LIKELY if _HEIGHTS_M[0] < height * _UNITS[name] < _HEIGHTS_M[1]]
    if skeleton.metres is not None:
        return skeleton.metres
    if not likely:
        raise ExportError(f"a skeleton {height:.4g} units high is in no unit that is known; say --unit")
    return likely[0]


def depth_first(
    names: Sequence[str], parents: Sequence[int], kept: NDArray[np.bool_] | None = None
) -> tuple[list[int], tuple[int, ...]]:
    """Joints with parents before children, whatever the file's order, and their parents in that order.

    Raises:
        ExportError: joints that are their own ancestors.
    """
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(parents):
        children.setdefault(parent, []).append(joint)
    order: list[int] = []
    waiting = list(reversed(children.get(-1, [])))
    while waiting:
        joint = waiting.pop()
        order.append(joint)
        waiting += reversed(children.get(joint, []))
    if len(order) != len(names):
        lost = next(name for joint, name in enumerate(names) if joint not in set(order))
        raise ExportError(f"joint {lost!r} hangs on itself; the file's hierarchy is broken")
    if kept is not None:
        order = [joint for joint in order if kept[joint]]
    place = {joint: index for index, joint in enumerate(order)}

    def above(joint: int) -> int:
        parent = parents[joint]
        while parent >= 0 and parent not in place:
            parent = parents[parent]
        return place.get(parent, -1)

    return order, tuple(above(joint) for joint in order)


def largest_tree(parents: Sequence[int]) -> list[int]:
    """The joints of the tree with the most of them; parents come before children."""
    root = list(range(len(parents)))
    for joint, parent in enumerate(parents):
        root[joint] = root[parent] if parent >= 0 else joint
    best = max(set(root), key=lambda top: (root.count(top), -top))
    return [joint for joint in range(len(parents)) if root[joint] == best]


def rotations_of(matrices: FloatArray) -> FloatArray:
    """The rotations in matrices that may scale and mirror besides."""
    if not matrices.size:
        return matrices
    if not np.isfinite(matrices).all():
        raise ExportError("this file is broken: a matrix in it is not finite")
    left, _, right = np.linalg.svd(matrices)
    sign = np.sign(np.linalg.det(left @ right))
    left[..., :, 2] *= sign[..., None]
    return left @ right


def clean_names(names: list[str]) -> tuple[str, ...]:
    """Names that differ, without line ends: two joints of one name get numbers."""
    seen: dict[str, int] = {}
    result: list[str] = []
    for name in names:
        clean = " ".join(name.split()) or "joint"
        seen[clean] = seen.get(clean, 0) + 1
        result.append(clean if seen[clean] == 1 else f"{clean}.{seen[clean]:03d}")
    return tuple(result)
