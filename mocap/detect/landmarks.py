"""BlazePose's landmark network: one person's 33 points, and the two that say where to look next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocap.detect.interpreter import Network
from mocap.detect.region import Floats, Region, region_of_person
from mocap.detect.top_down import Pose

KEYPOINT_NAMES = (
    *("nose", "left_eye_inner", "left_eye", "left_eye_outer"),
    *(
        "right_eye_inner",
        "right_eye",
        "right_eye_outer",
        "left_ear",
        "right_ear",
        "mouth_left",
        "mouth_right",
    ),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    *("left_heel", "right_heel", "left_foot_index", "right_foot_index"),
)
"""The 33 landmarks in the network's order."""

INPUT_SIZE = 256
_HEATMAP_SIZE = 64
_POINTS = 39
_USED = 35
"""The landmarks, and the two auxiliary points behind them."""
_WINDOW = 3
"""The heatmap is read this many cells to each side of the landmark: a window of 7 x 7."""
_MIN_PEAK = 0.5
"""A heatmap whose peak in the window is lower leaves the landmark where it is."""


def _other_side(name: str) -> str:
    swapped = {"left": "right", "right": "left"}
    return "_".join(swapped.get(part, part) for part in name.split("_"))


MIRRORED = np.array([KEYPOINT_NAMES.index(_other_side(name)) for name in KEYPOINT_NAMES] + [33, 34])
"""(35,) the point that each point becomes in a mirror; the auxiliary ones lie on the body's middle."""


def refine(uv: Floats, heatmap: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Move points to the centre of gravity of their heatmap, and read its peak.

    Cell i of the heatmap stands for uv i / 64 and not for its middle: with half a cell added, points lie
    systematically off (measured on rendered people).

    Args:
        uv: (N, 2) places in the crop.
        heatmap: (64, 64, N) logits; rows are v.

    Returns:
        (N, 2) places, and (N,) peaks in [0, 1]; 0 for a point outside the crop.
    """
    column, row = np.floor(uv * _HEATMAP_SIZE).astype(int).T
    inside = (column >= 0) & (column < _HEATMAP_SIZE) & (row >= 0) & (row < _HEATMAP_SIZE)
    steps = np.arange(-_WINDOW, _WINDOW + 1)
    rows = np.where(inside, row, 0)[:, None] + steps  # (N, 7)
    columns = np.where(inside, column, 0)[:, None] + steps
    on_map = [(cells >= 0) & (cells < _HEATMAP_SIZE) for cells in (rows, columns)]
    window = heatmap[
        rows.clip(0, _HEATMAP_SIZE - 1)[:, :, None],
        columns.clip(0, _HEATMAP_SIZE - 1)[:, None, :],
        np.arange(len(uv))[:, None, None],
    ].astype(np.float64)
    weight = np.where(on_map[0][:, :, None] & on_map[1][:, None, :], 1 / (1 + np.exp(-window)), 0.0)
    peak = np.where(inside, weight.max(axis=(1, 2)), 0.0)
    total = weight.sum(axis=(1, 2))
    place = [(weight.sum(axis=axis) * cells).sum(axis=1) for axis, cells in ((1, columns), (2, rows))]
    center = np.stack(place, axis=1) / np.where(total > 0, total, 1.0)[:, None] / _HEATMAP_SIZE
    return np.where((peak >= _MIN_PEAK)[:, None], center, uv), peak


class LandmarkNetwork:
    """Reads one person's pose from a region.

    Args:
        path: the tflite file.
        mirror: also look at the mirror image, and average.
    """

    keypoint_names = KEYPOINT_NAMES

    def __init__(self, path: Path, *, mirror: bool) -> None:
        self._network = Network(path, outputs=((_POINTS * 5,), (1,), (_HEATMAP_SIZE, _HEATMAP_SIZE, _POINTS)))
        self._mirror = mirror

    def pose(self, rgb: NDArray[np.uint8], region: Region) -> Pose:
        """The pose of the person in a region of an image (H, W, 3)."""
        crop = region.cut_out(rgb, INPUT_SIZE).astype(np.float32) / np.float32(255)
        uv, score, present = self.read_crop(crop)
        if self._mirror:
            uv_m, score_m, present_m = unmirrored(*self.read_crop(np.ascontiguousarray(crop[:, ::-1])))
            uv, score, present = (uv + uv_m) / 2, (score + score_m) / 2, (present + present_m) / 2
        xy_px = region.image_from_uv(uv)
        return Pose(xy_px[:33], score[:33], present, region_of_person(xy_px[33], xy_px[34]))

    def read_crop(self, crop: NDArray[np.float32]) -> tuple[Floats, Floats, float]:
        """(35, 2) uv, (35,) score and presence of the person in a crop (256, 256, 3) of values 0 to 1."""
        points, present, heatmap = self._network(crop)
        uv = points.reshape(_POINTS, 5)[:_USED, :2].astype(np.float64) / INPUT_SIZE
        return *refine(uv, heatmap[..., :_USED]), float(present[0])


def unmirrored(uv: Floats, score: Floats, present: float) -> tuple[Floats, Floats, float]:
    """What was read in the mirrored crop, as it lies in the crop itself."""
    return np.stack([1 - uv[MIRRORED, 0], uv[MIRRORED, 1]], axis=1), score[MIRRORED], present
