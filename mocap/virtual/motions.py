"""From a script of moves to SMPL poses: planned feet, two-bone legs, key-posed arms.

The feet are planned first and the legs solved to them, so a foot that stands does not slide, whatever the
body's proportions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d, minimum_filter1d
from scipy.spatial.transform import Rotation

from mocap.virtual.moves import RELAXED_DEG, SIDES, Side, least_jerk, mirror_side
from mocap.virtual.script import Script
from rigs.body import Body
from rigs.motion import Motion

FloatArray = NDArray[np.floating]

_PLAN_HZ = 240.0
"""Rate at which feet and pelvis are planned; poses are then sampled at any times."""
_PELVIS_SMOOTH_S = 0.11
"""How much the pelvis smooths out the steps, standard deviation in seconds."""
_LEG_REACH = 0.985
"""The share of the leg's length that is used at most: standing knees are not locked."""
_KNEE_SOFT_M = 0.006
"""How gently a leg comes to its end, metres: a knee that straightens at once would be thrown about."""
_HOP_SMOOTH_S = 0.04
"""How much take-off and landing of a jump are smoothed, standard deviation in seconds."""
_PUSH_OFF_DEG = 32.0
"""How far the heel has risen when the foot leaves the floor."""
_WORLD_FROM_BODY = Rotation.from_euler("x", 90, degrees=True)
"""The rest pose (Y up, facing +Z) stood up in the world: facing -Y, left is +X."""


@dataclass(frozen=True)
class _FootPlan:
    """One foot over time."""

    ball_world: FloatArray
    """(T, 3) metres: the joint at the ball of the foot."""
    yaw: FloatArray
    """(T,) radians."""
    pitch: FloatArray
    """(T,) radians, heel raised."""
    weight: FloatArray
    """(T,) 1 while it stands, 0 in the middle of its flight."""


@dataclass(frozen=True)
class _Plan:
    """Feet and pelvis over time."""

    feet: dict[Side, _FootPlan]
    pelvis_world: FloatArray
    """(T, 3) metres."""
    pelvis: Rotation
    """T rotations, world from pelvis."""


def perform(
    script: Script, body: Body, betas: FloatArray, time_s: FloatArray, *, rate_hz: float, seed: int = 0
) -> Motion:
    """Poses of a body that follows a script.

    Args:
        script: what to do, from :func:`mocap.virtual.script.lay_out`.
        body: a body with SMPL's joints.
        betas: (B,) its shape.
        time_s: (T,) when, seconds; any times, not only a grid.
        rate_hz: written into the motion.
        seed: of the small sway that keeps a standing person from looking frozen.

    Returns:
        The true motion: world frame, Z up, floor at 0.
    """
    grid_s = np.arange(-0.5, script.seconds + 0.5, 1.0 / _PLAN_HZ)
    legs = _Legs.of(body, betas)
    plan = _resample(_plan(script, legs, grid_s), grid_s, time_s)
    rotations = _upper_body(script, body, time_s, seed)
    rotations["pelvis"] = plan.pelvis
    for side in SIDES:
        rotations.update(legs.solve(side, plan))
    rotvecs = [rotations.get(name, Rotation.identity(len(time_s))).as_rotvec() for name in body.joint_names]
    poses = np.stack(rotvecs, 1).reshape(len(time_s), -1)
    trans = plan.pelvis_world - body.joints_rest(betas)[0].numpy()
    joints = body.pose_joints(torch.from_numpy(poses), torch.from_numpy(trans), torch.from_numpy(betas))
    return Motion(
        poses=poses,
        trans=trans,
        betas=np.asarray(betas, float),
        gender="neutral",
        mocap_framerate=rate_hz,
        time_s=np.asarray(time_s, float),
        joint_names=body.joint_names,
        joints=joints.numpy(),
        body=body.name,
    )


@dataclass(frozen=True)
class _Legs:
    """Lengths and rest places that the legs are solved with."""

    rest: dict[str, FloatArray]
    """Joint name -> (3,) metres, rest axes, pelvis at the origin."""
    sole_m: float
    """How high the ball's joint is over the sole."""

    @staticmethod
    def of(body: Body, betas: FloatArray) -> _Legs:
        joints = body.joints_rest(betas).numpy()
        rest = {name: place - joints[0] for name, place in zip(body.joint_names, joints, strict=True)}
        sole = float(body.vertices_rest(betas)[:, 1].min()) - joints[0, 1]
        return _Legs(rest, float(rest["left_foot"][1] - sole))

    def reach(self, side: Side) -> float:
        """Thigh and shank, metres."""
        hip, knee, ankle = (self.rest[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))

    def ankle_world(self, side: Side, foot: _FootPlan) -> FloatArray:
        """(T, 3) metres: the ankle of a planned foot."""
        return foot.ball_world + _foot_rotation(foot).apply(
            self.rest[f"{side}_ankle"] - self.rest[f"{side}_foot"]
        )

    def solve(self, side: Side, plan: _Plan) -> dict[str, Rotation]:
        """Local rotations of hip, knee, ankle and foot that put the foot where it is planned."""
        foot = plan.feet[side]
        hip, knee, ankle = (self.rest[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        thigh, shank = knee - hip, ankle - knee
        to_ankle = self.ankle_world(side, foot) - (plan.pelvis_world + plan.pelvis.apply(hip))
        left_over = (self.reach(side) - np.linalg.norm(to_ankle, axis=1)) / _KNEE_SOFT_M
        distance = self.reach(side) - _KNEE_SOFT_M * np.logaddexp(0.0, left_over)
        flexion = _hinge_angle(thigh, shank, distance)
        knee_rotation = Rotation.from_euler("x", flexion[:, None])
        lateral = _upright(foot.yaw).apply([1.0, 0.0, 0.0]) + plan.pelvis.apply([1.0, 0.0, 0.0])
        x_axis = np.tile([1.0, 0.0, 0.0], (len(flexion), 1))
        world_thigh = _frame(to_ankle, lateral) * _frame(thigh + knee_rotation.apply(shank), x_axis).inv()
        return {
            f"{side}_hip": plan.pelvis.inv() * world_thigh,
            f"{side}_knee": knee_rotation,
            f"{side}_ankle": (world_thigh * knee_rotation).inv() * _foot_rotation(foot),
            f"{side}_foot": Rotation.from_euler("x", -foot.pitch[:, None]),
        }


def _hinge_angle(thigh: FloatArray, shank: FloatArray, distance: FloatArray) -> FloatArray:
    """(T,) flexion about x that brings the ankle to (T,) metres from the hip; straight where out of reach.

    |thigh + Rx(a) shank|² = distance² is A cos a + B sin a = C.
    """
    in_plane = float(thigh[1:] @ shank[1:])
    across = float(thigh[2] * shank[1] - thigh[1] * shank[2])
    wanted = (distance**2 - thigh @ thigh - shank @ shank) / 2 - thigh[0] * shank[0]
    cosine = np.clip(wanted / np.hypot(in_plane, across), -1.0, 1.0)
    return np.maximum(np.arctan2(across, in_plane) + np.arccos(cosine), 0.0)


def _frame(first: FloatArray, second: FloatArray) -> Rotation:
    """T frames whose first axis is ``first`` and whose second is ``second`` made square to it."""
    one = first / np.linalg.norm(first, axis=1, keepdims=True)
    three = np.cross(one, second)
    three /= np.linalg.norm(three, axis=1, keepdims=True)
    return Rotation.from_matrix(np.stack([one, np.cross(three, one), three], -1))


def _upright(yaw: FloatArray) -> Rotation:
    """World from a body that stands upright and faces ``yaw``."""
    return Rotation.from_euler("z", yaw[:, None]) * _WORLD_FROM_BODY


def _foot_rotation(foot: _FootPlan) -> Rotation:
    return _upright(foot.yaw) * Rotation.from_euler("x", foot.pitch[:, None])


def _plan(script: Script, legs: _Legs, time_s: FloatArray) -> _Plan:
    """Feet from the footsteps; the pelvis over them, as high as both legs reach, or lower."""
    feet = {side: _plan_foot(script, side, legs, time_s) for side in SIDES}
    sigma = _PELVIS_SMOOTH_S * _PLAN_HZ
    yaw = gaussian_filter1d((feet["left"].yaw + feet["right"].yaw) / 2, sigma, mode="nearest")
    drop, back = (script.sample(name, time_s, [0.0])[:, 0] for name in ("pelvis_drop", "pelvis_back"))
    tilt = script.sample("pelvis", time_s, [0.0, 0.0, 0.0])
    pelvis = _upright(yaw) * Rotation.from_rotvec(tilt, degrees=True)
    middle = _over_the_feet(feet, legs)
    ahead = _upright(yaw).apply([0.0, 0.0, 1.0])
    ground = gaussian_filter1d(middle, sigma, axis=0, mode="nearest") - ahead[:, :2] * back[:, None]
    heights = [_highest(legs, side, feet[side], pelvis, ground) for side in SIDES]
    lowest = minimum_filter1d(np.min(heights, axis=0), int(2 * sigma), mode="nearest")
    standing = max(lowest.max(), 0.1)
    height = gaussian_filter1d(lowest, sigma, mode="nearest")
    # A crouch is measured from standing height, not from what a bent pelvis could reach.
    lower = np.maximum(height - (standing - drop), 0.0)
    # A crouch begins with a corner there, which a body has not.
    height = height - gaussian_filter1d(lower, _HOP_SMOOTH_S * _PLAN_HZ, mode="nearest")
    up = np.array([0.0, 0.0, 1.0]) * _hop(script, time_s)[:, None]
    feet = {side: replace(foot, ball_world=foot.ball_world + up) for side, foot in feet.items()}
    return _Plan(feet, np.column_stack([ground, height]) + up, pelvis)


def _hop(script: Script, time_s: FloatArray) -> FloatArray:
    """(T,) metres: how high jumps lift feet and body at the plan's times."""
    height = np.zeros(len(time_s))
    for hop in script.hops:
        share = (time_s - hop.start_s) / (hop.end_s - hop.start_s)
        height += hop.height_m * np.clip(4 * share * (1 - share), 0, None)
    return gaussian_filter1d(height, _HOP_SMOOTH_S * _PLAN_HZ, mode="nearest")


def _over_the_feet(feet: dict[Side, _FootPlan], legs: _Legs) -> FloatArray:
    """(T, 2) metres: between the ankles, drawn to the foot that stands."""
    ankles = [legs.ankle_world(side, feet[side])[:, :2] for side in SIDES]
    share = feet["left"].weight / (feet["left"].weight + feet["right"].weight)
    # A full shift onto the standing foot would sway too much: a third of the way is a person's.
    share = 0.5 + 0.33 * (share - 0.5)
    return ankles[0] * share[:, None] + ankles[1] * (1 - share[:, None])


def _highest(legs: _Legs, side: Side, foot: _FootPlan, pelvis: Rotation, ground: FloatArray) -> FloatArray:
    """(T,) metres: the highest pelvis from which this leg reaches its foot."""
    hip = pelvis.apply(legs.rest[f"{side}_hip"])
    ankle = legs.ankle_world(side, foot)
    across = np.linalg.norm(ankle[:, :2] - ground - hip[:, :2], axis=1)
    reach = legs.reach(side) * _LEG_REACH
    return ankle[:, 2] - hip[:, 2] + np.sqrt(np.maximum(reach**2 - across**2, 0.05))


def _plan_foot(script: Script, side: Side, legs: _Legs, time_s: FloatArray) -> _FootPlan:
    """The ball of the foot stands or flies; the heel rises before it flies and is down before it lands."""
    place = np.array(script.start[side])
    yaw = np.full(len(time_s), script.start_yaw_rad)
    ball_xy = np.tile(place, (len(time_s), 1))
    lift, pitch = np.zeros(len(time_s)), np.zeros(len(time_s))
    weight = np.ones(len(time_s))
    for step in script.footsteps[side]:
        length_s = step.end_s - step.start_s
        share = (time_s - step.start_s) / length_s
        blend = least_jerk(share)[:, None]
        ball_xy += blend * (np.array(step.xy_world) - ball_xy[-1])
        yaw += blend[:, 0] * (step.yaw_rad - yaw[-1])
        bump = np.clip(4 * share * (1 - share), 0, None) ** 2
        lift += step.lift_m * bump
        ball_xy += bump[:, None] * np.array(step.swing_m)
        pitch += np.radians(step.heel_up_deg) * bump
        stride = min(1.0, float(np.linalg.norm(np.array(step.xy_world) - place)) / 0.4)
        rise = least_jerk((share + 0.35) / 0.5) * (1 - least_jerk((share - 0.15) / 0.7))
        pitch += np.radians(_PUSH_OFF_DEG) * stride * rise
        weight -= 0.9 * bump
        place = np.array(step.xy_world)
    ahead = legs.rest[f"{side}_foot"] - (legs.rest[f"{side}_foot"] + legs.rest[f"{side}_ankle"]) / 2
    middle_to_ball = _upright(yaw).apply([0.0, 0.0, ahead[2]])[:, :2]
    ball = np.column_stack([ball_xy + middle_to_ball, legs.sole_m + lift])
    return _FootPlan(ball, yaw, pitch, weight)


def _resample(plan: _Plan, grid_s: FloatArray, time_s: FloatArray) -> _Plan:
    """A plan at other times, by cubic splines through its grid."""

    def at(values: FloatArray) -> FloatArray:
        return CubicSpline(grid_s, values, axis=0)(time_s)

    feet = {
        side: _FootPlan(at(foot.ball_world), at(foot.yaw), at(foot.pitch), at(foot.weight))
        for side, foot in plan.feet.items()
    }
    # Quaternions, unlike rotation vectors, have no seam at half a turn once their signs agree.
    quat_xyzw = plan.pelvis.as_quat()
    flips = np.cumprod(np.where((quat_xyzw[1:] * quat_xyzw[:-1]).sum(1) < 0, -1.0, 1.0))
    quat_xyzw[1:] *= flips[:, None]
    return _Plan(feet, at(plan.pelvis_world), Rotation.from_quat(at(quat_xyzw)))


def _upper_body(script: Script, body: Body, time_s: FloatArray, seed: int) -> dict[str, Rotation]:
    """Local rotations of spine, head and arms from the key poses, with a small sway."""
    legs = ("pelvis", *(f"{side}_{joint}" for side in SIDES for joint in ("hip", "knee", "ankle", "foot")))
    rng = np.random.default_rng(seed)
    rotations: dict[str, Rotation] = {}
    for name in body.joint_names:
        phase, rate_hz = rng.uniform(0, 2 * np.pi, 3), rng.uniform(0.2, 0.5, 3)
        if name in legs:
            continue
        side, _, joint = name.partition("_")
        arm = side in SIDES and joint in RELAXED_DEG
        rest = mirror_side(RELAXED_DEG[joint], "left" if side == "left" else "right") if arm else np.zeros(3)
        angles_deg = script.sample(name, time_s, rest)
        if joint != "elbow":  # a hinge does not sway
            angles_deg = angles_deg + 0.8 * np.sin(2 * np.pi * time_s[:, None] * rate_hz + phase)
        rotations[name] = Rotation.from_rotvec(angles_deg, degrees=True)
    return rotations
