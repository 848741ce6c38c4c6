"""Symmetric positive definite equations that are block-banded in time with a dense border.

Cholesky by blocks, one frame after another: cost and memory are linear in the number of frames. The border
is eliminated last (its Schur complement). A run of frames is eliminated from what the run before it left, a
``Carry``, and can be so again: a long take is factorised run by run with the same result as in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import blas, lapack

from mocap.fit.lapack import Matrix, eliminate
from mocap.fit.problem import FitError, NormalEquations

_LEAST = 1e-9
"""Added to the diagonal, so that an unknown that nothing depends on stays where it is."""


class NotPositiveError(ArithmeticError):
    """The equations are not positive definite; more damping makes them so."""

    def __init__(self, frame: int | None = None) -> None:
        """``frame`` is the one whose block is not; None is the border's."""
        super().__init__()
        self.frame = frame


@dataclass(frozen=True)
class Carry:
    """What is left of the equations of the next two frames and of the border, as far as some frames tell."""

    own: Matrix
    """(2, D, D) the two frames' own blocks; only the lower triangle of the columns counts."""
    ahead: Matrix
    """(2, 2 D + Q + 1, D) columns of what couples them with frames ahead, the border, and the right side."""
    corner: Matrix
    """(Q + 1, Q + 1) taken from the border's block and right side; lower triangle of the columns."""


def first_carry(size: int, num_border: int) -> Carry:
    """What no frames leave."""
    wide = num_border + 1
    return Carry(np.zeros((2, size, size)), np.zeros((2, 2 * size + wide, size)), np.zeros((wide, wide)))


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
        own = equations.bands[0].numpy()
        ahead = _ahead(equations)
        self.num, self.size = len(own) - 2, own.shape[1]
        self.num_border = ahead.shape[1] - 2 * self.size - 1
        diagonal = np.einsum("nii->ni", own)
        _check_finite(diagonal[: self.num], ahead[: self.num, -1], first)
        diagonal *= 1 + damping
        diagonal[: self.num] += _LEAST
        own[:2] += carry.own
        ahead[:2] += carry.ahead
        corner = carry.corner.copy()
        if (bad := eliminate(own, ahead, corner)) is not None:
            raise NotPositiveError(first + bad)
        self._own, self._ahead = own[: self.num], ahead[: self.num]
        self.left = Carry(own[self.num :].copy(), ahead[self.num :].copy(), corner)

    def back(self, border: Matrix, after: Matrix) -> Matrix:
        """The step (N, D) of the frames, from that of the border (Q,) and of the two frames after (2, D)."""
        steps = np.concatenate([np.zeros((self.num, self.size)), after])
        known = np.concatenate([np.zeros(2 * self.size), border, [-1.0]])
        for frame in range(self.num - 1, -1, -1):
            known[: 2 * self.size] = steps[frame + 1 : frame + 3].ravel()
            rest = -(known @ self._ahead[frame])
            steps[frame] = blas.dtrsv(self._own[frame].T, rest, lower=1, trans=1, overwrite_x=1)
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
            lower = self._own[frame].T
            turned = blas.dtrsm(1.0, lower, self._ahead[frame, :-1].T, lower=1, trans_a=1)
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
            taken: (Q + 1, Q + 1) ``Carry.corner`` of all frames.
            damping: as for the frames.
        """
        size = len(gradient)
        left = np.tril(square + taken[:size, :size].T)
        if not np.isfinite(left).all():
            raise FitError("fit: the normal equations are not finite at shape and offsets")
        left[np.diag_indices(size)] += damping * np.diag(square) + _LEAST
        self._right = -gradient + taken[:size, size]
        self._lower = left
        if size:
            self._lower, info = lapack.dpotrf(np.asfortranarray(left), lower=1, clean=1)
            if info != 0:
                raise NotPositiveError
        self._taken = -float(taken[size, size])

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


def _ahead(equations: NormalEquations) -> Matrix:
    """(N, 2 D + Q + 1, D) towards the next frame, the one after, the border, and minus the gradient."""
    bands = [band.numpy() for band in equations.bands]
    border, gradient = equations.border.numpy(), equations.gradient.numpy()
    num, size, num_border = border.shape
    ahead = np.empty((num, 2 * size + num_border + 1, size))
    for step in (1, 2):
        ahead[:, (step - 1) * size : step * size] = bands[step].transpose(0, 2, 1)
    ahead[:, 2 * size : -1] = border.transpose(0, 2, 1)
    ahead[:, -1] = -gradient
    return ahead


def _check_finite(diagonal: Matrix, gradient: Matrix, first: int) -> None:
    bad = ~(np.isfinite(diagonal).all(1) & np.isfinite(gradient).all(1))
    if bad.any():
        raise FitError("fit: the normal equations are not finite", frame=first + int(np.argmax(bad)))
