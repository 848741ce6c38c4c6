"""Everybody whom the cameras saw, at common instants, as viewing rays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.timeline import COINCIDENT_S, frame_rate
from mocap.track import follow, person_size

_BODY = (
    "nose",
    *(
        f"{side}_{joint}"
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
)
"""Keypoints that say where a whole body is; the others lie near one of them."""
_INSTANTS_HZ = 30.0
"""Instants per second at which people of different views are compared; people hardly move in between."""


@dataclass(frozen=True)
class Sights:
    """C views of all people at T instants; P is the most in one picture."""

    time_s: FloatArray
    """(T,) seconds on the take's clock."""
    rate_hz: float
    """Instants per second."""
    keypoint: NDArray[np.integer]
    """(K,) places in the detector's list of the keypoints that are compared."""
    origin: FloatArray
    """(C, 3) camera centres, metres, world frame."""
    direction: FloatArray
    """(C, T, P, K, 3) unit viewing rays, world frame, NaN where unseen."""
    angle: FloatArray
    """(C, T, P) size of a person as seen from the camera, radians, NaN where nobody is."""
    prominence: FloatArray
    """(C, T, P) share of the picture's height times mean score, 0 where nobody is."""
    tracklet: NDArray[np.integer]
    """(C, T, P) number of the tracklet, unique in the take; -1 where nobody is."""
    frame: NDArray[np.integer]
    """(C, T) the camera's frame that is nearest."""
    row: NDArray[np.integer]
    """(C, T, P) the row in that frame, -1 where nobody is."""


@dataclass(frozen=True)
class _View:
    """One camera's part of ``Sights``, before the views are put together."""

    xy_px: FloatArray
    score: FloatArray
    tracklet: NDArray[np.integer]
    frame: NDArray[np.integer]
    row: NDArray[np.integer]


def body_keypoints(names: Sequence[str]) -> NDArray[np.integer]:
    """Places of the keypoints that are compared; all of them where the set names its points otherwise."""
    found = [index for index, name in enumerate(names) if name in _BODY]
    return np.array(found if len(found) >= len(_BODY) // 2 else range(len(names)), dtype=int)


def sights(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    taken_s: Mapping[str, FloatArray],
    time_s: FloatArray,
    rate_hz: float,
) -> Sights:
    """Bring everybody whom the cameras saw to common instants.

    Args:
        keypoints: what each camera saw, all with the same keypoints.
        cameras: calibrated cameras, in the order of ``keypoints``.
        taken_s: (F,) by camera: times of its frames on the take's clock, seconds.
        time_s: (T,) the take's timeline, seconds.
        rate_hz: of the timeline.
    """
    step = max(1, int(rate_hz / _INSTANTS_HZ + 1e-6))
    at_s = time_s[::step]
    which = body_keypoints(next(iter(keypoints.values())).keypoint_names)
    views = [_view(view, taken_s[name], at_s, which, follow(view)) for name, view in keypoints.items()]
    most = max(1, *(view.row.shape[1] for view in views))
    xy_px = _stack([view.xy_px for view in views], most, np.nan)
    score = _stack([view.score for view in views], most, np.nan)
    row = _stack([view.row for view in views], most, -1)
    label = _stack([view.tracklet for view in views], most, -1)
    offset = np.cumsum([0, *(part.max(initial=-1) + 1 for part in label[:-1])])[:, None, None]
    count, times = label.shape[:2]
    direction = cameras.rays(torch.as_tensor(xy_px.reshape(count, -1, 2))).direction_world.numpy()
    size = person_size(xy_px)
    height = np.array([view.size_px[1] for view in keypoints.values()])[:, None, None]
    mean_score = np.nan_to_num(score).sum(-1) / np.maximum(np.isfinite(score).sum(-1), 1)
    return Sights(
        at_s,
        rate_hz / step,
        which,
        cameras.centers_world.numpy(),
        direction.reshape(count, times, most, len(which), 3),
        size / cameras.focal_px.mean(-1).numpy()[:, None, None],
        np.nan_to_num(size) / height * np.clip(mean_score, 0.0, 1.0),
        np.where(label >= 0, label + offset, -1),
        np.stack([view.frame for view in views]),
        row,
    )


def _view(
    view: CameraKeypoints,
    taken_s: FloatArray,
    at_s: FloatArray,
    which: NDArray[np.integer],
    label: NDArray[np.integer],
) -> _View:
    """One camera at the instants: the frame itself where one coincides, else linear between two frames."""
    after = np.clip(np.searchsorted(taken_s, at_s), 1, max(len(taken_s) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(taken_s) - 1)
    nearest = np.where(at_s - taken_s[before] < taken_s[after] - at_s, before, after)
    other = np.where(nearest == before, after, before)
    away = at_s - taken_s[nearest]
    gap = taken_s[other] - taken_s[nearest]
    weight = np.where(np.abs(away) <= COINCIDENT_S, 0.0, away / np.where(gap == 0, np.inf, gap))
    period_s = 1 / frame_rate(taken_s)
    near = np.abs(away) <= 0.6 * period_s
    who = np.where(near[:, None], label[nearest], -1)
    xy_px, score = view.xy_px[nearest][:, :, which], view.score[nearest][:, :, which]
    if (weight > 0).any() and who.shape[1]:
        same = (who[:, :, None] == label[other][:, None]) & (who[:, :, None] >= 0)
        mate = same.argmax(-1)
        late = np.take_along_axis(view.xy_px[other][:, :, which], mate[..., None, None], 1)
        mixed = xy_px + weight[:, None, None, None] * (late - xy_px)
        xy_px = np.where((same.any(-1) & (weight > 0)[:, None])[..., None, None], mixed, xy_px)
    there = (who >= 0)[..., None]
    xy_px = np.where(there[..., None], xy_px, np.nan)
    row = np.where(who >= 0, np.arange(who.shape[1]), -1)
    return _View(xy_px, np.where(there, score, np.nan), who, nearest, row)


def _stack(parts: Sequence[NDArray[Any]], most: int, fill: float) -> NDArray[Any]:
    """(C, T, P, ...) of (T, fewer, ...)."""
    padded = [
        np.pad(
            part,
            [(0, 0), (0, most - part.shape[1]), *[(0, 0)] * (part.ndim - 2)],
            constant_values=fill,
        )
        for part in parts
    ]
    return np.stack(padded)
