"""Lens distortion of fisheye cameras: OpenCV's four coefficients of Kannala and Brandt.

``theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8)`` with theta the angle off the axis.
Points are on the normalised image plane (x/z, y/z), so only what is in front of the camera exists.
"""

import math

import torch
from torch import Tensor

from calibration.lenses.roots import first_positive_root, inverse_2x2, solve_increasing

_NEAR_AXIS2 = 1e-14  # squared radius below which the next term of the series is beyond double precision


def distort(xy: Tensor, k: Tensor) -> Tensor:
    """Distort normalised points.

    Args:
        xy: (..., C, N, 2) normalised image plane.
        k: (C, 4 or more) coefficients; those after the fourth are not read.

    Returns:
        (..., C, N, 2) distorted, normalised image plane.
    """
    scale, *_ = _scale(xy.square().sum(-1), k)
    return xy * scale[..., None]


def distort_slope(xy: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Distort, and say how the result changes with the point: the first two of ``distort_jacobian``."""
    scale, bend, _, _ = _scale(xy.square().sum(-1), k)
    return xy * scale[..., None], _d_point(xy, scale, bend)


def distort_jacobian(xy: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distort, and say how the result changes with the point and with the coefficients.

    Args:
        xy: (..., C, N, 2) normalised image plane.
        k: (C, D) coefficients, D at least 4.

    Returns:
        (..., C, N, 2) distorted points, (..., C, N, 2, 2) their derivative by the point and
        (..., C, N, 2, D) by the coefficients (zero after the fourth).
    """
    scale, bend, per_radius, theta2 = _scale(xy.square().sum(-1), k)
    powers = per_radius[..., None] * torch.stack([theta2**i for i in (1, 2, 3, 4)], -1)
    d_k = xy[..., :, None] * powers[..., None, :]
    if k.shape[-1] > 4:
        d_k = torch.cat((d_k, d_k.new_zeros(*xy.shape, k.shape[-1] - 4)), -1)
    return xy * scale[..., None], _d_point(xy, scale, bend), d_k


def _d_point(xy: Tensor, scale: Tensor, bend: Tensor) -> Tensor:
    """(..., C, N, 2, 2) derivative of the distorted point by the point, from ``_scale``."""
    identity = torch.eye(2, dtype=xy.dtype, device=xy.device)
    return scale[..., None, None] * identity + bend[..., None, None] * xy[..., :, None] * xy[..., None, :]


def max_radius2(k: Tensor) -> Tensor:
    """Squared radius, on the normalised plane, up to which the distorted radius grows.

    Args:
        k: (C, D) coefficients, D at least 4.

    Returns:
        (C,) squared radius, infinity where the lens sees the whole half space.
    """
    limit = [_angle_limit(row) for row in k.detach().tolist()]
    radius2 = [math.inf if angle >= math.pi / 2 else math.tan(angle) ** 2 for angle in limit]
    return torch.tensor(radius2, dtype=k.dtype, device=k.device)


def undistort(xy_distorted: Tensor, k: Tensor, limit2: Tensor) -> Tensor:
    """Inverse of ``distort`` where it is one to one and in front of the camera; NaN elsewhere.

    Args:
        xy_distorted: (..., C, N, 2) normalised image plane.
        k: (C, D) coefficients, D at least 4.
        limit2: (C,) what ``max_radius2`` gave.

    Returns:
        (..., C, N, 2) normalised points to 1e-12; differentiable (implicit function theorem).
    """
    with torch.no_grad():
        xy, inverse = _inverse(xy_distorted.detach(), k.detach(), limit2)
    if not (xy_distorted.requires_grad or k.requires_grad):
        return xy
    # One more step, through the graph: its value is nothing, its derivative is the inverse's.
    residual = distort(xy, k) - xy_distorted
    return xy - (inverse @ residual[..., None])[..., 0]


def _polynomial(theta2: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """theta_d / theta, and d theta_d / d theta."""
    k1, k2, k3, k4 = (k[:, i : i + 1] for i in range(4))
    value = 1 + theta2 * (k1 + theta2 * (k2 + theta2 * (k3 + theta2 * k4)))
    slope = 1 + theta2 * (3 * k1 + theta2 * (5 * k2 + theta2 * (7 * k3 + theta2 * 9 * k4)))
    return value, slope


def _scale(r2: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """theta_d / r; its derivative by r, over r; theta / r; theta^2. Safe on the axis, for gradients too."""
    near = r2 < _NEAR_AXIS2
    safe2 = torch.where(near, 1, r2)
    r = safe2.sqrt()
    theta = r.atan()
    value, slope = _polynomial(theta * theta, k)
    scale = theta * value / r
    bend = (slope / (1 + safe2) - scale) / safe2
    first = k[:, :1] - 1 / 3  # theta_d / r = 1 + (k1 - 1/3) r^2 + ...
    scale = torch.where(near, 1 + first * r2, scale)
    bend = torch.where(near, 2 * first, bend)
    per_radius = torch.where(near, 1, theta / r)
    theta2 = torch.where(near, r2, theta * theta)
    return scale, bend, per_radius, theta2


def _angle_limit(k: list[float]) -> float:
    if not all(map(math.isfinite, k[:4])):
        return 0.0
    slope = [1.0] + [(2 * i + 3) * value for i, value in enumerate(k[:4])]
    return min(math.sqrt(first_positive_root(slope)), math.pi / 2)


def _inverse(target: Tensor, k: Tensor, limit2: Tensor) -> tuple[Tensor, Tensor]:
    """Undistorted points of ``target`` and the inverse derivative there, NaN where there are none."""
    radius = target.norm(dim=-1)
    usable = torch.isfinite(radius)
    radius = torch.where(usable, radius, 0)

    def curve(theta: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = _polynomial(theta * theta, k)
        return theta * value, slope

    theta = solve_increasing(curve, radius, limit2.sqrt().atan()[:, None])
    theta = torch.where(usable & (theta < math.pi / 2), theta, torch.nan)
    near = radius * radius < _NEAR_AXIS2
    scale = torch.where(near, 1, theta.tan() / torch.where(near, 1, radius))
    xy = target * scale[..., None]
    _, d_xy, _ = distort_jacobian(xy, k)
    return xy, inverse_2x2(d_xy)
