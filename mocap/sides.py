"""Left and right of the body, where a detector confused them in one view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.keypoints import FloatArray, Keypoints3D
from mocap.observations import Observations, reprojections_px

_SWAP_GAIN = 2.0
"""Mean log likelihood per keypoint that the exchange of left and right must gain."""


def unswap(
    observations: Observations, points: Keypoints3D, cameras: Cameras
) -> tuple[Observations, NDArray[np.bool_]]:
    """Exchange left and right in the view where that fits the points better than anywhere else.

    Lower and upper body are judged each for itself, and at any instant only one view is changed: a wrong
    view bends the points, and may make a right one look wrong. Triangulate again and ask again.

    Returns:
        The observations, and (T, C) whether anything was exchanged.
    """
    mirror = _mirror(observations.keypoint_names)
    other_xy, other_sigma = observations.xy_px[..., mirror, :], observations.sigma_px[..., mirror]
    plain = _log_cost(reprojections_px(cameras, points, observations.xy_px) / observations.sigma_px)
    crossed = _log_cost(reprojections_px(cameras, points, other_xy) / other_sigma)
    exchange = np.zeros(plain.shape, dtype=bool)
    for part in _body_parts(observations.keypoint_names):
        both = np.isfinite(plain) & np.isfinite(crossed) & part
        gain = np.where(both, plain - crossed, 0.0).sum(-1) / np.maximum(both.sum(-1), 1)  # (T, C, P)
        exchange |= ((gain > _SWAP_GAIN) & (gain == gain.max(1, keepdims=True)))[..., None] & part
    exchanged = replace(
        observations,
        xy_px=np.where(exchange[..., None], other_xy, observations.xy_px),
        sigma_px=np.where(exchange, other_sigma, observations.sigma_px),
    )
    return exchanged, exchange.any((2, 3))


def _log_cost(error: FloatArray) -> FloatArray:
    """Negative log likelihood of errors in deviations, with tails as heavy as a detector's."""
    return 2.5 * np.log1p(error**2 / 3)


def _mirror(names: Sequence[str]) -> list[int]:
    """For each keypoint the index of the same on the other side of the body."""
    sides = {"left": "right", "right": "left"}
    others = ["_".join(sides.get(word, word) for word in name.split("_")) for name in names]
    return [list(names).index(other) if other in names else index for index, other in enumerate(others)]


def _body_parts(names: Sequence[str]) -> list[NDArray[np.bool_]]:
    """(K,) masks of the paired keypoints of lower and upper body, which detectors confuse one at a time.

    The head goes with the arms: eyes and ears alone, so near each other, cannot say which view is wrong.
    """
    paired = np.array([index != other for index, other in enumerate(_mirror(names))])
    lower = ("hip", "knee", "ankle", "heel", "toe", "foot")
    legs = np.array([any(word in name for word in lower) for name in names])
    return [paired & legs, paired & ~legs]
