"""Bundle adjustment with time in it: cameras that look at a moving board whenever they like.

The board moves along one smooth path (``calibration.timed.board_motion``); each camera has a clock of its own
that is constantly off and drifts, each of its frames is a little early or late besides, and each row of an
image is later than the row above it. Minimises, over cameras, lenses, clocks, line delays, frame times and
the path,

    sum_i huber(|project(camera, path(time_i) corner_i) - xy_i| / sigma_i) + sum_v (late_v / jitter)² / 2
    + priors of lenses, drifts and line delays + third differences of the path

by Levenberg-Marquardt. A frame's time touches one view only and is eliminated first, then the path, whose
matrix is a band (``calibration.timed.banded``); what is left is as large as the cameras are many. Constant
delays and line delays without the frames' own errors come out as nonsense on real webcams: they go
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from calibration.levenberg import descend
from calibration.timed.problem import TimedBundle, TimedProblem, TimedState
from calibration.timed.slopes import Stack, corner_errors, stack_views
from calibration.timed.solver import TimedSolver

_REJECT_FROM = 1
"""First round that leaves out corners that fit badly among those of their view."""
_ROUGH = 1e3
"""How much earlier than the last round the others end, in tolerances."""
_LEAST = {False: 2.0, True: 0.05}
"""Decrease of the cost that ends a round, the last one or another: half of squared standard deviations."""
_TIGHTER = 0.2
"""Part of the frames' time errors that is tried instead of them."""
_LATE_VIEW = 10.0
"""Times the limit for outliers that all corners of a view together may be off."""


def adjust_timed(problem: TimedProblem) -> TimedBundle:
    """Solve in rounds, each with the noise that the one before it showed; outliers leave after the first.

    Deterministic.
    """
    stacks = stack_views(problem.views)
    use = [stack.seen for stack in stacks]
    run = _Run(problem.start, _noise(problem, stacks, problem.start, use), problem.prior.jitter_s, 0, False)
    for round_ in range(problem.rounds):
        last = round_ == problem.rounds - 1
        if round_ >= _REJECT_FROM:
            use = [_fitting(problem, stack, run.state, run.sigma_px) for stack in stacks]
        if last and round_ > _REJECT_FROM and problem.free.late:
            run = _more_punctual(problem, stacks, use, run)
        run = _round(problem, stacks, use, run, last=last)
    state, sigma, jitter_s = run.state, run.sigma_px, run.jitter_s
    final = TimedSolver(problem, stacks, use, sigma, jitter_s)
    error = _by_camera(problem, stacks, [corner_errors(stack, state) for stack in stacks])
    used = _by_camera(problem, stacks, use)
    return TimedBundle(
        state=state,
        error_px=error,
        used=tuple(u & torch.isfinite(e).all(-1) for u, e in zip(used, error, strict=True)),
        sigma_px=sigma,
        jitter_s=jitter_s if problem.free.late else 0.0,
        covariance=final.covariance(state),
        still_error_px=_still_errors(problem, state),
        steps=run.steps,
        converged=run.converged,
    )


class _Run(NamedTuple):
    """How far a solve has come."""

    state: TimedState
    sigma_px: Tensor
    jitter_s: float
    steps: int
    converged: bool


def _round(
    problem: TimedProblem, stacks: Sequence[Stack], use: Sequence[Tensor], run: _Run, *, last: bool
) -> _Run:
    """One descent with the noise as it is known, and the noise after it."""
    solver = TimedSolver(problem, stacks, use, run.sigma_px, run.jitter_s)
    state, descent = descend(
        run.state,
        solver.cost,
        solver.stepper,
        tolerance=problem.options.tolerance * (1.0 if last else _ROUGH),
        max_steps=problem.options.max_iterations,
        least=_LEAST[last],
    )
    jitter_s = solver.jitter_s(state) if problem.free.late else run.jitter_s
    sigma = _noise(problem, stacks, state, use)
    return _Run(state, sigma, jitter_s, run.steps + descent.steps, descent.converged)


def _more_punctual(problem: TimedProblem, stacks: Sequence[Stack], use: Sequence[Tensor], run: _Run) -> _Run:
    """Trust the frames' times more, as long as what was seen is as probable.

    Times that are free by 20 ms leave the clocks less well known than punctual cameras deserve, and a path
    that has followed them does not come back by itself.
    """

    def evidence(run: _Run, sigma_px: Tensor) -> float:
        return TimedSolver(problem, stacks, use, sigma_px, run.jitter_s).evidence(run.state)

    while run.jitter_s > problem.prior.min_jitter_s:
        tighter = max(problem.prior.min_jitter_s, _TIGHTER * run.jitter_s)
        tried = _round(problem, stacks, use, run._replace(jitter_s=tighter), last=False)
        tried = tried._replace(jitter_s=tighter)
        if evidence(tried, run.sigma_px) > evidence(run, run.sigma_px):
            return run
        run = tried._replace(sigma_px=torch.minimum(run.sigma_px, tried.sigma_px))
    return run


def _by_camera(
    problem: TimedProblem, stacks: Sequence[Stack], values: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Values by stack as values by camera, without the padding."""
    every = [own for stack, value in zip(stacks, values, strict=True) for own in stack.cut(value)]
    return tuple(own[:, : views.ids.shape[1]] for own, views in zip(every, problem.views, strict=True))


def _noise(
    problem: TimedProblem, stacks: Sequence[Stack], state: TimedState, use: Sequence[Tensor]
) -> Tensor:
    """(C,) robust factor between errors and what the detector expects of them."""
    factors: list[float] = []
    for stack, counts in zip(stacks, use, strict=True):
        error = corner_errors(stack, state) / stack.expected_px[..., None]
        good = counts & torch.isfinite(error).all(-1)
        for own, mask, seen, expected in zip(error, good, stack.seen, stack.expected_px, strict=True):
            floor = problem.options.min_sigma_px
            if seen.any():
                floor /= float(expected[seen].median())
            some = own[mask]
            factors.append(max(floor, 1.4826 * float(some.abs().median())) if len(some) else floor)
    return torch.tensor(factors, dtype=torch.float64)


def _fitting(problem: TimedProblem, stack: Stack, state: TimedState, sigma: Tensor) -> Tensor:
    """(C, V, K) corners that are not outliers among those of their view.

    A view that is off as a whole may be late by more than others were: it stays, with a bounded pull.
    """
    error = corner_errors(stack, state)
    if not error.numel():
        return stack.seen
    limit = problem.options.reject_sigmas * sigma[stack.rows, None, None] * stack.expected_px
    whole = error.nanmedian(2, keepdim=True).values
    apart = (error - whole).norm(dim=-1).nan_to_num(nan=torch.inf)
    off = whole.norm(dim=-1).nan_to_num(nan=torch.inf)
    return stack.seen & (apart < limit) & (off < _LATE_VIEW * limit)


def _still_errors(problem: TimedProblem, state: TimedState) -> Tensor:
    if problem.still is None:
        return torch.zeros(0, 0, 2, dtype=torch.float64)
    return problem.still.errors(state.cameras, state.still)
