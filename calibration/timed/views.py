"""What free-running cameras saw of one moving board, ordered for solving: camera by camera, view by view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.cameras import Cameras


@dataclass(frozen=True)
class CameraViews:
    """The V views of one camera, each padded to K corners."""

    frame: Tensor
    """(V,) int64 shared frame number."""
    own_s: Tensor
    """(V,) time on the camera's own clock, seconds."""
    ids: Tensor
    """(V, K) int64 corner ids; 0 in the padding."""
    xy_px: Tensor
    """(V, K, 2) pixels; NaN in the padding."""
    xyz_board: Tensor
    """(V, K, 3) metres, board frame."""
    expected_px: Tensor
    """(V, K) standard deviation that the detector expects of a coordinate, up to a common factor."""
    rows_below: Tensor
    """(V, K) rows from the middle of the image down to the corner; 0 in the padding."""
    shared: Tensor
    """(V,) bool, whether another camera saw the board at that shared frame."""

    @property
    def seen(self) -> Tensor:
        """(V, K) bool, False in the padding."""
        return torch.isfinite(self.xy_px).all(-1)

    @property
    def middle_s(self) -> float:
        """Own time halfway between the first view and the last."""
        return 0.5 * float(self.own_s.min() + self.own_s.max()) if len(self.own_s) else 0.0


def group_views(views: Sequence[BoardView], board: Board, cameras: Cameras) -> tuple[CameraViews, ...]:
    """Views in the order of the cameras, each camera's in the order of time."""
    watchers: dict[int, int] = {}
    for view in views:
        watchers[view.frame] = watchers.get(view.frame, 0) + 1
    return tuple(
        _of_one([v for v in views if v.camera == name], board, float(size[1]), watchers)
        for name, size in zip(cameras.names, cameras.size_px, strict=True)
    )


def _of_one(
    views: Sequence[BoardView], board: Board, height_px: float, watchers: Mapping[int, int]
) -> CameraViews:
    views = sorted(views, key=lambda view: (view.time_s, view.frame))
    width = max((len(view.ids) for view in views), default=0)
    ids = torch.zeros(len(views), width, dtype=torch.int64)
    xy = torch.full((len(views), width, 2), torch.nan, dtype=torch.float64)
    expected = torch.ones(len(views), width, dtype=torch.float64)
    for row, view in enumerate(views):
        count = len(view.ids)
        ids[row, :count], xy[row, :count] = view.ids, view.xy_px
        if view.sigma_px is not None:
            expected[row, :count] = view.sigma_px
    return CameraViews(
        frame=torch.tensor([view.frame for view in views], dtype=torch.int64),
        own_s=torch.tensor([view.time_s for view in views], dtype=torch.float64),
        ids=ids,
        xy_px=xy,
        xyz_board=board.corners_xyz[ids],
        expected_px=expected,
        rows_below=(xy[..., 1] - (height_px - 1.0) / 2.0).nan_to_num(nan=0.0),
        shared=torch.tensor([watchers[view.frame] > 1 for view in views], dtype=torch.bool),
    )
