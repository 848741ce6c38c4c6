"""Takes of any length: one solve where it fits into memory, else shape first and then window by window.

A frame of the solve takes about half a megabyte. In a long take, shape and offsets come from samples spread
over the take; the windows then overlap, and each begins at two frames that the one before it has fixed, so
that the motion has no seam.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mocap.fit.assemble import Observations, make_problem
from mocap.fit.motion_terms import Steps
from mocap.fit.posed import LOOK_AHEAD, stretches
from mocap.fit.problem import Problem
from mocap.fit.quality import joint_std, keypoint_distance, residual_scale
from mocap.fit.soles import CONTACT_NAMES, contacts_of, find_support
from mocap.fit.solver import Solution, solve
from mocap.fit.state import Layout, State
from mocap.progress import Progress, silent
from mocap.settings import FitSettings
from rigs.body import Body
from rigs.keypoint_model import KeypointModel

WINDOW = 1500
"""Most frames of one solve."""
OVERLAP = 60
"""Frames at a window's end that the next one solves again: smoothness reaches less than a second."""
_SAMPLES, _SAMPLE = 10, 100
"""Runs of frames, and frames in each, that the shape of a long take is estimated from."""
_ROUGH_GAIN = 1e-3
"""Share of the cost at which the first solve ends: good enough to tell which feet stand."""
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
    distance: Tensor
    """(T, K) metres from keypoints to body."""
    last: Solution
    """The last solve: costs and why it stopped."""
    iterations: int
    """Of all solves."""
    floor: str
    """``used``, ``off``, ``unknown`` or ``not believed: …``."""


@dataclass(frozen=True)
class _Fit:
    """What all solves of one person share."""

    body: Body
    layout: Layout
    settings: FitSettings
    soles: KeypointModel | None

    def problem(self, seen: Observations, support: Tensor | None, layout: Layout) -> Problem:
        return make_problem(self.body, layout, seen, self.settings, soles=self.soles, support=support)

    @property
    def shape_only(self) -> Layout:
        """The offsets stay where they are."""
        return replace(self.layout, num_keypoints=0)

    @property
    def pose_only(self) -> Layout:
        """Shape and offsets stay where they are."""
        return replace(self.layout, num_betas=0, num_keypoints=0)

    def support(self, state: State, time_s: Tensor) -> tuple[str, Tensor | None]:
        """Whether the floor is to be used, and heights (T, n) that the soles stand on, NaN in the air."""
        if not self.settings.floor:
            return "off", None
        if self.soles is None:
            return "unknown", None
        parts = stretches(self.body, self.layout, state, at_once=512)
        place = torch.cat([posed.place(self.soles)[: posed.own] for posed in parts])
        lowest = float(torch.quantile(place[..., 2].min(-1).values, 0.05))
        if abs(lowest) > _WRONG_FLOOR_M:
            return f"not believed: the feet's lowest is at {lowest:.2f} m", None
        return "used", torch.from_numpy(find_support(place.numpy(), time_s.numpy()))


def solve_take(
    body: Body, layout: Layout, seen: Observations, guess: State, time_s: Tensor, *, settings: FitSettings,
    soles: KeypointModel | None, progress: Progress = silent,
) -> TakeSolution:  # fmt: skip
    """Fit a take, in one piece or in windows.

    Args:
        body: the body.
        layout: columns of the unknowns.
        seen: T frames of keypoints.
        guess: where to start.
        time_s: (T,) seconds.
        settings: strengths.
        soles: points that may stand on the floor.
        progress: told iterations or frames.
    """
    fit = _Fit(body, layout, settings, soles)
    if guess.num_frames <= WINDOW:
        return _solve_piece(fit, seen, guess, time_s, layouts=(fit.shape_only, layout), progress=progress)
    chosen = _sample(guess.num_frames)
    joined = torch.diff(chosen) == 1
    steps = Steps(torch.where(joined, torch.diff(time_s[chosen]), 1.0), joined)
    sampled, start, rounds = seen.frames(chosen, steps), guess.frames(chosen), settings.max_iterations
    for stage in (fit.shape_only, layout):
        problem = fit.problem(sampled, None, stage)
        start = solve(problem, start, max_iterations=rounds, progress=progress).state
    return _by_windows(fit, seen, replace(guess, betas=start.betas, offsets=start.offsets), time_s, progress)


def _solve_piece(
    fit: _Fit, seen: Observations, start: State, time_s: Tensor, *, layouts: tuple[Layout, Layout],
    held: Tensor | None = None, progress: Progress = silent,
) -> TakeSolution:  # fmt: skip
    """Solve roughly; then again with all unknowns, and with the feet on the floor where they stand."""
    rounds = fit.settings.max_iterations
    problem = fit.problem(seen, None, layouts[0])
    rough = solve(problem, start, max_iterations=rounds, least_gain=_ROUGH_GAIN, held=held, progress=progress)
    floor, support = fit.support(rough.state, time_s)
    contacts = torch.zeros(start.num_frames, len(CONTACT_NAMES), dtype=torch.bool)
    if support is not None:
        contacts = contacts_of(torch.isfinite(support))
    problem = fit.problem(seen, support, layouts[1])
    last = solve(problem, rough.state, max_iterations=rounds, held=held, progress=progress)
    scale = residual_scale(problem, last.state)
    std = joint_std(problem, last.state, held=held) * scale
    distance = keypoint_distance(problem, last.state, seen)
    iterations = rough.iterations + last.iterations
    return TakeSolution(last.state, contacts, std, scale, distance, last, iterations, floor)


def _by_windows(
    fit: _Fit, seen: Observations, state: State, time_s: Tensor, progress: Progress
) -> TakeSolution:
    """Solve each window with shape and offsets held, from the frames that the one before it left."""
    num = state.num_frames
    parts: list[TakeSolution] = []
    for first, keep, stop in _windows(num):
        which = torch.arange(first, stop)
        steps = Steps(seen.steps.seconds[first : stop - 1], seen.steps.joined[first : stop - 1])
        held = which < (first + LOOK_AHEAD if first else 0)
        start = state.frames(which)
        if parts:
            start.quat_xyzw[:LOOK_AHEAD] = parts[-1].state.quat_xyzw[-LOOK_AHEAD:]
            start.trans[:LOOK_AHEAD] = parts[-1].state.trans[-LOOK_AHEAD:]
        layouts = (fit.pose_only, fit.pose_only)
        part = _solve_piece(fit, seen.frames(which, steps), start, time_s[which], layouts=layouts, held=held)
        parts.append(_own(part, slice(LOOK_AHEAD if first else 0, keep - first)))
        progress("fit", keep, num)
    return _joined(parts, state)


def _own(part: TakeSolution, rows: slice) -> TakeSolution:
    """A window's own frames."""
    return replace(
        part,
        state=part.state.frames(rows),
        contacts=part.contacts[rows],
        std=part.std[rows],
        distance=part.distance[rows],
    )


def _joined(parts: list[TakeSolution], state: State) -> TakeSolution:
    """Windows' own frames, one after another."""
    return replace(
        parts[-1],
        state=replace(
            state,
            quat_xyzw=torch.cat([part.state.quat_xyzw for part in parts]),
            trans=torch.cat([part.state.trans for part in parts]),
        ),
        contacts=torch.cat([part.contacts for part in parts]),
        std=torch.cat([part.std for part in parts]),
        distance=torch.cat([part.distance for part in parts]),
        scale=float(np.median([part.scale for part in parts])),
        iterations=sum(part.iterations for part in parts),
    )


def _windows(num: int) -> Iterator[tuple[int, int, int]]:
    """For each window: its first frame, the end of its own frames, and the end of all its frames."""
    done = 0
    while done < num:
        first = max(0, done - LOOK_AHEAD)
        stop = min(num, first + WINDOW)
        done = num if stop == num else stop - OVERLAP
        yield first, done, stop


def _sample(num: int) -> Tensor:
    """Frames of runs that are spread evenly over a long take, the same every time."""
    starts = torch.linspace(0, num - _SAMPLE, _SAMPLES).round().long()
    return (starts[:, None] + torch.arange(_SAMPLE)).flatten().unique()
