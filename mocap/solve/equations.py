"""Positive definite equations, block-banded in time with a dense border: factor, solve, selected inverse.

Cholesky by blocks from both ends of the band at once: two threads meet in the middle, and since each end is
always eliminated on its own, their number changes no digit of the answer. Cost and memory are linear in the
number of knots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from mocap.errors import InputError
from mocap.keypoints import FloatArray
from mocap.threads import side_by_side


class SolveError(InputError):
    """The equations of a take cannot be solved."""


@dataclass(frozen=True)
class Blocks:
    """A symmetric band of N x N blocks, each with the same few entries."""

    size: int
    """D, rows of a block."""
    place: NDArray[np.integer]
    """(E,) the entries of a block that are not zero, counted row by row."""
    source: NDArray[np.integer]
    """(E,) which value stands there."""
    values: FloatArray
    """(R + 1, N, V) by distance d of the knots: rows of knot n, columns of knot n + d."""

    def turned(self) -> Blocks:
        """The same with the knots in the opposite order."""
        values = np.zeros_like(self.values)
        num = values.shape[1]
        for apart in range(min(len(values), num)):
            values[apart, : num - apart] = self.values[apart, : num - apart][::-1]
        row, column = np.divmod(self.place, self.size)
        return Blocks(self.size, column * self.size + row, self.source, values)

    def rows(self, columns: int) -> NDArray[np.integer]:
        """(R + 1, E) where the entries of one knot lie in D rows of so many columns, side by side."""
        row, column = np.divmod(self.place, self.size)
        return row * columns + column + self.size * np.arange(len(self.values))[:, None]


class _End:
    """Elimination of the first knots of a band: ``U^T U`` is what is left of the block of each."""

    def __init__(self, blocks: Blocks, border: FloatArray, count: int) -> None:
        """Eliminate ``count`` knots; border (N, D, Q) as ``Factor`` has it."""
        size, reach = blocks.size, len(blocks.values) - 1
        self.size, self.wide = size, reach * size
        self.inverse = np.empty((count, size, size))
        """(n, D, D) of U."""
        self.ahead = np.empty((count, size, self.wide + border.shape[2]))
        """(n, D, R D + Q) by U^-T: rows of a knot, columns of the R knots after it and of the border."""
        columns = size + self.ahead.shape[2]
        place = blocks.rows(columns)
        self.failed: int | None = None
        # Memory that is used again and again: to ask the system for it would take as long as the work.
        row, room = np.empty((size, columns)), np.empty(size * (columns - size))
        for knot in range(count):
            row.fill(0.0)
            row.ravel()[place] = blocks.values[:, knot].take(blocks.source, axis=1)
            row[:, size + self.wide :] = border[knot]
            for apart in range(1, min(reach, knot) + 1):
                before = self.ahead[knot - apart][:, (apart - 1) * size :]
                done = room[: before.size].reshape(before.shape)
                np.matmul(before[:, :size].T, before, out=done)
                inner = self.wide - (apart - 1) * size
                row[:, :inner] -= done[:, :inner]
                row[:, size + self.wide :] -= done[:, inner:]
            upper, info = lapack.dpotrf(row[:, :size], lower=0, clean=1)
            if info != 0:
                self.failed = knot
                return
            self.inverse[knot] = lapack.dtrtri(upper)[0]
            np.matmul(self.inverse[knot].T, row[:, size:], out=self.ahead[knot])

    def carried(self) -> tuple[FloatArray, FloatArray]:
        """What these knots take from the next R: (R D, R D) of their blocks, (R D, Q) of their border."""
        block = np.zeros((self.wide, self.wide))
        edge = np.zeros((self.wide, self.ahead.shape[2] - self.wide))
        count = len(self.ahead)
        for back in range(1, min(self.wide // self.size, count) + 1):
            ahead = self.ahead[count - back][:, (back - 1) * self.size :]
            inner = self.wide - (back - 1) * self.size
            done = ahead[:, :inner].T @ ahead
            block[:inner, :inner] += done[:, :inner]
            edge[:inner] += done[:, inner:]
        return block, edge

    def corner(self) -> FloatArray:
        """(Q, Q) what these knots take from the border itself."""
        count, size, columns = self.ahead.shape
        sides = self.ahead[:, :, self.wide :].reshape(count * size, columns - self.wide)
        return sides.T @ sides

    def forward(self, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``U^-T`` times (n, D) right sides, and what is taken from those after them: (R D + Q,)."""
        count, size = len(self.ahead), self.size
        result = np.empty((count, size))
        taken = np.zeros(count * size + self.wide)
        border = np.zeros(self.ahead.shape[2] - self.wide)
        for knot in range(count):
            first = knot * size
            result[knot] = (right[knot] - taken[first : first + size]) @ self.inverse[knot]
            done = result[knot] @ self.ahead[knot]
            taken[first + size : first + size + self.wide] += done[: self.wide]
            border += done[self.wide :]
        return result, np.concatenate([taken[count * size :], border])

    def backward(self, right: FloatArray, after: FloatArray) -> FloatArray:
        """(n, D, X) unknowns from (n, D, X) and those of the next R knots and the border: (R D + Q, X)."""
        count, size = right.shape[:2]
        known = np.concatenate([np.zeros((count * size, right.shape[2])), after])
        inner, edge = known[: count * size + self.wide], known[count * size + self.wide :]
        for knot in range(count - 1, -1, -1):
            first = knot * size
            ahead = self.ahead[knot]
            rest = right[knot] - ahead[:, : self.wide] @ inner[first + size : first + size + self.wide]
            if len(edge):
                rest -= ahead[:, self.wide :] @ edge
            inner[first : first + size] = self.inverse[knot] @ rest
        return inner[: count * size].reshape(right.shape)

    def covariance(self, after: FloatArray, keep: int, part: int) -> list[FloatArray]:
        """Blocks of the inverse, the border held, by the recursion of Takahashi.

        In single precision: it adds up squares, so that nothing cancels; measured errors are 1e-6.

        Args:
            after: (R D, R D) those of the next R knots.
            keep: largest distance d.
            part: rows of the parts of a block that are wanted.

        Returns:
            By distance d: (n, D / part, part, part) on the diagonal of the block of knots n and n + d.
        """
        count, size = self.inverse.shape[:2]
        result = [np.zeros((count, size // part, part, part)) for _ in range(keep + 1)]
        room, place = np.zeros((2 * self.wide, 2 * self.wide), dtype=np.float32), self.wide
        carry, across, ahead = np.empty((3, size, self.wide), dtype=np.float32)
        room[place:, place:] = after
        for knot in range(count - 1, -1, -1):
            if place == 0:  # what is known moves down only when the room above it is used up
                room[self.wide :, self.wide :] = room[: self.wide, : self.wide].copy()
                place = self.wide
            inverse, known = self.inverse[knot].astype(np.float32), slice(place, place + self.wide)
            np.negative(self.ahead[knot][:, : self.wide], out=ahead, casting="same_kind")
            np.matmul(inverse, ahead, out=carry)
            np.matmul(carry, room[known, known], out=across)
            own = inverse @ inverse.T + across @ carry.T
            own = (own + own.T) / 2
            for apart, kept in enumerate(result):
                block = own if apart == 0 else across[:, (apart - 1) * size : apart * size]
                kept[knot] = _parts(block, part)
            above = slice(place - size, place)
            room[above, above], room[above, known], room[known, above] = own, across, across.T
            place -= size
        return result


class Factor:
    """Cholesky factor of one band of blocks with a border."""

    def __init__(self, blocks: Blocks, border: FloatArray, corner: FloatArray) -> None:
        """Factorise.

        Args:
            blocks: of the band.
            border: (N, D, Q) rows of a knot, columns of the border.
            corner: (Q, Q) of the border itself.

        Raises:
            SolveError: not positive definite; names the knot.
        """
        reach, self.num = len(blocks.values) - 1, blocks.values.shape[1]
        self.size, self.wide = blocks.size, blocks.size * reach
        self.middle = min(self.num, reach)
        self.begin = (self.num - self.middle) // 2
        self.left, self.right = side_by_side(
            lambda: _End(blocks, border, self.begin),
            lambda: _End(blocks.turned(), border[::-1], self.num - self.middle - self.begin),
        )
        if self.left.failed is not None:
            raise _unsolvable(self.left.failed)
        if self.right.failed is not None:
            raise _unsolvable(self.num - 1 - self.right.failed)
        own = _dense(blocks, slice(self.begin, self.begin + self.middle))
        edge = border[self.begin : self.begin + self.middle].reshape(len(own), len(corner)).copy()
        for end, turn in ((self.left, False), (self.right, True)):
            block, side = end.carried()
            if turn:
                block, side = self._turned(self._turned(block).T), self._turned(side)
            own -= block[: len(own), : len(own)]
            edge -= side[: len(own)]
        upper, info = lapack.dpotrf(own, lower=0, clean=1)
        if info != 0:
            raise _unsolvable(self.begin + (info - 1) // self.size)
        self.inverse_middle = lapack.dtrtri(upper)[0]
        self.edge_middle = self.inverse_middle.T @ edge
        self.corner = corner - self.left.corner() - self.right.corner()
        self.corner -= self.edge_middle.T @ self.edge_middle

    def solve(self, right: FloatArray, corner: FloatArray, *, free: bool) -> tuple[FloatArray, FloatArray]:
        """Solve for right sides (N, D) and (Q,).

        Returns:
            The unknowns (N, D), with the border ``free`` or held, and the border's (Q,), zero where held.
        """
        stop = self.begin + self.middle
        first, taken_first = self.left.forward(right[: self.begin])
        last, taken_last = self.right.forward(right[stop:][::-1])
        middle = right[self.begin : stop].ravel()
        taken = taken_first[: self.wide] + self._turned(taken_last[: self.wide])
        middle = self.inverse_middle.T @ (middle - taken[: len(middle)])
        left = corner - taken_first[self.wide :] - taken_last[self.wide :] - self.edge_middle.T @ middle
        edge = np.linalg.solve(self.corner, left) if free and len(left) else np.zeros_like(left)
        middle = self.inverse_middle @ (middle - self.edge_middle @ edge)
        return self._outwards(first[..., None], middle[:, None], last[..., None], edge[:, None])[..., 0], edge

    def follow(self) -> FloatArray:
        """(N, D, Q) how the unknowns move with the border."""
        count = len(self.corner)
        first, last = (np.zeros((len(end.ahead), self.size, count)) for end in (self.left, self.right))
        middle = -self.inverse_middle @ self.edge_middle
        return self._outwards(first, middle, last, np.eye(count))

    def inverse(self, keep: int, part: int) -> list[FloatArray]:
        """Blocks of the inverse near its diagonal, the border held.

        Args:
            keep: largest distance d.
            part: rows of the parts of a block that are wanted.

        Returns:
            By distance d: (N, D / part, part, part), on the diagonal of the block in the rows of knot n and
            the columns of knot n + d.
        """
        middle = self.inverse_middle @ self.inverse_middle.T
        after = np.zeros((self.wide, self.wide))
        after[: len(middle), : len(middle)] = middle
        turned = self._turned(self._turned(after).T)
        first, last = side_by_side(
            lambda: self.left.covariance(after, keep, part),
            lambda: self.right.covariance(turned, keep, part),
        )
        result = [np.zeros((self.num, self.size // part, part, part)) for _ in range(keep + 1)]
        stop = self.begin + self.middle
        for apart, whole in enumerate(result):
            whole[: self.begin] = first[apart]
            whole[stop - apart : self.num - apart] = np.swapaxes(last[apart][::-1], -1, -2)
            for row in range(self.middle - apart):
                column = row + apart
                block = middle[row * self.size : (row + 1) * self.size, column * self.size :]
                whole[self.begin + row] = _parts(block[:, : self.size], part)
        return result

    def _outwards(
        self, first: FloatArray, middle: FloatArray, last: FloatArray, edge: FloatArray
    ) -> FloatArray:
        """(N, D, X) unknowns, from those in the middle to both ends."""
        room = np.zeros((self.wide, middle.shape[1]))
        room[: len(middle)] = middle
        first, last = (
            end.backward(right, np.concatenate([after, edge]))
            for end, right, after in ((self.left, first, room), (self.right, last, self._turned(room)))
        )
        return np.concatenate([first, middle.reshape(self.middle, self.size, middle.shape[1]), last[::-1]])

    def _turned(self, rows: FloatArray) -> FloatArray:
        """Rows (R D, ...) with the R knots in the opposite order."""
        return rows.reshape(len(rows) // self.size, self.size, *rows.shape[1:])[::-1].reshape(rows.shape)


def _dense(blocks: Blocks, knots: slice) -> FloatArray:
    """The matrix of some knots, in full."""
    count, size = knots.stop - knots.start, blocks.size
    rows = np.zeros((count, size, count + len(blocks.values), size))
    for row, knot in enumerate(range(knots.start, knots.stop)):
        flat = np.zeros((size, len(blocks.values) * size))
        flat.ravel()[blocks.rows(flat.shape[1])] = blocks.values[:, knot].take(blocks.source, axis=1)
        rows[row, :, row : row + len(blocks.values)] = flat.reshape(size, -1, size)
    upper = rows[:, :, :count].reshape(count * size, count * size)
    return np.triu(upper) + np.triu(upper, 1).T


def _parts(block: FloatArray, part: int) -> FloatArray:
    """(D / part, part, part) on the diagonal of a block (D, D)."""
    which = np.arange(len(block) // part)
    return block.reshape(len(which), part, len(which), part)[which, :, which, :]


def _unsolvable(knot: int) -> SolveError:
    return SolveError("the points cannot be solved: nothing holds them", where=f"knot {knot}")


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
