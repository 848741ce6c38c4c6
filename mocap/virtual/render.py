"""Pictures of people and boards through a camera with lens distortion, by ray casting; no display, no GPU.

Every pixel's ray comes from :meth:`calibration.cameras.Cameras.rays`, once for each camera, so a picture
obeys exactly the lens that the truth file tells. Only the part of the picture that moves is cast; the empty
room is drawn once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.virtual.performer import DressedBody
from mocap.virtual.room import Room, room_color

FloatArray = NDArray[np.floating]
RgbImage = NDArray[np.uint8]

_SHADOW_STEP = 2
"""Shadows on the floor are cast at every second pixel: they are soft anyway."""


@dataclass(frozen=True)
class Region:
    """A rectangle of a picture; ``right`` and ``bottom`` are the first column and row outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def rows_columns(self) -> tuple[slice, slice]:
        """To index (H, W, ...) arrays with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def __bool__(self) -> bool:
        return self.right > self.left and self.bottom > self.top


class CameraView:
    """What one camera sees of the room, and how to draw into it.

    Args:
        camera: a batch of one.
        room: what stands behind.
        blur_px: standard deviation of the lens's and the sensor's blur.
    """

    def __init__(self, camera: Cameras, room: Room, *, blur_px: float = 0.6) -> None:
        self.camera = camera
        self.room = room
        self.blur_px = blur_px
        self.width, self.height = (int(side) for side in camera.size_px[0])
        columns, rows = torch.meshgrid(torch.arange(self.width), torch.arange(self.height), indexing="xy")
        pixels = torch.stack([columns, rows], -1).reshape(1, -1, 2).to(torch.float64)
        rays = camera.rays(pixels)
        self.origin = rays.origin_world.reshape(-1, 3)[0].numpy()
        directions = rays.direction_world.reshape(self.height, self.width, 3).numpy()
        self.directions = directions.astype(np.float32)
        """(H, W, 3) float32 unit vectors, world: the ray through each pixel's centre."""

    @cached_property
    def background(self) -> FloatArray:
        """(H, W, 3) float32 in [0, 1]: the empty room, sharp; two samples a pixel."""
        right = np.gradient(self.directions, axis=1)
        down = np.gradient(self.directions, axis=0)
        samples = [(-0.25, -0.25), (0.25, 0.25)]
        total = np.zeros_like(self.directions)
        for x, y in samples:
            total += room_color(self.room, self.origin, self.directions + x * right + y * down)
        return total / len(samples)

    @cached_property
    def empty_picture(self) -> RgbImage:
        """(H, W, 3): the empty room as the camera takes it, without noise."""
        return self._developed(self.background)

    @cached_property
    def floor_points(self) -> FloatArray:
        """(H, W, 3) float32 metres, world: where each ray meets the floor; NaN where it does not."""
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where(
                self.directions[..., 2] < 0, -self.origin[2] / self.directions[..., 2], np.nan
            )
        return (self.origin + distance[..., None] * self.directions).astype(np.float32)

    @cached_property
    def floor_seen(self) -> NDArray[np.bool_]:
        """(H, W) whether a pixel shows the floor: not a wall that stands before it."""
        away = np.abs(self.floor_points[..., :2] - np.array(self.room.center_m, np.float32))
        return (away < np.array(self.room.half_size_m, np.float32)).all(-1)

    def region_of(self, xyz_world: FloatArray, margin_px: int = 4) -> Region:
        """The part of the picture that (N, 3) points fall in; empty where none is seen."""
        xy_px, valid = self.camera.project(torch.from_numpy(np.asarray(xyz_world, np.float64)))
        seen = xy_px[0][valid[0]].numpy()
        if not len(seen):
            return Region(0, 0, 0, 0)
        low = np.clip(np.floor(seen.min(0)) - margin_px, 0, [self.width, self.height]).astype(int)
        high = np.clip(np.ceil(seen.max(0)) + margin_px + 1, 0, [self.width, self.height]).astype(int)
        return Region(int(low[0]), int(low[1]), int(high[0]), int(high[1]))

    def paste(self, picture: RgbImage, region: Region, patch: FloatArray) -> None:
        """Put a sharp (h, w, 3) patch into a picture, with the camera's blur."""
        if not region:
            return
        # The patch borders on the empty room, which is blurred already: blur over a rim of the room.
        rim = int(np.ceil(3 * self.blur_px)) + 1
        wide = Region(
            max(region.left - rim, 0),
            max(region.top - rim, 0),
            min(region.right + rim, self.width),
            min(region.bottom + rim, self.height),
        )
        sharp = self.background[wide.rows_columns].copy()
        inner = Region(
            region.left - wide.left, region.top - wide.top, region.right - wide.left, region.bottom - wide.top
        )
        sharp[inner.rows_columns] = patch
        picture[region.rows_columns] = self._developed(sharp)[inner.rows_columns]

    def _developed(self, sharp: FloatArray) -> RgbImage:
        import cv2

        if self.blur_px > 0:
            sharp = cv2.GaussianBlur(sharp, (0, 0), self.blur_px, borderType=cv2.BORDER_REPLICATE)
        return np.clip(sharp * 255.0 + 0.5, 0, 255).astype(np.uint8)


def render_people(view: CameraView, people: Sequence[tuple[DressedBody, FloatArray, FloatArray]]) -> RgbImage:
    """A picture of people in the room.

    Args:
        view: the camera.
        people: for each person the dressed body and its mesh now: (V, 3) vertices and (V, 3) normals, world.
    """
    picture = view.empty_picture.copy()
    if not people:
        return picture
    scene = _scene(people)
    points = np.concatenate([vertices for _, vertices, _ in people])
    light = view.room.light_direction
    fallen = points - light * np.maximum(points[:, 2:], 0) / light[2]
    region = view.region_of(np.concatenate([points, fallen]), margin_px=12)
    if not region:
        return picture
    patch = view.background[region.rows_columns].copy()
    _shade_floor(view, scene, region, points, patch)
    body_region = view.region_of(points)
    if body_region:
        inner = (
            slice(body_region.top - region.top, body_region.bottom - region.top),
            slice(body_region.left - region.left, body_region.right - region.left),
        )
        _draw_bodies(view, scene, people, body_region, patch[inner])
    view.paste(picture, region, patch)
    return picture


def silhouette(
    view: CameraView, people: Sequence[tuple[DressedBody, FloatArray, FloatArray]]
) -> NDArray[np.bool_]:
    """(H, W) whether each pixel's centre shows a person."""
    hit = _cast(_scene(people), view, Region(0, 0, view.width, view.height))
    return np.isfinite(hit["t_hit"])


def _scene(people: Sequence[tuple[DressedBody, FloatArray, FloatArray]]) -> Any:
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    for body, vertices, _ in people:
        scene.add_triangles(
            o3d.core.Tensor(np.ascontiguousarray(vertices, np.float32)),
            o3d.core.Tensor(np.ascontiguousarray(body.faces, np.uint32)),
        )
    return scene


def _cast(scene: Any, view: CameraView, region: Region) -> dict[str, NDArray[Any]]:
    import open3d as o3d

    directions = view.directions[region.rows_columns]
    rays = np.empty((*directions.shape[:2], 6), np.float32)
    rays[..., :3] = view.origin
    rays[..., 3:] = directions
    hit = scene.cast_rays(o3d.core.Tensor(rays), nthreads=1)
    return {name: hit[name].numpy() for name in ("t_hit", "geometry_ids", "primitive_ids", "primitive_uvs")}


def _occluded(scene: Any, points: FloatArray, light: FloatArray) -> NDArray[np.bool_]:
    """(N,) whether something stands between (N, 3) points and the light."""
    import open3d as o3d

    rays = np.empty((len(points), 6), np.float32)
    rays[:, :3] = points
    rays[:, 3:] = light
    return scene.test_occlusions(o3d.core.Tensor(rays), nthreads=1).numpy()


def _shade_floor(view: CameraView, scene: Any, region: Region, points: FloatArray, patch: FloatArray) -> None:
    """Darken the floor in the light's shadow, softly, and close under the feet."""
    import cv2

    rows, columns = region.rows_columns
    step = _SHADOW_STEP
    floor = view.floor_points[rows, columns][::step, ::step]
    on_floor = view.floor_seen[rows, columns][::step, ::step]
    dark = np.zeros(floor.shape[:2], np.float32)
    if not on_floor.any():
        return
    dark[on_floor] = _occluded(scene, floor[on_floor], view.room.light_direction)
    dark = cv2.GaussianBlur(dark, (0, 0), 2.0) * (1 - view.room.ambient)
    low = points[points[:, 2] < 0.12]
    for foot in _two_middles(low[:, :2]) if len(low) else ():
        near = (floor[..., 0] - np.float32(foot[0])) ** 2 + (floor[..., 1] - np.float32(foot[1])) ** 2
        dark += np.float32(0.25) * np.exp(near * np.float32(-1 / (2 * 0.11**2)))
    dark[~on_floor] = 0
    full = cv2.resize(dark, (patch.shape[1], patch.shape[0]), interpolation=cv2.INTER_LINEAR)
    patch *= (1 - np.clip(full, 0, 0.8))[..., None]


def _two_middles(xy: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The middles of two clusters of (N, 2) points, split across their longest direction."""
    centered = xy - xy.mean(0)
    axis = np.linalg.svd(centered, full_matrices=False)[2][0]
    first = centered @ axis >= 0
    return xy[first].mean(0), xy[~first].mean(0) if (~first).any() else xy.mean(0)


def _draw_bodies(
    view: CameraView,
    scene: Any,
    people: Sequence[tuple[DressedBody, FloatArray, FloatArray]],
    region: Region,
    patch: FloatArray,
) -> None:
    """Paint what the rays of a region hit, lit by the main light and from all round, into its patch."""
    hit = _cast(scene, view, region)
    light = view.room.light_direction
    for number, (body, _, normals) in enumerate(people):
        seen = np.isfinite(hit["t_hit"]) & (hit["geometry_ids"] == number)
        if not seen.any():
            continue
        corners = body.faces[hit["primitive_ids"][seen]]
        share = hit["primitive_uvs"][seen]
        color = body.colors(_blend(body.rest, corners, share))
        normal = _blend(normals, corners, share)
        normal /= np.sqrt(np.einsum("na,na->n", normal, normal))[:, None]
        point = view.origin + hit["t_hit"][seen][:, None] * view.directions[region.rows_columns][seen]
        facing = np.clip(normal @ light, 0, 1)
        lit = np.zeros(len(facing))
        towards = facing > 0.02
        lit[towards] = ~_occluded(scene, (point + 0.006 * normal)[towards], light)
        lit = _softened(lit, seen)
        ambient = view.room.ambient * (0.82 + 0.18 * normal[:, 2])
        patch[seen] = (
            color * (ambient + 0.85 * (1 - view.room.ambient) * (facing * lit) + 0.12)[:, None] * 1.15
        )


def _blend(values: FloatArray, corners: NDArray[np.integer], uv: FloatArray) -> FloatArray:
    """(N, 3) values inside triangles, from those at (N, 3) corners and (N, 2) coordinates."""
    u, v = uv[:, :1], uv[:, 1:]
    first = values[corners[:, 0]]
    return first + u * (values[corners[:, 1]] - first) + v * (values[corners[:, 2]] - first)


def _softened(lit: FloatArray, seen: NDArray[np.bool_]) -> FloatArray:
    """Shadows that a body casts on itself, with soft edges; blurred in the picture among its own pixels."""
    import cv2

    picture = np.zeros(seen.shape, np.float32)
    picture[seen] = lit
    return cv2.blur(picture, (5, 5))[seen] / np.maximum(cv2.blur(seen.astype(np.float32), (5, 5))[seen], 1e-6)
