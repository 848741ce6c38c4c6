"""Where a retargeted character stands, and how little its bones must turn for that, over the whole take.

A character of other proportions that keeps the directions of all limbs slides: feet that stood still travel
by the difference in lengths. So travel, a turn of the pelvis and of the chest, and small turns of limbs, feet
and hands are found together: contacts stay where they are, hands that touch keep their distance, nothing goes
through the floor. Travel is nearly free, the trunk and the feet give way before limbs do, and all changes
are smooth. It is a least-squares problem, solved by Gauss-Newton steps; each frame touches only the next
two, so the normal equations are a band. Long takes are solved in windows that know how the one before ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rigs.retarget.band import Band
from rigs.retarget.contacts import Mark, Touch
from rigs.retarget.figure import PARTS, Figure

FloatArray = NDArray[np.float64]

_TRAVEL: Final = (1.0, 6.0)
"""Metres from where scaling puts the pelvis and m/s² of change, standard deviations on a person's scale."""
_TRUNK_DEG, _LIMB_DEG, _END_DEG = (4.0, 400.0), (0.15, 15.0), (12.0, 1600.0)
"""Degrees, and degrees/s², that pelvis and chest, the limbs' bones, feet and hands turn besides."""
_SIZES: Final = {
    **dict.fromkeys(("pelvis", "chest"), _TRUNK_DEG),
    **dict.fromkeys(("hip", "knee", "shoulder", "elbow"), _LIMB_DEG),
    **dict.fromkeys(("ankle", "wrist"), _END_DEG),
}
_CREEP_M = 2e-5
"""How far a point that stands may creep from frame to frame."""
_LEVEL_M = 2e-4
"""How far it may be from its height, and others below the floor."""
_SOFT_M, _HARDER = 0.02, 0.3
"""The floor is soft at first, and harder in each step: else points jump in and out of it."""
_TOUCH_M = 1e-3
_ROUNDS, _DONE_M = 15, 2e-4
"""Most steps, and the change of places that is none."""
_HALVINGS = 5
"""Times that a step which makes things worse is cut in half."""
_TRIES = 10
"""Times that what a step would put under the floor is held above it, and the step taken anew."""
_LARGEST_RAD = 0.35
"""Most that a part turns in one step."""
_CAUTION_RAD = 0.1
"""Deviation of what a part turns in the first step: keeps bones that point straight down from swinging
about; each step that makes things better allows more, each that cannot less."""
_BOLDER, _SHYER = 1.6, 0.2
_HIGH_M = 0.25
"""A point that stays this far above what it must not fall below takes no part."""
_WINDOW_S, _AHEAD_S = 20.0, 4.0
"""How much is solved at once, and how much of that only to know what comes."""
_KNOWN = 1e-7
"""Deviation, in those of what is free, of what the window before has found."""


def settle(figure: Figure, marks: Sequence[Mark], touches: Sequence[Touch], rate_hz: float) -> FloatArray:
    """How a target must travel and turn so that contacts hold.

    Args:
        figure: the target over T frames, as limbs point where they pointed.
        marks: points that stand or must stay above the floor.
        touches: points that keep a distance.
        rate_hz: frames a second.

    Returns:
        (T, 1 + P, 3) the state that a ``Figure`` takes.
    """
    num_frames = len(figure.xyz)
    state = np.zeros((num_frames, 1 + len(PARTS), 3))
    marks = [mark for mark in marks if mark.stands.any() or _is_low(figure, mark)]
    if not marks and not touches:
        return state
    carriers = [*marks, *(mark for touch in touches for mark in (touch.first, touch.second))]
    parts = _moving(figure, {mark.joint for mark in carriers})
    step, ahead = (max(2, round(seconds * rate_hz)) for seconds in (_WINDOW_S, _AHEAD_S))
    for start in range(0, num_frames, step):
        first, stop = max(start - 2, 0), min(start + step + ahead, num_frames)
        part = slice(first, stop)
        cut = [_cut_mark(mark, part) for mark in marks], [_cut_touch(touch, part) for touch in touches]
        window = _Window(figure.cut(part), parts, *cut, rate_hz, state[first:start])
        state[start:stop] = window.solve()[start - first :]
    return state


def _is_low(figure: Figure, mark: Mark) -> bool:
    height = figure.place(mark.joint, mark.arm)[:, 2] - mark.least
    return bool((height < _HIGH_M * figure.target.scale).any())


def _moving(figure: Figure, carriers: set[int]) -> list[int]:
    """Parts that carry a joint of some."""
    reached: set[int] = set()
    for carrier in carriers:
        joint = carrier
        while joint >= 0:
            reached |= set(np.flatnonzero(figure.shares[joint]).tolist())
            joint = figure.target.joints[joint].parent
    return sorted(reached)


def _cut_mark(mark: Mark, part: slice) -> Mark:
    stands, height, least, is_low = (
        values[part] for values in (mark.stands, mark.height, mark.least, mark.is_low)
    )
    return replace(mark, stands=stands, height=height, least=least, is_low=is_low)


def _cut_touch(touch: Touch, part: slice) -> Touch:
    ends = _cut_mark(touch.first, part), _cut_mark(touch.second, part)
    return Touch(*ends, touch.apart[part], touch.weight[part])


class _Window:
    """The equations of some frames."""

    def __init__(
        self, figure: Figure, parts: list[int], marks: list[Mark], touches: list[Touch], rate_hz: float,
        known: FloatArray,
    ) -> None:  # fmt: skip
        """Begin with all as it was.

        Args:
            figure: the target.
            parts: those that may turn.
            marks: points of the target.
            touches: pairs of points.
            rate_hz: frames a second.
            known: (k, 1 + P, 3) the state of the first frames.
        """
        self.figure, self.parts, self.marks, self.touches = figure, parts, marks, touches
        self.columns = [0, *(1 + part for part in parts)]
        self.num_frames, self.num_columns = len(figure.xyz), 3 * len(self.columns)
        self.known, self.num_known, self.step_s = known, len(known), 1.0 / rate_hz
        self.state = np.zeros((self.num_frames, 1 + len(PARTS), 3))
        self.state[: self.num_known] = known
        self.scale = figure.target.scale
        self.floor_m, self.caution_rad = _LEVEL_M * self.scale, _CAUTION_RAD

    def solve(self) -> FloatArray:
        """(T, 1 + P, 3) the state."""
        self.figure.pose(self.state)
        for number in range(_ROUNDS):
            self.floor_m = max(_LEVEL_M, _SOFT_M * _HARDER**number) * self.scale
            moved = self._descend()
            if self.floor_m == _LEVEL_M * self.scale and moved < _DONE_M * self.scale:
                break
        return self.state

    def _descend(self) -> float:
        """Take a step that makes things better; metres that the furthest joint moved, infinite if none."""
        state, before, cost = self.state, self.figure.xyz, self._cost()
        change = self._step().reshape(self.num_frames, -1, 3)
        turned = np.linalg.norm(change[:, 1:], axis=-1, keepdims=True)
        change[:, 1:] *= _LARGEST_RAD / np.maximum(turned, _LARGEST_RAD)
        for _ in range(_HALVINGS):
            self.state = state.copy()
            self.state[:, self.columns] += change
            self.figure.pose(self.state)
            if self._cost() <= cost:
                self.caution_rad *= _BOLDER
                return float(np.abs(self.figure.xyz - before).max())
            change *= 0.5
        self.state = state
        self.figure.pose(state)
        self.caution_rad *= _SHYER
        return np.inf

    def _cost(self) -> float:
        """What the equations leave, squared."""
        now, size, bend, wanted = self._priors()
        total = ((size * (now - wanted)) ** 2).sum() + ((bend * np.diff(now, n=2, axis=0)) ** 2).sum()
        for mark in self.marks:
            place = self.figure.place(mark.joint, mark.arm)
            level, creep = self._standing(mark, place)[1::2]
            under = np.minimum(self._above(mark, place), 0.0) / self.floor_m
            total += (level**2).sum() + (creep**2).sum() + (under**2).sum()
        for touch in self.touches:
            total += (self._apart(touch) ** 2).sum()
        return float(total)

    def _step(self) -> FloatArray:
        """(T, n) the change that solves the linear problem; what it would put under the floor is held up."""
        base, floor = self._equations()
        held = [above < 0 for above, _ in floor]
        change = np.zeros((self.num_frames, self.num_columns))
        for _ in range(_TRIES):
            band = base.copy()
            for (above, slope), frames in zip(floor, held, strict=True):
                rows = np.where(frames[:, None], slope, 0.0) / self.floor_m
                band.add_rows(rows[:, None], np.where(frames, above, 0.0)[:, None] / self.floor_m)
            change = band.solve()
            found = [above + (slope * change).sum(-1) < 0 for above, slope in floor]
            if all((one == two).all() for one, two in zip(held, found, strict=True)):
                break
            held = found
        return change

    def _equations(self) -> tuple[Band, list[tuple[FloatArray, FloatArray]]]:
        """All but the floor; and for each mark (T,) how far it is above that, and (T, n) how it rises."""
        band = Band(self.num_frames, self.num_columns)
        self._add_priors(band)
        for touch in self.touches:
            first, second = (self._slope(mark) for mark in (touch.first, touch.second))
            weight = touch.weight[:, None, None] / (_TOUCH_M * self.scale)
            band.add_rows(weight * (first - second), self._apart(touch))
        floor: list[tuple[FloatArray, FloatArray]] = []
        for mark in self.marks:
            place, slope = self.figure.place(mark.joint, mark.arm), self._slope(mark)
            if mark.stands.any():
                weight, level, stays, creep = self._standing(mark, place)
                band.add_rows(weight[:, None, None] * slope[:, 2:], level[:, None])
                band.add_steps(stays[:, None, None], slope[:, :2], creep)
            floor.append((self._above(mark, place), slope[:, 2]))
        return band, floor

    def _slope(self, mark: Mark) -> FloatArray:
        """(T, 3, n) how a point moves with the unknowns."""
        return self.figure.slopes(mark.joint, mark.arm, self.parts)

    def _apart(self, touch: Touch) -> FloatArray:
        """(T, 3) weighted: how far two points are from their distance."""
        first, second = (self.figure.place(mark.joint, mark.arm) for mark in (touch.first, touch.second))
        return touch.weight[:, None] / (_TOUCH_M * self.scale) * (first - second - touch.apart)

    def _above(self, mark: Mark, place: FloatArray) -> FloatArray:
        """(T,) metres: how far a point is above what it must not fall below; no matter while it stands."""
        return np.where(mark.stands & (mark.loose_m == 0.0), np.inf, place[:, 2] - mark.least)

    def _standing(
        self, mark: Mark, place: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Weights and errors of a point's height (T,) and of its creep, (T - 1,) and (T - 1, 2)."""
        weight = mark.stands / ((_LEVEL_M + mark.loose_m) * self.scale)
        stays = (mark.stands[:-1] & mark.stands[1:]) / (_CREEP_M * self.scale)
        creep = stays[:, None] * np.diff(place[:, :2], axis=0)
        return weight, weight * (place[:, 2] - mark.height), stays, creep

    def _priors(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """(T, n) the unknowns now, (T, n) and (n,) weights of size and bend, (T, n) what they should be."""
        turns = np.deg2rad([_SIZES[PARTS[part].rpartition("_")[2]] for part in self.parts]).reshape(-1, 2)
        size, bend = np.repeat(np.concatenate([[_TRAVEL], turns]), 3, axis=0).T
        size[:3], bend[:3] = size[:3] * self.scale, bend[:3] * self.scale
        share = np.sqrt(min(self.step_s * 30.0, 1.0))
        now = self.state[:, self.columns].reshape(self.num_frames, -1)
        weight = np.tile(share / size, (self.num_frames, 1))
        weight[: self.num_known] /= _KNOWN
        wanted = np.zeros_like(now)
        wanted[: self.num_known] = self.known[:, self.columns].reshape(self.num_known, now.shape[1])
        return now, weight, share / (bend * self.step_s**2), wanted

    def _add_priors(self, band: Band) -> None:
        """All is small and smooth, and does not change much in one step; each frame counts by its time."""
        now, size, bend, wanted = self._priors()
        band.add_diagonal(size, size * (now - wanted))
        band.add_bends(bend, now)
        caution = np.full_like(now, 1.0 / self.caution_rad)
        caution[:, :3] = 0.0
        band.add_diagonal(caution, np.zeros_like(now))
