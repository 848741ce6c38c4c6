"""What a fit tells about itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mocap.fit.assemble import Observations
from mocap.fit.take import TakeSolution
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
    """``used``, ``used at … m`` (as the feet say), ``off`` (by the settings), ``unknown`` (a body
    without feet) or ``not believed`` and why."""
    contact_share: float
    """Share of frames in which at least one foot stands."""
    usable: bool
    """False when the body is not on the person."""


@dataclass(frozen=True)
class FitSummary:
    """How the fit of a take went."""

    people: dict[int, PersonSummary]
    """By the person's number."""
    left_out: dict[int, str]
    """People without a motion, and why."""
    usable: bool
    """All motions lie on their people, and there is one."""


def summarise(body: Body, seen: Observations, found: TakeSolution) -> PersonSummary:
    """The figures of one person's fit."""
    state, distance = found.state, found.distance
    millimetres = distance[distance.isfinite()] * 1000
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
        iterations=found.iterations,
        why_stopped=found.last.why_stopped,
        cost=found.last.cost,
        cost_by_term=found.last.cost_by_term,
        residual_mm=quantiles,
        residual_scale=found.scale,
        keypoint_residual_mm=mean,
        offsets_mm={name: (x, y, z) for name, (x, y, z) in zip(seen.points.names, offsets, strict=True)},
        stature_m=float(height.max() - height.min()),
        floor=found.floor,
        contact_share=float((found.contacts[:, :4] > 0.5).any(-1).double().mean()),
        usable=quantiles["p50"] <= _USABLE_MM,
    )
