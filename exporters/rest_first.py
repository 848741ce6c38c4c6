"""The rest pose before a motion, for programs that look for it there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from exporters.animation import Animation


def with_rest_first(animation: Animation) -> Animation:
    """One frame more: the character at rest, upright on the floor below where the motion begins."""
    rotation = np.broadcast_to(np.eye(3), (1, *animation.rotation.shape[1:]))
    first = animation.root_xyz[0]
    up = animation.axes.basis[:, 1]
    root = first + up * (up @ (animation.offsets[0] - first))
    std, nothing = animation.joint_std, np.full((1, animation.rotation.shape[1]), np.nan)
    return replace(
        animation,
        rotation=np.concatenate([rotation, animation.rotation]),
        root_xyz=np.concatenate([root[None], animation.root_xyz]),
        moving={
            joint: np.concatenate([animation.offsets[None, joint], xyz])
            for joint, xyz in animation.moving.items()
        },
        joint_std=None if std is None else np.concatenate([nothing, std]),
        contacts=np.concatenate([np.zeros((1, animation.contacts.shape[1])), animation.contacts]),
    )
