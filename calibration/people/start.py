"""First poses of cameras from people alone: one pair by its essential matrix, the others by resection.

Keypoints of all instants are pooled: a person who walks through the volume is a cloud of points. Focal
lengths are hypotheses here; the bundle adjustment that follows tells which of them was right.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.cameras import Cameras
from calibration.people.body import Bones
from calibration.triangulation import triangulate

FloatArray = NDArray[np.floating]

_MOST_POINTS = 2000
"""Points of a pair that its essential matrix is fitted to."""
_FEWEST = 30
"""Points that a pair or a resection needs."""
_INLIER_SIGMAS = 4.0
"""A point that is further off its epipolar line or its projection contradicts."""
_GOOD_ANGLE_DEG = 15.0
"""Rays that cross at less than this fix depth badly; beyond it nothing is gained."""


@dataclass(frozen=True)
class PairStart:
    """How two cameras stand to each other."""

    cameras: tuple[int, int]
    """Rows."""
    second_from_first: FloatArray
    """(4, 4), baseline 1."""
    inliers: int
    """Points that agree."""
    points: int
    """Points that both saw."""
    angle_deg: float
    """Median angle at which the rays cross."""

    @property
    def worth(self) -> float:
        """Agreeing points, fewer where depth is uncertain."""
        return self.inliers * min(1.0, self.angle_deg / _GOOD_ANGLE_DEG)


def start_pairs(cameras: Cameras, xy_px: Tensor, sigma_px: Tensor) -> list[PairStart]:
    """Relative poses of all pairs that share points, the most trustworthy first.

    Args:
        cameras: lenses; poses do not matter.
        xy_px: (C, N, 2) pixels of the same points, NaN where unseen.
        sigma_px: (C, N) deviations, pixels.
    """
    flat = cameras.undistort(xy_px).numpy()
    sigma = (sigma_px / cameras.focal_px.mean(-1)[:, None]).numpy()
    found = [_pair(i, j, flat, sigma) for i, j in combinations(range(len(cameras)), 2)]
    return sorted((pair for pair in found if pair is not None), key=lambda pair: -pair.worth)


def _pair(i: int, j: int, flat: FloatArray, sigma: FloatArray) -> PairStart | None:
    import cv2

    both = np.flatnonzero(np.isfinite(flat[i]).all(-1) & np.isfinite(flat[j]).all(-1))
    if len(both) < _FEWEST:
        return None
    both = both[:: max(1, len(both) // _MOST_POINTS)]
    a, b = np.ascontiguousarray(flat[i, both]), np.ascontiguousarray(flat[j, both])
    limit = _INLIER_SIGMAS * float(np.median(np.hypot(sigma[i, both], sigma[j, both]))) / np.sqrt(2)
    cv2.setRNGSeed(0)
    try:
        essential, inside = cv2.findEssentialMat(a, b, np.eye(3), cv2.USAC_ACCURATE, 0.999, limit)
    except cv2.error:
        return None
    essential, inside = cast(FloatArray | None, essential), cast(FloatArray | None, inside)
    if essential is None or essential.shape != (3, 3) or inside is None:
        return None
    _, turn, way, ahead, _ = cv2.recoverPose(
        essential, a, b, np.eye(3), distanceThresh=1e3, mask=inside.copy()
    )
    good = ahead.ravel() > 0
    if good.sum() < _FEWEST:
        return None
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, way.ravel()
    ray_a = np.pad(a[good], ((0, 0), (0, 1)), constant_values=1.0) @ turn.T
    ray_b = np.pad(b[good], ((0, 0), (0, 1)), constant_values=1.0)
    cosine = (ray_a * ray_b).sum(-1) / np.linalg.norm(ray_a, axis=-1) / np.linalg.norm(ray_b, axis=-1)
    angle = float(np.degrees(np.median(np.arccos(np.clip(np.abs(cosine), 0.0, 1.0)))))
    return PairStart((i, j), pose, int(good.sum()), len(both), angle)


def place_all(
    cameras: Cameras, base: PairStart, xy_px: Tensor, sigma_px: Tensor, bones: Bones, num_keypoints: int
) -> tuple[Cameras, tuple[int, ...]]:
    """All cameras that can be placed from a pair on, in metres for a person of ordinary bones.

    Args:
        cameras: lenses.
        base: the pair.
        xy_px: (C, N, 2) with N = instants x keypoints.
        sigma_px: (C, N)
        bones: of the keypoints.
        num_keypoints: K.

    Returns:
        Cameras with NaN poses where they could not be placed, and the rows of those.
    """
    poses = torch.full((len(cameras), 4, 4), torch.nan, dtype=torch.float64)
    poses[base.cameras[0]] = torch.eye(4, dtype=torch.float64)
    poses[base.cameras[1]] = torch.from_numpy(base.second_from_first)
    placed = cameras.with_poses(poses)
    waiting = [row for row in range(len(cameras)) if row not in base.cameras]
    xyz = points(placed, xy_px, sigma_px)
    while waiting:
        tries = {row: _resect(placed, row, xy_px[row], sigma_px[row], xyz) for row in waiting}
        row = max(tries, key=lambda row: tries[row][1])
        pose, inliers = tries[row]
        if pose is None or inliers < _FEWEST:
            break
        poses = placed.cam_from_world.clone()
        poses[row] = torch.from_numpy(pose)
        placed = placed.with_poses(poses)
        waiting.remove(row)
        xyz = points(placed, xy_px, sigma_px)
    return _scaled(placed, xyz.reshape(-1, num_keypoints, 3), bones), tuple(waiting)


def points(cameras: Cameras, xy_px: Tensor, sigma_px: Tensor) -> Tensor:
    """(N, 3) points from (C, N, 2), NaN where fewer than two placed cameras agree."""
    sigma = sigma_px.T.nan_to_num(nan=1.0)
    return triangulate(
        cameras, xy_px.transpose(0, 1), sigma, max_error_px=3 * _INLIER_SIGMAS * sigma, min_angle_deg=2.0
    ).xyz_world


def _resect(
    cameras: Cameras, row: int, xy_px: Tensor, sigma_px: Tensor, xyz: Tensor
) -> tuple[FloatArray | None, int]:
    """Pose of one camera from points that others placed, and how many agree."""
    import cv2

    flat = cameras[row : row + 1].undistort(xy_px[None])[0]
    good = torch.isfinite(flat).all(-1) & torch.isfinite(xyz).all(-1)
    if good.sum() < _FEWEST:
        return None, 0
    xy, at = flat[good].numpy(), xyz[good].numpy()
    limit = float(_INLIER_SIGMAS * sigma_px[good].median() / cameras.focal_px[row].mean())
    cv2.setRNGSeed(0)
    try:
        done, turn, shift, inside = cv2.solvePnPRansac(
            at,
            xy[:, None],
            np.eye(3),
            None,
            iterationsCount=300,
            reprojectionError=2 * limit,
            flags=cv2.SOLVEPNP_SQPNP,
        )
    except cv2.error:
        return None, 0
    inside = cast(NDArray[np.int32] | None, inside)
    if not done or inside is None or len(inside) < _FEWEST:
        return None, 0
    keep = inside.ravel()
    turn, shift = cv2.solvePnPRefineLM(at[keep], xy[keep][:, None], np.eye(3), None, turn, shift)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(turn)[0], shift.ravel()
    return (pose, len(keep)) if np.isfinite(pose).all() else (None, 0)


def _scaled(cameras: Cameras, xyz: Tensor, bones: Bones) -> Cameras:
    """The cameras so large that limbs have their ordinary length."""
    length = (xyz[:, bones.ends[:, 0]] - xyz[:, bones.ends[:, 1]]).norm(dim=-1)
    ratio = bones.log_length.exp() / length.nanmedian(0).values
    factor = ratio[bones.limbs].nanmedian()
    if not torch.isfinite(factor):
        return cameras
    poses = cameras.cam_from_world.clone()
    poses[:, :3, 3] *= factor
    return cameras.with_poses(poses)
