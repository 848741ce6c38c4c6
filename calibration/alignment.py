"""Laying one set of points or cameras on another: rigidly, or with a scale, whatever part of them moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import roma
import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.errors import CalibrationError

_NEAR_PART = 0.02
"""Cameras that stand this near to their old place, in parts of the rig's size, may not have moved."""
_NEAR_DEG = 1.5
"""And look this nearly the same way: lens centre and direction trade with each other by about a degree."""
_MOST_PAIRS = 400
"""Pairs of cameras that propose how the rigs lie."""


@dataclass(frozen=True)
class Similarity:
    """A rigid motion, with a scale."""

    rotation: Tensor
    """(3, 3)"""
    shift_m: Tensor
    """(3,) metres, after rotation and scale."""
    scale: float
    """Metres of the new frame for one of the old."""

    def points(self, xyz: Tensor) -> Tensor:
        """(..., 3) points in the new frame."""
        return self.scale * (xyz @ self.rotation.T) + self.shift_m

    def cameras(self, cameras: Cameras) -> Cameras:
        """The same cameras in the new frame: what they see stays what it was."""
        pose = cameras.cam_from_world.clone()
        pose[:, :3, :3] = cameras.cam_from_world[:, :3, :3] @ self.rotation.T
        center = self.points(cameras.centers_world)
        pose[:, :3, 3] = -(pose[:, :3, :3] @ center[..., None])[..., 0]
        return cameras.with_poses(pose)

    def after(self, first: Similarity) -> Similarity:
        """First that one, then this."""
        return Similarity(
            self.rotation @ first.rotation, self.points(first.shift_m), self.scale * first.scale
        )


@dataclass(frozen=True)
class Alignment:
    """A new calibration laid on an older one."""

    cameras: Cameras
    """The new cameras in the old world."""
    old_from_new: Similarity
    """What moved them there."""
    unmoved: tuple[str, ...]
    """Cameras that stand where they stood; the alignment rests on them."""
    shift_m: dict[str, float]
    """How far each camera that both have is from its old place."""
    turn_deg: dict[str, float]
    """And how far it is turned."""


def fit_similarity(source: Tensor, target: Tensor, *, scaled: bool = False) -> Similarity:
    """The best motion of (N, 3) points onto others, least squares (Umeyama 1991); NaN rows are left out.

    Raises:
        CalibrationError: fewer than three points, or all on a line.
    """
    good = torch.isfinite(source).all(-1) & torch.isfinite(target).all(-1)
    source, target = source[good], target[good]
    if len(source) < 3 or float(torch.linalg.svdvals(source - source.mean(0))[1]) < 1e-6:
        raise CalibrationError("three points that are not on a line are needed to fix a place in the world")
    return _registered(source, target, scaled)


def align(new: Cameras, old: Cameras, *, scaled: bool = False) -> Alignment:
    """Lay a new calibration on an older one by the cameras that did not move since.

    Every pair of common cameras proposes how the two rigs lie to each other; the proposal that the most
    cameras agree with, by place and direction, wins and is refined on all of them.

    Args:
        new: the new cameras, any world.
        old: the older cameras, by the same names; either may have more.
        scaled: the scale is unknown too, and taken from the old cameras.

    Raises:
        CalibrationError: fewer than two common cameras, or no two of them stand as they did.
    """
    placed = {name for name, known in zip(old.names, old.posed.tolist(), strict=True) if known}
    names = [name for name in new.names if name in placed]
    if len(names) < 2:
        raise CalibrationError(
            f"{len(names)} camera of the new calibration is in the old one; two at least are needed: "
            f"the old one has {', '.join(old.names)}"
        )
    ours, theirs = new[names], old[names]
    size_m = float(torch.pdist(theirs.centers_world).max())
    best, unmoved = None, torch.zeros(len(names), dtype=torch.bool)
    error = torch.inf
    for pair in list(combinations(range(len(names)), 2))[:_MOST_PAIRS]:
        trial = _by_cameras(ours, theirs, list(pair), scaled)
        shift, turn = _apart(trial, ours, theirs)
        near = (shift < _NEAR_PART * size_m) & (turn < _NEAR_DEG)
        misfit = float((shift / size_m + torch.deg2rad(turn))[near].sum())
        if near.sum() > unmoved.sum() or (near.sum() == unmoved.sum() and misfit < error):
            best, unmoved, error = trial, near, misfit
    if best is None or int(unmoved.sum()) < 2:
        raise CalibrationError(
            "no two cameras stand to each other as in the old calibration: nothing to align by"
        )
    final = _by_cameras(ours, theirs, torch.nonzero(unmoved)[:, 0].tolist(), scaled)
    shift, turn = _apart(final, ours, theirs)
    return Alignment(
        cameras=final.cameras(new),
        old_from_new=final,
        unmoved=tuple(name for name, near in zip(names, unmoved.tolist(), strict=True) if near),
        shift_m=dict(zip(names, shift.tolist(), strict=True)),
        turn_deg=dict(zip(names, turn.tolist(), strict=True)),
    )


def _registered(source: Tensor, target: Tensor, scaled: bool) -> Similarity:
    middle, other = source.mean(0), target.mean(0)
    covariance = (target - other).T @ (source - middle)
    rotation = cast(Tensor, roma.special_procrustes(covariance))
    scale = float((rotation * covariance).sum() / (source - middle).square().sum()) if scaled else 1.0
    return Similarity(rotation, other - scale * (rotation @ middle), scale)


def _by_cameras(ours: Cameras, theirs: Cameras, rows: Sequence[int], scaled: bool) -> Similarity:
    """The motion by centres and directions of some cameras: points beside each stand for the latter."""
    one, other = ours.centers_world[rows], theirs.centers_world[rows]
    size = (one - one.mean(0)).norm(dim=-1).mean()
    scale = float((other - other.mean(0)).norm(dim=-1).mean() / size) if scaled else 1.0
    axes = float(size) * torch.eye(3, dtype=torch.float64)
    # Rows of a rotation are the camera's axes in the world: weak points beside the strong centres.
    source = torch.cat([one, (one[:, None] + axes @ ours.cam_from_world[rows, :3, :3]).flatten(0, 1)])
    target = torch.cat(
        [other, (other[:, None] + scale * (axes @ theirs.cam_from_world[rows, :3, :3])).flatten(0, 1)]
    )
    motion = _registered(scale * source, target, False)
    return Similarity(motion.rotation, motion.shift_m, scale)


def _apart(motion: Similarity, ours: Cameras, theirs: Cameras) -> tuple[Tensor, Tensor]:
    """(C,) metres and degrees between cameras after the motion and the others."""
    placed = motion.cameras(ours)
    shift = (placed.centers_world - theirs.centers_world).norm(dim=-1)
    turn = roma.rotmat_geodesic_distance(placed.cam_from_world[:, :3, :3], theirs.cam_from_world[:, :3, :3])
    return shift, torch.rad2deg(turn)
