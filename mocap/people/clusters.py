"""Tracklets of all views joined to people, the surest first."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from mocap.people.votes import PairVotes

_LEAST_AGREEMENT = 0.15
"""Mean agreement (1 = rays meet, -1 = they miss) below which two groups of tracklets stay apart."""
_Edge = tuple[float, float, float]
"""Agreement, weight and number of shared instants of two groups."""


def cluster(tracklet: NDArray[np.integer], votes: PairVotes) -> NDArray[np.integer]:
    """Join tracklets greedily, the pair of groups with the largest weight first.

    Two tracklets of one view that exist at one instant are never one person.

    Args:
        tracklet: (C, T, P) numbers of the tracklets.
        votes: on pairs of them.

    Returns:
        (N,) for each tracklet the number of its cluster.
    """
    count = int(tracklet.max(initial=-1)) + 1
    members: list[set[int]] = [{index} for index in range(count)]
    apart = _together_in_a_view(tracklet, count)
    edges: list[dict[int, _Edge]] = [{} for _ in range(count)]
    for (a, b), *sums in zip(votes.pair.tolist(), votes.agreement, votes.weight, votes.instants, strict=True):
        edges[a][b] = edges[b][a] = (float(sums[0]), float(sums[1]), float(sums[2]))
    heap = [(-edge[1], a, b) for a in range(count) for b, edge in edges[a].items() if a < b and _alike(edge)]
    heapify(heap)
    while heap:
        weight, a, b = heappop(heap)
        edge = edges[a].get(b)
        if edge is None or -weight != edge[1]:
            continue  # one of them was joined with another since
        if not apart[a].isdisjoint(members[b]):
            del edges[a][b], edges[b][a]
            continue
        _join(a, b, members, apart, edges, heap)
    label = np.zeros(count, dtype=int)
    for index, group in enumerate(members):
        label[list(group)] = index
    return np.unique(label, return_inverse=True)[1]


def _alike(edge: _Edge) -> bool:
    return edge[0] > 0 and edge[0] >= _LEAST_AGREEMENT * edge[2]


def _join(
    a: int,
    b: int,
    members: list[set[int]],
    apart: list[set[int]],
    edges: list[dict[int, _Edge]],
    heap: list[tuple[float, int, int]],
) -> None:
    """Make ``b`` a part of ``a``."""
    members[a] |= members[b]
    apart[a] |= apart[b]
    members[b], apart[b] = set(), set()
    for other, (agreement, weight, instants) in edges[b].items():
        del edges[other][b]
        if other == a:
            continue
        before = edges[a].get(other, (0.0, 0.0, 0.0))
        edge = (before[0] + agreement, before[1] + weight, before[2] + instants)
        edges[a][other] = edges[other][a] = edge
        if _alike(edge):
            heappush(heap, (-edge[1], min(a, other), max(a, other)))
    edges[b] = {}


def _together_in_a_view(tracklet: NDArray[np.integer], count: int) -> list[set[int]]:
    """For each tracklet those of the same view that exist between its first and its last instant."""
    apart: list[set[int]] = [set() for _ in range(count)]
    for view in tracklet:
        time, row = np.nonzero(view >= 0)
        who = view[time, row]
        numbers, first = np.unique(who, return_index=True)
        last = np.searchsorted(np.sort(who), numbers, side="right")
        start = time[first]
        end = time[np.argsort(who, kind="stable")[last - 1]]
        order = np.argsort(start, kind="stable")
        alive: list[int] = []
        for index in order.tolist():
            alive = [other for other in alive if end[other] >= start[index]]
            for other in alive:
                apart[numbers[index]].add(int(numbers[other]))
                apart[numbers[other]].add(int(numbers[index]))
            alive.append(index)
    return apart
