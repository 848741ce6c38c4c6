"""Stage 0 without a board: cameras from the people of a take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from calibration.cameras import Cameras
from calibration.people.calibrate import PeopleCalibration, PeopleOptions, PersonView, calibrate_people
from mocap.errors import InputError
from mocap.files import plain
from mocap.keypoints import CameraKeypoints
from mocap.observations import deviation
from mocap.progress import Progress, silent
from mocap.sync import CameraClock, Clock
from mocap.track import person_size, tracklets

_MOST_ROWS = 6
"""People of one camera that are compared with those of another, the longest seen first."""
_LEAST_S = 1.0
"""Somebody who is followed for less is not used."""


@dataclass(frozen=True)
class PeopleCameraReport:
    """How one camera came out."""

    median_px: float
    """Median reprojection error of the keypoints, the detector's constant error left out, pixels."""
    focal_px: float
    """Focal length, pixels."""
    focal_std: float
    """Its standard deviation, in parts of it."""
    position_m: tuple[float, float, float]
    """Place of the lens in the world, metres."""
    position_std_mm: float
    """Its standard deviation by the solve, millimetres; 0 for the first camera, against which they stand."""
    rotation_std_deg: float
    """The same of its turn."""
    offset_s: float
    """Clock: take time of the camera's first frame, seconds, 0 for the first camera."""
    offset_std_s: float
    """Its standard deviation."""
    clock_agreement: float
    """How well the motion it shows goes with that of another camera, at most 1."""


@dataclass(frozen=True)
class PeopleSummary:
    """How cameras were found from people, and whether they may be trusted."""

    cameras: Mapping[str, PeopleCameraReport]
    """Each camera."""
    stature_m: float
    """Height of the person the scale rests on, metres."""
    scale_from: str
    """``height``, ``distance`` or ``assumed height``."""
    floor_std_mm: float
    """Scatter of standing feet about the floor, millimetres."""
    rig_size_m: float
    """Largest distance between two cameras, metres."""
    halves_mm: float
    """How far a centre differs between the halves of the take, worst camera, millimetres."""
    halves_deg: float
    """The same of its turn."""
    usable: bool
    """The cameras may be trusted."""
    reasons: tuple[str, ...]
    """Why not, and what to do."""
    warnings: tuple[str, ...]
    """What would make the calibration better."""

    def report(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON; unknown numbers are None."""
        return plain(asdict(self))


def calibrate_from_take(
    keypoints: Mapping[str, CameraKeypoints],
    *,
    lenses: Cameras | None = None,
    clock: Clock | None = None,
    height_m: float | None = None,
    distance: tuple[str, str, float] | None = None,
    options: PeopleOptions | None = None,
    progress: Progress = silent,
) -> tuple[Cameras, Clock, PeopleSummary]:
    """Calibrate a take's cameras from the people in it.

    World: z up, floor at 0 under the feet, origin below where they walked, x to the first camera's right.

    Args:
        keypoints: what each camera saw, people in no particular order.
        lenses: cameras whose lenses are known, by name; their poses do not matter.
        clock: the cameras' clocks where they are known; otherwise they are found.
        height_m: stature of the person who is seen most, metres.
        distance: two cameras and the metres between their lenses; counts before the height.
        options: how.
        progress: told of the work.

    Returns:
        Cameras, clocks and the summary; not to be used where ``usable`` is false.

    Raises:
        InputError: cameras with different keypoints, or with fewer than two frames.
        CalibrationError: too little to begin with; one line with number and limit.
    """
    names = _common_names(keypoints)
    progress("calibrate: people", 0, 1)
    offsets = None if clock is None else {name: clock.cameras[name].offset_s for name in keypoints}
    views = {name: person_view(name, view) for name, view in keypoints.items()}
    found = calibrate_people(
        views, names, lenses=lenses, offset_s=offsets, height_m=height_m, distance=distance, options=options
    )
    progress("calibrate: people", 1, 1)
    return found.cameras, clock or _clock(found), _summary(found)


def person_view(camera: str, keypoints: CameraKeypoints) -> PersonView:
    """What a camera saw with each person in a row of their own, as long as they could be followed."""
    tracks = tracklets(camera, keypoints)
    rate = 1 / float(np.median(np.diff(keypoints.time_s)))
    tracks = sorted((t for t in tracks if len(t.frame) >= _LEAST_S * rate), key=lambda t: -len(t.frame))
    if keypoints.xy_px.shape[1] == 1:
        rows = [(np.arange(len(keypoints.time_s)), np.zeros(len(keypoints.time_s), int))]
    else:
        rows = [(t.frame, t.row) for t in tracks[:_MOST_ROWS]]
    frames, _, count = keypoints.score.shape
    xy = np.full((frames, max(1, len(rows)), count, 2), np.nan)
    sigma = np.full((frames, max(1, len(rows)), count), np.nan)
    for person, (frame, row) in enumerate(rows):
        seen = keypoints.xy_px[frame, row]
        xy[frame, person] = seen
        spread = deviation(keypoints.score[frame, row], keypoints.keypoint_names)
        sigma[frame, person] = spread * person_size(seen)[:, None]
    return PersonView(
        torch.from_numpy(np.asarray(keypoints.time_s, float)),
        torch.from_numpy(xy),
        torch.from_numpy(sigma),
        keypoints.size_px,
    )


def _common_names(keypoints: Mapping[str, CameraKeypoints]) -> tuple[str, ...]:
    names: tuple[str, ...] = ()
    for camera, view in keypoints.items():
        if len(view.time_s) < 2:
            raise InputError(f"camera '{camera}' has {len(view.time_s)} frames", todo="two are the least")
        if names and view.keypoint_names != names:
            raise InputError(
                f"camera '{camera}' has other keypoints than '{next(iter(keypoints))}'",
                todo="detect all cameras alike",
            )
        names = view.keypoint_names
    return names


def _clock(found: PeopleCalibration) -> Clock:
    """Clocks with the earliest camera at 0."""
    first = min(found.offset_s.values())
    return Clock(
        {
            name: CameraClock(offset - first, 0.0, found.offset_std_s[name], "motion of the people")
            for name, offset in found.offset_s.items()
        }
    )


def _summary(found: PeopleCalibration) -> PeopleSummary:
    cameras: dict[str, PeopleCameraReport] = {}
    for row, name in enumerate(found.cameras.names):
        x, y, z = found.cameras.centers_world[row].tolist()
        cameras[name] = PeopleCameraReport(
            median_px=found.camera_px[name],
            focal_px=float(found.cameras.focal_px[row].mean()),
            focal_std=found.focal_std[name],
            position_m=(x, y, z),
            position_std_mm=1e3 * found.position_std_m[name],
            rotation_std_deg=found.rotation_std_deg[name],
            offset_s=found.offset_s[name],
            offset_std_s=found.offset_std_s[name],
            clock_agreement=found.clock_agreement[name],
        )
    return PeopleSummary(
        cameras=cameras,
        stature_m=found.stature_m,
        scale_from=found.scale_from,
        floor_std_mm=1e3 * found.floor_std_m,
        rig_size_m=found.rig_size_m,
        halves_mm=found.halves_mm,
        halves_deg=found.halves_deg,
        usable=found.verdict.usable,
        reasons=found.verdict.reasons,
        warnings=found.verdict.warnings,
    )
