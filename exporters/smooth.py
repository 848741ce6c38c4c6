"""Cubic curves through few keys, with a bound on how far any joint may be from where it was.

Between two keys Autodesk's SDK and ufbx, and so the programs that are built on them, draw the cubic that has
the keys' values and slopes. A smooth motion needs a fraction of its keys so. Blender, three.js and Assimp
draw straight lines whatever the keys say: nothing for them.

Every number over time is fitted by least squares, values and slopes of its keys together, and gets keys until
it is nowhere off by more than it may. How much that is tells the joint or bone's end that it moves farthest.
Where the errors of a chain still add up to more than the bound, all that carry it may be off by less. What
shakes so much that it needs most of its keys keeps them all, and is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exporters.animation import Animation
from exporters.axes import METRES_PER_UNIT, FloatArray
from exporters.errors import ExportError
from exporters.euler import axis_rotation, rotation_from_euler
from exporters.posing import carriers, posed, world_turns
from exporters.reduction import ROUNDING, SPARE, Curves, all_keys, power_of_two

_LESS: Final = 0.7
"""What is left of what a number may be off where its chain is off by too much."""
_SHORTEST_ARM_M: Final = 0.05
"""A turn that moves no joint moves skin about as far from its axis."""
_SLOPE_WEIGHT: Final = 1e-3
"""Of a key's slope being that of its neighbours, against a frame's being where it was: where every frame has
a key nothing else says how the curve runs between them."""
_STILL: Final = 1e-9
"""A number that changes by less, in its own unit, has one key."""
_WORTH: Final = 0.55
"""Of the frames: a cubic key takes nearly twice the bytes of one on a straight line."""
_FRAMES_AT_ONCE: Final = 2_000_000
"""Frames times numbers that are fitted together."""


@dataclass(frozen=True)
class Track:
    """One number over time."""

    frames: NDArray[np.intp]
    """(n,) where it has keys."""
    values: FloatArray
    """(n,) what it is there."""
    slopes: FloatArray | None = None
    """(n,) how it changes there, a second; straight lines from key to key if None."""


@dataclass(frozen=True)
class Tracks:
    """A character's curves."""

    turns: tuple[tuple[Track, ...], ...]
    """For each joint its angles in degrees about x, y, z, that turn as Rz Ry Rx."""
    travel: dict[int, tuple[Track, ...]]
    """Places x, y, z of the joints that move against their parents."""
    cubic: bool = False
    """Whether they are for programs that draw cubics; those need no curve of an angle that rests."""


def straight(curves: Curves) -> Tracks:
    """Curves of straight lines."""

    def tracks(keys: NDArray[np.intp], values: FloatArray) -> tuple[Track, ...]:
        return tuple(Track(keys, column) for column in values[keys].T)

    return Tracks(
        tuple(tracks(keys, curves.degrees[:, joint]) for joint, keys in enumerate(curves.keys)),
        {joint: tracks(curves.keys[joint], xyz) for joint, xyz in curves.travel.items()},
    )


def smooth(animation: Animation, bound: float) -> Tracks:
    """Cubic curves that move no joint and no bone's end by more than the bound in any frame.

    Args:
        animation: the character.
        bound: greatest distance in the file's unit.

    Raises:
        ExportError: the bound is not positive.
    """
    if not bound > 0:
        raise ExportError("the greatest error of fewer keys must be above 0 mm")
    exact = all_keys(animation)
    numbers, moved = _numbers(exact), _moved(animation, list(exact.travel))
    allowed = bound / _levers(animation, exact)
    step = power_of_two(2 * ROUNDING * allowed.min(axis=1, keepdims=True))
    truth = posed(animation, animation.node_rotation, animation.node_travel)
    has_key = np.zeros(numbers.shape, dtype=bool)
    has_key[:, [0, -1]] = True
    while True:
        fit = _fit(numbers, allowed, has_key, step, animation.rate_hz)
        off = np.linalg.norm(_read(animation, fit.curve, exact) - truth, axis=-1) > SPARE * bound
        if not off.any():
            break
        blamed = np.repeat((off @ moved).T, 3, axis=0)
        blamed[:, 1:] |= blamed[:, :-1].copy()
        blamed[:, :-1] |= blamed[:, 1:].copy()
        allowed[blamed] *= _LESS
        step[blamed.any(axis=1) & has_key.all(axis=1)] /= 2
    still = np.ptp(numbers, axis=1) < _STILL
    tracks = [
        Track(np.zeros(1, dtype=np.intp), numbers[row, :1]) if still[row] else _track(fit, row, animation)
        for row in range(len(numbers))
    ]
    num_joints = exact.degrees.shape[1]
    root = 3 * num_joints  # where it is tells how long the motion is
    tracks[root : root + 3] = [_track(fit, row, animation) for row in range(root, root + 3)]
    by_joint = [tuple(tracks[row : row + 3]) for row in range(0, len(tracks), 3)]
    travel = dict(zip(exact.travel, by_joint[num_joints:], strict=True))
    return Tracks(tuple(by_joint[:num_joints]), travel, cubic=True)


def _numbers(exact: Curves) -> FloatArray:
    """(C, T) of each joint its angles about x, y, z, then the places of those that travel."""
    together = np.concatenate([exact.degrees, np.stack(list(exact.travel.values()), 1)], axis=1)
    return np.moveaxis(together, 0, -1).reshape(-1, len(together))


def _read(animation: Animation, curves: FloatArray, exact: Curves) -> FloatArray:
    """(T, N + ends, 3) joints and bones' ends as programs have them that know the curves (C, T)."""
    num_joints = exact.degrees.shape[1]
    joints = np.moveaxis(curves.reshape(-1, 3, curves.shape[1]), -1, 0)
    rotation = rotation_from_euler(np.deg2rad(joints[:, :num_joints, ::-1]), "ZYX")
    places = {joint: joints[:, num_joints + row] for row, joint in enumerate(exact.travel)}
    return posed(animation, rotation, places)


def _moved(animation: Animation, travellers: list[int]) -> NDArray[np.bool_]:
    """(N + ends, C / 3) whether angles of a joint, or the places of one that travels, move a joint or end."""
    moves = carriers(animation)
    itself = np.eye(*moves.shape, dtype=bool)
    return np.concatenate([moves, (moves | itself)[:, travellers]], axis=1)


def _levers(animation: Animation, exact: Curves) -> FloatArray:
    """(C, T) how far each number moves what it moves farthest: the file's unit for each unit of its own."""
    moves, xyz = carriers(animation), posed(animation, animation.node_rotation, animation.node_travel)
    turn = world_turns(animation, animation.node_rotation)
    num_frames, num_joints = exact.degrees.shape[:2]
    shortest = np.deg2rad(_SHORTEST_ARM_M / METRES_PER_UNIT[animation.axes.unit])
    levers = np.full((num_joints, 3, num_frames), shortest)
    for joint, parent in enumerate(animation.hierarchy.parents):
        above = turn[:, parent] if parent >= 0 else np.broadcast_to(np.eye(3), (num_frames, 3, 3))
        _, y, z = np.deg2rad(exact.degrees[:, joint]).T
        after_z = above @ axis_rotation(2, z)
        axes = np.stack([(after_z @ axis_rotation(1, y))[..., 0], after_z[..., 1], above[..., 2]])
        arms = xyz[:, moves[:, joint]] - xyz[:, joint, None]
        if arms.size:
            across = np.cross(axes[:, :, None], arms)
            farthest = np.deg2rad(np.linalg.norm(across, axis=-1)).max(axis=-1)
            levers[joint] = np.maximum(levers[joint], farthest)
    ones = np.ones((3 * len(exact.travel), num_frames))
    return np.concatenate([levers.reshape(-1, num_frames), ones])


@dataclass(frozen=True)
class _Fit:
    """C numbers over T frames."""

    has_key: NDArray[np.bool_]
    """(C, T)."""
    values: FloatArray
    """(C, T) at keys."""
    slopes: FloatArray
    """(C, T) a frame, at keys."""
    curve: FloatArray
    """(C, T) what the curves are in every frame."""


def _fit(
    numbers: FloatArray, allowed: FloatArray, has_key: NDArray[np.bool_], step: FloatArray, rate_hz: float
) -> _Fit:
    """Rounded curves within what is allowed; keys are added to ``has_key``.

    Numbers that need too many have one in every frame then, and straight lines between them.
    """
    values, slopes, curve = (np.zeros_like(numbers) for _ in range(3))
    rows = max(1, _FRAMES_AT_ONCE // numbers.shape[1])
    slope_step = power_of_two(step * rate_hz / 8) / rate_hz
    for start in range(0, len(numbers), rows):
        active = np.arange(start, min(start + rows, len(numbers)))
        active = active[~has_key[active].all(axis=1)]
        while len(active):
            keys = has_key[active]
            value, slope = _least_squares(numbers[active], 1 / allowed[active], keys)
            value = np.round(value / step[active]) * step[active]
            slope = np.round(slope / slope_step[active]) * slope_step[active]
            values[active], slopes[active] = value, slope
            curve[active] = _hermite(value, slope, keys)
            error = np.abs(curve[active] - numbers[active]) / allowed[active]
            added = _more_keys(error, keys)
            has_key[active] |= added
            active = active[added.any(axis=1)]
    dense = has_key.mean(axis=1) > _WORTH
    has_key[dense] = True
    values[dense] = curve[dense] = (np.round(numbers / step) * step)[dense]
    return _Fit(has_key, values, slopes, curve)


def _basis(keys: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], list[FloatArray]]:
    """Of every frame, rows in one line: numbers of the keys before and after, and Hermite's four weights.

    They are of value and slope of the one, value and slope of the other.
    """
    at = np.flatnonzero(keys)
    frames = np.arange(keys.size)
    before = np.cumsum(keys) - 1
    last = (at[before] + 1) % keys.shape[1] == 0
    after = np.where(last, before, np.minimum(before + 1, len(at) - 1))
    gap = np.maximum(at[after] - at[before], 1)
    u = (frames - at[before]) / gap
    square, cube = u**2, u**3
    weights = [2 * cube - 3 * square + 1, (cube - 2 * square + u) * gap, 3 * square - 2 * cube]
    return before, after, [*weights, (cube - square) * gap]


def _hermite(values: FloatArray, slopes: FloatArray, keys: NDArray[np.bool_]) -> FloatArray:
    """(C, T) cubics through keys."""
    before, after, (a, b, c, d) = _basis(keys)
    value, slope = values[keys], slopes[keys]
    curve = a * value[before] + b * slope[before] + c * value[after] + d * slope[after]
    return curve.reshape(keys.shape)


def _least_squares(
    numbers: FloatArray, weight: FloatArray, keys: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """(C, T) values and slopes at keys, zero elsewhere, whose cubics are nearest to the numbers.

    Unknowns are value and slope of each key in turn, so the normal equations have three diagonals beside the
    main one.
    """
    from scipy.linalg import solveh_banded

    before, after, basis = _basis(keys)
    size = 2 * int(keys.sum())
    square = ((weight / np.sqrt((weight**2).mean(axis=1, keepdims=True))) ** 2).ravel()
    columns = [2 * before, 2 * before + 1, 2 * after, 2 * after + 1]
    matrix, right = np.zeros((4, size)), np.zeros(size)
    for i, (row, one) in enumerate(zip(columns, basis, strict=True)):
        right += np.bincount(row, one * square * numbers.ravel(), size)
        for j in range(i, 4):
            # Of the last key there is no next one: its own weights are zero there.
            matrix[3 - (j - i)] += np.bincount(columns[j], one * basis[j] * square, size)
    usual = np.gradient(numbers, axis=1)[keys] if numbers.shape[1] > 1 else np.zeros(int(keys.sum()))
    matrix[3, 1::2] += _SLOPE_WEIGHT
    right[1::2] += _SLOPE_WEIGHT * usual
    matrix[3, ::2] += 1e-12
    found = solveh_banded(matrix, right)
    value, slope = np.zeros(numbers.shape), np.zeros(numbers.shape)
    value[keys], slope[keys] = found[::2], found[1::2]
    return value, slope


def _more_keys(error: FloatArray, keys: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where keys are missing: near the worst frame between two, and beside a key that is off."""
    added = np.zeros(keys.size, dtype=bool)
    at = np.flatnonzero(keys)
    gap = np.diff(at, append=keys.size)
    inside = np.where(keys, 0.0, error).ravel()
    worst = np.maximum.reduceat(inside, at)
    part = np.cumsum(keys) - 1
    hit = np.flatnonzero((inside > 1) & (inside == worst[part]))
    part, first = np.unique(part[hit], return_index=True)
    margin = np.maximum(gap[part] // 4, 1)
    added[at[part] + np.clip(hit[first] - at[part], margin, gap[part] - margin)] = True
    off = np.flatnonzero(error.ravel()[at] > 1)
    for near in (off, off[off > 0] - 1):
        wide = near[gap[near] > 1]
        added[at[wide] + gap[wide] // 2] = True
    return added.reshape(keys.shape) & ~keys


def _track(fit: _Fit, row: int, animation: Animation) -> Track:
    frames = np.flatnonzero(fit.has_key[row])
    slopes = None if fit.has_key[row].all() else fit.slopes[row, frames] * animation.rate_hz
    return Track(frames, fit.values[row, frames], slopes)
