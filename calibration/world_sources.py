"""Where the world may come from besides a board at rest: measured points, camera heights, people, lengths.

Each function gives the ``Similarity`` that moves a calibration ("rig" frame) into the world: z up, floor at
z = 0, metres. They can be chained with ``Similarity.after``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from calibration.alignment import Similarity, fit_similarity
from calibration.cameras import Cameras
from calibration.errors import CalibrationError
from calibration.triangulation import triangulate

_STEPS = 20
"""Rounds of reweighting: a plane through feet settles within ten."""
_FOOT_M = 0.01
"""Feet that stand are this near to one plane."""
_LEAN = 0.5
"""Least cosine between up as people have it and the normal of the plane that they walk on."""
_AXES = {
    "x": (1.0, 0.0, 0.0),
    "y": (0.0, 1.0, 0.0),
    "z": (0.0, 0.0, 1.0),
    "-x": (-1.0, 0.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
    "-z": (0.0, 0.0, -1.0),
}


class WorldFit(NamedTuple):
    """A world and how well it explains what it was made from."""

    world_from_rig: Similarity
    """What moves the calibration there."""
    error_m: dict[str, float]
    """By point or camera, how far it is from where it was said to be, metres."""


def from_points(
    cameras: Cameras,
    points_px: Mapping[str, Mapping[str, tuple[float, float]]],
    points_m: Mapping[str, tuple[float, float, float]],
    *,
    scaled: bool = False,
) -> WorldFit:
    """The world of points that were measured in the room and marked in the images.

    Args:
        cameras: the calibrated cameras.
        points_px: by point and camera, where the point is in the image, pixels.
        points_m: by point, where it is in the world, metres, z up.
        scaled: take the scale from them too.

    Raises:
        CalibrationError: an unknown camera, a point without a place, or fewer than three points in two views.
    """
    names = [name for name in points_px if name in points_m]
    if lost := sorted(set(points_px) - set(points_m)):
        raise CalibrationError(f"point {', '.join(lost)} is marked in images but has no place in the world")
    xy = torch.full((len(names), len(cameras), 2), torch.nan, dtype=torch.float64)
    for row, name in enumerate(names):
        for camera, place in points_px[name].items():
            if camera not in cameras.names:
                raise CalibrationError(f"point {name} is marked in camera {camera}, which is not calibrated")
            xy[row, cameras.names.index(camera)] = torch.tensor(place, dtype=torch.float64)
    found = triangulate(cameras, xy, 2.0).xyz_world
    target = torch.tensor([points_m[name] for name in names], dtype=torch.float64).reshape(-1, 3)
    seen = torch.isfinite(found).all(-1)
    if int(seen.sum()) < 3:
        raise CalibrationError(
            f"{int(seen.sum())} measured points are marked in two cameras or more; three at least are needed"
        )
    motion = fit_similarity(found, target, scaled=scaled)
    error = (motion.points(found) - target).norm(dim=-1)
    return WorldFit(motion, {name: float(error[i]) for i, name in enumerate(names) if seen[i]})


def from_heights(cameras: Cameras, heights_m: Mapping[str, float], *, scaled: bool = False) -> WorldFit:
    """The floor from how high cameras hang above it: three that are not on a line fix it.

    The origin is below the middle of the cameras, x points to the first of those that are named.

    Args:
        cameras: the calibrated cameras, upright enough that their own up tells the floor from the ceiling.
        heights_m: by camera, height of its lens above the floor, metres.
        scaled: take the scale from the heights too; four cameras at unlike heights are needed.

    Raises:
        CalibrationError: too few cameras, or the heights fit no plane.
    """
    names = [name for name in heights_m if name in cameras.names]
    fewest = 4 if scaled else 3
    if len(names) < fewest:
        raise CalibrationError(f"heights of {len(names)} cameras are known; {fewest} at least are needed")
    centers = cameras[names].centers_world
    height = torch.tensor([heights_m[name] for name in names], dtype=torch.float64)
    up = _up_of_heights(centers, height, _upright(cameras), scaled)
    scale = float(up.norm()) if scaled else 1.0
    up = up / up.norm()
    lift = height - scale * (centers @ up)
    motion = _standing(up, centers.mean(0), centers[0], scale, float(lift.mean()))
    left = (motion.points(centers)[:, 2] - height).tolist()
    return WorldFit(motion, dict(zip(names, map(abs, left), strict=True)))


def _up_of_heights(centers: Tensor, height: Tensor, guess: Tensor, scaled: bool) -> Tensor:
    """Up, by Gauss-Newton on the heights' differences; its length is the scale where that is free."""
    across, rise = centers - centers.mean(0), height - height.mean()
    if scaled:
        return torch.linalg.pinv(across) @ rise
    up = guess
    weak = 1e-6 * float(across.square().sum())
    for _ in range(_STEPS):
        # Turns about two axes across up; what the heights do not tell stays as the cameras have it.
        side = torch.linalg.svd(up[None])[2][1:]
        rows = across @ torch.linalg.cross(side, up.expand(2, 3), dim=-1).T
        step = torch.linalg.solve(rows.T @ rows + weak * torch.eye(2).double(), rows.T @ (rise - across @ up))
        up = up + step @ torch.linalg.cross(side, up.expand(2, 3), dim=-1)
        up = up / up.norm()
    return up


def from_people(
    feet_m: Tensor,
    up_rig: Tensor,
    *,
    origin_m: Tensor | None = None,
    sole_m: float = 0.0,
) -> WorldFit:
    """The floor from feet that stood on it, up from the people: heads are above feet.

    A plane is fitted from below: feet in the air count less and less.

    Args:
        feet_m: (N, 3) places of feet in the rig's frame, NaN where missing, metres.
        up_rig: (3,) about up in the rig's frame, such as the mean way from feet to head.
        origin_m: (3,) what shall be above the origin; the middle of the feet where not given.
        sole_m: how high the tracked point of a foot is above the floor.

    Raises:
        CalibrationError: too few feet, or the plane is not level by the people.
    """
    feet = feet_m[torch.isfinite(feet_m).all(-1)]
    if len(feet) < 10:
        raise CalibrationError(f"{len(feet)} places of feet: too few to find the floor")
    guess = up_rig / up_rig.norm()
    up, level = guess, torch.quantile(feet @ guess, 0.1)
    for _ in range(_STEPS):
        above = feet @ up - level
        # Standing feet are at the plane; what is above it swings, what is far below it is mistaken.
        weight = 1.0 / (1.0 + (above.clamp(min=0.0) / _FOOT_M).square()) / (1.0 + (above / 0.05).pow(4))
        middle = (weight[:, None] * feet).sum(0) / weight.sum()
        spread = (weight[:, None] * (feet - middle)).T @ (feet - middle) / weight.sum()
        # Where people walked on a line its normal is open: their own up decides between the candidates.
        open_ = spread + _LEVEL_PRIOR * (torch.eye(3).double() - torch.outer(guess, guess))
        up = torch.linalg.eigh(open_)[1][:, 0]
        up = up * torch.sign(up @ guess)
        level = middle @ up
    if float(up @ guess) < _LEAN:
        raise CalibrationError("the plane that the feet walked on is not level by the people's own up")
    middle = feet.median(0).values if origin_m is None else origin_m
    motion = _standing(up, middle, None, 1.0, sole_m - float(level))
    above = motion.points(feet)[:, 2] - sole_m
    return WorldFit(motion, {"feet": float(above.abs().quantile(0.25))})


_LEVEL_PRIOR = 1e-3
"""Weight, in square metres, of the people's up against the plane of their feet: a third of a degree for a
metre of walk."""


def scaled_by(measured: float, true_m: float) -> Similarity:
    """The scale by one length: what it is in the rig's frame and what it is by tape, or a person's height.

    Raises:
        CalibrationError: a length that is not positive.
    """
    if not (measured > 0.0 and true_m > 0.0 and math.isfinite(measured / true_m)):
        raise CalibrationError(f"a length of {true_m} m measured as {measured} gives no scale")
    return Similarity(torch.eye(3).double(), torch.zeros(3).double(), true_m / measured)


def turned(x: str = "x", up: str = "z") -> Similarity:
    """Other axes: which way of the world as it is becomes x, and which becomes up (z).

    Args:
        x: axis of the present world that shall be x: ``x``, ``-x``, ``y``, ``-y``, ``z`` or ``-z``.
        up: axis of the present world that is up; ``y`` where it came from a program with y up.

    Raises:
        CalibrationError: no such axes, or both the same line.
    """
    if x not in _AXES or up not in _AXES or x[-1] == up[-1]:
        raise CalibrationError(
            f"axes x = {x!r}, up = {up!r}: choose two different ones of {', '.join(_AXES)}"
        )
    first, third = (torch.tensor(_AXES[name], dtype=torch.float64) for name in (x, up))
    rows = torch.stack([first, torch.linalg.cross(third, first), third])
    return Similarity(rows, torch.zeros(3, dtype=torch.float64), 1.0)


def heading(direction: Tensor) -> Similarity:
    """Turn the world about z until (3,) ``direction`` of it lies in the plane of x and z, ahead.

    Raises:
        CalibrationError: the direction is vertical.
    """
    flat = direction.clone()
    flat[2] = 0.0
    if float(flat.norm()) < 1e-6:
        raise CalibrationError("a vertical direction cannot become the x axis")
    first = flat / flat.norm()
    up = torch.tensor(_AXES["z"], dtype=torch.float64)
    rows = torch.stack([first, torch.linalg.cross(up, first), up])
    return Similarity(rows, torch.zeros(3, dtype=torch.float64), 1.0)


def moved_origin(origin_m: Tensor) -> Similarity:
    """The world with its origin at (3,) a point of it, metres."""
    return Similarity(torch.eye(3).double(), -origin_m, 1.0)


def _upright(cameras: Cameras) -> Tensor:
    """(3,) mean of the cameras' own up."""
    up = -cameras.cam_from_world[:, 1, :3].mean(0)
    return up / up.norm()


def _standing(up: Tensor, middle: Tensor, toward: Tensor | None, scale: float, lift_m: float) -> Similarity:
    """Z along ``up``, ``middle`` above the origin, x towards a point, and ``up . p`` + lift as height."""
    ahead = toward - middle if toward is not None else torch.tensor([1.0, 0.0, 0.0]).double()
    ahead = ahead - (ahead @ up) * up
    if float(ahead.norm()) < 1e-6:
        ahead = torch.linalg.svd(up[None])[2][1]
    ahead = ahead / ahead.norm()
    rotation = torch.stack([ahead, torch.linalg.cross(up, ahead), up])
    shift = -scale * (rotation @ middle)
    shift[2] = lift_m
    return Similarity(rotation, shift, scale)
