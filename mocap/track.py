"""People followed through the frames of one camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.timeline import frame_rate

_STILL_GATE, _GATE_PER_S = 0.15, 2.0
"""Body sizes that a keypoint moves at most from one frame to the next, and more for each second between."""
_LONGEST_LOSS_S = 0.3
"""A person who was lost for longer is a new one to this camera; the other views join the parts."""
_LONGEST_LOSS_FRAMES = 8
"""The same in frames: fast cameras need not look back further than slow ones."""
_FARTHEST = 0.6
"""Mean part of the gate beyond which a detection is somebody else."""
_UNUSUAL = 4.0
"""Times the usual movement between two frames beyond which a link is not certain."""
_LIMITS = (0.2, _FARTHEST)
"""Parts of the gate between which that limit lies."""
_CLEARLY = 0.6
"""A link must cost less than this part of the next best one, or who is who is left to the other views."""
_UNSHARED = 0.5
"""What a keypoint costs, in gates, that only one of two frames shows."""
_FEWEST_KEYPOINTS = 3
"""Fewer keypoints are no person, unless they are all that a prop has."""


@dataclass(frozen=True)
class Tracklet:
    """One person in frames of one camera."""

    camera: str
    """The camera's name."""
    frame: NDArray[np.integer]
    """(F,) rising frame numbers."""
    row: NDArray[np.integer]
    """(F,) the person's row in each of these frames."""


def person_size(xy_px: FloatArray) -> FloatArray:
    """Diagonals of the boxes around keypoints (..., K, 2): (...) pixels, NaN without keypoints."""
    seen = np.isfinite(xy_px).all(-1, keepdims=True)
    high = np.where(seen, xy_px, -np.inf).max(-2)
    low = np.where(seen, xy_px, np.inf).min(-2)
    anyone = seen.any((-2, -1))[..., None]
    return np.linalg.norm(np.where(anyone, high, np.nan) - np.where(anyone, low, 0.0), axis=-1)


def people_seen(keypoints: CameraKeypoints) -> NDArray[np.bool_]:
    """(F, P) rows that hold enough keypoints for a person."""
    fewest = min(_FEWEST_KEYPOINTS, len(keypoints.keypoint_names))
    return np.isfinite(keypoints.xy_px).all(-1).sum(-1) >= fewest


def follow(keypoints: CameraKeypoints) -> NDArray[np.integer]:
    """Follow everyone through the frames of one camera, no further than is certain.

    Two detections are linked where each is the other's nearest, and clearly so; everywhere else a tracklet
    ends: who is who afterwards is for the other views to say. Neither the order of the rows nor the direction
    of time matters.

    Returns:
        (F, P) number of the tracklet that each row belongs to, -1 where there is nobody.
    """
    people = people_seen(keypoints)
    frames = len(people)
    label = np.full(people.shape, -1)
    if not people.any():
        return label
    size = np.nan_to_num(person_size(keypoints.xy_px))
    ends, starts = people.copy(), people.copy()  # who may still be linked onwards, and backwards
    index = np.arange(people.size).reshape(people.shape)
    links: list[NDArray[np.integer]] = []
    limit = _LIMITS[1]
    reach = int(_LONGEST_LOSS_S * frame_rate(keypoints.time_s)) if frames > 1 else 0
    for lag in range(1, min(max(reach, 1), _LONGEST_LOSS_FRAMES, frames - 1) + 1):
        loose = np.flatnonzero(ends[:-lag].any(1) & starts[lag:].any(1))
        if not len(loose):
            continue
        cost = _cost(keypoints, size, loose, loose + lag)
        cost[~(ends[loose][:, :, None] & starts[loose + lag][:, None])] = np.inf
        if lag == 1:
            usual = cost.min(2)[np.isfinite(cost.min(2))]
            limit = np.clip(_UNUSUAL * np.median(usual), *_LIMITS) if len(usual) else _LIMITS[1]
        place, before, after = np.nonzero(_clear(cost) & (cost < limit))
        frame = loose[place]
        # Whoever has an unclear successor must not be linked beyond it: two who cross have changed places.
        near = cost < _FARTHEST
        ends[loose] &= ~near.any(2)
        starts[loose + lag] &= ~near.any(1)
        links.append(np.stack([index[frame, before], index[frame + lag, after]]))
    first, second = np.concatenate(links, 1) if links else np.zeros((2, 0), dtype=int)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(people.size, people.size))
    part = connected_components(graph, directed=False)[1].reshape(people.shape)
    label[people] = np.unique(part[people], return_inverse=True)[1]
    return label


def tracklets(camera: str, keypoints: CameraKeypoints) -> list[Tracklet]:
    """The same people as a list, in the order in which they appear, of several the longest first."""
    label = follow(keypoints)
    frame, row = np.nonzero(label >= 0)
    order = np.argsort(label[frame, row], kind="stable")
    ends = np.cumsum(np.bincount(label[frame, row]))[:-1]
    found = [Tracklet(camera, frame[own], row[own]) for own in np.split(order, ends) if len(own)]
    return sorted(found, key=lambda track: (track.frame[0], -len(track.frame)))


def _cost(
    keypoints: CameraKeypoints, size_px: FloatArray, frame: NDArray[np.integer], later: NDArray[np.integer]
) -> FloatArray:
    """(N, P, P) mean part of the gate that the keypoints of everybody moved between two frames."""
    before, after = keypoints.xy_px[frame][:, :, None], keypoints.xy_px[later][:, None]
    wait = np.abs(keypoints.time_s[later] - keypoints.time_s[frame])[:, None, None]
    size = np.maximum(size_px[frame][:, :, None], size_px[later][:, None])
    gate = np.maximum(size, 1.0) * (_STILL_GATE + _GATE_PER_S * wait)
    with np.errstate(invalid="ignore"):
        moved = np.hypot(before[..., 0] - after[..., 0], before[..., 1] - after[..., 1]) / gate[..., None]
    seen_before, seen_after = np.isfinite(before).all(-1), np.isfinite(after).all(-1)
    shared = (seen_before & seen_after).sum(-1)
    alone = (seen_before ^ seen_after).sum(-1)
    total = np.nan_to_num(np.minimum(moved, 1.0)).sum(-1) + _UNSHARED * alone
    return np.where(shared >= _FEWEST_KEYPOINTS, total / np.maximum(shared + alone, 1), np.inf)


def _clear(cost: FloatArray) -> NDArray[np.bool_]:
    """(N, P, P) pairs that are near, and each of them clearly the nearest to the other."""
    result = cost < _FARTHEST
    for axis in (1, 2):
        nobody = np.full_like(cost.take([0], axis), np.inf)
        ordered = np.partition(np.concatenate([cost, nobody], axis), 1, axis=axis)
        best, second = ordered.take([0], axis), ordered.take([1], axis)
        result &= (cost <= best) & (cost < _CLEARLY * second)
    return result
