"""Observed keypoints lie where the body has them, up to their covariance."""

from __future__ import annotations

import torch
from torch import Tensor

from mocap.fit.posed import Posed
from mocap.fit.state import State
from mocap.fit.terms import Jacobian, Loss, PointQuadratic
from rigs.keypoint_model import KeypointModel


class KeypointTerm:
    """``r = L (p(pose, betas, offset) - x)`` with ``Lᵀ L`` the inverse covariance of the observation x."""

    name = "keypoints"
    own_offsets = True
    span = 1

    def __init__(self, points: KeypointModel, xyz_world: Tensor, covariance: Tensor, loss: Loss) -> None:
        """Missing observations (NaN) weigh nothing.

        Args:
            points: K keypoints on the body.
            xyz_world: (T, K, 3) metres, NaN where unknown.
            covariance: (T, K, 3, 3) metres², with whatever the model itself is uncertain by.
            loss: for the group of three residuals of a keypoint.
        """
        self._points = points
        self.loss = loss
        self.seen = torch.isfinite(xyz_world).all(-1) & torch.isfinite(covariance).flatten(-2).all(-1)
        self.xyz_world = torch.where(self.seen[..., None], xyz_world, 0.0)
        identity = torch.eye(3, dtype=xyz_world.dtype)
        cholesky = torch.linalg.cholesky(torch.where(self.seen[..., None, None], covariance, identity))
        inverse = torch.linalg.solve_triangular(cholesky, identity, upper=False)
        self.whitener = inverse * self.seen[..., None, None]

    def points(self, state: State) -> KeypointModel:
        """The keypoints with their offsets."""
        return self._points.with_offsets(state.offsets)

    def quadratic(self, posed: Posed) -> PointQuadratic:
        """The covariance's inverse, re-weighted by the loss."""
        residual = self.residual(posed)
        whitener = self.whitener[posed.rows(1)]
        squared = (residual * residual).sum(-1)
        weight = self.loss.weight(squared, 3)[..., None]
        gradient = (whitener.mT @ (residual * weight)[..., None])[..., 0]
        information = whitener.mT @ (whitener * weight[..., None])
        return PointQuadratic(0.5 * self.loss.value(squared, 3).sum(-1), gradient, information)

    def residual(self, posed: Posed) -> Tensor:
        """(n, K, 3)."""
        rows = posed.rows(1)
        error = posed.place(self.points(posed.state))[: posed.own] - self.xyz_world[rows]
        return (self.whitener[rows] @ error[..., None])[..., 0]

    def jacobian(self, posed: Posed) -> Jacobian:
        """All pose columns; the betas and each keypoint's own offset where they are solved for."""
        whitener = self.whitener[posed.rows(1)]
        own = slice(posed.own)
        by = posed.jacobian(self.points(posed.state))
        layout = posed.layout
        border, columns = by.betas[own], torch.arange(layout.num_betas).expand(len(self._points.names), -1)
        if layout.num_keypoints:
            offsets = layout.num_betas + torch.arange(3 * layout.num_keypoints).reshape(-1, 3)
            border, columns = torch.cat([border, by.offset[own]], -1), torch.cat([columns, offsets], -1)
        return Jacobian(
            (whitener @ by.pose[own],),
            torch.arange(layout.num_pose),
            whitener @ border,
            columns,
            shared=layout.num_betas,
        )
