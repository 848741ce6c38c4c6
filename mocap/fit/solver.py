"""Levenberg-Marquardt on the manifold of poses: linearise, solve, accept what lowers the cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mocap.fit.banded import NotPositiveError
from mocap.fit.problem import FitError, Problem
from mocap.fit.state import State
from mocap.fit.sweep import Step, Sweep
from mocap.progress import Progress, silent

_START_DAMPING = 1e-5
_LARGEST_DAMPING = 1e8
_NO_DAMPING = 1e-6
"""Of a motion, where frames hold each other, this much neither slows a solve nor narrows a posterior."""
_LESS, _MORE = 1 / 3, 100.0
"""By how much damping falls after a good step, and rises where the shortened one fails as well."""
_IDLE = 0.3
"""Share of the least promise that a whole step has to gain, else it is the last."""
_SHORTEST, _LONGEST = 0.1, 0.5
"""Of a step that raises the cost, the share that is tried next."""
_SMALL_STEP = 1e-4
"""Radians and metres: a tenth of a millimetre, well below what any camera resolves."""
SMALL_GAIN = 1e-4
"""Share of the cost; such a step moves joints by a small part of their standard deviation."""


@dataclass(frozen=True)
class Solution:
    """Where the iterations ended."""

    state: State
    """Where the last step, too small to be judged, leads from the best state seen."""
    cost: tuple[float, ...]
    """Cost before the first iteration and after each accepted one; the last as promised."""
    cost_by_term: dict[str, float]
    """At the end."""
    iterations: int
    """Linear solves that were made."""
    why_stopped: str
    """``converged``, ``iterations`` (used up) or ``stuck`` (no step lowers the cost)."""
    sweep: Sweep
    """The linearisation before the last step."""


def solve(
    problem: Problem,
    state: State,
    *,
    max_iterations: int,
    least_gain: float = SMALL_GAIN,
    progress: Progress = silent,
) -> Solution:
    """Minimise a problem's cost.

    Args:
        problem: terms and prior.
        state: where to start.
        max_iterations: most linear solves.
        least_gain: an iteration that promises to lower the cost by less than this share is the last.
        progress: told the iterations.

    Raises:
        FitError: the cost is not finite at the start, or the equations are not.
    """
    damping = _START_DAMPING
    sweep = _damped(problem, state, damping)
    history, why, iteration = [sweep.cost], "iterations", 0
    while iteration < max_iterations:
        iteration += 1
        progress("fit", iteration, max_iterations)
        step = sweep.step()
        if _small(step) or sweep.promised_gain <= least_gain * max(sweep.cost, 1e-12):
            state, why = problem.layout.retract(sweep.state, *step), "converged"
            history.append(sweep.cost - sweep.promised_gain)
            return Solution(state, tuple(history), sweep.costs, iteration, why, sweep)
        before = sweep
        better, damping = _better(sweep, step)
        if better is not None:
            sweep = better
            history.append(sweep.cost)
            gained = before.cost - sweep.cost
            if damping <= before.damping and gained <= _IDLE * least_gain * sweep.cost:
                why = "converged"  # whatever is promised
                break
        elif damping > _LARGEST_DAMPING:
            why = "stuck"
            break
        else:
            sweep = _damped(problem, sweep.state, damping)
    return Solution(sweep.state, tuple(history), sweep.costs, iteration, why, sweep)


def undamped(sweep: Sweep) -> Sweep:
    """The same linearisation, fit for a posterior."""
    if sweep.damping <= _NO_DAMPING:
        return sweep
    return _damped(sweep.problem, sweep.state, _NO_DAMPING)


def _damped(problem: Problem, state: State, damping: float) -> Sweep:
    """A sweep with as much damping as makes it positive definite."""
    while True:
        try:
            return Sweep(problem, state, damping=damping)
        except NotPositiveError as error:
            damping *= 100
            if damping > _LARGEST_DAMPING:
                what = "fit: the normal equations are not positive definite"
                raise FitError(what, frame=error.frame) from None


def _better(sweep: Sweep, step: Step) -> tuple[Sweep | None, float]:
    """The sweep a step further, or a part of it, if that does not cost more; and the damping from there.

    A part is tried before more damping: that needs no new factor, and the frames that do not mind have
    their share.
    """
    problem, gain = sweep.problem, sweep.promised_gain
    lower = max(sweep.damping * _LESS, _NO_DAMPING)
    there = _try(problem, problem.layout.retract(sweep.state, *step), lower)
    rise = math.inf if there is None else there.cost - sweep.cost
    if rise <= 0:
        return there, lower if rise < -gain / 2 else sweep.damping
    # the minimum of the parabola through both costs with the slope that is known at the first
    part = min(max(gain / (2 * gain + rise), _SHORTEST), _LONGEST)
    raised = max(sweep.damping, _START_DAMPING / 10) * 10
    there = _try(problem, problem.layout.retract(sweep.state, part * step.pose, part * step.border), raised)
    if there is not None and there.cost <= sweep.cost:
        return there, raised
    return None, raised * _MORE


def _try(problem: Problem, trial: State, damping: float) -> Sweep | None:
    """The sweep at a trial; a step into nowhere has none."""
    try:
        return _damped(problem, trial, damping)
    except FitError:
        return None


def _small(step: Step) -> bool:
    return not step.pose.numel() or float(step.pose.abs().max()) < _SMALL_STEP
