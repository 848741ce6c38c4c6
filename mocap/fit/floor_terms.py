"""The floor at z = 0: nothing sinks into it, and what stands on it or on a step neither floats nor slides."""

from __future__ import annotations

import torch
from torch import Tensor

from mocap.fit.motion_terms import Steps
from mocap.fit.posed import Posed
from mocap.fit.terms import Jacobian, Loss
from rigs.keypoint_model import KeypointModel


class FloorTerm:
    """``r = (z - support) / sd`` of points of the soles that stand, ``z / sd`` of those below the floor."""

    name = "floor"
    span = 1

    def __init__(self, soles: KeypointModel, support: Tensor, sd_m: float, loss: Loss) -> None:
        """``support`` is (T, n) metres: what each point of ``soles`` stands on, NaN where it does not."""
        self.soles = soles
        self.contacts = torch.isfinite(support)
        self.support = torch.where(self.contacts, support, 0.0)
        self.sd_m = sd_m
        self.loss = loss

    def _height(self, posed: Posed) -> tuple[Tensor, Tensor]:
        """(n, points) heights above the support, and which of them count."""
        height = posed.place(self.soles)[: posed.own, :, 2]
        rows = posed.rows(1)
        return height - self.support[rows], self.contacts[rows] | (height < 0)

    def residual(self, posed: Posed) -> Tensor:
        """(n, points, 1)."""
        height, counts = self._height(posed)
        return (height * counts / self.sd_m)[..., None]

    def jacobian(self, posed: Posed) -> Jacobian:
        """All pose columns, and the betas."""
        counts = self._height(posed)[1]
        by = posed.jacobian(self.soles)
        factor = (counts / self.sd_m)[..., None, None]
        pose, betas = (part[: posed.own, :, 2:] * factor for part in (by.pose, by.betas))
        return Jacobian((pose,), torch.arange(pose.shape[-1]), betas, _beta_columns(betas), betas.shape[-1])


class SlipTerm:
    """``r = horizontal speed / sd`` of points of the soles from one frame to the next while they stand."""

    name = "foot slip"
    span = 2

    def __init__(
        self, soles: KeypointModel, contacts: Tensor, steps: Steps, sd_m_s: float, loss: Loss
    ) -> None:
        """``contacts`` is (T, n) bool for the n points of ``soles``."""
        self.soles = soles
        both = contacts[1:] & contacts[:-1] & steps.joined[:, None]
        self.weight = (both / (sd_m_s * steps.seconds[:, None]))[..., None]
        self.loss = loss

    def residual(self, posed: Posed) -> Tensor:
        """(n, points, 2)."""
        place = posed.place(self.soles)[..., :2]
        count = posed.windows(2)
        return (place[1 : count + 1] - place[:count]) * self.weight[posed.rows(2)]

    def jacobian(self, posed: Posed) -> Jacobian:
        """All pose columns of the two frames, and the betas."""
        count, weight = posed.windows(2), self.weight[posed.rows(2)][..., None]
        by = posed.jacobian(self.soles)
        pose, betas = by.pose[:, :, :2], by.betas[:, :, :2]
        change = (betas[1 : count + 1] - betas[:count]) * weight
        columns = torch.arange(pose.shape[-1])
        return Jacobian(
            (-pose[:count] * weight, pose[1 : count + 1] * weight), columns, change, _beta_columns(betas)
        )


def _beta_columns(betas: Tensor) -> Tensor:
    """(G, B): every group depends on all shape coefficients."""
    return torch.arange(betas.shape[-1]).expand(betas.shape[1], -1)
