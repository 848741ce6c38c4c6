"""Views of lens clips inside a larger adjustment: each has a board pose of its own and speaks of one lens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.cameras import Cameras
from calibration.rig.bundle import linearise
from calibration.rig.observations import Observations, collect
from calibration.rig.schur import POSE, NormalEquations, normal_equations
from calibration.timed.banded import ChainEquations

_MISSED_SIGMAS = 100.0
"""Price, in standard deviations, of a corner that the camera cannot see."""


@dataclass(frozen=True)
class StillViews:
    """What cameras saw of a board for their lenses alone; one frame number is one view."""

    seen: Observations
    """Corners by camera."""
    use: Tensor
    """(C, N) bool, corners that count."""
    sigma_px: Tensor
    """(C, N) standard deviation of a coordinate."""
    huber_sigmas: float
    """Errors beyond this many standard deviations pull with constant force."""

    def errors(self, cameras: Cameras, cam_from_board: Tensor) -> Tensor:
        """(C, N, 2) reprojected minus seen, pixels; NaN where there is none."""
        at = cam_from_board[self.seen.pose]
        xyz = (at[..., :3, :3] @ self.seen.xyz_board[..., None])[..., 0] + at[..., :3, 3]
        return _at_origin(cameras).project_each(xyz)[0] - self.seen.xy_px

    def cost(self, cameras: Cameras, cam_from_board: Tensor) -> Tensor:
        """What all corners cost."""
        error = self.errors(cameras, cam_from_board).norm(dim=-1) / self.sigma_px
        error = torch.where(torch.isfinite(error), error, _MISSED_SIGMAS)
        knee = self.huber_sigmas
        return torch.where(error <= knee, 0.5 * error.square(), knee * (error - 0.5 * knee))[self.use].sum()

    def equations(self, cameras: Cameras, cam_from_board: Tensor) -> LensEquations:
        """Normal equations of lenses and board poses."""
        at = linearise(_at_origin(cameras), cam_from_board, self.seen)
        size = at.error_px.norm(dim=-1) / self.sigma_px
        weight = torch.clamp(self.huber_sigmas / size.clamp(min=1e-12), max=1.0)
        weight = torch.where(at.valid & self.use, weight / self.sigma_px.square(), 0.0)
        return LensEquations(normal_equations(at, weight, self.seen.rows, len(cam_from_board)))


@dataclass(frozen=True)
class LensEquations:
    """What lens clips add to the equations of an adjustment."""

    system: NormalEquations
    """Of cameras at the origin, whose poses stay, and the boards before them."""

    def added_to(
        self, chain: ChainEquations, damping: float, free_lens: Tensor, clock: int
    ) -> ChainEquations:
        """The chain's equations with the boards of the lens clips eliminated into them.

        Args:
            chain: equations whose columns are pose, lens and ``clock`` more for each camera.
            damping: Levenberg-Marquardt factor; the chain's camera block is damped by its own solve.
            free_lens: (C, 4 + D) bool.
            clock: columns after each lens.
        """
        count, width = free_lens.shape
        free = torch.cat([torch.zeros(count, POSE, dtype=torch.bool), free_lens], 1).flatten()
        camera, slope = chain.camera.clone(), chain.camera_slope.clone()
        if free.any():
            reduced, right = self.system.reduced(damping, free)
            # The solve raises the diagonal of the sum: the part that was raised here is taken off again.
            whole = self.system.camera.diagonal(dim1=-2, dim2=-1).flatten()[free]
            reduced = reduced - torch.diag(damping * whole)
            column = torch.arange(count * (POSE + width + clock)).reshape(count, -1)
            target = column[:, : POSE + width].flatten()[free]
            camera[target[:, None], target] += reduced
            slope[target] -= right
        return replace(chain, camera=camera, camera_slope=slope)

    def board_steps(self, damping: float, camera: Tensor) -> Tensor:
        """(S, 6) steps of the boards that follow the (C, 6 + 4 + D) steps of the cameras."""
        lens = camera.clone()
        lens[:, :POSE] = 0.0
        return self.system.follow(damping, lens.flatten())


def still_views(
    views: Sequence[BoardView], board: Board, cameras: Cameras, sigma_px: Sequence[float], huber: float
) -> StillViews:
    """Put lens clips' views together; their frame numbers must all differ.

    Args:
        views: what the cameras saw.
        board: the board.
        cameras: their names count.
        sigma_px: typical standard deviation of a coordinate, by camera; within a camera they differ as the
            detector expects.
        huber: errors beyond this many standard deviations pull with constant force.
    """
    seen = collect(views, board, cameras.names)
    sigma = torch.ones(seen.seen.shape, dtype=torch.float64)
    for row, (name, typical) in enumerate(zip(cameras.names, sigma_px, strict=True)):
        own = [view for view in views if view.camera == name]
        if own and all(view.sigma_px is not None for view in own):
            expected = torch.cat([view.sigma_px for view in own if view.sigma_px is not None])
            sigma[row, : len(expected)] = expected / expected.median()
        sigma[row] *= typical
    return StillViews(seen, seen.seen, sigma, huber)


def _at_origin(cameras: Cameras) -> Cameras:
    return cameras.with_poses(torch.eye(4, dtype=torch.float64).repeat(len(cameras), 1, 1))
