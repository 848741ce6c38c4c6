"""What a term of the fit is: residuals, their derivatives and the loss that turns them into a cost.

The cost of a state is half the sum of ``loss.value(|r|²)`` over all residual groups r of all terms. A term
knows nothing of the solver: it says which unknowns its residuals depend on, and ``mocap.fit.problem`` does
the rest. A new term is one class in one file with a test in ``tests/mocap/fit/test_terms.py``, and a line in
``mocap.fit.assemble``.

Terms on the places of body points with many residuals for each (every camera's pixels) are ``PointTerm``:
they say how their cost bends with the points' places, three numbers each, and the chain to the unknowns is
``problem``'s. What they take to compute then hardly depends on how many cameras there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from mocap.fit.posed import Posed
from mocap.fit.state import State
from rigs.keypoint_model import KeypointModel


@dataclass(frozen=True)
class Loss:
    """How the squared length of a residual group counts: squared, or with the heavy tails of a Student-t."""

    scale: float = 1.0
    """Factor on the cost: what share of an independent observation one group is worth."""
    nu: float = 0.0
    """Degrees of freedom of a Student-t; 0 means Gaussian."""

    def value(self, squared: Tensor, size: int) -> Tensor:
        """Twice the cost of groups of ``size`` residuals with the squared lengths given."""
        if self.nu == 0.0:
            return self.scale * squared
        return self.scale * (self.nu + size) * torch.log1p(squared / self.nu)

    def weight(self, squared: Tensor, size: int) -> Tensor:
        """Derivative of ``value``: the weight that makes a squared cost of it (re-weighted least squares)."""
        if self.nu == 0.0:
            return torch.full_like(squared, self.scale)
        return self.scale * (self.nu + size) / (self.nu + squared)


class Jacobian(NamedTuple):
    """Derivatives of a term's residuals (n, G, m) by the unknowns that they depend on."""

    pose: tuple[Tensor, ...]
    """For the first, second, third frame of the run: (n, G, m, c)."""
    columns: Tensor
    """(G, c) the pose columns of each group, or (c,) where all groups have the same."""
    border: Tensor | None = None
    """(n, G, m, q) by border unknowns."""
    border_columns: Tensor | None = None
    """(G, q) the border columns of each group."""
    shared: int = 0
    """How many leading border columns are the same in all groups; only makes the sums faster."""


class Term(Protocol):
    """One kind of residual, over all frames."""

    name: str
    """Names the term in summaries and errors."""
    span: int
    """How many frames in a row one residual depends on: 1, 2 or 3."""
    loss: Loss
    """Applied to each group."""

    def residual(self, posed: Posed) -> Tensor:
        """(n, G, m) residuals in standard deviations, for the ``posed.windows(span)`` runs of frames."""
        ...

    def jacobian(self, posed: Posed) -> Jacobian:
        """Derivatives of ``residual``, before the loss."""
        ...


class PointQuadratic(NamedTuple):
    """A cost near the present places of K points, its losses re-weighted: all that a solver needs of it."""

    cost: Tensor
    """(n,) of each frame, the losses counted."""
    gradient: Tensor
    """(n, K, 3) by the points' places, per metre."""
    information: Tensor
    """(n, K, 3, 3) Gauss-Newton's second derivative, per metre²; positive semidefinite."""


@runtime_checkable
class PointTerm(Protocol):
    """A cost of where points of the body are, each frame for itself."""

    name: str
    """Names the term in summaries and errors."""
    own_offsets: bool
    """Whether the points are the keypoints whose constant offsets are solved for."""

    def points(self, state: State) -> KeypointModel:
        """The K points, as the state's offsets place them."""
        ...

    def quadratic(self, posed: Posed) -> PointQuadratic:
        """Value and derivatives at the present places."""
        ...
