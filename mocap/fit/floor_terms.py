"""The floor: what stands on it, or on a step, neither floats nor slides, and nothing sinks into it."""

from __future__ import annotations

import torch
from torch import Tensor

from mocap.fit.contact import Contacts
from mocap.fit.contact_points import ContactPoints
from mocap.fit.motion_terms import REFERENCE_S, Steps
from mocap.fit.posed import Posed
from mocap.fit.state import State
from mocap.fit.terms import Jacobian, Loss, PointQuadratic
from rigs.keypoint_model import KeypointModel

_HEIGHT_SD_M = 0.002
"""How far a standing point may be from its support."""
_SUNK_SD_M = 0.002
"""How far a point may be below the floor; in every frame, since no foot goes through it."""
_CORRELATED_S = 0.05
"""Frames within this share one statement about a height: floors and soles err for as long as a stand."""
_SLIP_SD_M_S = 0.02
"""Speed of what stands, at 30 frames a second; over a second it may creep by 2 mm."""
_UNSURE_S = 0.03
"""When a stand begins and ends is known to this, seconds."""
_NU = 4.0
"""Tails: at the ends of a stand heels lift and balls roll."""
_LEAST = 0.02
"""Points that hardly ever stand or sink are left out."""


def floor_terms(
    points: ContactPoints, contacts: Contacts, steps: Steps, lowest_m: Tensor
) -> list[FloorTerm | SlipTerm]:
    """What the floor says of a motion.

    Args:
        points: that may stand.
        contacts: when they do.
        steps: between the frames.
        lowest_m: (n,) how low each of the points comes.
    """
    probability = torch.from_numpy(contacts.probability)
    near = lowest_m < contacts.floor_m + points.clearance_m + _HEIGHT_SD_M
    rows = torch.nonzero((probability.max(0).values > _LEAST) | (near & points.is_sole))[:, 0]
    if not len(rows):
        return []
    model = points.model.select([points.model.names[row] for row in rows.tolist()])
    support = torch.from_numpy(contacts.support_m)[:, rows] + points.clearance_m[rows]
    floor = contacts.floor_m + points.clearance_m[rows]
    share = min(1.0, float(steps.seconds.median()) / _CORRELATED_S) if len(steps.seconds) else 1.0
    probability = probability[:, rows]
    return [
        FloorTerm(model, support, probability, floor, _HEIGHT_SD_M * points.looseness[rows], share),
        SlipTerm(model, probability, steps, _SLIP_SD_M_S * points.looseness[rows]),
    ]


class FloorTerm:
    """``(z - support) / sd`` of points as far as they stand, ``z / sd`` of all that are below the floor."""

    name = "floor"
    own_offsets = False

    def __init__(
        self, points: KeypointModel, support: Tensor, probability: Tensor, floor: Tensor, sd_m: Tensor,
        share: float = 1.0,
    ) -> None:  # fmt: skip
        """All heights in metres.

        Args:
            points: n points of the body.
            support: (T, n) height at which each would stand.
            probability: (T, n) of standing.
            floor: (n,) height below which each is sunk.
            sd_m: (n,) deviation from the support.
            share: what one frame counts of how high the support is.
        """
        self._points = points
        self.support = support
        self.probability = probability
        self.floor = floor
        self.sd_m = sd_m
        self.share = share
        self.loss = Loss(1.0, _NU)

    def points(self, state: State) -> KeypointModel:
        """The same in every state."""
        return self._points

    def quadratic(self, posed: Posed) -> PointQuadratic:
        """Of the heights alone."""
        height = posed.place(self._points)[: posed.own, :, 2]
        rows = posed.rows(1)
        off = (height - self.support[rows]) / self.sd_m
        stands = self.probability[rows] * self.share
        sunk = (height - self.floor).clamp(max=0.0) / _SUNK_SD_M
        squared = off * off
        weight = stands * self.loss.weight(squared, 1)
        cost = 0.5 * (stands * self.loss.value(squared, 1) + sunk * sunk).sum(-1)
        slope = weight * off / self.sd_m + sunk / _SUNK_SD_M
        bend = weight / self.sd_m**2 + (sunk < 0) / _SUNK_SD_M**2
        gradient, information = height.new_zeros(*height.shape, 3), height.new_zeros(*height.shape, 3, 3)
        gradient[..., 2], information[..., 2, 2] = slope, bend
        return PointQuadratic(cost, gradient, information)


class SlipTerm:
    """``r = horizontal speed / sd`` of points from one frame to the next while they stand."""

    name = "foot slip"
    span = 2

    def __init__(self, points: KeypointModel, probability: Tensor, steps: Steps, sd_m_s: Tensor) -> None:
        """``probability`` is (T, n) of standing for the n points, ``sd_m_s`` (n,) at 30 frames a second."""
        self.points = points
        sure = _surely(probability, steps)
        both = torch.minimum(sure[1:], sure[:-1]) * steps.joined[:, None]
        rate = torch.sqrt(steps.seconds / REFERENCE_S) / steps.seconds
        self.weight = (torch.sqrt(both) * rate[:, None] / sd_m_s)[..., None]
        self.loss = Loss(1.0, _NU)

    def residual(self, posed: Posed) -> Tensor:
        """(n, points, 2)."""
        place = posed.place(self.points)[..., :2]
        count = posed.windows(2)
        return (place[1 : count + 1] - place[:count]) * self.weight[posed.rows(2)]

    def jacobian(self, posed: Posed) -> Jacobian:
        """What moves the points in the two frames, and the betas."""
        count, weight = posed.windows(2), self.weight[posed.rows(2)][..., None]
        by = posed.jacobian(self.points)
        pose, betas = by.columns[:, :, :2, : len(by.pose_columns)], by.betas[:, :, :2]
        change = (betas[1 : count + 1] - betas[:count]) * weight
        moved = (-pose[:count] * weight, pose[1 : count + 1] * weight)
        return Jacobian(moved, by.pose_columns, change, _beta_columns(betas))


def _surely(probability: Tensor, steps: Steps) -> Tensor:
    """(T, n) lowest probability around each frame: when exactly a stand begins and ends is not known."""
    reach = max(1, round(_UNSURE_S / float(steps.seconds.median()))) if len(steps.seconds) else 0
    padded = torch.nn.functional.pad(probability.T, (reach, reach), value=1.0)
    least = padded.unfold(-1, 2 * reach + 1, 1).min(-1).values.T
    return torch.where(least > _LEAST, least, 0.0)


def _beta_columns(betas: Tensor) -> Tensor:
    """(G, B): every group depends on all shape coefficients."""
    return torch.arange(betas.shape[-1]).expand(betas.shape[1], -1)
