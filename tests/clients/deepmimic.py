"""Motions of DeepMimic's humanoid: walk, crawl, cartwheel, getting up.

It rests standing with its arms down, Y up, facing +X, the right side at +Z. A frame is its length, the root's
place and quaternion (w first), then a quaternion for each ball joint or an angle about Z for each hinge.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from exporters.readers import MovingSkeleton

_TREE = {
    "chest": ("pelvis", (0.0, 0.236151, 0.0)),
    "neck": ("chest", (0.0, 0.223894, 0.0)),
    "right_hip": ("pelvis", (0.0, 0.0, 0.084887)),
    "right_knee": ("right_hip", (0.0, -0.421546, 0.0)),
    "right_ankle": ("right_knee", (0.0, -0.40987, 0.0)),
    "right_shoulder": ("chest", (-0.02405, 0.24350, 0.18311)),
    "right_elbow": ("right_shoulder", (0.0, -0.274788, 0.0)),
    "left_hip": ("pelvis", (0.0, 0.0, -0.084887)),
    "left_knee": ("left_hip", (0.0, -0.421546, 0.0)),
    "left_ankle": ("left_knee", (0.0, -0.40987, 0.0)),
    "left_shoulder": ("chest", (-0.02405, 0.24350, -0.18311)),
    "left_elbow": ("left_shoulder", (0.0, -0.274788, 0.0)),
}
_ENDS = {
    "right_wrist": ("right_elbow", (0.0, -0.258947, 0.0)),
    "left_wrist": ("left_elbow", (0.0, -0.258947, 0.0)),
    "right_toe": ("right_ankle", (0.13, -0.035, 0.0)),
    "left_toe": ("left_ankle", (0.13, -0.035, 0.0)),
}
_HINGES = {"right_knee", "right_elbow", "left_knee", "left_elbow"}


def read_deepmimic(file: Path, rate_hz: float = 30.0) -> MovingSkeleton:
    """The humanoid of a motion file, sampled at a rate, in metres."""
    frames = np.array(json.loads(file.read_text())["Frames"])
    known_s = np.concatenate([[0.0], np.cumsum(frames[:-1, 0])])
    time_s = np.arange(int(known_s[-1] * rate_hz + 1e-9) + 1) / rate_hz
    local = {"pelvis": _quaternions(frames[:, 4:8])}
    column = 8
    for joint in _TREE:
        width = 1 if joint in _HINGES else 4
        part = frames[:, column : column + width]
        local[joint] = Rotation.from_euler("z", part) if width == 1 else _quaternions(part)
        column += width
    names = ("pelvis", *_TREE, *_ENDS)
    rest = {"pelvis": np.zeros(3)}
    for joint, (parent, offset) in (_TREE | _ENDS).items():
        rest[joint] = rest[parent] + offset
    turn = {"pelvis": Slerp(known_s, local["pelvis"])(time_s).as_matrix()}
    xyz = {"pelvis": np.stack([np.interp(time_s, known_s, frames[:, 1 + axis]) for axis in range(3)], -1)}
    for joint, (parent, offset) in (_TREE | _ENDS).items():
        own = Slerp(known_s, local[joint])(time_s).as_matrix() if joint in local else np.eye(3)
        turn[joint] = turn[parent] @ own
        xyz[joint] = xyz[parent] + turn[parent] @ offset
    parents = tuple(names.index((_TREE | _ENDS)[name][0]) if name != "pelvis" else -1 for name in names)
    return MovingSkeleton(
        names=names,
        parents=parents,
        rest_xyz=np.stack([rest[name] for name in names]),
        rest_turn=np.tile(np.eye(3), (len(names), 1, 1)),
        xyz=np.stack([xyz[name] for name in names], axis=1),
        turn=np.stack([turn[name] for name in names], axis=1),
        rate_hz=rate_hz,
        tips={},
        up="+y",
        metres=1.0,
    )


def _quaternions(wxyz: np.ndarray) -> Rotation:
    return Rotation.from_quat(wxyz[:, [1, 2, 3, 0]])
