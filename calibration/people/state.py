"""The unknowns of an adjustment on people, and what is known and seen of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.people.curves import PersonView

POSE = 6
LENS = ("log_focal", "center_x", "center_y", "k1", "k2", "offset")
"""What is solved for each camera beside its pose: log factor on both focal lengths, pixels, seconds."""
WIDTH = POSE + len(LENS)
"""Parameters of a camera."""


@dataclass(frozen=True, eq=False)
class State:
    """Everything that is solved for."""

    cameras: Cameras
    """Lenses and poses."""
    log_focal: Tensor
    """(C,) log of the factor on the starting focal lengths, already in ``cameras``."""
    offset_s: Tensor
    """(C,) common time = offset + camera time."""
    log_bone: Tensor
    """(P, B) log of the bones' lengths, metres."""
    xyz: Tensor
    """(S, K, 3) keypoints, metres; S = instants of persons."""
    bias: Tensor
    """(C, P, K, 2) where each camera sees a person's keypoint beside the truth, in person's sizes."""

    def values(self) -> Tensor:
        """(C * WIDTH + P * B + C * P * K * 2,) the linear unknowns; poses count as 0."""
        lens = torch.zeros(len(self.cameras), WIDTH, dtype=torch.float64)
        lens[:, 6] = self.log_focal
        lens[:, 7:9] = self.cameras.center_px
        held = min(2, self.cameras.distortion.shape[-1])
        lens[:, 9 : 9 + held] = self.cameras.distortion[:, :held]
        lens[:, 11] = self.offset_s
        return torch.cat([lens.flatten(), self.log_bone.flatten(), self.bias.flatten()])


@dataclass(frozen=True, eq=False)
class Priors:
    """What is known beforehand: rows of a linear residual in ``State.values``, and camera poses."""

    rows: Tensor
    """(R, G)"""
    target: Tensor
    """(R,) ``rows @ values - target`` is in standard deviations."""
    pose: Tensor | None = None
    """(C, 4, 4) expected ``cam_from_world``."""
    pose_information: Tensor | None = None
    """(C, 6, 6) inverse covariance of the left perturbation from there."""


@dataclass(frozen=True, eq=False)
class People:
    """The problem: what was seen, and when a person is looked at."""

    views: Sequence[PersonView]
    """One for each camera, the same people and keypoints in each."""
    time_s: Tensor
    """(S,) instants, common clock."""
    person: Tensor
    """(S,) whose instants they are."""
    size_px: Tensor
    """(C, S) how large the person appears, pixels: the unit of ``State.bias``."""
    bones: Tensor
    """(B, 2) keypoints that a bone joins."""
    bone_sigma_m: Tensor
    """(B,) how constant its length is between two keypoints."""
    seen: Tensor
    """(C, S, K) bool, observations that count."""
    trust: float
    """What an observation counts for: neighbours in time err together."""
    priors: Priors
    """What is known beforehand."""
    free: Tensor
    """(G,) bool, global unknowns that may change."""


@dataclass(frozen=True, eq=False)
class Solved:
    """A solved problem."""

    state: State
    """Cameras, clocks, bones, points."""
    people: People
    """What was seen of them, and when."""
    cost: float
    """Negative log likelihood for each observation."""
    covariance: Tensor
    """(G, G) of the global unknowns."""
    alike: tuple[tuple[int, ...], ...]
    """Cameras whose focal lengths were taken for alike."""
