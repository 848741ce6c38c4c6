"""The quadratic that a sum of terms makes of the knots, gathered point by point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mocap.keypoints import FloatArray
from mocap.solve.basis import Basis, Blend
from mocap.solve.equations import Blocks, Factor, solve_each
from mocap.solve.views import full

_HELD = 1e-4
"""Information that keeps a knot where it is, per square metre: a deviation of 100 m. Of somebody who is away
for long, smoothness alone says too little to be solved."""


class Normal:
    """Normal equations of the knots of K tracks: what terms add to and the solver solves."""

    def __init__(self, basis: Basis, count: int, num_border: int, reach: int) -> None:
        """Empty equations for ``count`` points, knots coupled up to ``reach`` apart."""
        self.basis, self.count, self.reach = basis, count, reach
        num = basis.num_knots
        self.own = np.zeros((reach + 1, num, count, 6))
        self.right = np.zeros((num, count, 3))
        self.pairs: list[tuple[NDArray[np.integer], NDArray[np.integer], list[FloatArray]]] = []
        self.border = np.zeros((num, count, 3, num_border))
        self.corner = np.zeros((num_border, num_border))
        self.corner_right = np.zeros(num_border)

    def add_points(self, blend: Blend, matrix: FloatArray, right: FloatArray) -> None:
        """Squares of blended points: (T, K, 6) information and (T, K, 3) right side."""
        num = self.basis.num_knots
        for apart, band in enumerate(blend.gather(matrix)):
            self.own[apart] += band[:num]
        self.right += blend.adjoint(right)[:num]

    def add_pairs(self, first: NDArray[np.integer], second: NDArray[np.integer], matrix: FloatArray) -> None:
        """Products of two points of one frame: (M,) indices of the points, (T, M, 6) symmetric matrices.

        No pair may come twice.
        """
        self.pairs.append((first, second, self.basis.values.gather(matrix)))

    def add_smoothness(self, stencil: FloatArray, weight: FloatArray, knots: FloatArray) -> None:
        """Squares of differences of knots: (k + 1,) their stencil, (K,) weights, (N, K, 3) the knots now."""
        order = len(stencil) - 1
        count = len(knots) - order
        if count <= 0:
            return
        now = sum(stencil[place] * knots[place : place + count] for place in range(order + 1))
        now = now * weight[:, None]
        for first in range(order + 1):
            self.right[first : first + count] -= stencil[first] * now
            for second in range(first, order + 1):
                product = stencil[first] * stencil[second] * weight
                for axis in (0, 3, 5):
                    self.own[second - first, first : first + count, :, axis] += product

    def step_each(self) -> FloatArray:
        """(N, K, 3) the step were the points independent."""
        own = [full(band) for band in self.own]
        own[0] = own[0] + _HELD * np.eye(3)
        return solve_each(own, self.right)

    def blocks(self) -> Blocks:
        """The band of all points together."""
        num, size = len(self.right), 3 * self.count
        within = np.add.outer(size * np.arange(3), np.arange(3)).ravel()
        points = np.arange(self.count)
        row, column, values, source = [points], [points], [self.own], [points]
        for first, second, gathered in self.pairs:
            known = sum(part.shape[2] for part in values)
            room = np.zeros((self.reach + 1, num, len(first), 6))
            room[: len(gathered)] = gathered
            values.append(room)
            row += [first, second]
            column += [second, first]
            source += [known + np.arange(len(first))] * 2
        entry = np.array([0, 1, 2, 1, 3, 4, 2, 4, 5])  # of ``SYMMETRIC`` in a full matrix
        at = 3 * (size * np.concatenate(row) + np.concatenate(column))
        return Blocks(
            size,
            np.add.outer(at, within).ravel(),
            np.add.outer(6 * np.concatenate(source), entry).ravel(),
            np.concatenate(values, 2).reshape(self.reach + 1, num, -1),
        )

    def factor(self) -> Factor:
        """Factor of all points together."""
        border = self.border.reshape(len(self.right), 3 * self.count, len(self.corner))
        return Factor(self.blocks(), border, self.corner)

    def step(self, factor: Factor, *, free: bool) -> tuple[FloatArray, FloatArray]:
        """The step (N, K, 3) of the knots and (Q,) of the border."""
        flat = self.right.reshape(len(self.right), -1)
        knots, edge = factor.solve(flat, self.corner_right, free=free)
        return knots.reshape(self.right.shape), edge
