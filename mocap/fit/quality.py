"""How good a fit is: residuals in millimetres, and a standard deviation for every joint and frame."""

from __future__ import annotations

import torch
from torch import Tensor

from mocap.fit.assemble import Observations
from mocap.fit.keypoint_term import KeypointTerm
from mocap.fit.posed import stretches
from mocap.fit.problem import Problem
from mocap.fit.state import State
from mocap.fit.sweep import PosteriorRun, Sweep
from mocap.threads import in_order
from rigs.keypoint_model import KeypointModel


def keypoint_distance(problem: Problem, state: State, seen: Observations) -> Tensor:
    """(T, K) metres from each keypoint to its place on the posed body, NaN where unseen."""
    points = seen.points.with_offsets(state.offsets)
    parts = [
        torch.linalg.norm(posed.place(points)[: posed.own] - seen.xyz_world[posed.rows(1)], dim=-1)
        for posed in stretches(problem.body, problem.layout, state)
    ]
    return torch.cat(parts)


def residual_scale(problem: Problem, state: State) -> float:
    """Typical whitened residual over its expectation: the median of a Student-t's squared length is 3.

    Bounded below: residuals that are smaller than promised may be so because the motion follows them. For
    pixels it is one: their scale has been estimated already.
    """
    term = next((term for term in problem.terms if isinstance(term, KeypointTerm)), None)
    if term is None:
        return 1.0
    squared = torch.cat(
        [(term.residual(posed) ** 2).sum(-1) for posed in stretches(problem.body, problem.layout, state)]
    )
    typical = float(squared[term.seen].median()) / 3 if bool(term.seen.any()) else 1.0
    return min(max(typical, 0.5), 10.0) ** 0.5


def joint_std(sweep: Sweep, border: Tensor) -> Tensor:
    """Standard deviation of every joint's place from the posterior, before any scale.

    The inverse of the Hessian at the solution, with what shape and offsets are uncertain by.

    Args:
        sweep: at the solution, undamped.
        border: (Q, Q) covariance of shape and offsets.

    Returns:
        (T, J) metres, mean over the axes.
    """
    root = torch.linalg.cholesky(border) if len(border) else border
    names = [f"joint:{name}" for name in sweep.problem.body.joint_names]
    joints = sweep.problem.body.keypoint_model(names)
    backwards = in_order(lambda part: _std_of(sweep, part, joints, root), sweep.posterior())
    return torch.cat(list(backwards)[::-1])


def _std_of(sweep: Sweep, part: PosteriorRun, joints: KeypointModel, root: Tensor) -> Tensor:
    """(N, J) metres, of the frames of one run; ``root`` times its transpose is the border's covariance."""
    problem, rows = sweep.problem, []
    stop = part.first + len(part.given)
    for posed in stretches(problem.body, problem.layout, sweep.state, first=part.first, stop=stop):
        own = slice(posed.start - part.first, posed.start - part.first + posed.own)
        by = posed.jacobian(joints)
        pose = by.pose[: posed.own].flatten(1, 2)  # (n, J*3, D)
        along = pose @ part.by_border[own]
        along[..., : problem.layout.num_betas] += by.betas[: posed.own].flatten(1, 2)
        variance = ((pose @ part.given[own]) * pose).sum(-1) + (along @ root).square().sum(-1)
        rows.append(torch.sqrt(torch.clamp(variance.unflatten(-1, (-1, 3)).mean(-1), min=0.0)))
    return torch.cat(rows)
