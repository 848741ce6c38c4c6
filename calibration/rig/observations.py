"""All corners that all cameras saw, as arrays, and what their errors look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.rig.schur import ViewRows, view_rows

_OUTLIER_SIGMAS = 15.0
"""Errors beyond this are mistakes of single corners: they say nothing of what a whole view has in common."""


@dataclass(frozen=True)
class Observations:
    """Corners of all views, one row per camera, padded to the camera that saw most."""

    xy_px: Tensor
    """(C, N, 2) pixels; NaN in the padding."""
    xyz_board: Tensor
    """(C, N, 3) metres, board frame."""
    pose: Tensor
    """(C, N) int64 row of the board pose; 0 in the padding."""
    shared: Tensor
    """(C, N) bool, whether another camera saw the board at that instant."""
    time_s: Tensor
    """(C, N) presentation time of the image in the camera's own clip, seconds."""
    frames: tuple[int, ...]
    """(F,) frame number of every board pose, ascending."""

    @cached_property
    def seen(self) -> Tensor:
        """(C, N) bool, False in the padding."""
        return torch.isfinite(self.xy_px).all(-1)

    @cached_property
    def rows(self) -> ViewRows:
        """The corners of each view."""
        return view_rows(self.pose, self.seen)

    @cached_property
    def view(self) -> Tensor:
        """(C, N) int64 number of the view that a corner belongs to: one camera, one board pose."""
        return self.pose * len(self.pose) + torch.arange(len(self.pose))[:, None]


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the errors of one coordinate, pixels."""

    alone: float
    """In views of a board that no other camera saw at that instant."""
    shared: float
    """In views of a board that several cameras saw."""
    common: float
    """The part of ``shared`` that all corners of a view have in common: what cameras do that were not
    exactly simultaneous, or a board that moved during the exposure."""

    def per_corner(self, seen: Observations) -> Tensor:
        """(C, N) pixels."""
        alone, shared = (torch.tensor(value, dtype=torch.float64) for value in (self.alone, self.shared))
        return torch.where(seen.shared, shared, alone)

    def trust(self, seen: Observations) -> Tensor:
        """(C, N) weight besides 1 / sigma²: n corners with a common error tell no more than one of them."""
        count = torch.bincount(seen.view[seen.seen], minlength=int(seen.view.max()) + 1).double()[seen.view]
        own = self.shared**2
        return torch.where(seen.shared, own / (own + count * self.common**2), 1.0)


def collect(views: Sequence[BoardView], board: Board, names: Sequence[str]) -> Observations:
    """Put views of a board into one array for each camera, cameras in the order of ``names``."""
    frames = tuple(sorted({view.frame for view in views}))
    row = {frame: i for i, frame in enumerate(frames)}
    watchers = Counter(view.frame for view in views)
    camera = {name: i for i, name in enumerate(names)}
    views = sorted((view for view in views if view.camera in camera), key=lambda view: camera[view.camera])
    count = torch.tensor([len(view.ids) for view in views], dtype=torch.int64)
    owner = torch.tensor([camera[view.camera] for view in views], dtype=torch.int64)
    corner_owner = owner.repeat_interleave(count)
    each = torch.bincount(corner_owner, minlength=len(names))
    place = torch.arange(len(corner_owner)) - (each.cumsum(0) - each)[corner_owner]
    wide = len(names), int(each.max()) if len(each) else 0

    def spread(per_view: Tensor, into: Tensor) -> Tensor:
        into[corner_owner, place] = per_view.repeat_interleave(count)
        return into

    xy = torch.full((*wide, 2), torch.nan, dtype=torch.float64)
    xyz = torch.zeros(*wide, 3, dtype=torch.float64)
    if views:
        xy[corner_owner, place] = torch.cat([view.xy_px for view in views]).double()
        xyz[corner_owner, place] = board.corners_xyz[torch.cat([view.ids for view in views])]
    pose = torch.tensor([row[view.frame] for view in views], dtype=torch.int64)
    shared = torch.tensor([watchers[view.frame] > 1 for view in views], dtype=torch.bool)
    time_s = torch.tensor([view.time_s for view in views], dtype=torch.float64)
    return Observations(
        xy,
        xyz,
        spread(pose, torch.zeros(wide, dtype=torch.int64)),
        spread(shared, torch.zeros(wide, dtype=torch.bool)),
        spread(time_s, torch.full(wide, torch.nan, dtype=torch.float64)),
        frames,
    )


def measure_noise(error_px: Tensor, use: Tensor, seen: Observations, min_sigma_px: float) -> Noise:
    """Robust standard deviations of errors.

    Args:
        error_px: (C, N, 2) pixels, NaN where there is none.
        use: (C, N) bool, corners that count.
        seen: what the errors are of.
        min_sigma_px: never less than this for a corner.
    """
    use = use & torch.isfinite(error_px).all(-1)

    def robust(mask: Tensor) -> float:
        some = error_px[mask]
        return max(min_sigma_px, 1.4826 * float(some.abs().median())) if len(some) else min_sigma_px

    shared = robust(use & seen.shared)
    together = use & seen.shared & (error_px.norm(dim=-1) < _OUTLIER_SIGMAS * shared)
    views = seen.view[together]
    count = torch.bincount(views, minlength=1).double()
    mean = torch.zeros(len(count), 2, dtype=torch.float64).index_add_(0, views, error_px[together])
    mean, count = mean[count > 2] / count[count > 2, None], count[count > 2]
    # What independent corners leave of their noise in a view's mean is not common noise.
    chance = float((shared / count.sqrt()).median()) if len(count) else 0.0
    spread = float(mean.square().mean()) if len(mean) else 0.0
    return Noise(robust(use & ~seen.shared), shared, max(0.0, spread - chance**2) ** 0.5)
