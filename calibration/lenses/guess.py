"""A first focal length, from the shape that squares have in images.

The image of a plane is a homography, and the columns of the plane's rotation, which it contains, are at
right angles and equally long under the true focal length alone (Zhang 2000, equations 3 and 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.cameras import Cameras

_WIDTHS = tuple(0.25 * 1.06**step for step in range(45))
"""Focal lengths that are tried, in widths of the image: from 127 to 15 degrees of view."""
_CLAMP = 0.04
"""Squared deviations beyond this are views that say nothing."""
_ORDINARY = 0.03
"""Boards that all face the camera fit any focal length: then the ordinary one wins."""


class Guess(NamedTuple):
    """A focal length and how well it fits."""

    focal_px: float
    """Pixels."""
    misfit: float
    """Mean squared deviation from right angles and equal sides."""


def guess_focal(views: Sequence[BoardView], board: Board, size_px: tuple[int, int], model: str) -> Guess:
    """The focal length under which flat boards look square.

    Args:
        views: usable views of one camera.
        board: the board.
        size_px: width and height of the image.
        model: ``pinhole`` or ``fisheye``.
    """
    width, part = max(size_px), torch.tensor(_WIDTHS, dtype=torch.float64)
    xy, xyz, seen = _padded(views, board)
    if model == "pinhole":
        middle = (torch.tensor(size_px, dtype=torch.float64) - 1.0) / 2.0
        flat = _homographies((xy - middle) / width, xyz, seen)
        scale = torch.stack([1.0 / part, 1.0 / part, torch.ones_like(part)], -1)
        column = scale[:, None, :, None] * flat
    else:
        column = torch.stack([_seen_by_fisheye(xy, xyz, seen, size_px, focal * width) for focal in _WIDTHS])
    one, other = column[..., 0], column[..., 1]  # (W, V, 3)
    sides = one.norm(dim=-1), other.norm(dim=-1)
    bent = ((one * other).sum(-1) / (sides[0] * sides[1])).square() + (sides[0] / sides[1]).log().square()
    misfit = bent.nan_to_num(nan=_CLAMP).clamp(max=_CLAMP).mean(-1) + 1e-5
    misfit = misfit * (1.0 + _ORDINARY * part.log().square())
    best = int(misfit.argmin())
    return Guess(_WIDTHS[best] * width, float(misfit[best]))


def ideal_camera(name: str, size_px: tuple[int, int], focal_px: float, model: str = "pinhole") -> Cameras:
    """A batch of one without distortion, principal point in the middle, at the origin."""
    size = torch.tensor([size_px], dtype=torch.float64)
    return Cameras(
        names=(name,),
        size_px=size,
        focal_px=torch.full((1, 2), focal_px, dtype=torch.float64),
        center_px=(size - 1.0) / 2.0,
        distortion=torch.zeros(1, 5, dtype=torch.float64),
        cam_from_world=torch.eye(4, dtype=torch.float64)[None],
        model=model,
    )


def _seen_by_fisheye(
    xy: Tensor, xyz: Tensor, seen: Tensor, size_px: tuple[int, int], focal_px: float
) -> Tensor:
    """(V, 3, 3) homographies to the image plane that a pinhole camera in the fisheye's place would have."""
    camera = ideal_camera("guess", size_px, focal_px, "fisheye")
    at = camera.undistort(xy.flatten(0, 1)[None])[0].reshape(xy.shape)
    inside = seen & torch.isfinite(at).all(-1)
    return _homographies(torch.where(inside[..., None], at, 0.0), xyz, inside)


def _padded(views: Sequence[BoardView], board: Board) -> tuple[Tensor, Tensor, Tensor]:
    """(V, K, 2) pixels, (V, K, 2) places on the board in units of its size, (V, K) which are there."""
    width = max(len(view.ids) for view in views)
    xy = torch.zeros(len(views), width, 2, dtype=torch.float64)
    xyz, seen = torch.zeros_like(xy), torch.zeros(len(views), width, dtype=torch.bool)
    plane = board.corners_xyz[:, :2]
    plane = (plane - plane.mean(0)) / plane.std()
    for row, view in enumerate(views):
        count = len(view.ids)
        xy[row, :count], xyz[row, :count], seen[row, :count] = view.xy_px, plane[view.ids], True
    return xy, xyz, seen


def _homographies(xy: Tensor, plane: Tensor, seen: Tensor) -> Tensor:
    """(V, 3, 3) homographies from the plane to the image, by the direct linear transformation."""
    one = torch.ones_like(plane[..., :1])
    point = torch.cat([plane, one], -1) * seen[..., None]
    nothing = torch.zeros_like(point)
    across = torch.cat([point, nothing, -xy[..., :1] * point], -1)
    down = torch.cat([nothing, point, -xy[..., 1:] * point], -1)
    rows = torch.cat([across, down], 1)
    return torch.linalg.eigh(rows.mT @ rows).eigenvectors[..., 0].reshape(-1, 3, 3)
