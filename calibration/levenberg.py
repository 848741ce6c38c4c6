"""Levenberg-Marquardt, once, for every problem that can say what it costs and where it slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

State = TypeVar("State")

_DAMPING = (1e-6, 1e-12, 1e10)
"""Start, smallest and largest factor of the diagonal."""


class Descent(NamedTuple):
    """How a minimisation went."""

    steps: int
    """Steps that were taken."""
    converged: bool
    """The cost fell by less than was asked, or no direction was downhill any more."""


def descend(
    state: State,
    cost: Callable[[State], float],
    stepper: Callable[[State], Callable[[float], State]],
    *,
    tolerance: float,
    max_steps: int,
    least: float = 0.0,
) -> tuple[State, Descent]:
    """Minimise a cost.

    Args:
        state: where to begin.
        cost: what a state costs.
        stepper: linearises at a state and returns the function from a damping factor to the next state.
        tolerance: relative decrease of the cost that ends it.
        max_steps: most steps.
        least: decrease of the cost that ends it as well; where the cost is half a sum of squares in standard
            deviations, a hundredth is of no consequence whatever the sum.
    """
    damping, smallest, largest = _DAMPING
    now = cost(state)
    for step in range(max_steps):
        stepped = stepper(state)
        easier = 0.1
        while damping < largest:
            trial = stepped(damping)
            gain = now - (then := cost(trial))
            if gain > 0:
                break
            # Where one factor just failed, the next step does not try it again.
            damping, easier = 10.0 * damping, 1.0
        else:
            return state, Descent(step, True)
        state, damping = trial, max(easier * damping, smallest)
        if gain <= max(tolerance * now, least):
            return state, Descent(step + 1, True)
        now = then
    return state, Descent(max_steps, False)
