"""Rotation matrices to Euler angles whose curves are continuous."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from exporters.axes import FloatArray
from exporters.errors import ExportError

ROTATION_ORDERS: Final = ("ZXY", "ZYX", "XYZ", "YXZ", "XZY", "YZX")
"""Intrinsic orders, first turn first: R = R_first @ R_second @ R_third."""

_LOCKED_BELOW: Final = 1e-6
"""Cosine of the middle angle below which the outer two turn about one axis. The angles lose digits as 1e-16
over this, so 1e-10 rad at the border; a locked frame is off by at most this, in radians."""


def check_order(order: str) -> tuple[int, int, int]:
    """Axes (0, 1, 2 for x, y, z) of an order such as ``"ZXY"``; ``ExportError`` lists those there are."""
    if order not in ROTATION_ORDERS:
        raise ExportError(f"no rotation order {order!r}; choose one of {', '.join(ROTATION_ORDERS)}")
    first, second, third = ("XYZ".index(letter) for letter in order)
    return first, second, third


def continuous_euler(rotation: FloatArray, order: str) -> FloatArray:
    """Euler angles that never jump by a full or half turn from one frame to the next.

    Of the two triples that mean the same rotation, the one nearer to the frame before is taken, and whole
    turns are added as needed. Where the outer axes line up, the last angle is interpolated.

    Args:
        rotation: (T, ..., 3, 3) over time.
        order: intrinsic, one of ``ROTATION_ORDERS``.

    Returns:
        (T, ..., 3) radians, in the order's sequence; the middle angle starts within a quarter turn.
    """
    angles, locked = _principal(rotation, order)
    shape = angles.shape
    flat = angles.reshape(shape[0], -1, 3)
    lock = locked.reshape(shape[0], -1)
    matrices = rotation.reshape(shape[0], -1, 3, 3)
    free = ~lock.any(axis=0)
    flat[:, free] = _follow(flat[:, free])
    for column in np.flatnonzero(~free):
        flat[:, column] = _follow_through_lock(flat[:, column], lock[:, column], matrices[:, column], order)
    return flat.reshape(shape)


def _principal(rotation: FloatArray, order: str) -> tuple[FloatArray, NDArray[np.bool_]]:
    """The triple with the middle angle within a quarter turn, and where the outer axes line up."""
    i, j, k = check_order(order)
    sign = _parity(i, j)
    cosine = np.hypot(rotation[..., i, i], rotation[..., i, j])
    first = np.arctan2(-sign * rotation[..., j, k], rotation[..., k, k])
    second = np.arctan2(sign * rotation[..., i, k], cosine)
    third = np.arctan2(-sign * rotation[..., i, j], rotation[..., i, i])
    return np.stack([first, second, third], axis=-1), cosine < _LOCKED_BELOW


def _parity(i: int, j: int) -> float:
    """+1 for the orders XYZ, YZX, ZXY, -1 for their mirror images."""
    return 1.0 if (j - i) % 3 == 1 else -1.0


def _other(angles: FloatArray) -> FloatArray:
    """The second triple of the same rotation."""
    return np.stack([angles[..., 0] + np.pi, np.pi - angles[..., 1], angles[..., 2] + np.pi], axis=-1)


def _wrapped(angles: FloatArray) -> FloatArray:
    """The same angles within half a turn of zero."""
    return (angles + np.pi) % (2 * np.pi) - np.pi


def _follow(angles: FloatArray) -> FloatArray:
    """Choose triples and whole turns so that each frame (axis 0) is nearest to the one before it.

    Changing to the other triple in both frames leaves their distance as it is. So whether to change between
    two frames does not depend on the choices before, and the choices are a running parity.
    """
    if len(angles) < 2:
        return angles
    stay = np.abs(_wrapped(angles[1:] - angles[:-1])).sum(-1)
    change = np.abs(_wrapped(_other(angles[1:]) - angles[:-1])).sum(-1)
    flipped = np.zeros(angles.shape[:-1], dtype=bool)
    flipped[1:] = np.cumsum(change < stay, axis=0) % 2 == 1
    return np.unwrap(np.where(flipped[..., None], _other(angles), angles), axis=0)


def _follow_through_lock(
    angles: FloatArray, locked: NDArray[np.bool_], rotation: FloatArray, order: str
) -> FloatArray:
    """``_follow`` for one joint (T, 3), some of whose frames have only the sum of the outer angles."""
    times = np.arange(len(angles))
    guess = np.zeros_like(angles)
    if not locked.all():
        angles[~locked] = _follow(angles[~locked])
        for axis in range(3):
            guess[:, axis] = np.interp(times, times[~locked], angles[~locked, axis])
    third = guess[:, 2]
    second = _nearest_turn(angles[:, 1], guess[:, 1])
    mirrored = _nearest_turn(np.pi - angles[:, 1], guess[:, 1])
    second = np.where(np.abs(mirrored - guess[:, 1]) < np.abs(second - guess[:, 1]), mirrored, second)
    first = _nearest_turn(_first_angle(rotation, second, third, order), guess[:, 0])
    if locked.all():
        first = np.unwrap(first)
    return np.where(locked[:, None], np.stack([first, second, third], axis=-1), angles)


def carried_on(angles: FloatArray, before: FloatArray) -> FloatArray:
    """Angles of ``continuous_euler`` (T, ..., 3) as they go on from those of the frame before (..., 3)."""
    stay = np.abs(_wrapped(angles[0] - before)).sum(-1)
    change = np.abs(_wrapped(_other(angles[0]) - before)).sum(-1)
    angles = np.where((change < stay)[..., None], _other(angles), angles)
    return angles + 2 * np.pi * np.round((before - angles[0]) / (2 * np.pi))


def _nearest_turn(angle: FloatArray, goal: FloatArray) -> FloatArray:
    """The angle plus the whole turns that bring it nearest to the goal."""
    return goal + _wrapped(angle - goal)


def _first_angle(rotation: FloatArray, second: FloatArray, third: FloatArray, order: str) -> FloatArray:
    """The first angle when the other two are given."""
    i, j, k = check_order(order)
    rest = axis_rotation(j, second) @ axis_rotation(k, third)
    alone = rotation @ np.swapaxes(rest, -1, -2)
    return np.arctan2(
        _parity(i, j) * (alone[..., k, j] - alone[..., j, k]), alone[..., j, j] + alone[..., k, k]
    )


def axis_rotation(axis: int, angle: FloatArray) -> FloatArray:
    """(..., 3, 3) turns by (...) radians about x, y or z (0, 1, 2)."""
    matrix = np.zeros((*angle.shape, 3, 3))
    after, last = (axis + 1) % 3, (axis + 2) % 3
    matrix[..., axis, axis] = 1.0
    matrix[..., after, after] = matrix[..., last, last] = np.cos(angle)
    matrix[..., last, after] = np.sin(angle)
    matrix[..., after, last] = -np.sin(angle)
    return matrix


def rotation_from_euler(angles: FloatArray, order: str) -> FloatArray:
    """The inverse of ``continuous_euler``: (..., 3) radians to (..., 3, 3)."""
    i, j, k = check_order(order)
    return (
        axis_rotation(i, angles[..., 0]) @ axis_rotation(j, angles[..., 1]) @ axis_rotation(k, angles[..., 2])
    )
