"""Normal equations of cameras and one long chain of control points, solved through the Schur complement.

Every view hangs on four neighbouring control points, so the chain's part of the matrix is a band: its
Cholesky factor costs as much as the chain is long. What is left is a small dense system for the cameras.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_solve_banded, cholesky_banded
from torch import Tensor

from calibration.timed.board_motion import CONTROL, SPAN

_TINY = 1e-12
"""Added to every diagonal: nothing is ever quite singular."""


@dataclass(frozen=True)
class ChainEquations:
    """Gauss-Newton equations: P camera parameters in all, M control points of six."""

    camera: Tensor
    """(P, P)"""
    camera_slope: Tensor
    """(P,)"""
    band: Tensor
    """(M, 4, 6, 6): blocks of each control point with itself and the three after it."""
    chain_slope: Tensor
    """(M, 6)"""
    coupling: Tensor
    """(M, 6, P)"""

    def copy(self) -> ChainEquations:
        """The same in memory of its own."""
        return ChainEquations(*(getattr(self, part.name).clone() for part in fields(self)))

    def reduced(self, damping: float, free: Tensor) -> tuple[Tensor, Tensor]:
        """Schur complement on the free camera parameters, and its right-hand side."""
        return self._eliminated(damping, free)[:2]

    def solve(self, damping: float, free: Tensor) -> tuple[Tensor, Tensor]:
        """Steps of all camera parameters (P,) and of the control points (M, 6)."""
        reduced, right, solved, alone = self._eliminated(damping, free)
        camera = torch.zeros(free.shape, dtype=torch.float64)
        if free.any():
            camera[free] = torch.linalg.solve(reduced, right)
        return camera, (-alone - solved @ camera[free]).reshape(-1, CONTROL)

    def _eliminated(self, damping: float, free: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Reduced matrix and right-hand side; the chain solved for the coupling and for its own slope."""
        lower = _lower_band(self.band)
        lower[0] += damping * lower[0] + _TINY
        coupling = self.coupling[..., free].flatten(0, 1)
        right = torch.cat([coupling, self.chain_slope.reshape(-1, 1)], 1)
        factor = cholesky_banded(lower, lower=True, overwrite_ab=True, check_finite=False)
        solved = torch.from_numpy(cho_solve_banded((factor, True), right.numpy(), check_finite=False))
        camera = self.camera[free][:, free]
        camera = camera + torch.diag(damping * camera.diagonal() + _TINY)
        inner, alone = solved[:, :-1], solved[:, -1]
        return (
            camera - coupling.mT @ inner,
            coupling.mT @ alone - self.camera_slope[free],
            inner,
            alone,
        )


def add_to_band(band: Tensor, interval: Tensor, blocks: Tensor) -> None:
    """Add the (V, 24, 24) matrices of views that hang on the control points from (V,) ``interval`` on."""
    blocks = blocks.reshape(-1, SPAN, CONTROL, SPAN, CONTROL)
    for first in range(SPAN):
        for other in range(first, SPAN):
            band[:, other - first].index_add_(0, interval + first, blocks[:, first, :, other])


def add_to_rows(rows: Tensor, interval: Tensor, parts: Tensor) -> None:
    """Add (V, 24, ...) parts of views to the (M, 6, ...) rows of their four control points."""
    parts = parts.reshape(len(parts), SPAN, CONTROL, *parts.shape[2:])
    for k in range(SPAN):
        rows.index_add_(0, interval + k, parts[:, k])


def _lower_band(band: Tensor) -> NDArray[np.float64]:
    """(24, 6 M) in the form of LAPACK: row k holds the k-th subdiagonal."""
    count = len(band)
    lower = np.zeros((SPAN * CONTROL, count * CONTROL))
    blocks = band.numpy()
    column = CONTROL * np.arange(count)
    for ahead in range(SPAN):
        for row in range(CONTROL):
            for col in range(CONTROL):
                below = CONTROL * ahead + row - col
                if below >= 0:
                    # The block below the diagonal is the transpose of the stored one beside it.
                    lower[below, column + col] = blocks[:, ahead, col, row]
    return lower
