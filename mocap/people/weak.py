"""Paths cut where little holds them together.

Where people pass each other, a tracklet of one may agree for a moment with those of another, and so join what
comes before to what comes after. What a path rests on at an instant is the sum, over the tracklets that go on
through it, of their agreement with the person's other views, shortly before or shortly after, whichever is
less. Where that is little, the path is cut: movement and bones then say what goes on as what.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mocap.people.sights import Sights
from mocap.people.votes import Ballot

_WINDOW_S = 0.4
"""Time before and after an instant within which agreement counts."""
_LEAST = 0.5
"""Mean agreement in that time that must hold a path together."""


def cut_weak(sights: Sights, ballot: Ballot, cluster: NDArray[np.integer]) -> NDArray[np.integer]:
    """Cut clusters at their weak instants.

    Args:
        sights: C views.
        ballot: single votes.
        cluster: (C, T, P) number of the cluster of each detection, -1 where nobody is.

    Returns:
        (C, T, P) numbers of the parts.
    """
    times = sights.tracklet.shape[1]
    window = max(2, round(_WINDOW_S * sights.rate_hz))
    cuts = _weak(*_holding(sights, ballot, cluster, window), times, window)
    rank = np.searchsorted(cuts, np.maximum(cluster, 0) * times + np.arange(times)[:, None], side="right")
    begin = np.searchsorted(cuts, np.maximum(cluster, 0) * times, side="left")
    part = np.where(cluster >= 0, cluster * (times + 1) + rank - begin, -1)
    known = cluster >= 0
    result = np.full_like(cluster, -1)
    result[known] = np.unique(part[known], return_inverse=True)[1]
    return result


def _holding(
    sights: Sights, ballot: Ballot, cluster: NDArray[np.integer], window: int
) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """(N,) keys cluster * T + instant, rising, and what the cluster rests on there."""
    flat, count = cluster.reshape(-1), cluster.size
    same = (flat[ballot.first] == flat[ballot.second]) & (flat[ballot.first] >= 0)
    votes = ballot.agreement[same]
    told = np.bincount(ballot.first[same], votes, minlength=count)
    told += np.bincount(ballot.second[same], votes, minlength=count)
    times = cluster.shape[1]
    where = np.flatnonzero(flat >= 0)
    instant = where // cluster.shape[2] % times
    tracklet = sights.tracklet.reshape(-1)[where]
    order = np.lexsort((instant, tracklet))
    where, instant, tracklet = where[order], instant[order], tracklet[order]
    place = tracklet * (times + 2 * window) + instant + window
    running = np.concatenate([[0.0], np.cumsum(told[where])])
    begin = np.flatnonzero(np.diff(tracklet, prepend=-1))
    end = np.append(begin[1:], len(tracklet))
    length = instant[end - 1] - instant[begin] + 1 if len(begin) else np.zeros(0, dtype=int)
    start = np.repeat(np.cumsum(length) - length, length)
    at = np.repeat(place[begin], length) + np.arange(int(length.sum())) - start
    low, now, high = (np.searchsorted(place, at + shift) for shift in (-window, 0, window))
    least = np.minimum(running[now] - running[low], running[high] - running[now])
    key = np.repeat(flat[where[begin]], length) * times + at % (times + 2 * window) - window
    unique, which = np.unique(key, return_inverse=True)
    return unique, np.bincount(which, np.maximum(least, 0.0)).astype(np.float64)


def _weak(
    key: NDArray[np.integer], holding: NDArray[np.floating], times: int, window: int
) -> NDArray[np.integer]:
    """Keys at which to cut: the weakest instant of each weak stretch that does not end the cluster."""
    if not len(key):
        return key
    who = key // times
    begin = np.flatnonzero(np.diff(who, prepend=-1))
    end = np.append(begin[1:], len(who)) - 1
    number = np.cumsum(np.diff(who, prepend=who[0] - 1) != 0) - 1
    inner = (key - key[begin][number] >= window) & (key[end][number] - key >= window)
    weak = np.flatnonzero((holding < _LEAST * window) & inner)
    if not len(weak):
        return weak
    run = np.concatenate([[0], np.cumsum((np.diff(weak) > 1) | (np.diff(who[weak]) != 0))])
    order = np.lexsort((holding[weak], run))
    first = np.flatnonzero(np.diff(run[order], prepend=-1))
    return np.sort(key[weak[order[first]]])
