"""Several people as detectors would see them: real walks, cameras all round, missed, false and confused.

Everything is planted: who each detection shows is known, so that handovers, fragments and doubles can be
counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from calibration.cameras import Cameras
from mocap.keypoints import CameraKeypoints
from mocap.sync import CameraClock, Clock
from tests.mocap.conftest import LEFT_STANDING, NAMES, ring

RATE_HZ = 30.0
WIDTH, HEIGHT = 1920, 1080


@dataclass(frozen=True)
class Walker:
    """Somebody on a path, with a body of their own."""

    path: np.ndarray
    """(T, 2) where they are on the floor, metres; NaN while they are away."""
    size: float = 1.0
    """1 is 1.7 m tall."""
    limbs: float = 1.0
    """Length of arms and legs, as a share of what is usual."""
    cadence_hz: float = 0.9
    """Steps."""
    phase: float = 0.0
    """Where in the step they begin, radians."""
    heading: np.ndarray | float = 0.0
    """(T,) where they look, radians; 0 is +X."""

    def at(self, time_s: np.ndarray) -> np.ndarray:
        """(T, K, 3) metres."""
        swing = np.sin(2 * np.pi * self.cadence_hz * time_s + self.phase)
        rest = np.array(
            [
                np.array(LEFT_STANDING[name.split("_", 1)[-1] if "_" in name else name])
                * ([1, -1, 1] if name.startswith("right") else [1, 1, 1])
                for name in NAMES
            ]
        )
        hip, shoulder = 0.92, 1.42
        rest[:, 2] = np.where(rest[:, 2] < hip, hip - (hip - rest[:, 2]) * self.limbs, rest[:, 2])
        rest[:, 2] += hip * (self.limbs - 1)
        xyz = np.repeat(rest[None] * self.size, len(time_s), 0)
        for index, name in enumerate(NAMES):
            sign = 1.0 if name.startswith("left") else -1.0
            leg = any(part in name for part in ("knee", "ankle", "heel", "toe"))
            arm = any(part in name for part in ("elbow", "wrist"))
            if not (leg or arm):
                continue
            pivot = (hip if leg else shoulder) * self.size * (1.0 if arm else self.limbs)
            angle = 0.45 * swing * (sign if leg else -sign)
            x, z = xyz[:, index, 0].copy(), xyz[:, index, 2] - pivot
            xyz[:, index, 0] = x * np.cos(angle) - z * np.sin(angle)
            xyz[:, index, 2] = x * np.sin(angle) + z * np.cos(angle) + pivot
        turn = np.broadcast_to(self.heading, time_s.shape)[:, None]
        x, y = xyz[..., 0].copy(), xyz[..., 1].copy()
        xyz[..., 0] = x * np.cos(turn) - y * np.sin(turn) + self.path[:, 0, None]
        xyz[..., 1] = x * np.sin(turn) + y * np.cos(turn) + self.path[:, 1, None]
        return xyz


@dataclass(frozen=True)
class Scene:
    """What the cameras saw, and who it was."""

    cameras: Cameras
    clock: Clock
    keypoints: dict[str, CameraKeypoints]
    who: dict[str, np.ndarray]
    """(F, P) number of the walker in each row, -1 for nobody, -2 for a false one."""
    xyz: np.ndarray
    """(T, N, K, 3) metres, the truth."""
    time_s: np.ndarray


def film(
    walkers: Sequence[Walker],
    *,
    cameras: int = 4,
    missed: float = 0.0,
    false_people: float = 0.0,
    noise_px: float = 4.0,
    occlusion: bool = True,
    seed: int = 0,
) -> Scene:
    """Detect everybody in every view.

    Args:
        walkers: the people; their paths are of one length.
        cameras: how many, on a ring of 4 m.
        missed: share of the detections that are missing, in bursts of about five frames.
        false_people: false detections in each picture, on average; they stay for about ten frames.
        noise_px: deviation of a coordinate, slow and fast parts alike.
        occlusion: somebody who stands behind another one loses what is hidden, and is lost if that is most.
        seed: of all of it.
    """
    rng = np.random.default_rng(seed)
    frames = len(walkers[0].path)
    time_s = np.arange(frames) / RATE_HZ
    xyz = np.stack([walker.at(time_s) for walker in walkers], 1)
    rig = ring(cameras)
    keypoints, who = {}, {}
    for name in rig.names:
        camera = rig[name]
        xy = camera.project(torch.from_numpy(xyz.reshape(-1, 3)))[0][0].numpy().reshape(*xyz.shape[:3], 2)
        away = np.linalg.norm(xyz.mean(2) - camera.centers_world.numpy(), axis=-1)
        slow = rng.normal(0, 1, (frames // 10 + 2, *xy.shape[1:]))
        at = np.arange(frames) / 10
        part = (at % 1)[:, None, None, None]
        slow = (1 - part) * slow[at.astype(int)] + part * slow[at.astype(int) + 1]
        seen = xy + noise_px * (slow + 0.6 * rng.normal(0, 1, xy.shape))
        if occlusion:
            seen = _hide(seen, xy, away)
        burst = np.repeat(rng.random((frames // 5 + 1, len(walkers))) < missed, 5, 0)[:frames]
        seen[burst] = np.nan
        outside = (seen < -50).any(-1) | (seen > [WIDTH + 50, HEIGHT + 50]).any(-1)
        seen[outside] = np.nan
        ghosts = _ghosts(xy, false_people, rng)
        people = np.concatenate([seen, ghosts], 1)
        label = np.concatenate(
            [np.tile(np.arange(len(walkers)), (frames, 1)), np.full(ghosts.shape[:2], -2)], 1
        )
        label[np.isfinite(people).all(-1).sum(-1) < 3] = -1
        order = rng.permuted(np.tile(np.arange(people.shape[1]), (frames, 1)), axis=1)
        people = np.take_along_axis(people, order[..., None, None], 1)
        who[name] = np.take_along_axis(label, order, 1)
        score = np.where(np.isfinite(people).all(-1), 0.9, np.nan)
        keypoints[name] = CameraKeypoints(time_s, people, score, NAMES, (WIDTH, HEIGHT))
    clock = Clock({name: CameraClock() for name in rig.names})
    return Scene(rig, clock, keypoints, who, xyz, time_s)


def _hide(seen: np.ndarray, xy: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Take away what somebody nearer to the camera covers; who is mostly covered is not seen at all."""
    seen = seen.copy()
    low, high = xy.min(2), xy.max(2)
    inset = 0.15 * (high - low) * [1.0, 0.0]
    for far in range(xy.shape[1]):
        for near in range(xy.shape[1]):
            if near == far:
                continue
            inside = (
                (xy[:, far] > (low + inset)[:, near, None]) & (xy[:, far] < (high - inset)[:, near, None])
            ).all(-1)
            hidden = inside & (away[:, near] < away[:, far] - 0.15)[:, None]
            seen[:, far][hidden] = np.nan
    lost = np.isfinite(seen).all(-1).mean(-1) < 0.4
    seen[lost] = np.nan
    return seen


def _ghosts(xy: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """False people: somebody's shape somewhere else in the picture, standing still."""
    frames = len(xy)
    count = int(np.ceil(rate * 2))
    ghosts = np.full((frames, count, *xy.shape[2:]), np.nan)
    for row in range(count):
        for start in range(0, frames, 10):
            shape = xy[start, rng.integers(xy.shape[1])]
            if rng.random() < rate / count and np.isfinite(shape).all():
                shift = rng.uniform([0, 0], [WIDTH, HEIGHT]) - shape.mean(0)
                ghosts[start : start + 10, row] = shape + shift + rng.normal(0, 2, shape.shape)
    return ghosts


def thinned(scene: Scene, step: int) -> Scene:
    """Every so many-th frame."""
    return replace(
        scene,
        keypoints={
            name: replace(
                view, time_s=view.time_s[::step], xy_px=view.xy_px[::step], score=view.score[::step]
            )
            for name, view in scene.keypoints.items()
        },
        who={name: label[::step] for name, label in scene.who.items()},
        xyz=scene.xyz[::step],
        time_s=scene.time_s[::step],
    )


@dataclass(frozen=True)
class Identity:
    """How an association did."""

    people: int
    """People found."""
    right: float
    """Share of the camera-frames with somebody that are given to the person who is mostly that somebody."""
    wrong: float
    """Share of what was given out that shows somebody else than the person mostly is."""
    handovers: int
    """People who show several walkers, for a tenth of their frames or more."""
    fragments: int
    """People beyond the first one who are mostly the same walker."""


def identity(scene: Scene, people: Sequence[object]) -> Identity:
    """Compare the rows of people with who it was."""
    walkers = scene.xyz.shape[1]
    counts = np.zeros((len(people), walkers + 2))
    total = sum((label >= 0).sum() for label in scene.who.values())
    for index, person in enumerate(people):
        for name, label in scene.who.items():
            rows = person.rows[name]
            frame = np.flatnonzero(rows >= 0)
            shown = label[frame, rows[frame]]
            counts[index] += np.bincount(shown + 2, minlength=walkers + 2)
    own = counts[:, 2:]
    mostly = own.argmax(1) if len(people) else np.zeros(0, int)
    best = {walker: own[:, walker].argmax() for walker in range(walkers)} if len(people) else {}
    right = sum(own[index, walker] for walker, index in best.items() if mostly[index] == walker)
    given = counts[:, [0, *range(2, walkers + 2)]].sum()  # parts of somebody beside their main row are right
    wrong = given - sum(own[index, who] for index, who in enumerate(mostly))
    shares = own / np.maximum(own.sum(1, keepdims=True), 1)
    return Identity(
        len(people),
        float(right / total),
        float(wrong / max(given, 1)),
        int(((shares > 0.1).sum(1) > 1).sum()),
        len(people) - len(set(mostly.tolist())),
    )
