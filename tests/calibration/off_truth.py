"""How far calibrated cameras are from the truth, parameter by parameter."""

import roma
import torch
from torch import Tensor

from calibration import Cameras


def off_by(found: Cameras, truth: Cameras) -> Tensor:
    """(C, 10) places (m) and turns (rad) in each camera's frame, fx, fy, cx, cy (px), the rigs laid on each
    other by places and directions."""
    size = (found.centers_world - found.centers_world.mean(0)).norm(dim=-1).square().mean().sqrt()
    axes = size * torch.eye(3, dtype=torch.float64)

    def points(cameras: Cameras) -> Tensor:
        ends = cameras.centers_world[:, None] + axes @ cameras.cam_from_world[:, :3, :3]
        return torch.cat([cameras.centers_world, ends.flatten(0, 1)])

    rotation, shift = roma.rigid_points_registration(points(truth), points(found))
    move = torch.eye(4, dtype=torch.float64)
    move[:3, :3], move[:3, 3] = rotation, shift
    apart = found.cam_from_world @ move @ torch.linalg.inv(truth.cam_from_world)
    lens = torch.cat([found.focal_px - truth.focal_px, found.center_px - truth.center_px], -1)
    return torch.cat([apart[:, :3, 3], roma.rotmat_to_rotvec(apart[:, :3, :3]), lens], -1)
