"""The points of a body's feet that stand on the floor, and when they do."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_opening, gaussian_filter1d, label
from torch import Tensor

from rigs.body import Body
from rigs.keypoint_model import KeypointModel

SOLE_NAMES = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("heel", "inner", "outer"))
"""Points of ``sole_model``: under the heel, and under the big and the little toe's ball, of each foot."""
CONTACT_NAMES = ("left_heel", "left_foot", "right_heel", "right_foot")
"""What a motion tells the contacts of; the foot is whatever of its ball stands."""

_SOLE_M = 0.012
"""Vertices this close to a foot's lowest point belong to its sole."""
_LOW_M = 0.06
"""A sole higher than this is in the air; keypoints of feet err by 20-30 mm, and there are low steps."""
_FLAT_M = 0.03
"""A sole that stands within this of the floor stands on it, shoes and errors allowed for."""
_SLOW_M_S = 0.35
"""A sole faster than this does not stand; noise of keypoints looks like 0.1-0.2 m/s."""
_BRIEF_S = 0.08
"""Shorter stands and shorter lifts are noise."""


def sole_model(body: Body) -> KeypointModel | None:
    """Where the soles touch the floor: ``SOLE_NAMES`` as points of the body.

    Each is the mean of a patch of vertices of the template: the rear of the sole, and the inner and outer
    side of its ball, so that a foot that stands cannot roll.

    Returns:
        None for a body without the joints of a foot, or without vertices on them.
    """
    rows = []
    for side in ("left", "right"):
        if f"{side}_ankle" not in body.joint_names or f"{side}_foot" not in body.joint_names:
            return None
        joints = [body.joint_names.index(f"{side}_{joint}") for joint in ("ankle", "foot")]
        foot = torch.nonzero(body.weights[:, joints].sum(-1) > 0.6)[:, 0]
        if len(foot) < 4:
            return None
        place = body.v_template[foot]
        low = place[:, 1] < place[:, 1].min() + _SOLE_M
        back, front = place[:, 2].min(), place[:, 2].max()
        along = (place[:, 2] - back) / (front - back)
        ball = low & (along > 0.55) & (along < 0.85)
        middle = place[ball, 0].mean().abs() if bool(ball.any()) else place[:, 0].abs().mean()
        outer = place[:, 0].abs() > middle
        for patch in (low & (along < 0.25), ball & ~outer, ball & outer):
            chosen = foot[patch] if bool(patch.any()) else foot[low]
            rows.append(torch.bincount(chosen, minlength=len(body.weights)).double() / len(chosen))
    return _collapsed(body, torch.stack(rows))


def _collapsed(body: Body, mix: Tensor) -> KeypointModel:
    """Points that are (n, V) mixes of vertices, without the mesh."""
    share = mix[:, :, None] * body.weights  # (n, V, J)
    weight = share.sum(1)
    moment = torch.einsum("kvj,va->kja", share, body.v_template) - weight[..., None] * body.joint_template
    moved = torch.einsum("kvj,vab->kjab", share, body.shapedirs)
    moved = moved - weight[..., None, None] * body.joint_shapedirs
    return KeypointModel(
        SOLE_NAMES, moment, moved, weight, weight, torch.zeros(len(mix), dtype=torch.float64)
    )


def find_contacts(xyz_world: NDArray[np.float64], time_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """When points of the soles stand on the floor: low and slow for more than a moment.

    Args:
        xyz_world: (T, n, 3) metres, floor at z = 0.
        time_s: (T,) seconds.

    Returns:
        (T, n) bool.
    """
    if len(xyz_world) < 2:
        return xyz_world[..., 2] < _LOW_M
    step_s = float(np.median(np.diff(time_s)))
    smooth = gaussian_filter1d(xyz_world, 0.05 / step_s, axis=0, mode="nearest")
    speed = np.linalg.norm(np.gradient(smooth, time_s, axis=0), axis=-1)
    stands = (smooth[..., 2] < _LOW_M) & (speed < _SLOW_M_S)
    brief = np.ones((max(1, round(_BRIEF_S / step_s)), 1), bool)
    if len(brief) < len(stands):
        stands = binary_closing(stands, brief, border_value=0) | stands
        stands = binary_opening(np.pad(stands, ((len(brief), len(brief)), (0, 0)), mode="edge"), brief)
        stands = stands[len(brief) : -len(brief)]
    return stands


def find_support(xyz_world: NDArray[np.float64], time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """What points of the soles stand on: the floor, or a low step or beam where they stand clearly above it.

    Args:
        xyz_world: (T, n, 3) metres, floor at z = 0.
        time_s: (T,) seconds.

    Returns:
        (T, n) metres, one height for each stand; NaN where a point does not stand.
    """
    stands = find_contacts(xyz_world, time_s)
    support = np.full(stands.shape, np.nan)
    for point in range(stands.shape[1]):
        runs, count = label(stands[:, point])
        for run in range(1, count + 1):
            frames = runs == run
            height = float(np.median(xyz_world[frames, point, 2]))
            support[frames, point] = 0.0 if abs(height) <= _FLAT_M else max(height, 0.0)
    return support


def contacts_of(stands: Tensor) -> Tensor:
    """(T, 4) bool for ``CONTACT_NAMES`` from (T, 6) for ``SOLE_NAMES``."""
    left_heel, left_inner, left_outer, right_heel, right_inner, right_outer = stands.unbind(-1)
    return torch.stack([left_heel, left_inner | left_outer, right_heel, right_inner | right_outer], -1)
