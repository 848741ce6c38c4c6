"""Where a board stands before one camera: both answers that its plane allows.

The image of a small or distant plane is nearly the same for two poses that mirror each other about the
viewing direction. The wrong one often fits as well within the noise, so both are kept until other cameras
or other frames decide. All views are solved at once, by the infinitesimal plane (Collins and Bartoli 2014):
what a homography does to the plane about the middle of its points is a rotation seen along one line of
sight, known but for the sign of its tilt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.cameras import Cameras

MIN_CORNERS = 6
"""A view with fewer corners is not used: four fix a pose but leave nothing to check it with."""
_LINE = 1e-4
"""Corners spread across a line by less than this part of their spread along it fix no pose."""


class PlanarPose(NamedTuple):
    """One of the poses that explain a view."""

    cam_from_board: Tensor
    """(4, 4) float64, metres."""
    error_px: float
    """Root mean square reprojection error, pixels."""


def planar_poses(views: Sequence[BoardView], cameras: Cameras, board: Board) -> list[list[PlanarPose]]:
    """The one or two poses of the board in each view, best first; none where a view does not fix one.

    Args:
        views: what the cameras saw.
        cameras: the lenses, by name; a batch of one is the camera of all views. Poses do not matter.
        board: the board.
    """
    if not views:
        return []
    single = len(cameras) == 1
    camera = torch.tensor([0 if single else cameras.names.index(view.camera) for view in views])
    xy, xyz, good = _padded(views, camera, cameras, board)
    turn, place = _both_poses(xyz[..., :2], xy, good)
    at = (turn[:, :, None] @ xyz[:, None, :, :, None])[..., 0] + place[:, :, None]  # (V, 2, K, 3)
    ahead = ((at[..., 2] > 0) | ~good[:, None]).all(-1)
    off = (at[..., :2] / at[..., 2:] - xy[:, None]).square().sum(-1)
    count = good.sum(-1)
    mean = torch.where(good[:, None], off, 0.0).sum(-1) / count.clamp(min=1)[:, None]
    error = (cameras.focal_px.mean(-1)[camera, None] * mean.sqrt()).nan_to_num(nan=torch.inf)
    error = torch.where(ahead & (count >= MIN_CORNERS)[:, None], error, torch.inf)
    pose = torch.eye(4, dtype=torch.float64).repeat(len(views), 2, 1, 1)
    pose[..., :3, :3], pose[..., :3, 3] = turn, place
    error, order = error.sort(dim=-1, stable=True)
    pose = pose.take_along_dim(order[..., None, None], 1)
    return [
        [PlanarPose(one, px) for one, px in zip(both, errors, strict=True) if px < torch.inf]
        for both, errors in zip(pose.unbind(), error.tolist(), strict=True)
    ]


def _padded(
    views: Sequence[BoardView], camera: Tensor, cameras: Cameras, board: Board
) -> tuple[Tensor, Tensor, Tensor]:
    """(V, K, 2) undistorted and (V, K, 3) on the board, and (V, K) which of them are there; 0 elsewhere."""
    count = torch.tensor([len(view.ids) for view in views])
    row, column = _ragged(count)
    seen = torch.cat([view.xy_px for view in views])
    owner = camera[row]
    order = owner.argsort(stable=True)
    which, place = _ragged(torch.bincount(owner, minlength=len(cameras)))
    by_camera = torch.full((len(cameras), int(place.max()) + 1, 2), torch.nan, dtype=torch.float64)
    by_camera[which, place] = seen[order]
    flat = torch.empty_like(seen)
    flat[order] = cameras.undistort(by_camera)[which, place]
    wide = len(views), int(count.max())
    good = torch.zeros(wide, dtype=torch.bool)
    good[row, column] = torch.isfinite(flat).all(-1)
    xy, xyz = torch.zeros(*wide, 2, dtype=torch.float64), torch.zeros(*wide, 3, dtype=torch.float64)
    xy[row, column] = flat.nan_to_num(nan=0.0)
    xyz[row, column] = board.corners_xyz[torch.cat([view.ids for view in views])]
    return xy, xyz, good


def _ragged(count: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of every member of lists of these lengths, one list after the other."""
    row = torch.repeat_interleave(torch.arange(len(count)), count)
    return row, torch.arange(len(row)) - (count.cumsum(0) - count)[row]


def _both_poses(plane: Tensor, xy: Tensor, good: Tensor) -> tuple[Tensor, Tensor]:
    """(V, 2, 3, 3) rotations and (V, 2, 3) places of the plane's points; NaN where they are on a line.

    Args:
        plane: (V, K, 2) points of the plane.
        xy: (V, K, 2) where they are seen, normalised.
        good: (V, K) bool, points that count.
    """
    weight = good.double()[..., None]
    count = weight.sum(1, keepdim=True).clamp(min=1.0)
    middle = (weight * plane).sum(1, keepdim=True) / count
    homography = _homographies(weight * (plane - middle), xy, weight)
    turn = _turns(homography)
    # The place by least squares over all points: [1, 0, -x; 0, 1, -y] (R p + t) = 0.
    x, y = (xy * weight).unbind(-1)
    one, zero = weight[..., 0], torch.zeros_like(x)
    rows = torch.stack([torch.stack([one, zero, -x], -1), torch.stack([zero, one, -y], -1)], -2)
    rows = rows.flatten(1, 2)[:, None]  # (V, 1, 2K, 3)
    at = (turn[:, :, None, :, :2] @ plane[:, None, :, :, None])[..., 0]  # (V, 2, K, 3)
    at = at.repeat_interleave(2, 2)
    right = -(rows * at).sum(-1, keepdim=True)
    place, _ = torch.linalg.solve_ex(rows.mT @ rows, rows.mT @ right)
    return turn, place[..., 0]


def _homographies(plane: Tensor, image: Tensor, weight: Tensor) -> Tensor:
    """(V, 3, 3) homographies about the points' middle, by least squares of the algebraic error.

    Both sides are shifted and scaled to unit size first (Hartley 1997). NaN where the points are on a line.
    """
    count = weight.sum(1, keepdim=True).clamp(min=1.0)
    middle = (weight * image).sum(1, keepdim=True) / count
    image = weight * (image - middle)
    sizes = [
        (part.square().sum((1, 2), keepdim=True) / count).sqrt().clamp(min=1e-12) for part in (plane, image)
    ]
    (x, y), (u, v) = (plane / sizes[0]).unbind(-1), (image / sizes[1]).unbind(-1)
    one, zero = weight[..., 0], torch.zeros_like(x)
    across = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    down = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    rows = torch.cat([across, down], 1)
    right = torch.cat([u, v], 1)[..., None]
    found, _ = torch.linalg.solve_ex(rows.mT @ rows, rows.mT @ right)
    found = torch.nn.functional.pad(found[..., 0], (0, 1), value=1.0).unflatten(-1, (3, 3))
    to_image = torch.eye(3, dtype=torch.float64).repeat(len(plane), 1, 1)
    to_image[:, :2, 2] = middle[:, 0]
    to_image[:, 0, 0] = to_image[:, 1, 1] = sizes[1][:, 0, 0]
    spread = torch.linalg.eigvalsh(plane.mT @ plane).sqrt()
    flat = spread[:, 0] > _LINE * spread[:, 1]
    return torch.where(flat[:, None, None], to_image @ found, torch.nan)


def _turns(homography: Tensor) -> Tensor:
    """(V, 2, 3, 3) the rotations under which a plane looks as (V, 3, 3) homographies say about its origin."""
    h = homography / homography[:, 2:, 2:]
    sight = torch.nn.functional.pad(h[:, :2, 2], (0, 1), value=1.0)  # through the origin's image
    slope = h[:, :2, :2] - h[:, :2, 2:] * h[:, 2:, :2]
    facing = _along(sight / sight.norm(dim=-1, keepdim=True))
    # Seen along that line, the plane's axes are the slope but for the distance, which makes them unit.
    onto = facing[:, :2, :2] - h[:, :2, 2:] * facing[:, 2:, :2]
    seen = torch.linalg.solve_ex(onto, slope)[0]
    square, area = seen.square().sum((1, 2)), seen[:, 0, 0] * seen[:, 1, 1] - seen[:, 0, 1] * seen[:, 1, 0]
    largest = 0.5 * (square + (square.square() - 4.0 * area.square()).clamp(min=0.0).sqrt())
    seen = seen / largest.sqrt()[:, None, None]
    depth = (1.0 - seen.square().sum(1)).clamp(min=0.0).sqrt()  # (V, 2) of both axes, towards the eye or away
    opposite = (seen[:, :, 0] * seen[:, :, 1]).sum(-1) > 0
    depth = depth * torch.stack([torch.ones_like(square), torch.where(opposite, -1.0, 1.0)], -1)
    both = torch.stack([torch.cat([seen, sign * depth[:, None]], 1) for sign in (1.0, -1.0)], 1)
    third = torch.linalg.cross(both[..., 0], both[..., 1], dim=-1)
    return facing[:, None] @ torch.cat([both, third[..., None]], -1)


def _along(direction: Tensor) -> Tensor:
    """(V, 3, 3) the least rotations of the z axis to unit directions (V, 3), which do not point backwards."""
    x, y, z = direction.unbind(-1)
    part = 1.0 / (1.0 + z)
    rows = [1.0 - part * x * x, -part * x * y, x, -part * x * y, 1.0 - part * y * y, y, -x, -y, z]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))
