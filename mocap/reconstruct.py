"""Stage 5: 2D keypoints in many views → 3D keypoints with uncertainty.

``observe`` finds the main actor in every view and brings all views to the same instants; ``solve`` turns
those observations into points: triangulation of every keypoint at every instant for itself, exchange of left
and right where a view plainly confused them, and rejection of points that jump. Nothing is smoothed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from calibration.triangulation import Triangulated, triangulate
from mocap.associate import Association, associate, claim
from mocap.errors import ConfigError, InputError
from mocap.keypoints import CameraKeypoints, Keypoints3D
from mocap.observations import Observations, gather, reprojections_px
from mocap.progress import Progress, silent
from mocap.settings import ReconstructSettings
from mocap.sides import unswap
from mocap.sync import Clock
from mocap.timeline import common_rate, frame_rate, resample, shared_grid

DEFAULTS = ReconstructSettings()
"""The settings of a take that says nothing else."""

_JUMP_M = 0.25
"""A point on two views that lies further from its neighbours in time is an accident of geometry."""
_SWAP_ROUNDS = 3
"""Views in which left and right may be exchanged at one instant, one after the other."""
_SLICE = 500
"""Instants triangulated between two reports of progress."""


@dataclass(frozen=True)
class CameraFit:
    """How well one view agrees with the points."""

    median_error_px: float | None
    """Median reprojection error of the observations that were used; None without any."""
    p95_error_px: float | None
    """95 % of them are below; None without any."""
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
    settings: ReconstructSettings = DEFAULTS,
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
        ConfigError: a setting that cannot be meant.
    """
    observations, association = observe(keypoints, cameras, clock, settings=settings)
    return solve(observations, association, cameras[list(keypoints)], settings=settings, progress=progress)


def observe(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    clock: Clock,
    *,
    settings: ReconstructSettings = DEFAULTS,
) -> tuple[Observations, Association]:
    """Find the main actor in every view and bring the views to common instants.

    Arguments and errors are those of ``reconstruct``. The cameras of the result are in the order of
    ``keypoints``.
    """
    _check(settings)
    keypoints, cameras = _matched(keypoints, cameras, settings.min_views)
    taken_s = {name: clock.take_time(name, view.time_s) for name, view in keypoints.items()}
    rate_hz = settings.rate_hz or common_rate([frame_rate(view.time_s) for view in keypoints.values()])
    time_s = shared_grid(list(taken_s.values()), rate_hz, settings.min_views)
    association = associate(keypoints, cameras, clock, time_s=time_s, min_views=settings.min_views)
    rows = dict(association.people[0].rows)
    observations = gather(keypoints, taken_s, rows, time_s, rate_hz)
    points = _triangulate(observations, cameras, settings)
    for name, view in keypoints.items():
        xyz = resample(time_s, points.xyz_world[:, 0], taken_s[name], period_s=1 / rate_hz)
        projected = cameras[name].project(torch.as_tensor(xyz))[0][:, 0].numpy()
        rows[name] = claim(view, projected, rows[name])
    main = replace(association.people[0], rows=rows)
    association = replace(association, people=(main, *association.people[1:]))
    return gather(keypoints, taken_s, rows, time_s, rate_hz), association


def solve(
    observations: Observations,
    association: Association,
    cameras: Cameras,
    *,
    settings: ReconstructSettings = DEFAULTS,
    progress: Progress = silent,
) -> tuple[Keypoints3D, ReconstructSummary]:
    """Points from observations; the cameras in the order of the observations' camera axis."""
    points = _triangulate(observations, cameras, settings, progress)
    swapped = np.zeros(observations.xy_px.shape[:2], dtype=bool)
    for _ in range(_SWAP_ROUNDS):
        observations, now = unswap(observations, points, cameras)
        changed = now.any(1)
        if not changed.any():
            break
        points = _put(points, changed, _triangulate(observations.at(changed), cameras, settings))
        swapped |= now
    points, jumps = _without_jumps(points)
    summary = ReconstructSummary(
        frames=len(points.time_s),
        rate_hz=observations.rate_hz,
        coverage=float((points.num_views > 0).mean()),
        mean_views=float(points.num_views.sum() / max((points.num_views > 0).sum(), 1)),
        cameras=_camera_fits(observations, cameras, points, swapped, settings),
        jumps=jumps,
        people=len(association.people),
        notes=association.notes,
    )
    return points, summary


def _check(settings: ReconstructSettings) -> None:
    """Refuse what cannot be meant."""
    if settings.min_views < 2:
        raise ConfigError(
            f"{settings.min_views} is too few", where="reconstruct.min_views", todo="two rays make a point"
        )
    if not 0 <= settings.rate_hz < float("inf"):
        raise ConfigError(
            f"{settings.rate_hz} is no rate", where="reconstruct.rate_hz", todo="0 means the cameras' own"
        )


def _matched(
    keypoints: Mapping[str, CameraKeypoints], cameras: Cameras, min_views: int
) -> tuple[dict[str, CameraKeypoints], Cameras]:
    """Keypoints with frames, all with the first one's names in its order, and the cameras that saw them."""
    if len(keypoints) < min_views:
        raise InputError(
            f"{len(keypoints)} camera{'s' if len(keypoints) != 1 else ''} in this take, 3D needs {min_views}",
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


def _triangulate(
    observations: Observations,
    cameras: Cameras,
    settings: ReconstructSettings,
    progress: Progress = silent,
) -> Keypoints3D:
    """Every keypoint of every person at every instant for itself."""
    times, views, people, count = observations.sigma_px.shape
    limit = _limit_px(cameras, settings)
    parts: list[Triangulated] = []
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


def _put(points: Keypoints3D, at: NDArray[np.bool_], part: Keypoints3D) -> Keypoints3D:
    """Points with those at some instants (T,) replaced."""
    fields: dict[str, NDArray[Any]] = {}
    for name in ("xyz_world", "covariance", "error_px", "num_views"):
        fields[name] = getattr(points, name).copy()
        fields[name][at] = getattr(part, name)
    return replace(points, **fields)


def _limit_px(cameras: Cameras, settings: ReconstructSettings) -> torch.Tensor:
    """(C,) pixels by which a view may disagree."""
    return settings.max_error_px * cameras.size_px[:, 1].nan_to_num(1080.0) / 1080.0


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


def _camera_fits(
    observations: Observations,
    cameras: Cameras,
    points: Keypoints3D,
    swapped: NDArray[np.bool_],
    settings: ReconstructSettings,
) -> dict[str, CameraFit]:
    """How well each view agrees with the points."""
    error = reprojections_px(cameras, points, observations.xy_px)
    limit_px = _limit_px(cameras, settings).numpy()
    fits: dict[str, CameraFit] = {}
    for index, name in enumerate(cameras.names):
        seen = int(np.isfinite(observations.xy_px[:, index]).all(-1).sum())
        used = error[:, index][error[:, index] <= limit_px[index]]
        median, p95 = np.quantile(used, (0.5, 0.95)).tolist() if len(used) else (None, None)
        exchanged = int(swapped[:, index].sum())
        fits[name] = CameraFit(median, p95, seen, seen - len(used), exchanged)
    return fits
