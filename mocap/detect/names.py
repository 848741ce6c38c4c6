"""Names of the keypoints that a network's outputs stand for, by their number."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rigs.keypoints import KEYPOINT_SETS

Names = Mapping[int, tuple[str, ...]]

SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **KEYPOINT_SETS,
        "deepercut14": (
            *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
            *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
            *("chin", "forehead"),
        ),
    }
)
"""Keypoint sets of the families, by name: those of the bodies, and one that has a face of its own."""


def names_by_number(*sets: str) -> Names:
    """The names of each of some sets, by how many there are."""
    return {len(SETS[name]): SETS[name] for name in sets}
