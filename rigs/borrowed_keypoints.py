"""Keypoints on the surface of bodies that come without: SMPL's files name none.

The shipped body knows where nose, hips and heels are. Its rest mesh is bent onto the other's by a smooth map
through landmarks that both have: joints whose place everybody agrees on (shoulders, elbows, wrists, knees,
ankles, neck, head; not hips, which body models place differently) and the extremes of head, hands, feet and
trunk. Each vertex that a keypoint is made of then stands for the other's vertex nearest to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rigs.body import Body

FloatArray = NDArray[np.float64]

_AGREED: Final = (
    *("neck", "head"),
    *(
        f"{side}_{name}"
        for side in ("left", "right")
        for name in ("shoulder", "elbow", "wrist", "knee", "ankle")
    ),
)
_HAND: Final = ("wrist", "hand", "middle1", "index1")
_TRUNK: Final = ("pelvis", "left_hip", "right_hip", "spine1", "spine2", "spine3")
_SECTIONS: Final = (0.4, 0.55, 0.7, 0.85)
"""Heights of cuts through the trunk, from the knees (0) to the neck (1): hips, waist, chest."""
_THICK: Final = 0.04
"""Half the height of a cut, in the same unit."""
_LEAST_VERTICES: Final = 500
"""A coarser mesh has no face."""


def with_keypoints(body: Body, shipped: Body) -> Body:
    """The body with the keypoints of the shipped one, where it is a person with SMPL's joints."""
    needed = {*_AGREED, *_TRUNK, "left_foot", "right_foot"}
    if len(body.v_template) < _LEAST_VERTICES or not needed <= set(body.joint_names):
        return body
    theirs, ours = _landmarks(body), _landmarks(shipped)
    if theirs is None or ours is None:
        return body
    used = np.flatnonzero(shipped.keypoint_regressor.numpy().any(0))
    place = _bent(shipped.v_template.numpy()[used], ours, theirs)
    from scipy.spatial import KDTree

    vertex = KDTree(body.v_template.numpy()).query(place)[1]
    regressor = np.zeros((len(shipped.keypoint_names), len(body.v_template)))
    np.add.at(regressor.T, vertex, shipped.keypoint_regressor.numpy()[:, used].T)
    return replace(
        body, keypoint_names=shipped.keypoint_names, keypoint_regressor=torch.from_numpy(regressor)
    )


def _bent(points: FloatArray, source: FloatArray, target: FloatArray) -> FloatArray:
    """Points moved by the smoothest map that takes the source landmarks to the target's."""
    from scipy.interpolate import RBFInterpolator

    return RBFInterpolator(source, target, kernel="thin_plate_spline", smoothing=1e-6)(points)


def _landmarks(body: Body) -> FloatArray | None:
    """(n, 3) metres at rest: joints and extremes; None for a mesh that is no standing person."""
    joints = dict(zip(body.joint_names, body.joint_template.numpy(), strict=True))
    low = (joints["left_knee"][1] + joints["right_knee"][1]) / 2
    tall = joints["neck"][1] - low
    trunk, head = _carried(body, *_TRUNK), _carried(body, "head")
    heights = low + tall * np.array(_SECTIONS)
    cuts = [trunk[np.abs(trunk[:, 1] - height) < _THICK * tall] for height in heights]
    sides = (("left", 1), ("right", -1))
    hands = [_carried(body, *(f"{side}_{name}" for name in _HAND)) for side, _ in sides]
    feet = [_carried(body, f"{side}_ankle", f"{side}_foot") for side, _ in sides]
    if any(len(part) < 4 for part in (head, *cuts, *hands, *feet)):
        return None
    found = [joints[name] for name in _AGREED]
    found += [_end(head, 1, 1), _end(head, 2, 1)]
    for (_, outward), hand, foot in zip(sides, hands, feet, strict=True):
        toe, heel = _end(foot, 2, 1), _end(foot, 2, -1)
        sole = (toe + heel) / 2
        sole[1] = _end(foot, 1, -1)[1]
        found += [_end(hand, 0, outward), toe, heel, sole]
    for height, cut in zip(heights, cuts, strict=True):
        left, right, front, back = (
            float(_end(cut, axis, sign)[axis]) for axis, sign in ((0, 1), (0, -1), (2, 1), (2, -1))
        )
        middle_x, middle_z = (left + right) / 2, (front + back) / 2
        found += [np.array([x, height, middle_z]) for x in (left, right)]
        found += [np.array([middle_x, height, z]) for z in (front, back)]
    return np.stack(found)


def _end(points: FloatArray, axis: int, sign: int) -> FloatArray:
    """(3,) where points end along an axis: the mean of the outermost few, which one vertex cannot spoil."""
    order = np.argsort(-sign * points[:, axis])
    return points[order[: max(1, len(points) // 50)]].mean(0)


def _carried(body: Body, *joints: str) -> FloatArray:
    """(n, 3) vertices that follow these joints more than all others."""
    columns = [body.joint_names.index(name) for name in joints if name in body.joint_names]
    return body.v_template[body.weights[:, columns].sum(-1) > 0.5].numpy()
