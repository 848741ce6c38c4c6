"""Numbers that say how good keypoints and joints are, with and without a truth to compare with.

All of them take NaN for missing, leave it out, and return NaN where nothing is left. Those that judge found
keypoints and people as the literature does (PCK, PCP, OKS, AP, F1) come from ``mocap.keypoint_metrics``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from calibration.triangulation import triangulate
from mocap.keypoint_metrics import (
    Agreement,
    FoundPeople,
    LabelledPeople,
    average_precision,
    oks,
    pck,
    pcp,
    people_agreement,
)
from mocap.keypoints import FloatArray, Keypoints3D

__all__ = [
    "LIMB_BONES",
    "LIMB_KEYPOINTS",
    "Agreement",
    "Cost",
    "FoundPeople",
    "LabelledPeople",
    "acceleration_error",
    "average_precision",
    "bone_length_drift_m",
    "bone_length_std_m",
    "bone_lengths",
    "foot_skate",
    "held_out_error_px",
    "held_out_views_px",
    "jitter",
    "lag_s",
    "mpjpe",
    "oks",
    "pa_mpjpe",
    "pck",
    "pcp",
    "people_agreement",
    "reprojection_error_px",
]

LIMB_BONES = (
    ("left_shoulder", "left_elbow"),
    ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"),
    ("right_hip", "right_knee"),
    ("left_knee", "left_ankle"),
    ("right_knee", "right_ankle"),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
    ("left_ankle", "left_heel"),
    ("right_ankle", "right_heel"),
)
"""The 14 segments whose lengths ought to be constant: limbs, trunk and hindfeet."""

LIMB_KEYPOINTS = tuple(
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
"""The twelve keypoints that accuracy is stated for: shoulders to ankles."""

_STEP_HEIGHT_M = 0.03
"""A foot lower than this above its own lowest place may be standing."""


def bone_lengths(
    xyz: FloatArray, names: Sequence[str], bones: Sequence[tuple[str, str]] = LIMB_BONES
) -> FloatArray:
    """Distances of pairs of keypoints.

    Args:
        xyz: (..., K, 3) metres, any frame.
        names: K names.
        bones: pairs of names; pairs that are not among the names are left out.

    Returns:
        (..., N) metres.
    """
    index = {name: i for i, name in enumerate(names)}
    pairs = [(index[a], index[b]) for a, b in bones if a in index and b in index]
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    return np.linalg.norm(xyz[..., first, :] - xyz[..., second, :], axis=-1)


def bone_length_std_m(points: Keypoints3D, bones: Sequence[tuple[str, str]] = LIMB_BONES) -> float:
    """Standard deviation over time of a bone's length, mean over bones and people, metres.

    Rigid bones seen without error have zero; it needs no truth, but it cannot see a constant offset.
    """
    spread = _reduce(np.nanstd, bone_lengths(points.xyz_world, points.keypoint_names, bones))  # (P, N)
    return float(_reduce(np.nanmean, spread.ravel()))


def bone_length_drift_m(
    xyz: FloatArray, names: Sequence[str], bones: Sequence[tuple[str, str]] = LIMB_BONES
) -> float:
    """How much bones change over a take: last fifth against first fifth, mean over bones, metres.

    Args:
        xyz: (T, K, 3) metres of one person.
        names: K names.
        bones: pairs of names.
    """
    lengths = bone_lengths(xyz, names, bones)
    part = max(1, len(lengths) // 5)
    ends = [_reduce(np.nanmedian, lengths[rows]) for rows in (slice(part), slice(-part, None))]
    return float(_reduce(np.nanmean, np.abs(ends[1] - ends[0])))


def mpjpe(estimate: FloatArray, truth: FloatArray) -> float:
    """Mean distance between points (..., 3) without any alignment, metres."""
    return float(_reduce(np.nanmean, np.linalg.norm(estimate - truth, axis=-1).ravel()))


def pa_mpjpe(estimate: FloatArray, truth: FloatArray) -> float:
    """Mean distance after the best similarity of each frame: (T, J, 3) each, metres.

    Rotation, translation and scale are free in every frame (Procrustes), so this measures the pose alone.
    Frames with fewer than three joints in both are left out.
    """
    distances = [
        np.linalg.norm(_align(seen[both], true[both]) - true[both], axis=-1)
        for seen, true in zip(estimate, truth, strict=True)
        if (both := np.isfinite(seen + true).all(-1)).sum() >= 3
    ]
    return float(np.concatenate(distances).mean()) if distances else float("nan")


def _align(points: FloatArray, target: FloatArray) -> FloatArray:
    """(J, 3) points moved onto the target by the similarity of least squares (Umeyama 1991, eq. 40-42)."""
    center, target_center = points.mean(0), target.mean(0)
    source, goal = points - center, target - target_center
    left, spread, right = np.linalg.svd(goal.T @ source)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right)) or 1.0])
    rotation = left @ np.diag(sign) @ right
    power = (source**2).sum()
    scale = (spread * sign).sum() / power if power > 0 else 1.0
    return scale * source @ rotation.T + target_center


def acceleration_error(estimate: FloatArray, truth: FloatArray, rate_hz: float) -> float:
    """Root mean square difference of accelerations, m/s², from (T, J, 3) metres at ``rate_hz``."""
    return jitter(estimate - truth, rate_hz)


def lag_s(estimate: FloatArray, truth: FloatArray, rate_hz: float, *, longest_s: float = 0.5) -> float:
    """How late an estimate is, seconds: the shift at which its speeds agree best with the truth's.

    Args:
        estimate: (T, J, 3) metres.
        truth: (T, J, 3) metres, at the same times.
        rate_hz: frames a second.
        longest_s: largest lag or lead that is looked for.
    """
    late, true = (np.diff(xyz, axis=0).reshape(len(xyz) - 1, -1) for xyz in (estimate, truth))
    reach = min(round(longest_s * rate_hz), len(true) // 3)

    def apart(shift: int) -> float:
        rows = slice(reach, len(true) - reach)
        moved = late[reach + shift : len(true) - reach + shift]
        return float(_reduce(np.nanmean, ((moved - true[rows]) ** 2).ravel()))

    costs = np.array([apart(shift) for shift in range(-reach, reach + 1)])
    best = int(np.argmin(costs))
    between = 0.0
    if 0 < best < 2 * reach:  # the bottom of the parabola through the best three
        before, here, after = costs[best - 1 : best + 2]
        bend = before - 2 * here + after
        between = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return (best - reach + between) / rate_hz


@dataclass(frozen=True)
class Cost:
    """What a computation took."""

    seconds: float
    """Altogether."""
    frames: int
    """Frames of the take that it was for."""
    cameras: int = 1
    """Cameras that each frame has."""

    @property
    def ms_per_frame(self) -> float:
        """Milliseconds for a frame of the take, all cameras."""
        return 1e3 * self.seconds / max(self.frames, 1)

    @property
    def ms_per_image(self) -> float:
        """Milliseconds for a picture of one camera."""
        return self.ms_per_frame / max(self.cameras, 1)

    def times_real_time(self, rate_hz: float) -> float:
        """How many seconds of the take are done in a second."""
        return self.frames / rate_hz / self.seconds if self.seconds > 0 else float("inf")


def jitter(xyz: FloatArray, rate_hz: float) -> float:
    """Root mean square acceleration of (T, J, 3) metres at ``rate_hz``, m/s².

    Of a person who holds still this is noise; of a movement, compare with the truth's own.
    """
    acceleration = np.diff(xyz, n=2, axis=0) * rate_hz**2
    return float(np.sqrt(_reduce(np.nanmean, (acceleration**2).sum(-1).ravel())))


def reprojection_error_px(cameras: Cameras, xyz_world: FloatArray, xy_px: FloatArray) -> FloatArray:
    """Distance between what was seen and where the points project.

    Args:
        cameras: the C cameras.
        xyz_world: (T, K, 3) metres, world frame.
        xy_px: (T, C, K, 2) distorted pixels.

    Returns:
        (T, C, K) pixels, NaN where either is missing.
    """
    projected = cameras.project(torch.as_tensor(xyz_world))[0].numpy()
    return np.linalg.norm(projected - xy_px, axis=-1)


def held_out_error_px(
    xy_px: FloatArray,
    sigma_px: FloatArray,
    cameras: Cameras,
    *,
    min_views: int = 2,
    max_error_px: float = 20.0,
    min_angle_deg: float = 3.0,
) -> FloatArray:
    """How far each view lies from what all the other views together predict for it.

    Unlike the reprojection error, this cannot be made small by rejecting views or by trusting one: it tells
    cameras, clocks and detector errors as they are, without any truth.

    Args:
        xy_px: (T, C, K, 2) distorted pixels of one person, NaN where unseen.
        sigma_px: (T, C, K) expected deviations, pixels.
        cameras: the C cameras.
        min_views: fewest of the other views that must agree.
        max_error_px: largest reprojection error among the others at 1080 px image height.
        min_angle_deg: smallest angle between two rays, degrees.

    Returns:
        (T, C, K) pixels, NaN where the view saw nothing or the others agree on nothing.
    """
    times, count, keypoints = sigma_px.shape
    result = np.full((times, count, keypoints), np.nan)
    limit = max_error_px * cameras.size_px[:, 1].nan_to_num(1080.0) / 1080.0
    for index in range(count):
        others = [i for i in range(count) if i != index]
        solved = triangulate(
            cameras[[cameras.names[i] for i in others]],
            torch.as_tensor(np.moveaxis(xy_px[:, others], 1, 2).reshape(-1, count - 1, 2)),
            torch.as_tensor(np.moveaxis(sigma_px[:, others], 1, 2).reshape(-1, count - 1)),
            min_views=min_views,
            max_error_px=limit[others],
            min_angle_deg=min_angle_deg,
        )
        xyz = solved.xyz_world.reshape(times, keypoints, 3).numpy()
        one = cameras[[cameras.names[index]]]
        result[:, index] = reprojection_error_px(one, xyz, xy_px[:, [index]])[:, 0]
    return result


def held_out_views_px(
    cameras: Cameras, xy_px: FloatArray, solve: Callable[[tuple[str, ...]], FloatArray]
) -> FloatArray:
    """How well a whole solution that has not seen a camera predicts what it shows.

    ``held_out_error_px`` does this for plain triangulation; here any reconstruction or fit is judged.

    Args:
        cameras: the C cameras.
        xy_px: (T, C, K, 2) distorted pixels of one person, NaN where unseen.
        solve: given the names of the cameras that it may use, the keypoints (T, K, 3) in the world, metres.

    Returns:
        (T, C, K) pixels, NaN where the view saw nothing or the others know nothing.
    """
    result = np.full(xy_px.shape[:-1], np.nan)
    for index, name in enumerate(cameras.names):
        xyz_world = solve(tuple(other for other in cameras.names if other != name))
        result[:, index] = reprojection_error_px(cameras[[name]], xyz_world, xy_px[:, [index]])[:, 0]
    return result


def foot_skate(xyz_world: FloatArray, rate_hz: float, standing: NDArray[np.bool_] | None = None) -> float:
    """Mean horizontal speed of feet while they stand, m/s.

    Args:
        xyz_world: (T, F, 3) points of the feet (heels, toes), metres, world frame, Z up.
        rate_hz: frames per second.
        standing: (T, F) when each point stands. Without it, a point stands while it is within 3 cm of its
            own lowest place; the 5 % lowest heights count as that place.
    """
    if standing is None:
        height = xyz_world[..., 2]
        floor = _reduce(lambda z, axis: np.nanquantile(z, 0.05, axis=axis), height)
        standing = height - floor < _STEP_HEIGHT_M
    speed = np.linalg.norm(np.diff(xyz_world[..., :2], axis=0), axis=-1) * rate_hz
    return float(_reduce(np.nanmean, np.where(standing[1:] & standing[:-1], speed, np.nan).ravel()))


def _reduce(function: Callable[..., FloatArray], values: FloatArray) -> FloatArray:
    """A nan-aware reduction over the first axis that is silent, and NaN, where nothing is known."""
    empty = ~np.isfinite(values).any(0)
    filled = np.where(empty, 0.0, values)
    return np.where(empty, np.nan, function(filled, axis=0))
