"""Correct cameras from the performers themselves: which camera was bumped, when, and how far.

A detector's errors are slow and biased, and cameras that may move freely bend to them. So the calibration
counts as what it is worth (a prior on every camera), a detector's constant errors are solved for beside the
cameras, neighbouring instants share one observation, and a correction is taken only if views that are held
out, in a part of the take that it has not seen, come out better by more than a tenth. The least correction
that does as well as any is taken: one camera that was moved; all cameras a little; more; lenses as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.cameras import Cameras
from calibration.errors import CalibrationError
from calibration.people.body import KEYPOINTS, Bones, bones_among
from calibration.people.bundle import minimise
from calibration.people.curves import PersonView
from calibration.people.priors import PeoplePrior, people_priors
from calibration.people.solve import free_unknowns, problem
from calibration.people.state import POSE, WIDTH, State
from mocap.camera_steps import THRESHOLD, Step, all_steps
from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.metrics import held_out_error_px
from mocap.observations import Observations
from mocap.reconstruct import DEFAULTS, observe
from mocap.refine_summary import Bump, CameraChange, Refined, RefineSummary
from mocap.settings import ReconstructSettings
from mocap.sync import Clock

MIN_GAIN = 0.10
"""A correction counts if held-out views come out better by this part: with true cameras, free refinement
changes them by a few per cent while it ruins the 3D."""
_POSITION_M, _TURN_DEG = 0.005, 0.1
"""What a good calibration is known to, standard deviations, where it does not say itself."""
_LOOSER = (1.0, 8.0, 40.0)
"""How many times worse than that the calibration is taken to be, one try after the other."""
_LENS = PeoplePrior(focal=0.03, center=0.02, k1=0.05, k2=0.05)
"""How far lenses may be from a calibration that is bad."""
_MOVED_M, _MOVED_DEG = (0.02, 0.1, 1.0), 5.0
"""How far one camera that somebody moved has shifted, the least first that explains it, and turned: a person
in the middle of the picture hardly tells a turn from a shift, and what is knocked mostly turns."""
_RIVAL = 0.5
"""A camera whose evidence is at least this part of the clearest one's may be the one that moved."""
_BLOCKS = 4
"""Parts of the take; every other one is held out."""
_MIN_SECONDS = 1.0
_MOST = 150
"""Instants that a correction is solved from."""
_NOT_WORSE = 1.02
"""Of two tries that are equally good within this, the smaller correction is taken."""


def refine_from_take(
    cameras: Cameras,
    keypoints: Mapping[str, CameraKeypoints],
    clock: Clock,
    *,
    settings: ReconstructSettings = DEFAULTS,
    pose_std: tuple[Mapping[str, float], Mapping[str, float]] | None = None,
) -> Refined:
    """Correct calibrated cameras from a take. Deterministic.

    Args:
        cameras: the calibration.
        keypoints: what each camera saw in the take.
        clock: the take's clock.
        settings: how people are matched and triangulated.
        pose_std: by camera, what the calibration says its own standard deviations are: metres, degrees.

    Raises:
        InputError: the take cannot be reconstructed at all.
        CalibrationError: too little is seen in common.
    """
    observations, _ = observe(keypoints, cameras, clock, settings=settings)
    cameras = cameras[list(keypoints)]
    seen = _Seen.of(observations, cameras)
    if problems := _too_little(seen):
        return Refined(cameras, None, _nothing(problems, seen, cameras))
    prior = _prior_information(cameras, pose_std)
    steps = _clear_steps(cameras, seen)
    best, tried = _choose(cameras, seen, prior)
    # A camera that was moved before the take disturbs the others' predictions; put right, it shows no step.
    if steps and (best.name == "none" or _clear_steps(best.cameras, seen)):
        return _moved_meanwhile(cameras, seen, steps, prior, keypoints, clock)
    summary = _summary(cameras, best, tried, seen)
    return Refined(best.cameras, None, summary)


@dataclass(frozen=True)
class _Seen:
    """The main actor, the keypoints that are used only."""

    time_s: FloatArray
    xy_px: FloatArray
    """(T, C, K, 2)"""
    sigma_px: FloatArray
    """(T, C, K)"""
    names: tuple[str, ...]

    @staticmethod
    def of(observations: Observations, cameras: Cameras) -> _Seen:
        names = tuple(name for name in KEYPOINTS if name in observations.keypoint_names)
        rows = [observations.keypoint_names.index(name) for name in names]
        return _Seen(
            observations.time_s,
            observations.xy_px[:, :, 0, rows],
            observations.sigma_px[:, :, 0, rows],
            names,
        )

    def at(self, instants: NDArray[np.bool_]) -> _Seen:
        """Those instants seen, the others empty: the timeline stays."""
        return replace(self, xy_px=np.where(instants[:, None, None, None], self.xy_px, np.nan))

    def views(self, cameras: Cameras) -> list[PersonView]:
        sizes = cameras.size_px.nan_to_num(nan=0.0).int().tolist()
        return [
            PersonView(
                torch.from_numpy(self.time_s),
                torch.from_numpy(self.xy_px[:, row, None]),
                torch.from_numpy(np.maximum(self.sigma_px[:, row, None], 0.5)),
                (size[0], size[1]),
            )
            for row, size in enumerate(sizes)
        ]

    def held_out_px(self, cameras: Cameras) -> FloatArray:
        """(C,) median error of each view as the others predict it."""
        limbs = slice(0, 13)
        error = held_out_error_px(
            self.xy_px[:, :, limbs], self.sigma_px[:, :, limbs], cameras, max_error_px=80.0
        )
        return np.array(
            [np.nanmedian(one) if np.isfinite(one).any() else np.nan for one in np.moveaxis(error, 1, 0)]
        )


@dataclass(frozen=True, eq=False)
class _Try:
    """One correction."""

    name: str
    cameras: Cameras
    held_out_px: float
    bumped: tuple[str, ...] = ()


def _too_little(seen: _Seen) -> tuple[str, ...]:
    both = (np.isfinite(seen.xy_px).all(-1).any(-1).sum(1) >= 2).sum()
    seconds = both * float(np.median(np.diff(seen.time_s))) if len(seen.time_s) > 1 else 0.0
    if seconds < _MIN_SECONDS:
        return (
            f"two cameras see the actor together for {seconds:.1f} s, {_MIN_SECONDS:g} s are the least; "
            "film longer",
        )
    return ()


def _clear_steps(cameras: Cameras, seen: _Seen) -> list[Step]:
    """Cameras that may have moved during the take, the clearest first; none where none is clear."""
    steps = sorted(
        all_steps(cameras, seen.xy_px, seen.sigma_px, seen.time_s), key=lambda step: -step.chi2_per_parameter
    )
    if not steps or steps[0].chi2_per_parameter < THRESHOLD:
        return []
    return [step for step in steps if step.chi2_per_parameter > _RIVAL * steps[0].chi2_per_parameter]


def _prior_information(
    cameras: Cameras, pose_std: tuple[Mapping[str, float], Mapping[str, float]] | None
) -> Tensor:
    """(C, 6, 6) what the calibration is worth, for left perturbations of ``cam_from_world``."""
    blocks: list[Tensor] = []
    for name in cameras.names:
        metres = _POSITION_M if pose_std is None else max(pose_std[0].get(name, _POSITION_M), 1e-3)
        degrees = _TURN_DEG if pose_std is None else max(pose_std[1].get(name, _TURN_DEG), 0.02)
        blocks.append(_information(metres, degrees))
    return torch.stack(blocks)


def _information(metres: float, degrees: float) -> Tensor:
    """(6, 6) of a camera whose lens is known to some metres and whose turn to some degrees.

    Under ``exp([rho, phi])`` from the left the lens moves by -R^T rho, whatever phi is.
    """
    std = torch.tensor([metres] * 3 + [float(np.radians(degrees))] * 3, dtype=torch.float64)
    return torch.diag(std**-2)


def _choose(cameras: Cameras, seen: _Seen, prior: Tensor) -> tuple[_Try, list[_Try]]:
    """The least correction that held-out views ask for."""
    halves = _Halves.of(seen)
    start = _Try("none", cameras, _score(cameras, halves, None))
    enough = (1 - MIN_GAIN) * start.held_out_px
    ways = [
        _How(prior / factor**2, False, None, f"all cameras, {factor:g} times the calibration's own error")
        for factor in _LOOSER
    ]
    ways.append(_How(prior / _LOOSER[-1] ** 2, True, None, "all cameras, lenses too"))
    together = [(_score(cameras, halves, how), how) for how in ways]
    least = min(score for score, _ in together)
    # Looking at each camera alone costs as much again, and matters only where something is wrong.
    alone = _single_cameras(cameras, halves, prior) if least < enough else []
    tried = [start, *(_Try(how.name, cameras, score) for score, how in together + alone)]
    moved = [(score, how) for score, how in alone if score < min(enough, _NOT_WORSE * least)]
    looser = [(score, how) for score, how in together if score < min(enough, _NOT_WORSE * least)]
    if moved:
        score, how = min(moved, key=lambda entry: entry[0])
        bumped = (cameras.names[how.only],) if how.only is not None else ()
        return _Try(how.name, _refine(cameras, seen, how), score, bumped), tried
    if looser:
        score, how = looser[0]
        return _Try(how.name, _refine(cameras, seen, how), score), tried
    return start, tried


@dataclass(frozen=True, eq=False)
class _How:
    """How free the cameras are."""

    information: Tensor
    """(C, 6, 6) prior of the poses."""
    lens: bool
    """Lenses are solved for too."""
    only: int | None
    """The one camera that may move."""
    name: str = ""
    """For people."""


@dataclass(frozen=True, eq=False)
class _Halves:
    """Two ways to part the take."""

    fit: tuple[_Seen, ...]
    judge: tuple[_Seen, ...]

    @staticmethod
    def of(seen: _Seen) -> _Halves:
        block = np.minimum(np.arange(len(seen.time_s)) * _BLOCKS // max(len(seen.time_s), 1), _BLOCKS - 1)
        parts = tuple(seen.at(block % 2 == odd) for odd in (0, 1))
        return _Halves(parts, parts[::-1])


def _score(cameras: Cameras, halves: _Halves, how: _How | None) -> float:
    """Held-out views in one half with cameras corrected on the other; mean over both halves and all views."""
    found: list[float] = []
    for fit, judge in zip(halves.fit, halves.judge, strict=True):
        try:
            corrected = cameras if how is None else _refine(cameras, fit, how)
        except CalibrationError:
            return float("inf")
        found.append(float(np.nanmean(judge.held_out_px(corrected))))
    return float(np.mean(found))


def _single_cameras(cameras: Cameras, halves: _Halves, prior: Tensor) -> list[tuple[float, _How]]:
    """Each camera freed alone, the others held: a camera that was moved before the take."""
    if len(cameras) < 3:
        return []
    first = [
        _alone(prior, row, _MOVED_M[0], f"camera {name} alone") for row, name in enumerate(cameras.names)
    ]
    found = [(_score(cameras, halves, how), how) for how in first]
    score, clearest = min(found, key=lambda entry: entry[0])
    if clearest.only is not None:
        for metres in _MOVED_M[1:]:
            how = _alone(prior, clearest.only, metres, clearest.name)
            freer = _score(cameras, halves, how)
            if freer * _NOT_WORSE < score:
                score, found[clearest.only] = freer, (freer, how)
    return found


def _alone(prior: Tensor, row: int, metres: float, name: str) -> _How:
    """One camera may move, the others stay."""
    information = prior.clone()
    information[row] = _information(metres, _MOVED_DEG)
    return _How(information, False, row, name)


def _refine(cameras: Cameras, seen: _Seen, how: _How) -> Cameras:
    """Cameras that explain what is seen, as free as told."""
    bones: Bones = bones_among(seen.names)
    count = len(cameras)
    clocks = torch.zeros(count, dtype=torch.float64)
    step_s = min(0.1, max(float(seen.time_s[-1] - seen.time_s[0]) / _MOST, 1 / 60))
    state, people = problem(seen.views(cameras), cameras, clocks, bones, _MOST, step_s)
    prior = replace(_LENS, offset_s=0.01)
    priors = people_priors(state, bones, prior, groups=[], hold_scale=False)
    priors = replace(priors, pose=cameras.cam_from_world, pose_information=how.information)
    everything = torch.full((count,), True)
    free = free_unknowns(
        state, lens_free=everything & how.lens, clock_free=~everything, fixed=None, bias=True
    )
    if how.only is not None:
        for row in range(count):
            if row != how.only:
                free[row * WIDTH : row * WIDTH + POSE] = False
    people = replace(people, priors=priors, free=free)
    done: State = minimise(state, people, tolerance=1e-5, max_steps=30)[0]
    return done.cameras


def _moved_meanwhile(
    cameras: Cameras,
    seen: _Seen,
    steps: Sequence[Step],
    prior: Tensor,
    keypoints: Mapping[str, CameraKeypoints],
    clock: Clock,
) -> Refined:
    """A camera that was moved during the take: the cameras before, and after.

    Of several that may have been it, the one that alone explains the later part best; two cameras that face
    each other disturb each other's predictions about as much.
    """
    found: list[tuple[float, Step, Cameras]] = []
    for step in steps:
        later = seen.at(seen.time_s >= step.from_s)
        for metres in _MOVED_M:
            moved = _refine(cameras, later, _alone(prior, step.camera, metres, ""))
            found.append((float(np.nanmean(later.held_out_px(moved))), step, moved))
    least = min(score for score, _, _ in found)
    after_px, step, after = next(entry for entry in found if entry[0] <= _NOT_WORSE * least)
    later = seen.at(seen.time_s >= step.from_s)
    name = cameras.names[step.camera]
    frame = int(np.searchsorted(clock.take_time(name, keypoints[name].time_s), step.from_s - 1e-6))
    change = _changes(cameras, after, later)
    evidence = step.chi2_per_parameter
    bump = Bump(name, step.from_s, frame, change[name].moved_mm, change[name].turned_deg, evidence)
    text = (
        f"camera {name} was moved by {bump.moved_mm:.0f} mm and {bump.turned_deg:.2f}° at "
        f"{step.from_s:.2f} s (its frame {frame}); evidence {evidence:.0f}, moved above "
        f"{THRESHOLD:g}: calibrate again, or cut the take there"
    )
    how = f"camera {name} from {step.from_s:.2f} s on"
    before_px = float(np.nanmean(later.held_out_px(cameras)))
    summary = RefineSummary(how, before_px, after_px, {}, change, (bump,), True, True, (), (text,))
    return Refined(cameras, after, summary)


def _changes(old: Cameras, new: Cameras, seen: _Seen) -> dict[str, CameraChange]:
    before, after = seen.held_out_px(old), seen.held_out_px(new)
    moved = (new.centers_world - old.centers_world).norm(dim=-1)
    turn = new.cam_from_world[:, :3, :3] @ old.cam_from_world[:, :3, :3].mT
    cosine = ((turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1)
    degrees = torch.rad2deg(cosine.acos())
    return {
        name: CameraChange(
            1e3 * float(moved[row]), float(degrees[row]), float(before[row]), float(after[row])
        )
        for row, name in enumerate(old.names)
    }


def _summary(old: Cameras, best: _Try, tried: Sequence[_Try], seen: _Seen) -> RefineSummary:
    changes = _changes(old, best.cameras, seen)
    start = tried[0].held_out_px
    bumps = tuple(
        Bump(name, None, None, changes[name].moved_mm, changes[name].turned_deg, start / best.held_out_px)
        for name in best.bumped
    )
    warnings = [
        f"camera {bump.camera} stands {bump.moved_mm:.0f} mm and {bump.turned_deg:.2f}° from where it was "
        f"calibrated: held-out views fall from {start:.1f} to {best.held_out_px:.1f} px"
        for bump in bumps
    ]
    if best.name.startswith("all"):
        warnings.append(
            f"the calibration is off: held-out views fall from {start:.1f} to {best.held_out_px:.1f} px "
            f"({best.name}); calibrating again with a board is better"
        )
    return RefineSummary(
        best.name,
        start,
        best.held_out_px,
        {trial.name: trial.held_out_px for trial in tried},
        changes,
        bumps,
        best.name != "none",
        True,
        (),
        tuple(warnings),
    )


def _nothing(reasons: tuple[str, ...], seen: _Seen, cameras: Cameras) -> RefineSummary:
    nan = float("nan")
    none = {name: CameraChange(0.0, 0.0, nan, nan) for name in cameras.names}
    return RefineSummary("none", nan, nan, {}, none, (), False, False, reasons, ())
