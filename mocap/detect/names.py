"""Names of the keypoints that a network's outputs stand for, by their number."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rigs.keypoints import KEYPOINT_SETS

Names = Mapping[int, tuple[str, ...]]

_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_HAND = ("hand_root", *(f"{finger}{joint}" for finger in _FINGERS for joint in (1, 2, 3, 4)))

SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **KEYPOINT_SETS,
        "coco_wholebody133": (
            *KEYPOINT_SETS["coco_wholebody23"],
            *(f"face_{number}" for number in range(68)),
            *(f"{side}_{name}" for side in ("left", "right") for name in _HAND),
        ),
        "openpose18": (
            *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist"),
            *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
            *("left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear"),
        ),
        "deepercut14": (
            *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
            *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
            *("chin", "forehead"),
        ),
    }
)
"""Keypoint sets of the families, by name: those of the bodies, and those that hold more."""


def names_by_number(*sets: str) -> Names:
    """The names of each of some sets, by how many there are."""
    return {len(SETS[name]): SETS[name] for name in sets}
