"""Numbers that judge found keypoints and people against a truth, as the literature defines them.

PCK: share of correct keypoints (Yang and Ramanan 2013). PCP: share of correct parts (Ferrari et al. 2008; the
mean of both ends as on the Campus and Shelf scenes of Belagiannis et al. 2014). OKS and AP: COCO's keypoint
task, as its own program pycocotools 2.0 computes them, ties and ignored people included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

FloatArray = NDArray[np.floating]

COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
"""How much annotators of COCO's 17 keypoints differ, in root areas (pycocotools, ``Params.setKpParams``)."""
OKS_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""Similarities at which COCO's AP is averaged."""
_RECALLS = np.linspace(0.0, 1.0, 101)
_MOST_FOUND = 20
"""COCO looks at so many found people an image."""


def pck(estimate: FloatArray, truth: FloatArray, size: FloatArray | float, *, alpha: float = 0.5) -> float:
    """Share of keypoints within ``alpha`` sizes of the truth.

    Args:
        estimate: (..., K, D) pixels or metres; NaN is never correct.
        truth: (..., K, D); NaN is left out.
        size: of the person, same unit, broadcast over (...): with the head's it is PCKh; 1 with ``alpha`` in
            metres is the 3D PCK (150 mm is usual).
        alpha: share of the size.
    """
    asked = np.isfinite(truth).all(-1)
    if not asked.any():
        return float("nan")
    distance = np.linalg.norm(estimate - truth, axis=-1)
    near = distance <= alpha * np.broadcast_to(np.asarray(size)[..., None], distance.shape)
    return float((near & asked).sum() / asked.sum())


def pcp(
    estimate: FloatArray, truth: FloatArray, parts: Sequence[tuple[int, int]], *, alpha: float = 0.5,
    both_ends: bool = False,
) -> float:  # fmt: skip
    """Share of parts whose ends are within ``alpha`` part lengths of the truth.

    Args:
        estimate: (..., K, D) pixels or metres; parts with NaN are not correct.
        truth: (..., K, D); parts with NaN are left out.
        parts: pairs of keypoints.
        alpha: share of the part's true length.
        both_ends: each end must be that near; else the mean of both.
    """
    first, second = ([pair[end] for pair in parts] for end in (0, 1))
    length = np.linalg.norm(truth[..., first, :] - truth[..., second, :], axis=-1)
    off = np.linalg.norm(estimate - truth, axis=-1)
    ends = np.stack([off[..., first], off[..., second]])
    judged = ends.max(0) if both_ends else ends.mean(0)
    asked = np.isfinite(length)
    return float((judged[asked] <= alpha * length[asked]).mean()) if asked.any() else float("nan")


@dataclass(frozen=True)
class Agreement:
    """How well a set of found things agrees with the true ones."""

    precision: float
    """Share of the found that are true; 1 where nothing is found."""
    recall: float
    """Share of the true that are found; 1 where there is nothing to find."""

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total > 0 else 0.0


def people_agreement(
    estimate: Sequence[FloatArray], truth: Sequence[FloatArray], *, max_error: float
) -> Agreement:
    """Found people against true ones, matched frame by frame at the smallest total distance.

    Args:
        estimate: for each frame (N, K, D), NaN for missing keypoints.
        truth: for each frame (M, K, D).
        max_error: mean keypoint distance up to which a person is found, same unit.
    """
    matched = found = true = 0
    for seen, real in zip(estimate, truth, strict=True):
        found, true = found + len(seen), true + len(real)
        if not len(seen) or not len(real):
            continue
        apart = np.linalg.norm(seen[:, None] - real[None], axis=-1)
        known = np.isfinite(apart)
        mean = np.where(known, apart, 0).sum(-1) / np.maximum(known.sum(-1), 1)
        mean = np.where(known.any(-1), mean, np.inf)
        cost = np.where(mean <= max_error, mean, 1e3 * max_error + 1)
        rows, columns = linear_sum_assignment(cost)
        matched += int((mean[rows, columns] <= max_error).sum())
    return Agreement(matched / found if found else 1.0, matched / true if true else 1.0)


@dataclass(frozen=True)
class LabelledPeople:
    """The M people of one image as annotators have them."""

    xy_px: FloatArray
    """(M, K, 2) pixels."""
    labelled: NDArray[np.bool_]
    """(M, K) whether the keypoint is labelled, be it hidden or not; a person without any is ignored."""
    area_px2: FloatArray
    """(M,) of the person's mask."""
    box_px: FloatArray
    """(M, 4) left, top, width, height; for people without labelled keypoints."""
    crowd: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    """(M,) groups, which are ignored and may match many; nobody if left out."""


@dataclass(frozen=True)
class FoundPeople:
    """The N people of one image as a detector has them."""

    xy_px: FloatArray
    """(N, K, 2) pixels, all of them."""
    score: FloatArray
    """(N,) higher is surer."""


def oks(
    found_px: FloatArray, people: LabelledPeople, sigmas: Sequence[float] = COCO_SIGMAS
) -> NDArray[np.float64]:
    """Object keypoint similarity of found people (N, K, 2) and labelled ones.

    ``mean over labelled k of exp(-d_k² / (2 area (2 sigma_k)²))``; for a person without labels the distance
    is from their box, doubled on every side.

    Returns:
        (N, M) in [0, 1].
    """
    variance = (2 * np.asarray(sigmas)) ** 2
    apart = found_px[:, None] - people.xy_px[None]  # (N, M, K, 2)
    corner, size = people.box_px[:, None, :2], people.box_px[:, None, 2:]
    outside = np.maximum(0, corner - size - found_px[:, None]) + np.maximum(
        0, found_px[:, None] - corner - 2 * size
    )
    none = ~np.atleast_1d(people.labelled.any(1))
    apart = np.where(none[:, None, None], outside, apart)
    exponent = (apart**2).sum(-1) / variance / (people.area_px2[:, None] + np.spacing(1)) / 2
    counts = people.labelled | none[:, None]
    return np.where(counts, np.exp(-exponent), 0).sum(-1) / counts.sum(-1)


def average_precision(
    found: Sequence[FoundPeople], truth: Sequence[LabelledPeople], *,
    thresholds: Sequence[float] = OKS_THRESHOLDS, sigmas: Sequence[float] = COCO_SIGMAS,
) -> NDArray[np.float64]:  # fmt: skip
    """COCO's keypoint AP at each threshold, people of all sizes; the mean over them is its ``AP``.

    Args:
        found: for each image.
        truth: for the same images.
        thresholds: of the similarity.
        sigmas: (K,) of the keypoints.

    Returns:
        (n,) in [0, 1], NaN where nobody was to be found.
    """
    matches = [_matches(f, t, thresholds, sigmas) for f, t in zip(found, truth, strict=True)]
    asked = sum(int((~_ignored(people)).sum()) for people in truth)
    if not asked:
        return np.full(len(thresholds), np.nan)
    score = np.concatenate([part[0] for part in matches])
    order = np.argsort(-score, kind="mergesort")
    right, ignored = (np.concatenate([part[i] for part in matches], 1)[:, order] for i in (1, 2))
    return np.array(
        [_precision(hits & ~skip, ~hits & ~skip, asked) for hits, skip in zip(right, ignored, strict=True)]
    )


def average_recall(
    found: Sequence[FoundPeople], truth: Sequence[LabelledPeople], *,
    thresholds: Sequence[float] = OKS_THRESHOLDS, sigmas: Sequence[float] = COCO_SIGMAS,
) -> NDArray[np.float64]:  # fmt: skip
    """COCO's keypoint recall at each threshold; arguments and shape are those of ``average_precision``."""
    matches = [_matches(f, t, thresholds, sigmas) for f, t in zip(found, truth, strict=True)]
    asked = sum(int((~_ignored(people)).sum()) for people in truth)
    hits = sum((right & ~skip).sum(1) for _, right, skip in matches)
    return np.full(len(thresholds), np.nan) if not asked else np.asarray(hits) / asked


def found_agreement(
    found: Sequence[FoundPeople], truth: Sequence[LabelledPeople], *, threshold: float = 0.5,
    sigmas: Sequence[float] = COCO_SIGMAS,
) -> Agreement:  # fmt: skip
    """Precision and recall (and their F1) of everybody who is found, a match at this similarity or more."""
    matches = [_matches(f, t, (threshold,), sigmas) for f, t in zip(found, truth, strict=True)]
    asked = sum(int((~_ignored(people)).sum()) for people in truth)
    hits = sum(int((right & ~skip).sum()) for _, right, skip in matches)
    given = sum(int((~skip).sum()) for _, _, skip in matches)
    return Agreement(hits / given if given else 1.0, hits / asked if asked else 1.0)


def _ignored(people: LabelledPeople) -> NDArray[np.bool_]:
    return ~people.labelled.any(1) | _crowd(people)


def _crowd(people: LabelledPeople) -> NDArray[np.bool_]:
    return people.crowd if len(people.crowd) else np.zeros(len(people.area_px2), bool)


def _matches(
    found: FoundPeople, people: LabelledPeople, thresholds: Sequence[float], sigmas: Sequence[float]
) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
    """Scores (n,), and (thresholds, n) whether each found person is matched, and is to be ignored."""
    best = np.argsort(-found.score, kind="mergesort")[:_MOST_FOUND]
    first = np.argsort(_ignored(people), kind="mergesort")
    ignored, crowd = _ignored(people)[first], _crowd(people)[first]
    similar = oks(found.xy_px[best], people, sigmas)[:, first]
    right = np.zeros((len(thresholds), len(best)), bool)
    skip = np.zeros_like(right)
    for row, threshold in enumerate(thresholds):
        free = np.ones(len(first), bool)
        for one in range(len(best)):
            able = (free | crowd) & (similar[one] >= min(threshold, 1 - 1e-10))
            # somebody who counts goes before somebody who is ignored
            chosen = able & ~ignored if (able & ~ignored).any() else able
            if not chosen.any():
                continue
            candidates = np.flatnonzero(chosen)
            # of equals the last, as in pycocotools
            match = candidates[len(candidates) - 1 - int(np.argmax(similar[one, candidates][::-1]))]
            free[match] = False
            right[row, one], skip[row, one] = True, ignored[match]
    return found.score[best], right, skip


def _precision(hits: NDArray[np.bool_], misses: NDArray[np.bool_], asked: int) -> float:
    """Precision averaged over 101 recalls, each the best at that recall or a higher one."""
    true, false = np.cumsum(hits, dtype=float), np.cumsum(misses, dtype=float)
    precision = true / (true + false + np.spacing(1))
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(true / asked, _RECALLS, side="left")
    return float(np.append(highest, 0.0)[np.minimum(at, len(highest))].mean())
