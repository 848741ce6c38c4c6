"""Feet that truly stand: a motion whose feet nearly stand is changed so that heel or ball stay exactly.

Stands are found in the motion itself, each foot is turned flat while heel and ball both stand, pivots about
the one that stands alone, and the legs are bent to it; between stands the change fades over.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import binary_closing, binary_opening, gaussian_filter1d, label, maximum_filter1d
from scipy.spatial.transform import Rotation

from rigs.body import Body
from rigs.keypoint_model import KeypointModel

_UP = Rotation.from_euler("x", 90, degrees=True)
_SLOW_M_S, _LOW_M, _LEVEL_M = 0.3, 0.13, 0.04
_BRIEF_S, _RAMP_S = 0.1, 0.12
_REACH, _STILL_M_S = 0.998, 0.01


@dataclass(frozen=True)
class Planted:
    """A motion with feet that stand."""

    poses: np.ndarray
    """(T, J, 3) rotation vectors."""
    trans: np.ndarray
    """(T, 3) metres."""
    contacts: np.ndarray
    """(T, 4) bool: left heel, left ball, right heel, right ball."""


def plant(body: Body, poses: np.ndarray, trans: np.ndarray, betas: np.ndarray, rate_hz: float) -> Planted:
    """Make the feet stand where they nearly do, the floor at z = 0."""
    soles = _Soles(body, betas)
    trans = trans.copy()
    place, turn, joints = soles.at(poses, trans)
    stands = np.concatenate([_stands(place[:, 2 * side : 2 * side + 2], rate_hz) for side in (0, 1)], 1)
    changes, feet = [], []
    for side in (0, 1):
        own = stands[:, 2 * side : 2 * side + 2]
        foot, toes = _flattened(turn[side], own, rate_hz)
        points = soles.about_ankle(side, foot, toes) + joints[:, soles.ankle[side], None]
        change = _change(points, own, soles.rest_height[2 * side : 2 * side + 2], rate_hz)
        lowest = soles.lowest_about_ankle(side, foot, toes) + joints[:, soles.ankle[side], 2]
        sunk = np.clip(-lowest - change[:, 2], 0, None)
        sunk[own.any(1)] = 0.0
        change[:, 2] += np.maximum(sunk, gaussian_filter1d(sunk, 0.03 * rate_hz) * ~own.any(1))
        changes.append(change)
        feet.append((foot, toes))
    drop = np.zeros(len(trans))
    for _ in range(3):
        need = np.max([soles.too_far(side, joints, changes[side], drop) for side in (0, 1)], axis=0)
        width = round(0.15 * rate_hz)
        drop += gaussian_filter1d(maximum_filter1d(need, 2 * width), width / 2)
    trans[:, 2] -= drop
    poses = poses.copy()
    for side in (0, 1):
        soles.bend(side, poses, trans, joints[:, soles.ankle[side]] + changes[side], *feet[side])
    return Planted(poses, trans, stands & soles.still(poses, trans, rate_hz))


def sole_points(body: Body) -> KeypointModel:
    """Left heel, left ball, right heel, right ball: patches of the sole, as points of the body."""
    rows = []
    for side in ("left", "right"):
        joints = [body.joint_names.index(f"{side}_{joint}") for joint in ("ankle", "foot")]
        foot = torch.nonzero(body.weights[:, joints].sum(-1) > 0.6)[:, 0]
        place = body.v_template[foot]
        low = place[:, 1] < place[:, 1].min() + 0.012
        along = (place[:, 2] - place[:, 2].min()) / np.ptp(place[:, 2].numpy())
        for patch in (low & (along < 0.25), low & (along > 0.55) & (along < 0.85)):
            rows.append(torch.bincount(foot[patch], minlength=len(body.weights)).double() / patch.sum())
    names = ("left_heel", "left_ball", "right_heel", "right_ball")
    return replace(body, keypoint_names=names, keypoint_regressor=torch.stack(rows)).keypoint_model(names)


class _Soles:
    """The feet of one body: joints, and heel and ball of the sole."""

    def __init__(self, body: Body, betas: np.ndarray) -> None:
        self.body, self.betas = body, betas
        self.model = sole_points(body)
        self.rest = body.joints_rest(betas).numpy()
        self.hip, self.knee, self.ankle, self.toe = (
            [body.joint_names.index(f"{side}_{joint}") for side in ("left", "right")]
            for joint in ("hip", "knee", "ankle", "foot")
        )
        vertices = body.vertices_rest(betas)
        self.floor = float(vertices[:, 1].min())
        unturned = torch.eye(3).double().expand(len(self.rest), 3, 3)
        at_rest = self.model.pose(unturned, torch.from_numpy(self.rest), torch.from_numpy(betas))
        self.rest_height = at_rest[:, 1].numpy() - self.floor

    def at(self, poses: np.ndarray, trans: np.ndarray) -> tuple[np.ndarray, list[Rotation], np.ndarray]:
        """(T, 4, 3) heels and balls, each foot's turn, (T, J, 3) joints."""
        rotation, joints = self.body.pose_frames(poses.reshape(len(poses), -1), trans, self.betas)
        points = self.model.pose(rotation, joints, torch.from_numpy(self.betas)).numpy()
        turns = [Rotation.from_matrix(rotation[:, index].numpy()) for index in self.ankle]
        return points, turns, joints.numpy()

    def still(self, poses: np.ndarray, trans: np.ndarray, rate_hz: float) -> np.ndarray:
        """(T, 4) which points truly stand: on the floor, and where they were and will be."""
        place = self.at(poses, trans)[0]
        slow = np.linalg.norm(np.diff(place, axis=0), axis=-1) * rate_hz < _STILL_M_S
        slow = np.concatenate([slow[:1], slow]) & np.concatenate([slow, slow[-1:]])
        return slow & (np.abs(place[..., 2] - self.rest_height) < 0.001)

    def about_ankle(self, side: int, foot: Rotation, toes: Rotation) -> np.ndarray:
        """(T, 2, 3) heel and ball from the ankle."""
        return self._posed(self.model, side, foot, toes)[:, 2 * side : 2 * side + 2]

    def lowest_about_ankle(self, side: int, foot: Rotation, toes: Rotation) -> np.ndarray:
        """(T,) height of the foot's lowest point over the ankle."""
        name = ("left", "right")[side]
        ends = ("heel_back", "big_toe_tip", "small_toe_tip")
        points = self.body.keypoint_model([f"{name}_{part}" for part in ends])
        tips = self._posed(points, side, foot, toes)[..., 2].min(-1)
        return np.minimum(tips, self.about_ankle(side, foot, toes)[..., 2].min(-1) - 0.004)

    def _posed(self, model: KeypointModel, side: int, foot: Rotation, toes: Rotation) -> np.ndarray:
        count, joints = len(foot), len(self.rest)
        turn = np.tile(np.eye(3), (count, joints, 1, 1))
        place = np.zeros((count, joints, 3))
        turn[:, self.ankle[side]], turn[:, self.toe[side]] = foot.as_matrix(), toes.as_matrix()
        place[:, self.toe[side]] = foot.apply(self.rest[self.toe[side]] - self.rest[self.ankle[side]])
        return model.pose(
            torch.from_numpy(turn), torch.from_numpy(place), torch.from_numpy(self.betas)
        ).numpy()

    def too_far(self, side: int, joints: np.ndarray, change: np.ndarray, drop: np.ndarray) -> np.ndarray:
        """(T,) metres that the pelvis must come down for the leg to reach."""
        hip, ankle = joints[:, self.hip[side]], joints[:, self.ankle[side]] + change
        across = np.linalg.norm((ankle - hip)[:, :2], axis=1)
        reach = self._reach(side) * _REACH
        high = hip[:, 2] - drop - ankle[:, 2]
        return np.clip(high - np.sqrt(np.clip(reach**2 - across**2, 0.01, None)), 0, None)

    def _reach(self, side: int) -> float:
        chain = self.rest[[self.hip[side], self.knee[side], self.ankle[side]]]
        return float(np.linalg.norm(np.diff(chain, axis=0), axis=1).sum())

    def bend(
        self, side: int, poses: np.ndarray, trans: np.ndarray, ankle: np.ndarray,
        foot: Rotation, toes: Rotation,
    ) -> None:  # fmt: skip
        """Change hip, knee, ankle and toes in place so that the ankle is where it should be."""
        rotation, joints = self.body.pose_frames(poses.reshape(len(poses), -1), trans, self.betas)
        hip, knee, end = (self.rest[index[side]] for index in (self.hip, self.knee, self.ankle))
        thigh, shank = knee - hip, end - knee
        to_ankle = ankle - joints[:, self.hip[side]].numpy()
        flexion = _flexion(thigh, shank, np.linalg.norm(to_ankle, axis=1))
        bent = Rotation.from_euler("x", flexion[:, None])
        world = Rotation.from_matrix(rotation[:, self.hip[side]].numpy())
        world = _shortest(world.apply(thigh + bent.apply(shank)), to_ankle) * world
        pelvis = Rotation.from_matrix(rotation[:, 0].numpy())
        poses[:, self.hip[side]] = (pelvis.inv() * world).as_rotvec()
        poses[:, self.knee[side]] = bent.as_rotvec()
        poses[:, self.ankle[side]] = ((world * bent).inv() * foot).as_rotvec()
        poses[:, self.toe[side]] = (foot.inv() * toes).as_rotvec()


def _stands(points: np.ndarray, rate_hz: float) -> np.ndarray:
    """(T, 2) when heel and ball of one foot (T, 2, 3) stand."""
    smooth = gaussian_filter1d(points, 0.025 * rate_hz, axis=0)
    speed = np.linalg.norm(np.gradient(smooth, axis=0) * rate_hz, axis=-1)
    height = smooth[..., 2] - np.array([0.0, 0.008])
    stands = (speed < _SLOW_M_S) & (height < _LOW_M) & (height < height.min(1, keepdims=True) + _LEVEL_M)
    brief = np.ones((round(_BRIEF_S * rate_hz), 1), bool)
    padded = np.pad(stands, ((len(brief), len(brief)), (0, 0)), mode="edge")
    return binary_opening(binary_closing(padded, brief[::2]), brief)[len(brief) : -len(brief)]


def _flattened(turn: Rotation, stands: np.ndarray, rate_hz: float) -> tuple[Rotation, Rotation]:
    """Turns of foot and toes: flat while heel and ball stand, the toes flat while the ball does."""
    flat = _flat(turn)
    foot = _held(turn, flat, stands.all(1), rate_hz)
    return foot, _held(foot, flat, stands[:, 1], rate_hz)


def _held(turn: Rotation, flat: Rotation, when: np.ndarray, rate_hz: float) -> Rotation:
    """``turn``, but one flat turn within each run of ``when``, blended over around it."""
    runs, count = label(when)
    result = turn
    rows = np.arange(len(when))
    for run in range(1, count + 1):
        inside = np.flatnonzero(runs == run)
        away = np.clip(np.maximum(inside[0] - rows, rows - inside[-1]), 0, None) / rate_hz / _RAMP_S
        share = np.clip(1 - away, 0, 1)
        share = share * share * (3 - 2 * share)
        step = result.inv() * flat[inside].mean()
        result = result * Rotation.from_rotvec(step.as_rotvec() * share[:, None])
    return result


def _flat(turn: Rotation) -> Rotation:
    """Upright feet that point where these do."""
    ahead = turn.apply([0.0, 0.0, 1.0])
    yaw = np.arctan2(ahead[:, 0], -ahead[:, 1])
    return Rotation.from_euler("z", yaw[:, None]) * _UP


def _change(points: np.ndarray, stands: np.ndarray, rest_height: np.ndarray, rate_hz: float) -> np.ndarray:
    """(T, 3) by which the ankle must move for the standing points (T, 2, 3) to stay."""
    times, change = len(points), np.full((len(points), 3), np.nan)
    runs, count = label(stands.any(1))
    for run in range(1, count + 1):
        anchor, pivot = None, -1
        for row in np.flatnonzero(runs == run):
            now = pivot if pivot >= 0 and stands[row, pivot] else int(np.flatnonzero(stands[row])[0])
            if now != pivot:
                anchor = points[row, now].copy() + (0.0 if pivot < 0 else change[row - 1])
                if pivot < 0:
                    nearby = (runs == run) & stands[:, now]
                    anchor[:2] = points[nearby, now, :2].mean(0)
                anchor[2], pivot = rest_height[now], now
            change[row] = anchor - points[row, now]
    known = np.flatnonzero(np.isfinite(change[:, 0]))
    if not len(known):
        return np.zeros((times, 3))
    filled = PchipInterpolator(known, change[known], axis=0)(np.clip(np.arange(times), known[0], known[-1]))
    return filled


def _flexion(thigh: np.ndarray, shank: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """(T,) knee flexion about x at which hip and ankle are so far apart."""
    in_plane = float(thigh[1:] @ shank[1:])
    across = float(thigh[2] * shank[1] - thigh[1] * shank[2])
    wanted = (distance**2 - thigh @ thigh - shank @ shank) / 2 - thigh[0] * shank[0]
    cosine = np.clip(wanted / np.hypot(in_plane, across), -1.0, 1.0)
    return np.arctan2(across, in_plane) + np.arccos(cosine)


def _shortest(start: np.ndarray, end: np.ndarray) -> Rotation:
    """The shortest turn from one direction to another."""
    axis = np.cross(start, end)
    size = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(size[:, 0], (start * end).sum(1))
    return Rotation.from_rotvec(axis / np.maximum(size, 1e-12) * angle[:, None])
