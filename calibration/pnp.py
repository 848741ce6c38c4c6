"""Where a board stands before one camera: both answers that its plane allows.

The image of a small or distant plane is nearly the same for two poses that mirror each other about the
viewing direction. The wrong one often fits as well within the noise, so both are kept until other cameras
or other frames decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.cameras import Cameras

MIN_CORNERS = 6
"""A view with fewer corners is not used: four fix a pose but leave nothing to check it with."""


class PlanarPose(NamedTuple):
    """One of the poses that explain a view."""

    cam_from_board: Tensor
    """(4, 4) float64, metres."""
    error_px: float
    """Root mean square reprojection error, pixels."""


def planar_poses(views: Sequence[BoardView], camera: Cameras, board: Board) -> list[list[PlanarPose]]:
    """The one or two poses of the board in each view, best first; none where a view does not fix one.

    Args:
        views: what one camera saw.
        camera: a batch of one; its pose does not matter.
        board: the board.
    """
    if not views:
        return []
    xy = camera.undistort(torch.cat([view.xy_px for view in views])[None])[0]
    parts = xy.split([len(view.ids) for view in views])
    focal_px = float(camera.focal_px.mean())
    return [
        _both_poses(part.numpy(), board.corners_xyz[view.ids].numpy(), focal_px)
        for view, part in zip(views, parts, strict=True)
    ]


def _both_poses(
    xy_norm: NDArray[np.float64], xyz_board: NDArray[np.float64], focal_px: float
) -> list[PlanarPose]:
    import cv2

    good = np.isfinite(xy_norm).all(-1)
    xy, xyz = xy_norm[good], xyz_board[good]
    if len(xy) < MIN_CORNERS or np.linalg.matrix_rank(xyz[:, :2] - xyz[:1, :2], tol=1e-6) < 2:
        return []
    try:
        _, turns, shifts, _ = cv2.solvePnPGeneric(xyz, xy[:, None], np.eye(3), None, flags=cv2.SOLVEPNP_IPPE)
    except cv2.error:  # corners that no homography explains
        return []
    poses: list[PlanarPose] = []
    for turn, shift in zip(turns, shifts, strict=True):
        rotation = cv2.Rodrigues(turn)[0]
        at = xyz @ rotation.T + shift.reshape(3)
        if not (np.isfinite(at).all() and (at[:, 2] > 0).all()):
            continue
        error = at[:, :2] / at[:, 2:] - xy
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, :3], pose[:3, 3] = torch.from_numpy(rotation), torch.from_numpy(shift.reshape(3))
        poses.append(PlanarPose(pose, focal_px * float(np.sqrt((error**2).sum(-1).mean()))))
    return sorted(poses, key=lambda pose: pose.error_px)
