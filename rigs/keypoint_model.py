"""Keypoints of a body without its mesh: what a solver needs to pose them and to differentiate them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class KeypointModel:
    """K keypoints of a body, collapsed over the vertices they are made of; exact for linear blend skinning.

    With joints turned by R_j and placed at t_j, keypoint k lies at

        p_k = sum_j R_j (moment_kj + moment_betas_kj betas) + weight_kj t_j.
    """

    names: tuple[str, ...]
    """K names, as asked for."""
    moment: Tensor
    """(K, J, 3) metres, rest axes: weighted rest places relative to each joint, for betas 0."""
    moment_betas: Tensor
    """(K, J, 3, B) metres a unit: how the moments change with the shape."""
    weight: Tensor
    """(K, J) how much each joint's place counts; rows sum to 1, not negative."""
    offset_share: Tensor
    """(K, J) how much each joint's turn carries a further offset of the keypoint; rows sum to 1."""
    sigma_m: Tensor
    """(K,) metres, how far the true point may lie from here, constant over a take (standard deviation)."""

    def pose(self, rotation: Tensor, xyz_joint: Tensor, betas: Tensor) -> Tensor:
        """Places of the keypoints on a posed body.

        Args:
            rotation: (..., J, 3, 3) world from joint.
            xyz_joint: (..., J, 3) metres, world.
            betas: (B,) shape, or (..., B) one for each pose; fewer than the body's leave the rest at zero.

        Returns:
            (..., K, 3) metres, world.
        """
        moment = (
            self.moment
            + (self.moment_betas[..., : betas.shape[-1]] @ betas[..., None, None, :, None])[..., 0]
        )
        turned = torch.einsum("...jab,...kjb->...ka", rotation, moment)
        return turned + self.weight @ xyz_joint

    def with_offsets(self, offset_m: Tensor) -> KeypointModel:
        """The same keypoints moved by (K, 3) metres, rest axes, each carried by its own joints' turn."""
        return replace(self, moment=self.moment + self.offset_share[..., None] * offset_m[:, None, :])

    def select(self, names: Sequence[str]) -> KeypointModel:
        """Some of these keypoints, in the order given."""
        rows = [self.names.index(name) for name in names]
        parts = {key: getattr(self, key)[rows] for key in ("moment", "moment_betas", "weight")}
        return KeypointModel(
            tuple(names), offset_share=self.offset_share[rows], sigma_m=self.sigma_m[rows], **parts
        )
