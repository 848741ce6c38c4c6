"""How far a result lies from the truth; nothing is aligned, both are in the board's frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration.cameras import Cameras
from mocap.keypoints import CameraKeypoints
from mocap.metrics import LIMB_KEYPOINTS
from mocap.session import Session
from mocap.take import Take
from rigs.motion import Motion

FloatArray = NDArray[np.floating]

LIMB_BONES = tuple(
    (f"{side}_{upper}", f"{side}_{lower}")
    for upper, lower in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
    for side in ("left", "right")
)
"""The bones whose lengths are compared."""


@dataclass(frozen=True)
class Figure:
    """One measured difference from the truth, and how large it may be."""

    name: str
    """What was measured, for people."""
    value: float
    """The figure; NaN where it could not be measured."""
    unit: str
    """Its unit."""
    limit: float | None = None
    """The largest value that passes; None where the figure only informs."""

    @property
    def passed(self) -> bool:
        """Whether the figure is within its limit; one that could not be measured is not."""
        return self.limit is None or bool(self.value <= self.limit)


def compare_cameras(found: Cameras, true: Cameras) -> list[Figure]:
    """Worst camera centre, rotation and focal length; a camera that was not found is infinitely wrong."""
    if set(true.names) - set(found.names):
        missing = float("inf")
        return [
            Figure("camera centre, worst", missing, "mm", 10.0),
            Figure("camera rotation, worst", missing, "°", 0.3),
        ]
    found = found[list(true.names)]
    centers_mm = 1e3 * (found.centers_world - true.centers_world).norm(dim=-1)
    turns = found.cam_from_world[:, :3, :3] @ true.cam_from_world[:, :3, :3].transpose(-1, -2)
    angles_deg = np.degrees(Rotation.from_matrix(turns.numpy()).magnitude())
    focal_pct = 100 * (found.focal_px / true.focal_px - 1).abs()
    return [
        Figure("camera centre, worst", float(centers_mm.max()), "mm", 10.0),
        Figure("camera rotation, worst", float(angles_deg.max()), "°", 0.3),
        Figure("focal length, worst", float(focal_pct.max()), "%"),
    ]


def keypoint_errors_px(found: CameraKeypoints, true: CameraKeypoints) -> FloatArray:
    """(F, K) pixels from the first true person to the nearest detected one; NaN where either is missing."""
    names = [name for name in true.keypoint_names if name in found.keypoint_names]
    of_true = [true.keypoint_names.index(name) for name in names]
    of_found = [found.keypoint_names.index(name) for name in names]
    frame = np.abs(found.time_s[:, None] - true.time_s[None]).argmin(0)
    apart = np.linalg.norm(
        found.xy_px[frame][:, :, of_found] - true.xy_px[:, :1, of_true], axis=-1
    )  # (F, P, K)
    typical = np.array([[_median(person) for person in people] for people in apart])
    nearest = np.where(np.isfinite(typical), typical, np.inf).argmin(1)
    errors = np.full((len(true.time_s), len(true.keypoint_names)), np.nan)
    errors[:, of_true] = apart[np.arange(len(apart)), nearest]
    return errors


def compare_keypoints(take: Take, true: Take) -> list[Figure]:
    """2D error at the limbs over all cameras, against where the detector should see the true body."""
    limbs, everything, missing = [], [], []
    for name in true.keypoints_files():
        truth = true.load_keypoints(name)
        which = [truth.keypoint_names.index(joint) for joint in LIMB_KEYPOINTS]
        visible = np.isfinite(truth.xy_px[:, 0, :, 0])
        if not take.keypoints_file(name).is_file():
            missing.append(visible[:, which].ravel())
            continue
        errors = keypoint_errors_px(take.load_keypoints(name), truth)
        limbs.append(errors[:, which].ravel())
        everything.append(errors.ravel())
        missing.append((visible & ~np.isfinite(errors))[:, which].ravel())
    limb_px = np.concatenate(limbs) if limbs else np.array([np.nan])
    return [
        Figure("2D keypoints of the limbs, median", _median(limb_px), "px"),
        Figure("2D keypoints of the limbs, 95th percentile", _quantile(limb_px, 0.95), "px"),
        Figure(
            "2D keypoints, all 33, median",
            _median(np.concatenate(everything)) if everything else np.nan,
            "px",
        ),
        Figure("2D keypoints of the limbs not found", 100 * float(np.concatenate(missing).mean()), "%"),
    ]


def joint_errors_m(found: Motion, true: Motion, names: tuple[str, ...] = LIMB_KEYPOINTS) -> FloatArray:
    """(T, n) metres between named joints at the found motion's times; the truth is interpolated linearly."""
    of_found = [found.joint_names.index(name) for name in names]
    of_true = [true.joint_names.index(name) for name in names]
    inside = (found.time_s >= true.time_s[0] - 1e-6) & (found.time_s <= true.time_s[-1] + 1e-6)
    flat = true.joints[:, of_true].reshape(len(true.time_s), -1)
    at = np.stack([np.interp(found.time_s[inside], true.time_s, column) for column in flat.T], -1)
    return np.linalg.norm(found.joints[inside][:, of_found] - at.reshape(-1, len(names), 3), axis=-1)


def compare_motion(found: Motion, true: Motion) -> list[Figure]:
    """Joints of the limbs, lengths of their bones, and the share of the take that was found."""
    errors_mm = 1e3 * joint_errors_m(found, true)
    lengths = [1e3 * abs(_length(found, *bone) - _length(true, *bone)) for bone in LIMB_BONES]
    share = 100 * min(len(errors_mm) / len(true.time_s), 1.0)
    return [
        Figure("limb joints, mean", float(errors_mm.mean()) if errors_mm.size else np.nan, "mm", 25.0),
        Figure("limb joints, 95th percentile", _quantile(errors_mm, 0.95), "mm"),
        Figure("bone lengths of the limbs, mean", float(np.mean(lengths)), "mm"),
        Figure("frames of the take without a pose", 100 - share, "%", 5.0),
    ]


def compare_bvh(path: Path, motion: Motion, rig: str) -> Figure:
    """Joints of a BVH file, read back, against the motion it was made from; infinite without a file."""
    from exporters.bvh import read_bvh
    from rigs.rig_names import load_rig_names

    name = "BVH read back, worst joint"
    if not path.is_file():
        return Figure(name, float("inf"), "mm", 0.05)
    read = read_bvh(path.read_bytes()).motion
    names = load_rig_names(rig)
    pairs = [
        (read.joint_names.index(names[joint]), index)
        for index, joint in enumerate(motion.joint_names)
        if names.get(joint) in read.joint_names
    ]
    if len(read.time_s) != len(motion.time_s) or not pairs:
        return Figure(name, float("inf"), "mm", 0.05)
    in_file, in_motion = (list(part) for part in zip(*pairs, strict=True))
    apart = np.linalg.norm(read.joints[:, in_file] - motion.joints[:, in_motion], axis=-1)
    return Figure(name, float(1e3 * apart.max()), "mm", 0.05)


def compare_session(
    session: Session, truth: Session, take: str = "take1", *, rig: str = "mixamo"
) -> list[Figure]:
    """All figures of a session with one take and one performer."""
    here, true = session.take(take), truth.take(take)
    figures = compare_cameras(session.load_cameras(), truth.load_cameras())
    figures += compare_keypoints(here, true)
    true_motion = true.load_motion("person1")
    found = {name: here.load_motion(name) for name in here.motion_files()}
    if not found:
        return [*figures, Figure("limb joints, mean", float("nan"), "mm", 25.0)]
    best = min(found, key=lambda name: float(np.nanmean(joint_errors_m(found[name], true_motion))))
    figures += compare_motion(found[best], true_motion)
    bvh = here.export_folder / f"{best}.bvh"
    return [*figures, compare_bvh(bvh, found[best], rig)]


def _length(motion: Motion, upper: str, lower: str) -> float:
    """Metres; the same in all frames, as bones are rigid."""
    first, second = motion.joint_names.index(upper), motion.joint_names.index(lower)
    return float(np.linalg.norm(motion.joints[0, second] - motion.joints[0, first]))


def _median(values: FloatArray) -> float:
    return _quantile(values, 0.5)


def _quantile(values: FloatArray, share: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, share)) if known.size else float("nan")
