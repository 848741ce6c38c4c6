"""Stage: 3D keypoints to a body in motion.

The shape is one for a person and take, the pose and the place are for every frame; all of them, and where
each keypoint sits on this person, are solved for together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.errors import InputError
from mocap.evidence import Evidence
from mocap.fit.assemble import Observations, keypoints_on_body, layout_for
from mocap.fit.contact_points import CONTACT_NAMES, contact_points
from mocap.fit.initial import first_guess
from mocap.fit.motion_terms import Steps
from mocap.fit.posed import stretches
from mocap.fit.problem import FitError
from mocap.fit.reprojection_term import Pixels
from mocap.fit.state import Layout, State
from mocap.fit.summary import FitSummary, PersonSummary, summarise
from mocap.fit.take import TakeFit, TakeSolution
from mocap.keypoints import FloatArray, Keypoints3D
from mocap.progress import Progress, silent
from mocap.settings import FitSettings
from mocap.threads import reuse_memory
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
    points: Keypoints3D, body: Body, *, settings: FitSettings = DEFAULTS, progress: Progress = silent,
    cameras: Cameras | None = None, evidence: Mapping[int, Evidence] | None = None,
    shape: FloatArray | None = None,
) -> tuple[dict[int, Motion], FitSummary]:  # fmt: skip
    """Fit a body to the keypoints of each person.

    Args:
        points: world frame, metres, NaN where unknown; keypoints of any known set.
        body: the body.
        settings: strengths.
        progress: told the iterations.
        cameras: those that the evidence is from.
        evidence: by the person's number: what the pictures say. Then the fit is to the pixels, and the points
            only start it; a person without evidence is fitted to the points.
        shape: (B,) coefficients where the person's shape is known; it is then held.

    Returns:
        A motion for each person that was seen, and how it went.

    Raises:
        InputError: the keypoints belong to no known set, times do not increase, nobody was seen, or the
            evidence is of other cameras or times.
        FitError: a solve broke down; names the term and the frame.
    """
    time_s = np.asarray(points.time_s, dtype=np.float64)
    if len(time_s) > 1 and not (np.diff(time_s) > 0).all():
        late = int(np.argmin(np.diff(time_s))) + 1
        raise InputError(f"time does not increase at frame {late}", where="points.npz")
    if shape is not None and (np.ndim(shape) != 1 or len(shape) > body.num_betas):
        raise InputError(f"a shape of {np.shape(shape)} for a body with {body.num_betas} coefficients")
    reuse_memory()
    motions: dict[int, Motion] = {}
    summaries: dict[int, PersonSummary] = {}
    left_out: dict[int, str] = {}
    for row, person in enumerate(points.person.tolist()):
        known = np.isfinite(points.xyz_world[:, row]).all(-1)
        if known.sum(-1).max(initial=0) < _LEAST_KEYPOINTS:
            left_out[person] = f"never seen with {_LEAST_KEYPOINTS} keypoints at once"
            continue
        stay = _stay(known.any(-1), alone=len(points.person) == 1)
        told = (evidence or {}).get(person)
        try:
            seen = _observations(points.at(stay), row, body, cameras, told and told.at(stay))
            motions[person], summaries[person] = _fit_person(
                seen, time_s[stay], body, settings, progress, shape
            )
        except FitError as error:
            raise error.counted(range(len(time_s))[stay], f"person {person}: ") from error
    if not motions:
        raise InputError(
            "nobody is seen with enough keypoints to fit a body",
            where="points.npz",
            todo="run mocap reconstruct",
        )
    return motions, FitSummary(summaries, left_out, all(summary.usable for summary in summaries.values()))


def _stay(there: NDArray[np.bool_], *, alone: bool) -> slice:
    """Frames from the first in which somebody is there to the last; of one person alone the whole take."""
    if alone or there.sum() < 2:
        return slice(0, len(there))
    frames = np.flatnonzero(there)
    return slice(int(frames[0]), int(frames[-1]) + 1)


def _fit_person(
    seen: Observations, time_s: FloatArray, body: Body, settings: FitSettings, progress: Progress,
    shape: FloatArray | None,
) -> tuple[Motion, PersonSummary]:  # fmt: skip
    standing = contact_points(body)
    layout = layout_for(body, seen.points, None if standing is None else standing.model)
    step_s = float(seen.steps.seconds.median()) if len(seen.steps.seconds) else 1 / _STILL_RATE_HZ
    guess = first_guess(body, seen.points, seen.xyz_world, step_s)
    if shape is not None:
        betas = torch.zeros(body.num_betas, dtype=torch.float64)
        betas[: len(shape)] = torch.from_numpy(np.asarray(shape, dtype=np.float64))
        guess, layout = replace(guess, betas=betas), replace(layout, num_betas=0)
    found = TakeFit(body, layout, settings, standing, progress).solve(seen, guess, torch.from_numpy(time_s))
    return _motion(body, layout, found, time_s, 1 / step_s), summarise(body, seen, found)


def _observations(
    points: Keypoints3D, row: int, body: Body, cameras: Cameras | None, evidence: Evidence | None
) -> Observations:
    """One person's keypoints that the body knows."""
    on_body, which = keypoints_on_body(body, points.keypoint_names)
    xyz = torch.from_numpy(np.asarray(points.xyz_world[:, row][:, which], dtype=np.float64))
    covariance = torch.from_numpy(np.asarray(points.covariance[:, row][:, which], dtype=np.float64))
    seconds = torch.diff(torch.from_numpy(np.array(points.time_s, dtype=np.float64)))
    seen = Observations(on_body, xyz, covariance, Steps(seconds, torch.ones_like(seconds, dtype=torch.bool)))
    if evidence is None or cameras is None:
        return seen
    if len(evidence.time_s) != len(points.time_s) or tuple(evidence.keypoint_names) != tuple(
        points.keypoint_names
    ):
        raise InputError(
            f"evidence of {len(evidence.time_s)} instants and {len(evidence.keypoint_names)} keypoints for "
            f"points of {len(points.time_s)} and {len(points.keypoint_names)}",
            todo="make both from the same keypoints",
        )
    return replace(seen, cameras=cameras[list(evidence.camera_names)], pixels=_pixels(evidence, which))


def _pixels(evidence: Evidence, which: list[int]) -> Pixels:
    """The evidence on the keypoints that the body knows, as tensors."""
    weight, bias = (
        np.broadcast_to(np.asarray(value, dtype=np.float64), evidence.sigma_px.shape[1:])[:, which].copy()
        for value in (evidence.weight, evidence.bias_sd_px)
    )
    arrays = evidence.xy_px[:, :, which], evidence.sigma_px[:, :, which], weight, bias
    return Pixels(*(torch.from_numpy(np.array(array, dtype=np.float64)) for array in arrays))


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
        contacts=found.contacts.numpy(),
        contact_names=CONTACT_NAMES,
        body=body.name,
    )


def _rotation_vectors(state: State) -> FloatArray:
    """(T, J, 3) radians, of length at most pi."""
    import roma

    return rotvec_from_rotation(roma.unitquat_to_rotmat(state.quat_xyzw)).numpy()
