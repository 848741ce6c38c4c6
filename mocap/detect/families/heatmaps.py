"""Decoding of heatmaps and of SimCC, which the top-down families share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mocap.detect.family import Size
from mocap.detect.network import Outputs

Floats = NDArray[np.float64]

_BLUR_CELLS = 1.0
"""Standard deviation of the smoothing before the logarithm: noise between cells would bend it."""


def count_heatmaps(outputs: Outputs, size: Size) -> int | None:
    """Keypoints of one output (N, K, H / 4, W / 4)."""
    if len(outputs) != 1 or outputs[0].ndim != 4:
        return None
    _, keypoints, height, width = outputs[0].shape
    return keypoints if (width * 4, height * 4) == size else None


def peaks(heat: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Sub-cell maxima of heatmaps.

    F. Zhang et al., Distribution-Aware Coordinate Representation for Human Pose Estimation, equation 7: one
    Newton step on the logarithm of the smoothed heatmap, from its largest cell.

    Args:
        heat: (N, K, h, w).

    Returns:
        (N, K, 2) cells, x before y, integer = cell; and (N, K) the heatmaps' largest values.
    """
    from scipy.ndimage import gaussian_filter

    height, width = heat.shape[-2:]
    flat = heat.reshape(-1, height, width).astype(np.float64)
    where = flat.reshape(len(flat), -1).argmax(axis=1)
    row, column = np.divmod(where, width)
    value = flat[np.arange(len(flat)), row, column]
    smooth = gaussian_filter(flat, (0, _BLUR_CELLS, _BLUR_CELLS), mode="nearest")
    log = np.log(np.maximum(np.pad(smooth, ((0, 0), (1, 1), (1, 1)), mode="edge"), 1e-10))
    near = np.arange(-1, 2)
    patch = log[
        np.arange(len(log))[:, None, None],
        row[:, None, None] + 1 + near[:, None],
        column[:, None, None] + 1 + near,
    ]
    slope = np.stack([patch[:, 1, 2] - patch[:, 1, 0], patch[:, 2, 1] - patch[:, 0, 1]], axis=1) / 2
    bend_x = patch[:, 1, 2] - 2 * patch[:, 1, 1] + patch[:, 1, 0]
    bend_y = patch[:, 2, 1] - 2 * patch[:, 1, 1] + patch[:, 0, 1]
    twist = (patch[:, 2, 2] - patch[:, 2, 0] - patch[:, 0, 2] + patch[:, 0, 0]) / 4
    area = bend_x * bend_y - twist**2
    inside = (row > 0) & (row < height - 1) & (column > 0) & (column < width - 1)
    top = inside & (area > 1e-12) & (bend_x < 0)
    safe = np.where(top, area, 1.0)
    step = -np.stack(
        [bend_y * slope[:, 0] - twist * slope[:, 1], bend_x * slope[:, 1] - twist * slope[:, 0]], axis=1
    )
    step = np.where(top[:, None], np.clip(step / safe[:, None], -1, 1), 0.0)
    cells = np.stack([column, row], axis=1) + step
    return cells.reshape(*heat.shape[:2], 2), value.reshape(heat.shape[:2])


def read_heatmaps(outputs: Outputs, size: Size) -> tuple[Floats, Floats]:
    """Cell i is pixel 4 i of the input, counted from the first pixel's centre."""
    cells, score = peaks(outputs[0])
    return 4 * cells + 0.5, score


def read_heatmaps_unbiased(outputs: Outputs, size: Size) -> tuple[Floats, Floats]:
    """The first and last cell are the input's first and last pixel.

    J. Huang et al., The Devil is in the Details: Delving into Unbiased Data Processing.
    """
    cells, score = peaks(outputs[0])
    height, width = outputs[0].shape[-2:]
    return cells * (np.array(size) - 1) / (width - 1, height - 1) + 0.5, score


def count_simcc(outputs: Outputs, size: Size) -> int | None:
    """Keypoints of two outputs (N, K, 2 W) and (N, K, 2 H)."""
    if len(outputs) != 2 or any(output.ndim != 3 for output in outputs):
        return None
    x, y = outputs
    return (
        x.shape[1]
        if x.shape[1] == y.shape[1] and (x.shape[2], y.shape[2]) == (2 * size[0], 2 * size[1])
        else None
    )


def read_simcc(outputs: Outputs, size: Size) -> tuple[Floats, Floats]:
    """Bin i is pixel i / 2 of the input, counted from its centre; the lower maximum is the score."""
    x, y = (output.argmax(axis=2) / 2 + 0.5 for output in outputs)
    score = np.minimum(outputs[0].max(axis=2), outputs[1].max(axis=2)).astype(np.float64)
    return np.stack([x, y], axis=-1), score
