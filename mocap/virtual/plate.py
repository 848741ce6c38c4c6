"""Pictures of a calibration board, sampled analytically, so that corners are where the truth says."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from calibration.boards.board import Board, draw_board
from mocap.virtual.render import CameraView, Region, RgbImage

FloatArray = NDArray[np.floating]

_RIM_M = 0.025
"""White rim of the plate round the pattern."""
_PIXELS_PER_M = 1500.0
"""Resolution of the pattern that is sampled: finer than any picture of it."""
_SAMPLE_M = 0.0012
"""Distance of the samples on the plate, about; between 2 and 4 a pixel, each way."""


def render_board(view: CameraView, board: Board, world_from_board: FloatArray) -> RgbImage:
    """A picture of a board's plate in the room, with its shadow on the floor.

    Args:
        view: the camera.
        board: its pattern; the plate has a white rim round it.
        world_from_board: (4, 4) pose; the print is seen from the side that the board's -z points to. A moving
            board has (S, H, 4, 4): its pose at S instants of the exposure of each row of the picture.
    """
    picture = view.empty_picture.copy()
    still = world_from_board.ndim == 2
    poses = np.broadcast_to(world_from_board, (1, view.height, 4, 4)) if still else world_from_board
    middle = poses[len(poses) // 2, view.height // 2]
    width, height = board.size_m
    plate = np.array([[x, y, 0, 1] for x in (-_RIM_M, width + _RIM_M) for y in (-_RIM_M, height + _RIM_M)])
    edges = [_outline((plate @ pose.T)[:, :3]) for pose in (poses[0, 0], middle, poses[-1, -1])]
    edge = edges[1]
    light = view.room.light_direction
    fallen = edge - light * (edge[:, 2:] / light[2])
    region = view.region_of(np.concatenate([*edges, fallen]), margin_px=8)
    if not region:
        return picture
    patch = view.background[region.rows_columns].copy()
    if edge[:, 2].min() > 0.02:
        _cast_shadow(view, fallen, region, patch)
    own = view.region_of(np.concatenate(edges))
    if own:
        inner = (
            slice(own.top - region.top, own.bottom - region.top),
            slice(own.left - region.left, own.right - region.left),
        )
        _draw_plate(view, board, poses, own, patch[inner])
    view.paste(picture, region, patch)
    return picture


def _outline(corners: FloatArray) -> FloatArray:
    """(N, 3) points along the edges of a plate: through a lens its outline is curved."""
    share = np.linspace(0, 1, 9)[:, None]
    return np.concatenate(
        [corners[a] * (1 - share) + corners[b] * share for a, b in ((0, 1), (1, 3), (3, 2), (2, 0))]
    )


def _cast_shadow(view: CameraView, fallen: FloatArray, region: Region, patch: FloatArray) -> None:
    """Darken the floor where the (N, 3) outline of the plate's shadow falls."""
    import cv2

    xy_px, valid = view.camera.project(_tensor(fallen))
    if not bool(valid.all()):
        return
    outline = (xy_px[0].numpy() - [region.left, region.top]).clip(-1e4, 1e4).round().astype(np.int32)
    dark = np.zeros(patch.shape[:2], np.float32)
    cv2.fillPoly(dark, [outline], 1.0)
    dark[~view.floor_seen[region.rows_columns]] = 0
    dark = cv2.GaussianBlur(dark, (0, 0), 5.0) * 0.9 * (1 - view.room.ambient)
    patch *= (1 - dark)[..., None]


def _draw_plate(view: CameraView, board: Board, poses: FloatArray, region: Region, patch: FloatArray) -> None:
    """Blend the plate into a patch, by what share of each pixel it covers in all instants together."""
    middle = poses[len(poses) // 2, view.height // 2]
    origin = middle[:3, :3].T @ (view.origin - middle[:3, 3])
    facing = origin[2] < 0
    gray, cover = np.zeros(patch.shape[:2], np.float32), np.zeros(patch.shape[:2], np.float32)
    offsets = _sample_offsets(view, origin)
    samples = [(x, y) for x in offsets for y in offsets]
    for instant, pose in enumerate(poses):
        turn = pose[:, :3, :3].astype(np.float32)
        origin32 = np.einsum("hba,hb->ha", turn, (view.origin - pose[:, :3, 3]).astype(np.float32))
        x0, y0, z0 = origin32[region.top : region.bottom].T[..., None]
        directions, right, down = _steps(view, region, turn)
        # Each instant takes its share of the samples; a plate that stands still has one instant.
        for x, y in samples[instant :: len(poses)]:
            a, b, c = (directions[axis] + x * right[axis] + y * down[axis] for axis in range(3))
            with np.errstate(divide="ignore", invalid="ignore"):
                distance = -z0 / c
            distance[~(distance > 0)] = np.nan
            tone, inside = _pattern(board, x0 + distance * a, y0 + distance * b)
            gray += tone
            cover += inside
    share = (cover / len(samples))[..., None]
    tone = (gray / np.maximum(cover, 1e-6))[..., None]
    normal = middle[:3, 2] * (-1.0 if facing else 1.0)
    light = view.room.ambient + (1 - view.room.ambient) * max(float(normal @ view.room.light_direction), 0.0)
    color = 0.06 + 0.84 * tone if facing else np.array([0.60, 0.50, 0.38], np.float32)
    patch[:] = patch * (1 - share) + color * (0.15 + light) * share


def _sample_offsets(view: CameraView, origin: FloatArray) -> FloatArray:
    """Where in a pixel the plate is sampled, each way: more densely where a pixel covers more of it."""
    pixel_m = float(np.linalg.norm(origin)) / float(view.camera.focal_px.mean())
    number = int(np.clip(np.ceil(pixel_m / _SAMPLE_M), 2, 4))
    return ((np.arange(number) + 0.5) / number - 0.5).astype(np.float32)


def _steps(
    view: CameraView, region: Region, turn: FloatArray
) -> tuple[list[FloatArray], list[FloatArray], list[FloatArray]]:
    """The three components of the rays in the board's frame, and their change one pixel across and down.

    The board is turned by (H, 3, 3), row by row.
    """
    top, left = max(region.top - 1, 0), max(region.left - 1, 0)
    near = view.directions[top : region.bottom + 1, left : region.right + 1] @ turn[top : region.bottom + 1]
    inner = (
        slice(region.top - top, region.bottom - top),
        slice(region.left - left, region.right - left),
    )
    parts = [np.ascontiguousarray(near[..., axis]) for axis in range(3)]
    right = [np.gradient(part, axis=1)[inner] for part in parts]
    down = [np.gradient(part, axis=0)[inner] for part in parts]
    return [part[inner] for part in parts], right, down


def _pattern(board: Board, x_m: FloatArray, y_m: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Grey in [0, 1], 0 off the plate, and whether on it, at (H, W) places of the board; NaN is off it."""
    import cv2

    image = _image(board)
    height, width = image.shape
    column, row = ((at + _RIM_M) * _PIXELS_PER_M - 0.5 for at in (x_m, y_m))
    inside = (column > -0.5) & (row > -0.5) & (column < width - 0.5) & (row < height - 0.5)
    column, row = np.where(inside, column, -9.0), np.where(inside, row, -9.0)
    tone = cv2.remap(
        image,
        column.astype(np.float32),
        row.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return tone * inside, inside


@lru_cache(maxsize=4)
def _image(board: Board) -> FloatArray:
    return draw_board(board, _PIXELS_PER_M, _RIM_M).astype(np.float32) / 255.0


def _tensor(values: FloatArray):
    import torch

    return torch.from_numpy(np.asarray(values, np.float64))
