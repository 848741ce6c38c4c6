"""Which distances within a body stay the same, and how well: bones, and clusters that are nearly rigid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mocap.keypoints import FloatArray
from mocap.solve.noise import independent_share
from rigs.keypoints import hand_names, limbs

_CLUSTERS = (
    ("nose", "eye", "ear", "mouth", "head", "neck"),
    ("ankle", "heel", "toe", "foot_index"),
    ("wrist", "pinky", "index", "thumb"),
    ("hip", "pelvis"),
)
"""Words in the names of keypoints that sit on one rigid part; toes and fingers of one side only."""
_BONES = (
    ("hip", "knee"),
    ("knee", "ankle"),
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("neck", "shoulder"),
    ("collar", "shoulder"),
    ("ankle", "foot"),
    ("wrist", "hand"),
)
"""Joints that one bone connects, on each side."""
_TRUNK = (
    ("mid_hip", "neck"),
    ("hip", "neck"),
    ("neck", "head_top"),
    ("neck", "nose"),
    ("neck", "left_ear"),
    ("neck", "right_ear"),
    ("upper_neck", "head_top"),
    ("upper_neck", "nose"),
    ("upper_neck", "left_shoulder"),
    ("upper_neck", "right_shoulder"),
    ("pelvis", "spine1"),
    ("spine1", "spine2"),
    ("spine2", "spine3"),
    ("spine3", "neck"),
    ("spine3", "left_collar"),
    ("spine3", "right_collar"),
)
"""Distances along the spine."""
_BENDING = (
    ("left_shoulder", "right_shoulder"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
)
"""Distances across joints of the trunk, which bend a little in everybody."""
_FINGER_JOINTS = frozenset(hand_names("")[1:])
_BENDING_M = 0.02
"""How much they do, at the least."""
_LARGEST_M = 0.015
"""A distance that varies more is no bone."""
_EXPECTED_M = 0.008
"""By which distances of detectors' keypoints vary, where a take is too short to say."""
_NOISE_DOUBT = 0.1
"""Share by which the told variance of tracks may be too small."""
_SMALLEST_M = 0.0005
"""Nothing is held stiffer: it would hold the rest of the solve, too."""
_STIFFEST = 0.3
"""Nor stiffer than this share of what the tracks know of a distance: it would say little more, and points
that are centimetres off could not turn about each other."""


@dataclass(frozen=True)
class Bones:
    """Pairs of keypoints whose distance is nearly constant."""

    first: NDArray[np.integer]
    """(Q,) index of a keypoint."""
    second: NDArray[np.integer]
    """(Q,) index of another."""
    length: FloatArray
    """(Q,) metres."""
    sd: FloatArray
    """(Q,) metres by which the distance varies."""

    @property
    def weight(self) -> FloatArray:
        """(Q,) 1 / metres² that a distance of one frame counts."""
        return 1 / self.sd**2

    def __len__(self) -> int:
        return len(self.first)


def candidates(names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of keypoints that may lie on one rigid part of the body."""
    index = {name: place for place, name in enumerate(names)}
    pairs = _among(names, (*_TRUNK, *_BENDING))
    for words in _CLUSTERS:
        members = [
            name
            for name in names
            if any(word in name.split("_") or word in name for word in words) and not _is_finger(name)
        ]
        paired = words[0] in ("ankle", "wrist")
        for a, b in combinations(members, 2):
            if not paired or _side(a) == _side(b):
                pairs.add(_ordered(index[a], index[b]))
    pairs |= {_ordered(a, b) for a, b in limbs(names) if _is_finger(names[a]) or _is_finger(names[b])}
    for a, b in combinations(names, 2):
        sides = {_side(a), _side(b)}
        for upper, lower in _BONES:
            if {_joint(a), _joint(b)} == {upper, lower} and (
                len(sides) == 1 or ("" in sides and upper == "neck")
            ):
                pairs.add(_ordered(index[a], index[b]))
    return sorted(pairs)


def _is_finger(name: str) -> bool:
    """Whether this is a joint of a finger, which bends against all but its neighbours."""
    return name.removeprefix("left_").removeprefix("right_") in _FINGER_JOINTS


def fit_bones(
    xyz: FloatArray,
    variance: FloatArray,
    known: NDArray[np.bool_],
    names: Sequence[str],
    independent: float,
    lasting: float = 1.0,
) -> Bones:
    """Lengths and constancy of some distances.

    How much a distance varies beyond its error is the small difference of two large numbers; a bone goes by
    what all of them say together unless its own variation stands out.

    Args:
        xyz: (T, K, 3) metres.
        variance: (K,) of a coordinate's error, metres².
        known: (T, K) frames that count.
        names: of the keypoints.
        independent: share of the frames that say something new.
        lasting: frames that count as one in errors.
    """
    rows = []
    bending = _among(names, _BENDING)
    for a, b in candidates(names):
        both = known[:, a] & known[:, b]
        if both.sum() < 10:
            continue
        distance = np.linalg.norm(xyz[both, a] - xyz[both, b], axis=-1)
        middle = float(np.median(distance))
        spread = 1.4826 * float(np.median(np.abs(distance - middle)))
        noise = variance[a] + variance[b]
        more = max(spread**2 - noise, 0.0)
        chance = np.sqrt(2.7 / max(independent * both.sum(), 1))  # 2.7 instead of 2: of a median deviation
        error = chance * (noise + 2 * np.sqrt(noise * more))
        rows.append(
            (a, b, middle - noise / middle, spread**2 - noise, error, noise)
        )  # noise makes bones longer
    if not rows:
        return Bones(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0))
    first, second, length, excess, error, noise = (np.array(column) for column in zip(*rows, strict=True))
    common = max(float(np.median(excess - _NOISE_DOUBT * noise)), 0.0)
    own = common + np.maximum(excess - common - error, 0.0)
    keep = own < _LARGEST_M**2
    own = np.maximum(
        own, [_BENDING_M**2 if pair in bending else 0.0 for pair in zip(first, second, strict=True)]
    )
    # What a detector does to a bone lasts as its errors do; by frames it would count too often.
    expected = (1 - independent_share(len(xyz), lasting)) ** 2 * lasting * _EXPECTED_M**2
    least = np.maximum(_SMALLEST_M**2, _STIFFEST**2 * noise)
    sd = np.sqrt(np.maximum(own + expected, least))
    return Bones(first[keep], second[keep], length[keep], sd[keep])


def _among(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> set[tuple[int, int]]:
    """Those pairs of names that are there, as indices, the smaller first."""
    index = {name: place for place, name in enumerate(names)}
    return {_ordered(index[a], index[b]) for a, b in pairs if a in index and b in index}


def _ordered(a: int, b: int) -> tuple[int, int]:
    return (min(a, b), max(a, b))


def _side(name: str) -> str:
    return next((word for word in name.split("_") if word in ("left", "right")), "")


def _joint(name: str) -> str:
    return "_".join(word for word in name.split("_") if word not in ("left", "right"))
