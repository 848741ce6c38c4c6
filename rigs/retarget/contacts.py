"""What of a character stands, touches or lies on the floor, in the source and on the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rigs.retarget.performance import Performance
from rigs.retarget.target import CHILD, Target

FloatArray = NDArray[np.float64]

_HEEL: Final = 0.3
"""How far the heel is behind the ankle, in the distance from ankle to ball."""
_PALM_M: Final = 0.08
_SURE: Final = 0.5
_LEAST_S: Final = 0.05
"""Shorter stands are none."""
_SLOW_M_S, _NEAR_M = 0.15, 0.05
"""Where a motion does not say what stands: slower and nearer to the floor than this."""
_LYING_M: Final = 0.05
"""Joints nearer to the floor than this may get as near as they are in the source."""
_LOOSE_M: Final = 0.005
"""Palms and knees roll and give way."""
_STEP_M: Final = 0.05
"""Soles that stand higher than this stand on something."""
_TOUCH_M: Final = (0.12, 0.25)
"""Hands nearer than the first touch, those further than the second do not."""
_SPOTS: Final = (("heel", "ankle"), ("foot", "ankle"), ("hand", "wrist"), ("knee", "knee"))
"""What a motion calls its contacts, and the joint that each moves with."""
_OF_SPOTS: Final = ("ankle", "foot", "knee")
"""Joints that a spot stands for, or that are inside a foot, whose sole counts."""


@dataclass(frozen=True)
class Mark:
    """A point of the target that stands now and then, and that must stay above the floor; T frames."""

    joint: int
    """The joint of the target that carries it."""
    arm: FloatArray
    """(3,) metres from that joint, at rest."""
    stands: NDArray[np.bool_]
    """(T,) when it must not move."""
    height: FloatArray
    """(T,) metres, world: how high it is while it stands."""
    least: FloatArray
    """(T,) metres, world: how low it may be."""
    is_low: NDArray[np.bool_]
    """(T,) when the source's is low enough to touch the floor."""
    loose_m: float = 0.0
    """Metres that it may rise and fall while it stands."""


@dataclass(frozen=True)
class Touch:
    """Two marks that keep a distance at times."""

    first: Mark
    """One,"""
    second: Mark
    """the other."""
    apart: FloatArray
    """(T, 3) metres, world: how far the first is from the second."""
    weight: FloatArray
    """(T,) in [0, 1]: how much it matters."""


def marks(target: Target, source: Performance) -> list[Mark]:
    """Points of the target that stand, and points that must stay above the floor."""
    found: list[Mark] = []
    rest = dict(zip(source.names, source.rest_xyz, strict=True))
    theirs = {joint.ours: place for joint, place in zip(target.joints, target.rest_xyz, strict=True)}
    for side in ("left", "right"):
        for spot, part in _SPOTS:
            joint = f"{side}_{part}"
            index = target.index(joint)
            if index is None or joint not in source.names:
                continue
            ours = _spot(spot, joint, rest)
            here = source.place(joint) + source.turn_of(joint) @ ours
            sole = spot in ("heel", "foot")
            arm = _carried(target, joint, ours) if spot == "hand" else _spot(spot, joint, theirs)
            stands = _stands(source, f"{side}_{spot}", here, sole)
            height = _steady(target, here[:, 2], stands, sole)
            least = _least(target, here[:, 2], 0.0 if sole else _LYING_M)
            loose = 0.0 if sole else _LOOSE_M
            is_low = here[:, 2] < _LYING_M
            found.append(Mark(index, arm, stands, target.scale * height, least, is_low, loose))
    never, nowhere = np.zeros(len(source.turn), dtype=bool), np.zeros(len(source.turn))
    for index, joint in enumerate(target.joints):
        known, part = joint.ours in source.names, joint.ours.partition("_")[2]
        if part not in _OF_SPOTS and (known or part == "hand"):
            height = source.place(joint.ours)[:, 2] if known else nowhere
            least = _least(target, height, _LYING_M)
            found.append(Mark(index, np.zeros(3), never, least, least, height < _LYING_M))
    return found


def spots(source: Performance) -> dict[str, FloatArray]:
    """(T, 3) metres, world: where ``left_heel``, ``left_foot``, ``left_hand`` ... of a performer are."""
    rest = dict(zip(source.names, source.rest_xyz, strict=True))
    return {
        f"{side}_{spot}": source.place(f"{side}_{part}")
        + source.turn_of(f"{side}_{part}") @ _spot(spot, f"{side}_{part}", rest)
        for side in ("left", "right")
        for spot, part in _SPOTS
        if f"{side}_{part}" in source.names
    }


def touching_hands(target: Target, source: Performance) -> list[Touch]:
    """Hands that are together in the source."""
    hands = ("left_wrist", "right_wrist")
    places = [target.index(hand) for hand in hands]
    if None in places or not set(hands) <= set(source.names):
        return []
    rest = dict(zip(source.names, source.rest_xyz, strict=True))
    palms: list[FloatArray] = []
    ends: list[Mark] = []
    never, nowhere = np.zeros(len(source.turn), dtype=bool), np.zeros(len(source.turn))
    for hand, place in zip(hands, places, strict=True):
        spot = _spot("hand", hand, rest)
        palms.append(source.place(hand) + source.turn_of(hand) @ spot)
        ends.append(Mark(place or 0, _carried(target, hand, spot), never, nowhere, nowhere, never))
    apart = palms[0] - palms[1]
    near, far = _TOUCH_M
    weight = np.clip((far - np.linalg.norm(apart, axis=-1)) / (far - near), 0.0, 1.0)
    return [Touch(ends[0], ends[1], target.scale * apart, weight**2)] if weight.any() else []


def _carried(target: Target, joint: str, spot: FloatArray) -> FloatArray:
    """(3,) a spot beside a joint of the source at rest, beside that of the target."""
    return target.scale * target.align[joint].T @ spot


def _spot(spot: str, joint: str, rest: dict[str, FloatArray]) -> FloatArray:
    """(3,) metres from a joint at rest to where it touches the floor."""
    if spot == "knee":
        return np.zeros(3)
    child = next((name for name in CHILD.get(joint, ()) if name in rest), None)
    if spot == "hand":
        elbow = joint.replace("wrist", "elbow")
        run = rest[child] - rest[joint] if child else rest[joint] - rest.get(elbow, rest[joint])
        length = float(np.linalg.norm(run))
        return run / length * _PALM_M if length > 0 else np.zeros(3)
    ahead = rest[child] - rest[joint] if child else np.array([0.0, 0.0, 0.12])
    flat = ahead * [1.0, 0.0, 1.0]
    place = flat if spot == "foot" else -_HEEL * flat
    return place - np.array([0.0, rest[joint][1], 0.0])


def _stands(source: Performance, name: str, place: FloatArray, sole: bool) -> NDArray[np.bool_]:
    """(T,) when a point stands: as the motion says, else from its height and speed; soles only."""
    if name in source.contacts:
        stands = source.contacts[name] > _SURE
    elif sole and not source.contacts:
        speed = np.zeros(len(place))
        if len(place) > 1:
            speed = np.linalg.norm(np.gradient(place, 1.0 / source.rate_hz, axis=0), axis=-1)
        stands = (speed < _SLOW_M_S) & (place[:, 2] < _NEAR_M)
    else:
        return np.zeros(len(place), dtype=bool)
    least = max(1, round(_LEAST_S * source.rate_hz))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], stands, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - start < min(least, len(stands)):
            stands[start:stop] = False
    return stands


def _steady(target: Target, height: FloatArray, stands: NDArray[np.bool_], sole: bool) -> FloatArray:
    """(T,) metres: how high a point is while it stands.

    Soles near the floor are on it, those on steps at one height; who has the source's size is where that is.
    """
    if target.fitted or not sole:
        return height if target.fitted else np.maximum(height, 0.0)
    steady = height.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], stands, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        mean = float(height[start:stop].mean())
        steady[start:stop] = mean if mean > _STEP_M else 0.0
    return steady


def _least(target: Target, height: FloatArray, most: float) -> FloatArray:
    """(T,) metres: as low as the source, but not below the floor; no matter where the source is high.

    Who has the source's size is where the source is, even below the floor.
    """
    return target.scale * (np.minimum(height, most) if target.fitted else np.clip(height, 0.0, most))
