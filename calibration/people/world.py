"""Floor, up and scale from people who walk: their feet stand on the floor, and their height is known.

World: Z up, floor at 0, origin on the floor below the middle of where they walked, x to the right of the
first camera, metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from calibration.alignment import Similarity
from calibration.cameras import Cameras
from calibration.errors import CalibrationError
from calibration.people.body import PLANTED_M, STANDING, STATURE_M
from calibration.world_sources import from_people, heading, moved_origin

_NEAR_M = 0.03
"""Keypoints of a foot within this of the floor are taken for standing."""
_UPRIGHT = 0.9
"""Of the heights of a head that stands and walks, the quantile that belongs to standing straight."""


@dataclass(frozen=True)
class PeopleWorld:
    """Cameras and people in the world."""

    cameras: Cameras
    """World frame, metres."""
    xyz_world: Tensor
    """(S, K, 3) keypoints, metres."""
    scale: float
    """Metres of the result for one of the input."""
    stature_m: float
    """Height of the first person in the result, metres; NaN where no head was seen above a floor."""
    floor_std_m: float
    """Scatter of the standing feet about the floor, metres."""
    floor_points: int
    """Keypoints of standing feet that the floor rests on; 0 where no foot was seen."""


def to_world(
    cameras: Cameras,
    xyz: Tensor,
    person: Tensor,
    names: Sequence[str],
    *,
    height_m: float | None = None,
    distance: tuple[str, str, float] | None = None,
) -> PeopleWorld:
    """Put cameras and people on the floor, in metres.

    Args:
        cameras: posed, in any frame; the people's size in it is about right (scale within a factor of 2).
        xyz: (S, K, 3) keypoints at instants of persons, same frame, NaN where unknown.
        person: (S,) whose they are; the first person is number 0.
        names: K keypoint names.
        height_m: stature of the first person, metres.
        distance: two cameras and how far apart their lenses are, metres; counts before the height.
    """
    up = _body_up(xyz, names)
    feet = _soles(xyz, names, up)
    try:
        floor = from_people(feet, up).world_from_rig
        known = True
    except CalibrationError:  # no feet, or not on a floor: up is the people's, and the lowest keypoint stands
        low = xyz.reshape(-1, 3)
        low = low[torch.isfinite(low).all(-1)]
        floor = from_people((low - ((low @ up) - (low @ up).min())[:, None] * up), up).world_from_rig
        known = False
    level = floor.points(xyz)
    stature = _stature(level[person == 0], names)
    scale = _scale(cameras, stature, height_m, distance)
    right = floor.rotation @ cameras.cam_from_world[0, 0, :3]
    middle = torch.nanmedian(level[..., :2].flatten(0, 1), 0).values
    origin = torch.cat([middle, torch.zeros(1, dtype=torch.float64)])
    motion = heading(right).after(moved_origin(origin).after(floor))
    motion = Similarity(motion.rotation, scale * motion.shift_m, scale * motion.scale)
    above = floor.points(feet)[:, 2].abs()
    standing = above < _NEAR_M
    return PeopleWorld(
        motion.cameras(cameras),
        motion.points(xyz),
        motion.scale,
        scale * stature,
        scale * float(above[standing].square().mean().sqrt()) if known else float("nan"),
        int(standing.sum()) if known else 0,
    )


def _rows(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    return [names.index(name) for name in wanted if name in names]


def _body_up(xyz: Tensor, names: Sequence[str]) -> Tensor:
    """(3,) mean direction from the feet to the shoulders, each instant counting alike."""
    sides = ("left", "right")
    low = _rows(names, [f"{side}_ankle" for side in sides]) or _rows(names, [f"{side}_hip" for side in sides])
    high = _rows(names, [f"{side}_shoulder" for side in sides])
    way = xyz[:, high].nanmean(1) - xyz[:, low].nanmean(1)
    way = way[torch.isfinite(way).all(-1)]
    way = way / way.norm(dim=-1, keepdim=True)
    up = way.median(0).values
    return up / up.norm()


def _soles(xyz: Tensor, names: Sequence[str], up: Tensor) -> Tensor:
    """(N, 3) places on the floor below the keypoints of feet, if these stand."""
    feet = _rows(names, list(PLANTED_M))
    above = torch.tensor([PLANTED_M[names[row]] for row in feet], dtype=torch.float64)
    soles = (xyz[:, feet] - above[:, None] * up).flatten(0, 1)
    return soles[torch.isfinite(soles).all(-1)]


def _stature(xyz: Tensor, names: Sequence[str]) -> float:
    """Height of a person whose feet are on z = 0: by the head and shoulders when they stand straight."""
    guesses: list[Tensor] = []
    for name, share in STANDING.items():
        if name in names:
            height = xyz[:, names.index(name), 2]
            if torch.isfinite(height).sum() >= 10:
                guesses.append(height.nanquantile(_UPRIGHT) / share)
    return float(torch.stack(guesses).median()) if guesses else float("nan")


def _scale(
    cameras: Cameras, stature: float, height_m: float | None, distance: tuple[str, str, float] | None
) -> float:
    if distance is not None:
        first, second, metres = distance
        centers = cameras[[first, second]].centers_world
        return metres / float((centers[0] - centers[1]).norm())
    wanted = STATURE_M if height_m is None else height_m
    return wanted / stature if stature > 0 else 1.0
