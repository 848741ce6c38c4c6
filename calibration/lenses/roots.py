"""Small solvers of the lens models: where a curve stops rising, its inverse before that, 2 x 2 inverses."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

Curve = Callable[[Tensor], tuple[Tensor, Tensor]]

_REAL = 1e-9  # imaginary part, relative to the root, below which a root counts as real


def first_positive_root(coefficients: Sequence[float]) -> float:
    """Smallest positive real root of a polynomial, infinity where there is none.

    Args:
        coefficients: ascending powers, the constant first.
    """
    roots = np.polynomial.Polynomial(np.asarray(coefficients, dtype=np.float64)).roots()
    real = roots.real[(np.abs(roots.imag) <= _REAL * np.abs(roots)) & (roots.real > 0)]
    return float(real.min()) if real.size else float("inf")


def solve_increasing(curve: Curve, target: Tensor, upper: Tensor, *, max_steps: int = 80) -> Tensor:
    """Solve ``curve(r) = target`` for ``0 <= r <= upper``, NaN where the curve does not get there.

    Newton steps that fall back to bisection where they would leave the bracket, so any curve which
    rises on the interval converges.

    Args:
        curve: gives value and slope, elementwise; rises on [0, upper] and starts at or below 0.
        target: (...) values to reach, at least 0.
        upper: broadcastable to ``target``, finite end of the interval.
        max_steps: at most so many steps; bisection alone ends within this many.

    Returns:
        (...) the solutions, to the last few bits.
    """
    low = torch.zeros_like(target)
    high = upper.expand_as(target).clone()
    reachable = curve(high)[0] >= target
    r = torch.minimum(target, high)
    for _ in range(max_steps):
        value, slope = curve(r)
        excess = value - target
        high = torch.where(excess > 0, r, high)
        low = torch.where(excess <= 0, r, low)
        step = r - excess / slope
        inside = (step >= low) & (step <= high)
        new = torch.where(inside, step, 0.5 * (low + high))
        moved = (new - r).abs()
        r = new
        if not bool((reachable & (moved > 1e-14 * (1 + r))).any()):
            break
    return torch.where(reachable, r, torch.nan)


def inverse_2x2(matrix: Tensor) -> Tensor:
    """(..., 2, 2) inverse by cofactors; not finite where singular, instead of an exception."""
    (a, b), (c, d) = (row.unbind(-1) for row in matrix.unbind(-2))
    adjugate = torch.stack((d, -b, -c, a), -1).unflatten(-1, (2, 2))
    return adjugate / (a * d - b * c)[..., None, None]
