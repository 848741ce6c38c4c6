"""What retargeting keeps and what it breaks, told from places alone: directions, slip, the floor, hands.

A rig's soles are taken from its rest pose: the ball under the toe joint, the heel a little behind the ankle,
both on the floor that the rest pose stands on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rigs.retarget import Performance, Retargeted

Array = NDArray[np.float64]
SIDES = ("left", "right")
LIMBS = [
    (f"{side}_{top}", f"{side}_{end}")
    for side in SIDES
    for top, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
]
TOUCH_M = 0.12
HEEL = 0.3
PALM_M = 0.08


@dataclass(frozen=True)
class Figures:
    """One clip on one rig."""

    free_deg: float
    """Largest angle of a limb to the source's while nothing stands, is low or touches."""
    mean_deg: float
    """Mean over all limbs and frames."""
    p99_deg: float
    """99 of 100 are smaller."""
    most_deg: float
    """Largest."""
    slip_mm: float
    """Largest extent of the path along the floor of a sole, palm or knee that stands."""
    under_mm: float
    """Deepest point under the floor."""
    touch_mm: float
    """Largest change of the way from palm to palm of touching hands, on the scale of the rig."""
    stands: int
    """How many stands there are."""


def directions_deg(source: Performance, places: dict[str, Array]) -> Array:
    """(T, limbs) angles between the limbs of the source and of a target at these places."""
    angles: list[Array] = []
    for top, end in LIMBS:
        if {top, end} <= set(source.names) & set(places):
            one, two = source.place(end) - source.place(top), places[end] - places[top]
            sine = np.linalg.norm(np.cross(one, two), axis=-1)
            angles.append(np.rad2deg(np.arctan2(sine, (one * two).sum(-1))))
    return np.stack(angles, -1)


def measure(source: Performance, result: Retargeted) -> Figures:
    """How a rig's motion compares with its source's, whose contacts say what stands."""
    target = result.target
    columns = {joint.ours: index for index, joint in enumerate(target.joints) if joint.ours}
    places = {name: result.xyz[:, index] for name, index in columns.items()}
    rest = {name: target.rest_xyz[index] for name, index in columns.items()}
    errors = directions_deg(source, places)
    points = spots(
        places, {name: result.turn[:, index] for name, index in columns.items()}, rest, target.scale
    )
    slips, busy = [0.0], np.zeros(len(errors), dtype=bool)
    for name, xyz in points.items():
        stands = source.contacts.get(name, np.zeros(len(xyz))) > 0.5
        edges = np.flatnonzero(np.diff(np.r_[0, stands, 0]))
        runs = [run for run in zip(edges[::2], edges[1::2], strict=True) if run[1] - run[0] > 1]
        slips += [float(np.linalg.norm(np.ptp(xyz[a:b, :2], axis=0))) for a, b in runs]
        busy |= stands
    palms = [spots_of_hands(source)[f"{side}_hand"] for side in SIDES]
    ours = palms[0] - palms[1]
    near = np.linalg.norm(ours, axis=-1) < TOUCH_M
    theirs = points["left_hand"] - points["right_hand"]
    lost = np.linalg.norm(theirs - target.scale * ours, axis=-1)[near]
    known = {name: xyz for name, xyz in places.items() if name in source.names and name not in HIDDEN}
    low = min(float(xyz[:, 2].min()) for xyz in (points | known).values())
    free = errors[~busy & ~near]
    return Figures(
        float(free.max(initial=0.0)), float(errors.mean()), float(np.quantile(errors, 0.99)),
        float(errors.max()), max(slips) * 1e3, max(-low, 0.0) * 1e3, float(lost.max(initial=0.0)) * 1e3,
        len(slips) - 1,
    )  # fmt: skip


HIDDEN = {f"{side}_{part}" for side in SIDES for part in ("ankle", "foot")}
"""Inside the foot, whose sole counts."""


def spots(
    places: dict[str, Array], turns: dict[str, Array], rest: dict[str, Array], scale: float
) -> dict[str, Array]:
    """(T, 3) metres, world: soles, palms and knees of somebody who rests with the floor at 0."""
    found: dict[str, Array] = {}
    for side in SIDES:
        ankle, ball = rest[f"{side}_ankle"], rest.get(f"{side}_foot")
        ahead = (ball - ankle if ball is not None else np.array([0.0, 0.0, 0.12 * scale])) * [1.0, 0.0, 1.0]
        for name, share in (("heel", -HEEL), ("foot", 1.0)):
            arm = share * ahead - [0.0, ankle[1], 0.0]
            found[f"{side}_{name}"] = places[f"{side}_ankle"] + turns[f"{side}_ankle"] @ arm
        found[f"{side}_knee"] = places[f"{side}_knee"]
        wrist, elbow = rest[f"{side}_wrist"], rest[f"{side}_elbow"]
        inner = next(
            (rest[name] for name in (f"{side}_middle1", f"{side}_hand", f"{side}_index1") if name in rest),
            None,
        )
        run = inner - wrist if inner is not None else wrist - elbow
        arm = run / np.linalg.norm(run) * PALM_M * scale
        found[f"{side}_hand"] = places[f"{side}_wrist"] + turns[f"{side}_wrist"] @ arm
    return found


def spots_of_hands(source: Performance) -> dict[str, Array]:
    """The same of a source."""
    columns = {name: source.index(name) for name in source.names}
    return spots(
        {name: source.xyz[:, index] for name, index in columns.items()},
        {name: source.turn[:, index] for name, index in columns.items()},
        {name: source.rest_xyz[index] for name, index in columns.items()},
        1.0,
    )
