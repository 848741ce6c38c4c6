"""Where a retargeted character stands: its travel and the ends of its limbs, over the whole take at once.

A character of other proportions that keeps the directions of all limbs slides: feet that stood still travel
by the difference in lengths. So the travel of the pelvis, a small shift of each ankle and wrist, and the
place of every contact are found together. Each is linear in the others, so it is one sparse least-squares
problem, banded in time: contacts stay where they are, hands that touch keep their distance, nothing goes
through the floor, all else changes as little and as smoothly as it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ENDS: Final = ("left_ankle", "right_ankle", "left_wrist", "right_wrist")
"""Limbs' ends that may be shifted against the rest of the body."""
_COLUMNS: Final = 1 + len(ENDS)

_TRAVEL_SD_M, _TRAVEL_SD_M_S2 = 0.3, 1.0
"""How far the pelvis may be from where scaling puts it, and how unlike its acceleration may be."""
_SHIFT_SD_M: Final = (0.01, 0.01, 0.03, 0.03)
_SHIFT_SD_M_S2: Final = 2.0
"""The same of the ends of legs and arms: a centimetre turns a leg by two thirds of a degree."""
_SLIP_SD_M = 2e-4
_TOUCH_SD_M = 1e-3
_FLOOR_SD_M = 2e-4
_ROUNDS = 6
"""Of finding out what would go through the floor."""


@dataclass(frozen=True)
class Standing:
    """A point of the target that stands now and then, over T frames."""

    end: str
    """The limb's end that it moves with, of ``ENDS``; empty for one that only the pelvis carries."""
    place: FloatArray
    """(T, 3) metres, world: where it is before anything is shifted."""
    stands: NDArray[np.bool_]
    """(T,) when it must not move."""
    height: FloatArray
    """(T,) metres, world: how high it is while it stands."""


@dataclass(frozen=True)
class Low:
    """A point of the target that must not be lower than something."""

    end: str
    """As in ``Standing``."""
    height: FloatArray
    """(T,) metres before anything is shifted."""
    least: FloatArray
    """(T,) metres."""


@dataclass(frozen=True)
class Touch:
    """Two ends that keep a distance at times."""

    first: str
    """One, of ``ENDS``."""
    second: str
    """The other."""
    apart: FloatArray
    """(T, 3) metres that the first must move against the second."""
    weight: FloatArray
    """(T,) in [0, 1]: how much it matters."""


@dataclass(frozen=True)
class Shifts:
    """What was found."""

    pelvis: FloatArray
    """(T, 3) metres that everything moves."""
    ends: dict[str, FloatArray]
    """(T, 3) metres that an end moves besides."""


def settle(
    standing: Sequence[Standing],
    low: Sequence[Low],
    touches: Sequence[Touch],
    rate_hz: float,
    num_frames: int,
    scale: float = 1.0,
) -> Shifts:
    """Shifts that keep contacts in place and everything above the floor.

    Args:
        standing: points that stand now and then.
        low: points that stay above the floor.
        touches: ends that keep a distance.
        rate_hz: frames a second.
        num_frames: T.
        scale: size of the character in that of a person: what is a centimetre for one is a metre for a giant.
    """
    if scale != 1.0:
        standing = [replace(p, place=p.place / scale, height=p.height / scale) for p in standing]
        low = [replace(p, height=p.height / scale, least=p.least / scale) for p in low]
        touches = [replace(t, apart=t.apart / scale) for t in touches]
    used = {point.end for point in (*standing, *low)} | {end for t in touches for end in (t.first, t.second)}
    fixed = [column for column, end in enumerate(ENDS, start=1) if end not in used]
    runs = [
        (point, start, stop) for point in standing for start, stop in zip(*_runs(point.stands), strict=True)
    ]
    base = _smoothness(num_frames, 1.0 / rate_hz, len(runs))
    level = _Rows(num_frames, len(runs))
    for number, (point, start, stop) in enumerate(runs):
        level.add(point.end, np.arange(start, stop), point.place[start:stop, :2], 1 / _SLIP_SD_M, number)
    for touch in touches:
        level.add_pair(touch, slice(0, 2))
    across = _solve([base, level], fixed, 2)
    upright = _Rows(num_frames, 0)
    for point, start, stop in runs:
        gap = point.place[start:stop, 2] - point.height[start:stop]
        upright.add(point.end, np.arange(start, stop), gap[:, None], 1 / _SLIP_SD_M)
    for touch in touches:
        upright.add_pair(touch, slice(2, 3))
    up = _above_floor(_smoothness(num_frames, 1.0 / rate_hz, 0), upright, low, fixed, num_frames)
    shift = np.concatenate([across, up], axis=-1) * scale
    return Shifts(shift[:, 0], {end: shift[:, column] for column, end in enumerate(ENDS, start=1)})


def _above_floor(
    base: _Rows, upright: _Rows, low: Sequence[Low], fixed: list[int], num_frames: int
) -> FloatArray:
    """(T, 5, 1) vertical shifts; what is found under the floor is held at it, and all solved again."""
    held = [np.zeros(num_frames, dtype=bool) for _ in low]
    shift = _solve([base, upright], fixed, 1)
    for _ in range(_ROUNDS):
        new = False
        for point, frames in zip(low, held, strict=True):
            column = ENDS.index(point.end) + 1 if point.end else None
            height = point.height + shift[:, 0, 0] + (shift[:, column, 0] if column else 0.0)
            under = height < point.least - 5 * _FLOOR_SD_M
            new = new or bool((under & ~frames).any())
            np.logical_or(frames, under, out=frames)
        if not new:
            break
        floor = _Rows(num_frames, 0)
        for point, frames in zip(low, held, strict=True):
            at = np.flatnonzero(frames)
            floor.add(point.end, at, (point.height - point.least)[at, None], 1 / _FLOOR_SD_M)
        shift = _solve([base, upright, floor], fixed, 1)
    return shift


class _Rows:
    """Weighted equations in the shifts of T frames and the places of contacts."""

    def __init__(self, num_frames: int, num_anchors: int) -> None:
        self.num_frames, self.num_anchors = num_frames, num_anchors
        self.columns: list[NDArray[np.int64]] = []
        self.values: list[FloatArray] = []
        self.rights: list[FloatArray] = []

    def put(self, columns: NDArray[np.int64], values: FloatArray, right: FloatArray) -> None:
        """N equations in k unknowns each: (n, k) columns and factors, (n, axes) right-hand sides."""
        if len(columns):
            self.columns.append(columns)
            self.values.append(np.broadcast_to(values, columns.shape))
            self.rights.append(right)

    def add(
        self, end: str, at: NDArray[np.int64], place: FloatArray, weight: float, anchor: int | None = None
    ) -> None:
        """The pelvis and an end bring a point at ``place`` to zero, or to the place of a contact."""
        parts = [at * _COLUMNS] + ([at * _COLUMNS + ENDS.index(end) + 1] if end else [])
        signs = [1.0] * len(parts)
        if anchor is not None:
            parts.append(np.full(len(at), self.num_frames * _COLUMNS + anchor))
            signs.append(-1.0)
        self.put(np.stack(parts, -1), np.array(signs) * weight, -place * weight)

    def add_pair(self, touch: Touch, axes: slice) -> None:
        """Two ends change their distance."""
        at = np.flatnonzero(touch.weight > 0)
        first, second = (at * _COLUMNS + ENDS.index(end) + 1 for end in (touch.first, touch.second))
        weight = touch.weight[at, None] / _TOUCH_SD_M
        self.put(np.stack([first, second], -1), weight * [1.0, -1.0], weight * touch.apart[at, axes])


def _smoothness(num_frames: int, step_s: float, num_anchors: int) -> _Rows:
    """Shifts are small, and so are their accelerations; each frame counts by the time that it lasts."""
    rows = _Rows(num_frames, num_anchors)
    at = np.arange(num_frames)
    share = np.sqrt(min(step_s * 30.0, 1.0))
    for column in range(_COLUMNS):
        size, bend = (
            (_TRAVEL_SD_M, _TRAVEL_SD_M_S2) if not column else (_SHIFT_SD_M[column - 1], _SHIFT_SD_M_S2)
        )
        own = (at * _COLUMNS + column)[:, None]
        rows.put(own, np.array([share / size]), np.zeros((num_frames, 0)))
        triples = np.concatenate([own[:-2], own[1:-1], own[2:]], axis=1)
        factor = share / (bend * step_s**2)
        rows.put(triples, np.array([1.0, -2.0, 1.0]) * factor, np.zeros((max(num_frames - 2, 0), 0)))
    return rows


def _solve(parts: Sequence[_Rows], fixed: list[int], num_axes: int) -> FloatArray:
    """(T, 5, axes) shifts of least squares."""
    from scipy.sparse import coo_array, csc_array, diags_array
    from scipy.sparse.linalg import splu

    num_frames, num_anchors = parts[0].num_frames, parts[0].num_anchors
    size = num_frames * _COLUMNS + num_anchors
    rows: list[Any] = []
    columns: list[Any] = []
    values: list[Any] = []
    rights: list[FloatArray] = []
    count = 0
    for part in parts:
        for column, value, right in zip(part.columns, part.values, part.rights, strict=True):
            rows.append(np.repeat(np.arange(count, count + len(column)), column.shape[1]))
            columns.append(column.ravel())
            values.append(value.ravel())
            rights.append(right if right.shape[1] else np.zeros((len(column), num_axes)))
            count += len(column)
    matrix = coo_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(count, size)
    ).tocsc()
    right = np.concatenate(rights)
    weight = np.zeros(size)
    for column in fixed:  # an end that nothing asks of stays
        weight[column : num_frames * _COLUMNS : _COLUMNS] = 1e12
    normal = csc_array(matrix.T @ matrix + diags_array(weight + 1e-9))
    solved = splu(normal, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(
        np.asarray(matrix.T @ right)
    )
    return solved[: num_frames * _COLUMNS].reshape(num_frames, _COLUMNS, num_axes)


def _runs(flags: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First frames of runs that are set, and the frames after their last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2]
