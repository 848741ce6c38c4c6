"""What is known of each camera, whatever the frame that a solve was done in."""

from __future__ import annotations

import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.rig.schur import POSE


def in_common(whole: Tensor, cameras: Cameras) -> Tensor:
    """Covariance of all cameras in the frame in which they stay best together.

    A solve holds its first camera: what is unknown of that camera's lens then shows as movement of all the
    others. Here all of them are laid on where they are, by places and, at the rig's size, directions, as one
    lays two calibrations on each other to compare them (Baarda's S-transformation).

    Args:
        whole: (C * P, C * P), each camera's first six the left tangent of its pose; one of them holds still.
        cameras: the cameras.

    Returns:
        (C * P, C * P)
    """
    count = len(cameras)
    width = len(whole) // count
    pose = cameras.cam_from_world
    center = cameras.centers_world
    size_m = (center - center.mean(0)).norm(dim=-1).square().mean().sqrt()
    if count < 2 or not float(size_m) > 0.0:
        return whole
    turn, place = pose[:, :3, :3], pose[:, :3, 3:]
    # World moved by exp([a, b]): each camera's tangent moves by minus its adjoint.
    moves = torch.zeros(count, width, POSE, dtype=torch.float64)
    moves[:, :3, :3] = moves[:, 3:6, 3:] = turn
    moves[:, :3, 3:] = torch.linalg.cross(place.expand(-1, 3, 3), turn, dim=1)
    weight = torch.zeros(count, width, 1, dtype=torch.float64)
    weight[:, :3], weight[:, 3:6] = 1.0, size_m.square()
    flat = moves.flatten(0, 1)
    weighted = (weight * moves).flatten(0, 1)
    # P = I - G (G' W G)^-1 G' W takes out of any step what moves all cameras together.
    left = torch.linalg.solve(flat.T @ weighted, weighted.T)
    part = whole - flat @ (left @ whole)
    return part - (part @ left.T) @ flat.T


def own_parts(whole: Tensor, count: int) -> Tensor:
    """(C, P, P) each camera's part of a (C * P, C * P) covariance."""
    rows = torch.arange(count)
    return whole.reshape(count, -1, count, len(whole) // count)[rows, :, rows]
