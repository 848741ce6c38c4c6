"""A small stage with cameras around it and people on it, whose keypoints are known exactly."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from calibration.cameras import Cameras
from mocap.keypoints import CameraKeypoints
from mocap.sync import CameraClock, Clock

NAMES = (
    "nose",
    *(
        f"{side}_{joint}"
        for joint in ("ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel", "big_toe")
        for side in ("left", "right")
    ),
)
LEFT_STANDING = {
    "nose": (0.1, 0.0, 1.6),
    "ear": (0.0, 0.07, 1.62),
    "shoulder": (0.0, 0.18, 1.42),
    "elbow": (0.0, 0.24, 1.13),
    "wrist": (0.05, 0.26, 0.87),
    "hip": (0.0, 0.1, 0.92),
    "knee": (0.02, 0.1, 0.49),
    "ankle": (0.0, 0.1, 0.08),
    "heel": (-0.05, 0.1, 0.02),
    "big_toe": (0.17, 0.12, 0.02),
}
"""A standing person who faces +X, metres; the right side is the mirror image."""


@dataclass(frozen=True)
class Actor:
    """Somebody who walks on the spot or about."""

    place: tuple[float, float] = (0.0, 0.0)
    """Where they begin, metres."""
    speed: tuple[float, float] = (0.0, 0.0)
    """Where they go, m/s."""
    swing_m: float = 0.15
    """How far arms and legs swing."""
    size: float = 1.0
    """1 is 1.7 m tall."""

    def at(self, time_s: np.ndarray) -> np.ndarray:
        """(F, K, 3) metres, world frame."""
        rest = np.array(
            [
                np.array(LEFT_STANDING[name.split("_", 1)[-1] if "_" in name else name])
                * ([1, -1, 1] if name.startswith("right") else [1, 1, 1])
                for name in NAMES
            ]
        )
        xyz = np.repeat(rest[None] * self.size, len(time_s), 0)
        for index, name in enumerate(NAMES):
            limb = any(part in name for part in ("wrist", "elbow", "knee", "ankle", "heel", "toe"))
            phase = np.pi if name.startswith("left") else 0.0
            xyz[:, index, 0] += limb * self.swing_m * np.sin(2 * np.pi * 0.8 * time_s + phase)
        xyz[..., :2] += np.array(self.place) + time_s[:, None, None] * np.array(self.speed)
        return xyz


@dataclass(frozen=True)
class Stage:
    """Cameras, their clocks, and what they see."""

    cameras: Cameras
    actors: Sequence[Actor]
    keypoints: dict[str, CameraKeypoints]
    clock: Clock = field(default_factory=lambda: Clock({}))


def ring(count: int) -> Cameras:
    """Cameras 4 m around the stage."""
    poses = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    for index in range(count):
        angle = 2 * np.pi * index / count + 0.3
        center = np.array([4.0 * np.cos(angle), 4.0 * np.sin(angle), 1.2 + 0.5 * (index % 2)])
        forward = np.array([0.0, 0.0, 0.9]) - center
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        poses[index, :3, :3] = torch.as_tensor(rotation)
        poses[index, :3, 3] = torch.as_tensor(-rotation @ center)
    ones = torch.ones(count, 1, dtype=torch.float64)
    return Cameras(
        names=tuple("abcdefgh"[:count]),
        size_px=ones * torch.tensor([1920.0, 1080.0], dtype=torch.float64),
        focal_px=1100.0 * ones * torch.ones(1, 2, dtype=torch.float64),
        center_px=ones * torch.tensor([959.5, 539.5], dtype=torch.float64),
        distortion=ones * torch.tensor([-0.08, 0.02, 0.0, 0.0, 0.0], dtype=torch.float64),
        cam_from_world=poses,
    )


def film(
    cameras: Cameras,
    name: str,
    actors: Sequence[Actor],
    time_s: np.ndarray,
    *,
    clock: CameraClock | None = None,
    noise_px: float = 0.0,
    seed: int = 0,
) -> CameraKeypoints:
    """What one camera's detector would say: everybody, in an order that changes from frame to frame."""
    clock = clock or CameraClock()
    rng = np.random.default_rng([seed, *name.encode()])
    take_s = clock.offset_s + (1 + 1e-6 * clock.drift_ppm) * time_s
    xy = np.stack(
        [cameras[name].project(torch.as_tensor(actor.at(take_s)))[0][:, 0].numpy() for actor in actors],
        1,
    )
    xy += rng.normal(0, noise_px, xy.shape) if noise_px else 0.0
    order = rng.permuted(np.tile(np.arange(len(actors)), (len(time_s), 1)), axis=1)
    xy = np.take_along_axis(xy, order[..., None, None], 1)
    return CameraKeypoints(time_s, xy, np.full(xy.shape[:-1], 0.9), NAMES, (1920, 1080))


@pytest.fixture
def make_stage() -> Callable[..., Stage]:
    """Builds a stage: ``make_stage(actors, cameras=4, frames=40, rate_hz=60.0, clocks={}, noise_px=0)``."""

    def make(
        actors: Sequence[Actor] = (Actor(),),
        *,
        cameras: int = 4,
        frames: int = 40,
        rate_hz: float | Mapping[str, float] = 60.0,
        clocks: Mapping[str, CameraClock] | None = None,
        noise_px: float = 0.0,
    ) -> Stage:
        rig = ring(cameras)
        clocks = {name: (clocks or {}).get(name, CameraClock()) for name in rig.names}
        keypoints = {}
        for name in rig.names:
            rate = rate_hz[name] if isinstance(rate_hz, Mapping) else rate_hz
            time_s = np.arange(frames) / rate
            keypoints[name] = film(rig, name, actors, time_s, clock=clocks[name], noise_px=noise_px)
        return Stage(rig, actors, keypoints, Clock(clocks))

    return make


@pytest.fixture
def actor_type() -> type[Actor]:
    """The kind of person that a stage takes."""
    return Actor
