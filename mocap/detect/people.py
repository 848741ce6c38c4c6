"""People as a network's output gives them, and the suppression of those that are found twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class People:
    """Those found in one image."""

    xy: Floats
    """(P, K, 2) keypoints, pixels of the network's input, its corner at 0; NaN where unknown. K may be 0."""
    score: Floats
    """(P, K) confidence in [0, 1]."""
    box: Floats
    """(P, 4) left, top, right, bottom in the same pixels."""
    sure: Floats
    """(P,) confidence that there is a person, in [0, 1]."""

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> People:
        """Some of them."""
        return People(self.xy[which], self.score[which], self.box[which], self.sure[which])

    def best(self, count: int, min_sure: float) -> People:
        """The surest ones, at most ``count``; the order is that of their confidence."""
        order = np.argsort(-self.sure, kind="stable")
        return self.take(order[self.sure[order] >= min_sure][:count])


def people_from_points(xy: Floats, score: Floats, sure: Floats | None = None) -> People:
    """People whose boxes are those of their keypoints.

    Args:
        xy: (P, K, 2).
        score: (P, K).
        sure: (P,); by default the mean score.
    """
    if not len(xy):
        return People(xy, score, np.zeros((0, 4)), np.zeros(0))
    seen = np.where((score > 0)[..., None] & np.isfinite(xy), xy, np.nan)
    nobody = np.isnan(seen).all(axis=(1, 2))
    seen[nobody] = 0.0
    box = np.concatenate([np.nanmin(seen, axis=1), np.nanmax(seen, axis=1)], axis=1)
    return People(xy, score, box, score.mean(axis=1) if sure is None else sure)


def without_doubles(people: People, max_overlap: float) -> People:
    """Greedy non-maximum suppression of boxes: of two that overlap by more than this the surer one stays."""
    order = list(np.argsort(-people.sure, kind="stable"))
    kept: list[int] = []
    while order:
        first = order.pop(0)
        kept.append(first)
        rest = np.array(order, dtype=int)
        order = list(rest[overlap(people.box[first], people.box[rest]) <= max_overlap])
    return people.take(np.array(kept, dtype=np.int64))


def overlap(box: Floats, others: Floats) -> Floats:
    """(N,) intersection over union of a box (4,) with others (N, 4)."""
    size = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None)
    common = size.prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - common
    return common / np.where(union > 0, union, 1)
