"""Normal equations of an adjustment on people: points are eliminated instant by instant."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from calibration.people.errors import FREEDOM, bone_errors, linearise, pose_error
from calibration.people.state import POSE, WIDTH, People, Priors, State


@dataclass(frozen=True, eq=False)
class Normal:
    """Normal equations in blocks."""

    glob: Tensor
    """(G, G) cameras, then bones, then biases."""
    point: Tensor
    """(S, 3K, 3K)"""
    coupling: Tensor
    """(S, G, 3K)"""
    glob_slope: Tensor
    """(G,)"""
    point_slope: Tensor
    """(S, 3K)"""

    def reduced(self, damping: float, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Schur complement on the free unknowns, its right-hand side, and the factors of the points."""
        factor = torch.linalg.cholesky(_damped(self.point, damping))
        coupling = self.coupling[:, free]
        half = torch.linalg.solve_triangular(factor, coupling.mT, upper=False)  # (S, 3K, G')
        slope = torch.linalg.solve_triangular(factor, self.point_slope[..., None], upper=False)
        flat = half.flatten(0, 1)
        whole = _damped(self.glob[free][:, free], damping) - flat.T @ flat
        return whole, -(self.glob_slope[free] - flat.T @ slope.flatten()), factor

    def solve(self, damping: float, free: Tensor) -> tuple[Tensor, Tensor]:
        """Steps of the global unknowns (G,) and of the points (S, 3K)."""
        whole, right, factor = self.reduced(damping, free)
        step = torch.zeros_like(self.glob_slope)
        if free.any():
            step[free] = torch.linalg.solve(whole, right)
        slope = self.point_slope + step @ self.coupling
        return step, -torch.cholesky_solve(slope[..., None], factor)[..., 0]


def normal_equations(state: State, people: People) -> Normal:
    """Gauss-Newton on the reweighted problem."""
    at = linearise(state, people)
    cameras, instants, keypoints = at.valid.shape
    squared = at.error_px.square().sum(-1) / at.sigma_px.square()
    weight = people.trust * (FREEDOM + 2) / (FREEDOM + squared) / at.sigma_px.square()
    root = torch.where(at.valid, weight, 0.0).sqrt()[..., None, None]
    d_camera, d_point, error = root * at.d_camera, root * at.d_point, root[..., 0] * at.error_px
    bones = state.log_bone.numel()
    size = cameras * WIDTH + bones + state.bias.numel()
    glob, slope = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    flat = d_camera.flatten(1, 3)
    glob[: cameras * WIDTH, : cameras * WIDTH] = torch.block_diag(*(flat.mT @ flat))
    slope[: cameras * WIDTH] = (flat.mT @ error.flatten(1)[..., None]).flatten()
    point = torch.zeros(instants, keypoints, 3, keypoints, 3, dtype=torch.float64)
    own = torch.arange(keypoints)
    point[:, own, :, own] = (d_point.mT @ d_point).sum(0).transpose(0, 1)
    point_slope = (d_point.mT @ error[..., None])[..., 0].sum(0)
    coupling = torch.zeros(instants, size, keypoints, 3, dtype=torch.float64)
    coupling[:, : cameras * WIDTH] = (d_camera.mT @ d_point).permute(1, 0, 3, 2, 4).flatten(1, 2)
    system = Normal(
        glob, point.reshape(instants, 3 * keypoints, -1), coupling.flatten(2), slope, point_slope.flatten(1)
    )
    _add_bones(system, state, people)
    _add_bias(system, state, people, root[..., 0, 0], d_camera, d_point, error)
    _add_priors(system, state, people.priors)
    return system


def _add_bones(system: Normal, state: State, people: People) -> None:
    wrong, direction, known = bone_errors(state, people)
    squared = (wrong / people.bone_sigma_m).square()
    weight = people.trust * (FREEDOM + 2) / (FREEDOM + squared) / people.bone_sigma_m.square()
    instants, count = wrong.shape
    keypoints = state.xyz.shape[1]
    along = torch.zeros(instants, count, keypoints, 3, dtype=torch.float64)
    row = torch.arange(count)
    along[:, row, people.bones[:, 0]] = direction
    along[:, row, people.bones[:, 1]] = -direction
    along = along.flatten(2)  # (S, B, 3K)
    weighted = weight[..., None] * along
    system.point.add_(along.mT @ weighted)
    system.point_slope.add_((weighted * wrong[..., None]).sum(1))
    start = len(state.cameras) * WIDTH
    at = start + people.person[:, None] * count + row  # (S, B)
    by_length = -known
    system.glob_slope.index_add_(0, at.flatten(), (weight * by_length * wrong).flatten())
    system.glob.diagonal().index_add_(0, at.flatten(), (weight * by_length.square()).flatten())
    which = torch.arange(instants)[:, None].expand(-1, count)
    system.coupling.index_put_((which, at), by_length[..., None] * weighted, accumulate=True)


def _add_bias(
    system: Normal,
    state: State,
    people: People,
    root: Tensor,
    d_camera: Tensor,
    d_point: Tensor,
    error: Tensor,
) -> None:
    """What the biases add; ``root`` (C, S, K) and the other arguments are weighted already."""
    cameras, instants, keypoints = root.shape
    persons = state.bias.shape[1]
    scale = root * people.size_px[..., None]  # d error / d bias = scale * identity
    start = system.glob.shape[0] - state.bias.numel()

    def by_person(values: Tensor) -> Tensor:
        total = torch.zeros(cameras, persons, *values.shape[2:], dtype=torch.float64)
        return total.index_add_(1, people.person, values)

    own = by_person(scale.square())[..., None].expand(-1, -1, -1, 2)
    system.glob.diagonal()[start:].add_(own.flatten())
    system.glob_slope[start:].add_(by_person(scale[..., None] * error).flatten())
    across = by_person(scale[..., None, None] * d_camera)  # (C, P, K, 2, WIDTH)
    wide = torch.zeros(cameras, WIDTH, cameras, persons * keypoints * 2, dtype=torch.float64)
    row = torch.arange(cameras)
    wide[row, :, row] = across.flatten(1, 3).mT
    block = wide.reshape(cameras * WIDTH, -1)
    system.glob[: cameras * WIDTH, start:].add_(block)
    system.glob[start:, : cameras * WIDTH].add_(block.T)
    to_point = (scale[..., None, None] * d_point).transpose(0, 1)  # (S, C, K, 2, 3)
    coupling = (
        system.coupling[:, start:].unflatten(1, (cameras, persons, keypoints, 2)).unflatten(-1, (-1, 3))
    )
    some, k = torch.arange(instants)[:, None], torch.arange(keypoints)[None]
    for camera in range(cameras):
        coupling[some, camera, people.person[:, None], k, :, k] = to_point[:, camera]


def _add_priors(system: Normal, state: State, priors: Priors) -> None:
    left = priors.rows @ state.values() - priors.target
    system.glob.add_(priors.rows.T @ priors.rows)
    system.glob_slope.add_(priors.rows.T @ left)
    if priors.pose is None or priors.pose_information is None:
        return
    off, jacobian = pose_error(state.cameras.cam_from_world, priors.pose)
    pull = jacobian.mT @ priors.pose_information
    for camera in range(len(off)):
        rows = slice(camera * WIDTH, camera * WIDTH + POSE)
        system.glob[rows, rows] += pull[camera] @ jacobian[camera]
        system.glob_slope[rows] += pull[camera] @ off[camera]


def _damped(blocks: Tensor, damping: float) -> Tensor:
    diagonal = blocks.diagonal(dim1=-2, dim2=-1)
    return blocks + torch.diag_embed(damping * diagonal + 1e-9)
