"""Errors of all corners at the times at which each was seen, and their derivatives in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from calibration.rig.schur import POSE
from calibration.timed.board_motion import SPAN, carry, carry_jacobian, quat_tangent
from calibration.timed.problem import DRIFT, LINE, OFFSET, TimedState
from calibration.timed.views import CameraViews

_CHUNK = 30_000
"""Corners, padding included, that are worked on together: some 40 MB of derivatives."""
RADIAL = 0.4
"""Part of a derivative that is kept along an error beyond the knee of the robust loss. The loss rises evenly
there: it has no curvature along the error and all of it across, and steps that know are twice as long."""


@dataclass(frozen=True)
class Stack:
    """The views of neighbouring cameras of the batch, padded to V views of K corners each."""

    rows: slice
    """The cameras."""
    counts: tuple[int, ...]
    """Views of each."""
    own_s: Tensor
    """(C, V) times on the cameras' own clocks, seconds; 0 in the padding."""
    since_s: Tensor
    """(C, V) the same since the middle of what each camera saw."""
    xy_px: Tensor
    """(C, V, K, 2) pixels; NaN in the padding."""
    xyz_board: Tensor
    """(C, V, K, 3) metres, board frame."""
    rows_below: Tensor
    """(C, V, K) rows from the middle of the image down to the corner."""
    expected_px: Tensor
    """(C, V, K) standard deviation that the detector expects, up to a factor for each camera."""
    seen: Tensor
    """(C, V, K) bool"""

    def padded(self, each: Sequence[Tensor]) -> Tensor:
        """(C, V, ...) values by view of all cameras: those of this stack, 0 in the padding."""
        wide = self.own_s.shape[1]
        own = each[self.rows]
        return torch.stack([pad(some, (0, 0) * (some.ndim - 1) + (0, wide - len(some))) for some in own])

    def cut(self, values: Tensor) -> list[Tensor]:
        """(C, V, ...) values by camera, each without its padding of views."""
        return [own[:count] for own, count in zip(values, self.counts, strict=True)]


class Slopes(NamedTuple):
    """Errors of the corners of a stack and their derivatives."""

    error: Tensor
    """(C, V, K, 2) pixels; 0 where not valid."""
    valid: Tensor
    """(C, V, K)"""
    d_camera: Tensor
    """(C, V, K, 2, 6 + 4 + D + 3) by pose, lens and clock."""
    d_control: Tensor
    """(C, V, K, 2, 24) by the four control points from ``interval`` on."""
    d_late: Tensor
    """(C, V, K, 2) by the view's own time error."""
    interval: Tensor
    """(C, V)"""


def stack_views(views: Sequence[CameraViews]) -> list[Stack]:
    """All views in as few stacks as memory allows; cameras keep their order."""
    corners = max((views_.xy_px.shape[1] for views_ in views), default=0)
    stacks: list[Stack] = []
    first = 0
    while first < len(views):
        last, most = first, 0
        while last < len(views):
            most = max(most, len(views[last].own_s))
            if last > first and (last + 1 - first) * most * corners > _CHUNK:
                break
            last += 1
        stacks.append(_stacked(views, slice(first, last), corners))
        first = last
    return stacks


def _stacked(views: Sequence[CameraViews], rows: slice, corners: int) -> Stack:
    some = views[rows]
    wide = max(len(one.own_s) for one in some)

    def put(values: Sequence[Tensor], fill: float = 0.0) -> Tensor:
        shape = (len(values), wide, *((corners,) if values[0].ndim > 1 else ()), *values[0].shape[2:])
        whole = torch.full(shape, fill, dtype=torch.float64)
        for row, value in enumerate(values):
            if value.ndim > 1:
                whole[row, : len(value), : value.shape[1]] = value
            else:
                whole[row, : len(value)] = value
        return whole

    xy = put([one.xy_px for one in some], torch.nan)
    return Stack(
        rows=rows,
        counts=tuple(len(one.own_s) for one in some),
        own_s=put([one.own_s for one in some]),
        since_s=put([one.own_s - one.middle_s for one in some]),
        xy_px=xy,
        xyz_board=put([one.xyz_board for one in some]),
        rows_below=put([one.rows_below for one in some]),
        expected_px=put([one.expected_px for one in some], 1.0),
        seen=torch.isfinite(xy).all(-1),
    )


def corner_errors(stack: Stack, state: TimedState) -> Tensor:
    """(C, V, K, 2) reprojected minus seen, pixels; NaN in the padding and where it cannot be seen."""
    interval, part = _when(stack, state)
    xyz = carry(state.motion, interval.flatten(), part.flatten(), stack.xyz_board.flatten(0, 2))
    xy = state.cameras[stack.rows].project_each(xyz.reshape(len(stack.counts), -1, 3))[0]
    return xy.reshape(stack.xy_px.shape) - stack.xy_px


def linearise_views(stack: Stack, state: TimedState) -> Slopes:
    """Errors and closed-form derivatives of a stack of views."""
    interval, part = _when(stack, state)
    flat = interval.flatten()
    carried = carry_jacobian(state.motion, flat, part.flatten(), stack.xyz_board.flatten(0, 2))
    at = state.cameras[stack.rows].jacobian_each(carried.xyz_world.reshape(len(stack.counts), -1, 3))
    shape = stack.seen.shape
    valid = at.valid.reshape(shape) & stack.seen
    error = torch.where(valid[..., None], at.xy_px.reshape(stack.xy_px.shape) - stack.xy_px, 0.0)
    d_point = at.d_point.flatten(0, 1)
    d_late = (d_point @ carried.velocity[..., None]).reshape(*shape, 2, 1)
    since, below = stack.since_s[:, :, None, None, None], stack.rows_below[..., None, None]
    each = [at.d_pose, at.d_intrinsics]
    d_lens = [value.reshape(*shape, 2, value.shape[-1]) for value in each]
    d_control = carried.by_control(d_point, quat_tangent(state.motion.quat_wxyz), flat)
    return Slopes(
        error,
        valid,
        torch.cat([*d_lens, d_late, d_late * since, d_late * below], -1),
        d_control.reshape(*shape, 2, SPAN * POSE),
        d_late[..., 0],
        interval[..., 0] if shape[2] else interval.new_zeros(shape[:2]),
    )


def beyond_the_knee(at: Slopes, beyond: Tensor) -> Slopes:
    """The same slope of the cost, with the curvature that the robust loss really has (Triggs et al. 2000)."""
    if not beyond.any():
        return at
    way = torch.where(beyond[..., None], normalize(at.error, dim=-1), 0.0)

    def across(slope: Tensor) -> Tensor:
        along = (way[..., None] * slope).sum(-2, keepdim=True)
        return slope - (1.0 - RADIAL) * way[..., None] * along

    return at._replace(
        error=torch.where(beyond[..., None], at.error / RADIAL, at.error),
        d_camera=across(at.d_camera),
        d_control=across(at.d_control),
        d_late=across(at.d_late[..., None])[..., 0],
    )


def _when(stack: Stack, state: TimedState) -> tuple[Tensor, Tensor]:
    """(C, V, K) interval and part of every corner: all corners of a view are reckoned from one interval."""
    clock = state.clock[stack.rows]
    time_s = stack.own_s + clock[:, OFFSET, None] + clock[:, DRIFT, None] * stack.since_s
    interval, part = state.motion.at(time_s + stack.padded(state.late_s))
    below = clock[:, LINE, None, None] / state.motion.step_s * stack.rows_below
    return interval[..., None].expand(stack.seen.shape), part[..., None] + below
