"""Cameras from people who walk through the volume: no board, lenses and clocks unknown.

Clocks first, from how the limbs move (``people_clocks``); then a pair of cameras by its essential matrix and
the others by resection, under several guesses of the focal length (``people_start``); then one adjustment of
cameras, lenses, clocks, bones, points and the detector's constant errors (``people_bundle``); at last floor,
up and scale (``people_world``). Whether the result may be trusted is measured: both halves of the take
alone, and the covariance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.errors import CalibrationError
from calibration.people.body import KEYPOINTS, bones_among
from calibration.people.checks import (
    Verdict,
    camera_errors_px,
    enough_to_begin,
    judge,
    pose_std,
    repeatability,
)
from calibration.people.clocks import Shift, clock_shifts, offsets_from_shifts
from calibration.people.curves import PersonView
from calibration.people.match import match_people
from calibration.people.priors import PeoplePrior
from calibration.people.solve import first_guess, solve
from calibration.people.state import Solved
from calibration.people.world import to_world

__all__ = ["PeopleCalibration", "PeopleOptions", "PersonView", "calibrate_people"]


@dataclass(frozen=True)
class PeopleOptions:
    """How cameras are found from people."""

    max_offset_s: float = 1.0
    """How far two cameras' clocks may be apart, seconds."""
    prior: PeoplePrior = field(default_factory=PeoplePrior)
    """What is known of ordinary lenses and bodies."""
    check_halves: bool = True
    """Solve each half of the take alone as well: the honest measure of how well cameras are known."""


@dataclass(frozen=True, eq=False)
class PeopleCalibration:
    """Cameras from people, and how well they are known."""

    cameras: Cameras
    """Placed cameras, world frame (Z up, floor at 0), metres."""
    offset_s: Mapping[str, float]
    """By camera: common time = offset + camera time; 0 for the first."""
    offset_std_s: Mapping[str, float]
    """Their standard deviations."""
    clock_agreement: Mapping[str, float]
    """By camera: highest correlation of its motions with another's; below 0.2 the clock is a guess."""
    xyz_world: Tensor
    """(S, K, 3) keypoints at the instants looked at, metres."""
    time_s: Tensor
    """(S,) common time of these."""
    keypoint_names: tuple[str, ...]
    """K names."""
    stature_m: float
    """Height of the first person, metres."""
    scale_from: str
    """What the scale rests on."""
    floor_std_m: float
    """Scatter of standing feet about the floor, metres; NaN where no feet were seen."""
    camera_px: Mapping[str, float]
    """Median reprojection error by camera, pixels."""
    position_std_m: Mapping[str, float]
    """Standard deviation of each centre by the solve's own covariance, metres; 0 for the first."""
    rotation_std_deg: Mapping[str, float]
    """The same of its turn."""
    focal_std: Mapping[str, float]
    """The same of its focal length, in parts of it."""
    halves_mm: float
    """How far a centre moves between the halves of the take, worst camera; NaN where not measured."""
    halves_deg: float
    """The same for its turn."""
    rig_size_m: float
    """Largest distance between two cameras."""
    verdict: Verdict
    """Whether to trust it, and why not."""


def calibrate_people(
    views: Mapping[str, PersonView],
    keypoint_names: Sequence[str],
    *,
    lenses: Cameras | None = None,
    offset_s: Mapping[str, float] | None = None,
    height_m: float | None = None,
    distance: tuple[str, str, float] | None = None,
    options: PeopleOptions | None = None,
) -> PeopleCalibration:
    """Find cameras from the people that they film. Deterministic.

    Args:
        views: by camera, the people it saw; each row of a view is one person throughout, rows of different
            cameras need not correspond.
        keypoint_names: K names, the side first (``left_hip``).
        lenses: cameras whose lenses are known, by name; their poses do not matter.
        offset_s: clocks that are known, seconds; all cameras or none.
        height_m: stature of the person whom most cameras see, metres.
        distance: two cameras and the metres between them; counts before the height.
        options: how.

    Raises:
        CalibrationError: too little to begin with; the message has the number and its limit.
    """
    options = options or PeopleOptions()
    names = list(views)
    used = [name for name in KEYPOINTS if name in keypoint_names]
    enough_to_begin(views, used)
    columns = [list(keypoint_names).index(name) for name in used]
    chosen = [_only(views[name], columns) for name in names]
    given = None if offset_s is None else torch.tensor([offset_s[n] for n in names], dtype=torch.float64)
    matched = match_people(chosen, options.max_offset_s, given)
    shifts = clock_shifts(matched, [0] * len(names), options.max_offset_s) if given is None else []
    clocks = given if given is not None else _clocks(shifts, names)
    bones = bones_among(used)
    start_lens, known = _lenses(views, lenses)
    guess, lost = first_guess(matched, start_lens, known, clocks, bones, options.prior)
    if lost:
        which = ", ".join(names[row] for row in lost)
        raise CalibrationError(
            f"camera {which} does not agree with the others about the person's motion; check that its clip "
            f"is of this take and starts within {options.max_offset_s:g} s of them, or leave it out"
        )
    clock_known = torch.full((len(names),), given is not None)
    solved = solve(matched, guess, start_lens, known, clocks, clock_known, bones, options.prior)
    halves = repeatability(solved, bones, options.prior, known, start_lens) if options.check_halves else None
    return _result(solved, used, shifts, halves, height_m, distance)


def _only(view: PersonView, columns: Sequence[int]) -> PersonView:
    """The keypoints that are used; a coordinate is never trusted more than half a pixel."""
    sigma = view.sigma_px[:, :, list(columns)]
    return PersonView(
        view.time_s.double(),
        view.xy_px[:, :, list(columns)].double(),
        sigma.double().clamp(min=0.5),
        view.size_px,
    )


def _clocks(shifts: Sequence[Shift], names: Sequence[str]) -> Tensor:
    reached = {0}
    for _ in names:
        reached |= {c for s in shifts for c in s.cameras if set(s.cameras) & reached}
    if len(reached) < len(names):
        lost = ", ".join(name for row, name in enumerate(names) if row not in reached)
        raise CalibrationError(f"camera {lost} never films anybody while another camera does; film together")
    return offsets_from_shifts(shifts, len(names))[0]


def _lenses(views: Mapping[str, PersonView], lenses: Cameras | None) -> tuple[Cameras, Tensor]:
    """Lenses to begin with, and which of them are known."""
    names = tuple(views)
    size = torch.tensor([views[name].size_px for name in names], dtype=torch.float64)
    held = [name for name in names if lenses is not None and name in lenses.names]
    width = max(4, lenses.distortion.shape[1]) if lenses is not None else 4
    focal = 0.8 * size.amax(1, keepdim=True).repeat(1, 2)
    center, bent = (size - 1) / 2, torch.zeros(len(names), width, dtype=torch.float64)
    model = ["pinhole"] * len(names)
    known = torch.tensor([name in held for name in names])
    if lenses is not None and held:
        rows = [names.index(name) for name in held]
        some = lenses[held]
        focal[rows], center[rows] = some.focal_px, some.center_px
        bent[rows, : some.distortion.shape[1]] = some.distortion
        for row, kind in zip(rows, some.model, strict=True):
            model[row] = kind
    poses = torch.eye(4, dtype=torch.float64).repeat(len(names), 1, 1)
    return Cameras(names, size, focal, center, bent, poses, tuple(model)), known


def _result(
    solved: Solved,
    names: Sequence[str],
    shifts: Sequence[Shift],
    halves: tuple[float, float] | None,
    height_m: float | None,
    distance: tuple[str, str, float] | None,
) -> PeopleCalibration:
    state, people = solved.state, solved.people
    world = to_world(state.cameras, state.xyz, people.person, names, height_m=height_m, distance=distance)
    cameras = world.cameras
    position, rotation, focal, offset = pose_std(solved)
    centers = cameras.centers_world
    size = float(torch.cdist(centers, centers).max())
    agreement = {
        name: max((s.agreement for s in shifts if row in s.cameras), default=1.0)
        for row, name in enumerate(cameras.names)
    }
    each = dict(zip(cameras.names, camera_errors_px(solved), strict=True))
    scale_from = (
        "distance" if distance is not None else ("height" if height_m is not None else "assumed height")
    )
    measured = halves if halves is not None else (float("nan"), float("nan"))
    verdict = judge(
        solved,
        world,
        size_m=size,
        halves=(1e3 * world.scale * measured[0], measured[1]),
        agreement=agreement,
        scale_from=scale_from,
        each_px=each,
    )

    def by_name(values: Tensor) -> dict[str, float]:
        return dict(zip(cameras.names, values.tolist(), strict=True))

    return PeopleCalibration(
        cameras=cameras,
        offset_s=by_name(state.offset_s - state.offset_s[0]),
        offset_std_s=by_name(offset),
        clock_agreement=agreement,
        xyz_world=world.xyz_world,
        time_s=people.time_s,
        keypoint_names=tuple(names),
        stature_m=world.stature_m,
        scale_from=scale_from,
        floor_std_m=world.floor_std_m,
        camera_px=each,
        position_std_m=by_name(world.scale * position),
        rotation_std_deg=by_name(rotation),
        focal_std=by_name(focal),
        halves_mm=1e3 * world.scale * measured[0],
        halves_deg=measured[1],
        rig_size_m=size,
        verdict=verdict,
    )
