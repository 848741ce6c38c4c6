"""One window of a take: its terms, their solution, and the covariance of its points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.keypoints import FloatArray
from mocap.solve.basis import Basis
from mocap.solve.bones import Bones
from mocap.solve.equations import Factor
from mocap.solve.estimate import Estimate
from mocap.solve.normal import Normal
from mocap.solve.terms import BoneTerm, MotionTerm, State, ViewTerm
from mocap.solve.views import Views

_KNOTS_PER_CYCLE = 4.3
"""Knots in one period of the fastest motion that noise does not drown: the splines lose 0.05 mm."""
_MOST_FRAMES = 6
"""Frames between two knots at most."""
_MOST_STEPS = 10
"""Gauss-Newton steps; bones turn little after the first, but of two views much in the first."""
_SETTLED_M = 0.0005
"""Root mean square of a step after which the next moves points by some micrometres."""
_FAST_SHARE = 0.85
"""Share of keypoints that the knots suit in full."""


@dataclass(frozen=True)
class WindowSolution:
    """Points of one window, and what it says of the bones."""

    xyz: FloatArray
    """(T, K, 3) metres."""
    lengths: FloatArray
    """(Q,) metres."""
    information: FloatArray
    """(Q, Q) of the lengths, the points eliminated, 1 / metres²."""
    basis: Basis
    """The knots."""
    factor: Factor
    """Of the equations."""

    def covariance(self, lengths: FloatArray) -> FloatArray:
        """(T, K, 3, 3) metres² of the points, with lengths whose covariance is (Q, Q)."""
        reach = self.basis.weight.shape[1] - 1
        blocks = self.factor.inverse(reach, 3)
        num, count = blocks[0].shape[:2]
        follow = self.factor.follow().reshape(num, count, 3, len(lengths))
        moved = follow @ lengths
        step, weight = self.basis.step, self.basis.weight
        intervals = -(-self.basis.num_frames // step)
        result = np.zeros((intervals, step, count, 3, 3))
        for apart, near in enumerate(blocks):
            near[: num - apart] += moved[: num - apart] @ np.swapaxes(follow[apart:], -1, -2)
            both = near + np.swapaxes(near, -1, -2) if apart else near
            for first in range(reach + 1 - apart):
                product = weight[:, first] * weight[:, first + apart]
                result += product[:, None, None, None] * both[first : first + intervals, None]
        return result.reshape(-1, count, 3, 3)[: self.basis.num_frames]


def basis_for(found: Estimate, times: int) -> Basis:
    """Knots as far apart as all but the fastest keypoints allow."""
    fastest = float(np.quantile(found.motion.cutoff, _FAST_SHARE))
    most = min(_MOST_FRAMES, max(times // 8, 1))
    return Basis(times, int(np.clip(2 * np.pi / fastest / _KNOTS_PER_CYCLE, 1, most)))


def each_for_itself(views: Views, xyz: FloatArray, found: Estimate) -> FloatArray:
    """(T, K, 3) every keypoint's track by its own views and smoothness alone."""
    basis = basis_for(found, len(xyz))
    knots = basis.approximate(xyz)
    state = State(knots, basis.expand(knots), np.zeros(0))
    normal = Normal(basis, xyz.shape[1], 0, _reach(found, basis))
    for term in (_view_term(views, state.xyz, found), _motion_term(found, basis)):
        term.add(normal, state)
    return basis.expand(knots + normal.step_each())


def solve_window(
    views: Views,
    xyz: FloatArray,
    found: Estimate,
    bones: Bones,
    lengths: FloatArray,
    step: int,
    *,
    free: bool,
) -> WindowSolution:
    """Gauss-Newton for all points of a window together.

    Args:
        views: around a track near ``xyz``.
        xyz: (T, K, 3) metres, where the step starts.
        found: noise and motion.
        bones: which distances stay the same.
        lengths: (Q,) metres, theirs now.
        step: frames from knot to knot.
        free: whether the lengths move, too.
    """
    basis = Basis(len(xyz), step)
    knots = basis.approximate(xyz)
    steps_left = _MOST_STEPS
    while True:
        normal = _equations(views, found, bones, basis, knots, lengths)
        factor = normal.factor()
        move, change = normal.step(factor, free=free)
        knots, lengths = knots + move, lengths + change
        steps_left -= 1
        if steps_left == 0 or np.sqrt((move**2).sum(-1).mean()) < _SETTLED_M:
            break
    return WindowSolution(basis.expand(knots), lengths, factor.corner, basis, factor)


def _equations(
    views: Views, found: Estimate, bones: Bones, basis: Basis, knots: FloatArray, lengths: FloatArray
) -> Normal:
    """All terms around a state."""
    state = State(knots, basis.expand(knots), lengths)
    normal = Normal(basis, knots.shape[1], len(bones), _reach(found, basis))
    terms = (
        _view_term(views, state.xyz, found),
        _motion_term(found, basis),
        BoneTerm(bones.first, bones.second, bones.weight),
    )
    for term in terms:
        term.add(normal, state)
    return normal


def _reach(found: Estimate, basis: Basis) -> int:
    """Knots that meet in some term."""
    last = found.noise.correlation.cautious.longest_lag
    lasting = basis.differences(last).weight.shape[1] - 1 if last else 0
    return max(found.motion.order, basis.weight.shape[1] - 1, lasting)


def _motion_term(found: Estimate, basis: Basis) -> MotionTerm:
    """White differences of frames are nearly white ones of knots, m^(2k - 1) times as strong."""
    stencil = np.array([1.0])
    for _ in range(found.motion.order):
        stencil = np.convolve(stencil, [1.0, -1.0])
    growth = float(basis.step) ** (2 * found.motion.order - 1)
    return MotionTerm(stencil, 1 / (found.motion.variance * growth))


def _view_term(views: Views, xyz: FloatArray, found: Estimate) -> ViewTerm:
    weight, sound = found.noise.weigh(views, xyz)
    return ViewTerm(views, weight, found.noise.correlation.cautious.chains(sound))
