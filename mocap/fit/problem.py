"""The whole fit as one least-squares problem: sums terms into block-banded normal equations.

Frames couple with the next two at most; all frames share the border (shape and offsets). ``build`` knows
every term only by the ``Term`` protocol, and nothing of how the equations are solved.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mocap.errors import MocapError
from mocap.fit.posed import LOOK_AHEAD, Posed, stretches
from mocap.fit.state import Layout, State
from mocap.fit.terms import Jacobian, Term
from rigs.body import Body


class FitError(MocapError):
    """A fit broke down; names the term and the frame."""


@dataclass(frozen=True)
class BorderPrior:
    """What is known of shape and offsets before any frame: independent normal distributions."""

    mean: Tensor
    """(Q,) coefficients and metres."""
    sd: Tensor
    """(Q,) standard deviations; 0 holds an unknown where it is."""

    @property
    def weight(self) -> Tensor:
        """(Q,) inverse variances; held unknowns weigh nothing here, the solver does not move them."""
        return torch.where(self.sd > 0, 1 / torch.clamp(self.sd, min=1e-9) ** 2, 0.0)


@dataclass(frozen=True)
class Problem:
    """Everything that a state is judged by."""

    body: Body
    """The body."""
    layout: Layout
    """Columns of the unknowns."""
    terms: tuple[Term, ...]
    """What makes up the cost beside the prior."""
    prior: BorderPrior
    """Of shape and offsets."""


@dataclass(frozen=True)
class NormalEquations:
    """``H step = -gradient``, block-banded in time with a border, at one state."""

    bands: tuple[Tensor, ...]
    """(T, D, D) each: H between a frame and itself, the next, the one after; rows of no partner are zero."""
    border: Tensor
    """(T, D, Q) H between frames and border."""
    corner: Tensor
    """(Q, Q) H of the border."""
    gradient: Tensor
    """(T, D)."""
    border_gradient: Tensor
    """(Q,)."""


def costs(problem: Problem, state: State) -> dict[str, float]:
    """Cost of each term, in order, and of the ``prior``.

    Raises:
        FitError: a term is not finite; names it and the first bad frame.
    """
    total = {term.name: 0.0 for term in problem.terms}
    for posed in stretches(problem.body, problem.layout, state):
        for term in problem.terms:
            if posed.windows(term.span):
                residual = term.residual(posed)
                squared = (residual * residual).sum(-1)
                _check_finite(squared, term.name, posed.start)
                total[term.name] += 0.5 * float(term.loss.value(squared, residual.shape[-1]).sum())
    off = problem.layout.border(state) - problem.prior.mean
    total["prior"] = 0.5 * float((off * off * problem.prior.weight).sum())
    return total


def build(problem: Problem, state: State) -> NormalEquations:
    """Linearise all terms at a state and add them up."""
    num, layout = state.num_frames, problem.layout
    pose, border = layout.num_pose, layout.num_border
    equations = NormalEquations(
        tuple(torch.zeros(num, pose, pose, dtype=torch.float64) for _ in range(LOOK_AHEAD + 1)),
        torch.zeros(num, pose, border, dtype=torch.float64),
        torch.zeros(border, border, dtype=torch.float64),
        torch.zeros(num, pose, dtype=torch.float64),
        torch.zeros(border, dtype=torch.float64),
    )
    for posed in stretches(problem.body, layout, state):
        for term in problem.terms:
            if posed.windows(term.span):
                _add(equations, term, posed)
    weight = problem.prior.weight
    equations.corner.diagonal().add_(weight)
    equations.border_gradient.add_(weight * (problem.layout.border(state) - problem.prior.mean))
    return equations


def _add(equations: NormalEquations, term: Term, posed: Posed) -> None:
    """Add one term's squares over one stretch of frames."""
    residual, by = term.residual(posed), term.jacobian(posed)
    squared = (residual * residual).sum(-1)
    root = torch.sqrt(term.loss.weight(squared, residual.shape[-1]))[..., None]
    residual = residual * root
    pose = tuple(part * root[..., None] for part in by.pose)
    num = len(residual)
    border = by.border * root[..., None] if by.border is not None and by.border.shape[-1] else None
    for shift, part in enumerate(pose):
        rows = slice(posed.start + shift, posed.start + shift + num)
        _add_vector(equations.gradient[rows], part, residual, by.columns)
        if border is not None:
            _add_border(equations.border[rows], part, border, by)
        for ahead, later in enumerate(pose[shift:]):
            _add_square(equations.bands[ahead][rows], part, later, by.columns)
    if border is not None:
        _add_corner(equations, border, residual, by)


def _add_square(into: Tensor, left: Tensor, right: Tensor, columns: Tensor) -> None:
    """``into[n] += leftᵀ right`` over groups; ``into`` is (n, D, D)."""
    if columns.dim() == 1:
        square = left.flatten(1, 2).mT @ right.flatten(1, 2)
        into[:, columns[:, None], columns] += square
        return
    square = torch.einsum("ngma,ngmb->ngab", left, right)
    place = columns[:, :, None] * into.shape[-1] + columns[:, None, :]
    into.view(len(into), -1).index_add_(1, place.flatten(), square.flatten(1))


def _add_vector(into: Tensor, left: Tensor, residual: Tensor, columns: Tensor) -> None:
    """``into[n] += leftᵀ residual``; ``into`` is (n, D)."""
    vector = (left.mT @ residual[..., None])[..., 0]
    if columns.dim() == 1:
        into.index_add_(1, columns, vector.sum(1))
    else:
        into.index_add_(1, columns.flatten(), vector.flatten(1))


def _add_border(into: Tensor, pose: Tensor, border: Tensor, by: Jacobian) -> None:
    """``into[n] += poseᵀ border``; ``into`` is (n, D, Q)."""
    assert by.border_columns is not None
    if by.columns.dim() == 1:
        rows = torch.zeros(len(into), pose.shape[-1], into.shape[-1], dtype=into.dtype)
        common, own = border[..., : by.shared], border[..., by.shared :]
        rows.index_add_(2, by.border_columns[0, : by.shared], pose.flatten(1, 2).mT @ common.flatten(1, 2))
        if own.shape[-1]:
            square = torch.zeros(len(into), pose.shape[-1], *own.shape[1:2], own.shape[-1], dtype=into.dtype)
            for row in range(own.shape[2]):
                square += pose[:, :, row].transpose(1, 2)[..., None] * own[:, None, :, row]
            rows.index_add_(2, by.border_columns[:, by.shared :].flatten(), square.flatten(2))
        into[:, by.columns] += rows
    else:
        square = pose.mT @ border  # (n, G, c, q)
        place = by.columns[:, :, None] * into.shape[-1] + by.border_columns[:, None, :]
        into.view(len(into), -1).index_add_(1, place.flatten(), square.flatten(1))


def _add_corner(equations: NormalEquations, border: Tensor, residual: Tensor, by: Jacobian) -> None:
    """The border's own square and gradient, summed over the frames."""
    assert by.border_columns is not None
    columns, size = by.border_columns, equations.corner.shape[-1]
    rows = border.transpose(0, 1).flatten(1, 2)  # (G, n m, q)
    place = columns[:, :, None] * size + columns[:, None, :]
    equations.corner.view(-1).index_add_(0, place.flatten(), (rows.mT @ rows).flatten())
    gradient = (rows.mT @ residual.transpose(0, 1).flatten(1)[..., None])[..., 0]
    equations.border_gradient.index_add_(0, columns.flatten(), gradient.flatten())


def _check_finite(squared: Tensor, term: str, start: int) -> None:
    bad = ~torch.isfinite(squared).all(-1)
    if bool(bad.any()):
        frame = start + int(torch.nonzero(bad)[0, 0])
        raise FitError(f"fit: the term {term!r} is not finite at frame {frame}; is a keypoint there absurd?")
