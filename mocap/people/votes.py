"""How well people of two views agree, and tracklets that run on from one person to the next.

Each keypoint of a pair of detections counts from 1 (the viewing rays meet) to -1 (they pass each other, or
meet behind a camera), so that one wrong limb does not lose the person. Two views agree now and then about
somebody who is not there; a third view that agrees with both hardly ever does, and adds to the pair's weight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mocap.keypoints import FloatArray
from mocap.people.sights import Sights

_MISS_SCALE = 0.06
"""Body sizes by which two rays may pass each other before they speak against one person rather than for."""
_PARALLEL_SIN = 0.05
"""Sine of an angle below which two rays pass near each other whatever they show."""
_LEAST_SHARED = 3
"""Fewer shared keypoints say nothing."""
_AT_ONCE = 2_000_000
"""Votes in memory at a time."""
_WINDOW_S = 0.3
"""Time before and after a change of mind that is looked at."""
_FEWEST_INSTANTS = 3
"""The same in instants, at least."""
_CHANGE = 0.8
"""Mean votes before and after, on either side of none, that differ by this much contradict each other."""
_ROUNDS = 4
"""Times that tracklets are cut: people who cross often are followed from one to the other often."""


@dataclass(frozen=True)
class PairVotes:
    """Votes on pairs of tracklets of two views: N pairs that were seen at one instant at least."""

    pair: NDArray[np.integer]
    """(N, 2) tracklets, the smaller number first."""
    agreement: FloatArray
    """(N,) sum of votes over the instants that they share."""
    weight: FloatArray
    """(N,) the same, with the support of third views."""
    instants: FloatArray
    """(N,) how many instants they share."""


@dataclass(frozen=True)
class Ballot:
    """Single votes: M pairs of detections at one instant."""

    instant: NDArray[np.integer]
    """(M,) places in time."""
    first: NDArray[np.integer]
    """(M,) flat places (camera, instant, person) of one detection."""
    second: NDArray[np.integer]
    """(M,) of the other one."""
    agreement: FloatArray
    """(M,) votes, from 1 to -1."""
    weight: FloatArray
    """(M,) votes with the support of third views."""


def vote(sights: Sights) -> Ballot:
    """The votes of all pairs of detections of two views at all instants."""
    count, times, people, points = sights.direction.shape[:4]
    pairs = list(combinations(range(count), 2))
    step = max(1, _AT_ONCE // max(1, people * people * points * max(1, len(pairs))))
    parts: list[Ballot] = []
    flat = np.arange(count * times * people).reshape(count, times, people)
    for start in range(0, times, step):
        chunk = slice(start, min(times, start + step))
        table = {pair: _agreement(sights, *pair, chunk) for pair in pairs}  # (t, P, P), NaN where unshared
        for pair in pairs:
            time, row_a, row_b = np.nonzero(np.isfinite(table[pair]))
            weight = table[pair] + _support(table, pair, count)
            parts.append(
                Ballot(
                    time + start,
                    flat[pair[0], time + start, row_a],
                    flat[pair[1], time + start, row_b],
                    table[pair][time, row_a, row_b],
                    weight[time, row_a, row_b],
                )
            )
    return Ballot(
        np.concatenate([part.instant for part in parts]),
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.agreement for part in parts]),
        np.concatenate([part.weight for part in parts]),
    )


def _agreement(sights: Sights, a: int, b: int, chunk: slice) -> FloatArray:
    """(t, P, P) mean vote of the keypoints that two detections share, NaN where they share too few."""
    ray_a = np.moveaxis(sights.direction[a, chunk], -1, 0)[:, :, :, None]  # (3, t, P, 1, K)
    ray_b = np.moveaxis(sights.direction[b, chunk], -1, 0)[:, :, None]
    baseline = sights.origin[b] - sights.origin[a]
    along_a = np.tensordot(baseline, ray_a, 1)
    along_b = np.tensordot(baseline, ray_b, 1)
    normal = np.stack(
        [
            baseline[1] * ray_a[2] - baseline[2] * ray_a[1],
            baseline[2] * ray_a[0] - baseline[0] * ray_a[2],
            baseline[0] * ray_a[1] - baseline[1] * ray_a[0],
        ]
    )
    cosine = ray_a[0] * ray_b[0] + ray_a[1] * ray_b[1] + ray_a[2] * ray_b[2]
    triple = normal[0] * ray_b[0] + normal[1] * ray_b[1] + normal[2] * ray_b[2]
    squared_sine = np.maximum(1 - cosine * cosine, _PARALLEL_SIN**2)
    depth_a = (along_a - cosine * along_b) / squared_sine
    depth_b = (cosine * along_a - along_b) / squared_sine
    angle_a, angle_b = sights.angle[a, chunk][:, :, None, None], sights.angle[b, chunk][:, None, :, None]
    scale = _MISS_SCALE / 2 * (depth_a * angle_a + depth_b * angle_b)
    ahead = (depth_a > 0) & (depth_b > 0) & (scale > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        miss = triple * triple / (squared_sine * scale * scale)
        one = np.where(ahead, (1 - miss) / (1 + miss), -1.0)
    shared = np.isfinite(cosine) & np.isfinite(angle_a) & np.isfinite(angle_b)
    number = shared.sum(-1)
    mean = np.where(shared, one, 0.0).sum(-1) / np.maximum(number, 1)
    return np.where(number >= _LEAST_SHARED, mean, np.nan)


def _support(table: dict[tuple[int, int], FloatArray], pair: tuple[int, int], count: int) -> FloatArray:
    """(t, P, P) how well third views agree with both of a pair, summed over those views."""
    a, b = pair
    total = np.zeros_like(table[pair])
    for c in range(count):
        if c in pair:
            continue
        of_a = table[a, c] if a < c else table[c, a].swapaxes(1, 2)  # (t, Pa, Pc)
        of_b = table[b, c] if b < c else table[c, b].swapaxes(1, 2)
        both = np.fmax(np.minimum(of_a[:, :, None], of_b[:, None]), 0.0)  # NaN: no vote
        total += both.max(-1, initial=0.0)
    return total


def tally(ballot: Ballot, tracklet: NDArray[np.integer]) -> tuple[PairVotes, NDArray[np.integer]]:
    """Sum votes over pairs of tracklets.

    Args:
        ballot: single votes.
        tracklet: flat numbers of the detections' tracklets.

    Returns:
        The sums, and (M,) the pair that each single vote belongs to.
    """
    first, second = tracklet[ballot.first], tracklet[ballot.second]
    low, high = np.minimum(first, second), np.maximum(first, second)
    total = int(tracklet.max(initial=0)) + 1
    key, which = np.unique(low * total + high, return_inverse=True)
    pair = np.stack([key // total, key % total], 1)
    agreement, weight, instants = (
        np.bincount(which, values, minlength=len(key)).astype(np.float64)
        for values in (ballot.agreement, ballot.weight, np.ones(len(which)))
    )
    return PairVotes(pair, agreement, weight, instants), which


def cut_contradictions(sights: Sights, ballot: Ballot) -> Sights:
    """Cut tracklets where other views say that they run on from one person to the next.

    A pair of tracklets that agreed for a while and then disagrees, or the other way round, holds one that
    changed its person. It is the one whom more views contradict at that time; both where they are equal.
    """
    for _ in range(_ROUNDS):
        flat = sights.tracklet.reshape(-1)
        votes, which = tally(ballot, flat)
        pair, instant, strength = _changes(ballot, votes, which, sights.rate_hz)
        if not len(pair):
            break
        cuts = _whom(votes.pair[pair], instant, strength, sights.rate_hz)
        sights = replace(sights, tracklet=_cut(sights.tracklet, cuts))
    return sights


def _changes(
    ballot: Ballot, votes: PairVotes, which: NDArray[np.integer], rate_hz: float
) -> tuple[NDArray[np.integer], NDArray[np.integer], FloatArray]:
    """Pairs of tracklets that change their mind, the first instant after it, and by how much."""
    window = max(_FEWEST_INSTANTS, round(_WINDOW_S * rate_hz))
    order = np.lexsort((ballot.instant, which))
    instant, value = ballot.instant[order], ballot.agreement[order]
    running = np.concatenate([[0.0], np.cumsum(value)])
    end = np.cumsum(votes.instants).astype(int)
    begin = end - votes.instants.astype(int)
    start, stop = begin[which[order]], end[which[order]]
    place = np.arange(len(value))
    low, high = np.maximum(place - window, start), np.minimum(place + window, stop)
    enough = np.minimum(place - low, high - place) >= _FEWEST_INSTANTS
    before = (running[place] - running[low]) / np.maximum(place - low, 1)
    after = (running[high] - running[place]) / np.maximum(high - place, 1)
    change = np.where(enough & (before * after < 0), np.abs(after - before), 0.0)
    best = np.maximum.reduceat(change, begin) if len(begin) else np.zeros(0)
    pairs = np.flatnonzero(best > _CHANGE)
    is_best = (change >= best[which[order]]) & (change > _CHANGE)
    first_best = np.full(len(best), len(value))
    np.minimum.at(first_best, which[order][is_best], place[is_best])
    return pairs, instant[np.minimum(first_best[pairs], len(value) - 1)], best[pairs]


def _whom(
    pair: NDArray[np.integer], instant: NDArray[np.integer], strength: FloatArray, rate_hz: float
) -> list[tuple[int, int]]:
    """(tracklet, instant) to cut, the most contradicted of each pair."""
    near = max(1, round(_WINDOW_S * rate_hz))
    who = pair.reshape(-1)
    when, much = np.repeat(instant, 2), np.repeat(strength, 2)
    order = np.argsort(who, kind="stable")
    begin, end = np.searchsorted(who[order], who), np.searchsorted(who[order], who, side="right")
    against = np.array(
        [
            much[order[a:b]][np.abs(when[order[a:b]] - now) <= near].sum()
            for a, b, now in zip(begin, end, when, strict=True)
        ]
    ).reshape(-1, 2)
    guilty = against >= against.max(1, keepdims=True) * (1 - 1e-9)
    found: dict[int, tuple[float, int]] = {}
    for track, now, total in zip(
        pair[guilty], np.broadcast_to(instant[:, None], pair.shape)[guilty], against[guilty], strict=True
    ):
        if int(track) not in found or float(total) > found[int(track)][0] + 1e-9:
            found[int(track)] = (float(total), int(now))
    return [(track, now) for track, (_, now) in found.items()]


def _cut(tracklet: NDArray[np.integer], cuts: list[tuple[int, int]]) -> NDArray[np.integer]:
    """(C, T, P) tracklets with new numbers from the cuts on."""
    first_after = np.full(int(tracklet.max(initial=0)) + 2, tracklet.shape[1])
    for track, instant in cuts:
        first_after[track] = instant
    late = (np.arange(tracklet.shape[1])[:, None] >= first_after[tracklet]) & (tracklet >= 0)
    numbers = np.where(late, tracklet + len(first_after), tracklet)
    known = numbers >= 0
    result = np.full_like(tracklet, -1)
    result[known] = np.unique(numbers[known], return_inverse=True)[1]
    return result
