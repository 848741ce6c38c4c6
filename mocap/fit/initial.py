"""A first guess in closed form: trunk by rigid alignment, limbs by their two bones, shape from bone lengths.

Nothing here assumes which way is up, so a person who lies or stands on the hands starts as well as one who
stands. What is missing is interpolated in time, for this guess only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter
from torch import Tensor

from mocap.fit.state import State
from rigs.body import Body
from rigs.keypoint_model import KeypointModel

_TRUNK = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")

_BONES = (
    *(("left_hip", "left_knee"), ("right_hip", "right_knee"), ("left_knee", "left_ankle")),
    *(("right_knee", "right_ankle"), ("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow")),
    *(("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"), ("left_shoulder", "right_shoulder")),
    *(("left_hip", "right_hip"), ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip")),
)
_BONE_SD_M = 0.015
"""How well the distance of two keypoints gives that of their places on the body."""
_STEADY_S = 0.1
"""The plane in which a limb bends is averaged over this long: it is ill-defined in single frames."""


@dataclass(frozen=True)
class _Limb:
    """Two bones with a hinge between them."""

    joints: tuple[str, str]
    """Upper joint and hinge."""
    points: tuple[str, str, str]
    """Keypoints at the upper joint, the hinge and the end."""
    hinge: tuple[float, float, float]
    """Axis at rest about which the hinge bends: along (upper bone) x (lower bone) when bent."""


_LIMBS = tuple(
    _Limb(
        (f"{side}_{upper}", f"{side}_{hinge}"), (f"{side}_{upper}", f"{side}_{hinge}", f"{side}_{end}"), axis
    )
    for upper, hinge, end, axes in (
        ("hip", "knee", "ankle", {"left": (1.0, 0.0, 0.0), "right": (1.0, 0.0, 0.0)}),
        ("shoulder", "elbow", "wrist", {"left": (0.0, -1.0, 0.0), "right": (0.0, 1.0, 0.0)}),
    )
    for side, axis in axes.items()
)


def first_guess(body: Body, points: KeypointModel, xyz_world: Tensor, step_s: float) -> State:
    """Pose, place and shape that roughly explain the keypoints.

    Args:
        body: the body.
        points: K keypoints on it, with our names.
        xyz_world: (T, K, 3) metres, NaN where unknown.
        step_s: seconds between frames.

    Returns:
        A state with zero offsets.
    """
    filled = torch.from_numpy(_bridged(xyz_world.numpy()))
    betas = _shape_from_bones(body, points, xyz_world)
    rest = _rest_places(body, points, betas)
    place = {
        name: filled[:, index]
        for index, name in enumerate(points.names)
        if bool(filled[:, index].isfinite().all())
    }
    root, trans = _trunk(body, points.names, rest, place, betas)
    num, joints = len(filled), len(body.joint_names)
    local = torch.eye(3, dtype=torch.float64).expand(num, joints, 3, 3).clone()
    local[:, 0] = root
    rest_joints = body.joints_rest(betas)
    for limb in _LIMBS:
        if set(limb.points[:2]) <= set(place) and set(limb.joints) <= set(body.joint_names):
            upper, lower = (body.joint_names.index(joint) for joint in limb.joints)
            bones = _rest_bones(body, rest_joints, upper, lower)
            local[:, upper], local[:, lower] = _two_bones(limb, bones, place, root, step_s)
    quat = roma.rotmat_to_unitquat(local)
    return State(quat, trans, betas, torch.zeros(len(points.names), 3, dtype=torch.float64))


def _bridged(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, K, 3) gaps interpolated in time, single wild frames removed; a keypoint never seen stays NaN."""
    out = xyz.copy()
    frames = np.arange(len(xyz))
    for keypoint in range(xyz.shape[1]):
        seen = np.isfinite(xyz[:, keypoint]).all(-1)
        if not seen.any():
            out[:, keypoint] = np.nan
            continue
        for axis in range(3):
            out[:, keypoint, axis] = np.interp(frames, frames[seen], xyz[seen, keypoint, axis])
    known = np.isfinite(out).all((0, 2))
    out[:, known] = median_filter(out[:, known], size=(5, 1, 1), mode="nearest")
    return out


def _rest_places(body: Body, points: KeypointModel, betas: Tensor) -> Tensor:
    """(K, 3) keypoints at rest, relative to the root joint."""
    joints = body.joints_rest(betas)
    turned = torch.eye(3, dtype=torch.float64).expand(len(joints), 3, 3)
    return points.pose(turned, joints, betas) - joints[0]


def _shape_from_bones(body: Body, points: KeypointModel, xyz_world: Tensor) -> Tensor:
    """(B,) ridge regression of median distances between keypoints, which are nearly linear in the shape."""
    zero = torch.zeros(body.num_betas, dtype=torch.float64)
    at_mean = _rest_places(body, points, zero)
    unit = torch.eye(body.num_betas, dtype=torch.float64)
    change = torch.stack([_rest_places(body, points, row) - at_mean for row in unit], -1)  # (K, 3, B)
    rows, errors = [], []
    for first, second in _BONES:
        if first not in points.names or second not in points.names:
            continue
        a, b = points.names.index(first), points.names.index(second)
        lengths = torch.linalg.norm(xyz_world[:, a] - xyz_world[:, b], dim=-1)
        lengths = lengths[lengths.isfinite()]
        if len(lengths):
            bone = at_mean[a] - at_mean[b]
            length = torch.linalg.norm(bone)
            rows.append((bone / length) @ (change[a] - change[b]))
            errors.append(lengths.median() - length)
    if not rows:
        return zero
    slopes = torch.stack(rows) / _BONE_SD_M
    return torch.linalg.solve(slopes.T @ slopes + unit, slopes.T @ (torch.stack(errors) / _BONE_SD_M))


def _trunk(
    body: Body, names: tuple[str, ...], rest: Tensor, place: dict[str, Tensor], betas: Tensor
) -> tuple[Tensor, Tensor]:
    """Root rotations (T, 3, 3) and translations (T, 3) from hips and shoulders, else from all keypoints."""
    used = [name for name in _TRUNK if name in place]
    if len(used) < 3:
        used = list(place)
    model = rest[[names.index(name) for name in used]]
    seen = torch.stack([place[name] for name in used], 1)
    model_mean, seen_mean = model.mean(0), seen.mean(1)
    root = roma.rigid_vectors_registration((model - model_mean).expand_as(seen), seen - seen_mean[:, None])
    if isinstance(root, tuple):
        root = root[0]
    return root, seen_mean - root @ model_mean - body.joints_rest(betas)[0]


def _rest_bones(body: Body, rest_joints: Tensor, upper: int, lower: int) -> tuple[Tensor, Tensor]:
    """(3,) unit directions of the two bones at rest."""
    end = body.parents.index(lower)
    upper_bone, lower_bone = rest_joints[lower] - rest_joints[upper], rest_joints[end] - rest_joints[lower]
    return upper_bone / torch.linalg.norm(upper_bone), lower_bone / torch.linalg.norm(lower_bone)


def _two_bones(
    limb: _Limb, rest_bones: tuple[Tensor, Tensor], place: dict[str, Tensor], root: Tensor, step_s: float
) -> tuple[Tensor, Tensor]:
    """Local turns (T, 3, 3) of a limb's upper joint and hinge; the trunk is taken to be rigid."""
    start, middle, end = limb.points
    hinge = torch.tensor(limb.hinge, dtype=torch.float64)
    upper = _in_trunk(root, place[middle] - place[start])
    normal = 0.1 * _usual_normal(limb, rest_bones[0], hinge, upper)
    if end in place:
        lower = _in_trunk(root, place[end] - place[middle])
        bend = torch.linalg.cross(upper, lower).numpy()
        steady = gaussian_filter1d(bend, _STEADY_S / step_s, axis=0, mode="nearest")
        normal = normal + torch.from_numpy(steady)
    turn_upper = _frame(upper, normal) @ _frame(rest_bones[0], hinge).mT
    if end not in place:
        return turn_upper, torch.eye(3, dtype=torch.float64).expand_as(turn_upper)
    axis = (turn_upper @ hinge[:, None])[..., 0]
    turn_lower = _frame(lower, axis) @ _frame(rest_bones[1], hinge).mT
    return turn_upper, turn_upper.mT @ turn_lower


def _in_trunk(root: Tensor, direction: Tensor) -> Tensor:
    """(T, 3) unit directions, seen from the trunk."""
    turned = (root.mT @ direction[..., None])[..., 0]
    return turned / torch.clamp(torch.linalg.norm(turned, dim=-1, keepdim=True), min=1e-9)


def _usual_normal(limb: _Limb, rest_bone: Tensor, hinge: Tensor, upper: Tensor) -> Tensor:
    """(T, 3) where the hinge's axis points when the limb is straight and nothing else says it."""
    if limb.joints[0].endswith("hip"):
        return hinge.expand_as(upper)  # knees look forward
    axis = torch.linalg.cross(rest_bone.expand_as(upper), upper)
    sine = torch.linalg.norm(axis, dim=-1, keepdim=True)
    angle = torch.atan2(sine, (upper @ rest_bone)[:, None])
    turn = roma.rotvec_to_rotmat(axis / torch.clamp(sine, min=1e-9) * angle)
    return (turn @ hinge[:, None])[..., 0]


def _frame(bone: Tensor, normal: Tensor) -> Tensor:
    """(..., 3, 3) columns: the bone, the normal made square to it, and their cross product."""
    square = normal - (normal * bone).sum(-1, keepdim=True) * bone
    square = square / torch.clamp(torch.linalg.norm(square, dim=-1, keepdim=True), min=1e-9)
    return torch.stack([bone, square, torch.linalg.cross(bone, square)], -1)
