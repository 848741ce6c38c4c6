"""Stage: 3D keypoints to a body in motion.

The shape is one for a person and take, the pose and the place are for every frame; all of them, and where
each keypoint sits on this person, are solved for together.
"""

from __future__ import annotations

import numpy as np
import torch

from mocap.errors import InputError
from mocap.fit.assemble import Observations, keypoints_on_body, layout_for
from mocap.fit.initial import first_guess
from mocap.fit.motion_terms import Steps
from mocap.fit.posed import stretches
from mocap.fit.problem import FitError
from mocap.fit.soles import CONTACT_NAMES, sole_model
from mocap.fit.state import Layout, State
from mocap.fit.summary import FitSummary, PersonSummary, summarise
from mocap.fit.windows import TakeSolution, solve_take
from mocap.keypoints import FloatArray, Keypoints3D
from mocap.progress import Progress, silent
from mocap.settings import FitSettings
from rigs.body import Body
from rigs.kinematics import rotvec_from_rotation
from rigs.motion import Motion

DEFAULTS = FitSettings()
"""The strengths of a session that says nothing else."""

_LEAST_KEYPOINTS = 4
"""A person with fewer in every frame cannot be placed."""
_STILL_RATE_HZ = 30.0
"""Frame rate that a take of one frame claims."""


def fit(
    points: Keypoints3D, body: Body, *, settings: FitSettings = DEFAULTS, progress: Progress = silent
) -> tuple[dict[int, Motion], FitSummary]:
    """Fit a body to the keypoints of each person.

    Args:
        points: world frame, metres, NaN where unknown; keypoints of any known set.
        body: the body.
        settings: strengths.
        progress: told the iterations.

    Returns:
        A motion for each person that was seen, and how it went.

    Raises:
        InputError: the keypoints belong to no known set, times do not increase, or nobody was seen.
        FitError: a solve broke down; names the term and the frame.
    """
    time_s = np.asarray(points.time_s, dtype=np.float64)
    if len(time_s) > 1 and not (np.diff(time_s) > 0).all():
        late = int(np.argmin(np.diff(time_s))) + 1
        raise InputError(f"time does not increase at frame {late}", where="points.npz")
    motions: dict[int, Motion] = {}
    summaries: dict[int, PersonSummary] = {}
    left_out: dict[int, str] = {}
    for row, person in enumerate(points.person.tolist()):
        known = np.isfinite(points.xyz_world[:, row]).all(-1)
        if known.sum(-1).max(initial=0) < _LEAST_KEYPOINTS:
            left_out[person] = f"never seen with {_LEAST_KEYPOINTS} keypoints at once"
            continue
        try:
            motions[person], summaries[person] = _fit_person(points, row, body, settings, progress)
        except FitError as error:
            raise FitError(f"person {person}: {error}") from error
    if not motions:
        raise InputError(
            "nobody is seen with enough keypoints to fit a body",
            where="points.npz",
            todo="run mocap reconstruct",
        )
    return motions, FitSummary(summaries, left_out, all(summary.usable for summary in summaries.values()))


def _fit_person(
    points: Keypoints3D, row: int, body: Body, settings: FitSettings, progress: Progress
) -> tuple[Motion, PersonSummary]:
    time_s = torch.from_numpy(np.asarray(points.time_s, dtype=np.float64).copy())
    seen = _observations(points, row, body, time_s)
    soles = sole_model(body)
    layout = layout_for(body, seen.points, soles)
    step_s = float(seen.steps.seconds.median()) if len(seen.steps.seconds) else 1 / _STILL_RATE_HZ
    guess = first_guess(body, seen.points, seen.xyz_world, step_s)
    found = solve_take(body, layout, seen, guess, time_s, settings=settings, soles=soles, progress=progress)
    summary = summarise(body, seen, found)
    return _motion(body, layout, found, time_s.numpy(), 1 / step_s), summary


def _observations(points: Keypoints3D, row: int, body: Body, time_s: torch.Tensor) -> Observations:
    """One person's keypoints that the body knows."""
    on_body, which = keypoints_on_body(body, points.keypoint_names)
    xyz = torch.from_numpy(np.asarray(points.xyz_world[:, row][:, which], dtype=np.float64))
    covariance = torch.from_numpy(np.asarray(points.covariance[:, row][:, which], dtype=np.float64))
    seconds = torch.diff(time_s)
    return Observations(on_body, xyz, covariance, Steps(seconds, torch.ones_like(seconds, dtype=torch.bool)))


def _motion(body: Body, layout: Layout, found: TakeSolution, time_s: FloatArray, rate_hz: float) -> Motion:
    """The solution in the keys of AMASS, rotation vectors continuous in time."""
    state = found.state
    joints = torch.cat(
        [posed.xyz_joint[: posed.own] for posed in stretches(body, layout, state, at_once=512)]
    )
    return Motion(
        poses=_rotation_vectors(state).reshape(state.num_frames, -1),
        trans=state.trans.numpy(),
        betas=state.betas.numpy(),
        gender="neutral",
        mocap_framerate=rate_hz,
        time_s=np.asarray(time_s, dtype=np.float64),
        joint_names=body.joint_names,
        joints=joints.numpy(),
        joint_std=found.std.numpy(),
        contacts=found.contacts.numpy().astype(np.float64),
        contact_names=CONTACT_NAMES,
        body=body.name,
    )


def _rotation_vectors(state: State) -> FloatArray:
    """(T, J, 3) radians, of length at most pi."""
    import roma

    return rotvec_from_rotation(roma.unitquat_to_rotmat(state.quat_xyzw)).numpy()
