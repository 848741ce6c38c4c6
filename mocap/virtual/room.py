"""The room that the footage is shot in: a floor of planks, walls, a few things on them; and its light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Room:
    """A rectangular room, the stage in its middle."""

    half_size_m: tuple[float, float] = (5.2, 5.0)
    """Half of its length along x and y."""
    height_m: float = 3.4
    """Floor to ceiling."""
    center_m: tuple[float, float] = (-0.6, 0.4)
    """Its middle, world."""
    light_from: tuple[float, float, float] = (0.35, -0.45, 1.0)
    """Direction towards the main light."""
    ambient: float = 0.52
    """Share of the light that comes from everywhere."""
    floor_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """What the colours of the planks are multiplied by."""
    wall_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """The same of walls and what is on them."""
    seed: int = 0
    """Of the planks and patterns."""

    @property
    def light_direction(self) -> FloatArray:
        """(3,) unit vector towards the main light, world."""
        light = np.array(self.light_from, float)
        return light / np.linalg.norm(light)


def room_color(room: Room, origin: FloatArray, direction: FloatArray) -> FloatArray:
    """Colour of the empty room along rays.

    Args:
        room: the room.
        origin: (3,) camera centre, inside the room, metres, world.
        direction: (..., 3) ray directions, world.

    Returns:
        (..., 3) float32 in [0, 1].
    """
    origin = origin - np.array([*room.center_m, 0.0])
    low = np.array([-room.half_size_m[0], -room.half_size_m[1], 0.0])
    high = np.array([room.half_size_m[0], room.half_size_m[1], room.height_m])
    with np.errstate(divide="ignore", invalid="ignore"):
        to_plane = np.where(direction > 0, high - origin, low - origin) / direction
    to_plane = np.where(direction == 0, np.inf, to_plane)
    axis = to_plane.argmin(-1)
    distance = np.take_along_axis(to_plane, axis[..., None], -1)
    point = origin + distance * direction
    color = np.empty((*axis.shape, 3), np.float32)
    flat = axis == 2
    floor = flat & (direction[..., 2] < 0)
    color[floor] = np.clip(_floor(point[floor], room.seed) * np.float32(room.floor_tint), 0, 1)
    color[flat & ~floor] = (0.86, 0.86, 0.84)
    for wall in (0, 1):
        for side in (False, True):
            seen = (axis == wall) & ((direction[..., wall] > 0) == side)
            along = point[seen][:, 1 - wall] * (1.0 if side else -1.0)
            painted = _wall(along, point[seen][:, 2], 2 * wall + side, room)
            color[seen] = np.clip(painted * np.float32(room.wall_tint), 0, 1)
    return color


def _floor(point: FloatArray, seed: int) -> FloatArray:
    """Planks 12 cm wide with gaps, each of its own tone, and a grain along them."""
    across, along = point[:, 1] / 0.12, point[:, 0]
    plank = np.floor(across)
    shifted = along / 1.4 + _hash(plank, seed) * 7.0
    board = np.floor(shifted)
    tone = 0.82 + 0.22 * _hash(plank * 57.0 + board, seed + 1)
    grain = smooth_noise(np.column_stack([along * 9, across * 11, plank * 3.1]), seed) * 0.07
    gap = np.minimum(np.abs(across - np.round(across)) * 0.12, np.abs(shifted - np.round(shifted)) * 1.4)
    shade = (tone + grain) * np.clip(0.62 + gap / 0.006, 0.62, 1.0)
    return np.clip(shade[:, None] * np.array([0.60, 0.47, 0.35]), 0, 1)


def _wall(along: FloatArray, up: FloatArray, number: int, room: Room) -> FloatArray:
    """Painted plaster with a skirting board, and on each wall something else: door, window, poster, shelf."""
    paint = np.array([[0.72, 0.74, 0.72], [0.66, 0.70, 0.74], [0.76, 0.72, 0.66], [0.70, 0.70, 0.70]])[number]
    mottle = (
        smooth_noise(np.column_stack([along * 1.3, up * 1.3, np.full_like(up, number)]), room.seed) * 0.05
    )
    color = paint * (0.93 + mottle + 0.03 * up)[:, None]
    for left, right, low, high, tone in _THINGS[number]:
        inside = (along > left) & (along < right) & (up > low) & (up < high)
        edge = np.minimum(np.minimum(along - left, right - along), np.minimum(up - low, high - up))
        picture = (
            smooth_noise(np.column_stack([along * 4, up * 4, np.full_like(up, number + 9)]), room.seed) * 0.25
        )
        color[inside] = (np.array(tone) * (1 + np.where(edge < 0.05, -0.35, picture)[:, None]))[inside]
    color[up < 0.1] = (0.42, 0.34, 0.28)
    return np.clip(color, 0, 1)


_THINGS: tuple[tuple[tuple[float, float, float, float, tuple[float, float, float]], ...], ...] = (
    ((-2.6, -1.7, 0.0, 2.1, (0.45, 0.36, 0.30)), (0.4, 1.5, 1.2, 2.0, (0.35, 0.45, 0.55))),
    ((-1.8, 0.2, 1.0, 2.3, (0.80, 0.86, 0.92)), (1.4, 2.3, 0.4, 1.9, (0.30, 0.42, 0.36))),
    ((-0.9, 0.1, 1.3, 2.1, (0.62, 0.36, 0.28)), (1.8, 3.2, 0.0, 0.9, (0.52, 0.50, 0.47))),
    ((-3.0, -1.4, 1.1, 2.2, (0.78, 0.84, 0.90)), (0.8, 1.6, 0.0, 1.8, (0.58, 0.52, 0.40))),
)
"""On each wall: left, right, low, high in metres, and colour."""


def _hash(cell: FloatArray, seed: int) -> FloatArray:
    """A repeatable number in [0, 1) for each whole number."""
    value = np.sin(cell * 12.9898 + seed * 78.233 + 0.5) * 43758.5453
    return value - np.floor(value)


_NOISE_CELLS = 32


@lru_cache(maxsize=32)
def _noise_grid(seed: int) -> FloatArray:
    return np.random.default_rng(seed).uniform(-1, 1, (_NOISE_CELLS,) * 3).astype(np.float32)


def smooth_noise(point: FloatArray, seed: int = 0) -> FloatArray:
    """(N,) smooth noise in [-1, 1] at (N, 3) points; one cell is one unit, the pattern repeats every 32."""
    grid = _noise_grid(seed)
    last = _NOISE_CELLS - 1
    point = point.astype(np.float32)
    cell = np.floor(point)
    x, y, z = ((3 - 2 * part) * part * part for part in (point - cell).T)
    low = cell.astype(np.int64)
    (i0, j0, k0), (i1, j1, k1) = (low & last).T, ((low + 1) & last).T
    front = _mix(_mix(grid[i0, j0, k0], grid[i1, j0, k0], x), _mix(grid[i0, j1, k0], grid[i1, j1, k0], x), y)
    behind = _mix(_mix(grid[i0, j0, k1], grid[i1, j0, k1], x), _mix(grid[i0, j1, k1], grid[i1, j1, k1], x), y)
    return _mix(front, behind, z)


def _mix(first: FloatArray, second: FloatArray, share: FloatArray) -> FloatArray:
    return first + share * (second - first)
