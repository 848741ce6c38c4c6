"""Moves laid out in time, as footsteps and key poses.

Angles of key poses are those of SMPL's local rotations for the **left** side; the right side mirrors them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.virtual.moves import (
    RELAXED_DEG,
    SIDES,
    Beat,
    Crouch,
    Move,
    Reach,
    Side,
    Turn,
    Walk,
    Wave,
    duration,
    flight_time,
    least_jerk,
    mirror_side,
)

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Footstep:
    """One foot's flight from where it stands to its next place."""

    start_s: float
    """Take-off, seconds."""
    end_s: float
    """Landing, seconds."""
    xy_world: tuple[float, float]
    """Where the middle of the foot lands, metres."""
    yaw_rad: float
    """Direction of the foot when landed; 0 faces -y."""
    lift_m: float = 0.07
    """How high the middle of the foot passes over the floor."""
    swing_m: tuple[float, float] = (0.0, 0.0)
    """How far the foot swings out on its way, metres, world; a kick does."""
    heel_up_deg: float = 0.0
    """How far the heel rises on the way, besides what a stride does."""


@dataclass(frozen=True)
class Hop:
    """Both feet and the body in the air."""

    start_s: float
    """Take-off, seconds."""
    end_s: float
    """Landing, seconds."""
    height_m: float
    """How high the body rises."""


@dataclass(frozen=True)
class Script:
    """Moves laid out in time; what :func:`mocap.virtual.motions.perform` turns into poses."""

    seconds: float
    """Length of the whole script."""
    start: dict[Side, tuple[float, float]]
    """Where each foot stands at first, metres."""
    start_yaw_rad: float
    """The direction faced at first."""
    footsteps: dict[Side, list[Footstep]]
    """Steps of each foot, in time order."""
    keys: dict[str, list[tuple[float, FloatArray]]]
    """Channel -> (time, value): joint names in degrees; ``pelvis_drop`` and ``pelvis_back`` in metres."""
    hops: list[Hop] = field(default_factory=list)
    """Jumps, in time order."""

    def sample(self, channel: str, time_s: FloatArray, default: Sequence[float]) -> FloatArray:
        """(T, n) values of a channel, moving from key to key with least jerk.

        Args:
            channel: name of the channel.
            time_s: (T,) seconds.
            default: the n values before the first key.
        """
        value = np.tile(np.asarray(default, float), (len(time_s), 1))
        before_s, before = 0.0, np.asarray(default, float)
        for key_s, key in self.keys.get(channel, []):
            blend = least_jerk((time_s - before_s) / max(key_s - before_s, 1e-9))
            during = time_s > before_s
            value[during] = (before + blend[:, None] * (key - before))[during]
            before_s, before = key_s, key
        return value


def lay_out(
    moves: Iterable[Move],
    *,
    start_xy: tuple[float, float] = (0.0, 0.0),
    start_yaw_deg: float = 0.0,
    stance_m: float = 0.24,
) -> Script:
    """Lay moves out in time, one after the other.

    Args:
        moves: what to do.
        start_xy: where the performer stands at first, metres, world.
        start_yaw_deg: direction faced at first; 0 faces -y, positive turns left.
        stance_m: distance between the feet, metres.
    """
    builder = _Builder(
        start_xy=np.array(start_xy, float), yaw=float(np.radians(start_yaw_deg)), stance_m=stance_m
    )
    for move in moves:
        builder.add(move)
    return builder.script()


@dataclass
class _Builder:
    """Where the performer stands at the end of the moves laid out so far."""

    start_xy: FloatArray
    yaw: float
    stance_m: float
    now: float = 0.0
    next_side: int = 0
    footsteps: dict[Side, list[Footstep]] = field(default_factory=lambda: {"left": [], "right": []})
    keys: dict[str, list[tuple[float, FloatArray]]] = field(default_factory=lambda: defaultdict(list))
    hops: list[Hop] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.xy = self.start_xy.copy()
        self.start_yaw = self.yaw
        self.start = {side: self._foot(side, self.xy, self.yaw) for side in SIDES}

    def script(self) -> Script:
        return Script(self.now, self.start, self.start_yaw, self.footsteps, dict(self.keys), self.hops)

    def add(self, move: Move) -> None:
        before = self.now
        if isinstance(move, Walk):
            self._walk(move)
        elif isinstance(move, Turn):
            self._turn(move)
        elif isinstance(move, Reach):
            self._reach(move)
        elif isinstance(move, Crouch):
            self._crouch(move)
        elif isinstance(move, Wave):
            self._wave(move)
        elif isinstance(move, Beat):
            self._beat(move)
        self.now = before + duration(move)

    def _foot(self, side: Side, xy: FloatArray, yaw: float) -> tuple[float, float]:
        left = np.array([np.cos(yaw), np.sin(yaw)])
        place = xy + left * (self.stance_m / 2) * (1.0 if side == "left" else -1.0)
        return float(place[0]), float(place[1])

    def _step(self, at_s: float, length_s: float, xy: FloatArray, yaw: float) -> Side:
        side = SIDES[self.next_side]
        self.next_side = 1 - self.next_side
        # The foot is in the air for four fifths of the step: there is a moment with both feet down.
        self._fly(side, at_s + 0.1 * length_s, at_s + 0.9 * length_s, xy, yaw)
        return side

    def _fly(self, side: Side, start_s: float, end_s: float, xy: FloatArray, yaw: float, **how: Any) -> None:
        self.footsteps[side].append(Footstep(start_s, end_s, self._foot(side, xy, yaw), yaw, **how))

    def _on_floor(self, way_m: tuple[float, float]) -> FloatArray:
        """A way ahead and to the left of the performer, in the world."""
        ahead, left = way_m
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([ahead * sine + left * cosine, -ahead * cosine + left * sine])

    def _key(self, channel: str, at_s: float, value: Sequence[float]) -> None:
        course = self.keys[channel]
        if not course or course[-1][0] < self.now:
            rest = _rest(channel, len(value))
            course.append((self.now, course[-1][1] if course else rest))
        course.append((at_s, np.asarray(value, float)))

    def _arm_key(self, side: Side, at_s: float, **joints: Sequence[float]) -> None:
        for joint, rotation in joints.items():
            self._key(f"{side}_{joint}", at_s, list(mirror_side(rotation, side)))

    def _relax(self, side: Side, at_s: float) -> None:
        self._arm_key(side, at_s, **RELAXED_DEG)

    def _walk(self, move: Walk) -> None:
        for index in range(move.steps):
            at_s = self.now + index * move.step_s
            if index < move.steps - 1:
                self.xy = self.xy + self._on_floor((move.step_m, 0.0))
            side = self._step(at_s, move.step_s, self.xy, self.yaw)
            middle = at_s + 0.75 * move.step_s
            other: Side = "right" if side == "left" else "left"
            self._swing_arms(forward=other, back=side, at_s=middle)
        for side in SIDES:
            self._relax(side, self.now + duration(move))
        self._key("spine2", self.now + duration(move), (0.0, 0.0, 0.0))

    def _swing_arms(self, *, forward: Side, back: Side, at_s: float) -> None:
        self._arm_key(forward, at_s, shoulder=(8.0, -38.0, -64.0), elbow=(0.0, -40.0, 0.0))
        self._arm_key(back, at_s, shoulder=(8.0, 24.0, -68.0), elbow=(0.0, -16.0, 0.0))
        self._key("spine2", at_s, (2.0, 6.0 if forward == "right" else -6.0, 0.0))

    def _turn(self, move: Turn) -> None:
        self.next_side = 0 if move.angle_deg > 0 else 1
        for index in range(move.steps):
            # Both feet end at the new direction: pairs of steps share the angle.
            share = np.ceil((index + 1) / 2) / np.ceil(move.steps / 2)
            yaw = self.yaw + float(np.radians(move.angle_deg) * share)
            self._step(self.now + index * move.step_s, move.step_s, self.xy, yaw)
        half = self.now + 0.35 * duration(move)
        look = np.sign(move.angle_deg) * 22.0
        for channel in ("neck", "head", "spine3"):
            self._key(channel, half, (0.0, look * (0.5 if channel == "spine3" else 1.0), 0.0))
            self._key(channel, self.now + duration(move), (0.0, 0.0, 0.0))
        self.yaw += float(np.radians(move.angle_deg))

    def _reach(self, move: Reach) -> None:
        there, stay, end = (self.now + move.seconds * part for part in (0.45, 0.6, 1.0))
        up = {"collar": (0.0, -10.0, 12.0), "shoulder": (-15.0, -62.0, 32.0), "elbow": (0.0, -12.0, 0.0)}
        for at_s in (there, stay):
            self._arm_key(move.side, at_s, **up, wrist=(0.0, 0.0, 0.0), hand=(0.0, 0.0, 0.0))
            twist = -8.0 if move.side == "left" else 8.0
            for channel, turn in (("spine2", twist), ("spine3", twist), ("head", 0.5 * twist)):
                self._key(channel, at_s, (-4.0 if channel != "head" else -10.0, turn, 0.0))
        self._relax(move.side, end)
        for channel in ("spine2", "spine3", "head"):
            self._key(channel, end, (0.0, 0.0, 0.0))

    def _crouch(self, move: Crouch) -> None:
        down, stay, end = (self.now + move.seconds * part for part in (0.45, 0.55, 1.0))
        deep = move.depth_m / 0.32
        for at_s in (down, stay):
            self._key("pelvis_drop", at_s, (move.depth_m,))
            self._key("pelvis_back", at_s, (0.11 * deep,))
            self._key("pelvis", at_s, (24.0 * deep, 0.0, 0.0))
            self._key("spine1", at_s, (10.0 * deep, 0.0, 0.0))
            self._key("spine2", at_s, (6.0 * deep, 0.0, 0.0))
            self._key("neck", at_s, (-18.0 * deep, 0.0, 0.0))
            for side in SIDES:
                self._arm_key(side, at_s, shoulder=(0.0, -70.0, -28.0), elbow=(0.0, -30.0, 0.0))
        for channel in ("pelvis_drop", "pelvis_back"):
            self._key(channel, end, (0.0,))
        for channel in ("pelvis", "spine1", "spine2", "neck"):
            self._key(channel, end, (0.0, 0.0, 0.0))
        for side in SIDES:
            self._relax(side, end)

    def _wave(self, move: Wave) -> None:
        up, down = self.now + 0.3 * move.seconds, self.now + 0.75 * move.seconds
        beats = np.linspace(up, down, 2 * move.waves + 1)
        for index, at_s in enumerate(beats):
            out = index % 2
            self._arm_key(
                move.side,
                float(at_s),
                collar=(0.0, 0.0, 8.0),
                shoulder=(-68.0, -18.0, -8.0 + 4.0 * out),
                elbow=(0.0, -112.0 + 46.0 * out, 0.0),
                wrist=(0.0, 0.0, -8.0 + 16.0 * out),
                hand=(0.0, 0.0, 0.0),
            )
        self._relax(move.side, self.now + move.seconds)

    def _beat(self, move: Beat) -> None:
        end = self.now + move.seconds
        for side, arm in (("left", move.left_arm), ("right", move.right_arm)):
            self._arm_key(side, end, **{**RELAXED_DEG, **arm})
        for joints, (x, y, z) in ((_SPINE, move.trunk_deg), (("neck", "head"), move.head_deg)):
            for joint in joints:
                self._key(joint, end, (x / len(joints), y / len(joints), z / len(joints)))
        if move.feet == "kick":
            swing = tuple(float(part) for part in self._on_floor(move.way_m))
            how = {"lift_m": move.height_m, "swing_m": swing, "heel_up_deg": -25.0}
            flight = (self.now + 0.05 * move.seconds, self.now + 0.95 * move.seconds)
            self._fly(move.side, *flight, self.xy, self.yaw, **how)
        elif move.feet == "jump":
            self._jump(move)
        elif move.feet == "squat":
            self._key("pelvis_drop", self.now + 0.5 * move.seconds, (move.height_m,))
            self._key("pelvis_drop", end, (0.0,))
        elif move.feet in ("step", "turn"):
            self.next_side = SIDES.index(move.side)
            self.xy = self.xy + self._on_floor(move.way_m)
            self.yaw += float(np.radians(move.angle_deg))
            for half in (0.0, 0.5):
                self._step(self.now + half * move.seconds, 0.5 * move.seconds, self.xy, self.yaw)

    def _jump(self, move: Beat) -> None:
        """Down, up and off the floor, and down again; a body in the air falls as gravity lets it."""
        flight_s = flight_time(move.height_m)
        rest_s = max(move.seconds - flight_s, 0.3)
        off = self.now + 0.45 * rest_s
        land, end = off + flight_s, self.now + rest_s + flight_s
        for at_s, drop in ((off - 0.2 * rest_s, 0.14), (off + 0.05, 0.02), (land - 0.05, 0.02)):
            self._key("pelvis_drop", at_s, (drop,))
        self._key("pelvis_drop", land + 0.2 * rest_s, (0.12,))
        self._key("pelvis_drop", end, (0.0,))
        self.xy = self.xy + self._on_floor(move.way_m)
        for side in SIDES:
            self._fly(side, off, land, self.xy, self.yaw, lift_m=0.03, heel_up_deg=35.0)
        self.hops.append(Hop(off, land, move.height_m))


_SPINE = ("spine1", "spine2", "spine3")


def _rest(channel: str, size: int) -> FloatArray:
    side, _, joint = channel.partition("_")
    if joint in RELAXED_DEG and side in SIDES:
        return mirror_side(RELAXED_DEG[joint], "left" if side == "left" else "right")
    return np.zeros(size)
