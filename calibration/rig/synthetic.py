"""Planted calibration scenes: cameras round a space and a board carried through it, projected without images.

Tests measure against them, and a layout can be tried before anybody films. Everything follows from the
arguments and the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import roma
import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.cameras import Cameras
from calibration.world import FLIP

_SETTLE_S = 1.5
"""Time that it takes to lay the board down."""
_FACING = 0.35
"""Least cosine between the board's normal and the way to a camera that can find its corners."""


@dataclass(frozen=True)
class BoardScene:
    """What the cameras saw of a board, and the truth."""

    cameras: Cameras
    """The true cameras; world: the board at rest, as ``calibration.world`` defines it."""
    board: Board
    """The board."""
    world_from_board: Tensor
    """(F, 4, 4) true board poses, metres."""
    views: tuple[BoardView, ...]
    """What was seen, with noise."""
    rate_hz: float
    """Instants per second."""

    @property
    def size_px(self) -> dict[str, tuple[int, int]]:
        """Image size of every camera."""
        sizes = self.cameras.size_px.tolist()
        return {name: (int(w), int(h)) for name, (w, h) in zip(self.cameras.names, sizes, strict=True)}

    @property
    def time_s(self) -> dict[int, float]:
        """Time of every instant, seconds."""
        return {frame: frame / self.rate_hz for frame in range(len(self.world_from_board))}

    def of(self, *cameras: str) -> list[BoardView]:
        """The views of some cameras."""
        return [view for view in self.views if view.camera in cameras]


def ring_of_cameras(
    count: int = 4, *, radius_m: float = 3.5, height_m: float = 1.6, distorted: bool = True
) -> Cameras:
    """Cameras in a ring that look at its middle, no two alike, 1280x720, upright."""
    turn = 2.0 * math.pi * (torch.arange(count, dtype=torch.float64) + 0.3) / count
    odd = torch.arange(count, dtype=torch.float64) % 3 - 1.0
    height = height_m + 0.2 * odd
    centers = torch.stack([radius_m * turn.cos(), radius_m * turn.sin(), height], -1)
    middle = torch.tensor([0.0, 0.0, 0.8], dtype=torch.float64)
    focal = 900.0 + 40.0 * odd
    lens = torch.stack([-0.12 + 0.1 * odd, 0.05 - 0.03 * odd, 4e-4 * odd, -3e-4 * odd, 0.0 * odd], -1)
    return Cameras(
        names=tuple(f"cam{i + 1}" for i in range(count)),
        size_px=torch.tensor([[1280.0, 720.0]], dtype=torch.float64).repeat(count, 1),
        focal_px=torch.stack([focal, focal + odd], -1),
        center_px=torch.stack([639.5 + 5.0 * odd, 359.5 - 4.0 * odd], -1),
        distortion=lens if distorted else torch.zeros_like(lens),
        cam_from_world=torch.stack([looking_at(center, middle) for center in centers]),
    )


def carried_board(
    duration_s: float = 20.0,
    *,
    rate_hz: float = 10.0,
    rest_s: float = 1.0,
    reach_m: float = 1.0,
    lean_rad: float = 0.0,
) -> Tensor:
    """(F, 4, 4) world_from_board of a board that is carried round and turned, and laid down at the end.

    Args:
        duration_s: length of the whole.
        rate_hz: poses per second.
        rest_s: how long it lies on the floor at the world's origin.
        reach_m: how far from the middle it is carried.
        lean_rad: how far it leans back from upright, towards cameras above it.
    """
    count, resting = round(duration_s * rate_hz), round(rest_s * rate_hz)
    time = torch.arange(count, dtype=torch.float64) / rate_hz
    tilt = torch.stack(
        [
            -math.pi / 2 - lean_rad - 0.5 * (1.3 * time).sin(),
            -0.7 * (0.9 * time + 1.0).sin(),
            torch.zeros_like(time),
        ],
        -1,
    )
    spin = torch.stack([torch.zeros_like(time), torch.zeros_like(time), 1.1 * time], -1)
    pose = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    pose[:, :3, :3] = roma.rotvec_to_rotmat(spin) @ roma.rotvec_to_rotmat(tilt)
    pose[:, 0, 3] = reach_m * (0.7 * time).sin()
    pose[:, 1, 3] = reach_m * (1.1 * time).cos()
    pose[:, 2, 3] = 0.9 + 0.4 * (0.5 * time).sin()
    if resting:
        _lay_down(pose, count - resting, max(1, round(_SETTLE_S * rate_hz)))
    return pose


def _lay_down(pose: Tensor, resting: int, settling: int) -> None:
    """Let a path end on the floor, in place: smoothly, over so many poses, from there on at rest."""
    part = (1.0 + (torch.arange(len(pose), dtype=torch.float64) - resting) / settling).clamp(0.0, 1.0)
    part = part * part * (3.0 - 2.0 * part)
    turn = roma.rotmat_to_rotvec(pose[:, :3, :3].mT @ FLIP[:3, :3])
    pose[:, :3, :3] = pose[:, :3, :3] @ roma.rotvec_to_rotmat(part[:, None] * turn)
    pose[:, :3, 3] = (1.0 - part)[:, None] * pose[:, :3, 3]


def look_at_board(
    cameras: Cameras,
    board: Board,
    world_from_board: Tensor,
    *,
    noise_px: float = 0.2,
    rate_hz: float = 10.0,
    late_s: Sequence[float] = (),
    seed: int = 0,
) -> BoardScene:
    """What cameras see of a moving board: corners in the image, of boards that face them, with noise.

    Args:
        cameras: the cameras.
        board: the board.
        world_from_board: (F, 4, 4) its pose at every instant, metres.
        noise_px: standard deviation of a coordinate, pixels.
        rate_hz: instants per second.
        late_s: by how much each camera's images are late; empty for cameras in step.
        seed: of the noise.
    """
    generator = np.random.default_rng(seed)
    views: list[BoardView] = []
    count = len(world_from_board)
    for camera, name in enumerate(cameras.names):
        shift = late_s[camera] * rate_hz if late_s else 0.0
        seen_at = (torch.arange(count, dtype=torch.float64) - shift).clamp(0, count - 1)
        for frame, pose in enumerate(_between(world_from_board, seen_at)):
            xyz = board.corners_xyz @ pose[:3, :3].T + pose[:3, 3]
            away = cameras.centers_world[camera] - xyz.mean(0)
            if -float(pose[:3, 2] @ away / away.norm()) < _FACING:
                continue
            xy, valid = (value[0] for value in cameras[[name]].project(xyz))
            inside = valid & ((xy >= 0) & (xy <= cameras.size_px[camera] - 1)).all(-1)
            ids = torch.nonzero(inside)[:, 0]
            noise = torch.from_numpy(generator.normal(size=(len(ids), 2)))
            if len(ids):
                views.append(BoardView(name, frame, frame / rate_hz, ids, xy[ids] + noise_px * noise))
    views.sort(key=lambda view: (view.frame, view.camera))
    return BoardScene(cameras, board, world_from_board, tuple(views), rate_hz)


@dataclass(frozen=True)
class FreeRun:
    """How cameras without a common clock run."""

    offset_s: Sequence[float] = ()
    """Seconds to add to each camera's own times to have the rig's; empty for none."""
    drift: Sequence[float] = ()
    """Seconds that each camera's clock loses in a second; empty for none."""
    line_delay_s: float = 0.0
    """From one row of an image to the next; an image has the time of its middle row."""
    jitter_s: float = 0.0
    """Standard deviation of the times of single frames, which no file tells."""


def film_freely(
    cameras: Cameras,
    board: Board,
    world_from_board: Tensor,
    path_hz: float,
    rate_hz: float,
    run: FreeRun,
    *,
    noise_px: float = 0.2,
    seed: int = 0,
) -> BoardScene:
    """What free-running cameras see of a moving board, each at its own times; frames count their images.

    Args:
        cameras: the cameras.
        board: the board.
        world_from_board: (P, 4, 4) its path, finely sampled, metres.
        path_hz: samples of the path per second.
        rate_hz: images of every camera per second of its own clock.
        run: their clocks and shutters.
        noise_px: standard deviation of a coordinate, pixels.
        seed: of noise and jitter.

    Returns:
        The scene; its board poses are those at the nominal time of every image.
    """
    generator = np.random.default_rng(seed)
    own_s = torch.arange(int(len(world_from_board) / path_hz * rate_hz), dtype=torch.float64) / rate_hz
    middle_row = (cameras.size_px[:, 1] - 1.0) / 2.0
    views: list[BoardView] = []
    for c, name in enumerate(cameras.names):
        drift, offset_s = run.drift[c] if run.drift else 0.0, run.offset_s[c] if run.offset_s else 0.0
        jitter = torch.from_numpy(generator.normal(size=len(own_s))) * run.jitter_s
        rig_s = own_s + offset_s + drift * (own_s - own_s.mean()) + jitter
        row = middle_row[c].expand(len(own_s), len(board.corners_xyz))
        xy = xyz = pose = valid = torch.empty(0)
        for _ in range(4 if run.line_delay_s else 1):  # the row decides the time, and the time the row
            at = (rig_s[:, None] + run.line_delay_s * (row - middle_row[c])) * path_hz
            pose = _between(world_from_board, at.flatten().clamp(0, len(world_from_board) - 1))
            corners = board.corners_xyz.repeat(len(own_s), 1)
            xyz = (pose[:, :3, :3] @ corners[..., None])[..., 0] + pose[:, :3, 3]
            xy, valid = (value[0] for value in cameras[[name]].project(xyz))
            xy, valid = xy.reshape(*row.shape, 2), valid.reshape(row.shape)
            row = xy[..., 1].nan_to_num(nan=float(middle_row[c]))
        away = cameras.centers_world[c] - xyz
        facing = -(pose[:, :3, 2] * away).sum(-1) / away.norm(dim=-1)
        inside = valid & ((xy >= 0) & (xy <= cameras.size_px[c] - 1)).all(-1)
        inside &= (facing.reshape(row.shape) > _FACING).all(-1, keepdim=True)
        noise = noise_px * torch.from_numpy(generator.normal(size=tuple(xy.shape)))
        for frame in torch.nonzero(inside.any(-1))[:, 0].tolist():
            ids = torch.nonzero(inside[frame])[:, 0]
            views.append(BoardView(name, frame, float(own_s[frame]), ids, (xy + noise)[frame, ids]))
    views.sort(key=lambda view: (view.frame, view.camera))
    poses = _between(world_from_board, (own_s * path_hz).clamp(0, len(world_from_board) - 1))
    return BoardScene(cameras, board, poses, tuple(views), rate_hz)


def _between(poses: Tensor, at: Tensor) -> Tensor:
    """Poses (F, 4, 4) at fractional instants, along the straight way and the shortest turn."""
    low = at.floor().long().clamp(max=len(poses) - 1)
    high = (low + 1).clamp(max=len(poses) - 1)
    part = (at - low)[:, None]
    step = roma.rotmat_to_rotvec(poses[low, :3, :3].mT @ poses[high, :3, :3])
    between = poses[low].clone()
    between[:, :3, :3] = poses[low, :3, :3] @ roma.rotvec_to_rotmat(part * step)
    between[:, :3, 3] = (1.0 - part) * poses[low, :3, 3] + part * poses[high, :3, 3]
    return between


def looking_at(center: Tensor, target: Tensor) -> Tensor:
    """(4, 4) cam_from_world of an upright camera at a place that looks at another, (3,) metres, world."""
    forward = (target - center) / (target - center).norm()
    right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    right = right / right.norm()
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ center
    return pose
