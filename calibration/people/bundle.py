"""Bundle adjustment on people: cameras, clocks, bones and every keypoint at every instant, together.

Minimises over camera poses, focal lengths, principal points, k1, k2, clock offsets, bone lengths and points

    sum t(|project(camera c, X_sk) + size_cs bias_ck - track_ck(time_s - offset_c)| / sigma) * trust
    + sum t((|X_sa - X_sb| - length_b) / bone_sigma) * trust + priors

with t the negative log of a Student-t: keypoints have heavy tails. A detector that places a keypoint beside
the truth does so over the whole take, the more so the larger the person appears: that is ``bias``, without
which cameras bend to it. The points of one person at one instant hang
together through the bones and with nothing else, so their block is eliminated first (Schur complement);
what is left is a dense system of a few hundred unknowns, however long the take. Derivatives are closed
forms. Poses take left perturbations ``exp([rho, phi])``, translation first.
"""

from __future__ import annotations

from dataclasses import replace

import roma
import torch
from torch import Tensor

from calibration.people.errors import cost
from calibration.people.normal import normal_equations
from calibration.people.state import WIDTH, People, State

_DAMPING = (1e-3, 1e-10, 1e8)
"""Start, smallest and largest factor of the diagonal."""


def stepped(state: State, glob: Tensor, point: Tensor) -> State:
    """The state after a step of the global unknowns (G,) and of the points (S, 3K)."""
    cameras = state.cameras
    flat, bones, bias = glob.split([len(cameras) * WIDTH, state.log_bone.numel(), state.bias.numel()])
    step = flat.reshape(len(cameras), WIDTH)
    turn = roma.rotvec_to_rotmat(step[:, 3:6])
    pose = cameras.cam_from_world
    top = torch.cat([turn @ pose[:, :3, :3], turn @ pose[:, :3, 3:] + step[:, :3, None]], -1)
    held = min(2, cameras.distortion.shape[-1])
    bent = cameras.distortion
    if held:
        bent = torch.cat([bent[:, :held] + step[:, 9 : 9 + held], bent[:, held:]], 1)
    moved = replace(
        cameras,
        cam_from_world=torch.cat([top, pose[:, 3:]], 1),
        focal_px=cameras.focal_px * step[:, 6:7].exp(),
        center_px=cameras.center_px + step[:, 7:9],
        distortion=bent,
    )
    return State(
        moved,
        state.log_focal + step[:, 6],
        state.offset_s + step[:, 11],
        state.log_bone + bones.reshape(state.log_bone.shape),
        state.xyz + point.reshape(state.xyz.shape),
        state.bias + bias.reshape(state.bias.shape),
    )


def minimise(
    state: State, people: People, *, tolerance: float = 1e-6, max_steps: int = 50
) -> tuple[State, float, int]:
    """Levenberg-Marquardt. Deterministic.

    Returns:
        The better state, its cost, and the steps that were taken.
    """
    damping, smallest, largest = _DAMPING
    value = float(cost(state, people))
    for step in range(max_steps):
        system = normal_equations(state, people)
        while damping < largest:
            trial = state
            try:
                trial = stepped(state, *system.solve(damping, people.free))
                new = float(cost(trial, people))
            except RuntimeError:  # no longer positive definite
                new = float("inf")
            if new < value:
                break
            damping *= 10.0
        else:
            return state, value, step
        gain, state, value = value - new, trial, new
        damping = max(damping / 10.0, smallest)
        if gain <= tolerance * abs(value):
            return state, value, step + 1
    return state, value, max_steps


def covariance(state: State, people: People) -> Tensor:
    """(G, G) covariance of the global unknowns; 0 where fixed."""
    reduced, _, _ = normal_equations(state, people).reduced(0.0, people.free)
    result = torch.zeros(len(people.free), len(people.free), dtype=torch.float64)
    which = torch.nonzero(people.free)[:, 0]
    result[which[:, None], which] = torch.linalg.pinv(reduced, hermitian=True)
    return result
