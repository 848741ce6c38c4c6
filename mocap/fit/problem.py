"""The whole fit as one least-squares problem: sums terms into block-banded normal equations.

Frames couple with the next two at most; all frames share the border (shape and offsets). ``build`` knows
every term only by the ``Term`` protocol, and nothing of how the equations are solved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mocap.errors import MocapError
from mocap.fit.posed import LOOK_AHEAD, PointJacobian, Posed, stretches
from mocap.fit.state import Layout, State
from mocap.fit.terms import Jacobian, PointTerm, Term
from rigs.body import Body


class FitError(MocapError):
    """A fit broke down; names the term and the frame."""

    def __init__(self, what: str, *, frame: int | None = None, todo: str = "") -> None:
        """``frame`` is counted from the first one of the solve."""
        self.what, self.frame, self.todo = what, frame, todo
        at = "" if frame is None else f" at frame {frame}"
        super().__init__(f"{what}{at}; {todo}" if todo else f"{what}{at}")

    def counted(self, frames: Sequence[int] | Tensor, who: str = "") -> FitError:
        """The same for the frames that the solve's are of the take, and about whom."""
        frame = None if self.frame is None else int(frames[self.frame])
        return FitError(f"{who}{self.what}", frame=frame, todo=self.todo)


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
    terms: tuple[Term | PointTerm, ...]
    """What makes up the cost beside the prior."""
    prior: BorderPrior
    """Of shape and offsets."""


@dataclass(frozen=True)
class NormalEquations:
    """``H step = -gradient`` of neighbouring frames, block-banded in time with a border, at one state.

    N is the number of frames plus two: what the frames leave on the two after them.
    """

    bands: tuple[Tensor, ...]
    """(N, D, D) each: H between a frame and itself, the next, the one after; rows of no partner are zero."""
    border: Tensor
    """(N, D, Q) H between frames and border."""
    corner: Tensor
    """(Q, Q) H of the border."""
    gradient: Tensor
    """(N, D)."""
    border_gradient: Tensor
    """(Q,)."""
    costs: dict[str, float]
    """Of each term, in order."""


def costs(problem: Problem, state: State) -> dict[str, float]:
    """Cost of each term, in order, and of the ``prior``.

    Raises:
        FitError: a term is not finite; names it and the first bad frame.
    """
    total = {term.name: 0.0 for term in problem.terms}
    for posed in stretches(problem.body, problem.layout, state):
        for term in problem.terms:
            if isinstance(term, PointTerm):
                total[term.name] += _sum_of(term.quadratic(posed).cost, term.name, posed.start)
            elif posed.windows(term.span):
                total[term.name] += _cost(term, term.residual(posed), posed)
    return total | {"prior": prior_cost(problem, state)}


def prior_cost(problem: Problem, state: State) -> float:
    """Cost of the border's own prior."""
    off = problem.layout.border(state) - problem.prior.mean
    return 0.5 * float((off * off * problem.prior.weight).sum())


def build(problem: Problem, state: State, first: int = 0, stop: int | None = None) -> NormalEquations:
    """Linearise the terms of frames ``first`` to ``stop`` at a state and add them up, without the prior.

    Raises:
        FitError: a term is not finite; names it and the first bad frame.
    """
    layout = problem.layout
    stop = state.num_frames if stop is None else stop
    num, pose, border = stop - first + LOOK_AHEAD, layout.num_pose, layout.num_border
    equations = NormalEquations(
        tuple(torch.zeros(num, pose, pose, dtype=torch.float64) for _ in range(LOOK_AHEAD + 1)),
        torch.zeros(num, pose, border, dtype=torch.float64),
        torch.zeros(border, border, dtype=torch.float64),
        torch.zeros(num, pose, dtype=torch.float64),
        torch.zeros(border, dtype=torch.float64),
        {term.name: 0.0 for term in problem.terms},
    )
    for posed in stretches(problem.body, layout, state, first=first, stop=stop):
        for term in problem.terms:
            if isinstance(term, PointTerm):
                _add_points(equations, term, posed, posed.start - first)
            elif posed.windows(term.span):
                _add(equations, term, posed, posed.start - first)
    return equations


def add_prior(problem: Problem, state: State, corner: Tensor, gradient: Tensor) -> None:
    """Add the prior of the border to its H (Q, Q) and gradient (Q,)."""
    weight = problem.prior.weight
    corner.diagonal().add_(weight)
    gradient.add_(weight * (problem.layout.border(state) - problem.prior.mean))


def _add_points(equations: NormalEquations, term: PointTerm, posed: Posed, at: int) -> None:
    """Add a cost of points over one stretch of frames: the chain rule from their places to the unknowns.

    Branch by branch of the skeleton: a hand and a foot have hardly an unknown in common.
    """
    near = term.quadratic(posed)
    equations.costs[term.name] += _sum_of(near.cost, term.name, posed.start)
    points, own = term.points(posed.state), posed.layout.num_keypoints > 0 and term.own_offsets
    for rows in posed.branches(points):
        by = posed.jacobian(points.select([points.names[row] for row in rows]))
        _add_branch(
            equations, (near.gradient[:, rows], near.information[:, rows]), by, at, rows if own else []
        )


def _add_branch(
    equations: NormalEquations, near: tuple[Tensor, Tensor], by: PointJacobian, at: int, offsets: list[int]
) -> None:
    """Add what bends the places of some points, (n, K, 3) and (n, K, 3, 3); ``offsets`` are solved for."""
    gradient, information = near
    num, pose = len(gradient), len(by.pose_columns)
    rows, columns = slice(at, at + num), by.columns[:num]
    bent = information @ columns  # (n, K, 3, c + B)
    flat = columns.flatten(1, 2).mT
    square = flat @ bent.flatten(1, 2)
    down = (flat @ gradient.flatten(1)[..., None])[..., 0]
    _add_block(equations.bands[0][rows], square[:, :pose, :pose], by.pose_columns)
    equations.gradient[rows].index_add_(1, by.pose_columns, down[:, :pose])
    num_betas = columns.shape[-1] - pose
    if num_betas:
        equations.border[rows, :, :num_betas].index_add_(1, by.pose_columns, square[:, :pose, pose:])
        equations.corner[:num_betas, :num_betas] += square[:, pose:, pose:].sum(0)
        equations.border_gradient[:num_betas] += down[:, pose:].sum(0)
    if not offsets:
        return
    turn = by.offset[:num]
    mixed = (turn.mT @ bent).flatten(1, 2).mT  # (n, c + B, 3 K)
    own = num_betas + (3 * torch.tensor(offsets)[:, None] + torch.arange(3))  # (K, 3) border columns
    _add_block(equations.border[rows], mixed[:, :pose], by.pose_columns, own.flatten())
    equations.corner[own[:, :, None], own[:, None, :]] += (turn.mT @ information @ turn).sum(0)
    equations.border_gradient[own] += (turn.mT @ gradient[..., None])[..., 0].sum(0)
    if num_betas:
        shared = mixed[:, pose:].sum(0)
        equations.corner[:num_betas, own.flatten()] += shared
        equations.corner[own.flatten(), :num_betas] += shared.T


def _add_block(into: Tensor, square: Tensor, rows: Tensor, columns: Tensor | None = None) -> None:
    """``into[n, rows, columns] += square``; the same columns as rows where left out."""
    columns = rows if columns is None else columns
    if square.shape == into.shape:
        into += square
    elif into.is_contiguous():
        place = (rows[:, None] * into.shape[-1] + columns).flatten()
        into.view(len(into), -1).index_add_(1, place, square.flatten(1))
    else:
        into[:, rows[:, None], columns] += square


def _cost(term: Term, residual: Tensor, posed: Posed) -> float:
    squared = (residual * residual).sum(-1)
    value = 0.5 * term.loss.value(squared, residual.shape[-1])
    return _sum_of(value.flatten(1).sum(-1), term.name, posed.start)


def _add(equations: NormalEquations, term: Term, posed: Posed, at: int) -> None:
    """Add one term's squares over one stretch of frames, which begins at row ``at``."""
    residual, by = term.residual(posed), term.jacobian(posed)
    equations.costs[term.name] += _cost(term, residual, posed)
    squared = (residual * residual).sum(-1)
    root = torch.sqrt(term.loss.weight(squared, residual.shape[-1]))[..., None]
    residual = residual * root
    pose = tuple(part * root[..., None] for part in by.pose)
    num = len(residual)
    border = by.border * root[..., None] if by.border is not None and by.border.shape[-1] else None
    for shift, part in enumerate(pose):
        rows = slice(at + shift, at + shift + num)
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
        _add_block(into, square, columns)
        return
    square = left.mT @ right
    first = _in_a_row(columns)
    if first is not None:
        num, width = len(into), columns.shape[1]
        blocks = into[:, first : first + columns.numel(), first : first + columns.numel()]
        blocks = blocks.unflatten(2, (-1, width)).unflatten(1, (-1, width))  # (n, G, c, G, c)
        blocks.diagonal(dim1=1, dim2=3).add_(square.permute(0, 2, 3, 1).reshape(num, width, width, -1))
        return
    place = columns[:, :, None] * into.shape[-1] + columns[:, None, :]
    into.view(len(into), -1).index_add_(1, place.flatten(), square.flatten(1))


def _in_a_row(columns: Tensor) -> int | None:
    """The first column where the groups' columns (G, c) follow each other without a gap; else None."""
    first = int(columns[0, 0])
    return first if torch.equal(columns.flatten(), first + torch.arange(columns.numel())) else None


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


def _sum_of(cost: Tensor, term: str, start: int) -> float:
    """The sum over (n,) frames, which must be finite."""
    bad = ~torch.isfinite(cost)
    if bool(bad.any()):
        frame = start + int(torch.nonzero(bad)[0, 0])
        what = f"fit: the term {term!r} is not finite"
        raise FitError(what, frame=frame, todo="is a keypoint there absurd?")
    return float(cost.sum())
