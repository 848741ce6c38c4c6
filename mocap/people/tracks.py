"""Where people are in the world, and which of them are one person seen at different times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.triangulation import nearest_to_rays
from mocap.keypoints import FloatArray
from mocap.people.sights import Sights

_RAY_SD = 0.02
"""Expected deviation of a detected keypoint, in body sizes in the picture."""
_FEWEST_POINTS = 4
"""An instant with fewer points says nothing of where somebody is."""


@dataclass(frozen=True)
class Places:
    """Where people are at single instants: M places, ordered by person, then by time."""

    person: NDArray[np.integer]
    """(M,) number of the person."""
    instant: NDArray[np.integer]
    """(M,) places in time."""
    xyz: FloatArray
    """(M, K, 3) metres, world frame, NaN where unknown."""
    size: FloatArray
    """(M,) size of the body as it seems from the views, metres."""
    center: FloatArray
    """(M, 3) its middle."""
    views: NDArray[np.integer]
    """(M,) views that saw it."""
    prominence: FloatArray
    """(M,) how much of their pictures it filled, summed."""

    def at(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> Places:
        """Some of the places."""
        return Places(
            self.person[which], self.instant[which], self.xyz[which],
            self.size[which], self.center[which], self.views[which], self.prominence[which],
        )  # fmt: skip

    def named(self, person: NDArray[np.integer]) -> Places:
        """The same places (M,) of other people, -1 for nobody's, in order again."""
        order = np.lexsort((self.instant, person))
        order = order[person[order] >= 0]
        return replace(self.at(order), person=person[order])


def places(sights: Sights, person: NDArray[np.integer], min_views: int = 2) -> Places:
    """The places of all people at all instants at which enough views see them.

    Args:
        sights: C views.
        person: (C, T, P) number of the person whom each detection shows, -1 for nobody.
        min_views: how many are enough.
    """
    count, times, _, points = sights.direction.shape[:4]
    camera, time, row = np.nonzero(person >= 0)
    key, entry = np.unique(person[camera, time, row] * times + time, return_inverse=True)
    views = np.zeros((len(key), count), dtype=bool)
    views[entry, camera] = True
    enough = views.sum(1) >= min_views
    entry, key = np.where(enough, np.cumsum(enough) - 1, -1)[entry], key[enough]
    keep = entry >= 0
    camera, time, row, entry = camera[keep], time[keep], row[keep], entry[keep]
    direction = np.full((len(key), points, count, 3), np.nan)
    angle = np.full((len(key), count), np.nan)
    direction[entry, :, camera] = sights.direction[camera, time, row]
    angle[entry, camera] = sights.angle[camera, time, row]
    sd = np.repeat(_RAY_SD * np.nan_to_num(angle, nan=1.0), points, 0)
    xyz, _ = nearest_to_rays(
        torch.from_numpy(sights.origin),
        torch.from_numpy(direction.reshape(-1, count, 3)),
        torch.from_numpy(sd),
    )
    xyz = xyz.numpy().reshape(len(key), points, 3)
    center = middle(xyz)
    away = np.linalg.norm(center[:, None] - sights.origin, axis=-1)
    seen = np.isfinite(angle)
    size = np.where(seen, angle * away, 0.0).sum(1) / seen.sum(1)
    known = np.isfinite(xyz).all(-1).sum(1) >= min(_FEWEST_POINTS, points)
    filled = summed(entry, sights.prominence[camera, time, row], len(key))
    everything = Places(key // times, key % times, xyz, size, center, views[enough].sum(1), filled)
    return everything.at(known & np.isfinite(size))


def summed(group: NDArray[np.integer], values: FloatArray, count: int = 0) -> FloatArray:
    """(N,) sums of values by the number of the group that they belong to."""
    return np.bincount(group, values, minlength=count).astype(np.float64)


def middle(xyz: FloatArray) -> FloatArray:
    """(..., 3) median of the points (..., K, 3) that are known."""
    known = np.isfinite(xyz).all(-1).sum(-1)
    ordered = np.sort(np.where(np.isfinite(xyz).all(-1, keepdims=True), xyz, np.inf), axis=-2)
    both = np.maximum(known - 1, 0) // 2, np.minimum(known // 2, np.maximum(known - 1, 0))
    low, high = (np.take_along_axis(ordered, place[..., None, None], -2)[..., 0, :] for place in both)
    return np.where((known > 0)[..., None], (low + high) / 2, np.nan)


def keypoint_distance(a: FloatArray, b: FloatArray) -> FloatArray:
    """(N,) metres between two people (N, K, 3), median over keypoints; inf where few are known."""
    ordered = np.sort(np.linalg.norm(a - b, axis=-1), axis=-1)
    known = np.isfinite(ordered).sum(-1)
    middle = np.take_along_axis(ordered, (np.maximum(known - 1, 0) // 2)[:, None], -1)[:, 0]
    return np.where(known >= 3, middle, np.inf)


_BONES = (  # the bones of both sides that are an identity
    ("hip", "knee"),
    ("knee", "ankle"),
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("shoulder", "hip"),
)
_WIDTHS = ("shoulder", "hip")  # and what lies between the sides


def bone_lengths(xyz: FloatArray, names: Sequence[str]) -> FloatArray:
    """(M, B) metres: both sides' mean of each bone, so that confused sides change nothing; then widths.

    Args:
        xyz: (M, K, 3) metres.
        names: K names.
    """
    place = {name: index for index, name in enumerate(names)}

    def length(a: str, b: str) -> FloatArray:
        if a not in place or b not in place:
            return np.full(len(xyz), np.nan)
        return np.linalg.norm(xyz[:, place[a]] - xyz[:, place[b]], axis=-1)

    both = [(length(f"left_{a}", f"left_{b}") + length(f"right_{a}", f"right_{b}")) / 2 for a, b in _BONES]
    return np.stack([*both, *(length(f"left_{part}", f"right_{part}") for part in _WIDTHS)], 1)
