"""Tracks as B-splines: fewer unknowns than instants where people move slowly against the frame rate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mocap.keypoints import FloatArray

_DEGREE = 3
"""Of the splines; higher ones need as many knots and cost more."""


@dataclass(frozen=True)
class Blend:
    """Values of frames from knots: ``value[t] = sum_a weight[t % m, a] knot[t // m + a]``."""

    weight: FloatArray
    """(m, p) weights by the frame's place in its interval."""
    num_knots: int
    """N, all knots of the take."""

    def gather(self, values: FloatArray) -> list[FloatArray]:
        """Sum quadratic forms of frames over pairs of knots.

        Args:
            values: (T, ...) coefficients of the squares of the blended values.

        Returns:
            By distance d of the knots, up to p - 1: (N, ...) coefficients of knot n times knot n + d.
        """
        step, reach = self.weight.shape
        rows = _intervals(values, step)
        bands = []
        for apart in range(reach):
            band = np.zeros((self.num_knots, *values.shape[1:]))
            flat = band.reshape(self.num_knots, -1)
            for first in range(reach - apart):
                product = self.weight[:, first] * self.weight[:, first + apart]
                flat[first : first + len(rows)] += np.matmul(product, rows)
            bands.append(band)
        return bands

    def adjoint(self, values: FloatArray) -> FloatArray:
        """(N, ...) sums over frames of weight times values (T, ...)."""
        step, reach = self.weight.shape
        rows = _intervals(values, step)
        result = np.zeros((self.num_knots, *values.shape[1:]))
        flat = result.reshape(self.num_knots, -1)
        for first in range(reach):
            flat[first : first + len(rows)] += np.matmul(self.weight[:, first], rows)
        return result


@dataclass(frozen=True)
class Basis:
    """Uniform B-splines over the frames of a take, or the frames themselves."""

    num_frames: int
    """T."""
    step: int
    """m, frames between two knots; 1 means that every frame is its own knot."""

    @cached_property
    def weight(self) -> FloatArray:
        """(m, p) of the knots around each frame."""
        if self.step == 1:
            return np.ones((1, 1))
        u = np.arange(self.step) / self.step
        parts = [np.ones(self.step)]
        for degree in range(1, _DEGREE + 1):  # de Boor's recursion on knots one apart
            before = [np.zeros(self.step), *parts, np.zeros(self.step)]
            parts = [
                ((u + degree - place) * before[place] + (place + 1 - u) * before[place + 1]) / degree
                for place in range(degree + 1)
            ]
        return np.stack(parts, 1)

    @property
    def num_knots(self) -> int:
        """N."""
        return -(-self.num_frames // self.step) + self.weight.shape[1] - 1

    @cached_property
    def values(self) -> Blend:
        """From knots to the values at the frames."""
        return Blend(self.weight, self.num_knots)

    def differences(self, lag: int) -> Blend:
        """From knots to the difference of the values ``lag`` frames later and now."""
        step, reach = self.weight.shape
        further = (step - 1 + lag) // step
        weight = np.zeros((step, reach + further))
        for place in range(step):
            jump, later = divmod(place + lag, step)
            weight[place, jump : jump + reach] += self.weight[later]
            weight[place, :reach] -= self.weight[place]
        return Blend(weight, self.num_knots + further)

    def expand(self, knots: FloatArray) -> FloatArray:
        """(T, ...) values at the frames from (N, ...) knots."""
        step, reach = self.weight.shape
        intervals = -(-self.num_frames // step)
        flat = knots.reshape(len(knots), -1)
        stacked = np.stack([flat[first : first + intervals] for first in range(reach)], 1)  # (I, p, X)
        frames = np.matmul(self.weight, stacked).reshape(intervals * step, -1)[: self.num_frames]
        return frames.reshape(self.num_frames, *knots.shape[1:])

    def approximate(self, values: FloatArray) -> FloatArray:
        """(N, ...) knots whose track passes nearest (T, ...) values, in least squares."""
        if self.step == 1:
            return values.copy()
        from scipy.linalg import solveh_banded

        band = np.stack(self.values.gather(np.ones(self.num_frames)))
        # The ends see little: a small wish for straight lines keeps their knots defined.
        bend = np.array([1.0, -2.0, 1.0])
        for first in range(3):
            for second in range(first, 3):
                end = self.num_knots - 2 + first
                band[second - first, first:end] += 1e-9 * bend[first] * bend[second]
        flat = self.values.adjoint(values).reshape(self.num_knots, -1)
        return solveh_banded(band, flat, lower=True).reshape(self.num_knots, *values.shape[1:])


def _intervals(values: FloatArray, step: int) -> FloatArray:
    """(I, m, X) the frames of each interval, zeros after the last."""
    flat = values.reshape(len(values), -1)
    if missing := -len(flat) % step:
        flat = np.concatenate([flat, np.zeros((missing, flat.shape[1]))])
    return flat.reshape(-1, step, flat.shape[1])
