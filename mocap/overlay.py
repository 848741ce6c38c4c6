"""Pictures that show at a glance whether a result is right: skeletons over footage, bodies in 3D, sheets.

Works on any take that has footage, cameras and a motion, virtual or real; draws, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.drawing import Color, FloatArray, Mesh, RgbImage, draw_meshes, draw_skeleton, view_from
from mocap.keypoints import CameraKeypoints
from mocap.take import Take
from mocap.video import Clip, frames, open_clip
from rigs import load_body
from rigs.motion import Motion

if TYPE_CHECKING:
    from PIL import Image

FITTED: Color = (240, 70, 200)
"""The first person's fitted body."""
OTHERS: tuple[Color, ...] = ((70, 170, 240), (250, 180, 60), (150, 120, 240), (110, 210, 130))
"""Those of further people, in turn."""
TRUE: Color = (90, 190, 110)
"""The true body, where it is known."""
PAPER: Color = (250, 250, 248)
INK: Color = (30, 32, 36)

_BESIDE_M = 0.85
"""How far beside the fitted body the true one is shown."""


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
        take: with keypoints, clocks, cameras and a motion; the moments are those of the first person.
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
    motion, *others = (take.load_motion(name) for name in motion_files)
    cameras, clock = take.load_cameras(), take.load_clock()
    which = _telling(motion, instants)
    names = [name for name in cameras.names if name in clips and name in clock.cameras][:max_cameras]
    rows = [
        _camera_row(take, name, open_clip(clips[name]), cameras[name], (motion, *others), which, panel_px)
        for name in names
    ]
    rows.append(_body_row((motion, *others), which, true_motion, panel_px))
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
    motions: Sequence[Motion],
    which: NDArray[np.integer],
    panel_px: tuple[int, int],
) -> list[RgbImage]:
    """One camera's pictures at some frames of the first motion, cut out round the people."""
    clock = take.load_clock().cameras[name]
    seen = take.load_keypoints(name) if take.keypoints_file(name).is_file() else None
    row: list[RgbImage] = []
    for index in which:
        camera_s = (motions[0].time_s[index] - clock.offset_s) / (1 + clock.drift_ppm * 1e-6)
        picture = _picture_at(clip, float(camera_s))
        people = _people_at(motions, float(motions[0].time_s[index]))
        picture = draw_meshes([mesh for mesh, _ in people], camera, background=picture, opacity=0.4)
        everybody_px = [camera.project(torch.from_numpy(joints))[0][0].numpy() for _, joints in people]
        if seen is not None and len(seen.time_s):
            for joints_px in everybody_px:
                picture = _draw_detected(picture, seen, float(camera_s), joints_px)
        row.append(_cut_out(picture, np.concatenate(everybody_px), panel_px))
    return row


def _people_at(motions: Sequence[Motion], time_s: float) -> list[tuple[Mesh, FloatArray]]:
    """Body and joints (J, 3) of everybody who is there at a time, the first person first."""
    people: list[tuple[Mesh, FloatArray]] = []
    for number, motion in enumerate(motions):
        nearest = int(np.abs(motion.time_s - time_s).argmin())
        if abs(motion.time_s[nearest] - time_s) < 1 / motion.mocap_framerate:
            color = OTHERS[(number - 1) % len(OTHERS)] if number else FITTED
            people.append((_mesh(motion, nearest, color), motion.joints[nearest]))
    return people


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
    motions: Sequence[Motion],
    which: NDArray[np.integer],
    true_motion: Motion | None,
    panel_px: tuple[int, int],
) -> list[RgbImage]:
    """The fitted bodies in 3D, the first true one beside it where it is known; always from one direction."""
    motion = motions[0]
    azimuth_deg = -35.0
    right = np.array([-np.sin(np.radians(azimuth_deg)), np.cos(np.radians(azimuth_deg)), 0.0])
    row: list[RgbImage] = []
    for index in which:
        people = _people_at(motions, float(motion.time_s[index]))
        places = np.stack([joints[0, :2] for _, joints in people])
        target = np.array([*((places.min(0) + places.max(0)) / 2), 0.9])
        distance_m = 2.9 + 1.2 * float(np.linalg.norm(places.max(0) - places.min(0)))
        meshes = [mesh for mesh, _ in people]
        if true_motion is not None:
            nearest = int(np.abs(true_motion.time_s - motion.time_s[index]).argmin())
            true = _mesh(true_motion, nearest, TRUE)
            meshes.append(Mesh(true.vertices + _BESIDE_M * right, true.faces, true.color))
            target = target + 0.5 * _BESIDE_M * right
        camera = view_from(target, azimuth_deg=azimuth_deg, distance_m=distance_m, size_px=panel_px)
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
