"""Errors of an adjustment on people, their derivatives in closed form, and the cost that they make."""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from calibration.people.curves import sample
from calibration.people.state import WIDTH, People, State

FREEDOM = 3.0
"""Of the Student-t."""
_MISSED = 30.0
"""Price, in standard deviations, of a point that a camera cannot see although it did."""
_FLAT_M = 1e-9
"""Keeps the direction of a bone defined when its ends coincide."""


@dataclass(frozen=True, eq=False)
class Linear:
    """Residuals and derivatives; 0 where not ``valid``."""

    error_px: Tensor
    """(C, S, K, 2) projected minus seen."""
    valid: Tensor
    """(C, S, K)"""
    sigma_px: Tensor
    """(C, S, K)"""
    d_camera: Tensor
    """(C, S, K, 2, WIDTH)"""
    d_point: Tensor
    """(C, S, K, 2, 3)"""


def observe(people: People, offset_s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What all cameras show at the problem's instants: (C, S, K, 2) px, px/s, and (C, S, K) deviations."""
    parts = []
    for view, offset in zip(people.views, offset_s, strict=True):
        at = sample(view, people.time_s - offset)
        rows = torch.arange(len(people.time_s))
        parts.append([value[rows, people.person] for value in at])
    xy, speed, sigma = (torch.stack(some) for some in zip(*parts, strict=True))
    return xy, speed, sigma


def linearise(state: State, people: People) -> Linear:
    """Reprojection errors and their derivatives."""
    xy, speed, sigma = observe(people, state.offset_s)
    shape = xy.shape[:3]
    xy = xy - shift(state, people)
    at = state.cameras.jacobian(state.xyz.flatten(0, 1))
    valid = at.valid.reshape(shape) & people.seen & torch.isfinite(xy).all(-1) & (sigma > 0)
    error = torch.where(valid[..., None], at.xy_px.reshape(*shape, 2) - xy, 0.0)
    lens = at.d_intrinsics.reshape(*shape, 2, -1)
    d_camera = torch.zeros(*shape, 2, WIDTH, dtype=torch.float64)
    d_camera[..., :6] = at.d_pose.reshape(*shape, 2, 6)
    focal = state.cameras.focal_px[:, None, None, None]
    d_camera[..., 6] = (lens[..., :2] * focal).sum(-1)
    d_camera[..., 7:9] = lens[..., 2:4]
    held = min(2, lens.shape[-1] - 4)
    d_camera[..., 9 : 9 + held] = lens[..., 4 : 4 + held]
    # d(project - track(time - offset)) / d offset = + speed of the track
    d_camera[..., 11] = torch.where(valid[..., None], speed, 0.0)
    keep = valid[..., None, None]
    return Linear(
        error,
        valid,
        torch.where(valid, sigma, 1.0),
        torch.where(keep, d_camera, 0.0),
        torch.where(keep, at.d_point.reshape(*shape, 2, 3), 0.0),
    )


def shift(state: State, people: People) -> Tensor:
    """(C, S, K, 2) pixels by which keypoints are seen beside the truth."""
    return people.size_px[..., None, None] * state.bias[:, people.person]


def bone_errors(state: State, people: People) -> tuple[Tensor, Tensor, Tensor]:
    """(S, B) lengths less those of the person's bones, metres; (S, B, 3) directions; (S, B) known lengths."""
    first, second = people.bones.T
    apart = state.xyz[:, first] - state.xyz[:, second]
    length = (apart.square().sum(-1) + _FLAT_M**2).sqrt()
    known = state.log_bone[people.person].exp()
    return length - known, apart / length[..., None], known


def pose_error(cam_from_world: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """(C, 6) left perturbations that lead from the expected poses to these; (C, 6, 6) by a further one."""
    turn = cam_from_world[:, :3, :3] @ expected[:, :3, :3].mT
    phi = roma.rotmat_to_rotvec(turn)
    rho = cam_from_world[:, :3, 3] - (turn @ expected[:, :3, 3:])[..., 0]
    jacobian = torch.eye(6, dtype=torch.float64).repeat(len(phi), 1, 1)
    jacobian[:, :3, 3:] = -_cross(rho)
    jacobian[:, 3:, 3:] = _left_jacobian_inverse(phi)
    return torch.cat([rho, phi], 1), jacobian


def cost(state: State, people: People) -> Tensor:
    """Negative log likelihood, up to a constant."""
    xy, _, sigma = observe(people, state.offset_s)
    projected, valid = state.cameras.project(state.xyz.flatten(0, 1))
    error = projected.reshape(xy.shape) + shift(state, people) - xy
    known = people.seen & torch.isfinite(xy).all(-1) & (sigma > 0)
    valid = valid.reshape(known.shape) & known
    squared = torch.where(valid, error.square().sum(-1) / sigma.square(), _MISSED**2)
    total = people.trust * student(squared)[people.seen].sum()
    wrong, _, _ = bone_errors(state, people)
    total = total + people.trust * student((wrong / people.bone_sigma_m).square()).sum()
    priors = people.priors
    total = total + 0.5 * (priors.rows @ state.values() - priors.target).square().sum()
    if priors.pose is not None and priors.pose_information is not None:
        off, _ = pose_error(state.cameras.cam_from_world, priors.pose)
        total = total + 0.5 * (off[:, None] @ priors.pose_information @ off[..., None]).sum()
    return total


def student(squared: Tensor) -> Tensor:
    """Negative log of the Student-t by squared standardised errors; 0.5 x near 0 as (nu + 2) / nu."""
    return 0.5 * (FREEDOM + 2) * (squared / FREEDOM).log1p()


def _cross(v: Tensor) -> Tensor:
    """(..., 3, 3) matrices of the cross product with v."""
    zero = torch.zeros_like(v[..., 0])
    x, y, z = v.unbind(-1)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def _left_jacobian_inverse(phi: Tensor) -> Tensor:
    """(C, 3, 3): d log(exp(d) exp(phi)) / d d, by its closed form and its series near 0."""
    angle = phi.norm(dim=-1)
    small = angle < 1e-4
    safe = torch.where(small, 1.0, angle)
    factor = 1 / safe.square() - (1 + safe.cos()) / (2 * safe * safe.sin())
    factor = torch.where(small, 1.0 / 12.0 + angle.square() / 720.0, factor)
    cross = _cross(phi)
    return torch.eye(3, dtype=phi.dtype) - 0.5 * cross + factor[:, None, None] * cross @ cross
