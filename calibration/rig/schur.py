"""Normal equations of cameras and boards in blocks, solved through the Schur complement.

Boards are independent of each other given the cameras: eliminating their 6 x 6 blocks leaves a small dense
system for the cameras, however many frames there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

POSE = 6
"""Parameters of a pose: left perturbation ``exp([rho, phi])``, translation first."""


@dataclass(frozen=True)
class Linearised:
    """The projection of all corners, with derivatives; where not ``valid`` they mean nothing."""

    error_px: Tensor
    """(C, N, 2) reprojected minus seen, 0 where not ``valid``."""
    valid: Tensor
    """(C, N) seen, and before the camera."""
    d_camera: Tensor
    """(C, N, 2, 6 + 4 + D) by the camera's pose and lens."""
    d_board: Tensor
    """(C, N, 2, 6) by the board's pose."""


@dataclass(frozen=True)
class NormalEquations:
    """Gauss-Newton normal equations in blocks; P parameters for each of C cameras, 6 for each of F boards."""

    camera: Tensor
    """(C, P, P)"""
    board: Tensor
    """(F, 6, 6)"""
    coupling: Tensor
    """(F, C * P, 6)"""
    camera_slope: Tensor
    """(C, P)"""
    board_slope: Tensor
    """(F, 6)"""

    def reduced(self, damping: float, free: Tensor) -> tuple[Tensor, Tensor]:
        """Schur complement on the free camera parameters, and its right-hand side."""
        coupling = self.coupling[:, free].mT  # (F, 6, P)
        solved = torch.linalg.solve(_damped(self.board, damping), coupling).flatten(0, 1)
        whole = torch.block_diag(*_damped(self.camera, damping))[free][:, free]
        slope = self.camera_slope.flatten()[free] - self.board_slope.flatten() @ solved
        return whole - coupling.flatten(0, 1).T @ solved, -slope

    def solve(self, damping: float, free: Tensor) -> tuple[Tensor, Tensor]:
        """Steps of all camera parameters (C * P,) and of the boards (F, 6)."""
        camera = torch.zeros(free.shape, dtype=torch.float64)
        if free.any():
            camera[free] = torch.linalg.solve(*self.reduced(damping, free))
        return camera, self.follow(damping, camera)

    def follow(self, damping: float, camera: Tensor) -> Tensor:
        """Steps of the boards (F, 6) that go with a step of all camera parameters (C * P,)."""
        slope = self.board_slope + (self.coupling.mT @ camera[:, None])[..., 0]
        return -torch.linalg.solve(_damped(self.board, damping), slope)


def inverse_of(matrix: Tensor) -> Tensor:
    """Inverse of a (P, P) Hessian whose parameters have very different sizes; 0 along what nothing tells."""
    scale = matrix.diagonal().clamp(min=1e-300).rsqrt()
    inverse = torch.linalg.pinv(scale[:, None] * matrix * scale, rtol=1e-13, hermitian=True)
    return scale[:, None] * inverse * scale


def _damped(blocks: Tensor, damping: float) -> Tensor:
    """Blocks with their diagonal raised; never quite singular, even where nothing was seen."""
    diagonal = blocks.diagonal(dim1=-2, dim2=-1)
    return blocks + torch.diag_embed(damping * diagonal + 1e-12)


class ViewRows(NamedTuple):
    """Which corners make up each view: one camera's image of one board pose."""

    corner: Tensor
    """(V, L) int64 row of each corner among all C * N of them; of no meaning in the padding."""
    real: Tensor
    """(V, L) bool, False in the padding."""
    camera: Tensor
    """(V,) int64"""
    pose: Tensor
    """(V,) int64"""


def view_rows(pose: Tensor, seen: Tensor) -> ViewRows:
    """Views of corners given by their board poses (C, N) and whether they exist (C, N)."""
    camera = torch.arange(len(pose))[:, None].expand_as(pose)
    corner = torch.nonzero(seen.flatten())[:, 0]
    view, member, count = torch.unique(
        (pose * len(pose) + camera).flatten()[corner], return_inverse=True, return_counts=True
    )
    order = member.argsort(stable=True)
    within = torch.arange(len(corner)) - (count.cumsum(0) - count)[member[order]]
    rows = torch.zeros(len(view), int(count.max()) if len(count) else 0, dtype=torch.int64)
    real = torch.zeros(rows.shape, dtype=torch.bool)
    rows[member[order], within], real[member[order], within] = corner[order], True
    return ViewRows(rows, real, view % len(pose), view // len(pose))


def normal_equations(at: Linearised, weight: Tensor, views: ViewRows, num_boards: int) -> NormalEquations:
    """Sum the corners' contributions over cameras and boards: first within each view, all in one product."""
    num_cameras, width = weight.shape[0], at.d_camera.shape[-1]
    root = (weight.flatten()[views.corner] * views.real).sqrt()[..., None, None]
    everything = torch.cat([at.d_camera, at.d_board, at.error_px[..., None]], -1).flatten(0, 1)
    rows = (root * everything[views.corner]).flatten(1, 2)  # (V, 2 L, P + 6 + 1)
    product = rows.mT @ rows
    lens, board = slice(width), slice(width, width + POSE)

    def total(part: Tensor, row: Tensor, count: int) -> Tensor:
        return torch.zeros(count, *part.shape[1:], dtype=torch.float64).index_add_(0, row, part)

    pair = views.pose * num_cameras + views.camera
    coupling = total(product[:, lens, board], pair, num_boards * num_cameras)
    return NormalEquations(
        camera=total(product[:, lens, lens], views.camera, num_cameras),
        board=total(product[:, board, board], views.pose, num_boards),
        coupling=coupling.reshape(num_boards, num_cameras * width, POSE),
        camera_slope=total(product[:, lens, -1], views.camera, num_cameras),
        board_slope=total(product[:, board, -1], views.pose, num_boards),
    )
