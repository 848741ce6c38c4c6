"""Drawing on footage and in 3D: skeletons as lines, bodies as shaded surfaces; needs no display."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from rigs.keypoints import limbs

FloatArray = NDArray[np.floating]
RgbImage = NDArray[np.uint8]
Color = tuple[int, int, int]

LEFT: Color = (64, 190, 255)
"""The person's left side."""
RIGHT: Color = (255, 150, 60)
"""The person's right side."""
MIDDLE: Color = (250, 250, 250)
"""Lines between the sides."""

_LOW_SCORE = 0.5
"""Keypoints that the detector doubts more than this are left out."""


@dataclass(frozen=True)
class Mesh:
    """A body to be shown in 3D."""

    vertices: FloatArray
    """(V, 3) metres, world."""
    faces: NDArray[np.integer]
    """(F, 3) vertex indices."""
    color: Color
    """Of its surface."""


def draw_skeleton(
    rgb: RgbImage,
    xy_px: FloatArray,
    names: Sequence[str],
    score: FloatArray | None = None,
    *,
    lines: Sequence[tuple[int, int]] | None = None,
    color: Color | None = None,
    thickness: int = 2,
) -> RgbImage:
    """A copy of a picture with a skeleton drawn on it.

    Args:
        rgb: (H, W, 3) the picture.
        xy_px: (K, 2) pixels; NaN where unknown.
        names: K keypoint or joint names; they tell the sides' colours.
        score: (K,) confidence; doubtful keypoints are left out.
        lines: index pairs to join; by default the limbs that the names have.
        color: one colour for all, instead of one for each side.
        thickness: of the lines, pixels.
    """
    import cv2

    drawn = rgb.copy()
    known = np.isfinite(xy_px).all(-1)
    if score is not None:
        known &= np.nan_to_num(score, nan=0.0) >= _LOW_SCORE
    fixed = np.round(np.where(known[:, None], xy_px, 0.0) * 16).astype(int)
    for a, b in limbs(names) if lines is None else lines:
        if known[a] and known[b]:
            stroke = color or _side_color(names[a], names[b])
            cv2.line(drawn, _pair(fixed[a]), _pair(fixed[b]), stroke, thickness, cv2.LINE_AA, 4)
    for index in np.flatnonzero(known):
        dot = color or _side_color(names[index], names[index])
        cv2.circle(drawn, _pair(fixed[index]), 16 * (thickness + 1), (20, 20, 20), -1, cv2.LINE_AA, 4)
        cv2.circle(drawn, _pair(fixed[index]), 16 * thickness, dot, -1, cv2.LINE_AA, 4)
    return drawn


def draw_meshes(
    meshes: Sequence[Mesh], camera: Cameras, *, background: RgbImage | None = None, opacity: float = 1.0
) -> RgbImage:
    """Shaded bodies as a camera sees them, back to front.

    Args:
        meshes: what to draw.
        camera: a batch of one.
        background: (H, W, 3) to draw on; by default light paper with a floor grid.
        opacity: 1 hides what is behind.
    """
    import cv2

    width, height = (int(side) for side in camera.size_px[0])
    middle = np.mean([mesh.vertices[:, :2].mean(0) for mesh in meshes], axis=0)
    picture = _grid_floor(camera, width, height, middle) if background is None else background.copy()
    behind = picture.copy()
    center = camera.centers_world[0].numpy()
    triangles, colors, depth = [], [], []
    for mesh in meshes:
        corners = mesh.vertices[mesh.faces]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        to_camera = center - corners.mean(1)
        distance = np.linalg.norm(to_camera, axis=1)
        towards = (normal * to_camera).sum(1) / distance
        xy_px = camera.project(torch.from_numpy(np.asarray(mesh.vertices, np.float64)))[0][0].numpy()
        seen = (towards > 0) & np.isfinite(xy_px[mesh.faces]).all((1, 2))
        light = 0.35 + 0.4 * towards + 0.25 * np.clip(normal[:, 2], 0, 1)
        triangles.append(xy_px[mesh.faces][seen])
        colors.append(np.clip(np.array(mesh.color) * light[seen, None], 0, 255))
        depth.append(distance[seen])
    order = np.argsort(-np.concatenate(depth))
    fixed = np.round(np.concatenate(triangles)[order] * 16).astype(np.int32)
    for triangle, color in zip(fixed, np.concatenate(colors)[order].tolist(), strict=True):
        cv2.fillConvexPoly(picture, triangle, color, cv2.LINE_8, 4)
    return picture if opacity >= 1 else cv2.addWeighted(picture, opacity, behind, 1 - opacity, 0)


def view_from(
    target: FloatArray, *, azimuth_deg: float, distance_m: float, size_px: tuple[int, int]
) -> Cameras:
    """A straight camera that looks at (3,) metres from a direction, a little from above.

    Args:
        target: what is in the middle of the picture, world.
        azimuth_deg: direction it is seen from, counterclockwise from the world's x.
        distance_m: how far away it stands.
        size_px: width and height.
    """
    azimuth = np.radians(azimuth_deg)
    center = target + distance_m * np.array([0.97 * np.cos(azimuth), 0.97 * np.sin(azimuth), 0.25])
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ center
    width, height = size_px
    focal = 1.25 * height
    return Cameras(
        names=("view",),
        size_px=torch.tensor([[width, height]], dtype=torch.float64),
        focal_px=torch.tensor([[focal, focal]], dtype=torch.float64),
        center_px=torch.tensor([[(width - 1) / 2, (height - 1) / 2]], dtype=torch.float64),
        distortion=torch.zeros(1, 4, dtype=torch.float64),
        cam_from_world=torch.from_numpy(pose)[None],
    )


def _grid_floor(camera: Cameras, width: int, height: int, around: FloatArray) -> RgbImage:
    """Light paper with the floor's half-metre grid round (2,) metres."""
    import cv2

    paper = np.full((height, width, 3), (236, 239, 242), np.uint8)
    middle = np.array([*np.round(around * 2) / 2, 0.0])
    for offset in np.arange(-2.0, 2.01, 0.5):
        for end, shift in (((2.0, 0.0, 0.0), (0.0, offset, 0.0)), ((0.0, 2.0, 0.0), (offset, 0.0, 0.0))):
            ends = middle + np.array(shift) + np.array([[-1.0], [1.0]]) * np.array(end)
            xy_px, valid = camera.project(torch.from_numpy(ends))
            if bool(valid.all()):
                a, b = (np.round(point * 16).astype(int) for point in xy_px[0].numpy())
                cv2.line(paper, _pair(a), _pair(b), (198, 204, 210), 1, cv2.LINE_AA, 4)
    return paper


def _side_color(first: str, second: str) -> Color:
    sides = {"left": LEFT, "right": RIGHT}
    found = {side for name in (first, second) for side in sides if side in name.split("_")}
    return sides[found.pop()] if len(found) == 1 else MIDDLE


def _pair(values: NDArray[np.integer]) -> tuple[int, int]:
    return int(values[0]), int(values[1])
