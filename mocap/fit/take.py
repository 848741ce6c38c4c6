"""The solves that make a fit: few frames first, then all of them, then with the feet on the floor.

1. Frames a tenth of a second apart are solved from the closed-form guess, on the 3D points, whose basin is
   wide; then on the pixels where there are some, with shape and offsets, and with the constant error and the
   spread of each camera's keypoints told from the residuals. Smoothness is weak here: it prefers bodies that
   need turn less to explain what was seen, and would bend the shape. Of a long take, stretches that are
   spread over it say enough of all this.
2. All frames start between those. Shape and offsets being known, the poses alone are solved with all that is
   known of how people move, and again with the feet where they stand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from mocap.fit.assemble import Observations, make_problem
from mocap.fit.contact_points import ContactPoints
from mocap.fit.floor import Floor, find_floor
from mocap.fit.motion_terms import Steps
from mocap.fit.noise import Noise, estimate_noise, offset_scale
from mocap.fit.posed import stretches
from mocap.fit.problem import FitError, Problem
from mocap.fit.quality import joint_std, keypoint_distance, residual_scale
from mocap.fit.solver import SMALL_GAIN, Solution, solve, undamped
from mocap.fit.state import Layout, State, between
from mocap.fit.sweep import Sweep
from mocap.progress import Progress, silent
from mocap.settings import FitSettings
from rigs.body import Body

_KEY_S = 0.1
"""Time between the frames of the first solve; bodies turn by a few degrees within it."""
_MOST_KEYS, _STRETCH = 600, 30
"""Most frames that shape and offsets are solved from, a minute of them, and how many of these follow each
other."""
_ROUGH_GAIN = 1e-3
"""Share of the cost at which the first solve ends: good enough to start the next."""
_SETTLED_GAIN = 1e-2
"""The same where feet and noise are looked at."""
_COARSE = 5.0
"""By how much the pixels' deviations are wider for frames that start between others."""
_LOOSE = 0.5
"""Strength of smoothness where shape and offsets are solved for."""


@dataclass(frozen=True)
class TakeSolution:
    """A person's motion over a whole take."""

    state: State
    """T frames."""
    contacts: Tensor
    """(T, 8) how surely each of ``CONTACT_NAMES`` stands."""
    std: Tensor
    """(T, J) metres."""
    scale: float
    """Typical residual over its promise; ``std`` has it in."""
    noise: Noise | None
    """What the pictures' errors are like; None for a fit to 3D points."""
    distance: Tensor
    """(T, K) metres from keypoints to body."""
    last: Solution
    """The last solve: costs and why it stopped."""
    iterations: int
    """Of all solves."""
    floor: str
    """How the floor was used, as ``Floor.how`` has it."""


class _Known(NamedTuple):
    """What the first solves leave for the last."""

    state: State
    """Of the frames that are some way apart."""
    border: Tensor
    """(Q, Q) covariance of shape and offsets."""
    noise: Noise | None
    """Of the pixels."""
    iterations: int
    """So far."""


@dataclass(frozen=True)
class TakeFit:
    """What all solves of one person share."""

    body: Body
    """The body."""
    layout: Layout
    """Columns of the unknowns of the last solve."""
    settings: FitSettings
    """Strengths."""
    standing: ContactPoints | None
    """Points that may stand on the floor."""
    progress: Progress = silent
    """Told the iterations."""

    def solve(self, seen: Observations, guess: State, time_s: Tensor) -> TakeSolution:
        """Fit a take.

        Args:
            seen: T frames of keypoints.
            guess: where to start.
            time_s: (T,) seconds.
        """
        keys = _key_frames(time_s)
        seconds = torch.diff(time_s[keys])
        sparse = seen.frames(keys, Steps(seconds, torch.ones_like(seconds, dtype=torch.bool)))
        if sparse.pixels is not None:  # frames further apart say less of the same
            weight = torch.clamp(sparse.pixels.weight * (len(time_s) / len(keys)), max=1.0)
            sparse = replace(sparse, pixels=replace(sparse.pixels, weight=weight))
        known = self._at_keys(sparse, guess, keys)
        state = between(known.state, time_s[keys], time_s)
        return self._poses(seen, state, known, time_s)

    def _at_keys(self, seen: Observations, guess: State, keys: Tensor) -> _Known:
        """Shape, offsets and noise, and the poses of the key frames."""
        some, steps = _sample(seen.steps)
        try:
            known = self._shape(seen.frames(some, steps), guess.frames(keys[some]))
        except FitError as error:
            raise error.counted(keys[some]) from error
        if len(some) == len(keys):
            return known
        try:
            return self._rough_poses(seen, guess.frames(keys), known)
        except FitError as error:
            raise error.counted(keys) from error

    def _rough_poses(self, seen: Observations, guess: State, known: _Known) -> _Known:
        """The poses of all frames that are some way apart, where shape and offsets are from some of them."""
        start = replace(guess, betas=known.state.betas, offsets=known.state.offsets)
        layout = replace(self.layout, num_betas=0, num_keypoints=0)
        problem = self._problem(replace(seen, pixels=None), layout=layout, calm=_LOOSE)
        rough = self._minimise(problem, start, _ROUGH_GAIN)
        return known._replace(state=rough.state, iterations=known.iterations + rough.iterations)

    def _shape(self, seen: Observations, guess: State) -> _Known:
        """Shape, offsets and noise from frames that are some way apart."""
        layout = replace(self.layout, num_keypoints=0)
        rough = self._minimise(
            self._problem(replace(seen, pixels=None), layout=layout, calm=_LOOSE), guess, _ROUGH_GAIN
        )
        state, iterations = rough.state, rough.iterations
        noise = None if seen.pixels is None else Noise.as_told(seen.pixels)
        spread = torch.ones(self.layout.num_keypoints, dtype=torch.float64)
        for gain in (_SETTLED_GAIN, SMALL_GAIN):
            problem = self._problem(seen, noise=noise, offset_scale=spread, calm=_LOOSE)
            loose = self._minimise(problem, state, gain)
            state, iterations = loose.state, iterations + loose.iterations
            spread = offset_scale(loose.sweep, spread)
            if noise is not None and seen.pixels is not None:
                noise = estimate_noise(problem, state, seen.pixels, noise)
        border = undamped(loose.sweep).border_covariance()
        return _Known(state, border, noise, iterations)

    def _poses(self, seen: Observations, state: State, known: _Known, time_s: Tensor) -> TakeSolution:
        """The poses of all frames, shape and offsets known, with the feet on the floor."""
        posed_only = replace(self.layout, num_betas=0, num_keypoints=0)
        floor, noise, iterations = Floor("off"), known.noise, known.iterations
        for gain in (_SETTLED_GAIN, SMALL_GAIN):
            shown = seen if gain is SMALL_GAIN else _coarse(seen)
            problem = self._problem(shown, floor=floor, noise=noise, layout=posed_only)
            last = self._minimise(problem, state, gain)
            state, iterations = last.state, iterations + last.iterations
            if gain is not SMALL_GAIN:
                floor = self._floor(state, time_s)
        problem = self._problem(seen, floor=floor, noise=noise)
        scale = residual_scale(problem, state)
        return TakeSolution(
            state=state,
            contacts=floor.probability(len(time_s)),
            std=joint_std(Sweep(problem, state, damping=0.0), known.border) * scale,
            scale=scale,
            noise=noise,
            distance=keypoint_distance(problem, state, seen),
            last=last,
            iterations=iterations,
            floor=floor.how,
        )

    def _problem(
        self, seen: Observations, *, floor: Floor | None = None, noise: Noise | None = None,
        layout: Layout | None = None, offset_scale: Tensor | None = None, calm: float = 1.0,
    ) -> Problem:  # fmt: skip
        return make_problem(
            self.body, layout or self.layout, seen, self.settings,
            floor=floor, noise=noise, offset_scale=offset_scale, calm=calm,
        )  # fmt: skip

    def _minimise(self, problem: Problem, state: State, least_gain: float) -> Solution:
        return solve(
            problem, state, max_iterations=self.settings.max_iterations, least_gain=least_gain,
            progress=self.progress,
        )  # fmt: skip

    def _floor(self, state: State, time_s: Tensor) -> Floor:
        """What stands, and on what."""
        if not self.settings.floor:
            return Floor("off")
        if self.standing is None:
            return Floor("unknown")
        parts = [
            posed.place(self.standing.model)[: posed.own]
            for posed in stretches(self.body, self.layout, state, at_once=512)
        ]
        return find_floor(self.standing, torch.cat(parts), time_s)


def _key_frames(time_s: Tensor) -> Tensor:
    """Frames about ``_KEY_S`` apart, the first and the last among them."""
    num = len(time_s)
    step_s = float(torch.diff(time_s).median()) if num > 1 else _KEY_S
    stride = max(1, round(_KEY_S / step_s))
    return torch.arange(0, num + stride - 1, stride).clamp(max=num - 1).unique()


def _sample(steps: Steps) -> tuple[Tensor, Steps]:
    """Stretches of frames that are spread evenly, all where there are not many; and the time between them."""
    num = len(steps.seconds) + 1
    if num <= _MOST_KEYS:
        return torch.arange(num), steps
    starts = torch.linspace(0, num - _STRETCH, _MOST_KEYS // _STRETCH).round().long()
    frames = (starts[:, None] + torch.arange(_STRETCH)).flatten().unique()
    apart = torch.diff(frames)
    time_s = torch.cat([torch.zeros(1, dtype=torch.float64), steps.seconds.cumsum(0)])
    return frames, Steps(torch.diff(time_s[frames]), (apart == 1) & steps.joined[frames[:-1]])


def _coarse(seen: Observations) -> Observations:
    """The same with wide deviations that weigh as much: frames start between others, fast limbs far away.

    With the pixels' own deviations such a limb would pass for an outlier in all views.
    """
    if seen.pixels is None:
        return seen
    pixels = seen.pixels
    weight = torch.clamp(pixels.weight * _COARSE**2, max=1.0)
    return replace(seen, pixels=replace(pixels, sigma_px=pixels.sigma_px * _COARSE, weight=weight))
