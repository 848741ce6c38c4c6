"""The unknowns of a fit: what a solver may change, and where each unknown stands in its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import roma
import torch
from torch import Tensor


@dataclass(frozen=True)
class State:
    """One guess at a person's motion and shape."""

    quat_xyzw: Tensor
    """(T, J, 4) unit quaternions, each joint's turn in its parent's frame; the root's in the world."""
    trans: Tensor
    """(T, 3) metres, world, added to the posed body."""
    betas: Tensor
    """(B,) shape coefficients."""
    offsets: Tensor
    """(K, 3) metres, rest axes: how far each keypoint lies from its place on the body, the whole take."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.trans)

    def frames(self, which: slice | Tensor) -> State:
        """The same shape and offsets with some of the frames."""
        return replace(self, quat_xyzw=self.quat_xyzw[which], trans=self.trans[which])


@dataclass(frozen=True)
class Layout:
    """Which unknown stands in which column.

    A frame has ``num_pose`` columns: the translation, then three for each active joint, the increment ``d``
    of ``rotation exp(d)``. The border, shared by all frames, has the betas, then three for each offset; where
    these are known, it has neither.
    """

    active: tuple[int, ...]
    """Indices of the A joints that the solve may turn; the others keep their turn."""
    num_joints: int
    """J."""
    num_betas: int
    """B, or 0 where the shape is not solved for."""
    num_keypoints: int
    """K, or 0 where the offsets are not solved for."""

    @property
    def num_pose(self) -> int:
        """D, unknowns of one frame."""
        return 3 + 3 * len(self.active)

    @property
    def num_border(self) -> int:
        """Q, unknowns that all frames share."""
        return self.num_betas + 3 * self.num_keypoints

    def border(self, state: State) -> Tensor:
        """(Q,) the border's values in a state."""
        return torch.cat([state.betas[: self.num_betas], state.offsets.flatten()[: 3 * self.num_keypoints]])

    def joint_columns(self, joints: Sequence[int]) -> Tensor:
        """(n, 3) pose columns of active joints."""
        first = torch.tensor([3 + 3 * self.active.index(joint) for joint in joints], dtype=torch.long)
        return first[:, None] + torch.arange(3)

    def retract(self, state: State, pose_step: Tensor, border_step: Tensor) -> State:
        """Move a state along the unknowns.

        Args:
            state: T frames.
            pose_step: (T, D) metres and radians.
            border_step: (Q,) coefficients and metres.
        """
        steps = pose_step[:, 3:].reshape(len(pose_step), len(self.active), 3)
        active = list(self.active)
        turned = roma.quat_product(state.quat_xyzw[:, active], roma.rotvec_to_unitquat(steps))
        quat = state.quat_xyzw.clone()
        quat[:, active] = roma.quat_normalize(turned)
        betas, offsets = state.betas, state.offsets
        if self.num_betas:
            betas = betas + border_step[: self.num_betas]
        if self.num_keypoints:
            offsets = offsets + border_step[self.num_betas :].reshape(-1, 3)
        return State(quat, state.trans + pose_step[:, :3], betas, offsets)


def between(state: State, time_s: Tensor, wanted_s: Tensor) -> State:
    """A motion at other times: places on straight lines, turns on great circles.

    Args:
        state: N frames.
        time_s: (N,) their times, increasing.
        wanted_s: (T,) times within.
    """
    later = torch.searchsorted(time_s, wanted_s).clamp(1 if len(time_s) > 1 else 0, len(time_s) - 1)
    earlier = (later - 1).clamp(min=0)
    length = torch.clamp(time_s[later] - time_s[earlier], min=1e-9)
    share = ((wanted_s - time_s[earlier]) / length)[:, None]
    first = state.quat_xyzw[earlier]
    turn = roma.quat_product(roma.quat_conjugation(first), state.quat_xyzw[later])
    part = roma.rotvec_to_unitquat(roma.unitquat_to_rotvec(turn) * share[..., None])
    trans = state.trans[earlier] * (1 - share) + state.trans[later] * share
    return replace(state, quat_xyzw=roma.quat_normalize(roma.quat_product(first, part)), trans=trans)
