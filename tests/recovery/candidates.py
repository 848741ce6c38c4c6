"""People as a bottom-up detector gives them: limbs missing or a neighbour's, halves, doubles, scraps.

Such a detector finds keypoints first and then guesses whose they are. Each fault lasts a few frames, as real
ones do, and none of them is known to the other views.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mocap.keypoints import CameraKeypoints
from tests.mocap.conftest import NAMES
from tests.recovery.people_scene import Scene


def _of(side: str, *parts: str) -> list[int]:
    return [i for i, name in enumerate(NAMES) if name.startswith(side) and any(p in name for p in parts)]


_ARM, _LEG = ("elbow", "wrist"), ("knee", "ankle", "heel", "toe")
LIMBS = [_of(side, *parts) for side in ("left", "right") for parts in (_ARM, _LEG)]
HEAD = [i for i, name in enumerate(NAMES) if "nose" in name or "ear" in name]
LOWER = _of("", "hip", *_LEG)
UPPER = [i for i in range(len(NAMES)) if i not in LOWER]


@dataclass(frozen=True)
class Faults:
    """How often what goes wrong, as shares of the detections."""

    limb: float = 0.15
    """A limb or the head is missing."""
    half: float = 0.06
    """The upper or the lower half is missing."""
    split: float = 0.06
    """The lower half or a leg is somebody of its own."""
    double: float = 0.06
    """Somebody is there twice, the second time with left and right exchanged, and not all of them."""
    stolen: float = 0.25
    """Of two who overlap in the picture, a limb is given to the other."""
    merged: float = 0.08
    """Of two who overlap in the picture, the upper half of one and the lower half of the other are one."""
    scrap: float = 0.1
    """Three to five keypoints of somebody, off, are another person."""
    sides: float = 0.02
    """Left and right are exchanged."""


def bottom_up(scene: Scene, faults: Faults | None = None, seed: int = 0) -> Scene:
    """The same take as such a detector would give it; rows that are nobody's main one are labelled -1."""
    rng = np.random.default_rng([seed, 77])
    keypoints, who = {}, {}
    for name, view in scene.keypoints.items():
        keypoints[name], who[name] = _view(view, scene.who[name], scene.xyz.shape[1], faults or Faults(), rng)
    return replace(scene, keypoints=keypoints, who=who)


def _view(
    view: CameraKeypoints, label: np.ndarray, count: int, faults: Faults, rng: np.random.Generator
) -> tuple[CameraKeypoints, np.ndarray]:
    frames = len(view.time_s)
    people = np.full((frames, count, *view.xy_px.shape[2:]), np.nan)
    for person in range(count):
        frame, row = np.nonzero(label == person)
        people[frame, person] = view.xy_px[frame, row]
    false = np.where((label == -2)[..., None, None], view.xy_px, np.nan)
    whole = people.copy()

    def when(share: float) -> np.ndarray:
        """(F,) bursts of four frames or so that cover this share."""
        start = rng.random(frames) < share / 4
        length = rng.geometric(0.25, frames)
        at = np.zeros(frames + 1)
        np.add.at(at, np.flatnonzero(start), 1)
        np.add.at(at, np.minimum(np.flatnonzero(start) + length[start], frames), -1)
        return np.cumsum(at)[:frames] > 0

    extra: list[np.ndarray] = [false]
    for person in range(count):
        for limb in (*LIMBS, HEAD):
            people[np.ix_(when(faults.limb / 4), [person], limb)] = np.nan
        for half in (UPPER, LOWER):
            people[np.ix_(when(faults.half / 2), [person], half)] = np.nan
        for part in (LOWER, LIMBS[1], LIMBS[3]):
            extra.append(_moved(people, person, part, when(faults.split / 3)))
        extra.append(_double(whole[:, person], when(faults.double), rng))
        extra.append(_scrap(whole[:, person], when(faults.scrap), rng))
        wrong = np.flatnonzero(when(faults.sides))
        people[wrong, person] = people[wrong, person][:, _exchanged()]
    for one in range(count):
        for other in range(one):
            near = _overlap(whole[:, one], whole[:, other])
            _mix(people, one, other, near, faults, when, rng)
    rows = np.concatenate([people, *(part[:, None] if part.ndim == 3 else part for part in extra)], 1)
    label = np.full(rows.shape[:2], -1)
    label[:, :count] = np.arange(count)
    label[:, count : count + false.shape[1]] = -2
    empty = np.isfinite(rows).all(-1).sum(-1) < 3
    label[empty] = -1
    order = np.argsort(empty + rng.random(empty.shape), axis=1)[:, : int((~empty).sum(1).max())]
    rows = np.take_along_axis(rows, order[..., None, None], 1)
    label = np.take_along_axis(label, order, 1)
    rows[np.isfinite(rows).all(-1).sum(-1) < 3] = np.nan
    score = np.where(np.isfinite(rows).all(-1), rng.uniform(0.35, 1.04, rows.shape[:3]), np.nan)
    return replace(view, xy_px=rows, score=score), label


def _exchanged() -> list[int]:
    other = {"left": "right", "right": "left"}
    return [
        NAMES.index(name.replace(side, other[side])) if (side := name.split("_")[0]) in other else index
        for index, name in enumerate(NAMES)
    ]


def _moved(people: np.ndarray, person: int, part: list[int], at: np.ndarray) -> np.ndarray:
    """(F, K, 2) a part of somebody as somebody of its own; they lose it."""
    row = np.full((len(people), *people.shape[2:]), np.nan)
    where = np.ix_(at, part)
    row[where] = people[:, person][where]
    people[np.ix_(at, [person], part)] = np.nan
    return row


def _double(own: np.ndarray, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    row = own[:, _exchanged()] + rng.normal(0, 4, own.shape)
    row[rng.random(own.shape[:2]) < 0.4] = np.nan
    row[~at] = np.nan
    return row


def _scrap(own: np.ndarray, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    row = np.full_like(own, np.nan)
    for frame in np.flatnonzero(at):
        which = rng.choice(own.shape[1], rng.integers(3, 6), replace=False)
        row[frame, which] = own[frame, which] + rng.normal(0, 25, (len(which), 2))
    return row


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(F,) where two are nearer in the picture than half their height."""
    known = np.isfinite(a).all((1, 2)) & np.isfinite(b).all((1, 2))
    high = np.where(known, np.ptp(np.nan_to_num(a[..., 1]), axis=1), 1.0)
    apart = np.linalg.norm(np.nan_to_num(a.mean(1) - b.mean(1)), axis=-1)
    return known & (apart < 0.35 * high)


def _mix(
    people: np.ndarray,
    one: int,
    other: int,
    near: np.ndarray,
    faults: Faults,
    when: Callable[[float], np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Limbs of the one given to the other, and both in one."""
    for limb in LIMBS:
        thief, robbed = (one, other) if rng.random() < 0.5 else (other, one)
        at = near & when(faults.stolen / 4)
        people[np.ix_(at, [thief], limb)] = people[np.ix_(at, [robbed], limb)]
        people[np.ix_(at, [robbed], limb)] = np.nan
    at = near & when(faults.merged)
    people[np.ix_(at, [one], LOWER)] = people[np.ix_(at, [other], LOWER)]
    people[np.ix_(at, [other], LOWER)] = np.nan
