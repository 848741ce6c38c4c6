"""Which shift of two clips puts the people of both in one place: found without knowing who is who.

The viewing rays of one person in two calibrated cameras meet, keypoint for keypoint, when both frames are of
one instant. For every shift, each person of a frame looks for the one of the other view whose rays meet
theirs best; the mean of that agreement over frames spread through the take peaks at the true shift. Places
tell as much as gestures do, so people who only walk are enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.track import person_size

STEP_S = 1.0 / 20.0
"""Spacing of the shifts that are tried: a walking person's rays still meet half a step off."""
_ANCHORS = 160
"""Frames of the first camera that are compared, spread over what both clips can share."""
_MISS_SCALE = 0.08
"""Body sizes by which rays may pass each other before a keypoint counts nothing."""
_LEAST_ANCHORS = 24
"""Compared frames below which a shift is not judged."""
_LEAST_COMMON_S = 1.0
"""Two clips that share less time say nothing about their shift."""
_PARALLEL_SIN = 0.05
"""Sine of an angle below which two rays pass near each other whatever they show."""


@dataclass(frozen=True)
class Rays:
    """Everybody whom one camera saw, as viewing rays."""

    time_s: FloatArray
    """(F,) seconds on the camera's own clock."""
    origin: FloatArray
    """(3,) the camera's centre, metres, world frame."""
    direction: NDArray[np.float32]
    """(F, P, K, 3) unit viewing rays, world frame, NaN where unseen."""
    angle: NDArray[np.float32]
    """(F, P) each person's size as seen from the camera, radians; NaN where nobody is."""


@dataclass(frozen=True)
class Agreement:
    """How well two cameras agree at every shift that was tried."""

    lag_s: FloatArray
    """(L,) clock of the first camera less that of the second, for one instant, seconds."""
    score: FloatArray
    """(L,) mean agreement, from 0 to 1; NaN where the clips share too little."""
    weight: float
    """Frames that were compared at the best shift, over those wanted."""


def rays_of(view: CameraKeypoints, camera: Cameras, which: Sequence[int]) -> Rays:
    """Viewing rays of some keypoints; rows without anybody are left out."""
    xy = view.xy_px[:, :, list(which)]
    keep = np.any(np.isfinite(xy).all(axis=-1), axis=(0, 2))
    xy = xy[:, keep]
    found = camera.rays(torch.as_tensor(xy.reshape(1, -1, 2)))
    direction = found.direction_world.numpy().reshape(*xy.shape[:-1], 3).astype(np.float32)
    angle = person_size(view.xy_px[:, keep]) / float(camera.focal_px.mean())
    return Rays(view.time_s, camera.centers_world[0].numpy(), direction, angle.astype(np.float32))


def agreement(first: Rays, second: Rays, lag_s: FloatArray) -> Agreement:
    """Agreement of two cameras at the shifts (L,) ``lag_s``."""
    none = Agreement(lag_s, np.full(len(lag_s), np.nan), 0.0)
    begins = max(first.time_s[0], second.time_s[0] + lag_s[0])
    ends = min(first.time_s[-1], second.time_s[-1] + lag_s[-1])
    there = np.isfinite(first.angle).any(1) & (first.time_s >= begins) & (first.time_s <= ends)
    frames = np.flatnonzero(there)
    if len(frames) < _LEAST_ANCHORS or second.direction.shape[1] == 0:
        return none
    anchor = frames[np.unique(np.linspace(0, len(frames) - 1, _ANCHORS).round().astype(int))]
    wanted = first.time_s[anchor][:, None] - lag_s  # (A, L) on the second camera's clock
    after = np.searchsorted(second.time_s, wanted).clip(1, len(second.time_s) - 1)
    nearer = wanted - second.time_s[after - 1] < second.time_s[after] - wanted
    frame = after - nearer
    period_s = float(np.median(np.diff(second.time_s)))
    inside = np.abs(second.time_s[frame] - wanted) <= 1.5 * period_s
    vote, both = _votes(first, second, anchor, frame, inside)
    compared = both.sum(0)
    span_s = np.where(both, first.time_s[anchor][:, None], np.nan)
    with np.errstate(invalid="ignore"):
        common_s = _range(span_s)
    total = (vote * both).sum(0)
    enough = (compared >= _LEAST_ANCHORS) & (common_s >= _LEAST_COMMON_S)
    score = np.where(enough, total / np.maximum(compared + 0.1 * len(anchor), 1), np.nan)
    best = int(np.nan_to_num(score, nan=-1.0).argmax())
    return Agreement(lag_s, score, float(compared[best] / _ANCHORS))


def _range(values: FloatArray) -> FloatArray:
    """(L,) span of the values (A, L) of each column, 0 without any."""
    high = np.where(np.isfinite(values), values, -np.inf).max(0)
    low = np.where(np.isfinite(values), values, np.inf).min(0)
    return np.maximum(high - low, 0.0)


def _votes(
    first: Rays,
    second: Rays,
    anchor: NDArray[np.integer],
    frame: NDArray[np.integer],
    inside: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(A, L) mean agreement of the people of both frames, and where both frames hold somebody."""
    baseline = (second.origin - first.origin).astype(np.float32)
    total = np.zeros(frame.shape, np.float32)
    seen_a = ~np.isnan(first.angle[anchor])  # (A, P)
    seen_b = np.any(np.isfinite(second.angle[frame]), axis=-1)
    for person in range(first.direction.shape[1]):
        best = np.zeros(frame.shape, np.float32)
        for other in range(second.direction.shape[1]):
            pair = _pair_votes(
                first.direction[anchor, person],
                first.angle[anchor, person],
                second.direction[:, other],
                second.angle[:, other],
                frame,
                baseline,
            )
            best = np.maximum(best, pair)
        total += best
    both = inside & np.any(seen_a, axis=1, keepdims=True) & seen_b
    return total / np.maximum(seen_a.sum(1), 1)[:, None], both


def _pair_votes(
    ray_a: NDArray[np.float32],
    angle_a: NDArray[np.float32],
    ray_b: NDArray[np.float32],
    angle_b: NDArray[np.float32],
    frame: NDArray[np.integer],
    baseline: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(A, L) agreement of one person with one other: the mean over keypoints that both views show.

    Args:
        ray_a: (A, K, 3) of the anchors.
        angle_a: (A,) radians.
        ray_b: (F, K, 3) of all frames.
        angle_b: (F,) radians.
        frame: (A, L) which frame each anchor is compared with.
        baseline: (3,) from the first camera to the second, metres.
    """
    total = np.zeros(frame.shape, np.float32)
    shared = np.zeros(frame.shape, np.float32)
    b_angle = angle_b[frame]
    for keypoint in range(ray_a.shape[1]):
        a = ray_a[:, keypoint]
        b = ray_b[:, keypoint]
        all_b = b.T  # one product for all frames is cheaper than gathering rays
        cosine = np.take_along_axis(a @ all_b, frame, 1)
        triple = np.take_along_axis(np.cross(baseline, a) @ all_b, frame, 1)
        along_a, along_b = (a @ baseline)[:, None], (b @ baseline)[frame]
        squared_sine = np.maximum(1 - cosine**2, _PARALLEL_SIN**2)
        depth_a = (along_a - cosine * along_b) / squared_sine
        depth_b = (cosine * along_a - along_b) / squared_sine
        size = 0.5 * (depth_a * angle_a[:, None] + depth_b * b_angle)
        miss2 = triple**2 / squared_sine
        good = (depth_a > 0) & (depth_b > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            vote = 1 - miss2 / (size * _MISS_SCALE) ** 2
        known = np.isfinite(cosine) & np.isfinite(size)
        total += np.where(known & good, np.maximum(np.nan_to_num(vote), 0), 0)
        shared += known
    return np.where(shared >= 3, total / np.maximum(shared, 1), 0)


def all_agreements(
    views: Mapping[str, Rays], centre_s: Mapping[str, float], reach_s: float
) -> dict[tuple[str, str], Agreement]:
    """Agreements of all pairs of cameras for shifts round those that first guesses of the offsets say."""
    result = {}
    for a, b in combinations(views, 2):
        guess = centre_s[b] - centre_s[a]
        # Beyond this the clips share nothing.
        low = max(guess - reach_s, views[a].time_s[0] - views[b].time_s[-1])
        high = min(guess + reach_s, views[a].time_s[-1] - views[b].time_s[0])
        if high <= low:
            continue
        lag_s = STEP_S * np.arange(np.floor(low / STEP_S), np.ceil(high / STEP_S) + 1)
        result[a, b] = agreement(views[a], views[b], lag_s)
    return result
