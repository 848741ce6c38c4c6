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
    """(N, K, 3, c + B) by those pose unknowns of the same frame that move any of the points, then by the
    shape; B is 0 where the shape is not solved for."""
    pose_columns: Tensor
    """(c,) which pose unknowns these are, increasing; all others move nothing."""
    num_pose: int
    """D."""
    offset: Tensor
    """(N, K, 3, 3) by the point's own offset."""

    @property
    def pose(self) -> Tensor:
        """(N, K, 3, D) by all pose unknowns of the same frame."""
        some = self.columns[..., : len(self.pose_columns)]
        if len(self.pose_columns) == self.num_pose:
            return some
        return some.new_zeros(*some.shape[:-1], self.num_pose).index_copy_(-1, self.pose_columns, some)

    @property
    def betas(self) -> Tensor:
        """(N, K, 3, B) by the shape."""
        return self.columns[..., len(self.pose_columns) :]


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
        moment = points.moment + points.moment_betas @ self.state.betas  # (K, J, 3)
        turns = self.rotation.transpose(1, 2).flatten(2)  # (N, 3, J*3)
        return (turns @ moment.flatten(1).T).transpose(1, 2) + points.weight @ self.xyz_joint

    def jacobian(self, points: KeypointModel) -> PointJacobian:
        """How points of the body move with the unknowns."""
        joints = torch.nonzero(self._moved_by(points).any(0))[:, 0]
        active = [self.layout.active[joint] for joint in joints]
        lever = self._levers(points, joints)
        num, keypoints = lever.shape[:2]
        size = 3 + 3 * len(joints)
        columns = lever.new_empty(num, keypoints, 3, size + self.layout.num_betas)
        # the weights of skin that is stored in single precision add up to 1 within 1e-7
        columns[..., :3] = points.weight.sum(-1)[:, None, None] * torch.eye(3, dtype=lever.dtype)
        # all joints in a row, so that the cross products of columns and levers are long loops
        axes = self.rotation[:, active].permute(0, 2, 3, 1)[:, None].contiguous()  # (N, 1, 3, 3, A)
        turned = axes[:, :, [1, 2, 0]] * lever[:, :, [2, 0, 1], None]
        turned.addcmul_(axes[:, :, [2, 0, 1]], lever[:, :, [1, 2, 0], None], value=-1)
        columns[..., 3:size].unflatten(-1, (-1, 3)).copy_(turned.transpose(3, 4))
        if self.layout.num_betas:
            columns[..., size:] = self._by_betas(points)
        turns = (points.offset_share @ self.rotation.flatten(2)).unflatten(-1, (3, 3))
        pose_columns = torch.cat([torch.arange(3), (3 + 3 * joints[:, None] + torch.arange(3)).flatten()])
        return PointJacobian(columns, pose_columns, self.layout.num_pose, turns)

    def branches(self, points: KeypointModel) -> list[list[int]]:
        """Rows of points that hang on the same child of the root, and of those on several.

        A joint moves points of few sets.
        """
        sets: dict[int, list[int]] = {}
        branch = [self._branch(joint) for joint in self.layout.active]
        for row, moves in enumerate(self._moved_by(points).tolist()):
            on = {top for top, moved in zip(branch, moves, strict=True) if moved} - {0}
            sets.setdefault(on.pop() if len(on) == 1 else 0, []).append(row)
        return list(sets.values())

    def _branch(self, joint: int) -> int:
        while self.body.parents[joint] > 0:
            joint = self.body.parents[joint]
        return joint

    def _moved_by(self, points: KeypointModel) -> Tensor:
        """(K, A) which of the active joints move which points."""
        parts = (points.weight != 0) | (points.moment != 0).any(-1) | (points.offset_share != 0)
        return parts.double() @ self._below.T > 0

    def _levers(self, points: KeypointModel, joints: Tensor) -> Tensor:
        """(N, K, 3, A) metres from each of some active joints to what of a point it carries, weighted."""
        moment = (points.moment_betas @ self.state.betas + points.moment).permute(0, 2, 1)  # (K, 3, J)
        turns = self.rotation.permute(0, 2, 3, 1)[:, None].contiguous()  # (N, 1, 3, 3, J)
        place = self.xyz_joint.transpose(1, 2)[:, None].contiguous()  # (N, 1, 3, J)
        parts = points.weight[:, None] * place
        for axis in range(3):
            parts.addcmul_(turns[:, :, :, axis], moment[:, axis, None])
        below = self._below[joints]
        active = [self.layout.active[joint] for joint in joints]
        weight = points.weight @ below.T
        return (parts @ below.T).addcmul_(weight[:, None], place[..., active], value=-1)

    @cached_property
    def _below(self) -> Tensor:
        """(A, J) 1 where joint j hangs on active joint i, or is it."""
        num_joints = len(self.body.parents)
        reach = torch.eye(num_joints, dtype=torch.float64)
        for joint, parent in enumerate(self.body.parents):
            if parent >= 0:
                reach[:, joint] += reach[:, parent]
        return reach[list(self.layout.active)]

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
    body: Body, layout: Layout, state: State, *, first: int = 0, stop: int | None = None, at_once: int = 256
) -> Iterator[Posed]:
    """Frames ``first`` to ``stop`` of a state, ``at_once`` together, which bounds the memory of Jacobians."""
    stop = state.num_frames if stop is None else stop
    for start in range(first, stop, at_once):
        end = min(start + at_once, stop)
        yield Posed(body, layout, state.frames(slice(start, end + LOOK_AHEAD)), start, end - start)
