"""Pictures that show at a glance whether a result is right: skeletons over footage, bodies in 3D, sheets.

Works on any take that has footage, cameras and a motion, virtual or real; draws, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.keypoints import CameraKeypoints
from mocap.session import Take
from mocap.video import Clip, frames, open_clip
from rigs import load_body
from rigs.keypoints import limbs
from rigs.motion import Motion

if TYPE_CHECKING:
    from PIL import Image

FloatArray = NDArray[np.floating]
RgbImage = NDArray[np.uint8]
Color = tuple[int, int, int]

LEFT: Color = (64, 190, 255)
"""The person's left side."""
RIGHT: Color = (255, 150, 60)
"""The person's right side."""
MIDDLE: Color = (250, 250, 250)
"""Lines between the sides."""
FITTED: Color = (240, 70, 200)
"""The fitted body's joints."""
TRUE: Color = (90, 190, 110)
"""The true body, where it is known."""
PAPER: Color = (250, 250, 248)
INK: Color = (30, 32, 36)

_BESIDE_M = 0.85
"""How far beside the fitted body the true one is shown."""
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


def contact_sheet(
    rows: Sequence[Sequence[RgbImage]],
    captions: Sequence[str],
    headings: Sequence[str],
    *,
    title: str,
    notes: Sequence[str] = (),
) -> Image.Image:
    """Pictures of one size in rows, with words.

    Args:
        rows: pictures, row by row, all of one size.
        captions: one for each row, at its left.
        headings: one for each column, above it.
        title: on top.
        notes: lines under the title.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = rows[0][0].shape[:2]
    gap, side, line = 6, 108, 22
    top = 54 + line * len(notes) + 30
    size = (side + (width + gap) * len(headings) + gap, top + (height + gap) * len(rows) + gap)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((16, 14), title, INK, ImageFont.load_default(24))
    for number, note in enumerate(notes):
        pen.text((16, 50 + line * number), note, INK, ImageFont.load_default(15))
    for column, heading in enumerate(headings):
        pen.text((side + (width + gap) * column + 4, top - 24), heading, INK, ImageFont.load_default(15))
    for number, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        y = top + (height + gap) * number
        pen.multiline_text((14, y + 8), caption, INK, ImageFont.load_default(15), spacing=5)
        for column, picture in enumerate(row):
            sheet.paste(Image.fromarray(picture), (side + (width + gap) * column, y))
    return sheet


def take_sheet(
    take: Take,
    *,
    title: str,
    notes: Sequence[str] = (),
    instants: int = 4,
    true_motion: Motion | None = None,
    panel_px: tuple[int, int] = (330, 300),
    max_cameras: int = 6,
) -> Image.Image | None:
    """Every view of a take with the detected keypoints and the fitted body over it, and the body in 3D.

    Args:
        take: with keypoints, clocks, cameras and a motion; the first person is shown.
        title: on top of the sheet.
        notes: lines under it.
        instants: how many moments are shown.
        true_motion: drawn beside the fitted body, where the truth is known.
        panel_px: width and height of a picture.
        max_cameras: no more views than this.

    Returns:
        The sheet, or None where the take has no motion, cameras or footage.
    """
    clips = take.clips()
    motion_files = take.motion_files()
    if not (clips and motion_files and take.cameras_file.is_file() and take.sync_file.is_file()):
        return None
    motion = take.load_motion(next(iter(motion_files)))
    cameras, clock = take.load_cameras(), take.load_clock()
    which = _telling(motion, instants)
    names = [name for name in cameras.names if name in clips and name in clock.cameras][:max_cameras]
    rows = [
        _camera_row(take, name, open_clip(clips[name]), cameras[name], motion, which, panel_px)
        for name in names
    ]
    rows.append(_body_row(motion, which, true_motion, panel_px))
    captions = [
        *names,
        "3D\nfitted" if true_motion is None else "3D\nfitted (pink)\nand beside it\nthe truth\n(green)",
    ]
    headings = [f"{motion.time_s[index]:.2f} s" for index in which]
    return contact_sheet(rows, captions, headings, title=title, notes=notes)


def _camera_row(
    take: Take,
    name: str,
    clip: Clip,
    camera: Cameras,
    motion: Motion,
    which: NDArray[np.integer],
    panel_px: tuple[int, int],
) -> list[RgbImage]:
    """One camera's pictures at some frames of the motion, cut out round the person."""
    body = load_body(motion.body)
    clock = take.load_clock().cameras[name]
    seen = take.load_keypoints(name) if take.keypoints_file(name).is_file() else None
    row: list[RgbImage] = []
    for index in which:
        camera_s = (motion.time_s[index] - clock.offset_s) / (1 + clock.drift_ppm * 1e-6)
        picture = _picture_at(clip, float(camera_s))
        joints_px = camera.project(torch.from_numpy(motion.joints[index]))[0][0].numpy()
        vertices, _ = body.skin(motion.poses[index], motion.trans[index], motion.betas)
        fitted = Mesh(vertices.numpy(), body.faces.numpy(), FITTED)
        picture = draw_meshes([fitted], camera, background=picture, opacity=0.4)
        if seen is not None and len(seen.time_s):
            picture = _draw_detected(picture, seen, float(camera_s), joints_px)
        row.append(_cut_out(picture, joints_px, panel_px))
    return row


def _draw_detected(
    picture: RgbImage, seen: CameraKeypoints, camera_s: float, joints_px: FloatArray
) -> RgbImage:
    """The detected person that is nearest to where the fitted one is."""
    frame = int(np.abs(seen.time_s - camera_s).argmin())
    middle = np.nanmean(joints_px, axis=0) if np.isfinite(joints_px).any() else np.zeros(2)
    people = [one for one in range(seen.xy_px.shape[1]) if np.isfinite(seen.xy_px[frame, one]).any()]
    if not people:
        return picture
    nearest = min(people, key=lambda one: np.linalg.norm(np.nanmean(seen.xy_px[frame, one], axis=0) - middle))
    return draw_skeleton(picture, seen.xy_px[frame, nearest], seen.keypoint_names, seen.score[frame, nearest])


def _body_row(
    motion: Motion, which: NDArray[np.integer], true_motion: Motion | None, panel_px: tuple[int, int]
) -> list[RgbImage]:
    """The fitted body in 3D, the true one beside it where it is known; always from one direction."""
    azimuth_deg = -35.0
    right = np.array([-np.sin(np.radians(azimuth_deg)), np.cos(np.radians(azimuth_deg)), 0.0])
    row: list[RgbImage] = []
    for index in which:
        target = np.array([*motion.joints[index, 0, :2], 0.9])
        meshes = [_mesh(motion, index, FITTED)]
        if true_motion is not None:
            nearest = int(np.abs(true_motion.time_s - motion.time_s[index]).argmin())
            true = _mesh(true_motion, nearest, TRUE)
            meshes.append(Mesh(true.vertices + _BESIDE_M * right, true.faces, true.color))
            target = target + 0.5 * _BESIDE_M * right
        camera = view_from(target, azimuth_deg=azimuth_deg, distance_m=2.9, size_px=panel_px)
        row.append(draw_meshes(meshes, camera))
    return row


def _telling(motion: Motion, instants: int) -> NDArray[np.integer]:
    """Frames to show, in time order: poses that differ most from the usual one and from each other."""
    pose = motion.joints - motion.joints[:, :1]
    unlike = np.linalg.norm(pose - np.median(pose, axis=0), axis=-1).mean(1)
    chosen: list[int] = []
    for _ in range(min(instants, len(pose))):
        chosen.append(int(np.nan_to_num(unlike, nan=-1.0).argmax()))
        unlike = np.minimum(unlike, np.linalg.norm(pose - pose[chosen[-1]], axis=-1).mean(1))
    return np.array(sorted(set(chosen)))


def _mesh(motion: Motion, index: int, color: Color) -> Mesh:
    body = load_body(motion.body)
    vertices, _ = body.skin(motion.poses[index], motion.trans[index], motion.betas)
    return Mesh(vertices.numpy(), body.faces.numpy(), color)


def _picture_at(clip: Clip, camera_s: float) -> RgbImage:
    """The frame nearest to a time of the camera's clock; black where the clip has none."""
    half = 0.5 / clip.rate_hz
    for frame in frames(clip, start_s=max(camera_s - half, 0.0)):
        return frame.rgb
    return np.zeros((clip.size_px[1], clip.size_px[0], 3), np.uint8)


def _cut_out(picture: RgbImage, joints_px: FloatArray, panel_px: tuple[int, int]) -> RgbImage:
    """The part of a picture round a person, at the panel's size."""
    import cv2

    known = joints_px[np.isfinite(joints_px).all(-1)]
    height, width = picture.shape[:2]
    low, high = (known.min(0), known.max(0)) if len(known) else (np.zeros(2), np.array([width, height]))
    middle, extent = (low + high) / 2, (high - low) * 1.35 + 40
    scale = min(panel_px[0] / extent[0], panel_px[1] / extent[1])
    shift = np.array(panel_px) / 2 - scale * middle
    to_panel = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return np.asarray(
        cv2.warpAffine(
            picture,
            to_panel,
            panel_px,
            flags=cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR,
            borderValue=PAPER,
        )
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
