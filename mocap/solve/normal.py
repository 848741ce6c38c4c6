"""The quadratic that a sum of terms makes of the knots, gathered point by point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mocap.keypoints import FloatArray
from mocap.solve.basis import Basis, Blend
from mocap.solve.equations import Factor, solve_each
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
        """Products of two points of one frame: (M,) indices of the points, (T, M, 6) symmetric matrices."""
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

    def factor(self) -> Factor:
        """Factor of all points together."""
        num, count = self.own.shape[1:3]
        rows = np.zeros((num, count, 3, self.reach + 1, count, 3))
        for apart in range(self.reach + 1):
            block = rows[:, :, :, apart]
            own = full(self.own[apart])
            for point in range(count):
                block[:, point, :, point] = own[:, point]
        for first, second, gathered in self.pairs:
            for apart, packed in enumerate(gathered):
                block, matrix = rows[:, :, :, apart], full(packed)
                for pair, (one, other) in enumerate(zip(first, second, strict=True)):
                    block[:, one, :, other] += matrix[:, pair]
                    block[:, other, :, one] += matrix[:, pair]
        return Factor(rows.reshape(num, 3 * count, -1), self.border.reshape(num, 3 * count, -1), self.corner)

    def step(self, factor: Factor, *, free: bool) -> tuple[FloatArray, FloatArray]:
        """The step (N, K, 3) of the knots and (Q,) of the border."""
        flat = self.right.reshape(len(self.right), -1)
        knots, edge = factor.solve(flat, self.corner_right, free=free)
        return knots.reshape(self.right.shape), edge
