"""How good a fit is: residuals in millimetres, and a standard deviation for every joint and frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mocap.fit.assemble import Observations
from mocap.fit.keypoint_term import KeypointTerm
from mocap.fit.posed import stretches
from mocap.fit.problem import Problem
from mocap.fit.solver import posterior
from mocap.fit.state import State
from rigs.body import Body

_USABLE_MM = 80.0
"""A body that is further than this from half of the keypoints is not on the person."""
_QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class PersonSummary:
    """How one person's fit went."""

    frames: int
    """T."""
    seen_frames: int
    """Frames with at least one keypoint; the others are bridged."""
    iterations: int
    """Linear solves."""
    why_stopped: str
    """converged, iterations or stuck."""
    cost: tuple[float, ...]
    """Before the first iteration and after each."""
    cost_by_term: dict[str, float]
    """At the end."""
    residual_mm: dict[str, float]
    """Quantiles (``p50``, ``p90``, ``p99``) of the distance from keypoint to body."""
    residual_scale: float
    """Typical residual over what the covariances promise; above 1 the promise is too good."""
    keypoint_residual_mm: dict[str, float]
    """Mean distance of each keypoint that was seen."""
    offsets_mm: dict[str, tuple[float, float, float]]
    """Each keypoint's estimated constant distance from its place on the body, rest axes."""
    stature_m: float
    """From sole to crown, at rest."""
    floor: str
    """``used``, ``off`` (by the settings), ``unknown`` (a body without feet) or ``not believed`` and why."""
    contact_share: float
    """Share of frames in which at least one foot stands."""
    usable: bool
    """False when the body is not on the person."""


def summarise(
    body: Body, seen: Observations, state: State,
    *, iterations: int, why_stopped: str, cost: tuple[float, ...], cost_by_term: dict[str, float], distance: Tensor, scale: float, floor: str, contacts: Tensor,
) -> PersonSummary:  # fmt: skip
    """Put the figures of one person's fit together; ``distance`` is (T, K) metres, NaN where unseen."""
    known = distance[distance.isfinite()]
    millimetres = known * 1000
    quantiles = {f"p{round(100 * q)}": float(torch.quantile(millimetres, q)) for q in _QUANTILES}
    mean = {
        name: float(torch.nanmean(distance[:, index]) * 1000)
        for index, name in enumerate(seen.points.names)
        if bool(distance[:, index].isfinite().any())
    }
    offsets = (state.offsets * 1000).tolist()
    height = body.vertices_rest(state.betas)[:, 1]
    return PersonSummary(
        frames=state.num_frames,
        seen_frames=int(distance.isfinite().any(-1).sum()),
        iterations=iterations,
        why_stopped=why_stopped,
        cost=cost,
        cost_by_term=cost_by_term,
        residual_mm=quantiles,
        residual_scale=scale,
        keypoint_residual_mm=mean,
        offsets_mm={name: (x, y, z) for name, (x, y, z) in zip(seen.points.names, offsets, strict=True)},
        stature_m=float(height.max() - height.min()),
        floor=floor,
        contact_share=float(contacts.any(-1).double().mean()),
        usable=quantiles["p50"] <= _USABLE_MM,
    )


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

    Bounded below: residuals that are smaller than promised may be so because the motion follows them.
    """
    term = next(term for term in problem.terms if isinstance(term, KeypointTerm))
    squared = torch.cat(
        [(term.residual(posed) ** 2).sum(-1) for posed in stretches(problem.body, problem.layout, state)]
    )
    typical = float(squared[term.seen].median()) / 3 if bool(term.seen.any()) else 1.0
    return min(max(typical, 0.5), 10.0) ** 0.5


def joint_std(problem: Problem, state: State, *, held: Tensor | None = None) -> Tensor:
    """Standard deviation of every joint's place from the posterior, before any scale.

    The inverse of the Hessian at the solution, with what shape and offsets are uncertain by.

    Returns:
        (T, J) metres, mean over the axes.
    """
    given, by_border, border = posterior(problem, state, held)
    joints = problem.body.keypoint_model([f"joint:{name}" for name in problem.body.joint_names])
    num_betas = problem.layout.num_betas
    parts: list[Tensor] = []
    for posed in stretches(problem.body, problem.layout, state):
        rows = posed.rows(1)
        by = posed.jacobian(joints)
        pose = by.pose[: posed.own].flatten(1, 2)  # (n, J*3, D)
        along = pose @ by_border[rows]
        along[..., :num_betas] += by.betas[: posed.own].flatten(1, 2)
        variance = ((pose @ given[rows]) * pose).sum(-1) + ((along @ border) * along).sum(-1)
        parts.append(torch.sqrt(torch.clamp(variance.unflatten(-1, (-1, 3)).mean(-1), min=0.0)))
    return torch.cat(parts)
