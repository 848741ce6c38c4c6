"""How far the clocks of several cameras are apart, from the motion of the people that they film.

No geometry is needed: how fast each limb rises and falls, and how fast it moves against the body, looks much
the same from all sides. The agreement of these courses between two cameras is largest at the right shift;
all pairs together then vote on one offset for each camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from calibration.people.curves import PersonView, sample, smoothed

_STEP_S = 1.0 / 60.0
"""Spacing of the shifts that are tried."""
_SMOOTH_S = 0.1
"""Coordinates are averaged over this before their speed is taken."""
_LEAST_OVERLAP_S = 1.5
"""Two courses that overlap for less say nothing."""


@dataclass(frozen=True)
class Shift:
    """How two cameras' clocks seem to stand to each other."""

    cameras: tuple[int, int]
    """Rows of the two."""
    lag_s: float
    """Offset of the second less that of the first, seconds."""
    agreement: float
    """Correlation there, at most 1."""
    rival: float
    """Highest correlation at another peak, at most 1; -1 without one."""


def courses(view: PersonView, person: int) -> tuple[Tensor, Tensor]:
    """What is compared: vertical speeds, and speeds against the body, of every keypoint, in body sizes.

    Returns:
        (T,) seconds on the camera's clock, ``1/60`` apart, and (T, 2 K) courses, NaN where unknown.
    """
    view = smoothed(view, _SMOOTH_S)
    time = torch.arange(float(view.time_s[0]), float(view.time_s[-1]), _STEP_S, dtype=torch.float64)
    at = sample(view, time)
    xy, speed = at.xy_px[:, person], at.speed_px_s[:, person]
    size = lasting_size(xy)[:, None]
    relative = speed - torch.nanmedian(speed, 1, keepdim=True).values
    return time, torch.cat([speed[..., 1] / size, relative.norm(dim=-1) / size], 1)


def lasting_size(xy_px: Tensor) -> Tensor:
    """(T,) a person's size in the picture from (T, K, 2): the median over the take round each instant."""
    seen = torch.isfinite(xy_px).all(-1, keepdim=True)
    high = torch.where(seen, xy_px, -torch.inf).amax(1)
    low = torch.where(seen, xy_px, torch.inf).amin(1)
    size = (high - low).norm(dim=-1)
    size = torch.where(torch.isfinite(size), size, torch.nan)
    window = 61
    padded = torch.nn.functional.pad(size, (window // 2, window // 2), value=torch.nan)
    return padded.unfold(0, window, 1).nanmedian(-1).values


def pair_shift(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], max_lag_s: float, cameras: tuple[int, int]
) -> Shift | None:
    """The shift at which two cameras' courses agree best; None where they hardly overlap."""
    lags = torch.arange(-round(max_lag_s / _STEP_S), round(max_lag_s / _STEP_S) + 1)
    start = round(float(second[0][0] - first[0][0]) / _STEP_S)
    values = torch.stack([_correlation(first[1], second[1], int(lag) + start) for lag in lags])
    if not torch.isfinite(values).any():
        return None
    values = torch.where(torch.isfinite(values), values, -1.0)
    best = int(values.argmax())
    inner = (values[1:-1] >= values[:-2]) & (values[1:-1] >= values[2:])
    peaks = [int(i) + 1 for i in torch.nonzero(inner)[:, 0] if abs(int(i) + 1 - best) * _STEP_S > 0.15]
    rival = max((float(values[i]) for i in peaks), default=-1.0)
    part = 0.0
    if 0 < best < len(values) - 1:  # the top of the parabola through three values
        left, top, right = values[best - 1 : best + 2].tolist()
        bend = left - 2 * top + right
        part = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return Shift(cameras, _STEP_S * (float(lags[best]) + part), float(values[best]), rival)


def _correlation(first: Tensor, second: Tensor, lag: int) -> Tensor:
    """Correlation of ``first[i + lag]`` with ``second[i]``, all courses together."""
    begin, end = max(0, -lag), min(len(second), len(first) - lag)
    if (end - begin) * _STEP_S < _LEAST_OVERLAP_S:
        return torch.tensor(torch.nan, dtype=torch.float64)
    a, b = first[begin + lag : end + lag], second[begin:end]
    both = torch.isfinite(a) & torch.isfinite(b)
    count = both.sum(0).clamp(min=1)
    a, b = (torch.where(both, value, 0.0) for value in (a, b))
    a, b = (torch.where(both, value - value.sum(0) / count, 0.0) for value in (a, b))
    energy = (a.square().sum() * b.square().sum()).sqrt()
    return (a * b).sum() / energy if energy > 0 else torch.tensor(torch.nan, dtype=torch.float64)


def clock_shifts(views: Sequence[PersonView], person: Sequence[int], max_lag_s: float) -> list[Shift]:
    """The shifts of all pairs of cameras that film one person (its row in each view)."""
    each = [courses(view, row) for view, row in zip(views, person, strict=True)]
    found = [pair_shift(each[i], each[j], max_lag_s, (i, j)) for i, j in combinations(range(len(views)), 2)]
    return [shift for shift in found if shift is not None]


def offsets_from_shifts(shifts: Sequence[Shift], num_cameras: int) -> tuple[Tensor, Tensor]:
    """One offset for each camera that fits the pairs' shifts, the first camera's being 0.

    Least absolute deviations by reweighting, each pair counted by how clearly it peaks, so that a pair that
    locked on another stride does not bend the rest.

    Returns:
        (C,) seconds, and (N,) what each shift disagrees with them by, seconds.
    """
    rows = torch.zeros(len(shifts), num_cameras, dtype=torch.float64)
    for n, shift in enumerate(shifts):
        rows[n, shift.cameras[0]], rows[n, shift.cameras[1]] = -1.0, 1.0
    lag = torch.tensor([shift.lag_s for shift in shifts], dtype=torch.float64)
    trust = torch.tensor([max(shift.agreement, 0.01) ** 2 for shift in shifts], dtype=torch.float64)
    offset = torch.zeros(num_cameras, dtype=torch.float64)
    weight, left = trust, -lag
    for _ in range(30):
        system = rows[:, 1:].T @ (weight[:, None] * rows[:, 1:]) + 1e-9 * torch.eye(num_cameras - 1).double()
        offset[1:] = torch.linalg.solve(system, rows[:, 1:].T @ (weight * lag))
        left = rows @ offset - lag
        weight = trust / left.abs().clamp(min=0.01)
    return offset, left
