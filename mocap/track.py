"""People followed through the frames of one camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mocap.keypoints import CameraKeypoints, FloatArray

_STILL_GATE, _GATE_PER_S = 0.15, 2.0
"""Body sizes that a person moves at most from one frame to the next, and more for each second between."""
_LONGEST_LOSS_S = 0.3
"""A person who was lost for longer is a new one to this camera; the other views join the parts."""
_CROWDED = 0.2
"""Body sizes between two people within which one may be taken for the other."""
_FEWEST_KEYPOINTS = 3
"""Fewer keypoints are no person, unless they are all that a prop has."""


@dataclass(frozen=True)
class Tracklet:
    """One person in consecutive frames of one camera."""

    camera: str
    """The camera's name."""
    frame: NDArray[np.integer]
    """(F,) rising frame numbers."""
    row: NDArray[np.integer]
    """(F,) the person's row in each of these frames."""


@dataclass(eq=False)
class _Open:
    """A tracklet that may still grow."""

    frame: list[int]
    row: list[int]
    crowded: bool


def person_size(xy_px: FloatArray) -> FloatArray:
    """Diagonals of the boxes around keypoints (..., K, 2): (...) pixels, NaN without keypoints."""
    seen = np.isfinite(xy_px).all(-1, keepdims=True)
    high = np.where(seen, xy_px, -np.inf).max(-2)
    low = np.where(seen, xy_px, np.inf).min(-2)
    anyone = seen.any((-2, -1))[..., None]
    return np.linalg.norm(np.where(anyone, high, np.nan) - np.where(anyone, low, 0.0), axis=-1)


def median_distance(a_px: FloatArray, b_px: FloatArray) -> FloatArray:
    """Median distance of the keypoints that both (..., K, 2) have: (...) pixels.

    It is inf where both have fewer than three of them, or not all that a prop of fewer has.
    """
    distance = np.sort(np.linalg.norm(a_px - b_px, axis=-1), axis=-1)  # NaN sorts to the end
    shared = np.isfinite(distance).sum(-1)
    fewest = min(_FEWEST_KEYPOINTS, a_px.shape[-2])
    middle = np.maximum(shared - 1, 0)[..., None]
    low = np.take_along_axis(distance, middle // 2, -1)[..., 0]
    high = np.take_along_axis(distance, (middle + 1) // 2, -1)[..., 0]
    return np.where(shared >= fewest, (low + high) / 2, np.inf)


def tracklets(camera: str, keypoints: CameraKeypoints) -> list[Tracklet]:
    """Follow everyone through the frames of one camera.

    People are linked to where they were last seen. Where two come so near each other that one could be
    taken for the other, tracklets end and new ones begin: who is who afterwards is for the other views to
    say. The order of the rows does not matter.
    """
    fewest = min(_FEWEST_KEYPOINTS, len(keypoints.keypoint_names))
    people = np.isfinite(keypoints.xy_px).all(-1).sum(-1) >= fewest  # (F, P)
    size = person_size(keypoints.xy_px)
    crowded = _crowded(keypoints.xy_px, size, people)
    alive: list[_Open] = []
    done: list[_Open] = []
    for frame in np.flatnonzero(people.any(1)):
        rows = np.flatnonzero(people[frame])
        time = keypoints.time_s[frame]
        lost = [track for track in alive if time - keypoints.time_s[track.frame[-1]] > _LONGEST_LOSS_S]
        done += lost
        alive = [track for track in alive if track not in lost]
        links = _link(alive, keypoints, size, int(frame), rows)
        for row in rows:
            track = links.get(int(row))
            if track is not None and track.crowded == crowded[frame, row]:
                track.frame.append(int(frame))
                track.row.append(int(row))
                continue
            if track is not None:
                alive.remove(track)
                done.append(track)
            alive.append(_Open([int(frame)], [int(row)], bool(crowded[frame, row])))
    found = [Tracklet(camera, np.array(track.frame), np.array(track.row)) for track in done + alive]
    return sorted(found, key=lambda track: (track.frame[0], -len(track.frame)))


def _crowded(xy_px: FloatArray, size_px: FloatArray, people: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(F, P) whether another person of the same frame stands close in the image."""
    result = np.zeros_like(people)
    for row in range(people.shape[1]):
        for other in range(people.shape[1]):
            if other != row:
                near = median_distance(xy_px[:, row], xy_px[:, other]) < _CROWDED * size_px[:, row]
                result[:, row] |= near & people[:, row] & people[:, other]
    return result


def _link(
    alive: list[_Open], keypoints: CameraKeypoints, size_px: FloatArray, frame: int, rows: NDArray[np.integer]
) -> dict[int, _Open]:
    """Which open tracklet each row of a frame continues, all of them together as near as possible."""
    if not alive:
        return {}
    last = [(track.frame[-1], track.row[-1]) for track in alive]
    before = np.stack([keypoints.xy_px[f, p] for f, p in last])
    size = np.array([size_px[f, p] for f, p in last])[:, None]
    wait = keypoints.time_s[frame] - np.array([keypoints.time_s[f] for f, _ in last])[:, None]
    moved = median_distance(before[:, None], keypoints.xy_px[frame, rows][None])
    cost = moved / (size * (_STILL_GATE + _GATE_PER_S * wait))
    cost = np.where(cost < 1, cost, 1e3)
    return {
        int(rows[j]): alive[i] for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < 1
    }
