"""A synthetic take with known truth: a body of rigid bones that walks and gestures in a ring of cameras.

Keypoints are the projected joints plus what goes wrong in a detector: white or lasting errors, wrong points,
missing ones, and left and right exchanged. Everything follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.keypoints import CameraKeypoints
from mocap.sync import CameraClock, Clock
from rigs.keypoints import KEYPOINT_SETS

FloatArray = NDArray[np.floating]
NAMES = KEYPOINT_SETS["halpe26"]
CHAIN = {  # child: (parent, offset in the parent's frame, frame that it turns with)
    "mid_hip": (None, (0.0, 0.0, 0.0), "pelvis"),
    "neck": ("mid_hip", (0.0, 0.0, 0.48), "spine"),
    "head_top": ("neck", (0.01, 0.0, 0.26), "head"),
    "nose": ("neck", (0.11, 0.0, 0.12), "head"),
    **{
        f"{side}_{part}": (parent if parent == "neck" else f"{side}_{parent}", (x, sign * y, z), frame)
        for side, sign in (("left", 1.0), ("right", -1.0))
        for part, parent, (x, y, z), frame in (
            ("eye", "neck", (0.09, 0.03, 0.16), "head"),
            ("ear", "neck", (0.0, 0.075, 0.14), "head"),
            ("shoulder", "neck", (0.0, 0.17, -0.05), f"{side} clavicle"),
            ("elbow", "shoulder", (0.0, 0.0, -0.28), f"{side} arm"),
            ("wrist", "elbow", (0.0, 0.0, -0.25), f"{side} forearm"),
            ("knee", "hip", (0.0, 0.0, -0.42), f"{side} thigh"),
            ("ankle", "knee", (0.0, 0.0, -0.41), f"{side} shank"),
            ("heel", "ankle", (-0.05, 0.0, -0.07), f"{side} foot"),
            ("big_toe", "ankle", (0.17, -0.03, -0.08), f"{side} foot"),
            ("small_toe", "ankle", (0.13, 0.05, -0.08), f"{side} foot"),
        )
    },
    "left_hip": ("mid_hip", (0.0, 0.09, -0.03), "pelvis"),
    "right_hip": ("mid_hip", (0.0, -0.09, -0.03), "pelvis"),
}
"""The body; bones keep their lengths exactly."""
_TURNS = {  # frame: (frame it hangs on, axis 0 x 1 y 2 z, mean, gait's swing, wander), several per frame
    "pelvis": ("heading", ((0, 0.0, 0.04, 0.03), (1, 0.05, 0.0, 0.04))),
    "spine": ("pelvis", ((0, 0.0, 0.0, 0.08), (1, 0.08, 0.0, 0.10), (2, 0.0, -0.12, 0.12))),
    "head": ("spine", ((0, 0.0, 0.0, 0.1), (1, 0.0, 0.0, 0.15), (2, 0.0, 0.0, 0.3))),
    **{
        f"{side} {part}": (parent if parent in ("spine", "pelvis") else f"{side} {parent}", turns)
        for side, sign in (("left", 1.0), ("right", -1.0))
        for part, parent, turns in (
            ("clavicle", "spine", ((0, 0.0, 0.0, 0.05), (2, 0.0, 0.0, 0.05))),
            ("arm", "spine", ((0, 0.5 * sign, 0.0, 0.4), (1, 0.0, 0.45 * sign, 0.35))),
            ("forearm", "arm", ((1, -0.7, -0.25 * sign, 0.35),)),
            ("thigh", "pelvis", ((0, 0.04 * sign, 0.0, 0.04), (1, -0.12, -0.4 * sign, 0.08))),
            ("shank", "thigh", ((1, 0.45, -0.4 * sign, 0.06),)),
            ("foot", "shank", ((1, -0.3, 0.2 * sign, 0.05),)),
        )
    },
}


@dataclass(frozen=True)
class Scene:
    """A take and its truth."""

    cameras: Cameras
    keypoints: dict[str, CameraKeypoints]
    clock: Clock
    truth: FloatArray
    """(T, K, 3) metres, world."""
    swapped: NDArray[np.bool_]
    """(T, C) views whose sides are exchanged."""


def make_scene(
    cameras: int = 8,
    frames: int = 1000,
    *,
    seed: int = 0,
    rate_hz: float = 60.0,
    sigma_px: float = 3.0,
    rho: float = 0.0,
    wrong: float = 0.03,
    missing: float = 0.10,
    swaps: float = 0.01,
    burst: int = 1,
    telling: bool = True,
) -> Scene:
    """A take of one person.

    Args:
        cameras: on a ring of 4 m.
        frames: of every camera, all at the same instants.
        seed: of everything random.
        rate_hz: frames per second.
        sigma_px: deviation of a coordinate.
        rho: correlation of an error with the next frame's.
        wrong: share of keypoints up to 150 px away.
        missing: share of keypoints that are not there.
        swaps: share of camera-frames whose sides are exchanged.
        burst: frames that an exchange lasts.
        telling: whether scores follow the errors; else they are all the same.
    """
    rng = np.random.default_rng(seed)
    truth = _motion(np.arange(frames) / rate_hz, rng)
    rig = _ring(cameras, rng)
    true_px = rig.project(torch.from_numpy(truth))[0].numpy()  # (T, C, K, 2)
    error = rng.normal(0, sigma_px, true_px.shape)
    for frame in range(1, frames if rho else 0):
        error[frame] = rho * error[frame - 1] + np.sqrt(1 - rho**2) * error[frame]
    off = rng.random(error.shape[:3]) < wrong
    far, angle = 150 * np.sqrt(rng.random(off.shape)), rng.uniform(0, 2 * np.pi, off.shape)
    error[off] = np.stack([far * np.cos(angle), far * np.sin(angle)], -1)[off]
    size = np.linalg.norm(error, axis=-1)
    told = np.where(off & (rng.random(off.shape) < 0.3), 4.0, size)
    score = 0.08 + 0.88 * np.exp(-told / 60) + rng.normal(0, 0.06, off.shape)
    score = np.clip(score, 0.02, 1.0) if telling else np.full(off.shape, 0.8)
    swapped = _bursts(rng, frames, cameras, swaps, burst)
    xy = true_px + error
    other = [NAMES.index(_across(name)) for name in NAMES]
    xy[swapped], score[swapped] = xy[swapped][:, other], score[swapped][:, other]
    gone = rng.random(off.shape) < missing
    gone |= ~((xy >= 0) & (xy < rig.size_px.numpy()[:, None])).all(-1)
    xy[gone], score[gone] = np.nan, 0.0
    time_s = np.arange(frames) / rate_hz
    keypoints = {
        name: CameraKeypoints(time_s, xy[:, c, None], score[:, c, None], NAMES, (1920, 1080))
        for c, name in enumerate(rig.names)
    }
    return Scene(rig, keypoints, Clock({name: CameraClock() for name in rig.names}), truth, swapped)


def _across(name: str) -> str:
    sides = {"left": "right", "right": "left"}
    return "_".join(sides.get(word, word) for word in name.split("_"))


def _bursts(
    rng: np.random.Generator, frames: int, cameras: int, share: float, burst: int
) -> NDArray[np.bool_]:
    if burst == 1:
        return rng.random((frames, cameras)) < share
    swapped = np.zeros((frames, cameras), dtype=bool)
    while swapped.mean() < share:
        first = rng.integers(1 - burst, frames)
        swapped[max(first, 0) : first + burst, rng.integers(cameras)] = True
    return swapped


def _wander(rng: np.random.Generator, time_s: FloatArray, size: float, fastest_hz: float = 1.0) -> FloatArray:
    """(T,) a sum of slow sines of standard deviation ``size``."""
    hz = np.exp(rng.uniform(np.log(0.05), np.log(fastest_hz), 6))
    strength = 1 / np.sqrt(hz)
    strength *= size * np.sqrt(2 / (strength**2).sum())
    return (strength * np.sin(2 * np.pi * hz * time_s[:, None] + rng.uniform(0, 2 * np.pi, 6))).sum(1)


def _turn(axis: int, angle: FloatArray) -> FloatArray:
    """(T, 3, 3) rotations about a coordinate axis."""
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    result = np.repeat(np.eye(3)[None], len(angle), 0)
    result[:, first, first] = result[:, second, second] = np.cos(angle)
    result[:, second, first], result[:, first, second] = np.sin(angle), -np.sin(angle)
    return result


def _motion(time_s: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(T, K, 3) metres: a walk in a figure of eight, with gestures."""
    lap = 2 * np.pi * time_s / 9
    gait = 2 * np.pi * 0.9 * time_s + _wander(rng, time_s, 0.3, 0.2)
    place = np.stack([0.75 * np.sin(lap), 0.45 * np.sin(2 * lap), 0.92 + 0.02 * np.cos(2 * gait)], 1)
    place += np.stack([_wander(rng, time_s, 0.03, 0.3) for _ in range(3)], 1) * [1, 1, 0.3]
    heading = np.unwrap(np.arctan2(np.gradient(place[:, 1]), np.gradient(place[:, 0])))
    frames = {"heading": _turn(2, heading)}
    for name, (parent, turns) in _TURNS.items():
        rotation = frames[parent]
        for axis, mean, swing, wander in turns:
            quick = _wander(rng, time_s, 0.08, 3.0) if "arm" in name and axis == 1 else 0.0
            angle = mean + swing * np.sin(gait) + _wander(rng, time_s, wander) + quick
            rotation = rotation @ _turn(axis, angle)
        frames[name] = rotation
    joints: dict[str, FloatArray] = {}
    waiting = dict(CHAIN)
    while waiting:
        for name, (parent, offset, frame) in list(waiting.items()):
            if parent is None or parent in joints:
                start = place if parent is None else joints[parent]
                joints[name] = start + frames[frame] @ np.array(offset)
                del waiting[name]
    return np.stack([joints[name] for name in NAMES], 1)


def _ring(count: int, rng: np.random.Generator) -> Cameras:
    """Cameras 4 m around, at different heights, with lenses that bend a little."""
    poses = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    for index in range(count):
        angle = 2 * np.pi * index / count + rng.uniform(-0.1, 0.1)
        center = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.0 + 1.5 * (0.618 * index % 1)])
        forward = np.array([0, 0, 0.9]) + rng.normal(0, 0.05, 3) - center
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        poses[index, :3, :3], poses[index, :3, 3] = map(torch.as_tensor, (rotation, -rotation @ center))
    focal = torch.as_tensor(1400 * rng.uniform(0.97, 1.03, (count, 1))) * torch.ones(1, 2)
    bend = np.concatenate([rng.uniform(-0.12, -0.04, (count, 1)), rng.uniform(0, 0.04, (count, 1))], 1)
    return Cameras(
        names=tuple(f"cam{index + 1}" for index in range(count)),
        size_px=torch.tensor([[1920.0, 1080.0]], dtype=torch.float64).repeat(count, 1),
        focal_px=focal,
        center_px=torch.as_tensor(np.array([959.5, 539.5]) + rng.normal(0, 12, (count, 2))),
        distortion=torch.as_tensor(np.concatenate([bend, np.zeros((count, 3))], 1)),
        cam_from_world=poses,
    )
