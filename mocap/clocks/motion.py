"""Clocks from the people whom calibrated cameras film: found within seconds, then to milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.associate import associate
from mocap.clocks.coarse import Rays, all_agreements, rays_of
from mocap.clocks.fine import GRID_S, Sight, Subject, Tuned, tune
from mocap.clocks.mistaken import mistakes
from mocap.clocks.placing import Placed, place
from mocap.errors import InputError
from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.metrics import LIMB_KEYPOINTS
from mocap.observations import deviation
from mocap.sync import CameraClock, Clock
from mocap.track import person_size

_TELLING = (*LIMB_KEYPOINTS, "nose", "left_heel", "right_heel")
"""Keypoints that are compared: those that move most for their errors."""
_WHOLE_S = 40.0
"""A take up to this long is compared throughout; of a longer one, windows."""
_WINDOW_S, _WINDOWS = 4.0, 14
"""Length and number of windows of a long take; they crowd towards its ends, where drift shows."""
_BORNE_OUT = 0.3
"""Share of a camera's keypoints that the others must bear out at its best clock."""
_AMBIGUOUS = 0.93
"""Agreement at another offset, in parts of the best, from which on that offset is no worse."""
_ADVICE = (
    "check that its clip is of this take, that no two cameras' names are exchanged, that the picture is not "
    "mirrored, and how far its start is off (sync.max_shift_s)"
)
_LEAST_S, _LEAST_BLOCKS = 0.8, 3
"""Seconds of motion, and independent stretches of it, below which nothing is said."""


@dataclass(frozen=True)
class MotionClocks:
    """What the motion of the people says of the clocks."""

    names: tuple[str, ...]
    """The cameras that fit together; the first has offset 0 and drift 0."""
    tuned: Tuned | None
    """Their clocks; None where the motion tells nothing."""
    agreement: Mapping[str, float]
    """How well each camera's rays meet those of the others at its best offset, at most 1."""
    ambiguous: tuple[str, ...]
    """Cameras whose people would agree as well at another offset."""
    place_world: FloatArray | None
    """(3,) about where the people are, metres; None where no cameras fit together."""
    strangers: Mapping[str, str]
    """Cameras that fit the others at no offset that was tried, and how that shows."""


def clocks_from_motion(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    guess_s: Mapping[str, float],
    reach_s: float,
) -> MotionClocks:
    """Find the clocks of calibrated cameras from 2D keypoints of anybody who moves.

    Args:
        keypoints: what each camera saw, people in no particular order.
        cameras: calibrated cameras, among them all that are named in ``keypoints``.
        guess_s: first guess of each offset, seconds.
        reach_s: how far from it to look.
    """
    names = list(keypoints)
    which = _telling(keypoints)
    rays = {
        name: rays_of(view, cameras[name], [view.keypoint_names.index(one) for one in which])
        for name, view in keypoints.items()
    }
    seen = {name: one for name, one in rays.items() if one.direction.shape[1] > 0}
    placed = place(list(seen), all_agreements(seen, guess_s, reach_s), guess_s)
    strangers = _strangers(names, seen, placed, reach_s)

    def explained() -> dict[str, str]:
        fit = replace(placed, offset_s={name: placed.offset_s[name] for name in kept if len(kept) > 1})
        if len(fit.offset_s) == len(seen):
            return strangers
        return strangers | mistakes(keypoints, cameras, which, seen, fit, guess_s, reach_s)

    kept = [name for name in names if name in placed.offset_s]
    while len(kept) >= 2:
        offset_s = np.array([placed.offset_s[name] for name in kept])
        tuned = _refine({name: keypoints[name] for name in kept}, cameras[kept], offset_s, which)
        if tuned is None:
            break
        share = dict(zip(kept, tuned.share.tolist(), strict=True))
        wrong = [name for name in kept if share[name] < _BORNE_OUT]
        if not wrong or len(kept) == 2:
            unsure = [name for name in kept if placed.rival[name] > _AMBIGUOUS]
            return MotionClocks(
                tuple(kept),
                tuned,
                placed.agreement,
                tuple(unsure),
                _place([rays[name] for name in kept]),
                explained(),
            )
        worst = min(wrong, key=share.__getitem__)
        strangers[worst] = f"only {100 * share[worst]:.0f} % of it fit the other views; {_ADVICE}"
        kept.remove(worst)
    return MotionClocks((), None, placed.agreement, (), None, explained())


def _telling(keypoints: Mapping[str, CameraKeypoints]) -> list[str]:
    """The keypoints to compare, among those that all views have."""
    shared = set.intersection(*(set(view.keypoint_names) for view in keypoints.values()))
    first = next(iter(keypoints.values())).keypoint_names
    told = [name for name in first if name in shared and name in _TELLING]
    return told if len(told) >= 6 else [name for name in first if name in shared]


def _strangers(
    names: Sequence[str], seen: Mapping[str, object], placed: Placed, reach_s: float
) -> dict[str, str]:
    """Why some cameras were not placed."""
    if not placed.offset_s:
        return {}
    best = max(placed.agreement.values())
    told = {}
    for name in names:
        if name in placed.offset_s:
            continue
        if name not in seen:
            told[name] = "nobody is seen in it"
            continue
        told[name] = (
            f"at no offset within {reach_s:.0f} s do its people fit those of the other cameras "
            f"(agreement {placed.agreement[name]:.2f}, the others {best:.2f}); {_ADVICE}"
        )
    return told


def _place(rays: Sequence[Rays]) -> FloatArray:
    """(3,) the point nearest to the views' mean rays, metres."""
    information, pull = 1e-9 * np.eye(3), np.zeros(3)
    for one in rays:
        mean = np.nanmean(one.direction.reshape(-1, 3), axis=0)
        across = np.eye(3) - np.outer(mean, mean) / float(mean @ mean)
        information += across
        pull += across @ one.origin
    return np.linalg.solve(information, pull)


def _refine(
    keypoints: Mapping[str, CameraKeypoints], cameras: Cameras, offset_s: FloatArray, which: Sequence[str]
) -> Tuned | None:
    """Fine clocks relative to the first camera; None where hardly anything is seen by two."""
    offset_s = offset_s - offset_s[0]
    subjects: list[Subject] = []
    for begin, end in _windows(keypoints, offset_s):
        subjects += _subjects(keypoints, cameras, offset_s, (begin, end), which)
    if sum(len(subject.time_s) for subject in subjects) * GRID_S < _LEAST_S:
        return None
    held = np.zeros(len(cameras), bool)
    held[0] = True
    tuned = tune(subjects, cameras, offset_s, np.zeros(len(cameras)), held)
    return tuned if tuned.blocks >= _LEAST_BLOCKS else None


def _windows(keypoints: Mapping[str, CameraKeypoints], offset_s: FloatArray) -> list[tuple[float, float]]:
    """Stretches of the take's time that are compared, seconds."""
    first = np.sort([view.time_s[0] + own for view, own in zip(keypoints.values(), offset_s, strict=True)])
    last = np.sort([view.time_s[-1] + own for view, own in zip(keypoints.values(), offset_s, strict=True)])
    begin, end = float(first[1]), float(last[-2])
    if end - begin <= max(_WHOLE_S, 1.2 * _WINDOW_S * _WINDOWS):
        return [(begin, end)]
    part = 0.5 - 0.5 * np.cos(np.pi * (np.arange(_WINDOWS) + 0.5) / _WINDOWS)
    starts = begin + part * (end - begin - _WINDOW_S)
    starts = np.maximum.accumulate(np.maximum(starts, begin + _WINDOW_S * np.arange(_WINDOWS)))
    starts = np.minimum(starts, end - _WINDOW_S * np.arange(_WINDOWS, 0, -1))
    return [(float(start), float(start) + _WINDOW_S) for start in starts]


def _subjects(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    offset_s: FloatArray,
    window: tuple[float, float],
    which: Sequence[str],
) -> list[Subject]:
    """Everybody whom two cameras see in one window."""
    parts = {
        name: _cut(view, window[0] - own - 0.3, window[1] - own + 0.3)
        for (name, view), own in zip(keypoints.items(), offset_s, strict=True)
    }
    parts = {name: part for name, part in parts.items() if len(part.time_s) > 4}
    if len(parts) < 2:
        return []
    time_s = np.arange(window[0], window[1], GRID_S)
    clock = Clock({name: CameraClock(float(own)) for name, own in zip(keypoints, offset_s, strict=True)})
    subjects = []
    for rows in _people(parts, cameras, clock, time_s):
        sights = [_sight(parts[name], rows[name], which) if name in parts else None for name in keypoints]
        if sum(sight is not None for sight in sights) >= 2:
            subjects.append(Subject(time_s, sights))
    return subjects


def _people(
    parts: Mapping[str, CameraKeypoints], cameras: Cameras, clock: Clock, time_s: FloatArray
) -> list[Mapping[str, NDArray[np.integer]]]:
    """Rows of each person in every frame of each camera."""
    there = {name: np.any(~np.isnan(part.xy_px[..., 0]), axis=-1) for name, part in parts.items()}
    if all(int(one.sum(1).max(initial=0)) <= 1 for one in there.values()):
        return [{name: np.where(one.any(axis=1), one.argmax(axis=1), -1) for name, one in there.items()}]
    try:
        found = associate(parts, cameras[list(parts)], clock, time_s=time_s)
    except InputError:  # nobody whom two views agree on, in this stretch
        return []
    return [person.rows for person in found.people]


def _cut(view: CameraKeypoints, begin_s: float, end_s: float) -> CameraKeypoints:
    keep = (view.time_s >= begin_s) & (view.time_s <= end_s)
    return replace(view, time_s=view.time_s[keep], xy_px=view.xy_px[keep], score=view.score[keep])


def _sight(view: CameraKeypoints, rows: NDArray[np.integer], which: Sequence[str]) -> Sight | None:
    """One person in one view; None where hardly seen."""
    there = np.flatnonzero(rows >= 0)
    if len(there) < 5:
        return None
    xy, score = view.xy_px[there, rows[there]], view.score[there, rows[there]]
    size = float(np.nanmedian(person_size(xy)))
    columns = [view.keypoint_names.index(name) for name in which]
    sigma = deviation(score, view.keypoint_names) * size
    return Sight(view.time_s[there], xy[:, columns], sigma[:, columns], size)
