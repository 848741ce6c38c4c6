"""Who is no person: accidents of geometry, passers-by, reflections, and what is not known of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mocap.keypoints import FloatArray
from mocap.people.tracks import Places, bone_lengths
from mocap.people.votes import Ballot
from mocap.sides import mirror

_LEAST_S = 0.5
"""Somebody who is seen for less, and for less than a fifth of the take, is nobody."""
_LEAST_TAKE_SHARE = 0.2
_BONES_VARY = 0.3
"""Deviation of bone lengths over time, as a share, above which what two views agree on is no body."""
_LEAST_JOINTS = 0.35
"""Share of the keypoints that a person must have, in the middle of the take."""
_BYSTANDER = 0.25
"""Who fills less than this share of what the main actor fills, while there, and is seen by half of the
cameras at most, is a passer-by: the cameras stand around the actors."""
_TINY = 0.03
"""The same, seen by however many."""
_MIRROR_MISS = 0.05
"""Body sizes by which a reflection may miss the person it is of."""
_MIRROR_SHARE = 0.85
"""Share of the keypoints that must: two who embrace mirror each other but for their arms and legs."""
_MIRROR_S = 0.5
"""Time for which it must be seen together with them."""


def judge(
    found: Places,
    prominence: FloatArray,
    names: Sequence[str],
    *,
    rate_hz: float,
    take_s: float,
    cameras: int,
) -> list[str]:
    """Tell people from what only looks like them.

    Args:
        found: everybody's places.
        prominence: (N,) how much of the pictures each of them fills.
        names: K names of the keypoints of the places.
        rate_hz: instants per second.
        take_s: how long the take is.
        cameras: how many there are.

    Returns:
        For each why they are left out, empty for a person.
    """
    begin = np.searchsorted(found.person, np.arange(len(prominence) + 1))
    number = np.maximum(np.diff(begin), 1)
    main = prominence.argmax() if len(prominence) else 0
    share = prominence / number / max(prominence[main] / number[main], 1e-12) if len(prominence) else []
    least_s = min(_LEAST_S, _LEAST_TAKE_SHARE * take_s)
    reasons: list[str] = []
    for person, filled in enumerate(share):
        own = found.at(np.arange(begin[person], begin[person + 1]))
        seen_s = len(own.person) / rate_hz
        reason = ""
        if seen_s < least_s:
            reason = f"seen by enough cameras too briefly: for {seen_s:.2f} s"
        elif (joints := float(np.median(np.isfinite(own.xyz).all(-1).mean(1)))) < _LEAST_JOINTS:
            reason = f"too little of a body is seen by enough cameras: {100 * joints:.0f} %"
        elif (doubt := _doubt(own, names)) > 1:
            reason = f"no body, the views agree by accident: its bones vary {doubt:.1f} times too much"
        elif filled < (_BYSTANDER if np.median(own.views) <= cameras / 2 else _TINY):
            reason = (
                f"a passer-by: seen by {np.median(own.views):.0f} of {cameras} cameras, fills "
                f"{100 * filled:.0f} % as much of the pictures as the main actor"
            )
        reasons.append(reason)
    return reasons


def certainty(found: Places, ballot: Ballot, label: NDArray[np.integer], rate_hz: float) -> FloatArray:
    """How sure it is, in [0, 1], that each is one person, and the same all the time.

    It is the mean vote of the views on each other, less for who is seen by two views alone (they agree by
    accident now and then) or briefly.

    Args:
        found: everybody's places.
        ballot: single votes.
        label: (C, T, P) whom each detection shows.
        rate_hz: instants per second.
    """
    count = int(found.person.max(initial=-1)) + 1
    flat = label.reshape(-1)
    same = (flat[ballot.first] == flat[ballot.second]) & (flat[ballot.first] >= 0)
    who = flat[ballot.first][same]
    keep = who < count
    number = np.bincount(who[keep], minlength=count)
    mean = np.bincount(who[keep], ballot.agreement[same][keep], minlength=count) / np.maximum(number, 1)
    seen = np.bincount(found.person, minlength=count)
    many = np.bincount(found.person, found.views >= 3, minlength=count) / np.maximum(seen, 1)
    return np.clip(mean, 0.0, 1.0) * (0.6 + 0.4 * many) * (1 - np.exp(-seen / (_LEAST_S * rate_hz)))


def _doubt(own: Places, names: Sequence[str]) -> float:
    """How much more the bones' lengths vary than those of a body that two views see badly."""
    enough = (own.views >= 3).mean() >= 0.5
    return _bones_vary(own, names) / _BONES_VARY * (0.5 if enough else 1.0)


def _bones_vary(own: Places, names: Sequence[str]) -> float:
    """Deviation of the bones' lengths over time as a share of them, in the middle of the bones."""
    lengths = bone_lengths(own.xyz, names)
    usable = np.isfinite(lengths).sum(0) >= 5
    if not usable.any():
        return 0.0
    quarter, half, three = np.nanquantile(lengths[:, usable], (0.25, 0.5, 0.75), axis=0)
    return float(np.median((three - quarter) / 1.35 / np.maximum(half, 1e-9)))


def reflections(found: Places, names: Sequence[str], rate_hz: float) -> list[int]:
    """Who is the mirror image of somebody: one plane maps all that both do onto one another.

    Somebody who stands still is not told from another one who does: both are kept. Of the two, the one with
    the smaller number, who fills more of the pictures, is the person.
    """
    mirrored = mirror(names)
    count = int(found.person.max(initial=-1)) + 1
    begin = np.searchsorted(found.person, np.arange(count + 1))
    everybody = [found.at(np.arange(begin[i], begin[i + 1])) for i in range(count)]
    images: list[int] = []
    for image, person in combinations(range(count)[::-1], 2):
        one, two = everybody[person], everybody[image]
        _, in_one, in_two = np.intersect1d(one.instant, two.instant, return_indices=True)
        if image in images or len(in_one) < _MIRROR_S * rate_hz:
            continue
        size = float(min(np.median(one.size), np.median(two.size)))
        if _mirrored(one.xyz[in_one], two.xyz[in_two][:, mirrored], size):
            images.append(image)
    return images


def _mirrored(first: FloatArray, second: FloatArray, size: float) -> bool:
    """Whether one plane maps the points of (N, K, 3) onto the others, and they move enough to tell."""
    known = np.isfinite(first).all(-1) & np.isfinite(second).all(-1)
    a, b = first[known], second[known]
    if len(a) < 30:
        return False
    between: FloatArray = b - a
    normal = np.linalg.eigh(between.T @ between)[1][:, -1]
    offset = np.median((a + b) @ normal) / 2
    image = a - 2 * (a @ normal - offset)[:, None] * normal
    miss = np.quantile(np.linalg.norm(image - b, axis=-1), _MIRROR_SHARE)
    number = np.maximum(known.sum(0), 1)[:, None]
    mean = np.where(known[..., None], first, 0.0).sum(0) / number
    moved = np.sqrt((np.where(known[..., None], first - mean, 0.0) ** 2).sum(0) / number).max(-1)
    return bool(miss < _MIRROR_MISS * size and np.median(moved) > 2 * _MIRROR_MISS * size)
