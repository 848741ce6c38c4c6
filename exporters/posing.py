"""Where the joints and the bones' ends of a character are when its scene's nodes are turned."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from exporters.animation import Animation
from exporters.axes import RIG, FloatArray


def bone_ends(animation: Animation) -> dict[int, FloatArray]:
    """(3,) end of each last bone in its joint's own frame, in the file's unit."""
    hierarchy = animation.hierarchy
    own = animation.bind_matrices[:, :3, :3]
    return {
        joint: animation.axes.points(tip - hierarchy.rest_xyz[joint], RIG) @ own[joint]
        for joint, tip in hierarchy.tips.items()
    }


def world_turns(animation: Animation, rotation: FloatArray) -> FloatArray:
    """(T, N, 3, 3) axes of nodes in the file's world whose turns in their parents' axes are ``rotation``."""
    turn = np.empty_like(rotation)
    for joint, parent in enumerate(animation.hierarchy.parents):
        turn[:, joint] = rotation[:, joint] if parent < 0 else turn[:, parent] @ rotation[:, joint]
    return turn


def posed(animation: Animation, rotation: FloatArray, travel: Mapping[int, FloatArray]) -> FloatArray:
    """(T, N + ends, 3) joints, then bones' ends, of nodes that turn and travel so."""
    offsets = animation.node_offsets
    turn = world_turns(animation, rotation)
    xyz = np.empty(rotation.shape[:-1])
    for joint, parent in enumerate(animation.hierarchy.parents):
        if parent < 0:
            xyz[:, joint] = travel[joint]
        else:
            local = travel.get(joint, offsets[joint])
            xyz[:, joint] = xyz[:, parent] + (turn[:, parent] @ local[..., None])[..., 0]
    ends = [xyz[:, joint] + turn[:, joint] @ end for joint, end in bone_ends(animation).items()]
    return np.concatenate([xyz, np.stack(ends, axis=1)], axis=1)


def carriers(animation: Animation) -> NDArray[np.bool_]:
    """(N + ends, N) whether a turn of the second joint moves the first, or the bone's end."""
    parents = animation.hierarchy.parents
    above = np.zeros((len(parents), len(parents)), dtype=bool)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            above[joint] = above[parent]
            above[joint, parent] = True
    ends = [above[joint] | (np.arange(len(parents)) == joint) for joint in bone_ends(animation)]
    return np.concatenate([above, np.array(ends)])
