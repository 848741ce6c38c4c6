"""Checks of how the cameras stand: to the floor, to each other, and where the board was between them."""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor

from calibration.checks.case import Case
from calibration.checks.verdict import Check, check

_BELOW_M = 0.05
_ANGLE_DEG = (8.0, 2.0)
_TILT_DEG = (10.0, 3.0)
_VOLUME = 0.08
_GRID = 12
_NEAR = 0.1
_SCALE = 0.01
_SQUARES = (0.005, 0.02)
_MIRROR, _MIRROR_CLEAR = (0.15, 0.4), 1.5


def floor(case: Case) -> list[Check]:
    """Where the floor comes from, and that no camera is below it."""
    rest, lowest = case.rig.world.rest, case.rig.cameras.centers_world[:, 2]
    row = int(lowest.argmin())
    height = float(lowest[row])
    told = rest is not None and rest.on_floor
    if rest is None:
        text = "the board never lay still: the world is the board of the first shared frame"
        todo = "lay it on the floor for a second to define the floor"
    elif not rest.on_floor:
        text = (
            "the board's longest rest does not look like the floor (a camera is below it, or it is not "
            "level by the cameras' upright)"
        )
        todo = "check where the floor is"
    else:
        text = f"the floor is where the board lay for {rest.duration_s:.1f} s"
        todo = ""
    reason = "people stand on the floor of the world: without it their feet are held nowhere"
    found = [check("floor", float(told), text, todo, reason, warn=0.5, low_is_bad=True)]
    if told:
        found.append(
            check(
                "camera_below_floor",
                height,
                f"the lowest camera, {case.names[row]}, is {height:.2f} m above the floor",
                "the floor is wrong: the board at rest was solved face down, or it did not lie on the floor",
                "cameras cannot stand in the floor, and the mirrored pose of a flat board puts them there",
                subject=case.names[row],
                unit="m",
                fail=-_BELOW_M,
                low_is_bad=True,
            )
        )
    return found


def ray_angles(case: Case) -> list[Check]:
    """Two views that look along one line, or from one place, determine no depth."""
    centers, seen = case.rig.cameras.centers_world, _seen(case)
    best = torch.zeros(len(case.names), dtype=torch.float64)
    sights = case.board_centers[:, None] - centers
    sights = sights / sights.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    for one, other in combinations(range(len(case.names)), 2):
        both = seen[:, one] & seen[:, other]
        if not both.any():
            continue
        cosine = (sights[both, one] * sights[both, other]).sum(-1).clamp(-1.0, 1.0)
        # Rays that meet head on determine depth as badly as rays side by side.
        angle = float(torch.rad2deg(torch.minimum(cosine.acos(), math.pi - cosine.acos()).median()))
        for row in (one, other):
            best[row] = best[row].clamp(min=angle)
    return [
        check(
            "ray_angle",
            angle,
            f"camera {name} sees the board under {angle:.0f} degrees at most from another camera",
            f"put camera {name} further from its neighbours, or show it the board together with others",
            "depth errors grow as 1 / sin(angle): 7 times those across the view at 8 degrees, 29 times at 2",
            subject=name,
            unit="deg",
            warn=_ANGLE_DEG[0],
            fail=_ANGLE_DEG[1],
            low_is_bad=True,
        )
        for name, angle in zip(case.names, best.tolist(), strict=True)
    ]


def board_tilts(case: Case) -> list[Check]:
    """A board that is never turned leaves focal lengths, distances and mirrored poses open."""
    seen, found = _seen(case), list[Check]()
    normals = case.rig.path.world_from_board[:, :3, 2]
    for row, name in enumerate(case.names):
        own = normals[seen[:, row]]
        if len(own) < 2 or name in case.rig.own_lens_clip:
            continue
        cosine = (own @ own.T).clamp(-1.0, 1.0)
        spread = float(torch.rad2deg(cosine.acos().quantile(0.9)))
        found.append(
            check(
                "board_tilts",
                spread,
                f"camera {name} saw the board tilted through {spread:.0f} degrees",
                "tilt the board by 30 degrees and more, both ways, while you carry it",
                "boards that stay parallel leave focal length, distance and the mirrored pose to each other; "
                "15 degrees were enough on real footage",
                subject=name,
                unit="deg",
                warn=_TILT_DEG[0],
                fail=_TILT_DEG[1],
                low_is_bad=True,
            )
        )
    return found


def mirrored_pose(case: Case) -> list[Check]:
    """Whether a camera stands where the second, wrong solution for a flat board would put it."""
    from calibration.pnp import planar_poses

    if case.footage is None:
        return []
    frames, poses = _frames(case), case.rig.path.world_from_board
    found: list[Check] = []
    for row, name in enumerate(case.names):
        lens, pose = case.rig.cameras[[name]], case.rig.cameras.cam_from_world[row]
        views = [view for view in case.footage.views if view.camera == name and view.frame in frames]
        decided = wrong = 0
        for view, both in zip(views, planar_poses(views, lens, case.footage.board), strict=True):
            if len(both) < 2 or both[1].error_px < _MIRROR_CLEAR * both[0].error_px:
                continue
            turn = (pose @ poses[frames[view.frame]])[:3, :3]
            near = [float((turn * one.cam_from_board[:3, :3]).sum()) for one in both]
            decided, wrong = decided + 1, wrong + (near[1] > near[0])
        part = wrong / decided if decided else math.nan
        found.append(
            check(
                "mirrored_pose",
                100.0 * part,
                f"{part:.0%} of the views of camera {name} show the board tilted the other way than the "
                "calibration has it",
                "film the board nearer to it and tilted by 30 degrees or more, together with other cameras",
                "a flat board has two poses; where one clearly fits better it must be the one that was "
                "solved: none on good footage, most with a mirrored camera",
                subject=name,
                unit="%",
                warn=100.0 * _MIRROR[0],
                fail=100.0 * _MIRROR[1],
            )
        )
    return found


def volume_coverage(case: Case) -> list[Check]:
    """Which part of the space that two cameras see the board has been in."""
    points, reach = common_volume(case)
    if len(points) == 0:
        return []
    near = torch.cdist(points, case.board_centers).amin(1) < reach
    part = float(near.double().mean())
    todo = "carry the board further"
    if not near.all():
        x, y, z = points[~near].mean(0).tolist()
        todo = (
            f"carry the board through the rest of the space, mostly about x {x:.1f}, y {y:.1f}, z {z:.1f} m"
        )
    return [
        check(
            "volume_coverage",
            100.0 * part,
            f"the board was in {part:.0%} of the space that two cameras see between them",
            todo,
            "outside the space that was filmed the cameras are an extrapolation; a real session with 12 % "
            "repeated to 0.3 mm where the board was",
            unit="%",
            warn=100.0 * _VOLUME,
            low_is_bad=True,
        )
    ]


def common_volume(case: Case) -> tuple[Tensor, float]:
    """(N, 3) points of the space between the cameras that two of them see, and how far a board reaches."""
    cameras = case.rig.cameras
    inside = torch.cat([cameras.centers_world, case.board_centers])
    low, high = inside.amin(0), inside.amax(0)
    if case.rig.world.rest is not None and case.rig.world.rest.on_floor:
        low[2] = low[2].clamp(min=0.0)
    steps = torch.linspace(0.0, 1.0, _GRID, dtype=torch.float64)
    grid = torch.cartesian_prod(steps, steps, steps) * (high - low) + low
    xy, valid = cameras.project(grid)
    on = valid & ((xy >= 0) & (xy <= cameras.size_px[:, None] - 1)).all(-1)
    # Further away than the board ever was, it was out of the space that is meant.
    limit = torch.tensor([1.5 * case.distance_m[name] for name in case.names], dtype=torch.float64)
    on &= torch.cdist(cameras.centers_world, grid) < limit[:, None]
    return grid[on.sum(0) > 1], _NEAR * float((high - low).norm())


def scale(case: Case) -> list[Check]:
    """What the scale rests on: the images alone cannot tell a wrong size of the squares."""
    found: list[Check] = []
    for ours, tape in case.measured_m:
        off = abs(ours / tape - 1.0)
        found.append(
            check(
                "scale",
                100.0 * off,
                f"{tape:.3f} m by the tape are {ours:.3f} m here",
                "measure ten squares of the board and set board.square_m; the tape counts",
                "a tape over 2 m is good to 2 mm, a print to half a percent",
                unit="%",
                warn=100.0 * _SCALE,
            )
        )
    if not found:
        text = "the scale rests on the size of the board's squares alone, which no image can check"
        reason = "with a wrong size of the squares every error is the same to four digits"
        found.append(check("scale", math.nan, text, "", reason))
    if case.footage is not None:
        found += _squares(case, case.footage.board.neighbour_m)
    return found


def _squares(case: Case, side_m: float) -> list[Check]:
    held = case.rig.held_out
    bias = held.square_bias_m if held is not None else case.rig.squares.bias_m
    if not math.isfinite(bias):
        return []
    return [
        check(
            "square_bias",
            100.0 * abs(bias) / side_m,
            f"the board's squares measure {1e3 * bias:+.2f} mm off their {1e3 * side_m:.1f} mm",
            "film the board at more distances and tilts: lens and place trade with each other",
            "0.2 % on good footage, 0.8 % where the lens was bent to absorb errors of time",
            unit="%",
            warn=100.0 * _SQUARES[0],
            fail=100.0 * _SQUARES[1],
        )
    ]


def _frames(case: Case) -> dict[int, int]:
    """Row in the board's path of every shared frame."""
    shared = sorted(frame for frame in case.rig.bundle.frames if frame >= 0)
    return {frame: row for row, frame in enumerate(shared)}


def _seen(case: Case) -> Tensor:
    """(F, C) bool, which camera saw the board at which pose of its path."""
    centers = case.board_centers
    seen = torch.zeros(len(centers), len(case.names), dtype=torch.bool)
    frames = _frames(case)
    if case.rig.residuals:
        for row, name in enumerate(case.names):
            if name in case.rig.residuals:
                for frame in case.rig.residuals[name].frame.unique().tolist():
                    if frame in frames:
                        seen[frames[frame], row] = True
        return seen
    xy, valid = case.rig.cameras.project(centers)
    return (valid & ((xy >= 0) & (xy <= case.rig.cameras.size_px[:, None] - 1)).all(-1)).T
