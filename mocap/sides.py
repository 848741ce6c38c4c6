"""Left and right of the body, where a detector confused them in one view: decided over time and views.

Two kinds of evidence say whether two labellings agree: viewing rays of two cameras at one instant meet or
miss each other, and keypoints of one camera stay where they were an instant before or jump to the other side
of the body. ``find_swaps`` takes the most probable history of all cameras together (Viterbi 1967), so that
views that are wrong together, and for long, are outvoted by time, and time by views. ``follow_swaps`` then
asks every frame of every view for itself which labelling suits points that are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mocap.keypoints import FloatArray

_JOINT_CAMERAS = 8
"""Cameras whose labellings are decided together: 2^8 histories; further ones join them one by one."""
_SWAPPED_COST = 3.0
"""Nats that a confused view costs at one instant: detectors confuse the sides in a few per cent of frames."""
_CONFUSED_COST = 1.0
"""The same where histories are looked for: who is confused remains so for a while, which counts once."""
_CHANGE_COST = 1.5
"""Nats for a view that becomes confused, or ceases to be, between two instants."""
_PAIR_CAP = 4.0
"""Nats that one keypoint of two views, or of two instants, may add: one wrong keypoint decides nothing."""
_JUMP_SIZES = 0.06
"""Body sizes by which a keypoint may move between two instants, a twentieth of a second, without a word."""
_SWITCH_COST = 2.0
"""Nats for a change between two frames where the points are known."""
_SAME_BODY = 0.3
"""Share of a keypoint's likelihood that counts: keypoints of one view err together."""


def mirror(names: Sequence[str]) -> list[int]:
    """For each keypoint the index of the same on the other side of the body."""
    sides = {"left": "right", "right": "left"}
    others = ["_".join(sides.get(word, word) for word in name.split("_")) for name in names]
    return [list(names).index(other) if other in names else index for index, other in enumerate(others)]


def body_parts(names: Sequence[str]) -> list[NDArray[np.bool_]]:
    """(K,) masks of the paired keypoints of lower and upper body, which detectors confuse one at a time.

    The head goes with the arms: eyes and ears alone, so near each other, cannot say which view is wrong.
    """
    paired = np.array([index != other for index, other in enumerate(mirror(names))], dtype=bool)
    lower = ("hip", "knee", "ankle", "heel", "toe", "foot")
    legs = np.array([any(word in name for word in lower) for name in names], dtype=bool)
    return [part for part in (paired & legs, paired & ~legs) if part.any()]


def exchange(values: FloatArray, swapped: NDArray[np.bool_], names: Sequence[str]) -> FloatArray:
    """Values (T, C, K, ...) with the sides of some parts of the body put back: swapped (T, C, parts)."""
    other = mirror(names)
    result = values.copy()
    for part, mask in enumerate(body_parts(names)):
        which = np.flatnonzero(mask)
        frames, views = np.nonzero(swapped[..., part])
        result[frames[:, None], views[:, None], which] = values[
            frames[:, None], views[:, None], np.array(other)[which]
        ]
    return result


def find_swaps(
    origin: FloatArray,
    direction: FloatArray,
    angle_sd: FloatArray,
    xy_px: FloatArray,
    size_px: FloatArray,
    names: Sequence[str],
) -> NDArray[np.bool_]:
    """Which views confused the sides at instants about a twentieth of a second apart.

    Args:
        origin: (C, 3) camera centres, metres, world frame.
        direction: (T, C, K, 3) unit viewing rays, world frame, NaN where unseen.
        angle_sd: (T, C, K) expected deviation of a ray, radians.
        xy_px: (T, C, K, 2) pixels.
        size_px: (T, C) size of the person in the picture, pixels.
        names: K names.

    Returns:
        (T, C, parts) bool for the parts of ``body_parts``.
    """
    parts = body_parts(names)
    other = np.array(mirror(names), dtype=int)
    views = direction.shape[1]
    swapped = np.zeros((*direction.shape[:2], len(parts)), dtype=bool)
    pairs = list(combinations(range(views), 2))
    if views > _JOINT_CAMERAS:  # neighbours on the ring and those across it say enough
        pairs = [(a, b) for a, b in pairs if (b - a) % views in (1, 2, 3, 5, views - 1, views - 2, views - 3)]
    for part, mask in enumerate(parts):
        which = np.flatnonzero(mask)
        agree = (
            np.stack([_views_agree(origin, direction, angle_sd, pair, which, other) for pair in pairs], -1)
            if pairs
            else np.zeros((len(xy_px), 0))
        )
        stay = _instants_agree(xy_px, size_px, which, other) + _CHANGE_COST
        swapped[..., part] = _most_probable(agree, pairs, stay, views)
    return swapped


def _views_agree(
    origin: FloatArray,
    direction: FloatArray,
    angle_sd: FloatArray,
    pair: tuple[int, int],
    which: NDArray[np.integer],
    other: NDArray[np.integer],
) -> FloatArray:
    """(T,) nats for two views being labelled alike."""
    a, b = pair
    baseline = origin[b] - origin[a]

    rays = {view: np.moveaxis(direction[:, view], -1, 0).copy() for view in pair}  # (3, T, K)
    along = {view: np.einsum("a,atk->tk", baseline, rays[view]) for view in pair}

    def cost(of_a: NDArray[np.integer], of_b: NDArray[np.integer]) -> FloatArray:
        ray_a, ray_b = rays[a][..., of_a], rays[b][..., of_b]
        along_a, along_b = along[a][:, of_a], along[b][:, of_b]
        cosine = (ray_a * ray_b).sum(0)
        squared_sine = np.maximum(1 - cosine**2, 1e-3)
        depth_a = (along_a - cosine * along_b) / squared_sine
        depth_b = (cosine * along_a - along_b) / squared_sine
        miss = ((baseline[:, None, None] + depth_b * ray_b - depth_a * ray_a) ** 2).sum(0)
        expected = (depth_a * angle_sd[:, a, of_a]) ** 2 + (depth_b * angle_sd[:, b, of_b]) ** 2
        ahead = (depth_a > 0) & (depth_b > 0)
        value = 2 * np.log1p(miss / np.maximum(expected, 1e-12) / 3)
        return np.minimum(np.where(ahead, value, _PAIR_CAP), _PAIR_CAP)

    with np.errstate(invalid="ignore"):
        gain = cost(which, other[which]) - cost(which, which)
    return _SAME_BODY * np.nan_to_num(gain).sum(-1)


def _instants_agree(
    xy_px: FloatArray, size_px: FloatArray, which: NDArray[np.integer], other: NDArray[np.integer]
) -> FloatArray:
    """(T - 1, C) nats for each view being labelled as it was an instant before."""
    scale = (_JUMP_SIZES * np.maximum(size_px[1:], 1.0))[..., None]

    def cost(before: NDArray[np.integer]) -> FloatArray:
        away = ((xy_px[1:, :, which] - xy_px[:-1, :, before]) ** 2).sum(-1)
        return np.minimum(2 * np.log1p(away / scale**2 / 3), _PAIR_CAP)

    with np.errstate(invalid="ignore"):
        return _SAME_BODY * np.nan_to_num(cost(other[which]) - cost(which)).sum(-1)


def _most_probable(
    agree: FloatArray, pairs: Sequence[tuple[int, int]], stay: FloatArray, views: int
) -> NDArray[np.bool_]:
    """(T, C) the labelling of all views over time that costs least."""
    times = len(agree)
    together = min(views, _JOINT_CAMERAS)
    inside = [place for place, pair in enumerate(pairs) if max(pair) < together]
    bits = (np.arange(2**together)[:, None] >> np.arange(together)) & 1  # (S, C)
    differ = np.array([bits[:, pairs[place][0]] != bits[:, pairs[place][1]] for place in inside])
    differ = differ.reshape(len(inside), len(bits)).astype(float)
    unary = agree[:, inside] @ differ + _CONFUSED_COST * bits.sum(1)  # (T, S)
    flips = np.arange(len(bits)) ^ (1 << np.arange(together))[:, None]  # (C, S) one view changed
    swapped = np.zeros((times, views), dtype=bool)
    swapped[:, :together] = bits[_viterbi(unary, stay[:, :together], flips)]
    for view in range(together, views):
        cost = np.zeros((times, 2))
        cost[:, 1] = _CONFUSED_COST
        for place, pair in enumerate(pairs):
            if view == max(pair):
                mate = swapped[:, min(pair)]
                cost[:, 0] += np.where(mate, agree[:, place], 0.0)
                cost[:, 1] += np.where(mate, 0.0, agree[:, place])
        swapped[:, view] = _viterbi(cost, stay[:, [view]], np.array([[1, 0]])) == 1
    return swapped


def _viterbi(unary: FloatArray, stay: FloatArray, flips: NDArray[np.integer]) -> NDArray[np.integer]:
    """(T,) states of least total cost.

    Args:
        unary: (T, S) cost of each state.
        stay: (T - 1, F) cost of each flip from one instant to the next; negative where flipping is likelier.
        flips: (F, S) the state that each flip leads to.
    """
    times, states = unary.shape
    reached = unary[0].copy()
    chosen = np.zeros((times, len(flips), states), dtype=bool)
    for time in range(1, times):
        for flip, changed in enumerate(flips):
            moved = reached[changed] + stay[time - 1, flip]
            take = moved < reached
            reached = np.where(take, moved, reached)
            chosen[time, flip] = take
        reached = reached + unary[time]
    path = np.zeros(times, dtype=int)
    path[-1] = int(reached.argmin())
    for time in range(times - 1, 0, -1):
        state = path[time]
        for flip in range(len(flips) - 1, -1, -1):
            if chosen[time, flip, state]:
                state = flips[flip, state]
        path[time - 1] = state
    return path


def follow_swaps(own: FloatArray, crossed: FloatArray, names: Sequence[str]) -> NDArray[np.bool_]:
    """Which views confused the sides in every frame, by points that are known.

    Args:
        own: (T, C, K) squared errors in deviations of what was seen, NaN where unseen.
        crossed: (T, C, K) the same with the sides exchanged.
        names: K names.

    Returns:
        (T, C, parts) bool.
    """
    parts = body_parts(names)
    swapped = np.zeros((*own.shape[:2], len(parts)), dtype=bool)
    gain = 2.5 * (np.log1p(own / 3) - np.log1p(crossed / 3))
    gain = _SAME_BODY * np.nan_to_num(np.clip(gain, -_PAIR_CAP, _PAIR_CAP))
    for part, mask in enumerate(parts):
        cost = _SWAPPED_COST - gain[..., mask].sum(-1)  # (T, C) of being swapped
        swapped[..., part] = _two_states(cost)
    return swapped


def _two_states(cost: FloatArray) -> NDArray[np.bool_]:
    """(T, C) histories of two states that cost least, one for each column; the first state costs nothing."""
    times, views = cost.shape
    swapped = np.zeros((times, views), dtype=bool)
    if not (cost < 0).any():
        return swapped
    plain, other = np.zeros(views), cost[0].copy()
    from_other = np.zeros((times, views), dtype=bool)
    from_plain = np.zeros((times, views), dtype=bool)
    for time in range(1, times):
        from_other[time] = other + _SWITCH_COST < plain
        from_plain[time] = plain + _SWITCH_COST < other
        plain, other = (
            np.minimum(plain, other + _SWITCH_COST),
            np.minimum(other, plain + _SWITCH_COST) + cost[time],
        )
    swapped[-1] = other < plain
    for time in range(times - 1, 0, -1):
        swapped[time - 1] = np.where(swapped[time], ~from_plain[time], from_other[time])
    return swapped
