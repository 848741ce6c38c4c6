"""Least squares over time in which each frame meets only the next two: its normal equations are a band."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Band:
    """Normal equations of T frames with n unknowns each, of which each meets those of the next two frames."""

    def __init__(self, num_frames: int, num_columns: int) -> None:
        self.own = np.zeros((num_frames, num_columns, num_columns))
        self.next = np.zeros((max(num_frames - 1, 0), num_columns, num_columns))
        self.after = np.zeros((max(num_frames - 2, 0), num_columns))
        self.slope = np.zeros((num_frames, num_columns))

    def copy(self) -> Band:
        """The same equations, to which others can be added."""
        band = Band(*self.slope.shape)
        band.own += self.own
        band.next += self.next
        band.after += self.after
        band.slope += self.slope
        return band

    def add_rows(self, rows: FloatArray, errors: FloatArray) -> None:
        """Equations (T, r, n) within frames, with errors (T, r); frames without any cost nothing."""
        at = np.flatnonzero(rows.any((1, 2)))
        back = np.swapaxes(rows[at], 1, 2)
        self.own[at] += back @ rows[at]
        self.slope[at] += (back @ errors[at, :, None])[..., 0]

    def add_steps(self, weight: FloatArray, rows: FloatArray, errors: FloatArray) -> None:
        """Differences between frames: (T - 1, 1, 1) weights, (T, r, n) rows, (T - 1, r) weighted errors."""
        first, second = -weight * rows[:-1], weight * rows[1:]
        back, forth = np.swapaxes(first, 1, 2), np.swapaxes(second, 1, 2)
        self.own[:-1] += back @ first
        self.own[1:] += forth @ second
        self.next += back @ second
        self.slope[:-1] += (back @ errors[..., None])[..., 0]
        self.slope[1:] += (forth @ errors[..., None])[..., 0]

    def add_diagonal(self, weight: FloatArray, errors: FloatArray) -> None:
        """One equation (T, n) for each unknown."""
        every = np.arange(weight.shape[1])
        self.own[:, every, every] += weight**2
        self.slope += weight * errors

    def add_bends(self, weight: FloatArray, state: FloatArray) -> None:
        """Second differences over time are small: (n,) weights, (T, n) the state now."""
        if len(state) < 3:
            return
        bend = np.diff(state, n=2, axis=0)
        every = np.arange(len(weight))
        for place, factor in enumerate((1.0, -2.0, 1.0)):
            part = slice(place, place + len(bend))
            self.own[part, every, every] += (weight * factor) ** 2
            self.slope[part] += weight**2 * factor * bend
        for place in range(2):
            part = slice(place, place + len(bend))
            self.next[part, every, every] += -2.0 * weight**2
        self.after += weight**2

    def solve(self) -> FloatArray:
        """(T, n) the change that solves all equations best."""
        from scipy.linalg import solveh_banded

        num_frames, num_columns = self.slope.shape
        upper = min(2 * num_columns, num_frames * num_columns - 1)
        band = np.zeros((upper + 1, num_frames, num_columns))
        every = np.arange(num_columns)
        for row in range(num_columns):
            band[upper + row - every[row:], :, every[row:]] = self.own[:, row, row:].T
            if num_frames > 1:
                band[upper + row - every - num_columns, 1:, every] = self.next[:, row].T
            if num_frames > 2:
                band[upper - 2 * num_columns, 2:, row] = self.after[:, row]
        solved = solveh_banded(
            band.reshape(upper + 1, -1), -self.slope.ravel(), overwrite_ab=True, check_finite=False
        )
        return solved.reshape(num_frames, num_columns)
