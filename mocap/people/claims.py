"""Each detection given to the person who should be there, by everybody's place in the world.

This repairs tracklets that ran on from one person to the next, finds people in frames that no tracklet
covered, and puts together what a detector took for two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.people.tracks import Places, middle
from mocap.track import people_seen

_FAR = 0.2
"""Mean miss, in body sizes in the picture and at most twice this for a keypoint, beyond which a detection is
somebody else."""
_HELD_S = 0.3
"""Time before the first and after the last place for which somebody is taken to stay there."""
_BRIDGED_S = 0.5
"""Time between two places that a straight line bridges."""
_FEWEST = 3
"""A claim needs as many keypoints."""
_STRAY = 0.12
"""Body sizes by which a keypoint must miss before another row's may take its place."""
_MEANT = 0.05
"""Body sizes within which the other row's must lie."""
_AT_ONCE = 4_000_000
"""Distances in memory at a time."""


@dataclass(frozen=True)
class Forecast:
    """Where one camera should see everybody."""

    xy_px: FloatArray
    """(F, N, K, 2) pixels, NaN where unknown."""
    size_px: FloatArray
    """(F, N) size in the picture, pixels."""


def forecast(found: Places, at_s: FloatArray, camera: Cameras, taken_s: FloatArray) -> Forecast:
    """Project everybody into one camera's frames.

    Args:
        found: places of N people.
        at_s: (T,) times of the instants of ``found``, seconds on the take's clock.
        camera: the one.
        taken_s: (F,) times of its frames on the take's clock.
    """
    people = int(found.person.max(initial=-1)) + 1
    points = found.xyz.shape[1]
    xyz = np.full((len(taken_s), people, points, 3), np.nan)
    size = np.full((len(taken_s), people), np.nan)
    begin = np.searchsorted(found.person, np.arange(people + 1))
    for person in range(people):
        own = slice(begin[person], begin[person + 1])
        if own.start < own.stop:
            xyz[:, person], size[:, person] = _at(
                at_s[found.instant[own]], found.xyz[own], found.size[own], taken_s
            )
    projected = camera.project(torch.from_numpy(xyz.reshape(-1, 3)))[0][0].numpy()
    away = np.linalg.norm(middle(xyz) - camera.centers_world.numpy(), axis=-1)
    size_px = size * float(camera.focal_px.mean()) / np.maximum(away, 1e-6)
    return Forecast(projected.reshape(*xyz.shape[:3], 2), np.nan_to_num(size_px))


def _at(
    known_s: FloatArray, xyz: FloatArray, size: FloatArray, taken_s: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Places at other times: straight between near ones, the same for a while before and after."""
    after = np.searchsorted(known_s, taken_s).clip(0, len(known_s) - 1)
    before = np.where((known_s[after] > taken_s) & (after > 0), after - 1, after)
    gap = known_s[after] - known_s[before]
    part = np.where(gap > 0, (taken_s - known_s[before]) / np.where(gap > 0, gap, 1.0), 0.0)
    bridged = (gap <= _BRIDGED_S) & (part >= 0) & (part <= 1)
    nearest = np.where(part > 0.5, after, before)
    held = np.abs(taken_s - known_s[nearest]) <= _HELD_S
    weight = np.where(bridged, part, 0.0)[:, None, None]
    first = np.where(bridged, before, nearest)
    there = (1 - weight) * xyz[first] + weight * xyz[after]
    there = np.where(np.isfinite(there), there, np.where(np.isfinite(xyz[first]), xyz[first], xyz[after]))
    there = np.where((bridged | held)[:, None, None], there, np.nan)
    return there, np.where(bridged | held, size[first], np.nan)


def claim(view: CameraKeypoints, which: NDArray[np.integer], expected: Forecast) -> NDArray[np.integer]:
    """Give each detection of one camera to the person who should be there.

    In turns, each pair of a person and a detection who are one another's nearest belong together.

    Args:
        view: what the camera saw.
        which: (K,) places of the keypoints that the forecast is of.
        expected: of N people.

    Returns:
        (F, N) each person's row, -1 where none is near.
    """
    frames, people = expected.size_px.shape
    rows = np.full((frames, people), -1)
    there = people_seen(view)
    most = there.shape[1]
    if not most or not people:
        return rows
    step = max(1, _AT_ONCE // (people * most * len(which)))
    for start in range(0, frames, step):
        part = slice(start, min(frames, start + step))
        miss = _mean_miss(view.xy_px[part][:, :, which], expected.xy_px[part], expected.size_px[part])
        miss[np.broadcast_to(~there[part][:, None], miss.shape)] = np.inf
        rows[part] = _nearest_pairs(miss)
    return rows


def _mean_miss(seen_px: FloatArray, expected_px: FloatArray, size_px: FloatArray) -> FloatArray:
    """(F, N, P) mean distance of shared keypoints, in body sizes; none may count for more than two limits."""
    away = expected_px[:, :, None] - seen_px[:, None]
    distance = np.hypot(away[..., 0], away[..., 1]) / np.maximum(size_px, 1.0)[:, :, None, None]
    shared = np.isfinite(distance)
    number = shared.sum(-1)
    mean = np.where(shared, np.minimum(distance, 2 * _FAR), 0.0).sum(-1) / np.maximum(number, 1)
    # A scrap with few keypoints is the worse choice where there is a whole person.
    whole = np.maximum(np.isfinite(expected_px).all(-1).sum(-1), 1)[:, :, None]
    return np.where(number >= _FEWEST, mean + 0.25 * _FAR * (1 - number / whole), np.inf)


def _nearest_pairs(miss: FloatArray) -> NDArray[np.integer]:
    """(F, N) the row of each person, by mutual nearness in turns."""
    rows = np.full(miss.shape[:2], -1)
    for _ in range(min(miss.shape[1:])):
        nearest, best = miss.argmin(2), miss.min(2)
        back = np.take_along_axis(miss.argmin(1), nearest, 1)  # (F, N) the person nearest to that row
        mutual = (back == np.arange(miss.shape[1])) & (best < _FAR)
        if not mutual.any():
            break
        frame, person = np.nonzero(mutual)
        row = nearest[frame, person]
        rows[frame, person] = row
        miss[frame, person] = np.inf
        miss[frame, :, row] = np.inf
    return rows


def piece_together(
    view: CameraKeypoints, which: NDArray[np.integer], expected: Forecast, rows: NDArray[np.integer]
) -> NDArray[np.integer]:
    """For each keypoint the row that shows it, where a detector took one person for two.

    A keypoint that a person's own row lacks, or has far from where it should be, is taken from a row that is
    nobody's if it lies there.

    Returns:
        (F, N, K) rows for all the view's keypoints, -1 where unseen.
    """
    people = rows.shape[1]
    every = np.repeat(rows[:, :, None], len(view.keypoint_names), 2)
    there = people_seen(view) | np.isfinite(view.xy_px).all(-1).any(-1)
    taken = np.zeros_like(there)
    frame, person = np.nonzero(rows >= 0)
    taken[frame, rows[frame, person]] = True
    spare = there & ~taken
    for moment in _groups(np.flatnonzero(spare.any(1)), people * spare.shape[1] * len(which)):
        seen = np.where(spare[moment][..., None, None], view.xy_px[moment][:, :, which], np.nan)
        away = expected.xy_px[moment][:, :, None] - seen[:, None]  # (f, N, P, K, 2)
        size = np.maximum(expected.size_px[moment], 1.0)[:, :, None]
        distance = np.hypot(away[..., 0], away[..., 1])
        distance = np.where(np.isfinite(distance), distance, np.inf)
        own = np.take_along_axis(
            view.xy_px[moment][:, :, which], np.maximum(rows[moment], 0)[..., None, None], 1
        )
        miss = np.linalg.norm(own - expected.xy_px[moment], axis=-1)
        lacking = ~(miss < _STRAY * size) & (rows[moment] >= 0)[..., None]
        better = lacking & (distance.min(2) < _MEANT * size)
        f, n, k = np.nonzero(better)
        every[moment[f], n, which[k]] = distance.argmin(2)[f, n, k]
    return every


def _groups(frames: NDArray[np.integer], each: int) -> list[NDArray[np.integer]]:
    """Frames in parts that fit into memory."""
    if not len(frames):
        return []
    return np.array_split(frames, max(1, len(frames) * each // _AT_ONCE))
