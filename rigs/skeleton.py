"""Skeletons: joints in a tree, with the places they have at rest.

Rig axes: Y up, facing +Z, X to the person's left, metres. At rest the local frames of all joints are parallel
to these axes, so a joint's rotation is relative to its parent and needs no rest orientation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

SMPL_JOINT_NAMES: Final[tuple[str, ...]] = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
"""The 24 joints of SMPL in its order; the first 22 are also those of SMPL-H and SMPL-X."""

SMPL_PARENTS: Final[tuple[int, ...]] = (
    *(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8),
    *(9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21),
)
"""Index of each SMPL joint's parent, -1 for the root."""


@dataclass(frozen=True)
class Skeleton:
    """A tree of J joints with their places at rest."""

    joint_names: tuple[str, ...]
    """Unique names, parents before their children."""
    parents: tuple[int, ...]
    """Index of each joint's parent, -1 for a root."""
    rest_xyz: Tensor
    """(J, 3) metres, rig axes: where the joints are at rest."""
    tips: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """(3,) metres, rig axes, for some joints without children: where their bone ends at rest."""

    def __post_init__(self) -> None:
        num_joints = len(self.joint_names)
        if len(set(self.joint_names)) != num_joints:
            raise ValueError(f"joint names are not unique: {self.joint_names}")
        if self.rest_xyz.shape != (num_joints, 3):
            raise ValueError(f"rest_xyz must be {(num_joints, 3)}, not {tuple(self.rest_xyz.shape)}")
        check_parents(self.parents, num_joints)
        unknown = sorted(set(self.tips) - set(self.joint_names))
        if unknown:
            raise ValueError(f"tips name {unknown}; this skeleton has {self.joint_names}")

    @property
    def offsets(self) -> Tensor:
        """(J, 3) metres: each joint from its parent at rest; a root's own rest place."""
        return offsets_from_rest(self.rest_xyz, self.parents)

    @property
    def bone_lengths(self) -> Tensor:
        """(J,) metres from each joint to its parent, 0 for a root."""
        is_root = torch.tensor([parent < 0 for parent in self.parents], device=self.rest_xyz.device)
        return torch.linalg.norm(self.offsets, dim=-1).masked_fill(is_root, 0.0)

    def index(self, joint: str) -> int:
        """Place of a joint in the order; ``ValueError`` lists the names there are."""
        if joint not in self.joint_names:
            raise ValueError(f"no joint {joint!r}; this skeleton has {', '.join(self.joint_names)}")
        return self.joint_names.index(joint)

    def children(self, joint: str) -> tuple[str, ...]:
        """Names of the joints that hang on this one."""
        index = self.index(joint)
        return tuple(
            name for name, parent in zip(self.joint_names, self.parents, strict=True) if parent == index
        )


def offsets_from_rest(rest_xyz: Tensor, parents: Sequence[int]) -> Tensor:
    """Offset of each joint from its parent; a root keeps its own place.

    Args:
        rest_xyz: (..., J, 3) joints at rest.
        parents: J indices, -1 for a root.

    Returns:
        (..., J, 3) in the same unit and axes.
    """
    index = torch.tensor([max(parent, 0) for parent in parents], device=rest_xyz.device)
    has_parent = torch.tensor([parent >= 0 for parent in parents], device=rest_xyz.device)
    return rest_xyz - rest_xyz[..., index, :] * has_parent[:, None].to(rest_xyz.dtype)


def check_parents(parents: Sequence[int], num_joints: int) -> None:
    """Raise ``ValueError`` unless there is one parent for each joint and parents come before children."""
    if len(parents) != num_joints:
        raise ValueError(f"{len(parents)} parents for {num_joints} joints")
    late = [joint for joint, parent in enumerate(parents) if parent >= joint or parent < -1]
    if late:
        raise ValueError(f"parents must come before their children; joints {late} have {list(parents)}")
