"""The rig of cameras round the stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class CameraRing:
    """Cameras on stands in a ring, all looking at the middle; each lens and stand a little different."""

    num_cameras: int = 4
    """How many."""
    size_px: tuple[int, int] = (1280, 720)
    """Width and height of the images."""
    focal_px: float = 850.0
    """Mean focal length; each camera's own lies within 4 %."""
    distortion: tuple[float, float, float, float] = (-0.11, 0.05, 0.0, 0.0)
    """Mean k1, k2, p1, p2; each camera's own differ a little. All zero makes straight lenses."""
    radius_m: float = 3.0
    """Distance from the middle of the stage, on the floor."""
    height_m: float = 2.25
    """Mean height of the cameras; neighbours stand 0.15 m higher and lower."""
    center_m: tuple[float, float] = (-0.6, 0.4)
    """The middle of the stage, world: the board rests off the middle, where two cameras see it well."""
    look_at_m: float = 0.8
    """Height that the cameras look at."""
    arc_deg: float = 360.0
    """The part of the ring that the cameras share; 360 is all round."""
    start_deg: float = 0.0
    """Direction of the first camera from the middle, counterclockwise from the world's x."""
    seed: int = 0
    """Of the differences between the cameras."""


def ring_of(num_cameras: int, *, size_px: tuple[int, int] = (1280, 720), seed: int = 0) -> CameraRing:
    """A good ring for so many cameras: four or more stand all round, fewer 80° apart on the board's side.

    The lenses show the same at any size of the pictures.
    """
    mean = CameraRing()
    arc_deg = 360.0 if num_cameras > 3 else 80.0 * (num_cameras - 1)
    return CameraRing(
        num_cameras=num_cameras,
        size_px=size_px,
        focal_px=mean.focal_px * size_px[0] / mean.size_px[0],
        arc_deg=arc_deg,
        start_deg=mean.start_deg - (0.0 if arc_deg >= 360.0 else arc_deg),
        seed=seed,
    )


def build_cameras(ring: CameraRing) -> Cameras:
    """The true cameras of a ring, named ``cam1``, ``cam2`` and so on.

    World: Z up, floor at 0, metres.
    """
    rng = np.random.default_rng(ring.seed)
    num = ring.num_cameras
    gaps = num if ring.arc_deg >= 360.0 else max(num - 1, 1)
    bearing = np.radians(ring.start_deg + ring.arc_deg / gaps * np.arange(num) + rng.uniform(-6, 6, num))
    radius = ring.radius_m * rng.uniform(0.95, 1.05, num)
    middle = np.array([*ring.center_m, ring.look_at_m])
    height = ring.height_m + np.where(np.arange(num) % 2 == 0, 0.15, -0.15) + rng.uniform(-0.05, 0.05, num)
    center = np.column_stack([radius * np.cos(bearing), radius * np.sin(bearing), np.zeros(num)])
    center += np.column_stack([np.tile(middle[:2], (num, 1)), height])
    target = middle + rng.uniform(-0.08, 0.08, (num, 3))
    focal = ring.focal_px * rng.uniform(0.96, 1.04, (num, 1)) * np.array([[1.0, 1.0]])
    focal[:, 1] *= rng.uniform(0.998, 1.002, num)
    size = np.tile(np.array(ring.size_px, float), (num, 1))
    principal = (size - 1) / 2 + rng.uniform(-0.008, 0.008, (num, 2)) * size[:, :1]
    mean = np.array(ring.distortion, float)
    spread = np.array([0.02, 0.01, 5e-4, 5e-4]) if mean.any() else np.zeros(4)
    distortion = mean + rng.uniform(-1, 1, (num, 4)) * spread
    return Cameras(
        names=tuple(f"cam{index + 1}" for index in range(num)),
        size_px=torch.from_numpy(size),
        focal_px=torch.from_numpy(focal),
        center_px=torch.from_numpy(principal),
        distortion=torch.from_numpy(distortion),
        cam_from_world=torch.from_numpy(
            np.stack([look_at(*pair) for pair in zip(center, target, strict=True)])
        ),
    )


def look_at(center: FloatArray, target: FloatArray) -> FloatArray:
    """(4, 4) cam_from_world of a level camera at ``center`` that looks at ``target``, (3,) metres, world."""
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    cam_from_world[:3, 3] = -cam_from_world[:3, :3] @ center
    return cam_from_world
