"""Fewer keys on a character's curves, with a bound on how far any joint may be from where it was.

Programs read a curve between two keys each in its own way: Autodesk's and ufbx turn linearly in Euler angles,
three.js on the sphere of quaternions, Blender in quaternions that it then makes unit. Keys are chosen so that
every one of these readings keeps the bound in every frame, at every joint and bone's end, however the errors
of a chain of joints add up: the skeleton is posed with each reading, and frames that are off get their keys
back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exporters.animation import Animation
from exporters.axes import FloatArray
from exporters.errors import ExportError
from exporters.euler import continuous_euler, rotation_from_euler
from exporters.posing import bone_ends, carriers, posed
from exporters.quaternions import continuous_quaternions, rotation_from_quaternion

_SHARE: Final = 1.0
"""Of the bound that one joint may spend before the chain is looked at: errors rarely add up."""
ROUNDING: Final = 0.05
"""Of the bound that rounding a joint's values may move the end of its chain."""
SPARE: Final = 0.98
"""Of the bound that our own readings may use; single precision in files takes the rest."""


@dataclass(frozen=True)
class Curves:
    """A character's curves and the frames at which they have keys. T frames, N joints."""

    degrees: FloatArray
    """(T, N, 3) angles about x, y, z that turn as Rz Ry Rx."""
    quaternions: FloatArray
    """(T, N, 4) x, y, z, w."""
    travel: Mapping[int, FloatArray]
    """(T, 3) places of the joints that move against their parents, the root's first."""
    keys: tuple[NDArray[np.intp], ...]
    """For each joint the frames with a key, of its rotation and of its place. One key: it keeps still."""


def all_keys(animation: Animation) -> Curves:
    """The curves with a key on every frame, nothing rounded."""
    every = np.arange(len(animation.root_xyz))
    rotation = animation.node_rotation
    return Curves(
        np.rad2deg(continuous_euler(rotation, "ZYX"))[..., ::-1],
        continuous_quaternions(rotation),
        animation.node_travel,
        (every,) * len(animation.hierarchy.names),
    )


def curves_of(animation: Animation, bound: float | None) -> Curves:
    """All keys, or fewer within a bound in the file's unit."""
    return all_keys(animation) if bound is None else fewer_keys(animation, bound)


def fewer_keys(animation: Animation, bound: float) -> Curves:
    """Leave out keys and digits where that moves no joint and no bone's end by more than the bound.

    Args:
        animation: the character.
        bound: greatest distance in the file's unit, in any frame.

    Raises:
        ExportError: the bound is not positive.
    """
    if not bound > 0:
        raise ExportError("the greatest error of fewer keys must be above 0 mm")
    reach = _reach(animation)
    exact = all_keys(animation)
    step_deg = power_of_two(np.rad2deg(2 * ROUNDING * bound / reach))[:, None]
    step_xyz = float(power_of_two(np.array([2 * ROUNDING * bound]))[0])
    degrees = np.round(exact.degrees / step_deg) * step_deg
    curves = Curves(
        degrees,
        continuous_quaternions(rotation_from_euler(np.deg2rad(degrees[..., ::-1]), "ZYX")),
        {joint: np.round(xyz / step_xyz) * step_xyz for joint, xyz in exact.travel.items()},
        exact.keys,
    )
    has_key = _first_choice(exact, curves, _SHARE * bound / reach, _SHARE * bound)
    _put_back(animation, curves, has_key, SPARE * bound)
    keys = [np.flatnonzero(row) for row in has_key]
    for joint, frames in enumerate(keys):
        own = [curves.degrees[:, joint], *([curves.travel[joint]] if joint in curves.travel else [])]
        if joint and all(np.ptp(values, axis=0).max() == 0 for values in own):
            keys[joint] = frames[:1]  # not the root's: they tell how long the motion is
    return replace(curves, keys=tuple(keys))


def worst_distance(animation: Animation, curves: Curves) -> float:
    """How far a joint or bone's end is off in the worst frame and reading, in the file's unit."""
    has_key = np.zeros((len(curves.keys), len(curves.degrees)), dtype=bool)
    for joint, frames in enumerate(curves.keys):
        has_key[joint, frames] = True
        has_key[joint, -1] = True
    return float(_distances(animation, curves, has_key).max())


def power_of_two(value: FloatArray) -> FloatArray:
    """(...) the next lower power of two: multiples of it leave zeros in single precision, which pack well."""
    return 2.0 ** np.floor(np.log2(value))


def _reach(animation: Animation) -> FloatArray:
    """(N,) length of the longest chain of bones that a joint turns, its last bone's tip included."""
    lengths = np.linalg.norm(animation.offsets, axis=1)
    reach = np.zeros(len(lengths))
    for joint, tip in bone_ends(animation).items():
        reach[joint] = np.linalg.norm(tip)
    for joint in reversed(range(1, len(lengths))):
        parent = animation.hierarchy.parents[joint]
        reach[parent] = max(reach[parent], reach[joint] + lengths[joint])
    return reach


def _first_choice(exact: Curves, curves: Curves, angle: FloatArray, length: float) -> NDArray[np.bool_]:
    """(N, T) keys so that each joint on its own keeps its share: worst frames are added until all do.

    All joints are one long row, worked on at once; both ends of each joint's part have keys.
    """
    num_frames, num_joints = exact.degrees.shape[:2]

    def row(values: FloatArray) -> FloatArray:
        return np.swapaxes(values, 0, 1).reshape(num_joints * num_frames, -1)

    # Angles add up at most; a chord of unit quaternions is half an angle.
    scaled = [
        (row(np.deg2rad(given) / angle[:, None]), row(np.deg2rad(kept) / angle[:, None]), 1)
        for given, kept in [(exact.degrees, curves.degrees)]
    ]
    scaled.append(
        (row(2 * exact.quaternions / angle[:, None]), row(2 * curves.quaternions / angle[:, None]), 2)
    )
    place = np.zeros((num_frames, num_joints, 3)), np.zeros((num_frames, num_joints, 3))
    for joint, xyz in exact.travel.items():
        place[0][:, joint], place[1][:, joint] = xyz / length, curves.travel[joint] / length
    scaled.append((row(place[0]), row(place[1]), 2))
    has_key = np.zeros(num_joints * num_frames, dtype=bool)
    has_key[::num_frames] = has_key[num_frames - 1 :: num_frames] = True
    active = np.arange(len(has_key))
    while len(active):
        before, after, share = _neighbours(has_key, active)
        error = np.zeros(len(active))
        for given, kept, norm in scaled:
            between = kept[before] + share[:, None] * (kept[after] - kept[before])
            error = np.maximum(error, np.linalg.norm(between - given[active], ord=norm, axis=1))
        open_frame = ~has_key[active]
        first = np.flatnonzero(np.r_[True, np.diff(before) > 0])
        segment = np.cumsum(np.r_[False, np.diff(before) > 0])
        error = np.where(open_frame, error, 0.0)
        worst = np.maximum.reduceat(error, first)
        bad = worst > 1
        _, where = np.unique(segment[(error == worst[segment]) & bad[segment]], return_index=True)
        has_key[active[(error == worst[segment]) & bad[segment]][where]] = True
        active = active[bad[segment]]
    return has_key.reshape(num_joints, num_frames)


def _neighbours(
    has_key: NDArray[np.bool_], frames: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
    """The keys before (or at) and after some frames, and how far between them the frames are."""
    keys = np.flatnonzero(has_key)
    after = np.searchsorted(keys, frames, side="right")
    before = keys[after - 1]
    after = keys[np.minimum(after, len(keys) - 1)]
    return before, after, (frames - before) / np.maximum(after - before, 1)


def _put_back(animation: Animation, curves: Curves, has_key: NDArray[np.bool_], bound: float) -> None:
    """Give frames their keys back until every joint is within the bound."""
    count = len(animation.hierarchy.names)
    children = carriers(animation)[:count] | np.eye(count, dtype=bool)
    while True:
        off = _distances(animation, curves, has_key) > bound  # (T, N)
        # The joints that carry one that is off get keys in that frame; those that have them all cannot help.
        wanted = (off @ children).T & ~has_key
        if not wanted.any():
            return
        has_key |= wanted


def _distances(animation: Animation, curves: Curves, has_key: NDArray[np.bool_]) -> FloatArray:
    """(T, N) how far each joint, or the end of its bone, is from where it was, in the worst reading."""
    truth = posed(animation, animation.node_rotation, animation.node_travel)
    travel = {
        joint: _between(xyz[:, None], has_key[joint : joint + 1])[:, 0]
        for joint, xyz in curves.travel.items()
    }
    worst = np.zeros(truth.shape[:2])
    for read in _READINGS:
        xyz = posed(animation, read(curves, has_key), travel)
        worst = np.maximum(worst, np.linalg.norm(xyz - truth, axis=-1))
    count = len(animation.hierarchy.names)
    for row, joint in enumerate(bone_ends(animation)):
        worst[:, joint] = np.maximum(worst[:, joint], worst[:, count + row])
    return worst[:, :count]


def _between(values: FloatArray, has_key: NDArray[np.bool_]) -> FloatArray:
    """(T, N, C) values in straight lines from key to key."""
    flat = np.swapaxes(values, 0, 1).reshape(-1, values.shape[-1])
    before, after, share = _neighbours(has_key.ravel(), np.arange(len(flat)))
    lines = flat[before] + share[:, None] * (flat[after] - flat[before])
    return np.swapaxes(lines.reshape(has_key.shape[0], -1, values.shape[-1]), 0, 1)


def _as_euler(curves: Curves, has_key: NDArray[np.bool_]) -> FloatArray:
    return rotation_from_euler(np.deg2rad(_between(curves.degrees, has_key)[..., ::-1]), "ZYX")


def _as_straight(curves: Curves, has_key: NDArray[np.bool_]) -> FloatArray:
    return rotation_from_quaternion(_between(curves.quaternions, has_key))


def _as_sphere(curves: Curves, has_key: NDArray[np.bool_]) -> FloatArray:
    """Turning at one speed from key to key."""
    flat = np.swapaxes(curves.quaternions, 0, 1).reshape(-1, 4)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    before, after, share = _neighbours(has_key.ravel(), np.arange(len(flat)))
    start, end = flat[before], flat[after]
    end = np.where((start * end).sum(1, keepdims=True) < 0, -end, end)
    half = np.arctan2(np.linalg.norm(end - start, axis=1), np.linalg.norm(end + start, axis=1)) * 2
    sine = np.sin(half)
    small = sine < 1e-9
    safe = np.where(small, 1.0, sine)
    a = np.where(small, 1 - share, np.sin((1 - share) * half) / safe)
    b = np.where(small, share, np.sin(share * half) / safe)
    turned = a[:, None] * start + b[:, None] * end
    return rotation_from_quaternion(np.swapaxes(turned.reshape(has_key.shape[0], -1, 4), 0, 1))


_READINGS: Final[tuple[Callable[[Curves, NDArray[np.bool_]], FloatArray], ...]] = (
    _as_euler,
    _as_straight,
    _as_sphere,
)
"""How programs read between keys."""
