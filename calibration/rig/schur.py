"""Normal equations of cameras and boards in blocks, solved through the Schur complement.

Boards are independent of each other given the cameras: eliminating their 6 x 6 blocks leaves a small dense
system for the cameras, however many frames there are.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        coupling = self.coupling[:, free]
        solved = torch.linalg.solve(_damped(self.board, damping), coupling.mT)  # (F, 6, P)
        whole = torch.block_diag(*_damped(self.camera, damping))[free][:, free]
        slope = self.camera_slope.flatten()[free] - (solved.mT @ self.board_slope[..., None]).sum(0)[:, 0]
        return whole - (coupling @ solved).sum(0), -slope

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


def normal_equations(at: Linearised, weight: Tensor, pose: Tensor, num_boards: int) -> NormalEquations:
    """Sum the corners' contributions over cameras and boards."""
    num_cameras, width = weight.shape[0], at.d_camera.shape[-1]
    d_camera, d_board = (weight.sqrt()[..., None, None] * d for d in (at.d_camera, at.d_board))
    error = weight.sqrt()[..., None] * at.error_px
    board = torch.zeros(num_boards, POSE, POSE, dtype=torch.float64)
    board_slope = torch.zeros(num_boards, POSE, dtype=torch.float64)
    coupling = torch.zeros(num_boards * num_cameras, width, POSE, dtype=torch.float64)
    rows = pose.flatten()
    board.index_add_(0, rows, (d_board.mT @ d_board).flatten(0, 1))
    board_slope.index_add_(0, rows, (d_board.mT @ error[..., None]).flatten(0, 1)[..., 0])
    pairs = pose * num_cameras + torch.arange(num_cameras)[:, None]
    coupling.index_add_(0, pairs.flatten(), (d_camera.mT @ d_board).flatten(0, 1))
    flat = d_camera.flatten(1, 2)  # (C, 2N, P)
    return NormalEquations(
        camera=flat.mT @ flat,
        board=board,
        coupling=coupling.reshape(num_boards, num_cameras * width, POSE),
        camera_slope=(flat.mT @ error.flatten(1)[..., None])[..., 0],
        board_slope=board_slope,
    )
