"""Parametric pose suppression: whether two poses are one person's, from how their keypoints agree.

H.-S. Fang et al., RMPE: Regional Multi-Person Pose Estimation, section 3.3. The numbers are those that its
authors learned on COCO and publish with AlphaPose.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SIGMA_SCORE = 1.0
_SIGMA_PLACE = 2.65
_WEIGHT_PLACE = 1.7
_LIMIT = 22.48 / 17
"""Similarity for each keypoint, of COCO's 17, beyond which two poses are one person's."""
_UNIT = 0.1
"""Distances are in this part of the person's larger side."""
_MATCHING = 5 / 17
"""Two poses are one person's too if this share of their keypoints lies within one unit."""


def similarity(xy: Floats, score: Floats, others_xy: Floats, others_score: Floats) -> Floats:
    """(N,) equation 9's distance, for each keypoint: 0 for strangers, about 2.3 for a sure pose and itself.

    Args:
        xy: (K, 2) keypoints of a pose.
        score: (K,) their scores.
        others_xy: (N, K, 2) poses to compare with.
        others_score: (N, K).
    """
    size = np.ptp(xy, axis=0).max()
    apart = np.linalg.norm(others_xy - xy, axis=-1) / max(_UNIT * size, 1e-9)
    soft = np.tanh(score / _SIGMA_SCORE) * np.tanh(others_score / _SIGMA_SCORE) * (apart <= 1)
    return (soft + _WEIGHT_PLACE * np.exp(-apart / _SIGMA_PLACE)).mean(axis=1)


def doubles(xy: Floats, score: Floats, others_xy: Floats, others_score: Floats) -> NDArray[np.bool_]:
    """(N,) which of the other poses are the same person's; see ``similarity``."""
    size = np.ptp(xy, axis=0).max()
    near = np.linalg.norm(others_xy - xy, axis=-1) <= _UNIT * size
    matching = near.mean(axis=1) >= _MATCHING
    return matching | (similarity(xy, score, others_xy, others_score) > _LIMIT)
