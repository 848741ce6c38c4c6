"""When points of the body stand on the floor: a probability for every frame, from height and speed.

Each point is a chain of two states, standing and free, that changes now and then. A point that stands hardly
moves and is as high as the floor, or stays long enough at one height above it to stand on a step; a free one
is anywhere and moves at any speed. How still "still" looks is learned from the take itself: the errors of one
take's feet are millimetres, those of another centimetres. Errors last for a while, so frames within that
while count as one. All of the past and the future is used (forward and backward), so nothing is late.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, label

FloatArray = NDArray[np.float64]

_STAND_S, _FREE_S = 0.5, 0.4
"""How long a point typically stands, and is free between two stands: seconds."""
_CORRELATED_S = 0.10
"""Errors last so long: frames within it say the same."""
_SMOOTH_S = 0.025
"""Speeds are taken over about three times this."""
_NU = 4.0
"""Tails of speed and height of what stands: degrees of freedom of Student's t."""
_FIRST_SPEED_M_S = 0.10
_SPEED_RANGE_M_S = (0.015, 0.25)
"""Deviation of the speed of what stands, on each axis: at first, and the range that a take may show."""
_FREE_SPEEDS = ((0.3, 0.35), (0.7, 1.3))
"""Free points: share and deviation of slow and fast ones, m/s on each axis."""
_FLOOR_SD_M = 0.010
"""How well the height of the floor is known under a point: it is not quite flat, and soles differ."""
_ERROR_SD_M = 0.004
"""Least error of a point's height that lasts through a stand."""
_FREE_HEIGHT_M = 0.25
"""Typical height of a free point."""
_STEP_SHARE, _STEP_REACH_M = 0.02, 1.0
"""Of all stands of feet, those on steps; and how high those may be."""
_ROUNDS = 5


@dataclass(frozen=True)
class Contacts:
    """Which points stand, and on what."""

    probability: FloatArray
    """(T, n) in [0, 1]."""
    support_m: FloatArray
    """(T, n) metres: height of what a point stands on, or would."""
    still_m_s: float
    """Deviation of the speed of standing points on each axis, as this take shows it."""
    floor_m: float
    """Height of the floor, metres."""

    @property
    def stands(self) -> NDArray[np.bool_]:
        """(T, n) where standing is likelier than not."""
        return self.probability > 0.5


def find_contacts(
    xyz_world: FloatArray, time_s: FloatArray, *, clearance_m: FloatArray | None = None,
    on_steps: NDArray[np.bool_] | None = None, floor_m: float = 0.0,
) -> Contacts:  # fmt: skip
    """When and on what points of a body stand.

    Args:
        xyz_world: (T, n, 3) metres, Z up.
        time_s: (T,) seconds, increasing.
        clearance_m: (n,) how high each point is above the floor when it stands; 0 if left out.
        on_steps: (n,) which points may stand on something higher than the floor; all if left out. Their
            speeds tell how still this take's feet are.
        floor_m: height of the floor.
    """
    num = xyz_world.shape[1]
    on_steps = np.ones(num, bool) if on_steps is None else on_steps
    above = xyz_world - np.array([0.0, 0.0, floor_m])
    above[..., 2] -= 0.0 if clearance_m is None else clearance_m
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0
    velocity = _velocity(above, time_s, step_s)
    share = min(1.0, step_s / _CORRELATED_S)
    still = _FIRST_SPEED_M_S
    probability = np.zeros(above.shape[:2])
    for _ in range(_ROUNDS):
        odds = _log_odds(above[..., 2], velocity, still, on_steps)
        probability = _smoothed(share * odds, time_s)
        still = _stillness(velocity[:, on_steps], probability[:, on_steps], still)
    support = _supports(above[..., 2], probability, np.where(on_steps, _STEP_SHARE, 0.0), still)
    return Contacts(probability, support + floor_m, still, floor_m)


def floor_height(xyz_world: FloatArray, time_s: FloatArray) -> float | None:
    """Height of the floor from the feet alone: where still points are lowest most of the time.

    Args:
        xyz_world: (T, n, 3) metres, points of the soles.
        time_s: (T,) seconds.

    Returns:
        Metres, or None where feet hardly ever stand still at one height.
    """
    if len(time_s) < 2:
        return None
    step_s = float(np.median(np.diff(time_s)))
    speed = np.linalg.norm(_velocity(xyz_world, time_s, step_s), axis=-1)
    slow = speed < 2 * _FIRST_SPEED_M_S
    if slow.any(1).mean() < 0.1:
        return None
    heights = np.sort(xyz_world[..., 2][slow])
    # the lowest level at which feet are often: steps are higher, errors of single frames are rare
    width = 3 * _FLOOR_SD_M
    inside = np.searchsorted(heights, heights + width) - np.arange(len(heights))
    first = int(np.argmax(inside > 0.5 * inside.max()))
    near = heights[(heights >= heights[first]) & (heights <= heights[first] + width)]
    return float(np.median(near)) if inside.max() > 0.2 * len(heights) else None


def _velocity(xyz: FloatArray, time_s: FloatArray, step_s: float) -> FloatArray:
    """(T, n, 3) m/s, of a track smoothed a little, centred in time."""
    if len(time_s) < 2:
        return np.zeros_like(xyz)
    smooth = gaussian_filter1d(xyz, _SMOOTH_S / step_s, axis=0, mode="nearest")
    return np.gradient(smooth, time_s, axis=0)


def _log_odds(height: FloatArray, velocity: FloatArray, still: float, on_steps: FloatArray) -> FloatArray:
    """(T, n) logarithm of how much likelier height and velocity are for a standing than for a free point."""
    speed2 = (velocity**2).sum(-1)
    stands = _student(speed2 / still**2, 3) - 3 * np.log(still)
    moves = np.logaddexp(
        *(np.log(part) - 0.5 * speed2 / sd**2 - 3 * np.log(sd) - 1.5 * np.log(2 * np.pi)
          for part, sd in _FREE_SPEEDS)
    )  # fmt: skip
    deviation = np.hypot(_FLOOR_SD_M, _height_error(still))
    low = _student((height / deviation) ** 2, 1) - np.log(deviation)
    step = np.log(_STEP_SHARE / _STEP_REACH_M) + np.where((height > 0) & on_steps, 0.0, -50.0)
    free = -np.abs(height) / np.where(height > 0, _FREE_HEIGHT_M, deviation) - np.log(_FREE_HEIGHT_M)
    by_speed = stands - moves if len(height) > 1 else 0.0  # one frame has none
    return by_speed + np.logaddexp(low, step) - free


def _student(squared: FloatArray, size: int) -> FloatArray:
    """Logarithm of Student's density of ``size`` dimensions at a squared distance, scale 1."""
    from scipy.special import gammaln

    constant = gammaln((_NU + size) / 2) - gammaln(_NU / 2) - size / 2 * np.log(_NU * np.pi)
    return constant - (_NU + size) / 2 * np.log1p(squared / _NU)


def _height_error(still: float) -> float:
    """Deviation of a point's height through a stand, metres, of a take whose still points seem to move so."""
    return float(np.hypot(_ERROR_SD_M, still * _CORRELATED_S))


def _smoothed(odds: FloatArray, time_s: FloatArray) -> FloatArray:
    """(T, n) probability of standing given the log odds (T, n) of all frames: forward and backward.

    The products of 2 x 2 matrices that the two passes are made of come from a parallel scan.
    """
    leave, land = 1 / _STAND_S, 1 / _FREE_S
    gone = -np.expm1(-(leave + land) * np.diff(time_s))
    change = np.zeros((len(odds), 2, 2))  # from row state (stands, free) of the frame before
    to_free, to_stand = leave / (leave + land), land / (leave + land)
    change[0] = [[to_stand, to_free]] * 2
    change[1:, 0, 1], change[1:, 1, 0] = to_free * gone, to_stand * gone
    change[1:, 0, 0], change[1:, 1, 1] = 1 - to_free * gone, 1 - to_stand * gone
    half = np.clip(odds, -60, 60)[..., None] * [0.5, -0.5]
    weight = np.exp(half - half.max(-1, keepdims=True))  # (T, n, 2)
    forward = _products(change[:, None] * weight[:, :, None, :])[:, :, 0]
    # backward: what follows frame t, seen from its state
    after = np.concatenate(
        [change[1:, None] * weight[1:, :, None, :], np.tile(np.eye(2), (1, odds.shape[1], 1, 1))]
    )
    backward = _products(after[::-1].swapaxes(-1, -2))[::-1].swapaxes(-1, -2).sum(-1)
    joint = forward * backward
    return joint[..., 0] / joint.sum(-1)


def _products(matrices: FloatArray) -> FloatArray:
    """Products M_0 ... M_t of (T, n, 2, 2) non-negative matrices, each up to a factor."""
    total = matrices / matrices.max((-1, -2), keepdims=True)
    reach = 1
    while reach < len(total):
        longer = total[:-reach] @ total[reach:]
        total = np.concatenate([total[:reach], longer / longer.max((-1, -2), keepdims=True)])
        reach *= 2
    return total


def _stillness(velocity: FloatArray, probability: FloatArray, still: float) -> float:
    """Deviation of the speed of what stands, from what seems to stand; one frame is no evidence."""
    squared = (velocity**2).sum(-1)
    heard = probability * (_NU + 3) / (_NU + squared / still**2)
    prior = 10.0
    spread = (heard * squared).sum() / 3 + prior * _FIRST_SPEED_M_S**2 / 4
    return float(np.clip(np.sqrt(spread / (probability.sum() + prior)), *_SPEED_RANGE_M_S))


def _supports(
    height: FloatArray, probability: FloatArray, step_share: FloatArray, still: float
) -> FloatArray:
    """(T, n) height of the support: one for each stand, drawn to the floor as far as the data leave open."""
    support = np.zeros(height.shape)
    error = _height_error(still)
    for point in range(height.shape[1]):
        runs, count = label(probability[:, point] > 0.5)
        for run in range(1, count + 1):
            rows = runs == run
            weight = probability[rows, point]
            mean = _middle(height[rows, point], weight)
            support[rows, point] = max(_support(mean, error, float(step_share[point])), 0.0)
        if count:
            _spread(support[:, point], runs > 0)
    return support


def _middle(values: FloatArray, weight: FloatArray) -> float:
    """Weighted median: a heel that lifts at the end of a stand does not lift the floor."""
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)])


def _support(height: float, error: float, step_share: float) -> float:
    """Expected height of the support of a stand seen at ``height``: the floor's, or a step's."""
    variance = _FLOOR_SD_M**2 + error**2
    on_floor = np.exp(-0.5 * height**2 / variance) / np.sqrt(2 * np.pi * variance)
    on_step = step_share / _STEP_REACH_M if height > 0 else 0.0
    if on_floor + on_step <= 0:
        return 0.0
    step = on_step / (on_floor + on_step)
    return float(step * height + (1 - step) * height * _FLOOR_SD_M**2 / variance)


def _spread(values: FloatArray, known: NDArray[np.bool_]) -> None:
    """Fill in place what is not known from the nearest frame that is."""
    rows = np.flatnonzero(known)
    frames = np.arange(len(values))
    after = np.clip(np.searchsorted(rows, frames), 0, len(rows) - 1)
    before = np.clip(after - 1, 0, len(rows) - 1)
    nearest = np.where(
        np.abs(rows[after] - frames) < np.abs(frames - rows[before]), rows[after], rows[before]
    )
    values[:] = values[nearest]
