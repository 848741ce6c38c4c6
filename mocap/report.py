"""What came out of a take, in figures and in one picture; nothing here changes the result."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch

import mocap
from calibration.cameras import Cameras
from mocap.actor_views import actor_views
from mocap.fit.assemble import keypoints_on_body
from mocap.keypoints import FloatArray, Keypoints3D
from mocap.metrics import (
    LIMB_KEYPOINTS,
    bone_length_std_m,
    foot_skate,
    held_out_error_px,
    jitter,
    reprojection_error_px,
)
from mocap.observations import Observations
from mocap.settings import Settings
from mocap.sync_take import clock_summary
from mocap.take import Take
from rigs import load_body
from rigs.motion import Motion

_ABSENT_S = 0.5
"""Somebody whom the cameras lose for less was not away."""


def take_report(take: Take, settings: Settings) -> dict[str, Any]:
    """Figures of a take, as far as its files go.

    Lengths in metres, errors in pixels of the footage. ``reprojection`` is of the fitted body's keypoints;
    ``held_out`` predicts each view from the others, so it needs three.
    """
    motions = {name: take.load_motion(name) for name in take.motion_files()}
    report: dict[str, Any] = {
        "program": f"mocap-studio {mocap.__version__}",
        "take": take.name,
        "people": {name: _motion_figures(motion) for name, motion in motions.items()},
    }
    if take.points_file.is_file():
        points = take.load_points()
        report["points"] = {
            "bone_length_std_m": bone_length_std_m(points),
            "coverage": float((points.num_views > 0).mean()),
        }
        for row, name in enumerate(f"person{number + 1}" for number in points.person.tolist()):
            if name in report["people"]:
                report["people"][name]["seen"] = _spells(points, row)
    if take.sync_file.is_file():
        report["clocks"] = clock_summary(take.load_clock())
    views = actor_views(take, settings.reconstruct)
    if views is None:
        return report
    report["notes"] = views.notes
    for person, own in enumerate(views.people, 1):
        if f"person{person}" in report["people"]:
            report["people"][f"person{person}"] |= {"sure": round(own.sure, 3), "tracks": own.tracks}
    names = views.observations.keypoint_names
    body_xyz = fitted_keypoints(next(iter(motions.values())), views.observations)
    error_px = reprojection_error_px(views.cameras, body_xyz, views.observations.xy_px[:, :, 0])
    limbs = [index for index, name in enumerate(names) if name in LIMB_KEYPOINTS]
    report["reprojection"] = _by_camera(error_px, views.cameras)
    report["reprojection_limbs"] = _by_camera(error_px[..., limbs], views.cameras)
    if len(views.cameras) > 2:
        held_out_px = held_out_error_px(
            views.observations.xy_px[:, :, 0], views.observations.sigma_px[:, :, 0], views.cameras
        )
        report["held_out"] = _by_camera(held_out_px, views.cameras)
        report["held_out_limbs"] = _by_camera(held_out_px[..., limbs], views.cameras)
    return report


def overlay_image(take: Take) -> bytes | None:
    """PNG of every view with the detected keypoints and the fitted body over it; None without footage."""
    from mocap.overlay import take_sheet

    notes = (
        "Lines and dots: what the detector saw (blue left, orange right). Pink: the fitted body; further "
        "people have other colours.",
    )
    sheet = take_sheet(take, title=take.name, notes=notes)
    if sheet is None:
        return None
    stream = io.BytesIO()
    sheet.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def fitted_keypoints(motion: Motion, observations: Observations) -> FloatArray:
    """(T, K, 3) metres, world: where the detector should have seen the fitted body at those times."""
    body = load_body(motion.body)
    model, which = keypoints_on_body(body, observations.keypoint_names)
    rotation, xyz_joint = body.pose_frames(motion.poses, motion.trans, motion.betas)
    xyz = np.full((len(motion.time_s), len(observations.keypoint_names), 3), np.nan)
    xyz[:, which] = model.pose(rotation, xyz_joint, torch.as_tensor(motion.betas)).numpy()
    nearest = np.abs(motion.time_s[:, None] - observations.time_s).argmin(0)
    return xyz[nearest]


def _motion_figures(motion: Motion) -> dict[str, Any]:
    skeleton = load_body(motion.body).skeleton(motion.betas)
    feet = [index for index, name in enumerate(motion.joint_names) if name.endswith("_foot")]
    return {
        "frames": len(motion.time_s),
        "rate_hz": motion.mocap_framerate,
        "body": motion.body,
        "height_m": float(skeleton.rest_xyz[:, 1].max() - skeleton.rest_xyz[:, 1].min()),
        "joint_std_m": float(np.nanmean(motion.joint_std)) if np.isfinite(motion.joint_std).any() else None,
        "acceleration_rms_m_s2": jitter(motion.joints, motion.mocap_framerate),
        "foot_skate_m_s": foot_skate(motion.joints[:, feet], motion.mocap_framerate),
    }


def _spells(points: Keypoints3D, row: int) -> dict[str, Any]:
    """From when to when a person is seen, and the times in between, seconds on the take's clock."""
    there = (points.num_views[:, row] > 0).any(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], there, [0]])))
    first, last = edges[::2], edges[1::2] - 1
    if not len(first):
        return {"from_s": None, "to_s": None, "spells_s": []}
    time_s = points.time_s
    apart = time_s[first[1:]] - time_s[last[:-1]] > _ABSENT_S
    begin, end = first[np.append(True, apart)], last[np.append(apart, True)]
    spells = [[float(time_s[a]), float(time_s[b])] for a, b in zip(begin, end, strict=True)]
    return {"from_s": spells[0][0], "to_s": spells[-1][1], "spells_s": spells}


def _by_camera(error_px: FloatArray, cameras: Cameras) -> dict[str, Any]:
    """Quantiles of errors (T, C, ...), over all cameras and for each."""
    each = {name: _quantiles(error_px[:, index]) for index, name in enumerate(cameras.names)}
    return {**_quantiles(error_px), "cameras": each}


def _quantiles(error_px: FloatArray) -> dict[str, float | None]:
    known = error_px[np.isfinite(error_px)]
    if known.size == 0:
        return {"median_px": None, "mean_px": None, "p95_px": None}
    median, p95 = np.quantile(known, (0.5, 0.95))
    return {"median_px": float(median), "mean_px": float(known.mean()), "p95_px": float(p95)}
