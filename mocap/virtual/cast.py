"""People, dances, rooms and looks drawn at random, for footage as varied as users' footage is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mocap.virtual.look import Color, Look
from mocap.virtual.moves import SIDES, Angles, Beat, Move, Stand, flight_time
from mocap.virtual.performer import Performer
from mocap.virtual.room import Room

FloatArray = NDArray[np.floating]
ArmPose = dict[str, Angles]

_ARM_POSES: tuple[ArmPose, ...] = (
    {"collar": (0, -5, 20), "shoulder": (0, -20, 62), "elbow": (0, -20, 0)},  # above the head
    {"collar": (0, -5, 18), "shoulder": (-20, -25, 50), "elbow": (0, -75, 0)},  # a crown over the head
    {"collar": (0, 0, 8), "shoulder": (0, -10, 8), "elbow": (0, -15, 0)},  # out to the side
    {"collar": (0, 0, 6), "shoulder": (-65, -15, -5), "elbow": (0, -95, 0)},  # forearm up
    {"collar": (0, -8, 0), "shoulder": (0, -80, -8), "elbow": (0, -20, 0)},  # ahead
    {"collar": (0, -10, 0), "shoulder": (0, -92, -15), "elbow": (0, -70, 0)},  # across the chest
    {"collar": (0, 4, 0), "shoulder": (10, 30, -48), "elbow": (0, -15, 0)},  # behind
    {"collar": (0, 0, 4), "shoulder": (30, 10, -42), "elbow": (0, -85, 0)},  # hand to the hip
    {"collar": (0, 0, 2), "shoulder": (0, -30, -35), "elbow": (0, -30, 0)},  # low and out
    {},  # hanging
)
_SKINS: tuple[Color, ...] = ((0.86, 0.68, 0.58), (0.80, 0.60, 0.48), (0.62, 0.44, 0.33), (0.40, 0.27, 0.20))
_HAIRS: tuple[Color, ...] = ((0.10, 0.08, 0.07), (0.17, 0.11, 0.07), (0.45, 0.33, 0.18), (0.55, 0.52, 0.50))


def draw_dance(
    rng: np.random.Generator,
    seconds: float,
    *,
    beat_s: float = 0.45,
    energy: float = 1.0,
    reach_m: float = 0.6,
) -> tuple[Move, ...]:
    """Beats that fill a time: steps, turns, kicks, jumps and squats, while the arms go from pose to pose.

    Args:
        rng: what to draw from.
        seconds: how long the dance lasts at least.
        beat_s: seconds of a beat; 0.4 is fast, 1.5 slow.
        energy: 1 for large moves, 0.3 for small ones; jumps need 0.6 and more.
        reach_m: how far the dancer may go from where the dance began, each way.
    """
    moves: list[Move] = [Stand(0.1)]
    total, yaw, place = 0.1, 0.0, np.zeros(2)
    arms = rng.permutation(len(_ARM_POSES))
    while total < seconds:
        beat, yaw, place = _draw_beat(rng, beat_s, energy, reach_m, yaw, place)
        both = rng.random() < 0.4
        first, second = (_ARM_POSES[arms[(len(moves) * 2 + n) % len(arms)]] for n in (0, 1))
        left = _varied(rng, first)
        moves.append(replace(beat, left_arm=left, right_arm=left if both else _varied(rng, second)))
        total += beat.seconds
        if len(moves) % 5 == 0:
            arms = rng.permutation(len(_ARM_POSES))
    return tuple(moves)


def _draw_beat(
    rng: np.random.Generator, beat_s: float, energy: float, reach_m: float, yaw: float, place: FloatArray
) -> tuple[Beat, float, FloatArray]:
    """A beat of the feet, with the direction (radians) and place faced after it."""
    side = SIDES[rng.integers(2)]
    seconds = float(beat_s * rng.uniform(0.85, 1.2))
    beat = Beat(
        seconds,
        side=side,
        trunk_deg=_angles(energy * rng.normal(0, 1, 3) * [12, 16, 9] + [4, 0, 0]),
        head_deg=_angles(rng.normal(0, 1, 3) * [10, 16, 6]),
    )
    kind = rng.choice(["stay", "step", "turn", "kick", "jump", "squat"], p=[0.15, 0.3, 0.2, 0.15, 0.1, 0.1])
    if kind == "jump" and energy < 0.6:
        kind = "squat"
    if kind == "turn":
        angle = float(rng.uniform(30, 100) * rng.choice([-1, 1]) * min(1.0, 0.4 + energy))
        slow = max(seconds, abs(angle) / 220)
        first = SIDES[0] if angle > 0 else SIDES[1]
        turned = replace(beat, feet="turn", angle_deg=angle, side=first, seconds=slow)
        return turned, yaw + np.radians(angle), place
    if kind == "step":
        # towards the middle when far from it, anywhere else
        wanted = -place * rng.uniform(0.3, 1.0) + rng.normal(0, 0.28, 2) * max(energy, 0.4)
        wanted *= min(1.0, 0.5 / max(float(np.linalg.norm(wanted)), 1e-9))
        place = np.clip(place + wanted, -reach_m, reach_m)
        cosine, sine = np.cos(yaw), np.sin(yaw)
        way = (sine * wanted[0] - cosine * wanted[1], cosine * wanted[0] + sine * wanted[1])
        leads = SIDES[0] if way[1] > 0 else SIDES[1]
        return replace(beat, feet="step", way_m=(float(way[0]), float(way[1])), side=leads), yaw, place
    if kind == "kick":
        height = float(rng.uniform(0.2, 0.75) * min(energy, 1.0))
        out = float(rng.uniform(0.1, 0.3)) * (1 if side == "left" else -1)
        way = (float(rng.uniform(0.25, 0.8) * min(energy, 1.0)), out)
        return replace(beat, feet="kick", height_m=height, way_m=way, seconds=max(seconds, 0.5)), yaw, place
    if kind == "jump":
        height = float(rng.uniform(0.08, 0.28) * energy)
        return replace(beat, feet="jump", height_m=height, seconds=0.6 + flight_time(height)), yaw, place
    depth = float(rng.uniform(0.08, 0.28) * min(energy + 0.2, 1.0)) if kind == "squat" else 0.0
    return replace(beat, feet="squat" if depth else "stay", height_m=depth, seconds=seconds), yaw, place


def _varied(rng: np.random.Generator, pose: ArmPose) -> ArmPose:
    """An arm's pose, a little different; elbows stay hinges."""
    return {
        joint: _angles(
            np.array(angles) + rng.normal(0, 9, 3) * ([0, 1.5, 0] if joint == "elbow" else [1, 1, 1])
        )
        for joint, angles in pose.items()
    }


def _angles(values: FloatArray) -> Angles:
    x, y, z = (float(value) for value in values)
    return x, y, z


def draw_look(rng: np.random.Generator) -> Look:
    """Skin, hair and clothes of somebody."""

    def cloth() -> Color:
        tone = rng.uniform(0.08, 0.85)
        red, green, blue = np.clip(tone + rng.normal(0, 0.16, 3), 0.04, 0.95)
        return float(red), float(green), float(blue)

    return Look(
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        shirt=cloth(),
        trousers=cloth(),
        shoes=cloth(),
        sleeve=float(rng.uniform(0.45, 2.0)),
        leg=float(rng.choice([rng.uniform(0.6, 1.2), 2.0])),
        stripe=float(rng.choice([0.0, 0.5, 1.0])),
        cloth_m=float(rng.uniform(0.005, 0.018)),
        hair_m=float(rng.uniform(0.006, 0.030)),
        seed=int(rng.integers(1000)),
    )


def draw_room(rng: np.random.Generator) -> Room:
    """A room of other colours and size under another light."""
    return Room(
        half_size_m=(float(rng.uniform(4.8, 7.0)), float(rng.uniform(4.8, 7.0))),
        height_m=float(rng.uniform(2.9, 4.5)),
        light_from=(float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.7, 0.7)), 1.0),
        ambient=float(rng.uniform(0.35, 0.7)),
        floor_tint=_tint(rng, 0.45, 1.25),
        wall_tint=_tint(rng, 0.35, 1.2),
        seed=int(rng.integers(1000)),
    )


def _tint(rng: np.random.Generator, low: float, high: float) -> Color:
    red, green, blue = rng.uniform(low, high) * (1 + rng.normal(0, 0.1, 3))
    return float(red), float(green), float(blue)


def draw_performer(
    rng: np.random.Generator, moves: tuple[Move, ...], *, start_m: tuple[float, float] = (-0.6, 0.4)
) -> Performer:
    """Somebody of another shape and look who faces anywhere.

    Args:
        rng: what to draw from.
        moves: what to do.
        start_m: where to stand at first, world.
    """
    betas = np.clip(rng.normal(0, 1, 10), -2.2, 2.2)
    return Performer(
        betas=tuple(float(beta) for beta in betas),
        look=draw_look(rng),
        moves=moves,
        start_m=start_m,
        start_yaw_deg=float(rng.uniform(-180, 180)),
        seed=int(rng.integers(10_000)),
    )
