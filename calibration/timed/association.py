"""Which views belong together: shifts of whole frames taken out, then one number for one instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from calibration.boards.detection import BoardView
from calibration.timed.turning import ClockLink

_TRUSTED, _TRUSTED_FAR = 0.4, 0.6
"""Agreement of turning rates below which a link is noise: shifts of a frame or two, and longer ones."""
_BETTER = 1.5
"""How much worse the clips' own times must agree, in parts of what is missing to 1, for a longer shift."""
NEAR_STEPS = 2.5
"""Longest shift, in frames, that needs no more than to agree best: the adjustment corrects it."""
_FRAME_PART = 0.35
"""Shifts below this part of a frame are left to the adjustment."""


class Shift(NamedTuple):
    """What a camera's own times are off before anything else is known."""

    shift_s: float
    """Seconds to add."""
    agreement: float
    """Best agreement of the turning rates with another camera; 1 where nothing could be compared."""
    rival: float
    """The next best peak of that link, in parts of it."""


def frame_step_s(views: Sequence[BoardView]) -> float:
    """Time between frames of the slowest camera, seconds."""
    steps: list[float] = []
    for name in dict.fromkeys(view.camera for view in views):
        times = np.unique([view.time_s for view in views if view.camera == name])
        if len(times) > 1:
            steps.append(float(np.median(np.diff(times))))
    return max(steps, default=0.1)


def shifts(links: Sequence[ClockLink], names: Sequence[str], step_s: float) -> dict[str, Shift]:
    """Each camera's shift against the first, from links between pairs, the best links first.

    Args:
        links: how pairs of cameras stand to each other.
        names: all cameras; the first is the reference.
        step_s: time between frames.
    """
    total = {names[0]: 0.0}
    told = {name: Shift(0.0, 1.0, 0.0) for name in names}
    while len(total) < len(names):
        reaching = [link for link in links if (link.cameras[0] in total) != (link.cameras[1] in total)]
        if not reaching:
            # Nobody can be compared with the rest: the clips' own times are all there is.
            total[next(name for name in names if name not in total)] = 0.0
            continue
        best = max(reaching, key=lambda link: link.agreement)
        first, second = best.cameras
        lag = _believed(best, step_s)
        name = second if first in total else first
        total[name] = total[first] + lag if first in total else total[second] - lag
        told[name] = Shift(0.0, best.agreement, best.rival)
    return {
        name: told[name]._replace(shift_s=total[name] if abs(total[name]) > _FRAME_PART * step_s else 0.0)
        for name in names
    }


def _believed(link: ClockLink, step_s: float) -> float:
    if abs(link.lag_s) <= NEAR_STEPS * step_s:
        return link.lag_s if link.agreement > _TRUSTED else 0.0
    as_filmed = link.at_zero > 1.0 - _BETTER * (1.0 - link.agreement)  # not where zero could not be tried
    return link.lag_s if link.agreement > _TRUSTED_FAR and not as_filmed else 0.0


def associate(views: Sequence[BoardView], shift_s: Mapping[str, float], step_s: float) -> list[BoardView]:
    """The views with new frame numbers: one number for what lies within half a step of one instant.

    Args:
        views: views of all cameras.
        shift_s: seconds to add to each camera's own times.
        step_s: time between instants.
    """
    if not views:
        return []
    times = np.array([view.time_s + shift_s[view.camera] for view in views])
    phase = np.angle(np.exp(2j * np.pi * times / step_s).mean()) / (2.0 * np.pi) * step_s
    number = np.round((times - phase) / step_s).astype(int)
    number -= min(0, int(number.min()))
    return [replace(view, frame=int(n)) for view, n in zip(views, number, strict=True)]


def one_each(views: Sequence[BoardView], shift_s: Mapping[str, float]) -> list[BoardView]:
    """At most one view of each camera for every frame number, the one nearest to the others' mean time."""
    times: dict[int, list[float]] = {}
    for view in views:
        times.setdefault(view.frame, []).append(view.time_s + shift_s[view.camera])
    best: dict[tuple[str, int], BoardView] = {}
    for view in views:
        middle = float(np.mean(times[view.frame]))
        key = view.camera, view.frame
        off = abs(view.time_s + shift_s[view.camera] - middle)
        if key not in best or off < abs(best[key].time_s + shift_s[view.camera] - middle):
            best[key] = view
    return list(best.values())
