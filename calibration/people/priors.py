"""What is known before any image of a person is looked at, as rows of a linear residual."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.people.body import Bones
from calibration.people.state import WIDTH, Priors, State


@dataclass(frozen=True)
class PeoplePrior:
    """Standard deviations round ordinary lenses, clocks and bodies."""

    focal: float = 0.5
    """Log of a focal length round the first guess, where it is not known."""
    alike: float = 0.03
    """Log of the focal lengths of cameras of one make round their mean, where the takes show them alike."""
    center: float = 0.008
    """Principal point from the image's centre, in parts of the longer side; keypoints tell little of it."""
    k1: float = 0.10
    """First radial coefficient, where it is not known."""
    k2: float = 1e-3
    """Second radial coefficient: keypoints cannot tell it from the first."""
    offset_s: float = 0.05
    """Clock offset round what the motions show."""
    bias: float = 0.006
    """Where a detector sees a keypoint beside the truth over a whole take, in person's sizes: 2.5 px on each
    axis of a person 450 px tall, measured with BlazePose on rendered people."""
    symmetry: float = 0.03
    """Log ratio of a left and a right bone."""
    scale: float = 1e-3
    """Mean log length of the first person's limbs: it fixes the scale until the world does."""


class _Rows:
    """Collects rows."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.rows: list[Tensor] = []
        self.target: list[float] = []

    def add(self, entries: dict[int, float], target: float, sd: float) -> None:
        row = torch.zeros(self.size, dtype=torch.float64)
        for index, value in entries.items():
            row[index] = value / sd
        self.rows.append(row)
        self.target.append(target / sd)


def people_priors(
    state: State, bones: Bones, prior: PeoplePrior, *, groups: list[list[int]], hold_scale: bool = True
) -> Priors:
    """The priors round a starting state.

    Args:
        state: the start; offsets, focal lengths, principal points and distortion are taken from it.
        bones: the bones of each person.
        prior: how sure.
        groups: rows of cameras whose focal lengths are alike; empty for none.
        hold_scale: keep the first person's size: nothing else gives a scale.
    """
    values = state.values()
    cameras, (persons, count) = state.cameras, state.log_bone.shape
    rows = _Rows(len(values))
    _lens_rows(rows, cameras, values, prior)
    for group in groups:
        mean = {row * WIDTH + 6: -1.0 / len(group) for row in group}
        for row in group:
            entries = dict(mean)
            entries[row * WIDTH + 6] += 1.0
            base = _log_focal_difference(cameras, state.log_focal, row, group)
            rows.add(entries, -base, prior.alike)
    start = len(cameras) * WIDTH
    limbs = [int(i) for i in torch.nonzero(bones.limbs)[:, 0]]
    if hold_scale and limbs:
        mean_length = float(bones.log_length[bones.limbs].mean())
        rows.add({start + i: 1.0 / len(limbs) for i in limbs}, mean_length, prior.scale)
    for person in range(persons):
        first = start + person * count
        size = _size_log(state, bones, person) if not hold_scale or person else 0.0
        for bone in range(count):
            rows.add({first + bone: 1.0}, float(bones.log_length[bone]) + size, float(bones.log_sd[bone]))
        for left, right in bones.alike.tolist():
            rows.add({first + left: 1.0, first + right: -1.0}, 0.0, prior.symmetry)
    count_bias = state.bias.numel()
    held = torch.zeros(count_bias, len(values), dtype=torch.float64)
    held[torch.arange(count_bias), len(values) - count_bias + torch.arange(count_bias)] = 1.0 / prior.bias
    return Priors(
        torch.cat([torch.stack(rows.rows), held]),
        torch.cat(
            [torch.tensor(rows.target, dtype=torch.float64), torch.zeros(count_bias, dtype=torch.float64)]
        ),
    )


def _lens_rows(rows: _Rows, cameras: Cameras, values: Tensor, prior: PeoplePrior) -> None:
    for row in range(len(cameras)):
        at = row * WIDTH
        rows.add({at + 6: 1.0}, 0.0, prior.focal)
        center = prior.center * float(cameras.size_px[row].max())
        for axis in (7, 8):
            rows.add({at + axis: 1.0}, float(values[at + axis]), center)
        rows.add({at + 9: 1.0}, float(values[at + 9]), prior.k1)
        rows.add({at + 10: 1.0}, float(values[at + 10]), prior.k2)
        rows.add({at + 11: 1.0}, float(values[at + 11]), prior.offset_s)


def _log_focal_difference(cameras: Cameras, log_focal: Tensor, row: int, group: list[int]) -> float:
    """Log of one starting focal length less the mean of its group: the unknowns are factors on these."""
    start = cameras.focal_px.mean(-1).log() - log_focal
    return float(start[row] - start[group].mean())


def _size_log(state: State, bones: Bones, person: int) -> float:
    """How much larger than ordinary a person's limbs are in the start, log."""
    return float((state.log_bone[person] - bones.log_length)[bones.limbs].mean())
