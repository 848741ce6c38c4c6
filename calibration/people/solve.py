"""The steps from matched people to cameras: hypotheses of the focal length, then the bundle adjustment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.errors import CalibrationError
from calibration.people.body import Bones
from calibration.people.bundle import covariance, minimise
from calibration.people.clocks import lasting_size
from calibration.people.curves import PersonView, grid, sample
from calibration.people.errors import observe
from calibration.people.priors import PeoplePrior, people_priors
from calibration.people.start import place_all, points, start_pairs
from calibration.people.state import POSE, WIDTH, People, Priors, Solved, State

_FOCALS = (0.8, 0.6, 1.1, 0.45, 1.6)
"""Focal lengths that are tried, in parts of the longer side: 64° across to 35°, then ever rarer ones."""
_CONVINCING = 1.05
"""A hypothesis whose cost is within this of the best of the ones tried before it needs no rival."""
_CORRELATION_S = 0.4
"""Twice the time after which a detector's error has forgotten itself: one independent look."""
_ROUGH_INSTANTS, _INSTANTS = 60, 180
"""Instants of each person that hypotheses and the final solve look at, at most."""
_STEP_S = 0.1
"""Instants nearer than this tell nothing new."""
_ALIKE_SD, _ALIKE_FLOOR = 3.0, 0.05
"""Focal lengths of one make: within so many standard deviations, or so much (log), of their mean."""


def free_unknowns(
    state: State, *, lens_free: Tensor, clock_free: Tensor, fixed: int | None, bias: bool
) -> Tensor:
    """(G,) bool: what may change.

    Args:
        state: the unknowns.
        lens_free: (C,) bool, cameras whose lens is not known.
        clock_free: (C,) bool, clocks that are not known.
        fixed: the camera whose pose stays; None where priors hold the poses.
        bias: whether detectors' constant errors are solved for.
    """
    count = len(state.cameras)
    each = torch.zeros(count, WIDTH, dtype=torch.bool)
    each[:, :POSE] = True
    each[:, 6:11] = lens_free[:, None]
    each[:, 11] = clock_free
    if fixed is not None:
        each[fixed, :POSE] = False
    rest = torch.ones(state.log_bone.numel(), dtype=torch.bool)
    return torch.cat([each.flatten(), rest, torch.full((state.bias.numel(),), bias)])


def problem(
    views: Sequence[PersonView],
    cameras: Cameras,
    offset_s: Tensor,
    bones: Bones,
    most: int,
    step_s: float = _STEP_S,
) -> tuple[State, People]:
    """A start from placed cameras; priors and freedoms are still empty.

    Args:
        views: the cameras' views, people in corresponding rows.
        cameras: posed.
        offset_s: (C,) clocks.
        bones: of the keypoints.
        most: instants of each person that are looked at, at most.
        step_s: instants are not nearer than this.

    Raises:
        CalibrationError: the cameras have too little in common.
    """
    persons = views[0].xy_px.shape[1]
    times = grid(views, offset_s, step_s, min(0.1, step_s))
    times = times[:: max(1, -(-len(times) // most))]
    if len(times) < 2:
        raise CalibrationError(
            "the clips hardly overlap: fewer than 2 instants; check that they are of one take"
        )
    step = float(times[1] - times[0])
    empty = torch.empty(0, dtype=torch.float64)
    person = torch.arange(persons).repeat_interleave(len(times))
    count, keypoints = len(views), views[0].xy_px.shape[2]
    people = People(
        views,
        times.repeat(persons),
        person,
        empty,
        bones.ends,
        bones.sigma_m,
        torch.empty(0),
        min(1.0, step / _CORRELATION_S),
        Priors(empty, empty),
        empty,
    )
    xy, _, sigma = observe(people, offset_s)
    seen = torch.isfinite(xy).all(-1) & torch.isfinite(sigma)
    xyz = points(cameras, xy.flatten(1, 2), torch.where(seen, sigma, 1.0).flatten(1))
    xyz = xyz.reshape(-1, keypoints, 3)
    middle = xyz.nanmedian(1, keepdim=True).values
    whole = torch.isfinite(xyz).all(-1).sum(1) >= keypoints // 2
    xyz = torch.where(torch.isfinite(xyz), xyz, middle)[whole]
    if len(xyz) < 10:
        raise CalibrationError(
            f"{len(xyz)} instants at which two cameras see the same person, 10 are the least; film longer"
        )
    size = torch.stack([_sizes(one, person) for one in xy])[:, whole]
    people = replace(
        people, time_s=people.time_s[whole], person=person[whole], size_px=size, seen=seen[:, whole]
    )
    bone = _bone_lengths(xyz, people.person, bones, persons)
    state = State(
        cameras,
        torch.zeros(count, dtype=torch.float64),
        offset_s.clone(),
        bone,
        xyz,
        torch.zeros(count, persons, keypoints, 2, dtype=torch.float64),
    )
    return state, people


def _sizes(xy: Tensor, person: Tensor) -> Tensor:
    """(S,) how large each person appears, pixels; the median where unknown."""
    size = torch.cat([lasting_size(xy[person == who]) for who in person.unique()])
    typical = size.nanmedian()
    return torch.where(torch.isfinite(size), size, typical if torch.isfinite(typical) else 1.0)


def _bone_lengths(xyz: Tensor, person: Tensor, bones: Bones, persons: int) -> Tensor:
    """(P, B) log: as expected, so large as each person's limbs are."""
    length = (xyz[:, bones.ends[:, 0]] - xyz[:, bones.ends[:, 1]]).norm(dim=-1).clamp(min=1e-3).log()
    result = bones.log_length.repeat(persons, 1)
    for who in range(persons):
        mine = length[person == who][:, bones.limbs]
        if len(mine):
            result[who] += (mine.median(0).values - bones.log_length[bones.limbs]).median()
    return result


def first_guess(
    views: Sequence[PersonView],
    lenses: Cameras,
    known: Tensor,
    offset_s: Tensor,
    bones: Bones,
    prior: PeoplePrior,
) -> tuple[Cameras, tuple[int, ...]]:
    """Cameras placed from nothing, their focal lengths by the hypothesis that explains the people best.

    Args:
        views: the cameras' views.
        lenses: what is known of them.
        known: (C,) bool, lenses that are known.
        offset_s: (C,) clocks.
        bones: of the keypoints.
        prior: what is known beforehand.

    Returns:
        Posed cameras, and the rows of those that could not be placed.

    Raises:
        CalibrationError: no pair of cameras agrees on anything.
    """
    best: tuple[float, Cameras, tuple[int, ...]] | None = None
    tried = _FOCALS if not bool(known.all()) else (1.0,)
    for share in tried:
        guess = torch.where(known[:, None], lenses.focal_px, share * lenses.size_px.amax(1, keepdim=True))
        found = _hypothesis(views, replace(lenses, focal_px=guess), known, offset_s, bones, prior)
        if found is None:
            continue
        if best is None or (len(found[2]), found[0]) < (len(best[2]), best[0]):
            best = found
        elif len(found[2]) == len(best[2]) and found[0] < _CONVINCING * best[0]:
            break  # two starts have led to the same place
    if best is None:
        raise CalibrationError(
            "no two cameras agree on how the person moved; check that the clips are of one take and start "
            "within the largest offset, and that the person walks through the whole volume"
        )
    return best[1], best[2]


def _hypothesis(
    views: Sequence[PersonView],
    lenses: Cameras,
    known: Tensor,
    offset_s: Tensor,
    bones: Bones,
    prior: PeoplePrior,
) -> tuple[float, Cameras, tuple[int, ...]] | None:
    """Cost, cameras and the rows that could not be placed, from one guess of the focal lengths."""
    times = grid(views, offset_s, _STEP_S)
    times = times[:: max(1, len(times) // _ROUGH_INSTANTS)]
    keypoints = views[0].xy_px.shape[2]
    at = [_sampled(view, times - offset) for view, offset in zip(views, offset_s, strict=True)]
    xy, sigma = torch.stack([a for a, _ in at]), torch.stack([s for _, s in at])
    pairs = start_pairs(lenses, xy, sigma)
    if not pairs:
        return None
    placed, waiting = place_all(lenses, pairs[0], xy, sigma, bones, keypoints)
    rows = [row for row in range(len(lenses)) if row not in waiting]
    names = [lenses.names[row] for row in rows]
    try:
        state, people = problem(
            [views[row] for row in rows], placed[names], offset_s[rows], bones, _ROUGH_INSTANTS
        )
    except CalibrationError:
        return None
    fixed = rows.index(pairs[0].cameras[0])
    free = free_unknowns(
        state,
        lens_free=~known[rows],
        clock_free=torch.zeros(len(rows), dtype=torch.bool),
        fixed=fixed,
        bias=False,
    )
    people = replace(people, priors=people_priors(state, bones, prior, groups=[]), free=free)
    state, value, _ = minimise(state, people, tolerance=1e-4, max_steps=40)
    poses = placed.cam_from_world.clone()
    focal, center, bent = placed.focal_px.clone(), placed.center_px.clone(), placed.distortion.clone()
    poses[rows], focal[rows] = state.cameras.cam_from_world, state.cameras.focal_px
    center[rows], bent[rows] = state.cameras.center_px, state.cameras.distortion
    done = replace(placed, cam_from_world=poses, focal_px=focal, center_px=center, distortion=bent)
    return value / float(people.seen.sum().clamp(min=1)), done, waiting


def _sampled(view: PersonView, at_s: Tensor) -> tuple[Tensor, Tensor]:
    at = sample(view, at_s)
    return at.xy_px.flatten(0, 2), at.sigma_px.flatten(0, 2)


def solve(
    views: Sequence[PersonView],
    start: Cameras,
    lenses: Cameras,
    known: Tensor,
    offset_s: Tensor,
    clock_known: Tensor,
    bones: Bones,
    prior: PeoplePrior,
) -> Solved:
    """The final adjustment: all cameras, clocks and biases free; then once more where lenses are alike.

    Args:
        views: the placed cameras' views.
        start: their first poses and focal lengths.
        lenses: what is known of their lenses: the priors' centres.
        known: (C,) bool, lenses that stay.
        offset_s: (C,) first clocks.
        clock_known: (C,) bool, clocks that stay; the first one's always does.
        bones: of the keypoints.
        prior: what is known beforehand.
    """
    state, people = problem(views, start, offset_s, bones, _INSTANTS)
    clock_free = ~clock_known.clone()
    clock_free[0] = False
    free = free_unknowns(state, lens_free=~known, clock_free=clock_free, fixed=0, bias=True)
    anchor = replace(state, cameras=replace(start, center_px=lenses.center_px, distortion=lenses.distortion))
    people = replace(people, priors=people_priors(anchor, bones, prior, groups=[]), free=free)
    state, value, _ = minimise(state, people)
    spread = covariance(state, people)
    groups = alike_groups(state.cameras, spread, known)
    if groups:
        people = replace(people, priors=people_priors(anchor, bones, prior, groups=groups))
        state, value, _ = minimise(state, people)
        spread = covariance(state, people)
    return Solved(
        state, people, value / float(people.seen.sum().clamp(min=1)), spread, tuple(tuple(g) for g in groups)
    )


def alike_groups(cameras: Cameras, spread: Tensor, known: Tensor) -> list[list[int]]:
    """Cameras of one image size whose focal lengths the take cannot tell apart: one make, most likely."""
    log_focal = cameras.focal_px.mean(-1).log()
    std = spread.diagonal().clamp(min=0).sqrt()[6 : len(cameras) * WIDTH : WIDTH]
    groups: list[list[int]] = []
    for size in dict.fromkeys(tuple(row) for row in cameras.size_px.tolist()):
        rows = [r for r in range(len(cameras)) if tuple(cameras.size_px[r].tolist()) == size and not known[r]]
        if len(rows) < 2:
            continue
        off = (log_focal[rows] - log_focal[rows].median()).abs()
        if bool((off <= torch.maximum(_ALIKE_SD * std[rows], torch.tensor(_ALIKE_FLOOR))).all()):
            groups.append(rows)
    return groups
