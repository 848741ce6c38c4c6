"""Floor, up and scale from people who walk: their feet stand on the floor, and their height is known.

World: Z up, floor at 0, origin on the floor below the middle of where they walked, x to the right of the
first camera, metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .cameras import Cameras
from .people_body import PLANTED_M, STANDING, STATURE_M
from .world import moved

_ROUNDS = 10
_PLANTED = 0.25
"""A foot stands at least half of the time: the lower quarter of its heights is about where it stands."""
_NEAR_M = 0.03
"""Keypoints of a foot within this of where it stands are taken for standing."""
_TILT_RAD = 0.05
"""How far the bodies' own mean direction may be from up: a person leans by 1 to 3 degrees on average."""
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
    turn = _upright(_body_up(xyz, names))
    flat = xyz @ turn.T
    tilt, level, spread, count = _floor(flat, names)
    turn = tilt @ turn
    flat = xyz @ turn.T
    flat[..., 2] -= level
    stature = _stature(flat[person == 0], names)
    scale = _scale(cameras, stature, height_m, distance)
    # Feet stand a fixed way above the floor, which the scale of the input had to guess.
    middle = torch.nanmedian(flat[..., :2].flatten(0, 1), 0).values
    heading = (turn @ cameras.cam_from_world[0, 0, :3])[:2]
    heading = heading / heading.norm().clamp(min=1e-9)
    about = torch.eye(3, dtype=torch.float64)
    about[0, :2], about[1, 0], about[1, 1] = heading, -heading[1], heading[0]
    world_from_rig = torch.eye(4, dtype=torch.float64)
    world_from_rig[:3, :3] = about @ turn
    world_from_rig[:3, 3] = -(about @ torch.stack([middle[0], middle[1], torch.as_tensor(level).double()]))
    placed = moved(cameras, world_from_rig)
    poses = placed.cam_from_world.clone()
    poses[:, :3, 3] *= scale
    points = scale * (xyz @ world_from_rig[:3, :3].T + world_from_rig[:3, 3])
    return PeopleWorld(placed.with_poses(poses), points, scale, scale * stature, scale * spread, count)


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


def _upright(up: Tensor) -> Tensor:
    """(3, 3) the shortest turn that takes ``up`` to z."""
    z = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    axis = torch.linalg.cross(up, z)
    cosine = float(up @ z)
    if cosine < -1 + 1e-9:
        return torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    zero = torch.zeros((), dtype=torch.float64)
    x, y, w = axis
    cross = torch.stack([zero, -w, y, w, zero, -x, -y, x, zero]).reshape(3, 3)
    return torch.eye(3, dtype=torch.float64) + cross + cross @ cross / (1 + cosine)


def _floor(xyz: Tensor, names: Sequence[str]) -> tuple[Tensor, float, float, int]:
    """The plane that feet stand on, given points that are nearly upright.

    Returns:
        (3, 3) a further turn that levels it, its height after the turn, the scatter about it, and how many
        keypoints it rests on.
    """
    feet = _rows(names, list(PLANTED_M))
    above = torch.tensor([PLANTED_M[names[row]] for row in feet], dtype=torch.float64)
    points = xyz[:, feet]
    eye = torch.eye(3, dtype=torch.float64)
    known = torch.isfinite(points).all(-1)
    if not feet or known.sum() < 10:
        return eye, float(xyz[..., 2].nan_to_num(nan=torch.inf).min()), float("nan"), 0
    middle = points[known].mean(0)
    slope = torch.zeros(2, dtype=torch.float64)
    level = torch.zeros(len(feet), dtype=torch.float64)
    stands = known
    for turn in range(_ROUNDS):
        height = points[..., 2] - (points[..., :2] - middle[:2]) @ slope
        if turn == 0:
            masked = torch.where(known, height, torch.nan)
            level = masked.nanquantile(_PLANTED, dim=0).nan_to_num(nan=0.0)
        stands = known & ((height - level).abs() < _NEAR_M)
        s, k = torch.nonzero(stands, as_tuple=True)
        if len(s) < 10:
            return eye, float(level.median()), float("nan"), 0
        design = torch.zeros(len(s), 2 + len(feet), dtype=torch.float64)
        design[:, :2] = points[s, k, :2] - middle[:2]
        design[torch.arange(len(s)), 2 + k] = 1.0
        # Neighbours in time err together, so the bodies' own direction keeps some say.
        hold = torch.zeros(2 + len(feet), dtype=torch.float64)
        hold[:2] = 10 * (_NEAR_M / _TILT_RAD) ** 2
        system = design.T @ design + torch.diag(hold + 1e-9)
        solved = torch.linalg.solve(system, design.T @ points[s, k, 2])
        slope, level = solved[:2], solved[2:]
    normal = torch.cat([-slope, torch.ones(1, dtype=torch.float64)])
    levelled = _upright(normal / normal.norm())
    height = (points @ levelled.T)[..., 2]
    seen = stands.sum(0) > 0
    own = torch.stack(
        [
            height[stands[:, k], k].median() if seen[k] else torch.tensor(torch.nan).double()
            for k in range(len(feet))
        ]
    )
    spread = torch.cat([height[stands[:, k], k] - own[k] for k in range(len(feet)) if seen[k]]).std()
    return levelled, float((own - above)[seen].median()), float(spread), int(stands.sum())


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
