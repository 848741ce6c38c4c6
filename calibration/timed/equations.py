"""Views put into the equations of cameras and control points, and their own times taken out of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from calibration.timed.banded import ChainEquations, add_to_band, add_to_rows
from calibration.timed.board_motion import CONTROL, SPAN
from calibration.timed.slopes import Slopes, Stack

_FREEDOM = 4.0
"""Degrees of freedom of the times of single frames: most are off by little, some were lost or doubled."""


class Late(NamedTuple):
    """How the own times of N views follow a step of everything else."""

    by_camera: Tensor
    """(N, P)"""
    by_control: Tensor
    """(N, 24)"""
    slope: Tensor
    """(N,)"""
    curvature: Tensor
    """(N,) with the prior's share."""
    interval: Tensor
    """(N,) first control point of each view."""
    camera: Tensor
    """(N,) camera of each view."""
    shape: tuple[int, int]
    """Cameras and views of the stack; N is their product."""

    def step(self, damping: float, camera: Tensor, control: Tensor) -> Tensor:
        """(C, V) seconds that go with steps of all cameras (C, P) and of the control points (M, 6)."""
        parts = control[self.interval[:, None] + torch.arange(SPAN)].flatten(1)
        pull = self.slope + (self.by_camera * camera[self.camera]).sum(-1) + (self.by_control * parts).sum(-1)
        return (-pull / self._damped(damping)).reshape(self.shape)

    def eliminate_from(self, chain: ChainEquations, damping: float) -> None:
        """Take the views' own times out of the equations, in place."""
        curvature = self._damped(damping)[:, None]
        camera, control = self.by_camera / curvature, self.by_control / curvature
        both = self.by_camera.unflatten(0, self.shape), camera.unflatten(0, self.shape)
        slope = self.slope.unflatten(0, self.shape)[..., None]
        add_to_cameras(chain, self.camera, -both[0].mT @ both[1], -(both[1].mT @ slope)[..., 0])
        add_to_coupling(chain, self.interval, self.camera, -self.by_control[:, :, None] * camera[:, None, :])
        add_to_band(chain.band, self.interval, -self.by_control[:, :, None] * control[:, None, :])
        add_to_rows(chain.chain_slope, self.interval, -control * self.slope[:, None])

    def _damped(self, damping: float) -> Tensor:
        return (1.0 + damping) * self.curvature


def late_cost(late_s: Tensor, jitter_s: float) -> Tensor:
    """What frames cost for being late: as under a Student-t, so that a lost frame costs little more."""
    size = late_s.square() / (_FREEDOM * jitter_s**2)
    return 0.5 * (_FREEDOM + 1.0) * torch.log1p(size)


def late_trust(late_s: Tensor, jitter_s: float) -> Tensor:
    """Weights under which squares pull as ``late_cost`` does."""
    return (_FREEDOM + 1.0) / (_FREEDOM + late_s.square() / jitter_s**2)


def nothing(cameras: int, width: int, controls: int) -> ChainEquations:
    """Equations without any view: cameras of ``width`` parameters each, and control points."""

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(*shape, dtype=torch.float64)

    return ChainEquations(
        camera=zeros(cameras * width, cameras * width),
        camera_slope=zeros(cameras * width),
        band=zeros(controls, SPAN, CONTROL, CONTROL),
        chain_slope=zeros(controls, CONTROL),
        coupling=zeros(controls, CONTROL, cameras * width),
    )


def add_views(
    chain: ChainEquations, stack: Stack, at: Slopes, weight: Tensor, late_s: Tensor, jitter_s: float
) -> Late:
    """Add a stack of views to the equations; how their own times hang on the rest is returned.

    Args:
        chain: the equations, added to in place.
        stack: the views.
        at: their errors and derivatives.
        weight: (C, V, K) square roots of the corners' weights.
        late_s: (C, V) what each view is late at present.
        jitter_s: standard deviation of that.
    """
    own = late_trust(late_s, jitter_s).flatten() / jitter_s**2
    shape = (stack.own_s.shape[0], stack.own_s.shape[1])
    scale = weight[..., None, None]
    d_camera = (scale * at.d_camera).flatten(2, 3)  # (C, V, 2K, P)
    d_control = (scale * at.d_control).flatten(2, 3).flatten(0, 1)  # (N, 2K, 24)
    error = (weight[..., None] * at.error).flatten(2)[..., None]  # (C, V, 2K, 1)
    d_late = (weight[..., None] * at.d_late).flatten(2)[..., None].flatten(0, 1)
    first = 0 if stack.rows.start is None else int(stack.rows.start)
    camera = torch.arange(first, first + shape[0])[:, None].expand(shape).flatten()
    whole = d_camera.flatten(1, 2)
    add_to_cameras(chain, camera, whole.mT @ whole, (whole.mT @ error.flatten(1, 2))[..., 0])
    d_camera, error = d_camera.flatten(0, 1), error.flatten(0, 1)
    interval = at.interval.flatten()
    add_to_coupling(chain, interval, camera, d_control.mT @ d_camera)
    add_to_band(chain.band, interval, d_control.mT @ d_control)
    add_to_rows(chain.chain_slope, interval, (d_control.mT @ error)[..., 0])
    return Late(
        by_camera=(d_camera.mT @ d_late)[..., 0],
        by_control=(d_control.mT @ d_late)[..., 0],
        slope=(d_late * error).sum((1, 2)) + own * late_s.flatten(),
        curvature=d_late.square().sum((1, 2)) + own,
        interval=interval,
        camera=camera,
        shape=shape,
    )


def add_to_cameras(chain: ChainEquations, camera: Tensor, blocks: Tensor, slopes: Tensor) -> None:
    """Add (C, P, P) matrices and (C, P) slopes of neighbouring cameras, the first that of ``camera[0]``."""
    width = blocks.shape[-1]
    first = int(camera[0]) if len(camera) else 0
    for row, (block, slope) in enumerate(zip(blocks, slopes, strict=True)):
        part = slice((first + row) * width, (first + row + 1) * width)
        chain.camera[part, part] += block
        chain.camera_slope[part] += slope


def add_to_coupling(chain: ChainEquations, interval: Tensor, camera: Tensor, parts: Tensor) -> None:
    """Add the (N, 24, P) products of views with their control points, each in its camera's columns."""
    controls, _, whole = chain.coupling.shape
    width = parts.shape[-1]
    count = whole // width
    # One row for each control point, direction and camera: a view of the same memory.
    rows = chain.coupling.view(controls * CONTROL * count, width)
    direction = torch.arange(CONTROL)
    parts = parts.unflatten(1, (SPAN, CONTROL))
    for k in range(SPAN):
        row = ((interval + k)[:, None] * CONTROL + direction) * count + camera[:, None]
        rows.index_add_(0, row.flatten(), parts[:, k].flatten(0, 1))
