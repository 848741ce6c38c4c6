"""People as all views show them at the instants of the take's timeline, and how well each view knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.timeline import frame_rate, resample
from mocap.track import person_size

_SCORES = (0.2, 0.4, 0.5, 0.7, 0.9, 1.0)
_BLAZEPOSE_SIGMA = (0.070, 0.042, 0.031, 0.019, 0.0078, 0.0060)
"""Deviation of a BlazePose coordinate by heatmap score, in body sizes; measured on rendered people."""
_OTHER_SIGMA = 0.008
"""The same of other detectors at score 1; it grows as 1 / score."""
_LEAST_SIZE = 0.05
"""Image heights below which a size says nothing of the error: a prop of one point has none at all."""
_SIZE_WINDOW_S = 1.0
"""A crouching person is as large as they were standing within this time before or after."""


@dataclass(frozen=True)
class Observations:
    """What all views show of some people at the instants of the take's timeline."""

    time_s: FloatArray
    """(T,) seconds on the take's clock."""
    rate_hz: float
    """Instants per second."""
    keypoint_names: tuple[str, ...]
    """K names."""
    xy_px: FloatArray
    """(T, C, P, K, 2) distorted pixels, NaN where unseen; cameras in the order of the calibration."""
    sigma_px: FloatArray
    """(T, C, P, K) expected deviation of a coordinate, pixels."""
    size_px: FloatArray
    """(T, C, P) size of the person in the picture, pixels, of which the deviation is a share."""

    def at(self, instants: NDArray[np.bool_]) -> Observations:
        """Those at some instants (T,) only."""
        return replace(
            self,
            time_s=self.time_s[instants],
            xy_px=self.xy_px[instants],
            sigma_px=self.sigma_px[instants],
            size_px=self.size_px[instants],
        )

    def of(self, person: int, cameras: NDArray[np.integer]) -> Observations:
        """Those of one person alone, with the cameras in another order (C,)."""
        return replace(
            self,
            xy_px=self.xy_px[:, cameras, person : person + 1],
            sigma_px=self.sigma_px[:, cameras, person : person + 1],
            size_px=self.size_px[:, cameras, person : person + 1],
        )


def gather(
    keypoints: Mapping[str, CameraKeypoints],
    taken_s: Mapping[str, FloatArray],
    pieces: Sequence[Mapping[str, NDArray[np.integer]]],
    time_s: FloatArray,
    rate_hz: float,
) -> Observations:
    """The keypoints of people in all views at the timeline's instants.

    Args:
        keypoints: what each camera saw, all with the same keypoints.
        taken_s: (F,) by camera: its frames' times on the take's clock.
        pieces: for each person by camera: (F, K) the row that shows each keypoint, -1 where none does.
        time_s: (T,) the timeline.
        rate_hz: its instants per second.
    """
    names = next(iter(keypoints.values())).keypoint_names
    shape = (len(time_s), len(keypoints), len(pieces), len(names))
    xy_px, sigma_px, size_px = np.full((*shape, 2), np.nan), np.full(shape, np.nan), np.zeros(shape[:3])
    for person, own in enumerate(pieces):
        for camera, (name, view) in enumerate(keypoints.items()):
            there = np.flatnonzero((own[name] >= 0).any(1))
            xy, score = _pieced(view, there, own[name][there])
            period_s = 1 / frame_rate(view.time_s)
            xy = resample(taken_s[name][there], xy, time_s, period_s=period_s)
            score = resample(taken_s[name][there], score, time_s, period_s=period_s)
            size = np.maximum(_lasting_size(xy, rate_hz), _LEAST_SIZE * view.size_px[1])
            xy_px[:, camera, person], size_px[:, camera, person] = xy, size
            sigma_px[:, camera, person] = deviation(score, names) * size[:, None]
    return Observations(time_s, rate_hz, names, xy_px, sigma_px, size_px)


def _pieced(
    view: CameraKeypoints, frame: NDArray[np.integer], row: NDArray[np.integer]
) -> tuple[FloatArray, FloatArray]:
    """(N, K, 2) pixels and (N, K) scores of one person whose keypoints are in some rows (N, K)."""
    pick = frame[:, None], np.maximum(row, 0), np.arange(row.shape[1])
    known = row >= 0
    return np.where(known[..., None], view.xy_px[pick], np.nan), np.where(known, view.score[pick], np.nan)


def _lasting_size(xy_px: FloatArray, rate_hz: float) -> FloatArray:
    """(T,) a person's size in one picture from (T, K, 2): the largest within a second around, pixels."""
    reach = max(1, round(_SIZE_WINDOW_S * rate_hz))
    size = np.pad(np.nan_to_num(person_size(xy_px)), reach)
    return np.lib.stride_tricks.sliding_window_view(size, 2 * reach + 1).max(-1)


def deviation(score: FloatArray, keypoint_names: Sequence[str]) -> FloatArray:
    """Expected deviation of a detected coordinate by its score (...), in body sizes in the picture.

    BlazePose's score is its heatmap's maximum, whose meaning was measured; for other detectors the
    deviation is taken to grow as 1 / score. A missing score counts as 0.2.
    """
    score = np.clip(np.nan_to_num(score, nan=_SCORES[0]), _SCORES[0], 1.0)
    if {"left_eye_inner", "mouth_left", "left_foot_index"} <= set(keypoint_names):
        return np.exp(np.interp(score, _SCORES, np.log(_BLAZEPOSE_SIGMA)))
    return _OTHER_SIGMA / score
