"""Animation curves of files, read at any times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporters.axes import FloatArray

CONSTANT, LINEAR, CUBIC = 0, 1, 2


def value_at(
    time_s: FloatArray, keys_s: FloatArray, values: FloatArray, kind: NDArray[np.int64] | None = None,
    slopes: tuple[FloatArray, FloatArray] | None = None,
) -> FloatArray:  # fmt: skip
    """(T,) values of a curve, constant before its first key and after its last.

    Args:
        time_s: (T,) when.
        keys_s: (n,) times of the keys, increasing.
        values: (n,) their values.
        kind: (n,) how it goes on from each key; linear if left out.
        slopes: (n,) units a second with which it leaves each key, and with which it reaches the next.
    """
    if len(keys_s) == 1 or kind is None:
        return np.interp(time_s, keys_s, values)
    index = np.clip(np.searchsorted(keys_s, time_s, side="right") - 1, 0, len(keys_s) - 2)
    length = np.maximum(keys_s[index + 1] - keys_s[index], 1e-12)
    share = np.clip((time_s - keys_s[index]) / length, 0.0, 1.0)
    first, last = values[index], values[index + 1]
    result = first + (last - first) * share
    result = np.where((kind[index] == CONSTANT) & (share < 1), first, result)
    if slopes is not None:
        out, into = slopes[0][index] * length, slopes[1][index] * length
        square, cube = share**2, share**3
        smooth = (2 * cube - 3 * square + 1) * first + (cube - 2 * square + share) * out
        smooth += (3 * square - 2 * cube) * last + (cube - square) * into
        result = np.where(kind[index] == CUBIC, smooth, result)
    return result


def turn_at(time_s: FloatArray, keys_s: FloatArray, quaternion: FloatArray, *, constant: bool) -> FloatArray:
    """(T, 3, 3) rotations of keyed quaternions (n, 4) x, y, z, w, on the shortest way between keys."""
    from scipy.spatial.transform import Rotation, Slerp

    turns = Rotation.from_quat(quaternion)
    inside = np.clip(time_s, keys_s[0], keys_s[-1])
    if constant or len(keys_s) == 1:
        index = np.clip(np.searchsorted(keys_s, inside, side="right") - 1, 0, len(keys_s) - 1)
        return turns.as_matrix()[index]
    return Slerp(keys_s, turns)(inside).as_matrix()
