"""Positive definite equations, block-banded in time with a dense border: factor, solve, selected inverse.

Cholesky by blocks, one knot after another; cost and memory are linear in the number of knots. LAPACK is
called directly: the blocks are small, so that the overhead of a call would show.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas, lapack

from mocap.errors import InputError
from mocap.keypoints import FloatArray


class SolveError(InputError):
    """The equations of a take cannot be solved."""


class Factor:
    """Cholesky factor of one band of blocks with a border."""

    def __init__(self, rows: FloatArray, border: FloatArray, corner: FloatArray) -> None:
        """Factorise.

        Args:
            rows: (N, D, (R + 1) D) of each knot: its own block, of which the upper half counts, and those
                with the R knots after it.
            border: (N, D, Q) rows of a knot, columns of the border.
            corner: (Q, Q) of the border itself.

        Raises:
            SolveError: not positive definite; names the knot.
        """
        self.num, self.size = rows.shape[:2]
        self.reach = rows.shape[2] // self.size - 1
        self.corner = corner.copy()
        self.upper: list[FloatArray] = []
        self.ahead: list[FloatArray] = []
        self.border: list[FloatArray] = []
        size, wide = self.size, self.size * self.reach
        # What the knots done so far take from the next ones, and from the border's rows there.
        carry, edge = np.zeros((wide, wide)), np.zeros((wide, border.shape[2]))
        for knot in range(self.num):
            row = np.asfortranarray(rows[knot])
            row[:, :wide] -= carry[:size]
            upper, info = lapack.dpotrf(row[:, :size], lower=0, clean=1)
            if info != 0:
                raise SolveError("the points cannot be solved: nothing holds them", where=f"knot {knot}")
            ahead = blas.dtrsm(1.0, upper, row[:, size:], trans_a=1)
            after = blas.dsyrk(1.0, ahead, trans=1)
            after[: wide - size, : wide - size] += carry[size:, size:]
            carry = after
            self.upper.append(upper)
            self.ahead.append(ahead)
            if border.shape[2]:
                sides = blas.dtrsm(1.0, upper, border[knot] - edge[:size], trans_a=1)
                moved = blas.dgemm(1.0, ahead, sides, trans_a=1)
                moved[: wide - size] += edge[size:]
                edge = moved
                self.corner -= blas.dgemm(1.0, sides, sides, trans_a=1)
                self.border.append(sides)

    def solve(self, right: FloatArray, corner: FloatArray, *, free: bool) -> tuple[FloatArray, FloatArray]:
        """Solve for right sides (N, D) and (Q,).

        Returns:
            The unknowns (N, D), with the border ``free`` or held, and the border's (Q,), zero where held.
        """
        size, wide = self.size, self.size * self.reach
        carry = np.zeros(wide)
        forward = np.empty((self.num, size))
        left = corner.copy()
        for knot in range(self.num):
            part = blas.dtrsv(self.upper[knot], right[knot] - carry[:size], trans=1)
            forward[knot] = part
            after = part @ self.ahead[knot]
            after[: wide - size] += carry[size:]
            carry = after
            if self.border:
                left -= part @ self.border[knot]
        edge = np.linalg.solve(self.corner, left) if free and len(left) else np.zeros_like(left)
        result = np.zeros((self.num + self.reach, size))
        for knot in range(self.num - 1, -1, -1):
            rest = forward[knot] - self.ahead[knot] @ result[knot + 1 : knot + 1 + self.reach].ravel()
            if free and self.border:
                rest -= self.border[knot] @ edge
            result[knot] = blas.dtrsv(self.upper[knot], rest)
        return result[: self.num], edge

    def follow(self) -> FloatArray:
        """(N, D, Q) how the unknowns move with the border."""
        size, count = self.size, self.corner.shape[0]
        result = np.zeros((self.num + self.reach, size, count))
        if count == 0:
            return result[: self.num]
        for knot in range(self.num - 1, -1, -1):
            after = result[knot + 1 : knot + 1 + self.reach].reshape(-1, count)
            result[knot] = blas.dtrsm(1.0, self.upper[knot], -self.border[knot] - self.ahead[knot] @ after)
        return result[: self.num]

    def inverse(self, keep: int) -> list[FloatArray]:
        """Blocks of the inverse near its diagonal, the border held, by the recursion of Takahashi.

        Returns:
            By distance d up to ``keep``: (N, D, D), rows of knot n, columns of knot n + d.
        """
        size, wide = self.size, self.size * self.reach
        result: list[FloatArray] = [np.zeros((self.num, size, size)) for _ in range(keep + 1)]
        after = np.zeros((wide, wide), order="F")  # covariance of the knots after this one
        for knot in range(self.num - 1, -1, -1):
            upper = self.upper[knot]
            carry = blas.dtrsm(1.0, upper, self.ahead[knot])
            across = -blas.dsymm(1.0, after, carry, side=1)
            half = lapack.dpotri(upper, lower=0)[0]
            own = np.triu(half) + np.triu(half, 1).T - blas.dgemm(1.0, across, carry, trans_b=1)
            own = (own + own.T) / 2
            result[0][knot] = own
            for apart in range(1, keep + 1):
                result[apart][knot] = across[:, (apart - 1) * size : apart * size]
            # Only the upper half is kept: the product above reads no more.
            shifted = np.empty_like(after)
            shifted[:size, :size] = own
            shifted[:size, size:] = across[:, : wide - size]
            shifted[size:, size:] = after[: wide - size, : wide - size]
            after = shifted
        return result


def solve_each(bands: list[FloatArray], right: FloatArray) -> FloatArray:
    """Solve for K tracks of points that know nothing of each other, all in one band.

    Args:
        bands: by distance d: (N, K, 3, 3), rows of knot n, columns of knot n + d.
        right: (N, K, 3).

    Returns:
        (N, K, 3).

    Raises:
        SolveError: not positive definite.
    """
    num, count = right.shape[:2]
    rows = 3 * len(bands)
    band = np.zeros((count, num, 3, rows))
    for apart, blocks in enumerate(bands):
        for column in range(3):
            for row in range(3):
                below = 3 * apart + row - column
                if below >= 0:
                    band[:, :, column, below] = blocks[:, :, column, row].T
    flat = band.reshape(-1, rows).T
    sides = np.ascontiguousarray(right.transpose(1, 0, 2)).reshape(-1, 1)
    _, result, info = lapack.dpbsv(flat, sides, lower=1, overwrite_ab=1)
    if info != 0:
        raise SolveError("the points cannot be solved: nothing holds them")
    return result.reshape(count, num, 3).transpose(1, 0, 2)
