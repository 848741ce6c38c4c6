"""Stage 4: who in one view is who in another, decided over the whole take.

Each camera's people are followed through its frames (``track``); then those tracklets of two views whose
viewing rays meet, keypoint for keypoint, summed over all the frames they share, are joined, the surest
first. A tracklet joins a person only if it suits all the views that person already has.

The main actor is the person who fills most of the pictures: over all frames in which enough views see them,
the sum of their size in each picture times the detector's confidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.errors import InputError
from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.sync import Clock
from mocap.timeline import frame_rate, resample
from mocap.track import Tracklet, median_distance, person_size, tracklets

_MISS_SCALE = 0.1
"""Body sizes by which two rays may pass each other before they speak against one person rather than for."""
_LEAST_AGREEMENT = 0.25
"""Mean agreement (1 = rays meet, -1 = they miss) below which two groups of tracklets stay apart."""
_PARALLEL_SIN = 0.05
"""Sine of an angle below which two rays pass near each other whatever they show."""
_SAME_TIME_SHARE = 0.05
"""Two tracks of one person seen at different times may overlap by this share of the shorter one."""
_ALIKE = 0.5
"""A later track continues the main actor if it fills the picture at least this much as they did."""
_FAR = 0.3
"""Body sizes beyond which a detection is not the person whose 3D keypoints were projected."""


@dataclass(frozen=True)
class Person:
    """One person in all views of a take."""

    rows: Mapping[str, NDArray[np.integer]]
    """By camera: (F,) the person's row in each frame of that camera, -1 where absent."""
    prominence: float
    """How much of the pictures the person fills, summed over views and time."""


@dataclass(frozen=True)
class Association:
    """Everybody whom enough views see, the main actor first."""

    people: tuple[Person, ...]
    """By falling prominence."""
    notes: tuple[str, ...]
    """Who else was seen, and why they are not the main actor."""


@dataclass(frozen=True)
class _Sight:
    """A tracklet on the take's timeline, as viewing rays."""

    tracklet: Tracklet
    """Where it came from."""
    present: NDArray[np.bool_]
    """(T,) instants at which it exists."""
    start: int
    """First such instant; the arrays below begin there."""
    origin: FloatArray
    """(3,) the camera's centre, metres, world frame."""
    direction: FloatArray
    """(L, K, 3) unit viewing rays, world frame, NaN where unseen."""
    angle: FloatArray
    """(L,) the person's size as seen from the camera, radians."""
    prominence: FloatArray
    """(T,) share of the picture's height times mean score, 0 where absent."""


def associate(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    clock: Clock,
    *,
    time_s: FloatArray,
    min_views: int = 2,
) -> Association:
    """Find the people of a take and what belongs to each of them in every view.

    Args:
        keypoints: what each camera saw, all with the same keypoints.
        cameras: calibrated cameras, among them all that are named in ``keypoints``.
        clock: brings the cameras' own times to the take's clock.
        time_s: (T,) instants of the take's timeline, seconds.
        min_views: fewest views that make a person.

    Raises:
        InputError: nobody is seen by ``min_views`` views that agree.
    """
    sights = [sight for name in keypoints for sight in _sights(name, keypoints[name], cameras, clock, time_s)]
    groups = _group(sights)
    people = [group for group in groups if len({sight.tracklet.camera for sight in group}) >= min_views]
    notes: list[str] = []
    if not people and sights and all(_most_at_once(view) <= 1 for view in keypoints.values()):
        people, groups = [sights], [sights]
        notes.append("one person in every view, but the views do not agree: check calibration and offsets")
    if not people:
        raise InputError(
            f"nobody is seen by {min_views} cameras that agree",
            todo="check the calibration, the offsets in sync.json and the keypoints",
        )
    people = _join_absences(people, min_views)
    people.sort(key=lambda group: -_prominence(group, min_views).sum())
    notes += _notes(people, groups, keypoints, min_views)
    return Association(tuple(_person(group, keypoints, min_views) for group in people), tuple(notes))


def claim(
    keypoints: CameraKeypoints, predicted_px: FloatArray, rows: NDArray[np.integer]
) -> NDArray[np.integer]:
    """Correct a person's rows in one camera by where their 3D keypoints should appear.

    This repairs a tracklet that ran on from one person to another where they crossed, and finds the person
    in frames that no tracklet covered.

    Args:
        keypoints: what the camera saw.
        predicted_px: (F, K, 2) the person's projected keypoints at each frame, NaN where unknown.
        rows: (F,) the rows so far, kept where the prediction says nothing.

    Returns:
        (F,) the nearest row, -1 where none is near.
    """
    if keypoints.xy_px.shape[1] == 0:
        return rows
    distance = median_distance(keypoints.xy_px, predicted_px[:, None])  # (F, P)
    known = np.isfinite(predicted_px).all(-1).sum(-1) >= predicted_px.shape[1] / 2
    nearest = distance.argmin(1)
    near = distance.min(1) < _FAR * np.nan_to_num(person_size(predicted_px))
    return np.where(known, np.where(near, nearest, -1), rows)


def _most_at_once(keypoints: CameraKeypoints) -> int:
    """Most people in one frame."""
    return int(np.isfinite(keypoints.xy_px).all(-1).any(-1).sum(1).max(initial=0))


def _sights(
    name: str, keypoints: CameraKeypoints, cameras: Cameras, clock: Clock, time_s: FloatArray
) -> list[_Sight]:
    """Everyone whom one camera saw, on the take's timeline."""
    camera = cameras[name]
    origin = camera.centers_world[0].numpy()
    focal_px = float(camera.focal_px.mean())
    taken_s = clock.take_time(name, keypoints.time_s)
    period_s = 1 / frame_rate(taken_s)
    result: list[_Sight] = []
    for track in tracklets(name, keypoints):
        xy = resample(
            taken_s[track.frame], keypoints.xy_px[track.frame, track.row], time_s, period_s=period_s
        )
        score = resample(
            taken_s[track.frame], keypoints.score[track.frame, track.row], time_s, period_s=period_s
        )
        present = np.isfinite(xy).all(-1).any(-1)
        if not present.any():
            continue
        start, end = np.flatnonzero(present)[[0, -1]]
        xy, seen = xy[start : end + 1], present[start : end + 1]
        rays = camera.rays(torch.as_tensor(xy.reshape(1, -1, 2)))
        size = np.nan_to_num(person_size(xy))
        filled = np.zeros(len(time_s))
        filled[start : end + 1] = size / keypoints.size_px[1]
        filled[present] *= np.nan_to_num(score[present]).mean(-1)
        direction = rays.direction_world.numpy().reshape(*xy.shape[:2], 3)
        result.append(
            _Sight(
                track, present, int(start), origin, direction, np.where(seen, size / focal_px, np.nan), filled
            )
        )
    return result


def _agreement(a: _Sight, b: _Sight) -> tuple[float, int]:
    """How well the rays of two tracklets of different views meet.

    Each shared keypoint of a frame counts from 1 (the rays meet) to -1 (they pass each other by more than
    1.4 times the scale, or meet behind a camera), so that one wrong limb does not lose the person.

    Returns:
        The sum over shared frames of the mean over keypoints, and the number of shared frames.
    """
    start = max(a.start, b.start)
    end = min(a.start + len(a.angle), b.start + len(b.angle))
    if end <= start:
        return 0.0, 0
    ray_a, ray_b = (s.direction[start - s.start : end - s.start] for s in (a, b))
    angle_a, angle_b = (s.angle[start - s.start : end - s.start, None] for s in (a, b))
    cosine = (ray_a * ray_b).sum(-1)
    squared_sine = np.maximum(1 - cosine**2, _PARALLEL_SIN**2)
    baseline = b.origin - a.origin
    along_a, along_b = (baseline * ray_a).sum(-1), (baseline * ray_b).sum(-1)
    depth_a = (along_a - cosine * along_b) / squared_sine
    depth_b = (cosine * along_a - along_b) / squared_sine
    miss = np.linalg.norm(baseline + depth_b[..., None] * ray_b - depth_a[..., None] * ray_a, axis=-1)
    size = (depth_a * angle_a + depth_b * angle_b) / 2
    ahead = (depth_a > 0) & (depth_b > 0)
    vote = np.where(ahead, 1 - (miss / np.where(ahead, size * _MISS_SCALE, 1.0)) ** 2, -1.0)
    vote = np.where(np.isfinite(cosine) & np.isfinite(size), np.maximum(vote, -1.0), np.nan)
    shared = np.isfinite(vote).any(-1)
    return float(np.nanmean(vote[shared], axis=-1).sum()), int(shared.sum())


def _group(sights: Sequence[_Sight]) -> list[list[_Sight]]:
    """Join tracklets greedily, the pair of groups with the largest sum of agreement first."""
    count = len(sights)
    total, shared = np.zeros((count, count)), np.zeros((count, count))
    apart = np.eye(count, dtype=bool)
    for i in range(count):
        for j in range(i):
            if sights[i].tracklet.camera == sights[j].tracklet.camera:
                apart[i, j] = apart[j, i] = bool((sights[i].present & sights[j].present).any())
            else:
                sum_, frames = _agreement(sights[i], sights[j])
                total[i, j] = total[j, i] = sum_
                shared[i, j] = shared[j, i] = frames
    members: list[list[int]] = [[i] for i in range(count)]
    while count:
        allowed = ~apart & (total > 0) & (total >= _LEAST_AGREEMENT * shared)
        value = np.where(allowed, total, 0.0)
        i, j = np.unravel_index(int(value.argmax()), value.shape)
        if value[i, j] <= 0:
            break
        members[i] += members[j]
        members[j] = []
        for table in (total, shared):
            table[i] += table[j]
            table[:, i] = table[i]
            table[j] = table[:, j] = 0
        apart[i] |= apart[j]
        apart[:, i] = apart[i]
        apart[j] = apart[:, j] = True
        apart[i, i] = True
    return [[sights[k] for k in group] for group in members if group]


def _prominence(group: Sequence[_Sight], min_views: int) -> FloatArray:
    """(T,) how much of the pictures a group fills at each instant that enough views see it."""
    views = np.sum([sight.present for sight in group], axis=0)
    return np.where(views >= min_views, np.sum([sight.prominence for sight in group], axis=0), 0.0)


def _join_absences(groups: list[list[_Sight]], min_views: int) -> list[list[_Sight]]:
    """Join groups that are never there together and fill the picture alike: one person who was away."""
    joined: list[list[_Sight]] = []
    for group in sorted(groups, key=lambda group: -_prominence(group, min_views).sum()):
        filled = _prominence(group, min_views)
        for person in joined:
            before = _prominence(person, min_views)
            together = ((filled > 0) & (before > 0)).sum()
            alike = filled[filled > 0].mean() >= _ALIKE * before[before > 0].mean() if filled.any() else False
            if alike and together <= _SAME_TIME_SHARE * (filled > 0).sum():
                person.extend(group)
                break
        else:
            joined.append(list(group))
    return joined


def _person(group: Sequence[_Sight], keypoints: Mapping[str, CameraKeypoints], min_views: int) -> Person:
    """The rows of a group in every camera; of two tracklets in one frame the longer counts."""
    rows = {name: np.full(len(view.time_s), -1) for name, view in keypoints.items()}
    for sight in sorted(group, key=lambda sight: len(sight.tracklet.frame)):
        rows[sight.tracklet.camera][sight.tracklet.frame] = sight.tracklet.row
    return Person(rows, float(_prominence(group, min_views).sum()))


def _notes(
    people: Sequence[Sequence[_Sight]],
    groups: Sequence[Sequence[_Sight]],
    keypoints: Mapping[str, CameraKeypoints],
    min_views: int,
) -> list[str]:
    """One sentence for each person who is not the main actor, and one for the rest."""
    most = float(_prominence(people[0], min_views).sum())
    notes: list[str] = []
    for group in people[1:]:
        names = {sight.tracklet.camera for sight in group}
        share = 100 * float(_prominence(group, min_views).sum()) / max(most, 1e-12)
        views = ", ".join(name for name in keypoints if name in names)
        notes.append(f"a person in {views} fills {share:.0f} % as much of the pictures as the main actor")
    kept = {id(sight) for group in people for sight in group}
    lone = [sight for group in groups for sight in group if id(sight) not in kept]
    for name in keypoints:
        frames = sum(len(sight.tracklet.frame) for sight in lone if sight.tracklet.camera == name)
        if frames:
            notes.append(f"{name}: {frames} detections fit no other view")
    return notes
