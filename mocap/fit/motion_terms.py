"""Smooth motion: bounded accelerations of the joints' turns and of the root, and weakly bounded speeds.

The strength is a standard deviation in physical units. Costs are integrals over time, so that the same motion
costs the same at any frame rate: a step of h seconds counts h / ``REFERENCE_S``.
"""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from mocap.fit.joint_terms import chord, chord_jacobian
from mocap.fit.posed import Posed
from mocap.fit.state import Layout
from mocap.fit.terms import Jacobian, Loss

REFERENCE_S = 1 / 30
"""The frame interval that standard deviations of motion are given for."""


@dataclass(frozen=True)
class Steps:
    """The time between frames."""

    seconds: Tensor
    """(T - 1,) from each frame to the next."""
    joined: Tensor
    """(T - 1,) bool; False where two neighbours are not one motion, as at the joint of two samples."""


class _Velocities:
    """Speeds of root and joints between neighbouring frames, with derivatives."""

    def __init__(self, layout: Layout, steps: Steps) -> None:
        self.active = list(layout.active)
        self.steps = steps
        self.columns = torch.cat([torch.arange(3)[None], layout.joint_columns(self.active)])

    def __call__(self, posed: Posed, count: int, skip: int) -> Tensor:
        """(count, 1 + A, 3) m/s and rad/s (of the chord), ``skip`` frames after the first ones."""
        move, turn, seconds = self._moves(posed, count, skip)
        return torch.cat([move[:, None], chord(turn)], 1) / seconds

    def jacobian(self, posed: Posed, count: int, skip: int) -> tuple[Tensor, Tensor]:
        """(count, 1 + A, 3, 3) each, by the earlier and by the later frame's unknowns."""
        _, turn, seconds = self._moves(posed, count, skip)
        later = chord_jacobian(turn)
        identity = torch.eye(3, dtype=later.dtype).expand(count, 1, 3, 3)
        earlier = torch.cat([-identity, -later.mT], 1)
        return earlier / seconds[..., None], torch.cat([identity, later], 1) / seconds[..., None]

    def _moves(self, posed: Posed, count: int, skip: int) -> tuple[Tensor, Tensor, Tensor]:
        first, second = slice(skip, skip + count), slice(skip + 1, skip + 1 + count)
        quat = posed.state.quat_xyzw[:, self.active]
        turn = roma.quat_product(roma.quat_conjugation(quat[first]), quat[second])
        seconds = self.steps.seconds[posed.start + skip : posed.start + skip + count]
        return posed.state.trans[second] - posed.state.trans[first], turn, seconds[:, None, None]


class AccelerationTerm:
    """``r = acceleration / sd`` of the root and of each joint's turn, over three frames."""

    name = "acceleration"
    span = 3

    def __init__(self, layout: Layout, steps: Steps, sd: Tensor, loss: Loss) -> None:
        """Set the strengths.

        Args:
            layout: columns of the unknowns.
            steps: time between the frames.
            sd: (1 + A, 3): m/s² of the root, then rad/s² of each active joint about its own axes, at 30
                frames a second.
            loss: for the group of each joint and frame.
        """
        self.velocity = _Velocities(layout, steps)
        self.columns = self.velocity.columns
        self.loss = loss
        h = steps.seconds
        self.mean_step = (h[1:] + h[:-1]) / 2
        joined = steps.joined[1:] & steps.joined[:-1]
        weight = torch.sqrt(self.mean_step / REFERENCE_S) * joined / self.mean_step
        self.weight = weight[:, None, None] / sd

    def residual(self, posed: Posed) -> Tensor:
        """(n, 1 + A, 3)."""
        count = posed.windows(3)
        change = self.velocity(posed, count, 1) - self.velocity(posed, count, 0)
        return change * self.weight[posed.rows(3)]

    def jacobian(self, posed: Posed) -> Jacobian:
        """Root and joints each by their own three columns of the three frames."""
        count = posed.windows(3)
        weight = self.weight[posed.rows(3)][..., None]
        v0_0, v0_1 = self.velocity.jacobian(posed, count, 0)
        v1_1, v1_2 = self.velocity.jacobian(posed, count, 1)
        return Jacobian((-v0_0 * weight, (v1_1 - v0_1) * weight, v1_2 * weight), self.columns)


class SpeedTerm:
    """``r = speed / sd``: keeps a motion that nobody saw for a while from drifting off."""

    name = "speed"
    span = 2

    def __init__(self, layout: Layout, steps: Steps, sd: Tensor, loss: Loss) -> None:
        """``sd`` is (1 + A,): m/s of the root, then rad/s of each active joint, at 30 frames a second."""
        self.velocity = _Velocities(layout, steps)
        self.columns = self.velocity.columns
        self.loss = loss
        weight = torch.sqrt(steps.seconds / REFERENCE_S) * steps.joined
        self.weight = weight[:, None, None] / sd[:, None]

    def residual(self, posed: Posed) -> Tensor:
        """(n, 1 + A, 3)."""
        return self.velocity(posed, posed.windows(2), 0) * self.weight[posed.rows(2)]

    def jacobian(self, posed: Posed) -> Jacobian:
        """Root and joints each by their own three columns of the two frames."""
        earlier, later = self.velocity.jacobian(posed, posed.windows(2), 0)
        weight = self.weight[posed.rows(2)][..., None]
        return Jacobian((earlier * weight, later * weight), self.columns)
