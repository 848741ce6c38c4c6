"""What cameras are worth on views that they were not solved with.

The measure is for cameras without a common clock: a solve that takes all images of one number for
simultaneous bends its cameras until they agree, and would be rewarded by a measure that does the same. Here
every set of cameras, whoever made it, gets the clocks that suit it best, and the board a motion of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import roma
import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.boards.selection import usable_views
from calibration.cameras import Cameras
from calibration.rig.bundle import BundleOptions
from calibration.rig.extrinsics import fit_boards
from calibration.timed.board_motion import carry
from calibration.timed.bundle import adjust_timed
from calibration.timed.problem import TimedBundle
from calibration.timed.start import near_shared, timed_problem
from calibration.timed.views import CameraViews
from calibration.triangulation import triangulate

_MISTAKE_PX = 5.0
"""Corners this much farther off than their view's median, at 1280 pixels of width, were mistaken for others:
wrong cameras are wrong for all corners of a view alike."""


@dataclass(frozen=True)
class HeldOut:
    """How well given cameras explain views of a moving board that they have never met."""

    rigid_px: float
    """Root mean square error of the corners, the board's motion fitted to the views."""
    free_px: float
    """The same after each corner was moved to one instant by that motion and triangulated for itself."""
    square_std_m: float
    """Standard deviation of neighbouring corners' distance among the latter, metres."""
    square_bias_m: float
    """Its mean error, metres."""
    squares: int
    """Distances that were measured."""
    frames: int
    """Instants that several cameras shared."""
    camera_px: Mapping[str, float]
    """Rigid error of every camera."""
    train_px: float = float("nan")
    """Error of the cameras on the views that they were solved with."""


@dataclass(frozen=True)
class Repeatability:
    """Two calibrations, each from half of the footage, laid on each other."""

    points_m: float
    """Root mean square distance of points of the board's volume that both triangulate, metres."""
    center_m: Mapping[str, float]
    """Distance of each camera's two centres: lens centre and place trade with each other."""
    turn_deg: Mapping[str, float]
    """Angle between each camera's two directions."""


def judge_cameras(
    cameras: Cameras,
    views: Sequence[BoardView],
    board: Board,
    *,
    offset_s: Mapping[str, float],
    step_s: float,
    options: BundleOptions | None = None,
) -> HeldOut | None:
    """Judge cameras by views that they were not solved with; None where these fix no board pose.

    Cameras and lenses stay; constant delays, line delays, the frames' own time errors and the board's path
    are fitted to the views.

    Args:
        cameras: the cameras, posed, whoever calibrated them.
        views: what they saw, frame numbers as of ``calibration.timed.association``.
        board: the board.
        offset_s: seconds to add to each camera's own times, to begin with.
        step_s: time between frames.
        options: how the motion is fitted.
    """
    views = near_shared(usable_views(views))
    posed = fit_boards(cameras, views, board, options)
    if posed is None:
        return None
    boards = dict(zip(posed.frames, posed.world_from_board, strict=True))
    problem = timed_problem(views, board, cameras, boards, offset_s=offset_s, step_s=step_s, options=options)
    still = torch.zeros_like(problem.free.pose), torch.zeros_like(problem.free.lens)
    free = problem.free._replace(pose=still[0], lens=still[1])
    fitted = adjust_timed(replace(problem, free=free, rounds=2))
    limit_px = _MISTAKE_PX * float(cameras.size_px.amax()) / 1280.0
    error = [_without_mistakes(some, limit_px) for some in fitted.error_px]
    rigid = [_present(some) for some in error]
    moved = _at_instants(fitted, problem.views, cameras, board, error)
    xyz = triangulate(cameras, moved, 1.0).xyz_world
    left = (cameras.project(xyz)[0].transpose(-3, -2) - moved).reshape(-1, 2)
    square = _squares(xyz.reshape(-1, len(board.corners_xyz), 3), board)
    return HeldOut(
        rigid_px=_rms(torch.cat(rigid)),
        free_px=_rms(_present(left)),
        square_std_m=float(square.std()) if len(square) > 1 else float("nan"),
        square_bias_m=float(square.mean()) if len(square) else float("nan"),
        squares=len(square),
        frames=len(moved) // len(board.corners_xyz),
        camera_px={name: _rms(some) for name, some in zip(cameras.names, rigid, strict=True)},
    )


def pooled(several: Sequence[HeldOut]) -> HeldOut:
    """The figures of several judgements as one: root mean squares, and the mean of biases."""

    def rms(values: Sequence[float]) -> float:
        return (sum(value**2 for value in values) / len(values)) ** 0.5

    return HeldOut(
        rigid_px=rms([one.rigid_px for one in several]),
        free_px=rms([one.free_px for one in several]),
        square_std_m=rms([one.square_std_m for one in several]),
        square_bias_m=sum(one.square_bias_m for one in several) / len(several),
        squares=sum(one.squares for one in several),
        frames=sum(one.frames for one in several),
        camera_px={name: rms([one.camera_px[name] for one in several]) for name in several[0].camera_px},
        train_px=rms([one.train_px for one in several]),
    )


def compare_cameras(one: Cameras, other: Cameras, xyz_world: Tensor) -> Repeatability:
    """How far two calibrations of the same cameras lie apart, best laid on each other.

    Args:
        one: a calibration.
        other: another, of the same cameras in the same order, in any frame.
        xyz_world: (N, 3) points of the volume in the frame of ``one``, metres: those that the other cameras
            make of the images that the first have of them are compared.
    """
    seen = one.project(xyz_world)[0].transpose(-3, -2)  # (N, C, 2)
    inside = ((seen >= -0.5) & (seen <= one.size_px - 0.5)).all(-1, keepdim=True)
    seen = torch.where(inside, seen, torch.nan)
    theirs = triangulate(other, seen, 1.0).xyz_world
    good = torch.isfinite(theirs).all(-1)
    rotation, shift = cast(
        tuple[Tensor, Tensor], roma.rigid_points_registration(theirs[good], xyz_world[good])
    )
    apart = (theirs[good] @ rotation.T + shift - xyz_world[good]).norm(dim=-1)
    center = (other.centers_world @ rotation.T + shift - one.centers_world).norm(dim=-1)
    turned = other.cam_from_world[:, :3, :3] @ rotation.T
    turn = torch.rad2deg(roma.rotmat_geodesic_distance(turned, one.cam_from_world[:, :3, :3]))
    return Repeatability(
        points_m=float(apart.square().mean().sqrt()),
        center_m=dict(zip(one.names, center.tolist(), strict=True)),
        turn_deg=dict(zip(one.names, turn.tolist(), strict=True)),
    )


def _at_instants(
    fitted: TimedBundle,
    groups: Sequence[CameraViews],
    cameras: Cameras,
    board: Board,
    error_px: Sequence[Tensor],
) -> Tensor:
    """(F * K, C, 2) corners of every shared instant as they would have been seen at its middle; NaN missing.

    The fitted motion says how far a corner went between the camera's time and the instant's; what it leaves
    unexplained stays with the corner.
    """
    state = fitted.state
    times = [
        views.own_s + state.clock[c, 0] + state.clock[c, 1] * (views.own_s - views.middle_s)
        for c, views in enumerate(groups)
    ]
    every = torch.cat([views.frame for views in groups])
    frames, row = every.unique(return_inverse=True)
    middle_s = torch.zeros(len(frames), dtype=torch.float64).index_add_(0, row, torch.cat(times))
    middle_s = middle_s / torch.bincount(row)
    xy = torch.full((len(frames), len(board.corners_xyz), len(cameras), 2), torch.nan, dtype=torch.float64)
    for c, views in enumerate(groups):
        if not len(views.own_s):
            continue
        at = torch.searchsorted(frames, views.frame)
        interval, part = state.motion.at(middle_s[at])
        wide = (len(views.own_s), views.xy_px.shape[1])
        interval, part = (value[:, None].expand(wide).flatten() for value in (interval, part))
        xyz = carry(state.motion, interval, part, views.xyz_board.flatten(0, 1))
        there = cameras[c : c + 1].project_each(xyz[None])[0][0].reshape(*wide, 2)
        seen = views.seen
        xy[at[:, None].expand(wide)[seen], views.ids[seen], c] = (there - error_px[c])[seen]
    several = torch.isfinite(xy).all(-1).any(1).sum(-1) > 1
    return xy[several].flatten(0, 1)


def _squares(xyz: Tensor, board: Board) -> Tensor:
    """Errors of all distances between neighbouring corners, metres."""
    ends = xyz[:, board.neighbours]
    error = (ends[..., 0, :] - ends[..., 1, :]).norm(dim=-1).flatten() - board.neighbour_m
    return error[torch.isfinite(error)]


def _without_mistakes(error_px: Tensor, limit_px: float) -> Tensor:
    """(V, K, 2) errors, NaN where a corner was mistaken for something else."""
    if not error_px.numel():
        return error_px
    typical = error_px.nanmedian(1, keepdim=True).values
    return torch.where(((error_px - typical).norm(dim=-1) < limit_px)[..., None], error_px, torch.nan)


def _present(error_px: Tensor) -> Tensor:
    """(N, 2) the errors that are there."""
    flat = error_px.reshape(-1, 2)
    return flat[torch.isfinite(flat).all(-1)]


def _rms(error_px: Tensor) -> float:
    return float(error_px.square().sum(-1).mean().sqrt()) if len(error_px) else float("nan")
