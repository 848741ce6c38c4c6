"""Parts of people's paths put together: seen twice at once, lost for a moment, or away for long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mocap.keypoints import FloatArray
from mocap.people.tracks import Places, bone_lengths, keypoint_distance

_SAME_PLACE = 0.08
"""Body sizes between the keypoints of two people, in the middle, below which they are one."""
_SAME_SHARE = 0.6
"""Share of the instants that two parts share at which they must be in the same place."""
_TREND_S = 0.25
"""Time over which a part's speed at its ends is taken."""
_SHORT_LOSS_S = 1.0
"""A loss that the movement before and after bridges."""
_OFF, _OFF_PER_S = 0.3, 1.0
"""Body sizes by which such a movement may miss, and more for each second."""
_TRIMS_S = (0.0, 0.2, 0.4)
"""Time at a part's ends that may be left out: where a path breaks, it was often astray before."""
_TRIM_COST, _GAP_COST_PER_S = 0.15, 0.3
"""What it costs to leave out an end, and to be lost for a second: one is as a rule seen again at once."""
_BONE_SD_M, _BONE_SHARE = 0.01, 0.035
"""Deviation of a bone's median length from one view of a person to the next: absolute, and of its length."""
_BONE_LIMIT = 2.0
"""Mean squared deviation of the bones beyond which two parts are two people."""
_SCRAP_S, _FEWEST_INSTANTS = 0.25, 3
"""Parts that are shorter are left out: the claims give their detections to whom they suit."""
_FEWEST_BONES = 3
"""Fewer bones are no identity."""
_SPEED_SIZES_PER_S = 5.0
"""Body sizes that somebody moves each second, at most, while nobody sees them."""


class _Ends(NamedTuple):
    """Where somebody is at one end of a part, with more and more of that end left out."""

    time_s: FloatArray
    """(E,) seconds."""
    place: FloatArray
    """(E, 3) metres, world frame."""
    speed: FloatArray
    """(E, 3) metres a second."""


@dataclass(frozen=True)
class _Part:
    """A stretch of somebody's path."""

    first: int
    last: int
    starts: _Ends
    ends: _Ends
    size: float
    bones: FloatArray
    bones_sd: FloatArray


def join(found: Places, names: Sequence[str], rate_hz: float) -> NDArray[np.integer]:
    """Decide which parts are one person.

    Args:
        found: the places of the parts.
        names: K names.
        rate_hz: instants per second.

    Returns:
        (M,) new numbers of the people, from 0; -1 for scraps that may be anybody's, which would lead from one
        person to the next.
    """
    label = join_doubles(found, found.person)
    long = np.bincount(label) >= max(_FEWEST_INSTANTS, _SCRAP_S * rate_hz)
    if long.any():
        label = np.where(long, np.cumsum(long) - 1, -1)[label]
    for limit_s in (_SHORT_LOSS_S, np.inf):
        again = found.named(label)
        parts = _parts(again, names, rate_hz)
        chain = _chains(_costs(parts, rate_hz, limit_s), len(parts))
        label = np.append(_renumbered(chain), -1)[label]
    return label


def _renumbered(label: NDArray[np.integer]) -> NDArray[np.integer]:
    return np.unique(label, return_inverse=True)[1]


def same_place_share(found: Places, label: NDArray[np.integer]) -> dict[tuple[int, int], tuple[int, int]]:
    """For pairs of people that are there at once: instants in the same place, and instants shared."""
    order = np.argsort(found.instant, kind="stable")
    instant = found.instant[order]
    counts: dict[tuple[int, int], tuple[int, int]] = {}
    lag = 1
    while lag < len(order):
        a, b = order[:-lag], order[lag:]
        together = instant[:-lag] == instant[lag:]
        if not together.any():
            break
        a, b = a[together], b[together]
        distance = keypoint_distance(found.xyz[a], found.xyz[b])
        same = distance < _SAME_PLACE * np.minimum(found.size[a], found.size[b])
        pairs = np.sort(np.stack([label[a], label[b]], 1), 1)
        unique, which = np.unique(pairs, axis=0, return_inverse=True)
        near, total = np.bincount(which.ravel(), same), np.bincount(which.ravel())
        for (one, other), n, t in zip(unique.tolist(), near, total, strict=True):
            before = counts.get((one, other), (0, 0))
            counts[one, other] = (before[0] + int(n), before[1] + int(t))
        lag += 1
    return counts


def join_doubles(found: Places, label: NDArray[np.integer]) -> NDArray[np.integer]:
    """(M,) numbers from 0: parts (M,) that are in the same place at the same time are one person."""
    label = _renumbered(label)
    pairs = [
        pair
        for pair, (near, total) in same_place_share(found, label).items()
        if pair[0] != pair[1] and near >= _SAME_SHARE * total
    ]
    count = int(label.max(initial=-1)) + 1
    first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1][label] if count else label


def _parts(found: Places, names: Sequence[str], rate_hz: float) -> list[_Part]:
    """Every person's path so far, by number."""
    begin = np.flatnonzero(np.diff(found.person, prepend=-1))
    lengths = bone_lengths(found.xyz, names)
    parts: list[_Part] = []
    for start, stop in zip(begin, np.append(begin[1:], len(found.person))[: len(begin)], strict=True):
        instant, center = found.instant[start:stop], found.center[start:stop]
        starts, ends = (_ends(instant / rate_hz, center, sign) for sign in (1, -1))
        own = lengths[start:stop]
        known = np.isfinite(own).sum(0)
        ordered = np.sort(own, axis=0)
        bones = np.take_along_axis(ordered, (np.maximum(known - 1, 0) // 2)[None], 0)[0]
        spread = np.sort(np.abs(own - bones), axis=0)
        mad = np.take_along_axis(spread, (np.maximum(known - 1, 0) // 2)[None], 0)[0]
        independent = np.maximum(known / max(1.0, 0.2 * rate_hz), 1.0)
        sd = np.sqrt(_BONE_SD_M**2 + (_BONE_SHARE * bones) ** 2 + (1.5 * mad) ** 2 / independent)
        size = float(np.median(found.size[start:stop]))
        parts.append(_Part(int(instant[0]), int(instant[-1]), starts, ends, size, bones, sd))
    return parts


def _ends(time_s: FloatArray, center: FloatArray, sign: int) -> _Ends:
    """The places at the first (1) or last (-1) instant and a little inside."""
    order = slice(None, None, sign)
    inside_s = np.abs(time_s[order] - time_s[order][0])
    found = []
    for trim_s in _TRIMS_S:
        kept = np.flatnonzero(inside_s >= trim_s - 1e-9)
        if not len(kept):
            break
        near = kept[inside_s[kept] <= max(inside_s[kept[0]] + _TREND_S, inside_s[kept[:3]].max())]
        at_s = time_s[order][kept[0]]
        found.append((at_s, *_trend(time_s[order][near], center[order][near], at_s)))
    return _Ends(*(np.stack(values) for values in zip(*found, strict=True)))


def _trend(time_s: FloatArray, xyz: FloatArray, at_s: float) -> tuple[FloatArray, FloatArray]:
    """Place and speed (3,) at one time, of a straight line through places (N, 3)."""
    if len(time_s) < 3:
        return xyz[np.abs(time_s - at_s).argmin()], np.zeros(3)
    away = np.linalg.norm(xyz - np.median(xyz, axis=0), axis=-1)
    usual = away <= 3 * np.median(away) + 1e-9
    time_s, xyz = time_s[usual], xyz[usual]
    if len(time_s) < 3 or np.ptp(time_s) <= 0:
        return xyz.mean(0), np.zeros(3)
    middle = time_s.mean()
    away = (time_s - middle)[:, None]
    speed = (away * xyz).sum(0) / (away**2).sum()
    return xyz.mean(0) + (at_s - middle) * speed, speed


def _costs(parts: Sequence[_Part], rate_hz: float, limit_s: float) -> dict[tuple[int, int], float]:
    """What it costs, below 1, that one part goes on as another."""
    costs: dict[tuple[int, int], float] = {}
    by_start = sorted(range(len(parts)), key=lambda index: parts[index].first)
    starts = np.array([parts[index].first for index in by_start])
    overlap = round(0.1 * rate_hz)
    for a, before in enumerate(parts):
        low = int(np.searchsorted(starts, before.last - overlap))
        high = len(by_start)
        if np.isfinite(limit_s):
            high = int(np.searchsorted(starts, before.last + limit_s * rate_hz, side="right"))
        for place in range(low, high):
            b = by_start[place]
            after = parts[b]
            if a == b or after.first <= before.first or after.last <= before.last:
                continue
            gap_s = max(0.0, (after.first - before.last) / rate_hz)
            cost = (
                _movement(before, after, gap_s) if gap_s <= _SHORT_LOSS_S else _identity(before, after, gap_s)
            )
            if cost < 1:
                costs[a, b] = cost
    return costs


def _movement(before: _Part, after: _Part, gap_s: float) -> float:
    """How badly the movements before and after a short loss meet, and the bones differ."""
    one, two = before.ends, after.starts
    wait_s = np.maximum(two.time_s - one.time_s[:, None], gap_s)[..., None]  # (E, E, 1)
    off = np.linalg.norm(
        one.place[:, None] - two.place + (one.speed[:, None] + two.speed) * wait_s / 2, axis=-1
    )
    gate = min(before.size, after.size) * (_OFF + _OFF_PER_S * gap_s)
    left_out = np.arange(len(one.place))[:, None] + np.arange(len(two.place))
    bones = min(_bones_differ(before, after) / _BONE_LIMIT, 1.0)
    return float((0.8 * off / gate + _TRIM_COST * left_out).min()) + 0.3 * bones + _GAP_COST_PER_S * gap_s


def _identity(before: _Part, after: _Part, gap_s: float) -> float:
    """How badly the bones agree; an absence says nothing else."""
    far = float(np.linalg.norm(after.starts.place[0] - before.ends.place[0]))
    if far > _SPEED_SIZES_PER_S * gap_s * before.size:
        return np.inf
    known = (np.isfinite(before.bones) & np.isfinite(after.bones)).sum()
    if known < _FEWEST_BONES:
        return np.inf
    return _bones_differ(before, after) / _BONE_LIMIT


def _bones_differ(before: _Part, after: _Part) -> float:
    """Mean squared deviation of the bones' lengths, in standard deviations."""
    known = np.isfinite(before.bones) & np.isfinite(after.bones)
    if known.sum() < _FEWEST_BONES:
        return 1.0
    variance = before.bones_sd[known] ** 2 + after.bones_sd[known] ** 2
    return float((((before.bones - after.bones)[known] ** 2) / variance).mean())


def _chains(costs: dict[tuple[int, int], float], count: int) -> NDArray[np.integer]:
    """(N,) number of the chain that each part belongs to: every part goes on as one other at most."""
    if not costs:
        return np.arange(count)
    pairs = np.array(list(costs), dtype=int)
    value = np.array(list(costs.values()))
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1] + count)), shape=(2 * count,) * 2)
    island = connected_components(graph, directed=False)[1][pairs[:, 0]]
    links: list[NDArray[np.integer]] = []
    for number in np.unique(island):
        own = island == number
        rows, row = np.unique(pairs[own, 0], return_inverse=True)
        columns, column = np.unique(pairs[own, 1], return_inverse=True)
        table = np.full((len(rows), len(columns)), 10.0)
        table[row, column] = value[own] - 1  # a link that costs less than none
        chosen = linear_sum_assignment(np.minimum(table, 0.0))
        good = table[chosen] < 0
        links.append(np.stack([rows[chosen[0][good]], columns[chosen[1][good]]]))
    first, second = np.concatenate(links, 1)
    chain = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    return connected_components(chain, directed=False)[1]
