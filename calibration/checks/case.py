"""What the checks of a calibration look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.cameras import Cameras
from calibration.rig.calibrate import CameraResiduals, RigCalibration
from calibration.rig.schur import POSE
from calibration.rig.score import CornerErrors

_WIDTH_PX = 1280.0
"""Limits in pixels are meant for images of this width."""
_PARTS = (slice(0, 3), slice(3, 6))
"""Place and turn in the tangent of a pose."""
_REACH_S = 1.0
"""Board poses further apart than this say nothing of its motion between them."""


@dataclass(frozen=True)
class Footage:
    """The board footage behind a calibration."""

    board: Board
    """The board."""
    views: Sequence[BoardView]
    """What all cameras saw of it in the shared clip, every examined frame."""
    lens_views: Mapping[str, Sequence[BoardView]] = field(default_factory=dict)
    """By camera, what it saw in its own clip."""
    examined: Mapping[str, int] = field(default_factory=dict)
    """By camera, images of the shared clip that were searched."""
    with_markers: Mapping[str, int] = field(default_factory=dict)
    """By camera, images among them in which markers were seen."""


@dataclass(frozen=True)
class Case:
    """A calibration and all that is known about it."""

    rig: RigCalibration
    """The calibration."""
    footage: Footage | None = None
    """The footage that it was made from."""
    stored: Cameras | None = None
    """An older calibration of the same cameras."""
    measured_m: Sequence[tuple[float, float]] = ()
    """Lengths in the calibrated world beside the same lengths measured with a tape, metres."""
    max_rms_px: float = 2.0
    """Largest error of all shared views, pixels at an image width of 1280."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The cameras."""
        return self.rig.cameras.names

    def px(self, name: str | None = None) -> float:
        """What one pixel at 1280 pixels of width is in the images of a camera, or of the largest one."""
        size = self.rig.cameras.size_px
        size = size if name is None else size[self.names.index(name)]
        return float(size.amax()) / _WIDTH_PX

    @cached_property
    def board_centers(self) -> Tensor:
        """(F, 3) where the board was, world, metres."""
        poses = self.rig.path.world_from_board
        if self.footage is None:
            return poses[:, :3, 3]
        middle = self.footage.board.corners_xyz.mean(0)
        return poses[:, :3, :3] @ middle + poses[:, :3, 3]

    @cached_property
    def distance_m(self) -> dict[str, float]:
        """By camera, how far the board was away from it, the middle of all frames."""
        apart = torch.cdist(self.rig.cameras.centers_world, self.board_centers)
        return {name: float(row.median()) for name, row in zip(self.names, apart, strict=True)}

    @cached_property
    def shared_px(self) -> dict[str, float]:
        """By camera, root mean square error of the corners that it shares."""
        return self.rig.camera_rms_px(shared=True)

    @cached_property
    def errors(self) -> CornerErrors | None:
        """The errors of all shared corners with the board's motion; None without footage or residuals."""
        if self.footage is None or not self.rig.residuals:
            return None
        board, every = self.footage.board, self.rig.residuals.items()
        parts = [self._errors_of(name, some, board) for name, some in every if len(some.frame)]
        if not parts:
            return None
        rows = {key: torch.cat([vars(part)[key] for part in parts]) for key in vars(parts[0])}
        return CornerErrors(**rows)

    def _errors_of(self, name: str, some: CameraResiduals, board: Board) -> CornerErrors:
        path, clock, row = self.rig.path, self.rig.clocks[name], self.names.index(name)
        lines = some.xy_px[:, 1] - (self.rig.cameras.size_px[row, 1] - 1.0) / 2.0
        time = torch.tensor([clock.rig_time_s(float(t)) for t in some.time_s], dtype=torch.float64)
        time = time + clock.line_delay_s * lines
        after = torch.searchsorted(path.time_s, time).clamp(1, len(path.time_s) - 1)
        xyz_board = board.corners_xyz[some.corner]
        down = torch.zeros_like(xyz_board)
        down[:, 1] = xyz_board[:, 1]
        first, second = path.world_from_board[after - 1], path.world_from_board[after]
        one, other = (_placed(pose, xyz_board) for pose in (first, second))
        gap = path.time_s[after] - path.time_s[after - 1]
        part = ((time - path.time_s[after - 1]) / gap).clamp(0.0, 1.0)
        velocity = torch.where((gap < _REACH_S)[:, None], (other - one) / gap[:, None], 0.0)
        near = torch.where((part < 0.5)[:, None, None], first, second)
        return CornerErrors(
            camera=torch.full_like(some.frame, row),
            frame=some.frame,
            time_s=time,
            xyz_world=one + part[:, None] * (other - one),
            velocity_world=velocity,
            stretch_world=(near[:, :3, :3] @ down[..., None])[..., 0],
            error_px=some.error_px,
        )

    def spread_m(self, name: str) -> float:
        """Standard deviation of a camera's centre in its worst direction, metres."""
        # cam_from_world <- exp([rho, phi]) cam_from_world moves the centre by -R^T rho, whatever phi.
        part = self.rig.covariance[self.names.index(name), :3, :3]
        return math.sqrt(max(0.0, float(torch.linalg.eigvalsh(part)[-1])))

    def pose_std(self, name: str) -> tuple[float, float]:
        """How well a camera's centre (m) and direction (degrees) are known while its lens stays as it is.

        Lens and pose trade with each other: whoever keeps the lens may move the camera by this much only.
        """
        whole = self.rig.covariance[self.names.index(name)]
        scale = whole.diagonal().clamp(min=1e-300).rsqrt()
        lens = scale[POSE:, None] * whole[POSE:, POSE:] * scale[POSE:]
        inverse = scale[POSE:, None] * torch.linalg.pinv(lens, rtol=1e-9, hermitian=True) * scale[POSE:]
        pose = whole[:POSE, :POSE] - whole[:POSE, POSE:] @ inverse @ whole[POSE:, :POSE]
        std = [torch.linalg.eigvalsh(pose[part, part])[-1].clamp(min=0).sqrt() for part in _PARTS]
        return float(std[0]), math.degrees(float(std[1]))


def _placed(pose: Tensor, xyz_board: Tensor) -> Tensor:
    return (pose[:, :3, :3] @ xyz_board[..., None])[..., 0] + pose[:, :3, 3]
