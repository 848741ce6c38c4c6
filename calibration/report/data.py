"""What the report of a calibration draws, as plain values."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.checks.case import Case

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#56b4e9", "#a4508b", "#5b7f2b")
"""Of the cameras, in turn; told apart by colour-blind readers too."""
_GRID = (16, 9)
"""Cells of an image in which corners are counted, across and down."""
_MOST_ARROWS = 450
_MOST_BOARDS = 90
_ELLIPSOID_PART = 0.12
"""Length of the longest half axis of an uncertainty, in parts of the rig's size: they are drawn larger."""
_ARROW_PART = 0.025
"""Length of a typical arrow, in parts of the image's width."""


def drawing(case: Case) -> dict[str, Any]:
    """Everything that the page's pictures need, ready for JSON."""
    cameras = case.rig.cameras
    centers = cameras.centers_world
    size_m = float(torch.cdist(centers, torch.cat([centers, case.board_centers])).max())
    spread = max((case.spread_m(name) for name in case.names), default=0.0)
    larger = float(max(1, _round(_ELLIPSOID_PART * size_m / spread))) if spread > 0 else 1.0
    return {
        "cameras": [_camera(case, row, larger) for row in range(len(cameras))],
        "boards": _boards(case),
        "size": _short(size_m),
        "larger": larger,
        "floor": bool(case.rig.world.rest is not None and case.rig.world.rest.on_floor),
    }


def _camera(case: Case, row: int, larger: float) -> dict[str, Any]:
    cameras, name = case.rig.cameras, case.names[row]
    center = cameras.centers_world[row]
    # The pose's tangent moves the centre by -R^T rho.
    turn = cameras.cam_from_world[row, :3, :3]
    values, vectors = torch.linalg.eigh(turn.T @ case.rig.covariance[row, :3, :3] @ turn)
    axes = larger * vectors.T * values.clamp(min=0).sqrt()[:, None]
    width, height = cameras.size_px[row].tolist()
    return {
        "name": name,
        "color": COLORS[row % len(COLORS)],
        "center": _numbers(center),
        "corners": [_numbers(way) for way in _corner_rays(cameras[[name]])],
        "axes": [_numbers(axis, 5) for axis in axes],
        "width": width,
        "height": height,
        **_residuals(case, row),
    }


def _corner_rays(camera: Cameras) -> Tensor:
    """(4, 3) directions of the image's corners in the world, of depth 1 along the camera's axis."""
    width, height = camera.size_px[0].tolist()
    xy = torch.tensor([[0, 0], [width, 0], [width, height], [0, height]], dtype=torch.float64) - 0.5
    flat = camera.undistort(xy[None])[0]
    # A corner that no direction maps to is drawn as if the lens were straight.
    flat = torch.where(torch.isfinite(flat), flat, (xy - camera.center_px[0]) / camera.focal_px[0])
    return torch.nn.functional.pad(flat, (0, 1), value=1.0) @ camera.cam_from_world[0, :3, :3]


def _residuals(case: Case, row: int) -> dict[str, Any]:
    """Arrows over the image, by how much they are drawn larger, and how many corners each cell has."""
    name = case.names[row]
    width, height = case.rig.cameras.size_px[row].tolist()
    across, down = _GRID
    cells = torch.zeros(across * down, dtype=torch.int64)
    empty = {
        "arrows": [],
        "exaggeration": 1,
        "cells": cells.reshape(down, across).tolist(),
        "grid": [across, down],
    }
    some = case.rig.residuals.get(name)
    if some is None or not len(some.frame):
        return empty
    part = (some.xy_px + 0.5) / torch.tensor([width, height]) * torch.tensor(_GRID)
    column, line = part.long().clamp(min=0).unbind(-1)
    place = line.clamp(max=down - 1) * across + column.clamp(max=across - 1)
    cells += torch.bincount(place, minlength=across * down)
    good = torch.isfinite(some.error_px).all(-1)
    rows = torch.nonzero(good)[:, 0]
    rows = rows[:: max(1, math.ceil(len(rows) / _MOST_ARROWS))]
    arrows = torch.cat([some.xy_px[rows], some.error_px[rows], some.used[rows, None]], -1)
    typical = (
        float(some.error_px[good & some.used].norm(dim=-1).median()) if (good & some.used).any() else 1.0
    )
    larger = max(1, _round(_ARROW_PART * width / max(typical, 1e-3)))
    return empty | {
        "arrows": [[round(v, 2) for v in arrow] for arrow in arrows.tolist()],
        "exaggeration": larger,
        "cells": cells.reshape(down, across).tolist(),
    }


def _boards(case: Case) -> list[dict[str, Any]]:
    """Outlines of the board along its way."""
    poses, times = case.rig.path.world_from_board, case.rig.path.time_s
    width, height = case.footage.board.size_m if case.footage is not None else (0.3, 0.4)
    outline = torch.tensor(
        [[0, 0, 0], [width, 0, 0], [width, height, 0], [0, height, 0]], dtype=torch.float64
    )
    step = max(1, math.ceil(len(poses) / _MOST_BOARDS))
    return [
        {
            "time": _short(float(time)),
            "corners": [_numbers(c) for c in outline @ pose[:3, :3].T + pose[:3, 3]],
        }
        for time, pose in zip(times[::step], poses[::step], strict=True)
    ]


def _numbers(values: Tensor, digits: int = 4) -> list[float]:
    return [round(value, digits) for value in values.tolist()]


def _round(value: float) -> int:
    """The next smaller 1, 2 or 5 with noughts."""
    decade = 10.0 ** math.floor(math.log10(max(value, 1.0)))
    return int(decade * max(step for step in (1, 2, 5) if step * decade <= max(value, 1.0)))


def _short(value: float) -> float:
    return round(value, 3)
