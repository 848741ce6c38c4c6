"""A moving board between the frames: one smooth curve of poses that cameras look at whenever they like.

Cameras without a common clock see the board at instants of their own. A uniform cubic B-spline carries its
middle and, as unit quaternions that are blended and normalised again, its rotation: four control points
for every instant, linear but for the normalisation, so that all derivatives are short closed forms. The
shape of the basis follows de Boor, "A Practical Guide to Splines", for equal steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

CONTROL = 6
"""Parameters of a control point: place, metres, and left perturbation of its rotation, radians."""
SPAN = 4
"""Control points that one instant depends on."""
_MARGIN = 2
"""Steps that the curve goes on beyond the first and the last instant, for clocks that change."""


@dataclass(frozen=True)
class BoardMotion:
    """The path of a board: M control points, ``step_s`` apart."""

    start_s: float
    """Time at which the first interval begins; it hangs on the control points 0 to 3."""
    step_s: float
    """Length of an interval, seconds."""
    middle: Tensor
    """(3,) point of the board, board frame, metres, whose path ``place`` is."""
    place: Tensor
    """(M, 3) control points of the middle, metres, world frame."""
    quat_wxyz: Tensor
    """(M, 4) control points of world_from_board, unit length, neighbours on one side of the sphere."""
    breaks_s: Tensor
    """(G,) ascending times, each in the middle of a gap in which nobody looks: it has no control points."""
    skipped_s: Tensor
    """(G + 1,) time left out before each part, whole steps, seconds."""
    linked: Tensor
    """(M - 3,) bool, whether four neighbouring control points belong to one part."""

    def at(self, time_s: Tensor) -> tuple[Tensor, Tensor]:
        """Interval of every time and the part of it that has passed; beyond the ends it goes on as it was."""
        skipped_s = self.skipped_s[torch.searchsorted(self.breaks_s, time_s.contiguous())]
        steps = (time_s - self.start_s - skipped_s) / self.step_s
        interval = steps.floor().long().clamp(0, len(self.place) - SPAN)
        return interval, steps - interval

    def poses(self, time_s: Tensor) -> Tensor:
        """(T, 4, 4) world_from_board, metres, at (T,) seconds."""
        interval, part = self.at(time_s)
        weight = basis(part)
        quat = torch.nn.functional.normalize(_blend(self.quat_wxyz, interval, weight), dim=-1)
        pose = torch.eye(4, dtype=torch.float64).repeat(len(time_s), 1, 1)
        pose[:, :3, :3] = roma.unitquat_to_rotmat(quat[:, [1, 2, 3, 0]])
        place = _blend(self.place, interval, weight)
        pose[:, :3, 3] = place - (pose[:, :3, :3] @ self.middle[:, None])[..., 0]
        return pose

    def stepped(self, step: Tensor) -> BoardMotion:
        """The path after a step (M, 6) of its control points."""
        turn = roma.rotvec_to_unitquat(step[:, 3:])
        xyzw = roma.quat_product(turn, self.quat_wxyz[:, [1, 2, 3, 0]])
        quat = torch.nn.functional.normalize(xyzw[:, [3, 0, 1, 2]], dim=-1)
        return replace(self, place=self.place + step[:, :3], quat_wxyz=quat)


class Carried(NamedTuple):
    """Points of a board on its way, N of them."""

    xyz_world: Tensor
    """(N, 3) metres."""
    velocity: Tensor
    """(N, 3) metres per second."""
    weight: Tensor
    """(N, 4) of the control points."""
    d_quat: Tensor
    """(N, 3, 4) by the blended quaternion."""

    def by_control(self, d_point: Tensor, tangent: Tensor, interval: Tensor) -> Tensor:
        """(N, R, 4, 6) derivative by four control points of what moves with the points by ``d_point``.

        Args:
            d_point: (N, R, 3) derivative by the world points.
            tangent: (M, 4, 3) what ``quat_tangent`` gives for all control points.
            interval: (N,) first control point of each.
        """
        rows = torch.arange(SPAN)
        turn = (d_point @ self.d_quat)[:, None] @ tangent[interval[:, None] + rows]  # (N, 4, R, 3)
        both = torch.cat([d_point[:, None].expand_as(turn), turn], -1)
        return (self.weight[:, :, None, None] * both).transpose(1, 2)


def basis(part: Tensor) -> Tensor:
    """(..., 4) weights of the control points, of which an interval's part (...) has passed."""
    u = part[..., None]
    rest = 1.0 - u
    return (
        torch.cat([rest**3, 4.0 + u.square() * (3.0 * u - 6.0), 1.0 + 3.0 * u * (1.0 + u * rest), u**3], -1)
        / 6.0
    )


def basis_slope(part: Tensor) -> Tensor:
    """(..., 4) derivative of ``basis`` by the part."""
    u = part[..., None]
    rest = 1.0 - u
    return torch.cat([-0.5 * rest**2, u * (1.5 * u - 2.0), 0.5 + u * (1.0 - 1.5 * u), 0.5 * u.square()], -1)


def carry(motion: BoardMotion, interval: Tensor, part: Tensor, xyz_board: Tensor) -> Tensor:
    """Where points of the board are: (N, 3) metres, world.

    Args:
        motion: the path.
        interval: (N,) interval that each instant is reckoned from.
        part: (N,) part of it that has passed; may lie a little beyond 0 and 1.
        xyz_board: (N, 3) points, metres, board frame.
    """
    weight = basis(part)
    quat = _blend(motion.quat_wxyz, interval, weight)
    return _turned(quat, xyz_board - motion.middle) + _blend(motion.place, interval, weight)


def carry_jacobian(motion: BoardMotion, interval: Tensor, part: Tensor, xyz_board: Tensor) -> Carried:
    """The same as ``carry``, with velocity and what derivatives are made of, in closed form."""
    weight, slope = basis(part), basis_slope(part) / motion.step_s
    quat = _blend(motion.quat_wxyz, interval, weight)
    xyz = xyz_board - motion.middle
    turned = _turned(quat, xyz)
    d_quat = _d_turned(quat, xyz, turned)
    velocity = _blend(motion.place, interval, slope)
    velocity = velocity + (d_quat @ _blend(motion.quat_wxyz, interval, slope)[..., None])[..., 0]
    return Carried(turned + _blend(motion.place, interval, weight), velocity, weight, d_quat)


def quat_tangent(quat_wxyz: Tensor) -> Tensor:
    """(M, 4, 3) derivative of ``exp(phi) q`` by the left perturbation phi at 0."""
    w, v = quat_wxyz[:, :1], quat_wxyz[:, 1:]
    tangent = torch.zeros(len(w), 4, 3, dtype=torch.float64)
    tangent[:, 0] = -v
    tangent[:, 1:] = torch.diag_embed(w.expand(-1, 3)) - _cross(v)
    return 0.5 * tangent


def fit_motion(
    time_s: Tensor, world_from_board: Tensor, step_s: float, middle: Tensor, every_s: Tensor
) -> BoardMotion:
    """A first path through poses at given times; gaps are bridged straight.

    Args:
        time_s: (T,) seconds, ascending.
        world_from_board: (T, 4, 4) metres.
        step_s: length of an interval.
        middle: (3,) the point of the board to follow.
        every_s: (V,) all times at which it will be looked at, poses there or not.
    """
    start_s = aligned_start(every_s, step_s) - _MARGIN * step_s
    every_s = every_s.sort().values
    # Between two parts there is room for the margins of both, and for what clocks may still change.
    gap = every_s.diff() - (2 * _MARGIN + SPAN) * step_s
    wide = torch.nonzero(gap > step_s)[:, 0]
    breaks_s = 0.5 * (every_s[wide] + every_s[wide + 1])
    skipped = (gap[wide] / step_s).floor() * step_s
    skipped_s = torch.cat([torch.zeros(1, dtype=torch.float64), skipped.cumsum(0)])
    length_s = float(every_s[-1]) - start_s - float(skipped_s[-1])
    count = int(np.ceil(length_s / step_s)) + _MARGIN + SPAN
    squeezed_s = start_s + step_s * (torch.arange(count, dtype=torch.float64) - 1.0)
    part = torch.searchsorted(breaks_s - 0.5 * (skipped_s[1:] + skipped_s[:-1]), squeezed_s)
    knots = squeezed_s + skipped_s[part]
    place = (world_from_board[:, :3, :3] @ middle[:, None])[..., 0] + world_from_board[:, :3, 3]
    xyzw = roma.rotmat_to_unitquat(world_from_board[:, :3, :3])
    quat = _continuous(xyzw[:, [3, 0, 1, 2]].numpy())
    both = np.concatenate([place.numpy(), quat], -1)
    sampled = np.stack([np.interp(knots.numpy(), time_s.numpy(), column) for column in both.T], -1)
    found = torch.from_numpy(sampled)
    quat = torch.nn.functional.normalize(found[:, 3:], dim=-1)
    linked = part[3:] == part[:-3]
    return BoardMotion(start_s, step_s, middle, found[:, :3], quat, breaks_s, skipped_s, linked)


def aligned_start(time_s: Tensor, step_s: float) -> float:
    """The latest knot before all times, knots put where most times are: there a spline is known best."""
    phase = torch.exp(2j * torch.pi * time_s / step_s).mean()
    shift_s = float(torch.angle(phase)) / (2.0 * np.pi) * step_s
    return float(np.floor((float(time_s.min()) - shift_s) / step_s)) * step_s + shift_s


def third_differences(motion: BoardMotion) -> tuple[Tensor, Tensor]:
    """Third differences of the control points and how they move with them.

    Returns:
        (M - 3, 7) metres and parts of a unit quaternion, and (M - 3, 7, 4, 6) derivatives by the four
        control points of each; 0 between parts.
    """
    pattern: Sequence[float] = (-1.0, 3.0, -3.0, 1.0)
    both = torch.cat([motion.place, motion.quat_wxyz], -1)
    rows = len(both) - 3
    difference = sum((c * both[k : k + rows] for k, c in enumerate(pattern)), torch.zeros(rows, 7))
    tangent = quat_tangent(motion.quat_wxyz)
    slope = torch.zeros(rows, 7, SPAN, CONTROL, dtype=torch.float64)
    for k, c in enumerate(pattern):
        slope[:, :3, k, :3] = c * torch.eye(3, dtype=torch.float64)
        slope[:, 3:, k, 3:] = c * tangent[k : k + rows]
    linked = motion.linked[:, None]
    return torch.where(linked, difference, 0.0), torch.where(linked[..., None, None], slope, 0.0)


def _blend(control: Tensor, interval: Tensor, weight: Tensor) -> Tensor:
    return (weight[:, None] @ control[interval[:, None] + torch.arange(SPAN)])[:, 0]


def _turned(quat: Tensor, xyz: Tensor) -> Tensor:
    """Rotation of points by quaternions of any length."""
    w, v = quat[:, :1], quat[:, 1:]
    whole = (w.square() - v.square().sum(-1, keepdim=True)) * xyz
    whole = whole + 2.0 * v * (v * xyz).sum(-1, keepdim=True) + 2.0 * w * torch.linalg.cross(v, xyz)
    return whole / quat.square().sum(-1, keepdim=True)


def _d_turned(quat: Tensor, xyz: Tensor, turned: Tensor) -> Tensor:
    """(N, 3, 4) derivative of ``_turned`` by the quaternion."""
    w, v = quat[:, :1], quat[:, 1:]
    slope = torch.empty(len(quat), 3, 4, dtype=torch.float64)
    slope[..., 0] = w * xyz + torch.linalg.cross(v, xyz)
    inner = (v * xyz).sum(-1)[:, None, None] * torch.eye(3, dtype=torch.float64)
    outer = v[:, :, None] * xyz[:, None, :]
    slope[..., 1:] = inner + outer - outer.mT - w[..., None] * _cross(xyz)
    slope = slope - turned[..., None] * quat[:, None, :]
    return 2.0 * slope / quat.square().sum(-1)[:, None, None]


def _cross(v: Tensor) -> Tensor:
    """(N, 3, 3) matrices of the cross product with (N, 3) vectors."""
    zero = torch.zeros_like(v[:, 0])
    x, y, z = v.unbind(-1)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)


def _continuous(quat: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same rotations, each on its predecessor's side of the sphere."""
    turned = np.sum(quat[1:] * quat[:-1], -1) < 0.0
    return quat * np.where(np.concatenate([[False], np.cumsum(turned) % 2 == 1]), -1.0, 1.0)[:, None]
