"""Stage 5: 2D keypoints in many views → 3D keypoints with uncertainty.

``observe`` finds the main actor in every view and brings all views to the same instants; ``solve`` turns
those observations into points: triangulation of every keypoint at every instant for itself, exchange of left
and right where a view plainly confused them, and rejection of points that jump. Nothing is smoothed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from calibration.triangulation import triangulate
from mocap.associate import Association, associate, claim
from mocap.errors import InputError
from mocap.keypoints import CameraKeypoints, FloatArray, Keypoints3D
from mocap.progress import Progress, silent
from mocap.settings import ReconstructSettings
from mocap.sync import Clock
from mocap.timeline import common_rate, frame_rate, resample, shared_grid
from mocap.track import person_size

_SCORES = (0.2, 0.4, 0.5, 0.7, 0.9, 1.0)
_BLAZEPOSE_SIGMA = (0.070, 0.042, 0.031, 0.019, 0.0078, 0.0060)
"""Deviation of a BlazePose coordinate by heatmap score, in body sizes; measured on rendered people."""
_OTHER_SIGMA = 0.008
"""The same of other detectors at score 1; it grows as 1 / score."""
_SIZE_WINDOW_S = 1.0
"""A crouching person is as large as they were standing within this time before or after."""
_JUMP_M = 0.25
"""A point on two views that lies further from its neighbours in time is an accident of geometry."""
_SWAP_GAIN = 2.0
"""Mean log likelihood per keypoint that the exchange of left and right must gain."""
_SLICE = 500
"""Instants triangulated between two reports of progress."""


@dataclass(frozen=True)
class Observations:
    """What all views show of some people at the instants of the take's timeline."""

    time_s: FloatArray
    """(T,) seconds on the take's clock."""
    rate_hz: float
    """Instants per second."""
    keypoint_names: tuple[str, ...]
    """K names."""
    xy_px: FloatArray
    """(T, C, P, K, 2) distorted pixels, NaN where unseen; cameras in the order of the calibration."""
    sigma_px: FloatArray
    """(T, C, P, K) expected deviation of a coordinate, pixels."""


@dataclass(frozen=True)
class CameraFit:
    """How well one view agrees with the points."""

    median_error_px: float
    """Median reprojection error of the observations that were used."""
    p95_error_px: float
    """95 % of them are below."""
    seen: int
    """Observations of the main actor."""
    rejected: int
    """Observations that the other views contradict, or that had no second view."""
    swapped: int
    """Instants at which left and right were exchanged in some part of the body."""


@dataclass(frozen=True)
class ReconstructSummary:
    """What became of a take's keypoints."""

    frames: int
    """Instants of the timeline."""
    rate_hz: float
    """Instants per second."""
    coverage: float
    """Share of keypoints and instants that have a point."""
    mean_views: float
    """Views that a point rests on."""
    cameras: dict[str, CameraFit]
    """By camera."""
    jumps: int
    """Points that were dropped because they jumped."""
    people: int
    """People whom enough views saw; the first is the main actor."""
    notes: tuple[str, ...]
    """Who was seen besides the main actor, and why they were left out."""


def reconstruct(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    clock: Clock,
    *,
    settings: ReconstructSettings = ReconstructSettings(),
    progress: Progress = silent,
) -> tuple[Keypoints3D, ReconstructSummary]:
    """Triangulate the main actor's keypoints at every instant of the take.

    Args:
        keypoints: what each camera saw, people in no particular order.
        cameras: calibrated cameras, at least those in ``keypoints``.
        clock: brings the cameras' own times to the take's clock.
        settings: how.
        progress: told the instants that are done.

    Returns:
        The 3D keypoints of one person, world frame, metres, NaN where fewer than ``min_views`` views agree.

    Raises:
        InputError: fewer than two cameras, names that the calibration lacks, no common time, nobody seen.
    """
    observations, association = observe(keypoints, cameras, clock, settings=settings)
    return solve(observations, association, cameras[list(keypoints)], settings=settings, progress=progress)


def observe(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    clock: Clock,
    *,
    settings: ReconstructSettings = ReconstructSettings(),
) -> tuple[Observations, Association]:
    """Find the main actor in every view and bring the views to common instants.

    Arguments and errors are those of ``reconstruct``. The cameras of the result are in the order of
    ``keypoints``.
    """
    keypoints, cameras = _matched(keypoints, cameras, settings.min_views)
    taken_s = {name: clock.take_time(name, view.time_s) for name, view in keypoints.items()}
    rate_hz = settings.rate_hz or common_rate([frame_rate(view.time_s) for view in keypoints.values()])
    time_s = shared_grid(list(taken_s.values()), rate_hz, settings.min_views)
    association = associate(keypoints, cameras, clock, time_s=time_s, min_views=settings.min_views)
    rows = dict(association.people[0].rows)
    observations = _gather(keypoints, taken_s, rows, time_s, rate_hz)
    points = _triangulate(observations, cameras, settings)
    for index, (name, view) in enumerate(keypoints.items()):
        xyz = resample(time_s, points.xyz_world[:, 0], taken_s[name], period_s=1 / rate_hz)
        projected = cameras.project(torch.as_tensor(xyz))[0][:, index].numpy()
        rows[name] = claim(view, projected, rows[name])
    main = replace(association.people[0], rows=rows)
    association = replace(association, people=(main, *association.people[1:]))
    return _gather(keypoints, taken_s, rows, time_s, rate_hz), association


def solve(
    observations: Observations,
    association: Association,
    cameras: Cameras,
    *,
    settings: ReconstructSettings = ReconstructSettings(),
    progress: Progress = silent,
) -> tuple[Keypoints3D, ReconstructSummary]:
    """Points from observations; the cameras in the order of the observations' camera axis."""
    points = _triangulate(observations, cameras, settings, progress)
    observations, swapped = unswap(observations, points, cameras)
    if swapped.any():
        points = _triangulate(observations, cameras, settings, progress)
    points, jumps = _without_jumps(points)
    return points, _summary(observations, association, cameras, points, swapped, jumps, settings)


def _matched(
    keypoints: Mapping[str, CameraKeypoints], cameras: Cameras, min_views: int
) -> tuple[dict[str, CameraKeypoints], Cameras]:
    """Keypoints with frames, all with the first one's names in its order, and the cameras that saw them."""
    needed = max(min_views, 2)
    if len(keypoints) < needed:
        raise InputError(
            f"{len(keypoints)} camera{'s' if len(keypoints) != 1 else ''} in this take, 3D needs {needed}",
            todo="add the clips or keypoints of the others",
        )
    if missing := [name for name in keypoints if name not in cameras.names]:
        raise InputError(
            f"no camera '{missing[0]}' in the calibration",
            todo=f"name the clips as the cameras are: {', '.join(cameras.names)}",
        )
    cameras = cameras[list(keypoints)]
    unposed = [name for name, posed in zip(cameras.names, cameras.posed.tolist(), strict=True) if not posed]
    if unposed:
        raise InputError(f"camera '{unposed[0]}' has no pose", todo="calibrate it with the others")
    first = next(iter(keypoints))
    names = keypoints[first].keypoint_names
    matched: dict[str, CameraKeypoints] = {}
    for camera, view in keypoints.items():
        if set(view.keypoint_names) != set(names):
            raise InputError(
                f"camera '{camera}' has other keypoints than '{first}'", todo="detect all cameras alike"
            )
        if len(view.time_s) < 2:
            raise InputError(f"camera '{camera}' has {len(view.time_s)} frames", todo="two are the least")
        order = [view.keypoint_names.index(name) for name in names]
        matched[camera] = replace(
            view, xy_px=view.xy_px[:, :, order], score=view.score[:, :, order], keypoint_names=names
        )
    return matched, cameras


def _gather(
    keypoints: Mapping[str, CameraKeypoints],
    taken_s: Mapping[str, FloatArray],
    rows: Mapping[str, NDArray[np.integer]],
    time_s: FloatArray,
    rate_hz: float,
) -> Observations:
    """One person's keypoints of all views at the timeline's instants."""
    all_xy: list[FloatArray] = []
    all_sigma: list[FloatArray] = []
    names = next(iter(keypoints.values())).keypoint_names
    for name, view in keypoints.items():
        there = np.flatnonzero(rows[name] >= 0)
        row = rows[name][there]
        period_s = 1 / frame_rate(view.time_s)
        xy = resample(taken_s[name][there], view.xy_px[there, row], time_s, period_s=period_s)
        score = resample(taken_s[name][there], view.score[there, row], time_s, period_s=period_s)
        size = _lasting_size(xy, rate_hz)
        all_xy.append(xy)
        all_sigma.append(deviation(score, names) * size[:, None])
    return Observations(
        time_s, rate_hz, names, np.stack(all_xy, 1)[:, :, None], np.stack(all_sigma, 1)[:, :, None]
    )


def _lasting_size(xy_px: FloatArray, rate_hz: float) -> FloatArray:
    """(T,) a person's size in one picture from (T, K, 2): the largest within a second around, pixels."""
    reach = max(1, round(_SIZE_WINDOW_S * rate_hz))
    size = np.pad(np.nan_to_num(person_size(xy_px)), reach)
    return np.lib.stride_tricks.sliding_window_view(size, 2 * reach + 1).max(-1)


def deviation(score: FloatArray, keypoint_names: Sequence[str]) -> FloatArray:
    """Expected deviation of a detected coordinate by its score (...), in body sizes in the picture.

    BlazePose's score is its heatmap's maximum, whose meaning was measured; for other detectors the
    deviation is taken to grow as 1 / score. A missing score counts as 0.2.
    """
    score = np.clip(np.nan_to_num(score, nan=_SCORES[0]), _SCORES[0], 1.0)
    if {"left_eye_inner", "mouth_left", "left_foot_index"} <= set(keypoint_names):
        return np.exp(np.interp(score, _SCORES, np.log(_BLAZEPOSE_SIGMA)))
    return _OTHER_SIGMA / score


def _triangulate(
    observations: Observations,
    cameras: Cameras,
    settings: ReconstructSettings,
    progress: Progress = silent,
) -> Keypoints3D:
    """Every keypoint of every person at every instant for itself."""
    times, views, people, count = observations.sigma_px.shape
    limit = settings.max_error_px * cameras.size_px[:, 1].nan_to_num(1080.0) / 1080.0
    parts = []
    for start in range(0, times, _SLICE):
        part = slice(start, start + _SLICE)
        xy = torch.as_tensor(np.moveaxis(observations.xy_px[part], 1, 3).reshape(-1, views, 2))
        sigma = torch.as_tensor(np.moveaxis(observations.sigma_px[part], 1, 3).reshape(-1, views))
        parts.append(
            triangulate(
                cameras,
                xy,
                sigma,
                min_views=settings.min_views,
                max_error_px=limit,
                min_angle_deg=settings.min_angle_deg,
            )
        )
        progress("reconstruct", min(start + _SLICE, times), times)
    shape = (times, people, count)
    return Keypoints3D(
        observations.time_s,
        np.arange(people),
        observations.keypoint_names,
        torch.cat([part.xyz_world for part in parts]).reshape(*shape, 3).numpy(),
        torch.cat([part.covariance for part in parts]).reshape(*shape, 3, 3).numpy(),
        torch.cat([part.error_px for part in parts]).reshape(shape).numpy(),
        torch.cat([part.num_views for part in parts]).reshape(shape).numpy(),
    )


def _mirror(names: Sequence[str]) -> list[int]:
    """For each keypoint the index of the same on the other side of the body."""
    sides = {"left": "right", "right": "left"}
    others = ["_".join(sides.get(word, word) for word in name.split("_")) for name in names]
    return [list(names).index(other) if other in names else index for index, other in enumerate(others)]


def _body_parts(names: Sequence[str]) -> list[NDArray[np.bool_]]:
    """(K,) masks of the paired keypoints of legs, arms and head, which detectors confuse one at a time."""
    paired = np.array([index != other for index, other in enumerate(_mirror(names))])
    legs = np.array(
        [any(w in name for w in ("hip", "knee", "ankle", "heel", "toe", "foot")) for name in names]
    )
    head = np.array([any(w in name for w in ("eye", "ear", "mouth", "nose", "head")) for name in names])
    return [paired & legs, paired & head, paired & ~legs & ~head]


def reprojection_px(cameras: Cameras, xyz_world: FloatArray, xy_px: FloatArray) -> FloatArray:
    """(T, C, P, K) distance between observations (T, C, P, K, 2) and projected points (T, P, K, 3), pixels."""
    times, people, count = xyz_world.shape[:3]
    projected = cameras.project(torch.as_tensor(xyz_world.reshape(times, -1, 3)))[0].numpy()
    return np.linalg.norm(projected.reshape(times, -1, people, count, 2) - xy_px, axis=-1)


def unswap(
    observations: Observations, points: Keypoints3D, cameras: Cameras
) -> tuple[Observations, NDArray[np.bool_]]:
    """Exchange left and right in those views and instants where that fits the points much better.

    Legs, head and the rest are judged each for itself.

    Returns:
        The observations, and (T, C) whether anything was exchanged.
    """
    mirror = _mirror(observations.keypoint_names)
    other_xy, other_sigma = observations.xy_px[..., mirror, :], observations.sigma_px[..., mirror]
    plain = _log_cost(reprojection_px(cameras, points.xyz_world, observations.xy_px) / observations.sigma_px)
    crossed = _log_cost(reprojection_px(cameras, points.xyz_world, other_xy) / other_sigma)
    exchange = np.zeros(plain.shape, dtype=bool)
    for part in _body_parts(observations.keypoint_names):
        both = np.isfinite(plain) & np.isfinite(crossed) & part
        gain = np.where(both, plain - crossed, 0.0).sum(-1) / np.maximum(both.sum(-1), 1)
        exchange |= (gain > _SWAP_GAIN)[..., None] & part
    exchanged = replace(
        observations,
        xy_px=np.where(exchange[..., None], other_xy, observations.xy_px),
        sigma_px=np.where(exchange, other_sigma, observations.sigma_px),
    )
    return exchanged, exchange.any((2, 3))


def _log_cost(error: FloatArray) -> FloatArray:
    """Negative log likelihood of errors in deviations, with tails as heavy as a detector's."""
    return 2.5 * np.log1p(error**2 / 3)


def _without_jumps(points: Keypoints3D) -> tuple[Keypoints3D, int]:
    """Drop points on two views only that lie far from the median of their five neighbours in time."""
    padded = np.pad(points.xyz_world, ((2, 2), (0, 0), (0, 0), (0, 0)), constant_values=np.nan)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 5, axis=0), axis=-1)
    known = np.isfinite(windows).sum(-1)
    middle = np.take_along_axis(windows, (np.maximum(known - 1, 0) // 2)[..., None], -1)[..., 0]
    away = np.linalg.norm(points.xyz_world - middle, axis=-1)
    jump = (away > _JUMP_M) & (points.num_views == 2) & (known[..., 0] >= 4)
    return (
        replace(
            points,
            xyz_world=np.where(jump[..., None], np.nan, points.xyz_world),
            covariance=np.where(jump[..., None, None], np.nan, points.covariance),
            error_px=np.where(jump, np.nan, points.error_px),
            num_views=np.where(jump, 0, points.num_views),
        ),
        int(jump.sum()),
    )


def _summary(
    observations: Observations,
    association: Association,
    cameras: Cameras,
    points: Keypoints3D,
    swapped: NDArray[np.bool_],
    jumps: int,
    settings: ReconstructSettings,
) -> ReconstructSummary:
    """Counts and quantiles."""
    error = reprojection_px(cameras, points.xyz_world, observations.xy_px)
    fits: dict[str, CameraFit] = {}
    for index, name in enumerate(cameras.names):
        limit = settings.max_error_px * float(cameras.size_px[index, 1].nan_to_num(1080.0)) / 1080.0
        seen = np.isfinite(observations.xy_px[:, index]).all(-1)
        used = error[:, index][error[:, index] <= limit]
        median, p95 = np.quantile(used, (0.5, 0.95)) if len(used) else (np.nan, np.nan)
        fits[name] = CameraFit(
            float(median),
            float(p95),
            int(seen.sum()),
            int(seen.sum()) - len(used),
            int(swapped[:, index].sum()),
        )
    solved = points.num_views > 0
    return ReconstructSummary(
        frames=len(points.time_s),
        rate_hz=observations.rate_hz,
        coverage=float(solved.mean()),
        mean_views=float(points.num_views[solved].mean()) if solved.any() else 0.0,
        cameras=fits,
        jumps=jumps,
        people=len(association.people),
        notes=association.notes,
    )
