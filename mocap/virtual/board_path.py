"""How the calibration board is moved: at rest on the floor first, then shown to every camera in turn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation, Slerp

from calibration.boards.board import Board
from calibration.cameras import Cameras

FloatArray = NDArray[np.floating]

_FLAT = Rotation.from_matrix(np.diag([1.0, -1.0, -1.0]))
"""World from a board that lies on the floor, print up: its columns along x, its rows along -y."""


@dataclass(frozen=True)
class BoardSession:
    """Board footage: the plate at rest on the world's origin, then waved."""

    board: Board = field(default_factory=Board)
    """The printed board."""
    seconds: float = 24.0
    """Length of the clip."""
    rate_hz: float = 10.0
    """Frames a second."""
    rest_s: float = 1.0
    """How long the board lies at rest on the floor at first."""
    near_m: float = 1.2
    """Distance from a camera at which it is shown to that camera."""
    tilt_deg: float = 48.0
    """How far it is tilted off the line to a camera, this way and that."""
    seed: int = 0
    """Of small differences between the key poses."""


class BoardPath:
    """The way that the board is moved.

    Args:
        session: how the board is shown.
        cameras: whom it is shown to; their middle is the stage.
    """

    def __init__(self, session: BoardSession, cameras: Cameras) -> None:
        self._session = session
        self._grid_s, self._middle, self._quat_xyzw = _smooth_path(session, cameras)

    def at(self, time_s: FloatArray) -> FloatArray:
        """(..., 4, 4) world_from_board at (...) seconds since the clip began, smooth in time."""
        now = np.clip(time_s, 0, self._session.seconds).ravel()
        place, quat_xyzw = (
            np.stack([np.interp(now, self._grid_s, column) for column in values.T], -1)
            for values in (self._middle, self._quat_xyzw)
        )
        rotation = Rotation.from_quat(quat_xyzw).as_matrix()
        half = np.array([*self._session.board.size_m, 0.0]) / 2
        poses = np.tile(np.eye(4), (len(now), 1, 1))
        poses[:, :3, :3] = rotation
        poses[:, :3, 3] = place - rotation @ half
        return poses.reshape(*np.shape(time_s), 4, 4)


def board_poses(session: BoardSession, cameras: Cameras, time_s: FloatArray) -> FloatArray:
    """(T, 4, 4) world_from_board at (T,) seconds since the clip began; see ``BoardPath``."""
    return BoardPath(session, cameras).at(time_s)


def _smooth_path(session: BoardSession, cameras: Cameras) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Times (N,), middles of the board (N, 3) and its turns (N, 4) as quaternions without jumps of sign."""
    middles, turns = _key_poses(session, cameras)
    span = session.seconds - session.rest_s
    # A long way takes longer, but even a mere tilt takes its time.
    effort = np.cumsum(0.6 + np.linalg.norm(np.diff(middles, axis=0), axis=-1))
    at = np.concatenate([[0.0, session.rest_s], session.rest_s + span * effort / effort[-1]])
    at[1], at[-1] = max(at[1], 1e-3), session.seconds  # sums of parts may end a hair before
    middles = np.concatenate([middles[:1], middles])
    turns = Rotation.concatenate([turns[:1], turns])
    grid = np.linspace(0, session.seconds, int(session.seconds * 60) + 1)
    middle, turn = PchipInterpolator(at, middles)(grid), Slerp(at, turns)(grid)
    # Slerp has corners at its keys: smooth them away, but leave the rest at rest.
    quat_xyzw = _continuous(turn.as_quat())
    still = grid <= session.rest_s
    smoothed = gaussian_filter1d(quat_xyzw, 0.08 * 60, axis=0, mode="nearest")
    ease = np.clip((grid - session.rest_s) / 0.4, 0, 1)[:, None]
    quat_xyzw = np.where(still[:, None], quat_xyzw, quat_xyzw * (1 - ease) + smoothed * ease)
    return grid, middle, quat_xyzw


@dataclass(frozen=True)
class _Showing:
    """One key pose of the board."""

    middle: FloatArray
    """(3,) metres, world."""
    toward: FloatArray
    """(3,) metres, world: what the print faces before it is tilted."""
    tilt_deg: tuple[float, float] = (0.0, 0.0)
    """About its own x and y."""
    roll_deg: float = 0.0
    """About its normal."""


def _key_poses(session: BoardSession, cameras: Cameras) -> tuple[FloatArray, Rotation]:
    """Middles (N, 3) and turns of the board on its path; the first is at rest on the origin."""
    rng = np.random.default_rng(session.seed)
    width, height = session.board.size_m
    centers = cameras.centers_world.numpy()
    stage = _stage(cameras)
    order = np.argsort(np.arctan2(centers[:, 1] - stage[1], centers[:, 0] - stage[0]))
    showings: list[_Showing] = []
    for number, index in enumerate(order):
        showings += _to_one(session, centers[index], stage, rng)
        if len(order) > 1:
            showings += _to_two(centers[index], centers[order[(number + 1) % len(order)]], stage, rng)
    middles = [np.array([width / 2, -height / 2, 0.0]), *(showing.middle for showing in showings)]
    return np.array(middles), Rotation.concatenate([_FLAT, *(_facing(showing) for showing in showings)])


def _stage(cameras: Cameras) -> FloatArray:
    """(2,) metres: the middle of what the cameras look at, where their axes come nearest to each other."""
    centers, ahead = cameras.centers_world.numpy(), cameras.cam_from_world[:, 2, :3].numpy()
    across = np.eye(3) - ahead[:, :, None] * ahead[:, None, :]
    # One camera, or parallel ones, leave the distance open: a weak pull sets it at 3 m.
    pull = 1e-3
    matrix = across.sum(0) + pull * np.eye(3)
    place = (across @ centers[..., None])[..., 0].sum(0) + pull * (centers + 3.0 * ahead).mean(0)
    return np.linalg.solve(matrix, place)[:2]


_NEAR = (
    (0.85, -0.36, 0.16, (0.0, 45.0), 0.0),
    (0.95, 0.36, 0.12, (-42.0, 0.0), 90.0),
    (0.85, 0.30, -0.16, (0.0, -45.0), 180.0),
    (0.95, -0.30, -0.12, (42.0, 0.0), 250.0),
)
"""Near showings: distance as a factor, place right and up in the picture (tangents), tilts, roll, degrees."""
_BETWEEN = (
    (0.75, 0.40, 0.6, (10.0, -14.0), 20.0),
    (0.30, 1.00, 1.2, (-14.0, 8.0), -60.0),
    (0.55, 0.70, 2.5, (8.0, 16.0), 100.0),
    (0.10, 0.45, 9.0, (-12.0, -10.0), 170.0),
)
"""Showings to several: part of the way from the middle of the stage to between two cameras, height, how far
above these two it faces, tilts, roll. Facing up it is seen by all."""


def _to_one(
    session: BoardSession, center: FloatArray, stage: FloatArray, rng: np.random.Generator
) -> list[_Showing]:
    """Shown near to one camera, four times: all over its picture, tilted about different axes, turned."""
    line = np.array([*stage, 0.9]) - center
    line /= np.linalg.norm(line)
    across = np.cross(line, [0, 0, 1.0])
    across /= np.linalg.norm(across)
    up = np.cross(across, line)
    showings: list[_Showing] = []
    for factor, x, y, tilt, roll in _NEAR:
        distance = session.near_m * factor
        middle = center + distance * (line + x * across + y * up)
        middle[2] = max(middle[2], 0.45)
        about_x, about_y, about_z = np.array([*tilt, roll]) + rng.uniform(-5, 5, 3)
        scale = session.tilt_deg / 48.0
        showings.append(_Showing(middle, center, (scale * about_x, scale * about_y), about_z))
    return showings


def _to_two(
    center: FloatArray, following: FloatArray, stage: FloatArray, rng: np.random.Generator
) -> list[_Showing]:
    """Shown to two neighbours at once and to those beyond: near and far, low and high, facing up."""
    between = (center + following) / 2
    showings: list[_Showing] = []
    for share, height, above, tilt, roll in _BETWEEN:
        middle = np.array([*(stage + share * (between[:2] - stage)), height + rng.uniform(-0.1, 0.1)])
        about_x, about_y, about_z = np.array([*tilt, roll]) + rng.uniform(-8, 8, 3)
        toward = between + np.array([0.0, 0.0, above])
        showings.append(_Showing(middle, toward, (about_x, about_y), about_z))
    return showings


def _facing(showing: _Showing) -> Rotation:
    """World from a board whose print faces a point, then tilted about its own axes."""
    away = showing.middle - showing.toward
    away /= np.linalg.norm(away)
    x = np.cross([0.0, 0.0, -1.0], away)
    # Between two cameras that face each other the print faces straight up, and any direction may be its x.
    x = x / np.linalg.norm(x) if np.linalg.norm(x) > 1e-3 else np.array([1.0, 0.0, 0.0])
    upright = Rotation.from_matrix(np.stack([x, np.cross(away, x), away], -1))
    return upright * Rotation.from_euler("ZXY", [showing.roll_deg, *showing.tilt_deg], degrees=True)


def _continuous(quat_xyzw: FloatArray) -> FloatArray:
    """The same rotations without jumps between q and -q."""
    signs = np.cumprod(np.where((quat_xyzw[1:] * quat_xyzw[:-1]).sum(1) < 0, -1.0, 1.0))
    return quat_xyzw * np.concatenate([[1.0], signs])[:, None]
