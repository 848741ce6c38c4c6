"""Engine for bottom-up networks: keypoints of everybody first, then which of them are one person's.

Three ways to group, each with its family: greedily over part-affinity fields (OpenPose), along displacements
from the surest keypoint on (PoseNet), and by an integer programme over pairwise costs (DeeperCut).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Peaks:
    """Keypoints of nobody yet."""

    kind: Ints
    """(N,) which of the K keypoints."""
    xy: Floats
    """(N, 2) cells of the heatmap, integer = cell."""
    score: Floats
    """(N,) the heatmap's value."""


def find_peaks(heat: NDArray[np.floating], min_score: float, *, radius: int = 1, most: int = 30) -> Peaks:
    """Local maxima of heatmaps, each moved to the top of the parabola through it and its neighbours.

    Args:
        heat: (K, h, w).
        min_score: lower ones are left out.
        radius: a maximum is the largest within so many cells.
        most: most maxima of one keypoint.
    """
    from scipy.ndimage import maximum_filter

    size = 2 * radius + 1
    top = (heat == maximum_filter(heat, size=(1, size, size), mode="constant")) & (heat >= min_score)
    kind, row, column = np.nonzero(top)
    score = heat[kind, row, column].astype(np.float64)
    order = np.lexsort((-score, kind))
    kind, row, column, score = kind[order], row[order], column[order], score[order]
    rank = np.arange(len(kind)) - np.searchsorted(kind, kind)
    kept = rank < most
    kind, row, column, score = kind[kept], row[kept], column[kept], score[kept]
    padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)), mode="edge").astype(np.float64)
    x = column + _top(padded[kind, row + 1, column], score, padded[kind, row + 1, column + 2])
    y = row + _top(padded[kind, row, column + 1], score, padded[kind, row + 2, column + 1])
    return Peaks(kind.astype(np.int64), np.stack([x, y], axis=1), score)


def _top(before: Floats, here: Floats, after: Floats) -> Floats:
    """Where the parabola through three values one apart has its top, seen from the middle one."""
    bend = before - 2 * here + after
    safe = np.where(bend < 0, bend, -1.0)
    return np.where(bend < 0, np.clip((before - after) / (2 * safe), -0.5, 0.5), 0.0)


@dataclass(frozen=True)
class Links:
    """How well two peaks belong together."""

    first: Ints
    """(M,) index of a peak."""
    second: Ints
    """(M,) index of another one."""
    score: Floats
    """(M,) larger is better."""


def group_greedily(peaks: Peaks, links: Sequence[Links], num_kinds: int) -> list[dict[int, int]]:
    """People out of peaks and the links of one limb after the other, best links first.

    Z. Cao et al., OpenPose: Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields, section 3.4:
    each limb is matched for itself, and limbs that share a keypoint become one person.

    Args:
        peaks: keypoints.
        links: for each limb its possible links.
        num_kinds: K.

    Returns:
        For each person the index of the peak, by keypoint.
    """
    people: list[dict[int, int]] = []
    for limb in links:
        for first, second in _matching(limb):
            a, b = int(peaks.kind[first]), int(peaks.kind[second])
            having = [person for person in people if person.get(a) == first or person.get(b) == second]
            if not having:
                people.append({a: first, b: second})
            elif len(having) == 1:
                having[0].setdefault(a, first)
                having[0].setdefault(b, second)
            elif not set(having[0]) & set(having[1]):  # two halves of one person
                having[0].update(having[1])
                people = [person for person in people if person is not having[1]]
    return [person for person in people if len(person) <= num_kinds]


def _matching(limb: Links) -> list[tuple[int, int]]:
    """The best links of a limb, each peak at most once."""
    taken_first: set[int] = set()
    taken_second: set[int] = set()
    pairs = []
    for index in np.argsort(-limb.score, kind="stable"):
        first, second = int(limb.first[index]), int(limb.second[index])
        if first not in taken_first and second not in taken_second:
            taken_first.add(first)
            taken_second.add(second)
            pairs.append((first, second))
    return pairs


def group_by_programme(peaks: Peaks, cost: Floats, *, limit_s: float = 5.0) -> list[dict[int, int]]:
    """People as the partition of peaks that costs least.

    L. Pishchulin et al., DeepCut: Joint Subset Partition and Labeling for Multi Person Pose Estimation,
    section 3, for peaks whose kind is known: each peak is taken or not, each pair of taken ones is one
    person's or not; being together is transitive, and a person has no keypoint twice.

    Args:
        peaks: N keypoints with scores in (0, 1).
        cost: (N, N) symmetric; negative where two peaks are rather one person's.
        limit_s: the best solution after this time is taken.
    """
    from scipy.optimize import Bounds, milp

    count = len(peaks.kind)
    if count == 0:
        return []
    first, second = np.triu_indices(count, 1)
    number = np.full((count, count), -1)
    number[first, second] = number[second, first] = count + np.arange(len(first))
    sure = np.clip(peaks.score, 1e-3, 1 - 1e-3)
    objective = np.concatenate([np.log((1 - sure) / sure), cost[first, second]])
    upper = np.ones(count + len(first))
    upper[count:][peaks.kind[first] == peaks.kind[second]] = 0
    solved = milp(
        objective,
        integrality=np.ones(len(objective)),
        bounds=Bounds(0, upper),
        constraints=_together(count, first, second, number),
        options={"time_limit": limit_s},
    )
    if solved.x is None:
        return []
    together = solved.x > 0.5
    people: list[dict[int, int]] = []
    for peak in np.flatnonzero(together[:count]):
        home = next((p for p in people if together[number[peak, next(iter(p.values()))]]), None)
        if home is None:
            people.append({int(peaks.kind[peak]): int(peak)})
        else:
            home[int(peaks.kind[peak])] = int(peak)
    return people


def _together(count: int, first: Ints, second: Ints, number: Ints) -> Any:
    """What makes pairs a partition: y_ab + y_bc - y_ac <= 1, y_ab <= x_a and y_ab <= x_b.

    Args:
        count: N peaks; their x are the first variables.
        first: (M,) one peak of each pair.
        second: (M,) the other one.
        number: (N, N) the variable y of each pair.
    """
    from scipy.optimize import LinearConstraint
    from scipy.sparse import coo_array

    a, b, c = (index.ravel() for index in np.meshgrid(*[np.arange(count)] * 3, indexing="ij"))
    triple = (a < c) & (a != b) & (b != c)
    a, b, c = a[triple], b[triple], c[triple]
    num_rows = len(a) + 2 * len(first)
    if num_rows == 0:
        return ()
    row = [np.repeat(np.arange(len(a)), 3), len(a) + np.repeat(np.arange(2 * len(first)), 2)]
    column = [
        np.stack([number[a, b], number[b, c], number[a, c]], axis=1).ravel(),
        np.stack([np.tile(number[first, second], 2), np.concatenate([first, second])], axis=1).ravel(),
    ]
    value = [np.tile([1.0, 1.0, -1.0], len(a)), np.tile([1.0, -1.0], 2 * len(first))]
    places = (np.concatenate(row), np.concatenate(column))
    matrix = coo_array((np.concatenate(value), places), shape=(num_rows, count + len(first)))
    most = np.concatenate([np.ones(len(a)), np.zeros(2 * len(first))])
    return LinearConstraint(matrix.tocsr(), -np.inf, most)


def assembled(peaks: Peaks, people: list[dict[int, int]], num_kinds: int) -> tuple[Floats, Floats]:
    """(P, K, 2) places, NaN where a person lacks a keypoint, and (P, K) scores of grouped peaks."""
    xy, score = np.full((len(people), num_kinds, 2), np.nan), np.zeros((len(people), num_kinds))
    for number, person in enumerate(people):
        kinds, which = list(person), list(person.values())
        xy[number, kinds], score[number, kinds] = peaks.xy[which], peaks.score[which]
    return xy, score


@dataclass(frozen=True)
class Displacements:
    """PoseNet's outputs, in cells of its grid."""

    heat: Floats
    """(K, h, w) in [0, 1]."""
    offset: Floats
    """(K, 2, h, w) x and y from the cell to the keypoint."""
    forward: Floats
    """(E, 2, h, w) x and y from the first keypoint of an edge to its second."""
    backward: Floats
    """(E, 2, h, w) from the second to the first."""


def group_by_displacement(
    maps: Displacements, edges: Sequence[tuple[int, int]], *, min_score: float, apart: float, most: int
) -> tuple[Floats, Floats, Floats]:
    """People, each grown along the displacements from a keypoint that is surer than all around it.

    G. Papandreou et al., PersonLab, section 3.2, in the short form that PoseNet runs.

    Args:
        maps: the network's outputs.
        edges: (from, to) keypoints of each displacement; they form a tree.
        min_score: surer keypoints than this are where people begin.
        apart: no person begins within so many cells of the same keypoint of another one.
        most: most people.

    Returns:
        (P, K, 2) cells, (P, K) scores, and (P,) the mean score of the keypoints that nobody before has.
    """
    num_kinds = len(maps.heat)
    roots = find_peaks(maps.heat, min_score)
    poses: list[Floats] = []
    scores: list[Floats] = []
    sure: list[float] = []
    for root in np.argsort(-roots.score, kind="stable"):
        kind, cell = int(roots.kind[root]), np.round(roots.xy[root]).astype(int)
        start = cell + maps.offset[kind, :, cell[1], cell[0]]
        if any(np.hypot(*(pose[kind] - start)) <= apart for pose in poses):
            continue
        xy, score = np.zeros((num_kinds, 2)), np.zeros(num_kinds)
        xy[kind], score[kind] = start, roots.score[root]
        _grow(maps, edges, kind, xy, score)
        taken = np.array([np.linalg.norm(pose - xy, axis=1) <= apart for pose in poses]).any(axis=0)
        sure.append(float((score * ~taken).sum() / num_kinds))
        poses.append(xy)
        scores.append(score)
        if len(poses) == most:
            break
    shape = (len(poses), num_kinds)
    return np.array(poses).reshape(*shape, 2), np.array(scores).reshape(shape), np.array(sure)


_REFINED = 2
"""How often an offset leads from where a displacement ended to the keypoint."""


def _grow(
    maps: Displacements, edges: Sequence[tuple[int, int]], root: int, xy: Floats, score: Floats
) -> None:
    """Walk the tree from a keypoint, and fill in the places and scores of all others."""
    known, height, width = {root}, *maps.heat.shape[1:]

    def nearest(place: Floats) -> tuple[int, int]:
        column, row = np.clip(np.round(place), 0, (width - 1, height - 1)).astype(int)
        return int(row), int(column)

    while len(known) < len(xy):
        grown = len(known)
        for edge, (a, b) in enumerate(edges):
            for source, target, field in ((a, b, maps.forward), (b, a, maps.backward)):
                if source in known and target not in known:
                    row, column = nearest(xy[source])
                    place = xy[source] + field[edge, :, row, column]
                    for _ in range(_REFINED):
                        row, column = nearest(place)
                        place = np.array([column, row]) + maps.offset[target, :, row, column]
                    xy[target] = place
                    row, column = nearest(place)
                    score[target] = maps.heat[target, row, column]
                    known.add(target)
        if len(known) == grown:
            return
