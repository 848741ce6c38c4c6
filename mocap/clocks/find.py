"""The clocks of a take: every source asked, the sources weighed, and what does not fit said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from calibration.cameras import Cameras
from mocap.clocks.combine import (
    Estimate,
    disagreement,
    fuse,
    guesses,
    start_together,
    without_idle_drift,
)
from mocap.clocks.motion import MotionClocks, clocks_from_motion
from mocap.clocks.recorded import Recorded
from mocap.clocks.sound import travelled
from mocap.errors import InputError
from mocap.keypoints import CameraKeypoints
from mocap.settings import SyncSettings
from mocap.sync import CameraClock, Clock, Evidence

_MOTION, _SOUND, _TOLD = "motion of the people", "sound", "settings"
_TOGETHER = "assumed: the clips start together"
_CONFIRMED = "the clips start together, as motion or sound confirm"
_FAR_APART_S = 3.0
"""Times of recording that differ by more say that clips did not start together."""
_TRAVEL_STD_S = 0.003
"""Standard deviation of an offset by sound whose way is not known: a metre more or less."""
_FROM_PEOPLE_STD_S, _FROM_ONE_STD_S = 0.001, 0.0003
"""The same where it comes from the people, who stand here or there, and where it reached all at once."""
_TELLS = 6.0
"""Twice the logarithm of the odds from which the motion decides which of the two it was."""
_FLOOR_S = 0.0005
"""Part of every standard deviation: what a detector's errors have in common with the motion."""


@dataclass(frozen=True)
class Footage:
    """What there is to tell the clocks by."""

    names: Sequence[str]
    """The cameras of the take."""
    recorded: Mapping[str, Recorded] = field(default_factory=dict)
    """What the clips' labels say, by camera."""
    keypoints: Mapping[str, CameraKeypoints] = field(default_factory=dict)
    """What was detected, by camera."""
    cameras: Cameras | None = None
    """The calibrated cameras; without them motion tells nothing."""
    sound: Estimate | None = None
    """What the microphones tell."""


def find_clocks(footage: Footage, settings: SyncSettings) -> Clock:
    """The clocks of a take's cameras.

    Offsets that are told are kept. The rest comes from the motion of the people and from sound, each
    weighted by its standard deviation; where neither tells, from timecode, and else the clips are taken to
    start together.

    Args:
        footage: what there is to tell them by.
        settings: what is told, and how far to look.

    Raises:
        InputError: an offset is told for a camera that the take does not have.
    """
    names = list(footage.names)
    if unknown := [name for name in settings.offsets_s if name not in names]:
        raise InputError(
            f"no camera '{unknown[0]}' in this take",
            where="sync.offsets_s",
            todo=f"it has: {', '.join(names)}",
        )
    clock = _assumed(footage, settings)
    if not settings.find or set(names) <= set(settings.offsets_s):
        return clock
    notes: list[str] = []
    evidence: list[Evidence] = []
    found = _motion(footage, clock, settings)
    motion = _estimate(found, notes)
    sound = _placed_sound(footage, motion, found, notes)
    estimate = _weighed(motion, sound, evidence, notes)
    strangers = found.strangers if found is not None and motion is not None else {}
    left_out = {name: why for name, why in strangers.items() if name not in settings.offsets_s}
    notes += [f"{name} is left out: {why}" for name, why in left_out.items()]
    if estimate is not None:
        clock = _settled(clock, estimate, settings, notes)
    lost_s = settings.max_shift_s / math.sqrt(3)
    reach = {name: replace(clock.cameras[name], std_s=lost_s) for name in left_out}
    return Clock({**clock.cameras, **reach}, left_out, tuple(notes), tuple(evidence))


def _assumed(footage: Footage, settings: SyncSettings) -> Clock:
    """Clocks before anything is looked for: told ones, labels that agree, or a common start."""
    names = list(footage.names)
    starts = {
        name: (one.start_s, one.std_s, one.source)
        for name, one in footage.recorded.items()
        if one.start_s is not None
    }
    guess = guesses(starts, names) if settings.find else dict.fromkeys(names, 0.0)
    source = next(iter(starts.values()))[2] if starts else ""
    apart = max(guess.values()) - min(guess.values())
    labelled = source == "timecode" or apart > _FAR_APART_S
    clocks = {}
    for name in names:
        own = footage.recorded.get(name)
        period_s = 1.0 / own.rate_hz if own else 0.0
        if name in settings.offsets_s:
            clocks[name] = CameraClock(
                settings.offsets_s[name], std_s=round(period_s / math.sqrt(12.0), 9), source=_TOLD
            )
        elif apart > 0 and labelled:
            clocks[name] = CameraClock(guess[name], std_s=starts[name][1], source=source)
        else:
            clocks[name] = CameraClock(std_s=round(period_s / math.sqrt(12.0), 9), source=_TOGETHER)
    return Clock(clocks)


def _motion(footage: Footage, clock: Clock, settings: SyncSettings) -> MotionClocks | None:
    """What the people's motion says; None without calibrated cameras or anything seen."""
    seen = {name: view for name, view in footage.keypoints.items() if len(view.time_s) > 4}
    if footage.cameras is None or len(seen) < 2:
        return None
    guess = {name: clock.cameras[name].offset_s for name in seen}
    if footage.sound is not None:
        heard = dict(zip(footage.sound.names, footage.sound.offset_s.tolist(), strict=True))
        base = clock.cameras[footage.sound.names[0]].offset_s
        guess |= {name: base + own for name, own in heard.items() if name in seen}
    return clocks_from_motion(seen, footage.cameras, guess, settings.max_shift_s)


def _estimate(found: MotionClocks | None, notes: list[str]) -> Estimate | None:
    """The motion's offsets and drifts, with what the user should know of them."""
    if found is None:
        return None
    if found.tuned is None:
        notes.append(
            "the motion of the people says nothing about the clocks: too little is seen by cameras that agree"
        )
        notes += [f"{name}: {why}" for name, why in found.strangers.items()]
        return None
    notes += [
        f"{name}: its people would fit the others' as well at another offset (they repeat themselves)"
        for name in found.ambiguous
    ]
    covariance = found.tuned.covariance.copy()
    free = np.arange(1, len(found.names))
    covariance[free, free] += _FLOOR_S**2
    return Estimate(found.names, found.tuned.offset_s, found.tuned.drift, covariance, _MOTION)


def _placed_sound(
    footage: Footage, motion: Estimate | None, found: MotionClocks | None, notes: list[str]
) -> Estimate | None:
    """The sound's estimate with the way of the sound to the cameras: where the motion tells, as it tells.

    Either the cameras' own microphones heard the people, and the further camera heard later; or one
    recorder fed them all, or the sound came from afar, and nothing was late.
    """
    sound = footage.sound
    if sound is None:
        return None
    later_s, std_s = np.zeros(len(sound.names)), _TRAVEL_STD_S
    cameras = footage.cameras
    known = cameras is not None and set(sound.names) <= set(cameras.names)
    shared = [name for name in sound.names if motion is not None and name in motion.names]
    if found is not None and found.place_world is not None and known and cameras is not None:
        centers = dict(zip(cameras.names, cameras.centers_world.numpy(), strict=True))
        way_s = travelled(sound, centers, found.place_world)
        if motion is not None and len(shared) > 1:
            rows = [sound.names.index(name) for name in shared]
            apart = motion.only(shared).offset_s - sound.only(shared).offset_s
            std = motion.only(shared).std_s()[1:]
            way = (way_s[rows] - way_s[rows[0]])[1:]
            better = float(np.sum((apart[1:] / std) ** 2) - np.sum(((apart[1:] - way) / std) ** 2))
            if abs(better) > _TELLS:
                later_s = way_s if better > 0 else later_s
                std_s = _FROM_PEOPLE_STD_S if better > 0 else _FROM_ONE_STD_S
                if better > 0:
                    notes.append("the sound comes from the people: its way to each camera is allowed for")
            else:
                later_s, std_s = 0.5 * way_s, 0.5 * float(np.abs(way_s).max()) + _FROM_ONE_STD_S
    covariance = sound.covariance.copy()
    free = np.arange(1, len(sound.names))
    covariance[free, free] += std_s**2
    return replace(sound, offset_s=sound.offset_s + later_s, covariance=covariance)


def _weighed(
    motion: Estimate | None, sound: Estimate | None, evidence: list[Evidence], notes: list[str]
) -> Estimate | None:
    """Motion and sound together; where they contradict each other, sound is dropped, and said so."""
    wrong = disagreement(motion, sound) if motion and sound else {}
    for one in (motion, sound):
        if one is None:
            continue
        for name, own, std in zip(one.names, one.offset_s, one.std_s(), strict=True):
            bad = one is sound and name in wrong
            why = "contradicts the motion of the people" if bad else ""
            evidence.append(Evidence(name, one.source, float(own), float(std), not bad, why))
    for name, off in wrong.items():
        notes.append(f"{name}: its sound contradicts the motion by {off:.0f} standard deviations; not used")
    if motion is None or sound is None:
        return motion or sound
    heard = [name for name in sound.names if name not in wrong]
    if motion.names[0] not in heard:
        shared = [name for name in motion.names if name in heard]
        if len(shared) < 2:
            return motion
        motion = motion.only([shared[0], *(name for name in motion.names if name != shared[0])])
    return fuse(motion, sound.only(heard)) if len(heard) > 1 else motion


def _settled(clock: Clock, estimate: Estimate, settings: SyncSettings, notes: list[str]) -> Clock:
    """The estimate in the clock's terms: relative to a told camera, or to the first of the take."""
    told = [name for name in estimate.names if name in settings.offsets_s]
    order = [name for name in clock.cameras if name in estimate.names]
    reference = told[0] if told else order[0]
    estimate = estimate.only([reference, *(name for name in order if name != reference)])
    base = clock.cameras[reference]
    clocks = dict(clock.cameras)
    if all(one.source == _TOGETHER for one in clock.cameras.values()) and start_together(
        without_idle_drift(estimate), _interval(clock)
    ):
        for name, std, drift in zip(estimate.names, estimate.std_s(), estimate.std_drift(), strict=True):
            clocks[name] = CameraClock(0.0, 0.0, float(std), _CONFIRMED, float(drift * 1e6))
        return replace(clock, cameras=clocks)
    estimate = without_idle_drift(estimate)
    figures = zip(
        estimate.names,
        estimate.offset_s,
        estimate.drift,
        estimate.std_s(),
        estimate.std_drift(),
        strict=True,
    )
    for name, offset, drift, std, drift_std in figures:
        if name in told:
            off = abs(offset + base.offset_s - clocks[name].offset_s)
            if name != reference and off > max(4 * std, 0.01):
                notes.append(
                    f"{name}: the {estimate.source} would put it {1e3 * off:.0f} ms from the told offset"
                )
            continue
        clocks[name] = CameraClock(
            float(base.offset_s + offset),
            float(drift * 1e6),
            float(std),
            estimate.source,
            float(drift_std * 1e6),
        )
        if name == reference:
            clocks[name] = replace(clocks[name], source=f"the others are relative to it ({estimate.source})")
    return replace(clock, cameras=clocks)


def _interval(clock: Clock) -> float:
    """Seconds within which clips that do not start together would start anyhow: a frame, as is assumed."""
    return max(1e-3, max(one.std_s for one in clock.cameras.values()) * math.sqrt(12.0) or 1.0 / 30.0)
