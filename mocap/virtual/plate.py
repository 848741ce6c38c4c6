"""Pictures of a calibration board: its pattern is sampled analytically, so corners are where the truth says."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from calibration.boards import Board, draw_board
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
        world_from_board: (4, 4) pose; the print is seen from the side that the board's -z points to.
    """
    picture = view.empty_picture.copy()
    width, height = board.size_m
    plate = np.array([[x, y, 0, 1] for x in (-_RIM_M, width + _RIM_M) for y in (-_RIM_M, height + _RIM_M)])
    edge = _outline((plate @ world_from_board.T)[:, :3])
    light = view.room.light_direction
    fallen = edge - light * (edge[:, 2:] / light[2])
    region = view.region_of(np.concatenate([edge, fallen]), margin_px=8)
    if not region:
        return picture
    patch = view.background[region.rows_columns].copy()
    if edge[:, 2].min() > 0.02:
        _cast_shadow(view, fallen, region, patch)
    own = view.region_of(edge)
    if own:
        inner = (
            slice(own.top - region.top, own.bottom - region.top),
            slice(own.left - region.left, own.right - region.left),
        )
        _draw_plate(view, board, world_from_board, own, patch[inner])
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
    outline = (xy_px[0].numpy() - [region.left, region.top]).round().astype(np.int32)
    dark = np.zeros(patch.shape[:2], np.float32)
    cv2.fillPoly(dark, [outline], 1.0)
    dark[~np.isfinite(view.floor_points[region.rows_columns][..., 0])] = 0
    dark = cv2.GaussianBlur(dark, (0, 0), 5.0) * 0.9 * (1 - view.room.ambient)
    patch *= (1 - dark)[..., None]


def _draw_plate(
    view: CameraView, board: Board, world_from_board: FloatArray, region: Region, patch: FloatArray
) -> None:
    """Blend the plate into a patch, by what share of each pixel it covers."""
    turn, place = world_from_board[:3, :3], world_from_board[:3, 3]
    origin = turn.T @ (view.origin - place)
    facing = origin[2] < 0
    turn32, origin32 = turn.astype(np.float32), origin.astype(np.float32)
    directions = view.directions[region.rows_columns] @ turn32
    right, down = _steps(view, region, turn32)
    gray, cover = np.zeros(patch.shape[:2], np.float32), np.zeros(patch.shape[:2], np.float32)
    offsets = _sample_offsets(view, origin)
    for x in offsets:
        for y in offsets:
            ray = directions + x * right + y * down
            with np.errstate(divide="ignore", invalid="ignore"):
                distance = -origin32[2] / ray[..., 2]
            at = origin32[:2] + distance[..., None] * ray[..., :2]
            tone, inside = _pattern(board, np.where((distance > 0)[..., None], at, -1e3))
            gray += tone
            cover += inside
    share = (cover / len(offsets) ** 2)[..., None]
    tone = (gray / np.maximum(cover, 1e-6))[..., None]
    normal = turn[:, 2] * (-1.0 if facing else 1.0)
    light = view.room.ambient + (1 - view.room.ambient) * max(float(normal @ view.room.light_direction), 0.0)
    color = 0.06 + 0.84 * tone if facing else np.array([0.60, 0.50, 0.38], np.float32)
    patch[:] = patch * (1 - share) + color * (0.15 + light) * share


def _sample_offsets(view: CameraView, origin: FloatArray) -> FloatArray:
    """Where in a pixel the plate is sampled, each way: more densely where a pixel covers more of it."""
    pixel_m = float(np.linalg.norm(origin)) / float(view.camera.focal_px.mean())
    number = int(np.clip(np.ceil(pixel_m / _SAMPLE_M), 2, 4))
    return ((np.arange(number) + 0.5) / number - 0.5).astype(np.float32)


def _steps(view: CameraView, region: Region, turn: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How the ray changes, in the board's frame, from one pixel to the next across and down."""
    wide = (
        slice(max(region.top - 1, 0), min(region.bottom + 1, view.height)),
        slice(max(region.left - 1, 0), min(region.right + 1, view.width)),
    )
    near = view.directions[wide] @ turn
    inner = (
        slice(region.top - wide[0].start, region.bottom - wide[0].start),
        slice(region.left - wide[1].start, region.right - wide[1].start),
    )
    return np.gradient(near, axis=1)[inner], np.gradient(near, axis=0)[inner]


def _pattern(board: Board, xy_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Grey in [0, 1] and 1 or 0 for on the plate, at (H, W, 2) places of the board."""
    import cv2

    at = (xy_m + _RIM_M) * _PIXELS_PER_M - 0.5
    image = _image(board)
    tone = cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    height, width = image.shape
    inside = (at > -0.5).all(-1) & (at[..., 0] < width - 0.5) & (at[..., 1] < height - 0.5)
    return np.where(inside, tone, 0.0), inside.astype(np.float32)


@lru_cache(maxsize=4)
def _image(board: Board) -> FloatArray:
    return draw_board(board, _PIXELS_PER_M, _RIM_M).astype(np.float32) / 255.0


def _tensor(values: FloatArray):
    import torch

    return torch.from_numpy(np.asarray(values, np.float64))
