"""Stage 4: who in one view is who in another, decided over the whole take.

Each camera's people are followed as far as that is certain (``track``); those tracklets of two views whose
viewing rays meet, summed over all the instants that they share, are joined, the surest first
(``people.votes``, ``people.clusters``); the paths that this gives are joined over time by movement, and
across absences by the lengths of bones (``people.joining``); then everybody claims, in every frame, the
detection that is where they should be (``people.claims``), and what is no person is left out
(``people.judge``).

The main actor is the person who fills most of the pictures: over all instants at which enough views see them,
the sum of their size in each picture times the detector's confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.errors import InputError
from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.people.claims import claim, forecast, piece_together
from mocap.people.clusters import cluster
from mocap.people.cuts import cut_jumps
from mocap.people.joining import join
from mocap.people.judge import certainty, judge, reflections
from mocap.people.person import Person, only_person
from mocap.people.sights import Sights, sights
from mocap.people.tracks import Places, places, summed
from mocap.people.votes import Ballot, cut_contradictions, tally, vote
from mocap.people.weak import cut_weak
from mocap.sync import Clock
from mocap.timeline import frame_rate
from mocap.track import people_seen

_FITS = 0.2
"""People in the others' 3D for each picture with anybody, below which something is wrong with a camera."""
_CLAIM_ROUNDS = 2
"""Times that everybody claims their detections and is then placed anew."""


@dataclass(frozen=True)
class Association:
    """Everybody whom enough views see, the main actor first."""

    people: tuple[Person, ...]
    """By falling prominence."""
    notes: tuple[str, ...]
    """Who else was seen, and why they were left out."""


@dataclass(frozen=True)
class Expected:
    """Where one camera should see everybody whom the views agree on, and where it does."""

    xy_px: FloatArray
    """(F, N, K', 2) pixels of some keypoints, NaN where unknown."""
    size_px: FloatArray
    """(F, N) size in the picture, pixels, 0 where unknown."""
    rows: NDArray[np.integer]
    """(F, N) the row of each person, -1 where the camera lacks them."""
    which: NDArray[np.integer]
    """(K',) the keypoints."""
    names: tuple[str, ...]
    """K' names."""


@dataclass(frozen=True)
class _Scene:
    """What the steps share: everything in an order that depends on neither names nor rows."""

    keypoints: dict[str, CameraKeypoints]
    """By camera, rows sorted by what they show."""
    order: dict[str, NDArray[np.integer]]
    """(F, P) by camera: the row that each sorted row was."""
    cameras: Cameras
    """In the same order."""
    taken_s: dict[str, FloatArray]
    """(F,) by camera: its frames on the take's clock."""
    sights: Sights
    """Everybody at common instants."""
    ballot: Ballot
    """Who agrees with whom there."""

    @property
    def names(self) -> list[str]:
        """K names of the keypoints that are compared."""
        every = next(iter(self.keypoints.values())).keypoint_names
        return [every[index] for index in self.sights.keypoint]


def associate(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    clock: Clock,
    *,
    time_s: FloatArray,
    min_views: int = 2,
) -> Association:
    """Find the people of a take and what belongs to each of them in every view.

    Neither the order of cameras and rows nor names matter.

    Args:
        keypoints: what each camera saw, all with the same keypoints.
        cameras: calibrated cameras, among them all that are named in ``keypoints``.
        clock: brings the cameras' own times to the take's clock.
        time_s: (T,) instants of the take's timeline, seconds.
        min_views: fewest views that make a person.

    Raises:
        InputError: nobody is seen by ``min_views`` views that agree.
    """
    scene = _scene(keypoints, cameras, clock, time_s)
    found, reasons = _found(scene, min_views)
    if not len(found.person):
        return _nobody(keypoints, min_views)
    people = _people(scene, found)
    return Association(tuple(people), (*_counted(reasons), *_unexplained(people, keypoints)))


def expected(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    clock: Clock,
    *,
    time_s: FloatArray,
    min_views: int = 2,
) -> dict[str, Expected]:
    """By camera where everybody should be seen; arguments are those of ``associate``. Nobody: empty."""
    scene = _scene(keypoints, cameras, clock, time_s)
    found, _ = _found(scene, min_views)
    if not len(found.person):
        return {}
    rows = _claims(scene, found)
    result: dict[str, Expected] = {}
    for name in keypoints:
        seen = forecast(found, scene.sights.time_s, scene.cameras[name], scene.taken_s[name])
        result[name] = Expected(
            seen.xy_px, seen.size_px, rows[name], scene.sights.keypoint, tuple(scene.names)
        )
    return result


def _found(scene: _Scene, min_views: int) -> tuple[Places, list[str]]:
    """Where everybody is, the main actor first, and why others were left out."""
    label = _clusters(scene)
    found = places(scene.sights, label, min_views)
    found, reasons = _sorted_out(scene, _joined(scene, found))
    for _ in range(_CLAIM_ROUNDS):
        label = _labels(scene, _claims(scene, found))
        found = places(scene.sights, label, min_views)
        found, more = _sorted_out(scene, _joined(scene, found))
        reasons += more
    return found, reasons


def _scene(
    keypoints: Mapping[str, CameraKeypoints], cameras: Cameras, clock: Clock, time_s: FloatArray
) -> _Scene:
    """Cameras by where they stand, rows by what they show."""
    cameras = cameras[list(keypoints)]
    center = cameras.centers_world.numpy()
    names = [cameras.names[index] for index in np.lexsort(center.T)]
    views: dict[str, CameraKeypoints] = {}
    order: dict[str, NDArray[np.integer]] = {}
    for name in names:
        view = keypoints[name]
        there = np.isfinite(view.xy_px).all(-1, keepdims=True)
        middle = np.where(there, view.xy_px, 0.0).sum(2) / np.maximum(there.sum(2), 1)
        middle[~there.any((2, 3))] = np.inf
        order[name] = np.lexsort((middle[..., 1], middle[..., 0]), axis=1)
        views[name] = replace(
            view,
            xy_px=np.take_along_axis(view.xy_px, order[name][..., None, None], 1),
            score=np.take_along_axis(view.score, order[name][..., None], 1),
        )
    taken_s = {name: clock.take_time(name, view.time_s) for name, view in views.items()}
    rate_hz = frame_rate(time_s) if len(time_s) > 1 else 1.0
    seen = sights(views, cameras[names], taken_s, time_s, rate_hz)
    ballot = vote(seen)
    return _Scene(views, order, cameras[names], taken_s, cut_contradictions(seen, ballot), ballot)


def _clusters(scene: _Scene) -> NDArray[np.integer]:
    """(C, T, P) number of the cluster of each detection, -1 where nobody is."""
    tracklet = scene.sights.tracklet
    votes, _ = tally(scene.ballot, tracklet.reshape(-1))
    label = np.where(tracklet >= 0, np.append(cluster(tracklet, votes), -1)[tracklet], -1)
    return cut_weak(scene.sights, scene.ballot, label)


def _joined(scene: _Scene, found: Places) -> Places:
    """Paths without jumps, those of one person joined."""
    found = cut_jumps(found, scene.sights.rate_hz)
    return found.named(join(found, scene.names, scene.sights.rate_hz))


def _sorted_out(scene: _Scene, found: Places) -> tuple[Places, list[str]]:
    """Those who are people, the one who fills most of the pictures first, and why the others are none."""
    prominence = summed(found.person, found.prominence)
    names, rate_hz = scene.names, scene.sights.rate_hz
    take_s = len(scene.sights.time_s) / rate_hz
    cameras = len(scene.cameras)
    verdicts = judge(found, prominence, names, rate_hz=rate_hz, take_s=take_s, cameras=cameras)
    keep = np.array([not reason for reason in verdicts], dtype=bool)
    rank = np.full(len(keep), -1)
    order = np.argsort(-np.where(keep, prominence, -1.0), kind="stable")[: int(keep.sum())]
    rank[order] = np.arange(len(order))
    found = found.named(rank[found.person])
    reasons = [reason for reason in verdicts if reason]
    images = reflections(found, names, rate_hz)
    if images:
        rank = np.arange(len(order))
        rank[images] = -1
        rank[rank >= 0] = np.arange(len(order) - len(images))
        found = found.named(rank[found.person])
        reasons += ["a reflection: one plane maps another person onto it"] * len(images)
    return found, reasons


def _claims(scene: _Scene, found: Places) -> dict[str, NDArray[np.integer]]:
    """By camera: (F, N) the row of everybody in each frame."""
    rows: dict[str, NDArray[np.integer]] = {}
    for name, view in scene.keypoints.items():
        expected = forecast(found, scene.sights.time_s, scene.cameras[name], scene.taken_s[name])
        rows[name] = claim(view, scene.sights.keypoint, expected)
    return rows


def _labels(scene: _Scene, rows: Mapping[str, NDArray[np.integer]]) -> NDArray[np.integer]:
    """(C, T, P) whom each detection shows, by everybody's rows."""
    label = np.full_like(scene.sights.row, -1)
    for camera, own in enumerate(rows.values()):
        at = own[scene.sights.frame[camera]]  # (T, N)
        time, person = np.nonzero(at >= 0)
        label[camera, time, at[time, person]] = person
    return np.where(scene.sights.row >= 0, label, -1)


def _people(scene: _Scene, found: Places) -> list[Person]:
    """What belongs to everybody, in the order of the rows that the cameras gave."""
    count = int(found.person.max()) + 1
    rows: list[dict[str, NDArray[np.integer]]] = [{} for _ in range(count)]
    pieces: list[dict[str, NDArray[np.integer]]] = [{} for _ in range(count)]
    claimed: dict[str, NDArray[np.integer]] = {}
    for name, view in scene.keypoints.items():
        expected = forecast(found, scene.sights.time_s, scene.cameras[name], scene.taken_s[name])
        claimed[name] = own = claim(view, scene.sights.keypoint, expected)
        every = piece_together(view, scene.sights.keypoint, expected, own)
        given = np.pad(scene.order[name], ((0, 0), (0, 1)), constant_values=-1)  # -1 stays -1
        frame = np.arange(len(own))
        for person in range(count):
            rows[person][name] = given[frame, own[:, person]]
            pieces[person][name] = given[frame[:, None], every[:, person]]
    label = _labels(scene, claimed)
    sure = certainty(found, scene.ballot, label, scene.sights.rate_hz)
    prominence = summed(found.person, found.prominence)
    return [
        Person(rows[person], pieces[person], float(prominence[person]), float(sure[person]), (person + 1,))
        for person in range(count)
    ]


def _nobody(keypoints: Mapping[str, CameraKeypoints], min_views: int) -> Association:
    """One person in every view is taken on trust; anything else is an error."""
    alone = only_person(keypoints)
    if alone is None or alone.prominence == 0:
        raise InputError(
            f"nobody is seen by {min_views} cameras that agree",
            todo="check the calibration, the offsets in sync.json and the keypoints",
        )
    note = "one person in every view, but the views do not agree: check calibration and offsets"
    return Association((alone,), (note,))


def _counted(reasons: list[str]) -> list[str]:
    """Each kind of reason once, with how many were left out for it."""
    kinds = [reason.split(":")[0] for reason in reasons]
    more = {kind: f" (and {kinds.count(kind) - 1} more)" * (kinds.count(kind) > 1) for kind in kinds}
    return [f"left out: {reasons[kinds.index(kind)]}{text}" for kind, text in more.items()]


def _unexplained(people: list[Person], keypoints: Mapping[str, CameraKeypoints]) -> list[str]:
    """One sentence for each camera with detections that are nobody's."""
    notes: list[str] = []
    for name, view in keypoints.items():
        spare = people_seen(view)
        seen = spare.any(1).sum()
        if seen and sum((person.rows[name] >= 0).sum() for person in people) < _FITS * seen:
            notes.append(
                f"{name}: hardly anybody it sees fits the other views: another take, an exchanged name, "
                "mirrored footage, a clock that is off, or a camera that was moved"
            )
        for person in people:
            frame = np.flatnonzero(person.rows[name] >= 0)
            spare[frame, person.rows[name][frame]] = False
            frame, keypoint = np.nonzero(person.pieces[name] >= 0)
            spare[frame, person.pieces[name][frame, keypoint]] = False
        if spare.any():
            notes.append(f"{name}: {int(spare.sum())} detections fit no other view")
    return notes
