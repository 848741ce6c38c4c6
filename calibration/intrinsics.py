"""The lens of one camera, from views of a board that it alone has to explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .boards import Board
from .bundle import Bundle, BundleOptions, Problem, adjust, build
from .cameras import Cameras
from .detection import BoardView
from .errors import CalibrationError
from .pnp import planar_poses
from .schur import POSE
from .selection import choose_views, coverage

_FOCAL_GUESSES = tuple(0.4 * 1.22**step for step in range(13))
"""Focal lengths that are tried first, in widths of the image: from 103 to 15 degrees of view."""
_GUESS_VIEWS = 15
"""Views that choose between them."""
_RADIAL = (8, 5, 4)
"""Columns of k3, k2, k1 among fx, fy, cx, cy, k1, k2, p1, p2, k3: the order in which they are given up."""


@dataclass(frozen=True)
class IntrinsicsOptions:
    """How a lens is calibrated."""

    max_frames: int = 60
    """Views that are solved with, chosen for spread."""
    min_frames: int = 4
    """Fewer views are refused."""
    bundle: BundleOptions = field(default_factory=BundleOptions)
    """How the adjustment is done."""


@dataclass(frozen=True)
class IntrinsicsSummary:
    """How a lens was calibrated."""

    num_views: int
    """Views of the board that were used."""
    rms_px: float
    """Root mean square reprojection error of the corners used."""
    focal_std: float
    """Standard deviation of the focal length, in parts of it."""
    coverage: float
    """Part of the image in which corners were seen."""
    distortion_terms: int
    """Radial coefficients that are free; fewer than three where more would fold the image."""


@dataclass(frozen=True)
class Intrinsics:
    """A calibrated lens."""

    camera: Cameras
    """A batch of one, standing at the origin."""
    views: tuple[BoardView, ...]
    """The views that were used."""
    bundle: Bundle
    """The adjustment, with the board's pose in every view."""
    free_lens: Tensor
    """(1, 9) bool, which of fx, fy, cx, cy, k1, k2, p1, p2, k3 the footage could be asked for."""
    summary: IntrinsicsSummary
    """How it went."""


def calibrate_intrinsics(
    views: Sequence[BoardView],
    board: Board,
    size_px: tuple[int, int],
    *,
    options: IntrinsicsOptions | None = None,
) -> Intrinsics:
    """Calibrate one camera's lens: pinhole with five distortion coefficients that never fold the image.

    Args:
        views: what the camera saw of the board.
        board: the board.
        size_px: width and height of the image.
        options: how.

    Raises:
        CalibrationError: too few views.
    """
    options = options or IntrinsicsOptions()
    name = views[0].camera if views else "?"
    chosen = choose_views(views, board, size_px, options.max_frames)
    if len(chosen) < options.min_frames:
        raise CalibrationError(
            f"camera {name}: the board can be used in {len(chosen)} of its frames, at least "
            f"{options.min_frames} are needed; film it closer, slower and all over the image"
        )
    guess = _first_guess(chosen, board, size_px)
    found = zip(chosen, planar_poses(chosen, guess, board), strict=True)
    start = {view.frame: poses[0].cam_from_board for view, poses in found if poses}
    chosen = [view for view in chosen if view.frame in start]
    if len(chosen) < options.min_frames:
        raise CalibrationError(
            f"camera {name}: no pose explains what it saw; check the board's columns and rows"
        )
    bundle = adjust_lenses(_poses_first(build(chosen, board, guess, start), options.bundle), options.bundle)
    camera = bundle.cameras
    free = torch.cat([torch.ones(1, 4, dtype=torch.bool), camera.distortion != 0], -1)
    summary = IntrinsicsSummary(
        num_views=len(chosen),
        rms_px=bundle.rms_px(),
        focal_std=float(bundle.parameter_std[0, POSE] / camera.focal_px[0, 0]),
        coverage=coverage(chosen, {name: size_px})[name],
        distortion_terms=int(free[0, list(_RADIAL)].sum()),
    )
    return Intrinsics(camera, tuple(chosen), bundle, free, summary)


def adjust_lenses(problem: Problem, options: BundleOptions | None = None) -> Bundle:
    """Adjust, giving up radial terms one by one in the cameras whose distortion would fold the image.

    A polynomial that fits where the board was may turn back outside; k3 is the first to go.
    """
    bundle = adjust(problem, options)
    for column in _RADIAL:
        bad = folds(bundle.cameras) & problem.free_lens[:, column]
        if not bad.any():
            break
        free = problem.free_lens.clone()
        distortion = bundle.cameras.distortion.clone()
        free[bad, column] = False
        distortion[bad, column - 4] = 0.0
        # The other terms were tuned to the one that goes: they start anew.
        distortion[bad] *= 0.0
        problem = replace(problem, cameras=replace(problem.cameras, distortion=distortion), free_lens=free)
        bundle = adjust(problem, options)
    return bundle


def folds(cameras: Cameras) -> Tensor:
    """(C,) bool, whether a camera's distortion cannot be undone somewhere in its image."""
    steps = torch.linspace(0.0, 1.0, 33, dtype=torch.float64)
    edge, low, high = steps, torch.zeros_like(steps), torch.ones_like(steps)
    border = torch.cat(
        [torch.stack(pair, -1) for pair in ((edge, low), (edge, high), (low, edge), (high, edge))]
    )
    xy_px = border * cameras.size_px[:, None] - 0.5
    return torch.isnan(cameras.undistort(xy_px)).any(-1).any(-1)


def ideal_camera(name: str, size_px: tuple[int, int], focal_px: float) -> Cameras:
    """A batch of one without distortion, principal point in the middle, at the origin."""
    size = torch.tensor([size_px], dtype=torch.float64)
    return Cameras(
        names=(name,),
        size_px=size,
        focal_px=torch.full((1, 2), focal_px, dtype=torch.float64),
        center_px=(size - 1.0) / 2.0,
        distortion=torch.zeros(1, 5, dtype=torch.float64),
        cam_from_world=torch.eye(4, dtype=torch.float64)[None],
    )


def _first_guess(views: Sequence[BoardView], board: Board, size_px: tuple[int, int]) -> Cameras:
    """The focal length with which flat boards explain the views best."""
    some = choose_views(views, board, size_px, _GUESS_VIEWS)

    def misfit(widths: float) -> float:
        camera = ideal_camera(views[0].camera, size_px, widths * max(size_px))
        best = [poses[0].error_px for poses in planar_poses(some, camera, board) if poses]
        # Boards that all face the camera fit any focal length: then the ordinary one wins.
        ordinary = 1.0 + 0.01 * abs(torch.tensor(widths).log().item())
        return ordinary * (sum(best) / len(best) + 0.01) if best else float("inf")

    return ideal_camera(views[0].camera, size_px, min(_FOCAL_GUESSES, key=misfit) * max(size_px))


def _poses_first(problem: Problem, options: BundleOptions) -> Problem:
    """A start for the whole lens: focal length and first radial term alone, which any views determine."""
    free = torch.zeros_like(problem.free_lens)
    free[:, [0, 1, 4]] = True
    bundle = adjust(replace(problem, free_lens=free), options)
    return replace(problem, cameras=bundle.cameras, world_from_board=bundle.world_from_board)
