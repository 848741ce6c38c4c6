"""Terms on the turn of single joints: the pull towards rest, and the walls of their range.

All are written in the quaternion ``(v, w)`` of the joint's local turn, w >= 0; ``rotation exp(d)`` changes it
by ``dv = (w d + v x d) / 2`` and ``dw = -v.d / 2``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import roma
import torch
from torch import Tensor

from mocap.fit.posed import Posed
from mocap.fit.state import Layout
from mocap.fit.terms import Jacobian, Loss
from rigs.kinematics import cross_matrix


def positive_quat(quat_xyzw: Tensor) -> Tensor:
    """The one of q and -q (the same turn) with w >= 0."""
    return torch.where(quat_xyzw[..., 3:] < 0, -quat_xyzw, quat_xyzw)


def chord(quat_xyzw: Tensor) -> Tensor:
    """(..., 3) twice the vector part: nearly the rotation vector, with a square that is smooth everywhere."""
    return 2 * positive_quat(quat_xyzw)[..., :3]


def chord_jacobian(quat_xyzw: Tensor) -> Tensor:
    """(..., 3, 3) derivative of ``chord`` by d of ``rotation exp(d)``."""
    quat = positive_quat(quat_xyzw)
    identity = torch.eye(3, dtype=quat.dtype)
    return quat[..., 3, None, None] * identity + cross_matrix(quat[..., :3])


class RestTerm:
    """``r = chord(mean^-1 turn) / sd``: where nothing is seen, joints rest; weaker than any keypoint."""

    name = "rest pose"
    span = 1

    def __init__(
        self, layout: Layout, joints: Sequence[int], mean_rad: Tensor, sd_rad: Tensor, loss: Loss
    ) -> None:
        """``mean_rad`` is the rotation vector (n, 3) at which each joint rests.

        ``sd_rad`` is (n, 3) radians about x, y, z of the joint's own frame.
        """
        self.joints = list(joints)
        self.columns = layout.joint_columns(self.joints)
        self._from_mean = roma.quat_conjugation(roma.rotvec_to_unitquat(mean_rad))
        self.sd_rad = sd_rad
        self.loss = loss

    def residual(self, posed: Posed) -> Tensor:
        """(n, joints, 3)."""
        return chord(self._away(posed)) / self.sd_rad

    def jacobian(self, posed: Posed) -> Jacobian:
        """Each joint by its own three columns."""
        by = chord_jacobian(self._away(posed))
        return Jacobian((by / self.sd_rad[..., None],), self.columns)

    def _away(self, posed: Posed) -> Tensor:
        quat = posed.state.quat_xyzw[: posed.own, self.joints]
        return roma.quat_product(self._from_mean.expand_as(quat), quat)


class LimitTerm:
    """``r = (angle beyond the wall) / sd`` for swing and twist of each joint; zero inside its range."""

    name = "joint limits"
    span = 1

    def __init__(
        self, layout: Layout, joints: Sequence[int], axes: Sequence[int], walls_rad: tuple[Tensor, Tensor],
        sd_rad: float, loss: Loss,
    ) -> None:  # fmt: skip
        """Set the walls.

        Args:
            layout: columns of the unknowns.
            joints: the n joints that have walls.
            axes: n times 0, 1 or 2: the axis that the joint's bone lies along, which it twists about.
            walls_rad: lower and upper end, (n, 3) each, about x, y, z.
            sd_rad: how far beyond the wall counts as one standard deviation.
            loss: for each joint's group of three.
        """
        self.joints = list(joints)
        self.columns = layout.joint_columns(self.joints)
        self.order = torch.tensor([[axis, (axis + 1) % 3, (axis + 2) % 3] for axis in axes]).reshape(-1, 3)
        lower, upper = (torch.gather(wall, -1, self.order) for wall in walls_rad)
        self.lower, self.upper = lower, upper
        self.sd_rad = sd_rad
        self.loss = loss

    def _angles(self, posed: Posed) -> SwingTwist:
        return swing_twist(posed.state.quat_xyzw[: posed.own, self.joints], self.order)

    def residual(self, posed: Posed) -> Tensor:
        """(n, joints, 3): twist, then the two parts of swing."""
        angle = self._angles(posed).angle
        beyond = torch.clamp(angle - self.upper, min=0.0) + torch.clamp(angle - self.lower, max=0.0)
        return beyond / self.sd_rad

    def jacobian(self, posed: Posed) -> Jacobian:
        """Each joint by its own three columns, zero inside the walls."""
        angles = self._angles(posed)
        outside = (angles.angle > self.upper) | (angles.angle < self.lower)
        by = angles.by_turn * outside[..., None] / self.sd_rad
        back = torch.argsort(self.order, -1)  # derivatives by d in cyclic order -> x, y, z
        index = back[None, :, None, :].expand_as(by)
        return Jacobian((torch.gather(by, -1, index),), self.columns)


class SwingTwist(NamedTuple):
    """A turn as a swing of the bone after a twist about it."""

    angle: Tensor
    """(..., 3) radians: twist about the axis, and the swing's rotation vector on the two axes after it."""
    by_turn: Tensor
    """(..., 3, 3) derivative by d of ``rotation exp(d)``, d in the same cyclic order of axes."""


def swing_twist(quat_xyzw: Tensor, order: Tensor) -> SwingTwist:
    """Split turns into swing and twist.

    Args:
        quat_xyzw: (..., n, 4).
        order: (n, 3) the twist axis and the two after it, cyclically.
    """
    quat = positive_quat(quat_xyzw)
    vector = torch.gather(quat[..., :3], -1, order.expand(*quat.shape[:-1], 3))
    w, (a, b, c) = quat[..., 3], vector.unbind(-1)
    identity = torch.eye(3, dtype=quat.dtype)
    d_vector = (w[..., None, None] * identity + cross_matrix(vector)) / 2
    d_w = -vector / 2
    d_a, d_b, d_c = d_vector.unbind(-2)
    # The norm of the twist's part is the cosine of half the swing; the floor keeps a swing by pi finite.
    norm = torch.sqrt(torch.clamp(w * w + a * a, min=1e-12))
    d_norm = (w[..., None] * d_w + a[..., None] * d_a) / norm[..., None]
    twist = 2 * torch.atan2(a, w)
    d_twist = 2 * (w[..., None] * d_a - a[..., None] * d_w) / (norm**2)[..., None]
    s_b, s_c = (w * b - a * c) / norm, (w * c + a * b) / norm
    d_sb = _product_rule((w, d_w), (b, d_b), (a, d_a), (c, d_c), -1, s_b, norm, d_norm)
    d_sc = _product_rule((w, d_w), (c, d_c), (a, d_a), (b, d_b), 1, s_c, norm, d_norm)
    gain, gain_slope = _angle_per_sine(s_b * s_b + s_c * s_c, norm)
    along = s_b[..., None] * d_sb + s_c[..., None] * d_sc
    swing = [gain * s for s in (s_b, s_c)]
    d_swing = [
        gain[..., None] * d + (gain_slope * s)[..., None] * along for s, d in ((s_b, d_sb), (s_c, d_sc))
    ]
    return SwingTwist(torch.stack([twist, *swing], -1), torch.stack([d_twist, *d_swing], -2))


def _product_rule(
    w: tuple[Tensor, Tensor], p: tuple[Tensor, Tensor], a: tuple[Tensor, Tensor], q: tuple[Tensor, Tensor],
    sign: int, value: Tensor, norm: Tensor, d_norm: Tensor,
) -> Tensor:  # fmt: skip
    """Derivative of ``(w p + sign a q) / norm``; each factor comes with its own derivative."""
    top = w[1] * p[0][..., None] + w[0][..., None] * p[1]
    top = top + sign * (a[1] * q[0][..., None] + a[0][..., None] * q[1])
    return (top - value[..., None] * d_norm) / norm[..., None]


def _angle_per_sine(squared: Tensor, cosine: Tensor) -> tuple[Tensor, Tensor]:
    """``2 atan2(s, c) / s`` and its derivative by s divided by s, as functions of s²; series near zero."""
    small = squared < 1e-6
    sine = torch.sqrt(torch.where(small, torch.ones_like(squared), squared))
    gain = torch.where(small, 2 + squared / 3, 2 * torch.atan2(sine, cosine) / sine)
    slope = torch.where(small, 2 / 3 + squared * 0.6, (2 / cosine - gain) / sine**2)
    return gain, slope


def twist_axis(joint: str) -> int:
    """Axis along which a joint's bone lies at rest: x in the arms, y elsewhere."""
    arm = ("collar", "shoulder", "elbow", "wrist", "hand")
    return 0 if joint.removeprefix("left_").removeprefix("right_") in arm else 1


_Triple = tuple[float, float, float]

REST_DEG: dict[str, tuple[_Triple, _Triple]] = {
    "hip": ((-12, 0, 0), (40, 20, 25)), "knee": ((30, 0, 0), (40, 4, 3)),
    "ankle": ((-12, 0, 0), (20, 15, 12)), "foot": ((0, 0, 0), (15, 4, 4)),
    "spine1": ((6, 0, 0), (5, 3, 4)), "spine2": ((2, 0, 0), (4, 4, 4)), "spine3": ((-2, 0, 0), (4, 4, 4)),
    "neck": ((-6, 0, 0), (8, 12, 6)), "head": ((0, 0, 0), (10, 15, 8)),
    "collar": ((0, 0, 0), (3, 5, 5)), "shoulder": ((0, 0, -60), (50, 60, 50)),
    "elbow": ((0, -40, 0), (3, 50, 3)), "wrist": ((0, 0, 0), (40, 15, 30)), "hand": ((0, 0, 0), (4, 6, 25)),
}  # fmt: skip
"""Where a joint commonly is and by how much it varies, degrees about x, y, z, left side; the right is its
mirror image. From recorded walks, runs and gestures, rounded, and wide: the spine, the neck and the collar
share what several joints do and nothing else says how."""


def rest_rad(joint_names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (n, 3) radians each; for joints that are not of SMPL's body 0 and 45°."""
    means, sds = [], []
    for name in joint_names:
        bare = name.removeprefix("left_").removeprefix("right_")
        (x, y, z), sd = REST_DEG.get(bare, ((0.0, 0.0, 0.0), (45.0, 45.0, 45.0)))
        means.append((x, -y, -z) if name.startswith("right_") else (x, y, z))
        sds.append(sd)
    to_rad = math.pi / 180
    mean, sd = (torch.tensor(rows, dtype=torch.float64).reshape(-1, 3) * to_rad for rows in (means, sds))
    return mean, sd
