"""One offset for each camera from the agreements of all pairs; cameras that agree with nobody stay out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mocap.clocks.coarse import STEP_S, Agreement
from mocap.keypoints import FloatArray

CLEAR = 0.5
"""Agreement above which the rays of two views meet; people on other footage reach 0.2 to 0.4."""
_FAINT_PART = 0.6
"""A camera must agree this well, in parts of what the best pair does."""
_RIVAL_PART = 0.93
"""A second peak this high, in parts of the first, leaves open which is right."""
_FIRST_PAIRS, _FIRST_PEAKS = 3, 4
"""Pairs, and peaks of each, that the search begins with."""
_PEAK_S = 0.35
"""Shifts nearer than this to a peak belong to it."""


@dataclass(frozen=True)
class Placed:
    """Where the agreement of its views puts the cameras."""

    offset_s: dict[str, float]
    """Of the cameras that agree, seconds; on a clock of their own."""
    agreement: dict[str, float]
    """Mean agreement of each camera with the others at its best offset, those left out included."""
    rival: dict[str, float]
    """Agreement at each camera's second best offset, in parts of the best."""


def place(
    names: Sequence[str], pairs: Mapping[tuple[str, str], Agreement], guess_s: Mapping[str, float]
) -> Placed:
    """Join the cameras one by one, the surest first, each where all that are in already agree with it.

    A pair alone may be blind: people who walk along the line between two cameras meet their own rays a
    stride later. So each of the best pairs begins at each of its peaks, and what all pairs agree on best in
    the end is taken.

    Args:
        names: the cameras.
        pairs: agreements of pairs at many shifts.
        guess_s: first guesses, which decide between peaks of nearly one height.
    """
    best = {pair: float(np.nanmax(one.score)) for pair, one in pairs.items() if np.isfinite(one.score).any()}
    if not best:
        return Placed({}, dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0))
    surest = sorted(best, key=lambda pair: -best[pair] * min(pairs[pair].weight, 1.0))[:_FIRST_PAIRS]
    starts = [(pair, lag_s) for pair in surest for lag_s in _peaks(pairs[pair])]
    results = [_grow({a: 0.0, b: lag_s}, names, pairs, guess_s) for (a, b), lag_s in starts]
    found = max(results, key=lambda one: (len(one.offset_s), _total(one.offset_s, pairs)))
    if all(found.agreement[name] < CLEAR for name in found.offset_s):
        return replace(found, offset_s={})
    return found


def _peaks(one: Agreement) -> list[float]:
    """Shifts of the peaks that are nearly as high as the highest, seconds."""
    score = np.where(np.isfinite(one.score), one.score, -1.0)
    peak = np.ones(len(score), bool)
    peak[1:] &= score[1:] >= score[:-1]
    peak[:-1] &= score[:-1] >= score[1:]
    high = np.flatnonzero(peak & (score >= _RIVAL_PART * score.max()))
    return one.lag_s[high[np.argsort(-score[high])][:_FIRST_PEAKS]].tolist()


def _total(offset_s: Mapping[str, float], pairs: Mapping[tuple[str, str], Agreement]) -> float:
    """Agreement of all pairs of cameras at their offsets."""
    total = 0.0
    for (a, b), one in pairs.items():
        if a in offset_s and b in offset_s:
            score = np.where(np.isfinite(one.score), one.score, 0.0)
            total += one.weight * float(np.interp(offset_s[b] - offset_s[a], one.lag_s, score, 0.0, 0.0))
    return total


def _grow(
    offset: dict[str, float],
    names: Sequence[str],
    pairs: Mapping[tuple[str, str], Agreement],
    guess_s: Mapping[str, float],
) -> Placed:
    """All cameras that agree with a first pair, and each once more where all the others put it."""
    agreement, rival = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    first, second = offset
    top = best_offset(second, {first: 0.0}, pairs, guess_s)[1]
    waiting = [name for name in names if name not in offset]
    while waiting:
        found = {name: best_offset(name, offset, pairs, guess_s) for name in waiting}
        name = max(waiting, key=lambda one: (found[one][1], one))
        waiting.remove(name)
        where, agreement[name], rival[name] = found[name]
        if agreement[name] >= max(CLEAR, _FAINT_PART * top):
            offset[name] = where
    for name in [*[*offset][1:], first]:
        others = {other: own for other, own in offset.items() if other != name}
        offset[name], agreement[name], rival[name] = best_offset(name, others, pairs, guess_s)
    return Placed(offset, agreement, rival)


def best_offset(
    name: str,
    placed: Mapping[str, float],
    pairs: Mapping[tuple[str, str], Agreement],
    guess_s: Mapping[str, float],
) -> tuple[float, float, float]:
    """Best offset of one camera against those in place, the mean agreement there, and its rival's part."""
    curves = []
    for other, base in placed.items():
        if (other, name) in pairs:
            one = pairs[other, name]
            curves.append((base + one.lag_s, one.score, one.weight))
        elif (name, other) in pairs:
            one = pairs[name, other]
            curves.append(((base - one.lag_s)[::-1], one.score[::-1], one.weight))
    curves = [curve for curve in curves if np.isfinite(curve[1]).any()]
    if not curves:
        return 0.0, 0.0, 0.0
    low, high = min(c[0][0] for c in curves), max(c[0][-1] for c in curves)
    tried = np.arange(low, high + 0.5 * STEP_S, 0.5 * STEP_S)
    total, weight = np.zeros(len(tried)), np.zeros(len(tried))
    for where, score, worth in curves:
        value = np.interp(tried, where, np.where(np.isfinite(score), score, -1.0), left=-1, right=-1)
        total += worth * np.maximum(value, 0) * (value >= 0)
        weight += worth * (value >= 0)
    mean = total / np.maximum(weight, 0.5 * max(worth for _, _, worth in curves))
    return _peak(tried, mean, guess_s[name] - float(np.mean([guess_s[o] - placed[o] for o in placed])))


def _peak(tried: FloatArray, mean: FloatArray, near_s: float) -> tuple[float, float, float]:
    """Highest point of a curve, to a part of a step, and the highest one elsewhere in parts of it."""
    best = int(mean.argmax())
    far = np.abs(tried - tried[best]) > _PEAK_S
    second = int(np.where(far, mean, -1).argmax()) if far.any() else best
    rival = float(mean[second] / mean[best]) if far.any() and mean[best] > 0 else 0.0
    if rival > _RIVAL_PART and abs(tried[second] - near_s) < abs(tried[best] - near_s):
        best = second
    at = tried[best]
    if 0 < best < len(mean) - 1:
        left, top, right = mean[best - 1 : best + 2]
        bend = left - 2 * top + right
        at += 0.5 * (left - right) / bend * (tried[1] - tried[0]) if bend < 0 else 0.0
    return float(at), float(mean[best]), rival
