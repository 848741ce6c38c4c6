"""Levenberg-Marquardt on the manifold of poses: linearise, solve, accept what lowers the cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mocap.fit.banded import Factor, NotPositiveError
from mocap.fit.problem import FitError, Problem, build, costs
from mocap.fit.state import State
from mocap.progress import Progress, silent

_START_DAMPING = 1e-4
_LARGEST_DAMPING = 1e8
_SMALL_STEP = 1e-4
"""Radians and metres: a tenth of a millimetre, well below what any camera resolves."""
SMALL_GAIN = 1e-4
"""Share of the cost; what another iteration would gain is far below the noise."""


@dataclass(frozen=True)
class Solution:
    """Where the iterations ended."""

    state: State
    """The best state seen."""
    cost: tuple[float, ...]
    """Cost before the first iteration and after each accepted one."""
    cost_by_term: dict[str, float]
    """At the end."""
    iterations: int
    """Linear solves that were made."""
    why_stopped: str
    """``converged``, ``iterations`` (used up) or ``stuck`` (no step lowers the cost)."""


def solve(
    problem: Problem,
    state: State,
    *,
    max_iterations: int,
    least_gain: float = SMALL_GAIN,
    held: Tensor | None = None,
    progress: Progress = silent,
) -> Solution:
    """Minimise a problem's cost.

    Args:
        problem: terms and prior.
        state: where to start.
        max_iterations: most linear solves.
        least_gain: an iteration that lowers the cost by less than this share is the last.
        held: (T,) bool, frames that keep their pose.
        progress: told the iterations.

    Raises:
        FitError: the cost is not finite at the start, or the equations become so.
    """
    frozen = np.zeros(state.num_frames, bool) if held is None else held.numpy()
    frozen_border = (problem.prior.sd <= 0).numpy()
    by_term = costs(problem, state)
    history = [sum(by_term.values())]
    damping, raise_by = _START_DAMPING, 4.0
    equations = None
    for iteration in range(1, max_iterations + 1):
        progress("fit", iteration, max_iterations)
        equations = equations or build(problem, state)
        try:
            step = Factor(equations, damping=damping, held=frozen, held_border=frozen_border).solve()
        except NotPositiveError:
            step = None
        better = None if step is None else _try(problem, problem.layout.retract(state, *step), history[-1])
        if better is not None:
            (state, by_term), equations = better, None
            history.append(sum(by_term.values()))
            damping, raise_by = max(damping / 5, 1e-9), 4.0
            if _converged(step, history, least_gain):
                return Solution(state, tuple(history), by_term, iteration, "converged")
        else:
            damping, raise_by = damping * raise_by, raise_by * 2
            if damping > _LARGEST_DAMPING:
                return Solution(state, tuple(history), by_term, iteration, "stuck")
    return Solution(state, tuple(history), by_term, max_iterations, "iterations")


def posterior(problem: Problem, state: State, held: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Covariance of the unknowns at a solution; see ``Factor.posterior``."""
    frozen = np.zeros(state.num_frames, bool) if held is None else held.numpy()
    frozen_border = (problem.prior.sd <= 0).numpy()
    factor = Factor(build(problem, state), damping=0.0, held=frozen, held_border=frozen_border)
    given, by_border, border = factor.posterior()
    border[torch.from_numpy(frozen_border)] = 0.0
    return given, by_border, border


def _try(problem: Problem, trial: State, cost: float) -> tuple[State, dict[str, float]] | None:
    """The trial with its costs, if it does not cost more; a step into nowhere is no better."""
    try:
        by_term = costs(problem, trial)
    except FitError:
        return None
    return (trial, by_term) if sum(by_term.values()) <= cost else None


def _converged(step: tuple[Tensor, Tensor] | None, history: list[float], least_gain: float) -> bool:
    assert step is not None
    largest = max((float(part.abs().max()) for part in step[:1] if part.numel()), default=0.0)
    gain = history[-2] - history[-1]
    return largest < _SMALL_STEP or gain <= least_gain * max(history[-1], 1e-12)
