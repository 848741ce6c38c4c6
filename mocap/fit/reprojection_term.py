"""Detected keypoints lie in every camera's picture where the body's are projected, up to their noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from calibration.cameras import Cameras
from mocap.fit.posed import Posed
from mocap.fit.state import State
from mocap.fit.terms import Jacobian, Loss, PointQuadratic
from rigs.keypoint_model import KeypointModel


@dataclass(frozen=True)
class Pixels:
    """What the cameras saw of K keypoints in T frames."""

    xy_px: Tensor
    """(T, C, K, 2) distorted pixels, NaN where unseen."""
    sigma_px: Tensor
    """(T, C, K) standard deviation of a coordinate."""
    weight: Tensor
    """(C, K) what a frame counts for, its errors being like those of the frames beside it; 1 when white."""
    bias_sd_px: Tensor
    """(C, K) standard deviation of the error that stays the same for the take."""

    def frames(self, which: Tensor) -> Pixels:
        """Some of the frames."""
        return replace(self, xy_px=self.xy_px[which], sigma_px=self.sigma_px[which])


class ReprojectionTerm:
    """``r = (project(p(pose, betas, offset)) + bias - x) / sigma`` in every camera, with a Student-t loss.

    Each camera's two residuals are one group; a keypoint's groups bend its place by a 3x3 matrix, summed over
    the cameras, before the body comes in.
    """

    name = "keypoints in pixels"
    own_offsets = True
    span = 1

    def __init__(
        self, points: KeypointModel, cameras: Cameras, pixels: Pixels, *, tail: float, bias_px: Tensor
    ) -> None:
        """Missing observations (NaN), and those behind a camera, weigh nothing.

        Args:
            points: K keypoints on the body.
            cameras: C calibrated cameras.
            pixels: what they saw.
            tail: degrees of freedom of the Student-t; 0 means Gaussian.
            bias_px: (C, K, 2) pixels by which a camera sees a keypoint off, the whole take.
        """
        self._points = points
        self.cameras = cameras
        self.seen = torch.isfinite(pixels.xy_px).all(-1) & torch.isfinite(pixels.sigma_px)
        self._target = torch.where(self.seen[..., None], pixels.xy_px, 0.0) - bias_px
        self._per_px = self.seen / torch.where(self.seen, pixels.sigma_px, 1.0)
        self._share = pixels.weight
        self.loss = Loss(nu=tail)

    def points(self, state: State) -> KeypointModel:
        """The keypoints with their offsets."""
        return self._points.with_offsets(state.offsets)

    def quadratic(self, posed: Posed) -> PointQuadratic:
        """Sums over the cameras, each group re-weighted by its loss."""
        place = posed.place(self.points(posed.state))[: posed.own]
        seen = self.cameras.jacobian(place)
        xy_px, valid, d_point = seen.xy_px, seen.valid, seen.d_point
        rows = posed.rows(1)
        per_px = self._per_px[rows] * valid
        error = torch.where(valid[..., None], xy_px - self._target[rows], 0.0) * per_px[..., None]
        squared = (error * error).sum(-1)
        cost = 0.5 * (self.loss.value(squared, 2) * self._share).sum((1, 2))
        root = torch.sqrt(self.loss.weight(squared, 2) * self._share)[..., None]
        by_place = (d_point * (root * per_px[..., None])[..., None]).transpose(1, 2).flatten(2, 3)
        error = (error * root).transpose(1, 2).flatten(2)  # (n, K, 2 C)
        gradient = (by_place.mT @ error[..., None])[..., 0]
        return PointQuadratic(cost, gradient, by_place.mT @ by_place)

    def residual(self, posed: Posed) -> Tensor:
        """(n, C * K, 2) standard deviations, before the loss."""
        seen, valid = self.cameras.project(posed.place(self.points(posed.state))[: posed.own])
        rows = posed.rows(1)
        error = torch.where(valid[..., None], seen - self._target[rows], 0.0)
        return (error * self._per_px[rows][..., None]).flatten(1, 2)

    def jacobian(self, posed: Posed) -> Jacobian:
        """Derivatives of ``residual``; the solver uses ``quadratic``, tests compare the two."""
        points, layout = self.points(posed.state), posed.layout
        by = posed.jacobian(points)
        seen = self.cameras.jacobian(posed.place(points)[: posed.own])
        by_place = seen.d_point * self._per_px[posed.rows(1)][..., None, None]  # (n, C, K, 2, 3)
        pose = (by_place @ by.pose[: posed.own, None]).flatten(1, 2)
        border = by.betas[: posed.own]
        columns = torch.arange(layout.num_betas).expand(len(points.names), -1)
        if layout.num_keypoints:
            offsets = layout.num_betas + torch.arange(3 * layout.num_keypoints).reshape(-1, 3)
            border = torch.cat([border, by.offset[: posed.own]], -1)
            columns = torch.cat([columns, offsets], -1)
        border = (by_place @ border[:, None]).flatten(1, 2)
        return Jacobian(
            (pose,), torch.arange(layout.num_pose), border, columns.repeat(len(self.cameras), 1),
            shared=layout.num_betas,
        )  # fmt: skip

    def errors_px(self, posed: Posed) -> Tensor:
        """(n, C, K, 2) pixels, projected minus seen, without the bias; NaN where unseen."""
        seen, valid = self.cameras.project(posed.place(self.points(posed.state))[: posed.own])
        rows = posed.rows(1)
        known = self.seen[rows] & valid
        return torch.where(known[..., None], seen - self._target[rows], torch.nan)
