"""Symmetric positive definite equations that are block-banded in time with a dense border.

Cholesky by blocks, one frame after another: cost and memory are linear in the number of frames. The border
is eliminated last (its Schur complement). A run of frames is eliminated from what the run before it left, a
``Carry``, and can be so again: a long take is factorised run by run with the same result as in one piece.
LAPACK is called directly: the blocks are small, so that the overhead of a call would show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from mocap.fit.problem import FitError, NormalEquations

Matrix = NDArray[np.float64]

_LEAST = 1e-9
"""Added to the diagonal, so that an unknown that nothing depends on stays where it is."""


class NotPositiveError(ArithmeticError):
    """The equations are not positive definite; more damping makes them so."""


@dataclass(frozen=True)
class Carry:
    """What some frames leave on the two after them, and on the border."""

    spill: tuple[Matrix, ...]
    """Equations of the next two frames so far: bands (3, 2, D, D), border (2, D, Q), gradient (2, D)."""
    near: Matrix
    """(D, D) taken from the next frame's own block; only its lower triangle counts."""
    near_ahead: Matrix
    """(D, D) taken from the block between the next frame and the one after."""
    far: Matrix
    """(D, D) taken from the own block of the frame after the next; lower triangle."""
    right: tuple[Matrix, Matrix]
    """(D, Q + 1) each, taken from the right sides of the two frames."""
    corner: Matrix
    """(Q + 1, Q + 1) taken from the border's block and right side; lower triangle."""


def first_carry(size: int, num_border: int) -> Carry:
    """What no frames leave."""
    zero, right = np.zeros((size, size)), np.zeros((size, num_border + 1))
    spill = (np.zeros((3, 2, size, size)), np.zeros((2, size, num_border)), np.zeros((2, size)))
    return Carry(spill, zero, zero, zero, (right, right), np.zeros((num_border + 1, num_border + 1)))


class Run:
    """The factor of N neighbouring frames."""

    def __init__(self, equations: NormalEquations, carry: Carry, *, damping: float, first: int = 0) -> None:
        """Eliminate the frames of ``equations`` (which has two rows more) after those that left ``carry``.

        Args:
            equations: of the run's frames, without what earlier frames add; used up.
            carry: what earlier frames left.
            damping: added to the diagonal in proportion to it (Marquardt).
            first: the first frame's number in the take, for messages.

        Raises:
            NotPositiveError: a block is not positive definite.
            FitError: a block is not finite; names the frame.
        """
        bands = [band.numpy() for band in equations.bands]
        border, gradient = equations.border.numpy(), equations.gradient.numpy()
        for step in range(3):
            bands[step][:2] += carry.spill[0][step]
        border[:2] += carry.spill[1]
        gradient[:2] += carry.spill[2]
        self.num, self.size, self.num_border = len(border) - 2, border.shape[1], border.shape[2]
        spill = (np.stack([band[-2:] for band in bands]), border[-2:].copy(), gradient[-2:].copy())
        blocks = bands[0][: self.num]
        _check_finite(blocks, gradient, first)
        diagonal = np.einsum("nii->ni", blocks)
        diagonal *= 1 + damping
        diagonal += _LEAST
        self._lower = blocks.transpose(0, 2, 1)  # columns contiguous, as LAPACK wants them
        self._wide = self._right_sides(bands, border, gradient)
        self.left = self._eliminate(carry, spill)

    def _right_sides(self, bands: list[Matrix], border: Matrix, gradient: Matrix) -> Matrix:
        """(N, D, 2 D + Q + 1): to the next frame, the one after, the border, and minus the gradient."""
        size, num = self.size, self.num
        wide = np.empty((num, 2 * size + self.num_border + 1, size)).transpose(0, 2, 1)
        wide[:, :, :size] = bands[1][:num]
        wide[:, :, size : 2 * size] = bands[2][:num]
        wide[:, :, 2 * size : -1] = border[:num]
        wide[:, :, -1] = -gradient[:num]
        return wide

    def _eliminate(self, carry: Carry, spill: tuple[Matrix, ...]) -> Carry:
        """Forward sweep: each frame's block, what it leaves on the two after it, and on the border."""
        size = self.size
        near, near_ahead, far = carry.near, carry.near_ahead, carry.far
        right, later = carry.right
        corner = carry.corner.copy(order="F")
        for frame in range(self.num):
            lower, wide = self._lower[frame], self._wide[frame]
            lower -= near
            wide[:, :size] -= near_ahead
            wide[:, 2 * size :] -= right
            if lapack.dpotrf(lower, lower=1, clean=1, overwrite_a=1)[1] != 0:
                raise NotPositiveError
            blas.dtrsm(1.0, lower, wide, lower=1, overwrite_b=1)
            square = blas.dsyrk(1.0, wide, trans=1, lower=1)
            near = far + square[:size, :size]
            near_ahead = square[size : 2 * size, :size].T
            far = square[size : 2 * size, size : 2 * size]
            right = later + square[2 * size :, :size].T
            later = square[2 * size :, size : 2 * size].T
            corner += square[2 * size :, 2 * size :]
        return Carry(spill, near, near_ahead, far, (right, later), corner)

    def back(self, border: Matrix, after: Matrix) -> Matrix:
        """The step (N, D) of the frames, from that of the border (Q,) and of the two frames after (2, D)."""
        steps = np.concatenate([np.zeros((self.num, self.size)), after])
        known = np.concatenate([np.zeros(2 * self.size), border, [-1.0]])
        for frame in range(self.num - 1, -1, -1):
            known[: 2 * self.size] = steps[frame + 1 : frame + 3].ravel()
            rest = -(self._wide[frame] @ known)
            steps[frame] = blas.dtrsv(self._lower[frame], rest, lower=1, trans=1, overwrite_x=1)
        return steps[: self.num]

    def covariance(self, after: Covariance) -> Covariance:
        """Covariance of the frames' unknowns: diagonal blocks of the inverse, by Takahashi's recursion.

        Args:
            after: of the frames after these; only the first two are looked at.
        """
        size, q = self.size, self.num_border
        given = np.zeros((self.num, size, size))
        follow = np.concatenate([np.zeros((self.num, size, q)), after.by_border[:2]])
        two = after.first_two
        for frame in range(self.num - 1, -1, -1):
            lower = self._lower[frame]
            turned = blas.dtrsm(1.0, lower, self._wide[frame][:, :-1], lower=1, trans_a=1)
            with_after = turned[:, : 2 * size] @ two  # minus the covariance with the two frames after
            inverse = lapack.dpotri(lower, lower=1)[0]
            own = np.tril(inverse) + np.tril(inverse, -1).T + with_after @ turned[:, : 2 * size].T
            given[frame] = (own + own.T) / 2
            follow[frame] = -turned[:, 2 * size :]
            follow[frame] -= turned[:, : 2 * size] @ follow[frame + 1 : frame + 3].reshape(2 * size, q)
            new = np.empty_like(two)
            new[:size, :size], new[size:, size:] = given[frame], two[:size, :size]
            new[:size, size:] = -with_after[:, :size]
            new[size:, :size] = new[:size, size:].T
            two = new
        return Covariance(given, follow[: self.num], two)


@dataclass(frozen=True)
class Covariance:
    """How uncertain some frames' unknowns are."""

    given: Matrix
    """(N, D, D) of each frame, were the border known."""
    by_border: Matrix
    """(N, D, Q) how a frame's solution moves with the border."""
    first_two: Matrix
    """(2 D, 2 D) of the first two frames together, were the border known."""

    @staticmethod
    def of_none(size: int, num_border: int) -> Covariance:
        """Of the frames after the last."""
        zero = np.zeros((2, size, size))
        return Covariance(zero, np.zeros((2, size, num_border)), np.zeros((2 * size, 2 * size)))


class Corner:
    """The border's own equations, once all frames are eliminated."""

    def __init__(self, square: Matrix, gradient: Matrix, taken: Matrix, *, damping: float) -> None:
        """Factorise.

        Args:
            square: (Q, Q) H of the border.
            gradient: (Q,).
            taken: (Q + 1, Q + 1) what the frames take from it, lower triangle.
            damping: as for the frames.
        """
        size = len(gradient)
        left = np.tril(square) - np.tril(taken[:size, :size])
        if not np.isfinite(left).all():
            raise FitError("fit: the normal equations are not finite at shape and offsets")
        left[np.diag_indices(size)] += damping * np.diag(square) + _LEAST
        self._right = -gradient - taken[size, :size]
        self._lower = left
        if size:
            self._lower, info = lapack.dpotrf(np.asfortranarray(left), lower=1, clean=1)
            if info != 0:
                raise NotPositiveError

        self._taken = float(taken[size, size])

    @property
    def promised(self) -> float:
        """Twice what the step of frames and border lowers a quadratic cost by."""
        return self._taken + float(self._right @ self.solve())

    def solve(self) -> Matrix:
        """(Q,) the border's step."""
        return (
            lapack.dpotrs(self._lower, self._right, lower=1)[0].ravel() if len(self._right) else self._right
        )

    def covariance(self) -> Matrix:
        """(Q, Q)."""
        if not len(self._right):
            return np.zeros((0, 0))
        inverse = lapack.dpotri(self._lower, lower=1)[0]
        return np.tril(inverse) + np.tril(inverse, -1).T


def runs(num: int, length: int) -> Iterator[tuple[int, int]]:
    """First frame and end of each run of at most ``length`` frames."""
    for first in range(0, num, length):
        yield first, min(first + length, num)


def _check_finite(blocks: Matrix, gradient: Matrix, first: int) -> None:
    bad = ~(np.isfinite(blocks).all((1, 2)) & np.isfinite(gradient[: len(blocks)]).all(1))
    if bad.any():
        raise FitError(f"fit: the normal equations are not finite at frame {first + int(np.argmax(bad))}")
