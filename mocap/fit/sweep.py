"""One linearisation of a problem at a state, factorised run by run of frames.

What one run leaves for the next is kept, so that a run's factor can be made again on the way back: a take of
any length is solved as one, and only so many frames' factors are in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mocap.fit.banded import Carry, Corner, Covariance, Run, first_carry, runs
from mocap.fit.lapack import Matrix
from mocap.fit.problem import Problem, add_prior, build, prior_cost
from mocap.fit.state import State
from mocap.threads import in_order

RUN = 256
"""Frames that are linearised at once: 0.15 MB each."""
KEPT_BYTES = 1.6e9
"""What the factors of a take's last frames may take up, 0.1 MB each; those of the frames before them are made
again when they are needed."""


class Step(NamedTuple):
    """Where the minimum of a linearised problem lies from the state."""

    pose: Tensor
    """(T, D) metres and radians."""
    border: Tensor
    """(Q,) coefficients and metres."""


class PosteriorRun(NamedTuple):
    """How uncertain the unknowns of some frames are."""

    first: int
    """The first frame."""
    given: Tensor
    """(N, D, D) covariance of each frame's unknowns, were the border known."""
    by_border: Tensor
    """(N, D, Q) how a frame's solution moves with the border."""
    border: Tensor
    """(Q, Q) covariance of the border."""


class Sweep:
    """Costs, step and posterior of a problem at a state."""

    def __init__(self, problem: Problem, state: State, *, damping: float) -> None:
        """Linearise and factorise.

        Raises:
            NotPositiveError: more damping is needed.
            FitError: a term or the equations are not finite; names the term and the frame.
        """
        self.problem, self.state, self.damping = problem, state, damping
        size, border = problem.layout.num_pose, problem.layout.num_border
        self._runs = list(runs(state.num_frames, RUN))
        kept = KEPT_BYTES / (8 * size * (3 * size + border + 1))
        self._carries: list[Carry] = []
        self._kept: dict[int, Run] = {}
        self.costs = {term.name: 0.0 for term in problem.terms}
        square, gradient = torch.zeros(border, border).double(), torch.zeros(border).double()
        carry = first_carry(size, border)
        linearised = in_order(lambda run: build(problem, state, *run), self._runs)
        for index, ((first, _), equations) in enumerate(zip(self._runs, linearised, strict=True)):
            self._carries.append(carry)
            run = Run(equations, carry, damping=damping, first=first)
            carry = run.left
            square += equations.corner
            gradient += equations.border_gradient
            for name, cost in equations.costs.items():
                self.costs[name] += cost
            if state.num_frames - first <= kept:
                self._kept[index] = run
        add_prior(problem, state, square, gradient)
        self.costs["prior"] = prior_cost(problem, state)
        self._corner = Corner(square.numpy(), gradient.numpy(), carry.corner, damping=damping)

    @property
    def cost(self) -> float:
        """Of the state."""
        return sum(self.costs.values())

    @property
    def promised_gain(self) -> float:
        """By how much the step would lower the cost, were the problem linear."""
        return 0.5 * self._corner.promised

    def step(self) -> Step:
        """To the minimum of the linearised problem; the frames' factors are let go."""
        border = self._corner.solve()
        parts: list[Matrix] = []
        after = np.zeros((2, self.problem.layout.num_pose))
        for _, run in self._backwards():
            parts.append(run.back(border, after))
            after = np.concatenate([parts[-1], after])[:2]
        self._kept.clear()
        return Step(torch.from_numpy(np.concatenate(parts[::-1])), torch.from_numpy(border))

    def border_covariance(self) -> Tensor:
        """(Q, Q)."""
        return torch.from_numpy(self._corner.covariance())

    def posterior(self) -> Iterator[PosteriorRun]:
        """Covariances, from the last run of frames to the first."""
        layout = self.problem.layout
        border = self.border_covariance()
        after = Covariance.of_none(layout.num_pose, layout.num_border)
        for first, run in self._backwards():
            now = run.covariance(after)
            yield PosteriorRun(first, torch.from_numpy(now.given), torch.from_numpy(now.by_border), border)
            follow = np.concatenate([now.by_border[:2], after.by_border[:2]])[:2]
            after = Covariance(now.given, follow, now.first_two)

    def _backwards(self) -> Iterator[tuple[int, Run]]:
        """The runs from the last to the first, each with its first frame."""
        backwards = range(len(self._runs) - 1, -1, -1)
        for index in (index for index in backwards if index in self._kept):
            yield self._runs[index][0], self._kept[index]
        missing = [index for index in backwards if index not in self._kept]
        for index, run in zip(missing, in_order(self._again, missing), strict=True):
            yield self._runs[index][0], run

    def _again(self, index: int) -> Run:
        """The factor of a run that was not kept."""
        equations = build(self.problem, self.state, *self._runs[index])
        return Run(equations, self._carries[index], damping=self.damping, first=self._runs[index][0])
