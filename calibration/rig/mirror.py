"""The other pose of a flat board that looks nearly the same to a camera."""

from __future__ import annotations

import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.rig.observations import Observations


def mirrored(cameras: Cameras, world_from_board: Tensor, seen: Observations) -> Tensor:
    """Board poses tilted the opposite way, as seen by the camera that sees most of each board.

    The image of a small plane fixes its tilt but for a half turn about the line of sight: the board is turned
    by it, and turned back within its own plane.

    Args:
        cameras: posed cameras.
        world_from_board: (F, 4, 4) metres.
        seen: what they saw of the boards.

    Returns:
        (F, 4, 4) poses near the other minimum; the middle of the seen corners stays where it is.
    """
    count, boards = len(cameras), len(world_from_board)
    corners = torch.bincount(seen.view[seen.seen], minlength=boards * count).reshape(boards, count)
    middle = torch.zeros(boards, 3, dtype=torch.float64)
    middle.index_add_(0, seen.pose[seen.seen], seen.xyz_board[seen.seen])
    middle = middle / corners.sum(1).clamp(min=1)[:, None]
    rotation = world_from_board[:, :3, :3]
    center = (rotation @ middle[..., None])[..., 0] + world_from_board[:, :3, 3]
    sight = center - cameras.centers_world[corners.argmax(1)]
    sight = sight / sight.norm(dim=-1, keepdim=True)
    identity = torch.eye(3, dtype=torch.float64)
    half_turn = 2.0 * sight[:, :, None] * sight[:, None, :] - identity
    turned = half_turn @ rotation @ torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))
    pose = world_from_board.clone()
    pose[:, :3, :3] = turned
    pose[:, :3, 3] = center - (turned @ middle[..., None])[..., 0]
    return pose
