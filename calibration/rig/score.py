"""Score tests: would one more unknown explain the errors that a calibration left?

All other unknowns (camera poses, lenses, board poses, what the corners of a view have in common because
cameras are not simultaneous) are free to explain them first, by linear elimination, so that no second solve
is needed. The statistic is that of Rao: with residuals e, derivatives J and weights W of the extra unknowns
after elimination, chi² = (JᵀWe)ᵀ (JᵀWJ)⁻¹ (JᵀWe).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.rig.schur import POSE

_CLIP = 8.0
"""Errors beyond this many times a camera's median error count as that much: outliers decide nothing."""
_BOARD_FLOOR = 1e-9
"""Part of the largest diagonal that keeps boards solvable that nothing fixes."""
_LEAST_PX = 0.05
"""Corners are never known better."""
_MOVING_PX_S = 25.0
"""A board slower than this tells nothing of time."""
_COMMON = 3
"""What a view has in common: both directions of the image, and the board's motion."""


@dataclass(frozen=True)
class CornerErrors:
    """What a calibration left unexplained, one row for each of N corners, dropped ones included."""

    camera: Tensor
    """(N,) int64 row of the camera."""
    frame: Tensor
    """(N,) int64 number of the instant: views with one number show one board pose."""
    time_s: Tensor
    """(N,) time of the instant, seconds."""
    xyz_world: Tensor
    """(N, 3) where the calibration has the corner at that moment, metres."""
    velocity_world: Tensor
    """(N, 3) metres per second; NaN or 0 where unknown."""
    stretch_world: Tensor
    """(N, 3) how the corner moves where the print is longer along its rows' axis, metres for 100 %."""
    error_px: Tensor
    """(N, 2) reprojected minus seen; NaN where the camera cannot see it."""

    def __getitem__(self, which: Tensor) -> CornerErrors:
        """Some of the rows."""
        return CornerErrors(**{name: value[which] for name, value in vars(self).items()})


class Sums(NamedTuple):
    """Normal equations without the boards; P = 6 + lens parameters of each of C cameras, F instants."""

    whole: Tensor
    """(C * P + 1, C * P + 1) of all cameras, and of the extra unknown in the last row."""
    slope: Tensor
    """(C * P + 1,)"""
    own: Tensor
    """(F, C, P, C * P + 1) what each camera's view at each instant adds to its own rows."""
    pull: Tensor
    """(F, C, P) the same of the slope."""
    seen: Tensor
    """(F, C) bool."""
    time_s: Tensor
    """(F,) ascending."""
    energy: float
    """Sum of the squared errors in standard deviations, what views have in common taken out."""


def in_order(errors: CornerErrors) -> CornerErrors:
    """The rows that mean something, instants numbered by their time."""
    errors = errors[torch.isfinite(errors.error_px).all(-1) & torch.isfinite(errors.xyz_world).all(-1)]
    frames, row = torch.unique(errors.frame, return_inverse=True)
    time = torch.zeros(len(frames), dtype=torch.float64)
    time[row] = errors.time_s
    rank = torch.empty(len(frames), dtype=torch.int64)
    rank[time.argsort(stable=True)] = torch.arange(len(frames))
    return replace(errors, frame=rank[row], velocity_world=errors.velocity_world.nan_to_num(0.0))


def eliminate(cameras: Cameras, errors: CornerErrors, extra_px: Tensor | None = None) -> Sums:
    """Sum up what the corners say of cameras and one more unknown; boards and what views share eliminated.

    Args:
        cameras: the calibrated cameras, in the frame of ``errors``.
        errors: what they left, in order.
        extra_px: (N, 2) how the corners move by one unit of the unknown; without it that is the print's
            stretch.
    """
    by_camera, by_board, by_point = _linearised(cameras, errors)
    count, instants = len(cameras), int(errors.frame.max()) + 1
    view = errors.frame * count + errors.camera
    drift = by_point @ errors.velocity_world[..., None]
    extra = (by_point @ errors.stretch_world[..., None]) if extra_px is None else extra_px[..., None]
    noise = _noise(errors.error_px, drift[..., 0], view, instants, count)
    weight = _clipped(errors, count) / noise.own_px[errors.camera]
    both = torch.eye(2, dtype=torch.float64).expand(len(view), 2, 2)
    common = [both * noise.common_px, drift * noise.common_s]
    rows = torch.cat([by_camera, by_board, extra, errors.error_px[..., None], *common], -1)
    rows = rows * weight[:, None, None]
    gram = torch.zeros(instants * count, rows.shape[-1], rows.shape[-1], dtype=torch.float64)
    gram.index_add_(0, view, rows.mT @ rows)
    # What a view has in common has a prior of one standard deviation, and is eliminated within the view.
    keep = rows.shape[-1] - _COMMON
    inner = gram[:, keep:, keep:] + torch.eye(_COMMON, dtype=torch.float64)
    gram = gram[:, :keep, :keep] - gram[:, :keep, keep:] @ torch.linalg.solve(inner, gram[:, keep:, :keep])
    seen = torch.bincount(view, minlength=instants * count).reshape(instants, count) > 0
    time = torch.zeros(instants, dtype=torch.float64)
    time[errors.frame] = errors.time_s
    return _without_boards(gram.reshape(instants, count, keep, keep), seen, time)


def chi2(information: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """(A,) chi² and (A, k) the step to the minimum, of (A, k, k) information and (A, k) slope."""
    spread = information.diagonal(dim1=-2, dim2=-1).clamp(min=1e-12).rsqrt()
    even = spread[..., None] * information * spread[:, None]
    inverse = torch.linalg.pinv(even, hermitian=True, rtol=1e-6)
    step = -spread * (inverse @ (spread * slope)[..., None])[..., 0]
    return -(step * slope).sum(-1), step


def nuisance(sums: Sums, rows: Tensor) -> Tensor:
    """(M, M) inverse of the part of the normal equations that the (C * P + 1,) mask selects."""
    part = sums.whole[rows][:, rows]
    scale = part.diagonal().clamp(min=1e-12).rsqrt()
    inverse = torch.linalg.pinv(scale[:, None] * part * scale, hermitian=True, rtol=1e-10)
    return scale[:, None] * inverse * scale


def free_cameras(sums: Sums, *, lenses: bool = True) -> Tensor:
    """(C * P + 1,) bool, all of the cameras but the first one's pose: the world stays where it is."""
    free = torch.ones(sums.pull.shape[1:], dtype=torch.bool)
    free[0, :POSE] = False
    if not lenses:
        free[:, POSE:] = False
    return torch.cat([free.flatten(), torch.zeros(1, dtype=torch.bool)])


def _linearised(cameras: Cameras, errors: CornerErrors) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives (N, 2, P) by pose and lens, (N, 2, 6) by the board's pose, (N, 2, 3) by the point."""
    width = 4 + cameras.distortion.shape[-1]
    by_camera = torch.zeros(len(errors.camera), 2, POSE + width, dtype=torch.float64)
    by_point = torch.zeros(len(errors.camera), 2, 3, dtype=torch.float64)
    for row, name in enumerate(cameras.names):
        mine = errors.camera == row
        at = cameras[[name]].jacobian(errors.xyz_world[mine])
        by_camera[mine] = torch.cat([at.d_pose, at.d_intrinsics], -1)[0]
        by_point[mine] = at.d_point[0]
    turn = torch.linalg.cross(errors.xyz_world[:, None].expand_as(by_point), by_point, dim=-1)
    return by_camera, torch.cat([by_point, turn], -1), by_point


def _clipped(errors: CornerErrors, count: int) -> Tensor:
    size = errors.error_px.norm(dim=-1)
    typical = torch.stack([size[errors.camera == row].nanmedian() for row in range(count)])
    limit = _CLIP * typical.nan_to_num(1.0).clamp(min=_LEAST_PX)
    return (limit[errors.camera] / size.clamp(min=1e-9)).clamp(max=1.0)


def _without_boards(gram: Tensor, seen: Tensor, time_s: Tensor) -> Sums:
    """Sum the views' Gram matrices, columns camera, board, extra, error, and eliminate the boards."""
    instants, count = gram.shape[:2]
    width = gram.shape[-1] - POSE - 2
    camera, board, extra, error = slice(0, width), slice(width, width + POSE), width + POSE, width + POSE + 1
    boards = gram[:, :, board, board].sum(1)
    floor = _BOARD_FLOOR * boards.diagonal(dim1=-2, dim2=-1).amax(-1).clamp(min=1.0)
    boards = boards + floor[:, None, None] * torch.eye(POSE, dtype=torch.float64)
    coupling = gram[:, :, camera, board]  # (F, C, P, 6)
    pushed = gram[:, :, extra, board].sum(1)  # (F, 6)
    every = torch.cat([coupling.reshape(instants, count * width, POSE), pushed[:, None]], 1)
    solved = torch.linalg.solve(boards, every.mT)  # (F, 6, C * P + 1)
    board_slope = gram[:, :, board, error].sum(1)
    left = torch.linalg.solve(boards, board_slope)  # (F, 6)
    own = -(coupling @ solved[:, None])  # (F, C, P, C * P + 1)
    for row in range(count):
        own[:, row, :, row * width : (row + 1) * width] += gram[:, row, camera, camera]
    own[..., -1] += gram[:, :, camera, extra]
    pull = gram[:, :, camera, error] - (coupling @ left[:, None, :, None])[..., 0]
    last = -(pushed[:, None] @ solved)[:, 0].sum(0)
    last[:-1] += gram[:, :, extra, camera].sum(0).flatten()
    last[-1] += gram[:, :, extra, extra].sum()
    whole = torch.cat([own.sum(0).reshape(count * width, -1), last[None]])
    slope = (gram[:, :, extra, error].sum() - (pushed * left).sum())[None]
    energy = float(gram[:, :, error, error].sum() - (board_slope * left).sum())
    return Sums(whole, torch.cat([pull.sum(0).flatten(), slope]), own, pull, seen, time_s, energy)


class _Noise(NamedTuple):
    """Robust standard deviations."""

    own_px: Tensor
    """(C,) of the corners of a view about what they have in common, by camera."""
    common_px: float
    """Of what a view has in common."""
    common_s: float
    """Of the time that a view's board is early or late by."""


def _noise(error_px: Tensor, drift: Tensor, view: Tensor, instants: int, cameras: int) -> _Noise:
    """Noise of corners and of whole views; ``drift`` (N, 2) px/s is how the corners move."""
    count = instants * cameras
    number = torch.bincount(view, minlength=count).double()
    energy = torch.zeros(count, dtype=torch.float64).index_add_(0, view, drift.square().sum(-1))
    along = torch.zeros(count, dtype=torch.float64).index_add_(0, view, (drift * error_px).sum(-1))
    moving = energy > number.clamp(min=1.0) * _MOVING_PX_S**2
    late = torch.where(moving, along / energy.clamp(min=1e-9), 0.0)
    left = error_px - late[view, None] * drift
    mean = torch.zeros(count, 2, dtype=torch.float64).index_add_(0, view, left)
    mean = mean / number.clamp(min=1.0)[:, None]
    inside = left - mean[view]
    own = [_robust(inside[view % cameras == row]) for row in range(cameras)]
    return _Noise(
        torch.tensor(own, dtype=torch.float64).clamp(min=_LEAST_PX),
        _robust(mean[number > 2]),
        _robust(late[moving]),
    )


def _robust(values: Tensor) -> float:
    return 1.4826 * float(values.abs().median()) if values.numel() else 0.0
