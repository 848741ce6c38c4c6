"""How far the joints of a person turn: soft walls for a solver, in the rest axes of the SMPL skeleton.

The angles are components of the local rotation vector (x left, y up, z forward; zero is the T-pose). They
are put together from published ranges: OpenSim's Rajagopal 2016 model, the limits written in CMU's ASF
files, and the clinical tables of the AAOS family; where those disagree the wider one stands, because a wall
must not push a healthy person's pose. The twist of a limb is about its bone: y in the leg, x in the arm.
Shoulder and hip turn far enough that their components interact; walls there are approximate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

_Range = tuple[float, float]

JOINT_LIMITS_DEG: Final[dict[str, tuple[_Range, _Range, _Range]]] = {
    # flexion and extension, twist in and out, adduction and abduction
    "left_hip": ((-125, 30), (-45, 45), (-30, 50)),
    # a hinge: the deep squat sets its end
    "left_knee": ((0, 150), (-10, 10), (-5, 5)),
    # dorsal and plantar flexion; the rest belongs to the joint below the ankle
    "left_ankle": ((-30, 50), (-20, 20), (-25, 25)),
    "left_foot": ((-80, 30), (-10, 10), (-10, 10)),
    # three parts of one spine: 95 flexion, 40 extension, 45 twist and bend
    "spine1": ((-15, 40), (-10, 10), (-15, 15)),
    "spine2": ((-10, 30), (-15, 15), (-15, 15)),
    "spine3": ((-15, 25), (-20, 20), (-15, 15)),
    # two halves of one neck
    "neck": ((-35, 30), (-40, 40), (-25, 25)),
    "head": ((-35, 30), (-40, 40), (-25, 25)),
    # forward and back, down and up
    "left_collar": ((-10, 10), (-25, 20), (-30, 30)),
    # twist (+ inward), across and back, down and up
    "left_shoulder": ((-90, 90), (-130, 45), (-110, 90)),
    # a hinge about y
    "left_elbow": ((-5, 5), (-150, 5), (-5, 5)),
    # the forearm's twist lives in the wrist; radial and ulnar; flexion and extension
    "left_wrist": ((-85, 80), (-25, 35), (-80, 70)),
    "left_hand": ((-10, 10), (-15, 15), (-90, 20)),
    # knuckles spread and curl, the joints after them are hinges; the thumb's axes are its own, and free
    **{
        f"left_{finger}{part}": ends
        for finger in ("index", "middle", "ring", "pinky")
        for part, ends in (
            (1, ((-15, 15), (-25, 25), (-95, 30))),
            (2, ((-8, 8), (-8, 8), (-115, 10))),
            (3, ((-8, 8), (-8, 8), (-90, 15))),
        )
    },
}
"""Lower and upper end of x, y, z in degrees; the left side and the middle, the right is its mirror image."""


def joint_limits(joint_names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Ends of every joint's range.

    Args:
        joint_names: J names of SMPL joints; a joint without limits (the pelvis) gets infinite ones.

    Returns:
        lower: (J, 3) radians, components of the local rotation vector.
        upper: (J, 3) radians.
    """
    ranges = [_range_of(name) for name in joint_names]
    limits = torch.tensor(ranges, dtype=torch.float64).reshape(len(ranges), 3, 2) * (math.pi / 180)
    return limits[..., 0], limits[..., 1]


def _range_of(joint: str) -> tuple[_Range, _Range, _Range]:
    """Degrees of one joint; mirroring in x keeps turns about x and reverses those about y and z."""
    if joint.startswith("right_"):
        x, (y_low, y_high), (z_low, z_high) = _range_of("left_" + joint.removeprefix("right_"))
        return x, (-y_high, -y_low), (-z_high, -z_low)
    free = (-math.inf, math.inf)
    return JOINT_LIMITS_DEG.get(joint, (free, free, free))
