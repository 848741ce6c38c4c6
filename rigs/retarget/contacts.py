"""What of a character stands, touches or lies on the floor, in the source and on the target."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rigs.retarget.floor import ENDS, Low, Standing, Touch
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
_TOUCH_M: Final = (0.12, 0.25)
"""Hands nearer than the first touch, those further than the second do not."""
_SPOTS: Final = (("heel", "ankle"), ("foot", "ankle"), ("hand", "wrist"), ("knee", "knee"))
"""What a motion calls its contacts, and the joint that each moves with."""


def marks(
    target: Target, source: Performance, turns: dict[str, FloatArray], xyz: FloatArray
) -> tuple[list[Standing], list[Low]]:
    """Points that stand, and points that must stay above the floor.

    Args:
        target: the rig.
        source: the performance, with what is known of its contacts.
        turns: (T, 3, 3) of our joints in the target.
        xyz: (T, N, 3) where the target's joints are before anything is shifted.
    """
    standing: list[Standing] = []
    low: list[Low] = []
    rest = dict(zip(source.names, source.rest_xyz, strict=True))
    target_rest = {
        joint.ours: place for joint, place in zip(target.joints, target.rest_xyz, strict=True) if joint.ours
    }
    for side in ("left", "right"):
        for spot, part in _SPOTS:
            joint = f"{side}_{part}"
            place = target.index(joint)
            if place is None or joint not in source.names:
                continue
            ours = _spot(spot, joint, rest)
            theirs = _carried(target, joint, ours) if spot == "hand" else _spot(spot, joint, target_rest)
            there = xyz[:, place] + turns[joint] @ theirs
            here = source.place(joint) + source.turn_of(joint) @ ours
            end = joint if joint in ENDS else ""
            flat = spot in ("heel", "foot")
            stands = _stands(source, f"{side}_{spot}", here, flat)
            height = target.scale * here[:, 2]
            low.append(Low(end, there[:, 2], _least(height, 0.0 if flat else target.scale * _LYING_M)))
            if stands.any():
                steady = _steady(height, stands)
                standing.append(Standing(end, there, stands, steady))
    low += [
        Low(
            "",
            xyz[:, index, 2],
            _least(target.scale * source.place(joint.ours)[:, 2], target.scale * _LYING_M),
        )
        for index, joint in enumerate(target.joints)
        if joint.ours in source.names and joint.ours not in ENDS and "foot" not in joint.ours
    ]
    return standing, low


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


def touching_hands(
    target: Target, source: Performance, turns: dict[str, FloatArray], xyz: FloatArray
) -> list[Touch]:
    """Hands that are together in the source."""
    hands = ("left_wrist", "right_wrist")
    places = [target.index(hand) for hand in hands]
    if None in places or not set(hands) <= set(source.names):
        return []
    rest = dict(zip(source.names, source.rest_xyz, strict=True))
    palms, theirs = [], []
    for hand, place in zip(hands, places, strict=True):
        spot = _spot("hand", hand, rest)
        palms.append(source.place(hand) + source.turn_of(hand) @ spot)
        theirs.append(xyz[:, place or 0] + turns[hand] @ _carried(target, hand, spot))
    apart = palms[0] - palms[1]
    near, far = _TOUCH_M
    weight = np.clip((far - np.linalg.norm(apart, axis=-1)) / (far - near), 0.0, 1.0)
    if not weight.any():
        return []
    return [Touch(*hands, target.scale * apart - (theirs[0] - theirs[1]), weight**2)]


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


def _steady(height: FloatArray, stands: NDArray[np.bool_]) -> FloatArray:
    """(T,) the mean height of each stand."""
    steady = height.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], stands, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        steady[start:stop] = height[start:stop].mean()
    return steady


def _least(height: FloatArray, above: float) -> FloatArray:
    """(T,) no lower than the source, and no lower than ``above`` where the source is higher."""
    return np.minimum(height, above)
