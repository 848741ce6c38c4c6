"""Clocks of a take from all that is known of them, each source counting by its standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mocap.keypoints import FloatArray

CONTRADICTS = 4.0
"""Standard deviations by which two sources may differ before one of them is dropped."""
_TOLD_APART = 2.0
"""Standard deviations from 0 below which a drift is set to 0."""


@dataclass(frozen=True)
class Estimate:
    """Offsets and drifts of some cameras by one source, relative to the first of them."""

    names: tuple[str, ...]
    """C cameras."""
    offset_s: FloatArray
    """(C,) seconds."""
    drift: FloatArray
    """(C,) parts of 1."""
    covariance: FloatArray
    """(2 C, 2 C) of offsets, then drifts; 0 for the first camera."""
    source: str
    """Its name."""

    def std_s(self) -> FloatArray:
        """(C,) standard deviations of the offsets, seconds."""
        return np.sqrt(np.diag(self.covariance)[: len(self.names)])

    def std_drift(self) -> FloatArray:
        """(C,) standard deviations of the drifts, parts of 1."""
        return np.sqrt(np.diag(self.covariance)[len(self.names) :])

    def only(self, names: Sequence[str]) -> Estimate:
        """The same for some of the cameras, relative to the first of those."""
        rows = [self.names.index(name) for name in names]
        count, base = len(self.names), rows[0]
        pick = np.zeros((2 * len(rows), 2 * count))
        for new, old in enumerate(rows):
            for block in (0, 1):
                pick[block * len(rows) + new, block * count + old] += 1
                pick[block * len(rows) + new, block * count + base] -= 1
        value = pick @ np.concatenate([self.offset_s, self.drift])
        half = len(rows)
        return Estimate(
            tuple(names), value[:half], value[half:], pick @ self.covariance @ pick.T, self.source
        )


def disagreement(a: Estimate, b: Estimate) -> dict[str, float]:
    """Cameras for which two estimates contradict each other: by how many standard deviations.

    The first camera is compared like the others: where all differ by one amount, it is the one that is off.
    """
    shared = [name for name in a.names if name in b.names]
    if len(shared) < 2:
        return {}
    a, b = a.only(shared), b.only(shared)
    apart = a.offset_s - b.offset_s
    std = np.sqrt(a.std_s() ** 2 + b.std_s() ** 2)
    std[0] = float(np.median(std[1:]))
    # The smallest of the middle two: of two cameras, the second is called off.
    middle = float(np.sort(apart)[(len(apart) - 1) // 2]) if len(apart) > 2 else 0.0
    off = np.abs(apart - middle) / np.maximum(std, 1e-9)
    return {name: float(z) for name, z in zip(shared, off, strict=True) if z > CONTRADICTS}


def fuse(a: Estimate, b: Estimate) -> Estimate:
    """Two independent estimates of cameras that both know and of those that one knows.

    Both are relative to one camera, the first of ``a``, which ``b`` must know.
    """
    names = [*a.names, *(name for name in b.names if name not in a.names)]
    reference = names[0]
    b = b.only([reference, *(name for name in b.names if name != reference)])
    count = len(names)
    information, pull = np.zeros((2 * count, 2 * count)), np.zeros(2 * count)
    for one in (a, b):
        free = np.array([names.index(name) for name in one.names[1:]])
        own = np.arange(1, len(one.names))
        rows = np.concatenate([free, free + count])
        inner = np.concatenate([own, own + len(one.names)])
        inverse = np.linalg.pinv(one.covariance[np.ix_(inner, inner)], hermitian=True)
        information[np.ix_(rows, rows)] += inverse
        pull[rows] += inverse @ np.concatenate([one.offset_s[own], one.drift[own]])
    free = np.concatenate([np.arange(1, count), np.arange(1, count) + count])
    covariance = np.zeros_like(information)
    covariance[np.ix_(free, free)] = np.linalg.inv(information[np.ix_(free, free)])
    value = covariance @ pull
    source = a.source if a.source == b.source else f"{a.source} and {b.source}"
    return Estimate(tuple(names), value[:count], value[count:], covariance, source)


def without_idle_drift(estimate: Estimate) -> Estimate:
    """The same with drifts set to 0 where they are not told apart from 0, and offsets as that makes them."""
    count = len(estimate.names)
    std = estimate.std_drift()
    idle = np.flatnonzero((np.abs(estimate.drift) < _TOLD_APART * std) & (std > 0)) + count
    if not len(idle):
        return estimate
    value = np.concatenate([estimate.offset_s, estimate.drift])
    within = estimate.covariance[np.ix_(idle, idle)]
    value = value - estimate.covariance[:, idle] @ np.linalg.solve(within, value[idle])
    value[idle] = 0.0
    return Estimate(estimate.names, value[:count], value[count:], estimate.covariance, estimate.source)


def start_together(estimate: Estimate, frame_interval_s: float) -> bool:
    """Whether the estimate is better explained by clips that start together than by any other offsets.

    The logarithm of Bayes' factor: the estimate's likelihood at 0 against offsets anywhere within one frame.
    """
    count = len(estimate.names)
    free = np.arange(1, count)
    covariance = estimate.covariance[np.ix_(free, free)]
    offset = estimate.offset_s[free]
    squared = float(offset @ np.linalg.solve(covariance, offset))
    volume = 0.5 * float(np.linalg.slogdet(2 * np.pi * covariance)[1])
    likely = len(free) * np.log(frame_interval_s) - volume - 0.5 * squared > 0
    drifts = np.abs(estimate.drift) > _TOLD_APART * np.maximum(estimate.std_drift(), 1e-12)
    # Whatever the odds, nothing is ignored that stands out by itself.
    alone = np.abs(offset) < 3 * np.sqrt(np.diag(covariance))
    return bool(likely and alone.all() and not drifts[1:].any())


def guesses(starts: Mapping[str, tuple[float, float, str]], names: Sequence[str]) -> dict[str, float]:
    """First guesses of offsets from (start, deviation, source) of clips that all tell by one source."""
    told = {name: starts[name] for name in names if name in starts}
    if set(told) != set(names) or len({source for *_, source in told.values()}) != 1:
        return dict.fromkeys(names, 0.0)
    first = min(start for start, *_ in told.values())
    return {name: start - first for name, (start, *_) in told.items()}
