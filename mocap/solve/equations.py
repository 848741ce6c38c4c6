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

    def __init__(self, bands: list[FloatArray], border: FloatArray, corner: FloatArray) -> None:
        """Factorise.

        Args:
            bands: by distance d: (N, D, D), rows of knot n, columns of knot n + d; d = 0 is symmetric.
            border: (N, D, Q) rows of a knot, columns of the border.
            corner: (Q, Q) of the border itself.

        Raises:
            SolveError: not positive definite; names the knot.
        """
        self.num, self.size = bands[0].shape[:2]
        self.reach = len(bands) - 1
        size, wide = self.size, self.size * self.reach
        # What the knots done so far leave on the next ones.
        carry = np.zeros((wide + size, wide + size), order="F")
        edge = np.zeros((wide + size, border.shape[2]), order="F")
        self.lower, self.ahead, self.border = [], [], []
        corner = corner.copy()
        for knot in range(self.num):
            row = np.concatenate([band[knot] for band in bands], axis=1)
            row -= carry[:size]
            sides = border[knot] - edge[:size]
            lower, info = lapack.dpotrf(row[:, :size], lower=1, clean=1)
            if info != 0:
                raise SolveError("the points cannot be solved: nothing holds them", where=f"knot {knot}")
            ahead = blas.dtrsm(1.0, lower, row[:, size:], lower=1)
            sides = blas.dtrsm(1.0, lower, sides, lower=1) if border.shape[2] else sides
            self.lower.append(lower)
            self.ahead.append(ahead)
            self.border.append(sides)
            shifted = np.zeros_like(carry)
            shifted[:wide, :wide] = carry[size:, size:]
            shifted[:wide, :wide] += ahead.T @ ahead
            carry = shifted
            if border.shape[2]:
                moved = np.zeros_like(edge)
                moved[:wide] = edge[size:] + ahead.T @ sides
                edge = moved
                corner -= sides.T @ sides
        self.corner = corner

    def solve(self, right: FloatArray, corner: FloatArray, *, free: bool) -> tuple[FloatArray, FloatArray]:
        """Solve for right sides (N, D) and (Q,).

        Returns:
            The unknowns (N, D), with the border ``free`` or held, and (Q,) the right side of the border's own
            equations once the others are eliminated; their matrix is ``corner``.
        """
        size, wide = self.size, self.size * self.reach
        carry = np.zeros(wide + size)
        forward = np.empty((self.num, size))
        corner = corner.copy()
        for knot in range(self.num):
            part = blas.dtrsv(self.lower[knot], right[knot] - carry[:size], lower=1)
            forward[knot] = part
            carry[:wide] = carry[size:]
            carry[wide:] = 0.0
            carry[:wide] += part @ self.ahead[knot]
            corner -= part @ self.border[knot]
        edge = np.linalg.solve(self.corner, corner) if free and len(corner) else np.zeros_like(corner)
        result = np.zeros((self.num + self.reach, size))
        for knot in range(self.num - 1, -1, -1):
            rest = forward[knot] - self.ahead[knot] @ result[knot + 1 : knot + 1 + self.reach].ravel()
            if len(corner):
                rest -= self.border[knot] @ edge
            result[knot] = blas.dtrsv(self.lower[knot], rest, lower=1, trans=1)
        return result[: self.num], corner

    def follow(self) -> FloatArray:
        """(N, D, Q) how the unknowns move with the border."""
        size = self.size
        num_border = self.corner.shape[0]
        result = np.zeros((self.num + self.reach, size, num_border))
        if num_border == 0:
            return result[: self.num]
        for knot in range(self.num - 1, -1, -1):
            after = result[knot + 1 : knot + 1 + self.reach].reshape(-1, num_border)
            rest = -self.border[knot] - self.ahead[knot] @ after
            result[knot] = blas.dtrsm(1.0, self.lower[knot], rest, lower=1, trans_a=1)
        return result[: self.num]

    def inverse(self, keep: int) -> list[FloatArray]:
        """Blocks of the inverse near its diagonal, the border held, by the recursion of Takahashi.

        Returns:
            By distance d up to ``keep``: (N, D, D), rows of knot n, columns of knot n + d.
        """
        size, wide = self.size, self.size * self.reach
        result = [np.zeros((self.num, size, size)) for _ in range(keep + 1)]
        after = np.zeros((wide, wide))  # covariance of the knots after this one
        for knot in range(self.num - 1, -1, -1):
            lower = self.lower[knot]
            carry = blas.dtrsm(1.0, lower, self.ahead[knot], lower=1, trans_a=1)
            across = -carry @ after
            half = lapack.dpotri(lower, lower=1)[0]
            own = np.tril(half) + np.tril(half, -1).T - across @ carry.T
            own = (own + own.T) / 2
            result[0][knot] = own
            for apart in range(1, keep + 1):
                result[apart][knot] = across[:, (apart - 1) * size : apart * size]
            shifted = np.empty_like(after)
            shifted[:size, :size] = own
            shifted[:size, size:] = across[:, : wide - size]
            shifted[size:, :size] = across[:, : wide - size].T
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
