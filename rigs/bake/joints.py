"""The 24 joints of SMPL on the coarse mesh: skin weights, and rings of vertices whose mean is the joint.

Anny's own bone heads at knee, hip and spine slide along the skin as stature changes. Detectors see skin, so a
joint is tied to it: an even, convex mix of a ring of vertices around the joint, exact on the mean body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from rigs.bake.mesh import surface_mix
from rigs.keypoints import mirrored_name
from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_BONES: Final[dict[str, tuple[str, ...]]] = {
    "pelvis": ("root", "pelvis.L", "pelvis.R", "spine05"),
    "spine1": ("spine04", "spine03"),
    "spine2": ("spine02",),
    "spine3": ("spine01",),
    "neck": ("neck01", "neck02", "neck03"),
    "head": ("head", "eye.L", "eye.R"),
    "left_hip": ("upperleg01.L", "upperleg02.L"),
    "left_knee": ("lowerleg01.L", "lowerleg02.L"),
    "left_ankle": ("foot.L",),
    "left_foot": ("toe",),
    "left_collar": ("clavicle.L", "shoulder01.L"),
    "left_shoulder": ("upperarm01.L", "upperarm02.L"),
    "left_elbow": ("lowerarm01.L", "lowerarm02.L"),
    "left_wrist": ("wrist.L", "metacarpal", "finger1"),
    "left_hand": ("finger2", "finger3", "finger4", "finger5"),
}
"""The bones of Anny, or the beginnings of their names, whose skin goes with each joint."""

_ACROSS: Final[dict[str, int]] = {
    **dict.fromkeys(("left_shoulder", "left_elbow", "left_wrist", "left_hand"), 0),
    "left_foot": 2,
}
"""The axis that a joint's ring is square to, where that is not y."""

_RING_SIZE = 40
_RINGS: Final = ((0.08, 0.010), (0.08, 0.020), (0.11, 0.020), (0.14, 0.025), (0.17, 0.030), (0.20, 0.040))
"""Radius and half height in metres that are tried until a ring has the joint inside it."""
_EXACT_M = 1e-4


def merged_weights(bone_weights: FloatArray, bone_names: Sequence[str]) -> FloatArray:
    """(V, 24) skin weights of SMPL's joints from (V, 104) of Anny's bones."""
    merged = np.zeros((len(bone_weights), len(SMPL_JOINT_NAMES)))
    for column, bone in enumerate(bone_names):
        merged[:, SMPL_JOINT_NAMES.index(_joint_of(bone))] += bone_weights[:, column]
    return merged / merged.sum(1, keepdims=True)


def _joint_of(bone: str) -> str:
    """The joint that takes a bone's skin."""
    if bone.endswith(".R") and not bone.startswith(("pelvis", "eye")):
        return mirrored_name(_joint_of(bone.removesuffix(".R") + ".L"))
    for joint, bones in _BONES.items():
        if any(
            bone == name or ("." not in name and bone.endswith(".L") and bone.startswith(name))
            for name in bones
        ):
            return joint
    raise ValueError(f"bone {bone} belongs to no joint")


def ring_joints(vertices: FloatArray, faces: IntArray, joints: FloatArray, weights: FloatArray) -> FloatArray:
    """The matrix that takes vertices to joints.

    Args:
        vertices: (V, 3) the mean body in the zero pose, metres.
        faces: (F, 3).
        joints: (24, 3) where the joints should be on it.
        weights: (V, 24) skin weights.

    Returns:
        (24, V), rows sum to 1, none negative; left and right are mirror images on the surface.
    """
    mirror = surface_mix(vertices, faces, vertices * [-1, 1, 1])  # (V, V): each vertex's mirror image
    regressor = np.zeros((len(joints), len(vertices)))
    for joint, name in enumerate(SMPL_JOINT_NAMES):
        if name.startswith("right_"):
            continue
        row = _ring(vertices, joints[joint], _near(joint, weights), _ACROSS.get(name, 1))
        if name.startswith("left_"):
            regressor[SMPL_JOINT_NAMES.index(mirrored_name(name))] = row @ mirror
            regressor[joint] = row
        else:
            regressor[joint] = (row + row @ mirror) / 2
    return regressor


def _near(joint: int, weights: FloatArray) -> NDArray[np.bool_]:
    """(V,) vertices that mostly go with a joint, its parent or its children."""
    family = [joint, *(child for child, parent in enumerate(SMPL_PARENTS) if parent == joint)]
    if SMPL_PARENTS[joint] >= 0:
        family.append(SMPL_PARENTS[joint])
    return weights[:, family].sum(1) > 0.5


def _ring(vertices: FloatArray, joint: FloatArray, near: NDArray[np.bool_], axis: int) -> FloatArray:
    """(V,) convex weights, as even as can be, of a ring around a joint whose mean is the joint."""
    offset = vertices - joint
    distance = np.linalg.norm(offset, axis=1)
    for radius, half_height in _RINGS:
        ring = np.flatnonzero(near & (distance < radius) & (np.abs(offset[:, axis]) < half_height))
        if len(ring) < 8:
            continue
        ring = ring[_spread(vertices[ring], _RING_SIZE)]
        mix, error_m = even_mix(offset[ring])
        if error_m < _EXACT_M:
            return np.bincount(ring, weights=mix, minlength=len(vertices)).astype(np.float64)
    raise ValueError(f"no ring of vertices has the joint at {joint} inside it")


def even_mix(offset: FloatArray) -> tuple[FloatArray, float]:
    """Convex weights of points (N, 3), as even as can be, whose mean is the origin; and how far it is off."""
    count = len(offset)
    firm = 1e4  # against the wish for even weights: the mean is exact to micrometres where it can be
    system = np.concatenate([np.eye(count), firm * offset.T, np.full((1, count), firm)])
    target = np.concatenate([np.full(count, 1 / count), np.zeros(3), [firm]])
    mix = nnls(system, target)[0]
    mix /= mix.sum()
    return mix, float(np.linalg.norm(mix @ offset))


def _spread(points: FloatArray, count: int) -> IntArray:
    """Indices of at most ``count`` points that cover the set: each is the farthest from those before."""
    chosen = [0]
    gap = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def mixed_from(
    candidates: Any, vertices: FloatArray, target: FloatArray, *, floor: float = 1e-3
) -> tuple[IntArray, FloatArray]:
    """A point that follows the bodies' shapes, as a convex mix of candidate vertices over many bodies.

    Args:
        candidates: (m,) vertex indices.
        vertices: (n, V, 3) bodies, metres.
        target: (n, 3) the point on each.
        floor: mixes below this are dropped.

    Returns:
        vertices (k,) and their weights (k,), which sum to 1.
    """
    firm = 1e2 * np.sqrt(len(vertices))
    offset = vertices[:, candidates] - target[:, None]  # (n, m, 3)
    columns = offset.transpose(0, 2, 1).reshape(-1, len(candidates))
    system = np.concatenate([columns, np.full((1, len(candidates)), firm)])
    mix = nnls(system, np.append(np.zeros(len(columns)), firm))[0]
    used = mix > floor * mix.sum()
    return np.asarray(candidates)[used], mix[used] / mix[used].sum()
