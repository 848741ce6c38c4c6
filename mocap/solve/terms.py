"""What a solution should satisfy. A new term is a class with ``add``; the solver does not change.

Every term adds its Gauss-Newton equations around the present state: information, and the right side, which
is minus the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mocap.keypoints import FloatArray
from mocap.solve.noise import Chains
from mocap.solve.normal import Normal
from mocap.solve.views import SYMMETRIC, Views


@dataclass(frozen=True)
class State:
    """Where a solve stands."""

    knots: FloatArray
    """(N, K, 3) metres, world frame."""
    xyz: FloatArray
    """(T, K, 3) the track that the knots make."""
    lengths: FloatArray
    """(Q,) metres, of the bones."""


class Term(Protocol):
    """One wish of the solution."""

    def add(self, normal: Normal, state: State) -> None:
        """Add the term's equations around a state."""
        ...


@dataclass(frozen=True)
class ViewTerm:
    """Reprojection: what was seen, by its deviation, its weight against outliers and how long errors last.

    Errors in units of their deviation follow u' = rho u + noise from one seen frame to the next (g frames
    later: rho^g). The squares of what is new in each frame are sorted into squares of the errors and squares
    of their differences, so that points of neighbouring frames meet only in their difference.
    """

    views: Views
    """The cameras around a track near the state."""
    weight: FloatArray
    """(C, T, K) 1 / pixels², 0 where unseen: inverse variances after the robust loss."""
    chains: Chains
    """How errors last."""

    def add(self, normal: Normal, state: State) -> None:
        """Add."""
        error = self.views.error_at(state.xyz)
        matrix, right = self.views.normal(self.weight * self.chains.own, error)
        normal.add_points(normal.basis.values, matrix, right)
        root = np.sqrt(self.weight)
        for lag, together in self.chains.pairs.items():
            later = slice(lag, None)
            now = slice(None, -lag)
            mean = Views(
                self.views.xyz[now],
                root[:, later] * error[:, :, later] - root[:, now] * error[:, :, now],
                (
                    root[:, later] * self.views.d_point[:, :, :, later]
                    + root[:, now] * self.views.d_point[:, :, :, now]
                )
                / 2,
                self.views.seen[:, now],
            )
            matrix, right = mean.normal(together)
            normal.add_points(normal.basis.differences(lag), matrix, right)


@dataclass(frozen=True)
class MotionTerm:
    """The k-th difference of every track is small."""

    stencil: FloatArray
    """(k + 1,) coefficients of the difference of knots."""
    weight: FloatArray
    """(K,) inverse variances of the differences, 1 / metres²."""

    def add(self, normal: Normal, state: State) -> None:
        """Add."""
        normal.add_smoothness(self.stencil, self.weight, state.knots)


@dataclass(frozen=True)
class BoneTerm:
    """The distance of two points is as constant as their bone is; the lengths are unknowns of the border."""

    first: NDArray[np.integer]
    """(Q,) index of a point."""
    second: NDArray[np.integer]
    """(Q,) index of another."""
    weight: FloatArray
    """(Q,) inverse variances of a distance, 1 / metres²."""
    free: bool = True
    """Whether the lengths are solved for, too."""

    def add(self, normal: Normal, state: State) -> None:
        """Add."""
        if len(self.first) == 0:
            return
        between = state.xyz[:, self.first] - state.xyz[:, self.second]
        distance = np.maximum(np.linalg.norm(between, axis=-1), 1e-6)
        unit = between / distance[..., None]
        short = (state.lengths - distance) * self.weight
        matrix = np.stack([unit[..., a] * unit[..., b] for a, b in SYMMETRIC], -1) * self.weight[:, None]
        pull = unit * short[..., None]
        times, count = state.xyz.shape[:2]
        own, right = np.zeros((times, count, 6)), np.zeros((times, count, 3))
        for bone in range(len(self.first)):
            for point, sign in ((self.first[bone], 1.0), (self.second[bone], -1.0)):
                own[:, point] += matrix[:, bone]
                right[:, point] += sign * pull[:, bone]
        normal.add_points(normal.basis.values, own, right)
        normal.add_pairs(self.first, self.second, -matrix)
        if self.free:
            which = np.arange(len(self.first))
            slope = normal.basis.values.adjoint(unit * self.weight[:, None])
            normal.border[:, self.first, :, which] -= np.moveaxis(slope, 1, 0)
            normal.border[:, self.second, :, which] += np.moveaxis(slope, 1, 0)
            normal.corner[which, which] += times * self.weight
            normal.corner_right -= short.sum(0)
