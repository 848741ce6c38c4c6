"""Whether a camera moved, or its zoom changed, while the board was filmed.

Every instant is tried as the moment of one step of each camera's pose, all at once by running sums; see
``calibration.rig.score``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.rig.schur import POSE
from calibration.rig.score import CornerErrors, Sums, chi2, eliminate, free_cameras, in_order, nuisance

_ENDS = 4
"""Views of the camera that there must be before and after a step."""
_ZOOM_PART = 0.8
"""A change of zoom that explains this part of what a moved camera would is the likelier one: it has one
parameter, a moved camera six."""
_SAME_M = 0.003
"""A board whose middle and extent have moved less since a camera's view before shows it nothing new."""


@dataclass(frozen=True)
class CameraStep:
    """The most likely step of one camera."""

    camera: str
    """The camera."""
    time_s: float
    """When it happened."""
    score: float
    """chi² for each degree of freedom; about 1 where nothing moved."""
    shift_m: float
    """How far the lens moved."""
    turn_deg: float
    """How far the camera turned."""
    zoom: float
    """Relative change of the focal length where that explains it nearly as well as a move; else 0."""


def camera_steps(cameras: Cameras, errors: CornerErrors) -> list[CameraStep]:
    """The most likely step of every camera, in the order of the cameras.

    Args:
        cameras: the calibrated cameras, in the frame of ``errors``.
        errors: what they left.

    Returns:
        Cameras that have too few views for a step are left out.
    """
    errors = in_order(errors)
    if len(errors.camera) == 0:
        return []
    errors = in_order(errors[_news(errors)])
    sums = eliminate(cameras, errors)
    return [step for row in range(len(cameras)) if (step := _best_step(cameras, sums, row)) is not None]


def _news(errors: CornerErrors) -> Tensor:
    """(N,) bool: corners of views that show the board elsewhere than the camera's view before.

    Corners of a board at rest are off in every view by the same: many views of it are worth one, and counted
    one by one they would pass for a camera that moved when the board was picked up.
    """
    cameras = int(errors.camera.max()) + 1
    views, view = torch.unique(errors.frame * cameras + errors.camera, return_inverse=True)
    count = torch.bincount(view).to(torch.float64)[:, None]
    mean = torch.zeros(len(views), 3, dtype=torch.float64).index_add_(0, view, errors.xyz_world) / count
    square = (errors.xyz_world - mean[view]).square()
    extent = (torch.zeros_like(mean).index_add_(0, view, square) / count).sqrt()
    place = torch.cat([mean, extent], dim=1).numpy()
    news = torch.ones(len(views), dtype=torch.bool)
    last: dict[int, int] = {}
    for row, camera in enumerate((views % cameras).tolist()):
        before = last.get(camera)
        if before is not None and abs(place[row] - place[before]).max() < _SAME_M:
            news[row] = False
        else:
            last[camera] = row
    return news[view]


def _best_step(cameras: Cameras, sums: Sums, row: int) -> CameraStep | None:
    """Try a step of one camera after each of its views."""
    instants = torch.nonzero(sums.seen[:, row])[:, 0]
    if len(instants) < 2 * _ENDS:
        return None
    after = instants[_ENDS : len(instants) - _ENDS + 1]
    width = sums.pull.shape[-1]
    pose = torch.eye(width, dtype=torch.float64)[:POSE]
    zoom = torch.zeros(1, width, dtype=torch.float64)
    zoom[0, POSE : POSE + 2] = cameras.focal_px[row]
    moved, steps = _score(sums, row, after, pose)
    zoomed, changes = _score(sums, row, after, zoom)
    best = int(moved.argmax())
    is_zoom = bool(zoomed.max() > _ZOOM_PART * moved.max())
    if is_zoom:
        best = int(zoomed.argmax())
    start, end = _around(sums, instants, int(after[best]))
    return CameraStep(
        camera=cameras.names[row],
        time_s=0.5 * (start + end),
        score=float(moved.max()) / POSE,
        shift_m=float(steps[best, :3].norm()),
        turn_deg=float(torch.rad2deg(steps[best, 3:].norm())),
        zoom=float(changes[best, 0]) if is_zoom else 0.0,
    )


def _around(sums: Sums, instants: Tensor, instant: int) -> tuple[float, float]:
    """Times of the last view before a step and of the first after it."""
    place = instants.tolist().index(instant)
    return float(sums.time_s[instants[place - 1]]), float(sums.time_s[instant])


def _score(sums: Sums, row: int, after: Tensor, axes: Tensor) -> tuple[Tensor, Tensor]:
    """(A,) chi² of a step along ``axes`` (k, P) that begins at each of A instants, and its size (A, k)."""

    def later(each: Tensor) -> Tensor:
        return each.flip(0).cumsum(0).flip(0)[after]

    width, free = sums.pull.shape[-1], free_cameras(sums)
    rows = later(axes @ sums.own[:, row])  # (A, k, C * P + 1)
    square = rows[..., row * width : (row + 1) * width] @ axes.T
    cross, inverse = rows[..., free], nuisance(sums, free)
    slope = later(sums.pull[:, row] @ axes.T) - cross @ (inverse @ sums.slope[free])
    return chi2(square - cross @ inverse @ cross.mT, slope)
