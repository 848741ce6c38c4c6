"""Which terms a fit has, and how strong they are: settings and keypoints to a ``Problem``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from calibration.cameras import Cameras
from mocap.errors import InputError
from mocap.fit.floor import Floor
from mocap.fit.joint_terms import LimitTerm, RestTerm, rest_rad, twist_axis
from mocap.fit.keypoint_term import KeypointTerm
from mocap.fit.motion_terms import AccelerationTerm, SpeedTerm, Steps
from mocap.fit.noise import Noise, with_scale
from mocap.fit.problem import BorderPrior, Problem
from mocap.fit.reprojection_term import Pixels, ReprojectionTerm
from mocap.fit.state import Layout
from mocap.fit.terms import Loss
from mocap.settings import FitSettings
from rigs.body import Body
from rigs.keypoint_model import KeypointModel
from rigs.keypoints import KEYPOINT_SETS, canonical_names
from rigs.limits import joint_limits
from rigs.placements import placed

_WALL_SLACK_RAD = math.radians(5.0)
"""People differ: a wall begins this far beyond the published range."""
_WALL_SD_RAD = math.radians(3.0)
_REST_SHARE = 0.05
"""A posture lasts: frames of the same one say but once how far from rest it is. With more, the pull of
thousands of frames bends shape and offsets."""
_SPEED_SD_M_S = 3.0
_SPEED_SD_RAD_S = 10.0
_LEVER_M = 0.03
"""A joint that moves no keypoint by more than this for a turn of one radian is not solved for, as toes and
fingers with one keypoint near them: noise would turn it at will, and stretch the lever to turn it further."""
_LIVELY = {
    "pelvis": (0.3, 0.3, 0.4),
    "hip": (0.7, 0.5, 0.8),
    "knee": (1.1, 0.1, 0.1),
    "ankle": (1.0, 0.6, 0.3),
    "foot": (1.2, 0.4, 0.2),
    "spine1": (0.3, 0.15, 0.3),
    "spine2": (0.15, 0.15, 0.15),
    "spine3": (0.2, 0.15, 0.2),
    "neck": (0.3, 0.25, 0.2),
    "head": (0.2, 0.2, 0.2),
    "collar": (0.15, 0.15, 0.15),
    "shoulder": (0.6, 0.6, 0.6),
    "elbow": (0.1, 0.9, 0.1),
    "wrist": (0.6, 0.6, 0.6),
}
"""Angular acceleration about a joint's axes relative to that of the liveliest: what carries more mass turns
less suddenly, and a hinge about one axis. From recorded walks, runs, jumps and gestures, rounded up."""


@dataclass(frozen=True)
class Observations:
    """One person's keypoints, in the names and order that the body knows."""

    points: KeypointModel
    """K keypoints on the body."""
    xyz_world: Tensor
    """(T, K, 3) metres, NaN where unknown."""
    covariance: Tensor
    """(T, K, 3, 3) metres²."""
    steps: Steps
    """Time between the frames."""
    cameras: Cameras | None = None
    """C cameras, where there are pixels."""
    pixels: Pixels | None = None
    """What these saw of the same keypoints; None for a fit to the 3D points."""

    def frames(self, which: Tensor, steps: Steps) -> Observations:
        """Some of the frames, with the time between those."""
        pixels = None if self.pixels is None else self.pixels.frames(which)
        xyz_world, covariance = self.xyz_world[which], self.covariance[which]
        return replace(self, xyz_world=xyz_world, covariance=covariance, steps=steps, pixels=pixels)


def keypoints_on_body(body: Body, names: Sequence[str]) -> tuple[KeypointModel, list[int]]:
    """Where a detector's keypoints lie on the body; the set is told by its names.

    Args:
        body: the body.
        names: keypoints in any spelling; those that no set has are left out.

    Returns:
        The K keypoints that are known, and their places in ``names``.

    Raises:
        InputError: hardly any name is known.
    """
    canonical = canonical_names(names)
    known = {name: [c in placed(name, body.joint_names) for c in canonical] for name in KEYPOINT_SETS}
    best = max(known, key=lambda name: sum(known[name]))
    which = [index for index, has in enumerate(known[best]) if has]
    if len(which) < 4:
        raise InputError(
            f"keypoints {', '.join(names[:6])} … belong to no known set",
            where="points.npz",
            todo=f"use the names of one of {', '.join(KEYPOINT_SETS)}",
        )
    return body.detector_model([canonical[index] for index in which], best), which


def layout_for(body: Body, points: KeypointModel, soles: KeypointModel | None) -> Layout:
    """The joints that keypoints tell something about, and ankles that soles do; the others stay at rest."""
    joints = body.joint_template
    active = {0}
    for model in (points, soles):
        if model is not None:
            active |= {
                joint
                for joint in _levers(body, model, joints)
                if joint == 0 or model is points or _is_ankle(body, joint)
            }
    return Layout(tuple(sorted(active)), len(body.parents), body.num_betas, len(points.names))


def _is_ankle(body: Body, joint: int) -> bool:
    return body.joint_names[joint].endswith("ankle")


def _levers(body: Body, points: KeypointModel, joints: Tensor) -> set[int]:
    """Joints about which some point has a lever at rest."""
    reach = torch.eye(len(joints), dtype=torch.float64)
    for joint, parent in enumerate(body.parents):
        if parent >= 0:
            reach[:, joint] += reach[:, parent]
    parts = points.moment + points.weight[..., None] * joints
    carried = torch.einsum("ij,kja->kia", reach, parts)
    lever = carried - (points.weight @ reach.T)[..., None] * joints
    longest = torch.linalg.norm(lever, dim=-1).max(0).values
    return {int(joint) for joint in torch.nonzero(longest > _LEVER_M)[:, 0]}


def make_problem(
    body: Body, layout: Layout, seen: Observations, settings: FitSettings,
    *, floor: Floor | None = None, noise: Noise | None = None, offset_scale: Tensor | None = None,
    calm: float = 1.0,
) -> Problem:  # fmt: skip
    """All terms of a fit.

    Args:
        body: the body.
        layout: columns of the unknowns.
        seen: what was observed, T frames.
        settings: strengths.
        floor: what stands on it; none leaves it out.
        noise: what the pixels' errors are like; as told where left out.
        offset_scale: (K,) how far this person's keypoints lie from their places, in what is usual.
        calm: strength of smoothness over what the settings say.
    """
    share = independent_share(seen.steps, settings)
    names = [body.joint_names[joint] for joint in layout.active]
    jointed = [joint for joint in layout.active if body.parents[joint] >= 0]
    turning = [body.joint_names[joint] for joint in jointed]
    lower, upper = joint_limits(turning)
    walls = (lower - _WALL_SLACK_RAD, upper + _WALL_SLACK_RAD)
    axes = [twist_axis(name) for name in turning]
    lively = torch.tensor([_lively(name) for name in names], dtype=torch.float64)
    pelvis = torch.full((1, 3), settings.acceleration_m_s2, dtype=torch.float64)
    speed = torch.tensor([_SPEED_SD_M_S] + [_SPEED_SD_RAD_S] * len(names), dtype=torch.float64)
    terms = [
        _keypoint_term(seen, share, settings, noise),
        RestTerm(layout, jointed, *rest_rad(turning), Loss(share * _REST_SHARE)),
        LimitTerm(layout, jointed, axes, walls, _WALL_SD_RAD, Loss(share)),
        AccelerationTerm(
            layout,
            seen.steps,
            torch.cat([pelvis, lively * settings.acceleration_rad_s2]),
            Loss(calm**2),
        ),
        SpeedTerm(layout, seen.steps, speed, Loss()),
    ]
    if floor is not None:
        terms += floor.terms(seen.steps)
    return Problem(body, layout, tuple(terms), _prior(layout, seen.points, offset_scale))


def _keypoint_term(
    seen: Observations, share: float, settings: FitSettings, noise: Noise | None
) -> KeypointTerm | ReprojectionTerm:
    """The pixels where there are some, else the 3D points."""
    if seen.pixels is None or seen.cameras is None:
        floor = settings.floor_sd_m**2 * torch.eye(3, dtype=torch.float64)
        return KeypointTerm(seen.points, seen.xyz_world, seen.covariance + floor, Loss(share, settings.tail))
    noise = noise or Noise.as_told(seen.pixels)
    pixels = with_scale(seen.pixels, noise)
    return ReprojectionTerm(seen.points, seen.cameras, pixels, tail=settings.tail, bias_px=noise.bias_px)


def independent_share(steps: Steps, settings: FitSettings) -> float:
    """What one frame's observation is worth: errors last for ``correlation_s``, and frames repeat them."""
    if not len(steps.seconds) or settings.correlation_s <= 0:
        return 1.0
    return min(1.0, float(steps.seconds.median()) / settings.correlation_s)


def _lively(joint: str) -> tuple[float, float, float]:
    return _LIVELY.get(joint.removeprefix("left_").removeprefix("right_"), (1.0, 1.0, 1.0))


def _prior(layout: Layout, points: KeypointModel, offset_scale: Tensor | None) -> BorderPrior:
    """Shapes of people, and keypoints as far from their places as detectors put them."""
    shape = torch.ones(layout.num_betas, dtype=torch.float64)
    sigma_m = points.sigma_m if offset_scale is None else points.sigma_m * offset_scale
    offsets = sigma_m.repeat_interleave(3)[: 3 * layout.num_keypoints]
    sd = torch.cat([shape, offsets])
    return BorderPrior(torch.zeros_like(sd), sd)
