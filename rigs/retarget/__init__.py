"""Put a performance on another rig.

Limbs point where they pointed, against the rest pose of each rig; the roll of limbs and the bend of the spine
are shared out over the rig's own joints; feet that stand stay where they are and nothing goes through the
floor, which is solved over the whole take at once (``settle``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rigs.retarget.contacts import Mark, Touch, marks, touching_hands
from rigs.retarget.figure import Figure
from rigs.retarget.performance import Performance, roll_about
from rigs.retarget.pose import WORLD_FROM_RIG
from rigs.retarget.settle import settle
from rigs.retarget.target import Target, fit_target
from rigs.rig import Rig, RootMotion

__all__ = ["Performance", "Retargeted", "Target", "fit_target", "retarget"]

FloatArray = NDArray[np.float64]

_SAME_M = 1e-7
"""Less than this apart, two characters stand alike."""


@dataclass(frozen=True)
class Retargeted:
    """A performance on a rig: T frames, N joints."""

    target: Target
    """The rig at rest."""
    turn: FloatArray
    """(T, N, 3, 3) how each joint has turned from its rest: world from rig axes."""
    xyz: FloatArray
    """(T, N, 3) metres, world: where the joints are."""
    moving: tuple[int, ...]
    """Joints besides the root that move against their parents."""


def retarget(source: Performance, rig: Rig) -> Retargeted:
    """Put a performance on a rig.

    Args:
        source: the performance.
        rig: names, further joints and rest pose; in the performer's size unless it has a size of its own.

    Raises:
        RigError: the rig lacks joints that carry others.
    """
    target = fit_target(rig, source)
    turns = {
        joint.ours: source.turn_of(joint.ours) @ target.align[joint.ours]
        for joint in target.joints
        if joint.ours
    }
    figure = Figure(target, turns, _pelvis(target, source, turns))
    points, touches = marks(target, source), touching_hands(target, source)
    if not _is_right(target, source, figure.xyz, points, touches):
        figure.pose(settle(figure, points, touches, source.rate_hz))
    return _with_travel(Retargeted(target, figure.turn, figure.xyz, ()), turns["pelvis"], rig.root_motion)


def _pelvis(target: Target, source: Performance, turns: dict[str, FloatArray]) -> FloatArray:
    """(T, 3) the pelvis such that the middle of the hips travels as the source's, scaled."""
    if target.fitted:
        return source.place("pelvis")
    middle = (source.place("left_hip") + source.place("right_hip")) / 2 * target.scale
    places = [target.index(name) for name in ("left_hip", "right_hip", "pelvis")]
    left, right, pelvis = (target.rest_xyz[place or 0] for place in places)
    return middle - turns["pelvis"] @ ((left + right) / 2 - pelvis)


def _is_right(
    target: Target, source: Performance, xyz: FloatArray, points: Sequence[Mark], touches: Sequence[Touch]
) -> bool:
    """Whether a target in the source's size has its feet where the source has them, and hands if in use."""
    if not target.fitted:
        return False
    hands = [target.index(f"{side}_wrist") for side in ("left", "right")]
    used = bool(touches) or any((one.stands | one.is_low).any() for one in points if one.joint in hands)
    parts = ("ankle", "wrist") if used else ("ankle",)
    ends = [f"{side}_{part}" for side in ("left", "right") for part in parts]
    apart = [
        np.abs(xyz[:, place] - source.place(end)).max()
        for end in ends
        if (place := target.index(end)) is not None and end in source.names
    ]
    return max(apart) < _SAME_M


def _with_travel(result: Retargeted, pelvis_turn: FloatArray, how: RootMotion) -> Retargeted:
    """The root on the floor follows the pelvis, or the character stays where it is."""
    target = result.target
    pelvis = target.index("pelvis") or 0
    roots = [i for i, joint in enumerate(target.joints) if joint.extra and joint.extra.kind == "root"]
    loose = [i for i, joint in enumerate(target.joints) if joint.extra and joint.extra.follows]
    if target.joints[pelvis].parent >= 0:
        loose.append(pelvis)
    turn, xyz = result.turn.copy(), result.xyz.copy()
    path = xyz[:, pelvis] * [1.0, 1.0, 0.0]
    held = _held(target, pelvis)
    if how == "in place":
        rest = [index for index in range(len(target.joints)) if index not in held]
        xyz[:, rest] -= (path - path[:1])[:, None]
    elif how == "ground" and (roots or held):
        heading = _heading(pelvis_turn)
        for index in held:
            turn[:, index] = heading @ turn[:, index]
            xyz[:, index] = path + (heading @ xyz[:, index, :, None])[..., 0]
    return Retargeted(target, turn, xyz, tuple(sorted(loose)))


def _held(target: Target, pelvis: int) -> list[int]:
    """Joints that stay on the floor: above the pelvis, or hanging on those without following anything."""
    held: list[int] = []
    above = target.joints[pelvis].parent
    while above >= 0:
        held.append(above)
        above = target.joints[above].parent
    for index, joint in enumerate(target.joints):
        free = joint.extra is not None and joint.extra.kind == "ik" and not joint.extra.follows
        if free and joint.parent in held:
            held.append(index)
    return held


def _heading(pelvis_turn: FloatArray) -> FloatArray:
    """(T, 3, 3) turns about the vertical that follow the pelvis without jumps, whatever way up it is.

    Of a turn, the part about the vertical is uncertain where the pelvis is upside down; there it is taken
    from the frames before and after.
    """
    from scipy.linalg import solveh_banded
    from scipy.spatial.transform import Rotation

    upright = pelvis_turn @ WORLD_FROM_RIG.T
    quaternion = Rotation.from_matrix(upright).as_quat()
    sure = quaternion[:, 2] ** 2 + quaternion[:, 3] ** 2
    angle = roll_about(upright, np.array([0.0, 0.0, 1.0]))
    weight = np.where(sure > 0.25, sure, 1e-6)
    known = np.flatnonzero(sure > 0.25)
    if len(known):
        angle = np.interp(np.arange(len(angle)), known, np.unwrap(angle[known], period=2 * np.pi))
    stiff = np.full(len(angle), 2e-3)
    band = np.zeros((2, len(angle)))
    band[1] = weight + np.r_[0.0, stiff[1:]] + np.r_[stiff[1:], 0.0][: len(angle)]
    band[0, 1:] = -stiff[1:]
    smooth = solveh_banded(band, weight * angle) if len(angle) > 1 else angle
    return Rotation.from_rotvec(smooth[:, None] * [0.0, 0.0, 1.0]).as_matrix()
