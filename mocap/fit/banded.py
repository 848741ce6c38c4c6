"""Symmetric positive definite equations that are block-banded in time with a dense border.

Cholesky by blocks, one frame after another: cost and memory are linear in the number of frames. The border
is eliminated last (its Schur complement). LAPACK is called directly: the blocks are small, so that the
overhead of a call would show.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import blas, lapack
from torch import Tensor

from mocap.fit.problem import FitError, NormalEquations

Matrix = NDArray[np.float64]


class NotPositiveError(ArithmeticError):
    """The equations are not positive definite; more damping makes them so."""


class Factor:
    """Cholesky factor of normal equations, and what follows from it."""

    def __init__(
        self, equations: NormalEquations, *, damping: float, held: Matrix, held_border: Matrix
    ) -> None:
        """Factorise.

        Args:
            equations: at one state.
            damping: added to the diagonal in proportion to it (Marquardt).
            held: (T,) bool, frames that do not move.
            held_border: (Q,) bool, border unknowns that do not move.

        Raises:
            NotPositiveError: a block is not positive definite.
        """
        bands = [band.numpy() for band in equations.bands]
        self.num, self.size = bands[0].shape[:2]
        self.num_border = len(held_border)
        self._lower: list[Matrix] = []
        self._ahead: list[Matrix] = []
        self._border: list[Matrix] = []
        free = (~held).astype(np.float64)
        right = np.concatenate([equations.border.numpy(), -equations.gradient.numpy()[..., None]], -1)
        right[:, :, :-1] *= ~held_border
        right *= free[:, None, None]
        corner = _damped(equations.corner.numpy(), damping, held_border)
        target = np.where(held_border, 0.0, -equations.border_gradient.numpy())
        self._corner = np.concatenate([corner, target[:, None]], 1)
        self._eliminate(bands, right, damping, free)
        square, self._corner_right = self._corner[:, :-1], self._corner[:, -1]
        self._corner_lower = _cholesky(np.asfortranarray(square)) if self.num_border else square

    def _eliminate(self, bands: list[Matrix], right: Matrix, damping: float, free: Matrix) -> None:
        """Forward sweep: each frame's block, what it leaves on the two after it, and on the corner."""
        size = self.size
        carry = [np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, size))]
        carry_right = [np.zeros_like(right[0]), np.zeros_like(right[0])]
        for frame in range(self.num):
            near, near_ahead, far = carry
            block = _damped(bands[0][frame], damping, free[frame] == 0) - near
            ahead = np.zeros((size, 2 * size), order="F")
            for step in (1, 2):
                if frame + step < self.num and free[frame] and free[frame + step]:
                    ahead[:, (step - 1) * size : step * size] = bands[step][frame]
            ahead[:, :size] -= near_ahead
            lower = _cholesky(np.asfortranarray(block), frame)
            ahead = blas.dtrsm(1.0, lower, ahead, lower=1, overwrite_b=1)
            sides = np.asfortranarray(right[frame] - carry_right[0])
            sides = blas.dtrsm(1.0, lower, sides, lower=1, overwrite_b=1)
            square = blas.dgemm(1.0, ahead, ahead, trans_a=1)
            carry = [far + square[:size, :size], square[:size, size:], square[size:, size:]]
            onto = blas.dgemm(1.0, ahead, sides, trans_a=1)
            carry_right = [carry_right[1] + onto[:size], onto[size:]]
            if self.num_border:
                self._corner -= blas.dgemm(1.0, sides[:, :-1], sides, trans_a=1)
            self._lower.append(lower)
            self._ahead.append(ahead)
            self._border.append(sides)

    def solve(self) -> tuple[Tensor, Tensor]:
        """The step (T, D) of the frames and (Q,) of the border."""
        border = np.zeros(0)
        if self.num_border:
            border = lapack.dpotrs(self._corner_lower, self._corner_right, lower=1)[0].ravel()
        steps = np.zeros((self.num + 2, self.size))
        for frame in range(self.num - 1, -1, -1):
            sides = self._border[frame]
            rest = sides[:, -1] - sides[:, :-1] @ border
            rest -= self._ahead[frame] @ steps[frame + 1 : frame + 3].ravel()
            steps[frame] = blas.dtrsv(self._lower[frame], rest, lower=1, trans=1)
        return torch.from_numpy(steps[: self.num]), torch.from_numpy(border)

    def posterior(self) -> tuple[Tensor, Tensor, Tensor]:
        """Covariance of the unknowns: the diagonal blocks of the inverse, by the recursion of Takahashi.

        Returns:
            given: (T, D, D) covariance of each frame were the border known.
            by_border: (T, D, Q) how a frame's solution moves with the border.
            border: (Q, Q) covariance of the border.
        """
        size, q = self.size, self.num_border
        given = np.zeros((self.num, size, size))
        follow = np.zeros((self.num + 2, size, q))
        after = np.zeros((2 * size, 2 * size))  # covariance of the two frames after this one
        for frame in range(self.num - 1, -1, -1):
            lower = self._lower[frame]
            carry = blas.dtrsm(1.0, lower, self._ahead[frame], lower=1, trans_a=1)  # (D, 2 D)
            with_after = -carry @ after
            inverse = lapack.dpotri(lower, lower=1)[0]
            own = np.tril(inverse) + np.tril(inverse, -1).T - with_after @ carry.T
            given[frame] = (own + own.T) / 2
            sides = (
                blas.dtrsm(1.0, lower, self._border[frame][:, :-1], lower=1, trans_a=1)
                if q
                else follow[frame]
            )
            follow[frame] = -sides - carry @ follow[frame + 1 : frame + 3].reshape(2 * size, q)
            after = np.block(
                [[given[frame], with_after[:, :size]], [with_after[:, :size].T, after[:size, :size]]]
            )
        border = np.zeros((q, q))
        if q:
            inverse = lapack.dpotri(self._corner_lower, lower=1)[0]
            border = np.tril(inverse) + np.tril(inverse, -1).T
        return torch.from_numpy(given), torch.from_numpy(follow[: self.num].copy()), torch.from_numpy(border)


def _damped(block: Matrix, damping: float, held: Matrix | bool) -> Matrix:
    """A copy with a larger diagonal; rows and columns that are held become the identity."""
    size = len(block)
    held = np.broadcast_to(held, size)
    out = block * ~held[:, None] * ~held
    out[np.diag_indices(size)] = np.where(held, 1.0, np.diag(block) * (1 + damping) + 1e-9)
    return out


def _cholesky(block: Matrix, frame: int | None = None) -> Matrix:
    if not np.isfinite(block).all():
        where = "shape and offsets" if frame is None else f"frame {frame}"
        raise FitError(f"fit: the normal equations are not finite at {where}")
    lower, info = lapack.dpotrf(block, lower=1, clean=1, overwrite_a=1)
    if info != 0:
        raise NotPositiveError
    return lower
