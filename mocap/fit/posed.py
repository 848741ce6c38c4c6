"""A stretch of frames with the body posed in it, and how its points move with the unknowns.

Turning joint j by ``rotation_j exp(d)`` carries everything that hangs on it about the joint's place t_j. Of
a keypoint ``p = sum_i R_i m_i + w_i t_i`` the part below j is ``S = sum_{i below j} R_i m_i + w_i t_i`` with
weight ``W = sum_{i below j} w_i``, so that

    dp / dd = -[S - W t_j]_x R_j.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import roma
import torch
from torch import Tensor

from mocap.fit.state import Layout, State
from rigs.body import Body
from rigs.keypoint_model import KeypointModel
from rigs.kinematics import world_from_joint
from rigs.skeleton import offsets_from_rest

LOOK_AHEAD = 2
"""Frames after its first that a residual may depend on: accelerations need three in a row."""


class PointJacobian(NamedTuple):
    """Derivatives of K points in N frames."""

    columns: Tensor
    """(N, K, 3, D + B) by the pose unknowns of the same frame, then by the shape; B is 0 where the shape is
    not solved for."""
    num_pose: int
    """D."""
    offset: Tensor
    """(N, K, 3, 3) by the point's own offset."""

    @property
    def pose(self) -> Tensor:
        """(N, K, 3, D) by the pose unknowns of the same frame."""
        return self.columns[..., : self.num_pose]

    @property
    def betas(self) -> Tensor:
        """(N, K, 3, B) by the shape."""
        return self.columns[..., self.num_pose :]


@dataclass(frozen=True)
class Posed:
    """N neighbouring frames of a state; the last may only serve terms that look ahead."""

    body: Body
    """The body that is posed."""
    layout: Layout
    """Columns of the unknowns."""
    state: State
    """The N frames."""
    start: int
    """Index of the first frame in the take."""
    own: int
    """How many frames are this stretch's own; those after it belong to the next."""

    def windows(self, span: int) -> int:
        """How many runs of ``span`` frames begin at one of the stretch's own frames."""
        return max(0, min(self.own, self.state.num_frames - span + 1))

    def rows(self, span: int) -> slice:
        """Frames of the take at which those runs begin."""
        return slice(self.start, self.start + self.windows(span))

    @cached_property
    def _placed(self) -> tuple[Tensor, Tensor]:
        local = roma.unitquat_to_rotmat(self.state.quat_xyzw)
        offsets = offsets_from_rest(self.body.joints_rest(self.state.betas), self.body.parents)
        return world_from_joint(local, offsets, self.body.parents, self.state.trans)

    @property
    def rotation(self) -> Tensor:
        """(N, J, 3, 3) world from joint."""
        return self._placed[0]

    @property
    def xyz_joint(self) -> Tensor:
        """(N, J, 3) metres, world."""
        return self._placed[1]

    def place(self, points: KeypointModel) -> Tensor:
        """(N, K, 3) metres, world."""
        return points.pose(self.rotation, self.xyz_joint, self.state.betas)

    def jacobian(self, points: KeypointModel) -> PointJacobian:
        """How points of the body move with the unknowns."""
        turned = torch.einsum("kjbq,q->kjb", points.moment_betas, self.state.betas) + points.moment
        parts = torch.einsum("njab,kjb->nkja", self.rotation, turned)
        parts = parts + points.weight[..., None] * self.xyz_joint[:, None]
        below = self._below
        active = list(self.layout.active)
        carried = torch.einsum("ij,nkja->nkia", below, parts)
        lever = carried - (points.weight @ below.T)[..., None] * self.xyz_joint[:, None, active]
        num, keypoints = lever.shape[:2]
        size = self.layout.num_pose + self.layout.num_betas
        columns = torch.zeros(num, keypoints, 3, size, dtype=lever.dtype)
        # the weights of skin that is stored in single precision add up to 1 within 1e-7
        columns[..., :3] = points.weight.sum(-1)[:, None, None] * torch.eye(3, dtype=lever.dtype)
        self._turned_about(columns[..., 3 : self.layout.num_pose], lever, self.rotation[:, active])
        if self.layout.num_betas:
            columns[..., self.layout.num_pose :] = self._by_betas(points)
        turns = (points.offset_share @ self.rotation.flatten(2)).unflatten(-1, (3, 3))
        return PointJacobian(columns, self.layout.num_pose, turns)

    @cached_property
    def _below(self) -> Tensor:
        """(A, J) 1 where joint j hangs on active joint i, or is it."""
        num_joints = len(self.body.parents)
        reach = torch.eye(num_joints, dtype=torch.float64)
        for joint, parent in enumerate(self.body.parents):
            if parent >= 0:
                reach[:, joint] += reach[:, parent]
        return reach[list(self.layout.active)]

    def _turned_about(self, out: Tensor, lever: Tensor, axes: Tensor) -> None:
        """Fill (N, K, 3, 3 A) from levers (N, K, A, 3) and joint frames (N, A, 3, 3): column times lever."""
        ax, ay, az = (axes[:, None, :, row, :] for row in range(3))  # (N, 1, A, 3)
        lx, ly, lz = (lever[..., row, None] for row in range(3))  # (N, K, A, 1)
        turned = out.unflatten(-1, (-1, 3))  # (N, K, 3, A, 3)
        turned[:, :, 0] = (ay * lz).sub_(az * ly)
        turned[:, :, 1] = (az * lx).sub_(ax * lz)
        turned[:, :, 2] = (ax * ly).sub_(ay * lx)

    def _by_betas(self, points: KeypointModel) -> Tensor:
        """(N, K, 3, B): the moments' own change, and that of the joints they sit on."""
        num_betas = self.body.num_betas
        flat = points.moment_betas.permute(1, 2, 0, 3).flatten(2).flatten(0, 1)  # (J*3, K*B)
        turns = self.rotation.permute(0, 2, 1, 3).flatten(2)  # (N, 3, J*3)
        own = (turns @ flat).unflatten(-1, (-1, num_betas)).transpose(1, 2)
        placed = points.weight @ self._joints_by_betas.flatten(2)  # (N, K, 3*B)
        return own + placed.unflatten(-1, (3, num_betas))

    @cached_property
    def _joints_by_betas(self) -> Tensor:
        """(N, J, 3, B): a joint moves with its parent, and by its own turned offset."""
        shape = self.body.joint_shapedirs
        moved: list[Tensor] = []
        for joint, parent in enumerate(self.body.parents):
            if parent < 0:
                moved.append(shape[joint].expand(self.state.num_frames, -1, -1))
            else:
                moved.append(moved[parent] + self.rotation[:, parent] @ (shape[joint] - shape[parent]))
        return torch.stack(moved, 1)


def stretches(
    body: Body, layout: Layout, state: State, *, first: int = 0, stop: int | None = None, at_once: int = 128
) -> Iterator[Posed]:
    """Frames ``first`` to ``stop`` of a state, ``at_once`` together, which bounds the memory of Jacobians."""
    stop = state.num_frames if stop is None else stop
    for start in range(first, stop, at_once):
        end = min(start + at_once, stop)
        yield Posed(body, layout, state.frames(slice(start, end + LOOK_AHEAD)), start, end - start)
