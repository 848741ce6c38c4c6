"""May cameras that were found from people be trusted? Each check has a number, a limit and what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from calibration.alignment import align
from calibration.cameras import Cameras
from calibration.errors import CalibrationError
from calibration.people.body import Bones
from calibration.people.bundle import minimise
from calibration.people.curves import PersonView
from calibration.people.errors import linearise
from calibration.people.priors import PeoplePrior, people_priors
from calibration.people.state import WIDTH, People, Solved, State
from calibration.people.world import PeopleWorld

_FEWEST_KEYPOINTS = 8
_SHORTEST_S = 2.0
_MIN_WALK = 0.5
"""Statures that the person must cover: a body on the spot fixes depth and lenses badly."""
_MIN_AGREEMENT = 0.2
_MAX_PX = 0.03
"""Median reprojection error, in person's sizes: twice what a good detector and true cameras leave."""
_MAX_HALVES, _MAX_HALVES_DEG = 0.03, 2.0
"""Between halves of the take a centre may move by this part of the rig's size, and turn by this: each half
is twice as uncertain as the whole, and what is left is a third of it."""
_WARN_HALVES, _WARN_HALVES_DEG = 0.015, 1.0
_MAX_STD = 0.05
"""Standard deviation of a centre, in parts of the rig's size, beyond which it is not determined."""
_MAX_FOCAL_STD = 0.10
_BLOCK_S = 2.0
"""Length of the blocks that make up the halves."""


@dataclass(frozen=True)
class Verdict:
    """Whether cameras may be trusted."""

    reasons: tuple[str, ...]
    """Why not, and what to do; empty where they may."""
    warnings: tuple[str, ...]
    """What would make them better."""

    @property
    def usable(self) -> bool:
        """Nothing speaks against them."""
        return not self.reasons


def enough_to_begin(views: Mapping[str, PersonView], names: Sequence[str]) -> None:
    """Refuse what cannot work.

    Raises:
        CalibrationError: too few cameras, keypoints or seconds, or nobody in a view.
    """
    if len(views) < 2:
        raise CalibrationError(f"{len(views)} camera; two or more must film the person together")
    if len(names) < _FEWEST_KEYPOINTS:
        raise CalibrationError(
            f"{len(names)} of the body's keypoints are known by name, {_FEWEST_KEYPOINTS} are the least; "
            "use a detector of whole bodies"
        )
    for name, view in views.items():
        present = torch.isfinite(view.xy_px).all(-1).any(-1).any(-1)
        seconds = float(present.sum()) * view.period_s
        if seconds < _SHORTEST_S:
            raise CalibrationError(
                f"camera {name} sees somebody for {seconds:.1f} s, {_SHORTEST_S:g} s are the least; "
                "film a walk of 15 s or more through the whole volume"
            )


def camera_errors_px(solved: Solved) -> list[float]:
    """Median reprojection error of each camera, the detector's constant error included, pixels."""
    at = linearise(solved.state, solved.people)
    off = at.error_px.norm(dim=-1)
    return [float(off[row][at.valid[row]].median()) for row in range(len(off))]


def pose_std(solved: Solved) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(C,) deviations of centres (input metres), turns (degrees), log focal lengths and offsets (s)."""
    cameras = solved.state.cameras
    count = len(cameras)
    blocks = [
        solved.covariance[row * WIDTH : (row + 1) * WIDTH, row * WIDTH : (row + 1) * WIDTH]
        for row in range(count)
    ]
    position = torch.zeros(count, dtype=torch.float64)
    for row, block in enumerate(blocks):
        # center = -R^T t moves by -R^T rho under the left perturbation [rho, phi].
        turn = cameras.cam_from_world[row, :3, :3]
        position[row] = (turn.T @ block[:3, :3] @ turn).trace().clamp(min=0).sqrt()
    stacked = torch.stack([block.diagonal().clamp(min=0) for block in blocks])
    return (
        position,
        torch.rad2deg(stacked[:, 3:6].sum(1).sqrt()),
        stacked[:, 6].sqrt(),
        stacked[:, 11].sqrt(),
    )


def repeatability(
    solved: Solved, bones: Bones, prior: PeoplePrior, known: Tensor, lenses: Cameras
) -> tuple[float, float] | None:
    """How far cameras move between the halves of the take: worst centre (input metres), worst turn (degrees).

    The halves are alternate blocks of two seconds; None where a half is too short.
    """
    state, people = solved.state, solved.people
    block = ((people.time_s - people.time_s.min()) / _BLOCK_S).long()
    found: list[Cameras] = []
    for odd in (0, 1):
        rows = block % 2 == odd
        if rows.sum() < 10:
            return None
        part, start = _part(state, people, rows)
        anchor = replace(
            start, cameras=replace(start.cameras, center_px=lenses.center_px, distortion=lenses.distortion)
        )
        groups = [list(group) for group in solved.alike]
        part = replace(part, priors=people_priors(anchor, bones, prior, groups=groups))
        done, _, _ = minimise(start, part, tolerance=1e-5, max_steps=25)
        found.append(done.cameras)
    return _apart(*found)


def _part(state: State, people: People, rows: Tensor) -> tuple[People, State]:
    part = replace(
        people,
        time_s=people.time_s[rows],
        person=people.person[rows],
        size_px=people.size_px[:, rows],
        seen=people.seen[:, rows],
    )
    return part, replace(state, xyz=state.xyz[rows])


def _apart(first: Cameras, second: Cameras) -> tuple[float, float]:
    """Largest difference of centres and turns (degrees), laid on each other; infinite where nothing fits."""
    try:
        laid = align(first, second, scaled=True)
    except CalibrationError:
        return math.inf, math.inf
    return max(laid.shift_m.values()), max(laid.turn_deg.values())


def judge(
    solved: Solved,
    world: PeopleWorld,
    *,
    size_m: float,
    halves: tuple[float, float],
    agreement: Mapping[str, float],
    scale_from: str,
    each_px: Mapping[str, float],
) -> Verdict:
    """All checks of a finished calibration; ``halves`` in millimetres and degrees."""
    reasons: list[str] = []
    warnings: list[str] = []
    position, _, focal, _ = pose_std(solved)
    worst = int(position.argmax())
    share = world.scale * float(position[worst]) / size_m
    names = world.cameras.names
    again = "walk through the whole volume, towards and across the cameras, for 20 s or more"
    if not share < _MAX_STD:
        reasons.append(
            f"camera {names[worst]}'s place is known to {100 * share:.0f} % of the rig's size, at most "
            f"{100 * _MAX_STD:.0f} % can be used: {again}"
        )
    if float(focal.max()) > _MAX_FOCAL_STD:
        reasons.append(
            f"camera {names[int(focal.argmax())]}'s focal length is known to "
            f"{100 * float(focal.max()):.0f} %, at most {100 * _MAX_FOCAL_STD:.0f} % can be used: {again}, "
            f"or calibrate the lenses with a board"
        )
    walked = _walked(world.xyz_world) / max(world.stature_m, 0.1)
    if not walked > _MIN_WALK:
        reasons.append(
            f"the person covers {walked:.2f} of their height, {_MIN_WALK:g} are the least: {again}"
        )
    size_px = float(solved.people.size_px.median())
    for name, error in each_px.items():
        if not error < _MAX_PX * size_px:
            reasons.append(
                f"camera {name} disagrees by {error:.1f} px, at most {_MAX_PX * size_px:.1f} px at this "
                "size of the person: check its clip, its clock and whether it moved"
            )
    _judge_halves(halves, size_m, again, reasons, warnings)
    for name, value in agreement.items():
        if value < _MIN_AGREEMENT:
            warnings.append(
                f"camera {name}'s clock rests on a weak agreement ({value:.2f}, good above "
                f"{_MIN_AGREEMENT:g}): raise and lower the arms at the start"
            )
    if scale_from == "assumed height":
        warnings.append(
            "the scale assumes a person of 1.70 m: give --height, or a distance between two cameras"
        )
    if scale_from == "height" and int(solved.people.person.max()) > 0:
        warnings.append(
            f"{int(solved.people.person.max()) + 1} people walk: the height is taken for the one whom most "
            "cameras see for longest; film them alone first to be sure of the scale"
        )
    if world.floor_points == 0:
        warnings.append("no standing feet were seen, so the floor is a guess: film the feet")
    below = [name for name, z in zip(names, world.cameras.centers_world[:, 2].tolist(), strict=True) if z < 0]
    if below:
        warnings.append(f"camera {', '.join(below)} came out below the floor: check the feet in its picture")
    return Verdict(tuple(reasons), tuple(warnings))


def _judge_halves(
    halves: tuple[float, float], size_m: float, again: str, reasons: list[str], warnings: list[str]
) -> None:
    moved, turned = halves[0] / 1e3 / size_m, halves[1]
    if math.isnan(moved) or math.isnan(turned):
        warnings.append(
            "too short to compare its halves: film 10 s or more to learn how good the cameras are"
        )
    elif moved > _MAX_HALVES or turned > _MAX_HALVES_DEG:
        reasons.append(
            f"between the halves of the take cameras move by {100 * moved:.1f} % of the rig's size and "
            f"{turned:.1f}°, at most {100 * _MAX_HALVES:.0f} % and {_MAX_HALVES_DEG:g}° can be used: {again}"
        )
    elif moved > _WARN_HALVES or turned > _WARN_HALVES_DEG:
        warnings.append(
            f"between the halves of the take cameras move by {100 * moved:.1f} % of the rig's size and "
            f"{turned:.1f}° (good below {100 * _WARN_HALVES:.1f} % and {_WARN_HALVES_DEG:g}°): {again}"
        )


def _walked(xyz: Tensor) -> float:
    """Diagonal of the floor area that bodies' middles cover, metres, outliers left out."""
    middle = xyz[..., :2].nanmedian(1).values
    middle = middle[torch.isfinite(middle).all(-1)]
    return float((middle.quantile(0.98, dim=0) - middle.quantile(0.02, dim=0)).norm())
