"""Walks through a volume, seen by cameras with a detector's slow, biased errors; everything by its seed.

Errors are those measured on rendered people: constant for a camera and keypoint, slow, white, and now and
then far off; all in proportion to the person's size in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter

from calibration.cameras import Cameras
from mocap.keypoints import CameraKeypoints
from mocap.virtual.moves import Crouch, Move, Reach, Stand, Turn, Walk, Wave, duration
from mocap.virtual.performer import Performer
from mocap.virtual.rig import CameraRing, build_cameras
from rigs.keypoints import KEYPOINT_SETS

FloatArray = NDArray[np.floating]

NAMES = KEYPOINT_SETS["blazepose33"]
_BIAS, _SLOW, _WHITE = 2.5 / 450, 5.0 / 450, 1.3 / 450
"""Standard deviations of an axis, in body heights in the picture."""
_OUTLIERS, _FAR = 0.01, 0.08
"""Share of keypoints that are far off, and how far, in body heights."""
_SIZE_M = 1.7


@dataclass(frozen=True)
class Walk3D:
    """People walking, and the cameras that film them, each on its own clock."""

    cameras: Cameras
    """The truth; world: Z up, floor at 0, metres."""
    keypoints: dict[str, CameraKeypoints]
    """What was detected, by camera, times on the camera's own clock."""
    offset_s: dict[str, float]
    """Take time of each camera's first frame, seconds."""
    height_m: float
    """Stature of the first person."""


def wander(seconds: float, seed: int, reach_m: float = 1.3) -> tuple[tuple[Move, ...], tuple[float, float]]:
    """Walk to and fro over the stage, with turns, reaches, crouches and waves between."""
    rng = np.random.default_rng(seed)
    moves: list[Move] = [Stand(0.3)]
    at, yaw = rng.uniform(-0.5, 0.5, 2), 0.0
    start = (float(at[0]), float(at[1]))
    total = 0.0
    while total < seconds + 1.0:
        target = rng.uniform(-reach_m, reach_m, 2)
        way = target - at
        wanted = float(np.degrees(np.arctan2(way[0], -way[1])))
        turn = (wanted - yaw + 180) % 360 - 180
        steps = max(2, round(float(np.linalg.norm(way)) / 0.5) + 1)
        some: list[Move] = [Turn(turn, 2 + 2 * int(abs(turn) > 100), 0.35), Walk(steps, 0.5, 0.45)]
        some.append((Reach("right", 1.0), Crouch(), Wave(), Stand(0.3), Reach("left", 0.9))[rng.integers(5)])
        moves += some
        total += sum(duration(move) for move in some)
        yaw = yaw + turn
        heading = np.radians(yaw)
        at = at + (steps - 1) * 0.5 * np.array([np.sin(heading), -np.cos(heading)])
    return tuple(moves), start


def walk(
    *,
    cameras: Cameras | int = 4,
    seconds: float = 15.0,
    seed: int = 0,
    noise: float = 1.0,
    late_s: float = 0.5,
    people: int = 1,
    moves: Sequence[Move] | None = None,
    rate_hz: float = 30.0,
) -> Walk3D:
    """A take, detected.

    Args:
        cameras: the true ones, or how many in a ring.
        seconds: length.
        seed: of everything.
        noise: 1 is a detector's.
        late_s: cameras start up to this much apart.
        people: how many walk.
        moves: what the first one does instead of wandering.
        rate_hz: of the cameras.
    """
    rng = np.random.default_rng(1000 + seed)
    if isinstance(cameras, int):
        cameras = build_cameras(CameraRing(num_cameras=cameras, seed=seed, center_m=(0.0, 0.0)))
    betas = np.concatenate([rng.normal(0, 0.7, 8)])
    performers = []
    for number in range(people):
        steps, start = (
            wander(seconds, 100 * seed + number) if moves is None or number else (tuple(moves), (0.0, 0.0))
        )
        shape = tuple(betas if number == 0 else rng.normal(0, 0.7, 8))
        performers.append(Performer(betas=shape, moves=steps, start_m=start, seed=seed + number))
    first = float(rng.uniform(0, late_s))
    offsets = {name: float(rng.uniform(-late_s, late_s)) / 2 + first for name in cameras.names}
    found = {
        name: _seen(performers, cameras[name], offsets[name], seconds, rate_hz, noise, rng)
        for name in cameras.names
    }
    rest = performers[0].load_body().vertices_rest(performers[0].full_betas())[:, 1]
    return Walk3D(cameras, found, offsets, float(rest.max() - rest.min()))


def _seen(
    performers: Sequence[Performer],
    camera: Cameras,
    offset_s: float,
    seconds: float,
    rate_hz: float,
    noise: float,
    rng: np.random.Generator,
) -> CameraKeypoints:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    width, height = (int(v) for v in camera.size_px[0])
    people, scores = [], []
    for performer in performers:
        motion = performer.motion(time_s + offset_s, seconds=seconds, rate_hz=rate_hz)
        body = performer.load_body()
        rotation, joints = body.pose_frames(motion.poses, motion.trans, motion.betas)
        xyz = body.detector_model(NAMES, "blazepose33").pose(rotation, joints, torch.from_numpy(motion.betas))
        depth = camera.cam_from_world[0, 2, :3] @ joints[:, 0].T + camera.cam_from_world[0, 2, 3]
        size = float(camera.focal_px.mean()) * _SIZE_M / depth.numpy()
        xy = camera.project(xyz)[0][..., 0, :, :].numpy()
        slow = _slow(rng, (len(time_s), len(NAMES), 2), rate_hz) * _SLOW
        wrong = slow + rng.normal(0, _BIAS, (1, len(NAMES), 2)) + rng.normal(0, _WHITE, xy.shape)
        far = rng.random(xy.shape[:2]) < _OUTLIERS
        wrong += far[..., None] * rng.normal(0, _FAR, xy.shape)
        xy = xy + noise * wrong * size[:, None, None]
        inside = ((xy > 0) & (xy < np.array([width, height]))).all(-1)
        people.append(np.where(inside[..., None], xy, np.nan))
        scores.append(np.where(inside, rng.uniform(0.75, 0.95, inside.shape), np.nan))
    return CameraKeypoints(time_s, np.stack(people, 1), np.stack(scores, 1), NAMES, (width, height))


def _slow(rng: np.random.Generator, shape: tuple[int, ...], rate_hz: float) -> FloatArray:
    """An error of deviation 1 that remembers itself for about 0.2 s."""
    keep = float(np.exp(-1 / (0.2 * rate_hz)))
    white = rng.normal(0, 1, (50 + shape[0], *shape[1:]))
    return lfilter([np.sqrt(1 - keep**2)], [1, -keep], white, axis=0)[50:]


def aligned(found: Cameras, true: Cameras) -> tuple[FloatArray, FloatArray, float]:
    """Errors of centres and turns after the best similarity, and the factor of scale.

    Returns:
        (C,) centre errors in parts of the rig's size (largest distance of two true centres), (C,) degrees,
        and how much larger the found rig is.
    """
    found = found[list(true.names)]
    a, b = found.centers_world.numpy(), true.centers_world.numpy()
    # Turns of the cameras fix the frame's turn also where centres lie on a line.
    turns = np.einsum("cij,cik->cjk", true.cam_from_world[:, :3, :3], found.cam_from_world[:, :3, :3]).sum(0)
    u, _, vt = np.linalg.svd(turns)
    turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    left, right = (a - a.mean(0)) @ turn.T, b - b.mean(0)
    scale = float((left * right).sum() / (left * left).sum())
    size = np.linalg.norm(b[:, None] - b[None], axis=-1).max()
    off = np.linalg.norm(scale * left - right, axis=1) / size
    rest = np.einsum(
        "cij,jk,clk->cil",
        found.cam_from_world[:, :3, :3].numpy(),
        turn.T,
        true.cam_from_world[:, :3, :3].numpy(),
    )
    cosine = np.clip((np.trace(rest, axis1=1, axis2=2) - 1) / 2, -1, 1)
    return off, np.degrees(np.arccos(cosine)), 1 / scale


def with_people_in_random_rows(scene: Walk3D, seed: int = 0) -> Walk3D:
    """The same take with the people of every frame in another order."""
    rng = np.random.default_rng(seed)
    mixed = {}
    for name, view in scene.keypoints.items():
        order = np.argsort(rng.random(view.score.shape[:2]), axis=1)
        mixed[name] = replace(
            view,
            xy_px=np.take_along_axis(view.xy_px, order[:, :, None, None], 1),
            score=np.take_along_axis(view.score, order[:, :, None], 1),
        )
    return replace(scene, keypoints=mixed)
