"""The solves that make a fit: few frames first, then all of them, then with the feet on the floor.

Frames a tenth of a second apart are solved from the closed-form guess, on the 3D points, whose basin is wide.
All frames then start between those, on the pixels where there are some. Where feet stand is told from that
solution, as are the constant error and the spread of each camera's keypoints; the last solve has it all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mocap.fit.assemble import Observations, make_problem
from mocap.fit.motion_terms import Steps
from mocap.fit.noise import Noise, estimate_noise
from mocap.fit.posed import stretches
from mocap.fit.problem import Problem
from mocap.fit.quality import joint_std, keypoint_distance, residual_scale
from mocap.fit.soles import CONTACT_NAMES, contacts_of, find_support
from mocap.fit.solver import Solution, solve, undamped
from mocap.fit.state import Layout, State, between
from mocap.progress import Progress, silent
from mocap.settings import FitSettings
from rigs.body import Body
from rigs.keypoint_model import KeypointModel

_KEY_S = 0.1
"""Time between the frames of the first solve; bodies turn by a few degrees within it."""
_ROUGH_GAIN = 1e-3
"""Share of the cost at which the first solve ends: good enough to start the next."""
_SETTLED_GAIN = 1e-2
"""The same where feet and noise are looked at."""
_WRONG_FLOOR_M = 0.12
"""Soles whose lowest frames are this far from z = 0 say that the floor is elsewhere."""


@dataclass(frozen=True)
class TakeSolution:
    """A person's motion over a whole take."""

    state: State
    """T frames."""
    contacts: Tensor
    """(T, 4) bool for ``CONTACT_NAMES``."""
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
    """``used``, ``off``, ``unknown`` or ``not believed: …``."""


@dataclass(frozen=True)
class TakeFit:
    """What all solves of one person share."""

    body: Body
    """The body."""
    layout: Layout
    """Columns of the unknowns of the last solve."""
    settings: FitSettings
    """Strengths."""
    soles: KeypointModel | None
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
        state, iterations = self._start(seen, guess, time_s)
        noise = None if seen.pixels is None else Noise.as_told(seen.pixels)
        problem = self._problem(seen, noise=noise)
        settled = self._minimise(problem, state, _SETTLED_GAIN)
        if noise is not None and seen.pixels is not None:
            noise = estimate_noise(problem, settled.state, seen.pixels, noise)
        floor, support = self._support(settled.state, time_s)
        problem = self._problem(seen, support=support, noise=noise)
        last = self._minimise(problem, settled.state)
        scale = residual_scale(problem, last.state)
        contacts = torch.zeros(len(time_s), len(CONTACT_NAMES), dtype=torch.bool)
        return TakeSolution(
            state=last.state,
            contacts=contacts if support is None else contacts_of(torch.isfinite(support)),
            std=joint_std(undamped(last.sweep)) * scale,
            scale=scale,
            noise=noise,
            distance=keypoint_distance(problem, last.state, seen),
            last=last,
            iterations=iterations + settled.iterations + last.iterations,
            floor=floor,
        )

    def _start(self, seen: Observations, guess: State, time_s: Tensor) -> tuple[State, int]:
        """Solve for frames some way apart, shape too, and fill in those between."""
        num = len(time_s)
        step_s = float(torch.diff(time_s).median()) if num > 1 else _KEY_S
        stride = max(1, round(_KEY_S / step_s))
        keys = torch.arange(0, num + stride - 1, stride).clamp(max=num - 1).unique()
        seconds = torch.diff(time_s[keys])
        steps = Steps(seconds, torch.ones_like(seconds, dtype=torch.bool))
        sparse = replace(seen.frames(keys, steps), pixels=None)
        layout = replace(self.layout, num_keypoints=0)
        rough = self._minimise(self._problem(sparse, layout=layout), guess.frames(keys), _ROUGH_GAIN)
        return between(rough.state, time_s[keys], time_s), rough.iterations

    def _problem(
        self, seen: Observations, *, support: Tensor | None = None, noise: Noise | None = None,
        layout: Layout | None = None,
    ) -> Problem:  # fmt: skip
        return make_problem(
            self.body, layout or self.layout, seen, self.settings,
            soles=self.soles, support=support, noise=noise,
        )  # fmt: skip

    def _minimise(self, problem: Problem, state: State, least_gain: float | None = None) -> Solution:
        gain = {} if least_gain is None else {"least_gain": least_gain}
        return solve(
            problem, state, max_iterations=self.settings.max_iterations, progress=self.progress, **gain
        )

    def _support(self, state: State, time_s: Tensor) -> tuple[str, Tensor | None]:
        """Which soles stand, and on what, and how the floor is used; None where it is not."""
        if not self.settings.floor:
            return "off", None
        if self.soles is None:
            return "unknown", None
        parts = [
            posed.place(self.soles)[: posed.own]
            for posed in stretches(self.body, self.layout, state, at_once=512)
        ]
        place = torch.cat(parts)
        lowest = float(torch.quantile(place[..., 2].min(-1).values, 0.1))
        if abs(lowest) > _WRONG_FLOOR_M:
            return f"not believed: the feet's lowest is at {lowest:.2f} m", None
        return "used", torch.from_numpy(find_support(place.numpy(), time_s.numpy()))
