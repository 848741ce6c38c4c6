"""What a performer is asked to do, move by move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")

RELAXED_DEG: dict[str, tuple[float, float, float]] = {
    "collar": (0.0, 0.0, -6.0),
    "shoulder": (8.0, -6.0, -70.0),
    "elbow": (0.0, -18.0, 0.0),
    "wrist": (8.0, 0.0, 0.0),
    "hand": (0.0, 0.0, -12.0),
}
"""Arms hanging at the sides, degrees; where every move begins and ends."""


@dataclass(frozen=True)
class Stand:
    """Stand still, arms hanging."""

    seconds: float = 0.5
    """How long."""


@dataclass(frozen=True)
class Walk:
    """Walk straight ahead and bring the feet together again."""

    steps: int = 3
    """Steps, the closing one included."""
    step_m: float = 0.5
    """Length of a step, metres."""
    step_s: float = 0.45
    """Seconds from one step to the next."""


@dataclass(frozen=True)
class Turn:
    """Turn on the spot, in small steps."""

    angle_deg: float = 80.0
    """Positive is to the performer's left."""
    steps: int = 2
    """Steps, at least two: each foot moves."""
    step_s: float = 0.4
    """Seconds from one step to the next."""


@dataclass(frozen=True)
class Reach:
    """Reach up and forward with one arm, and take it back."""

    side: Side = "right"
    """Which arm."""
    seconds: float = 1.0
    """From rest to rest."""


@dataclass(frozen=True)
class Crouch:
    """Go down on both legs with the arms ahead for balance, and come up again."""

    depth_m: float = 0.32
    """How far the pelvis sinks, metres."""
    seconds: float = 1.3
    """From rest to rest."""


@dataclass(frozen=True)
class Wave:
    """Raise one hand and wave."""

    side: Side = "left"
    """Which hand."""
    waves: int = 2
    """Times to and fro."""
    seconds: float = 1.3
    """From rest to rest."""


Angles = tuple[float, float, float]
"""A rotation vector as it is on the left side, degrees."""


@dataclass(frozen=True)
class Beat:
    """One beat of a dance: something with the feet, while arms, trunk and head go to their next pose."""

    seconds: float = 0.5
    """How long."""
    feet: Literal["stay", "step", "turn", "kick", "jump", "squat"] = "stay"
    """What the feet do: nothing, a step each, a step each to turn, one leg kicks, both jump, both bend."""
    side: Side = "left"
    """Which foot is first, or kicks."""
    way_m: tuple[float, float] = (0.0, 0.0)
    """How far a step or a jump goes, or a kick swings out: ahead and to the left, metres."""
    angle_deg: float = 0.0
    """How far a turn turns; positive is to the performer's left."""
    height_m: float = 0.0
    """Height of a kick or a jump, depth of a squat."""
    left_arm: Mapping[str, Angles] = field(default_factory=dict)
    """Joints of the left arm (as ``RELAXED_DEG`` names them) at the end of the beat; others hang."""
    right_arm: Mapping[str, Angles] = field(default_factory=dict)
    """The same of the right arm."""
    trunk_deg: Angles = (0.0, 0.0, 0.0)
    """How the trunk is bent, over all joints of the spine, at the end of the beat."""
    head_deg: Angles = (0.0, 0.0, 0.0)
    """The same of neck and head."""


Move = Stand | Walk | Turn | Reach | Crouch | Wave | Beat


def least_jerk(fraction: FloatArray) -> FloatArray:
    """The 0 -> 1 course of a hand moved without haste: 10 s³ - 15 s⁴ + 6 s⁵, clipped outside [0, 1]."""
    s = np.clip(fraction, 0.0, 1.0)
    return s**3 * (10.0 - 15.0 * s + 6.0 * s * s)


def mirror_side(rotation_deg: Sequence[float], side: Side) -> FloatArray:
    """A left-side rotation vector as it is for ``side``: the right negates y and z."""
    x, y, z = rotation_deg
    return np.array([x, y, z]) if side == "left" else np.array([x, -y, -z])


def default_moves(seconds: float) -> tuple[Move, ...]:
    """Moves that fill ``seconds``: crouch, walk, reach, turn and wave, over and over."""
    cycle: tuple[Move, ...] = (
        Stand(0.1),
        Walk(2, 0.45, 0.42),
        Reach("right", 0.9),
        Crouch(),
        Turn(-80.0, 2, 0.32),
        Wave(),
    )
    moves: list[Move] = []
    total = 0.0
    while total < seconds:
        moves.append(cycle[len(moves) % len(cycle)])
        total += duration(moves[-1])
    return tuple(moves)


def flight_time(height_m: float) -> float:
    """Seconds in the air of a jump of this height."""
    return float(np.sqrt(8 * height_m / 9.81))


def duration(move: Move) -> float:
    """Seconds that a move takes."""
    if isinstance(move, Walk | Turn):
        return move.steps * move.step_s + 0.15
    return move.seconds
