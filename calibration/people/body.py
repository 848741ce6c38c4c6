"""What is known of any person: which keypoints are rigidly joined, and how long such bones are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

KEYPOINTS: tuple[str, ...] = (
    "nose",
    *(
        f"{side}_{part}"
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
    *(f"{side}_{part}" for part in ("heel", "foot_index", "big_toe") for side in ("left", "right")),
)
"""Keypoints that cameras are calibrated from: one at each joint; fingers and the rest of the face move too
little against these to say more."""

STATURE_M = 1.70
"""Taken for a person whose height nobody told; adults spread round it by 0.10."""

_LIMB, _LOOSE = 0.08, 0.25
"""How far a bone's share of the stature may be from the table, log: limbs differ by 4 % between adults, and
detectors place their ends by as much again; widths and feet depend on what the detector means."""
_BONES: tuple[tuple[str, str, float, float, float], ...] = (
    ("shoulder", "elbow", 0.158, _LIMB, 0.010),
    ("elbow", "wrist", 0.145, _LIMB, 0.010),
    ("hip", "knee", 0.231, _LIMB, 0.012),
    ("knee", "ankle", 0.230, _LIMB, 0.010),
    ("shoulder", "hip", 0.311, _LOOSE, 0.020),
    ("ankle", "heel", 0.042, _LOOSE, 0.010),
    ("heel", "foot_index", 0.125, _LOOSE, 0.010),
    ("heel", "big_toe", 0.141, _LOOSE, 0.010),
    ("ankle", "foot_index", 0.113, _LOOSE, 0.010),
    ("ankle", "big_toe", 0.127, _LOOSE, 0.010),
)
"""Two ends on each side, length in statures, its log deviation, and how constant it is between two keypoints,
metres. Lengths and heights: means over random shapes of this project's body, with the keypoints where
BlazePose and the sets in COCO's tradition place them (the two differ by 1 to 3 %)."""
_ACROSS: tuple[tuple[str, str, float, float, float], ...] = (
    ("left_shoulder", "right_shoulder", 0.190, _LOOSE, 0.020),
    ("left_hip", "right_hip", 0.112, _LOOSE, 0.012),
)
STANDING: dict[str, float] = {
    **{f"{side}_eye": 0.935 for side in ("left", "right")},
    **{f"{side}_ear": 0.924 for side in ("left", "right")},
    **{f"{side}_shoulder": 0.823 for side in ("left", "right")},
    "nose": 0.917,
    "head_top": 0.998,
}
"""Heights above the floor of somebody who stands upright, in statures."""
PLANTED_M: dict[str, float] = {
    **{f"{side}_heel": 0.037 for side in ("left", "right")},
    **{f"{side}_foot_index": 0.018 for side in ("left", "right")},
    **{f"{side}_big_toe": 0.018 for side in ("left", "right")},
    **{f"{side}_ankle": 0.098 for side in ("left", "right")},
}
"""Heights above the floor of keypoints of a foot that stands on it, metres, for a person of 1.72 m."""


@dataclass(frozen=True, eq=False)
class Bones:
    """The bones among some keypoints."""

    ends: Tensor
    """(B, 2) rows of the keypoints that each joins."""
    log_length: Tensor
    """(B,) log of the expected length of a person of ``STATURE_M``, metres."""
    log_sd: Tensor
    """(B,) how far a person's may be from it."""
    sigma_m: Tensor
    """(B,) how constant it is over a take, metres."""
    alike: Tensor
    """(N, 2) rows of the same bone on the left and on the right."""
    limbs: Tensor
    """(B,) bool, the bones of arms and legs."""


def bones_among(names: Sequence[str]) -> Bones:
    """The bones whose two ends are among K keypoint names."""
    row = {name: index for index, name in enumerate(names)}
    found: list[tuple[int, int, float, float, float, bool]] = []
    alike: list[tuple[int, int]] = []
    for a, b, share, log_sd, sigma in _BONES:
        ends = [(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right")]
        if all(name in row for pair in ends for name in pair):
            alike.append((len(found), len(found) + 1))
            found += [(row[x], row[y], share, log_sd, sigma, log_sd == _LIMB) for x, y in ends]
    for a, b, share, log_sd, sigma in _ACROSS:
        if a in row and b in row:
            found.append((row[a], row[b], share, log_sd, sigma, False))
    table = torch.tensor([entry[2:5] for entry in found], dtype=torch.float64).reshape(-1, 3)
    return Bones(
        torch.tensor([entry[:2] for entry in found], dtype=torch.long).reshape(-1, 2),
        (STATURE_M * table[:, 0]).log(),
        table[:, 1],
        table[:, 2],
        torch.tensor(alike, dtype=torch.long).reshape(-1, 2),
        torch.tensor([entry[5] for entry in found], dtype=torch.bool),
    )
