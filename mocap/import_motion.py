"""Motion libraries come in: a file of another program's character becomes a motion of our body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rigs.body import Body
    from rigs.motion import Motion
    from rigs.retarget import Performance

FloatArray = NDArray[np.float64]

_BONES: Final = (
    ("spine1", "neck"),
    *(
        (f"{side}_{top}", f"{side}_{end}")
        for side in ("left", "right")
        for top, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
    ),
    ("left_hip", "right_hip"),
    ("left_shoulder", "right_shoulder"),
)
"""Lengths that tell a body's shape."""
_LENGTH_SD_M = 0.01
"""How far a bone of a rig is from the person's."""
_CLEARANCE_M: Final = {"hand": 0.03, "knee": 0.05}
"""How high the joints are above the skin that touches the floor."""
_STEPS = 4
_MOST_BETA = 3.0


@dataclass(frozen=True)
class ImportedMotion:
    """What came in."""

    motion: Motion
    """The motion on our body."""
    names: Mapping[str, str]
    """{our joint: name in the file}."""
    left_out: tuple[str, ...]
    """Joints of the file that are none of ours."""


def import_motion(
    path: Path, *, rig: str | None = None, unit: str | None = None, up: str | None = None
) -> ImportedMotion:
    """The motion in a BVH, FBX, GLB or AMC file on the shipped body, in a shape with bones like the file's.

    Args:
        path: the file.
        rig: whose names its joints have, a preset or a TOML file; told from the names if left out.
        unit: m, cm, mm, inch or cmu, where the file does not say and the character's height does not tell.
        up: y or z, likewise.

    Raises:
        ExportError: a file that cannot be read, or whose skeleton is not a person's.
    """
    from exporters.readers import read_performance

    read = read_performance(path, rig, unit=unit, up=up)
    return ImportedMotion(on_our_body(read.performance), read.names, read.left_out)


def on_our_body(performance: Performance) -> Motion:
    """A performance on the shipped body, in a shape with bones like the performer's."""
    from rigs import load_body
    from rigs.retarget import retarget
    from rigs.rig import FileRig, Rig

    source = replace(performance, contacts=_contacts(performance))
    body = load_body("default")
    betas = _shape(body, source)
    rest = body.joints_rest(betas).numpy()
    standing = rest - [rest[0, 0], float(body.vertices_rest(betas)[:, 1].min()), rest[0, 2]]
    axes = np.tile(np.eye(3), (len(rest), 1, 1))
    own = FileRig(body.joint_names, tuple(body.parents), standing, axes)
    result = retarget(source, Rig("body", {name: name for name in body.joint_names}, own=own))
    return _motion(body, betas, result.turn, result.xyz[:, 0] - rest[0], source)


def _contacts(source: Performance) -> dict[str, FloatArray]:
    """How surely heels and balls of the feet, palms and knees stand, as the fit would have it."""
    from mocap.fit.contact import find_contacts
    from rigs.retarget.contacts import spots

    places = spots(source)
    names = list(places)
    if not names or len(source.turn) < 2:
        return {}
    time_s = np.arange(len(source.turn)) / source.rate_hz
    clearance = np.array([_CLEARANCE_M.get(name.partition("_")[2], 0.0) for name in names])
    found = find_contacts(
        np.stack([places[name] for name in names], axis=1), time_s,
        clearance_m=clearance, on_steps=clearance == 0.0,
    )  # fmt: skip
    return {name: found.probability[:, column] for column, name in enumerate(names)}


def _shape(body: Body, source: Performance) -> FloatArray:
    """(B,) shape coefficients whose bones are as long as the performer's, as far as shapes of people go."""
    pairs = [pair for pair in _BONES if set(pair) <= set(source.names)]
    wanted = np.array([np.linalg.norm(source.rest(top) - source.rest(end)) for top, end in pairs])
    index = np.array([[body.joint_names.index(name) for name in pair] for pair in pairs])

    def lengths(betas: FloatArray) -> FloatArray:
        rest = body.joints_rest(betas).numpy()
        return np.linalg.norm(rest[index[:, 0]] - rest[index[:, 1]], axis=-1)

    betas = np.zeros(body.num_betas)
    for _ in range(_STEPS):
        now = lengths(betas)
        slope = np.stack([(lengths(betas + 0.01 * unit) - now) / 0.01 for unit in np.eye(len(betas))], -1)
        left = slope.T @ slope / _LENGTH_SD_M**2 + np.eye(len(betas))
        right = slope.T @ (wanted - now) / _LENGTH_SD_M**2 - betas
        betas = np.clip(betas + np.linalg.solve(left, right), -_MOST_BETA, _MOST_BETA)
    return betas


def _motion(
    body: Body, betas: FloatArray, turn: FloatArray, trans: FloatArray, source: Performance
) -> Motion:
    """The motion of the body from the turns of its joints in the world."""
    import torch

    from rigs.kinematics import rotvec_from_rotation
    from rigs.motion import Motion

    parents = np.array(body.parents)
    local = turn.copy()
    local[:, 1:] = np.swapaxes(turn[:, parents[1:]], -1, -2) @ turn[:, 1:]
    poses = rotvec_from_rotation(torch.from_numpy(local)).numpy().reshape(len(turn), -1)
    contacts: dict[str, Any] = dict(source.contacts)
    return Motion(
        poses=poses,
        trans=trans,
        betas=betas,
        gender="neutral",
        mocap_framerate=source.rate_hz,
        time_s=np.arange(len(turn)) / source.rate_hz,
        joint_names=body.joint_names,
        joints=body.pose_joints(poses, trans, betas).numpy(),
        contacts=np.stack(list(contacts.values()), -1) if contacts else np.zeros((0, 0)),
        contact_names=tuple(contacts),
        body=body.name,
    )
