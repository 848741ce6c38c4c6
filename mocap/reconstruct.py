"""Stage 5: 2D keypoints in many views → 3D keypoints with uncertainty.

``observe`` finds everybody in every view and brings all views to the same instants; ``solve`` turns those
observations into points, one person after the other: left and right put back, and then all instants and
keypoints of the take solved together (``mocap.solve``). Short gaps are bridged, with a covariance that says
how little is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from calibration.cameras import Cameras
from mocap.associate import Association, Expected, associate, expected
from mocap.errors import ConfigError, InputError
from mocap.keypoints import CameraKeypoints, FloatArray, Keypoints3D
from mocap.observations import Observations, gather
from mocap.people.person import only_person
from mocap.people.wishes import Wishes, apply
from mocap.person import PersonPoints, ViewUse, all_agree, solve_person, some_points
from mocap.progress import Progress, silent
from mocap.settings import ReconstructSettings
from mocap.sync import Clock
from mocap.timeline import common_rate, frame_rate, shared_grid

_CHECK_S = 0.25
"""Seconds between the instants at which views that show one person each must show the same one."""
_ABSENCE_S = 2.0
"""Time that is left of an absence when somebody's path is solved."""
DEFAULTS = ReconstructSettings()
"""The settings of a take that says nothing else."""


@dataclass(frozen=True)
class CameraFit:
    """How well one view agrees with the points."""

    median_error_px: float | None
    """Median reprojection error of the observations that were used; None without any."""
    p95_error_px: float | None
    """95 % of them are below; None without any."""
    seen: int
    """Observations of the people."""
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
    bridged: int
    """Points that no view saw, between frames in which enough did."""
    people: int
    """People whom enough views saw."""
    notes: tuple[str, ...]
    """Who else was seen, and why they were left out."""


def reconstruct(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    clock: Clock,
    *,
    settings: ReconstructSettings = DEFAULTS,
    wishes: Wishes | None = None,
    progress: Progress = silent,
) -> tuple[Keypoints3D, ReconstructSummary]:
    """Everybody's keypoints in the world, at every instant of the take.

    Args:
        keypoints: what each camera saw, people in no particular order.
        cameras: calibrated cameras, at least those in ``keypoints``.
        clock: brings the cameras' own times to the take's clock.
        settings: how.
        wishes: what the user says about who is who.
        progress: told the instants that are done.

    Returns:
        The 3D keypoints of everybody, the main actor first, world frame, metres, NaN where fewer than
        ``min_views`` views agree.

    Raises:
        InputError: fewer than two cameras, names that the calibration lacks, no common time, nobody seen.
        ConfigError: a setting that cannot be meant.
    """
    observations, association = observe(keypoints, cameras, clock, settings=settings, wishes=wishes)
    return solve(observations, association, cameras[list(keypoints)], settings=settings, progress=progress)


def observe(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    clock: Clock,
    *,
    settings: ReconstructSettings = DEFAULTS,
    wishes: Wishes | None = None,
) -> tuple[Observations, Association]:
    """Find everybody in every view and bring the views to common instants.

    Arguments and errors are those of ``reconstruct``. The cameras of the result are in the order of
    ``keypoints``.
    """
    keypoints, cameras, taken_s, time_s, rate_hz = _prepared(keypoints, cameras, clock, settings)
    limit_px = _limit_px(cameras, settings)
    alone = only_person(keypoints)
    if alone is not None and wishes in (None, Wishes()):
        observations = gather(keypoints, taken_s, [alone.pieces], time_s, rate_hz)
        points = some_points(observations, cameras, settings, limit_px, apart_s=_CHECK_S)
        if all_agree(observations, points, cameras):
            return observations, Association((alone,), ())
    association = associate(keypoints, cameras, clock, time_s=time_s, min_views=settings.min_views)
    if wishes is not None:
        association = replace(association, people=apply(association.people, wishes, taken_s))
    pieces = [person.pieces for person in association.people]
    return gather(keypoints, taken_s, pieces, time_s, rate_hz), association


def expected_people(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    clock: Clock,
    *,
    settings: ReconstructSettings = DEFAULTS,
) -> dict[str, Expected]:
    """By camera where it should see everybody whom the views agree on; arguments as ``observe`` has them."""
    keypoints, cameras, _, time_s, _ = _prepared(keypoints, cameras, clock, settings)
    return expected(keypoints, cameras, clock, time_s=time_s, min_views=settings.min_views)


def _prepared(
    keypoints: Mapping[str, CameraKeypoints], cameras: Cameras, clock: Clock, settings: ReconstructSettings
) -> tuple[dict[str, CameraKeypoints], Cameras, dict[str, FloatArray], FloatArray, float]:
    """Keypoints and cameras that belong together, the frames' times, and the take's timeline and rate."""
    _check(settings)
    matched, cameras = _matched(keypoints, cameras, settings.min_views)
    if not any(np.isfinite(view.xy_px).any() for view in matched.values()):
        raise InputError(
            f"nobody is seen in any of the {len(matched)} cameras",
            todo="check that the clips show people, large and bright enough, or try another --detector",
        )
    taken_s = {name: clock.take_time(name, view.time_s) for name, view in matched.items()}
    rate_hz = settings.rate_hz or common_rate([frame_rate(view.time_s) for view in matched.values()])
    return (
        matched,
        cameras,
        taken_s,
        shared_grid(list(taken_s.values()), rate_hz, settings.min_views),
        rate_hz,
    )


def solve(
    observations: Observations,
    association: Association,
    cameras: Cameras,
    *,
    settings: ReconstructSettings = DEFAULTS,
    progress: Progress = silent,
) -> tuple[Keypoints3D, ReconstructSummary]:
    """Points from observations; the cameras in the order of the observations' camera axis."""
    order = np.lexsort(cameras.centers_world.numpy().T)  # names and their order change nothing
    views = cameras[[cameras.names[index] for index in order]]
    people = [
        _solve_stay(observations.of(row, order), views, settings, progress)
        for row in range(observations.xy_px.shape[2])
    ]
    parts = [person for person, _ in people]
    progress("reconstruct", len(observations.time_s), len(observations.time_s))
    points = Keypoints3D(
        observations.time_s,
        np.arange(len(parts)),
        observations.keypoint_names,
        *(
            np.stack([getattr(part, field) for part in parts], 1)
            for field in ("xyz_world", "covariance", "error_px", "num_views")
        ),
    )
    seen = points.num_views > 0
    summary = ReconstructSummary(
        frames=len(points.time_s),
        rate_hz=observations.rate_hz,
        coverage=float(np.isfinite(points.xyz_world).all(-1).mean()),
        mean_views=float(points.num_views.sum() / max(seen.sum(), 1)),
        cameras={
            name: _camera_fit([uses[views.names.index(name)] for _, uses in people]) for name in cameras.names
        },
        bridged=int((np.isfinite(points.xyz_world).all(-1) & ~seen).sum()),
        people=len(association.people),
        notes=association.notes,
    )
    return points, summary


def _solve_stay(
    observations: Observations, cameras: Cameras, settings: ReconstructSettings, progress: Progress
) -> tuple[PersonPoints, list[ViewUse]]:
    """One person's points, solved over the instants at which anybody sees them.

    Of an absence, as much is left as it takes to come back from anywhere: a longer one says nothing more.
    """
    there = np.isfinite(observations.xy_px).all(-1).any((1, 2, 3))
    place = np.arange(len(there))
    seen = np.flatnonzero(there) if there.any() else place[:1]
    after = np.searchsorted(seen, place)
    before, after = seen[np.maximum(after - 1, 0)], seen[np.minimum(after, len(seen) - 1)]
    near = np.minimum(np.abs(place - before), np.abs(after - place)) <= _ABSENCE_S / 2 * observations.rate_hz
    stay = near & (place >= seen[0]) & (place <= seen[-1])
    limit_px = _limit_px(cameras, settings)
    points, uses = solve_person(observations.at(stay), 0, cameras, settings, limit_px, progress)
    return points.spread_over(stay), uses


def _camera_fit(uses: Sequence[ViewUse]) -> CameraFit:
    """How well one view agrees with the points of all people."""
    errors = np.concatenate([use.errors_px for use in uses])
    median, p95 = np.quantile(errors, (0.5, 0.95)).tolist() if len(errors) else (None, None)
    seen = sum(use.seen for use in uses)
    return CameraFit(median, p95, seen, seen - len(errors), sum(use.swapped for use in uses))


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


def _limit_px(cameras: Cameras, settings: ReconstructSettings) -> torch.Tensor:
    """(C,) pixels by which a view may disagree."""
    return settings.max_error_px * cameras.size_px[:, 1].nan_to_num(1080.0) / 1080.0
