"""MOT for OpenSim: the coordinates of its full-body model over time, in degrees and metres.

Names, axes and signs are those of the model of Rajagopal et al. (2016, doi 10.1109/TBME.2016.2586891), its
ground Y up, X forward, Z right. Each joint's rotation is split as the model's joints turn: about Z, then X,
then Y. Its arms hang where ours are stretched out, so a T pose has an arm_add of -90; pronation counts from
palms that face the thighs. What the model's joints cannot do (a knee that turns sideways) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from exporters.animation import animate
from exporters.axes import Axes, FloatArray
from exporters.errors import ExportError
from exporters.euler import axis_rotation, continuous_euler
from exporters.table import number_rows
from exporters.take import Character, Take

MOT_AXES: Final = Axes(up="+y", forward="+x", unit="m")
"""OpenSim's ground."""

_DECIMALS: Final = 6


@dataclass(frozen=True)
class _Coordinates:
    """A joint of the model: how one segment turns against another."""

    parent: str
    """Our joint whose frame the segment nearer to the root has; empty for the ground."""
    child: str
    """Our joint whose frame the other segment has."""
    names: tuple[str, str, str]
    """Coordinates for the turns about Z, X and Y; empty where the model has none."""
    signs: tuple[float, float, float]
    """What a positive coordinate turns like: +1 as the axis, -1 against it."""


def _limb(side: str) -> tuple[_Coordinates, ...]:
    """The joints of an arm and a leg. Z points right, so flexion has one sign, and the others mirror."""
    mirror, s = (1.0, "r") if side == "right" else (-1.0, "l")

    def joint(parent: str, child: str, *names: str, first: float = 1.0) -> _Coordinates:
        z, x, y = (f"{name}_{s}" if name else "" for name in names)
        return _Coordinates(f"{side}_{parent}", f"{side}_{child}", (z, x, y), (first, mirror, mirror))

    hip = ("hip_flexion", "hip_adduction", "hip_rotation")
    return (
        _Coordinates("pelvis", f"{side}_hip", tuple(f"{n}_{s}" for n in hip), (1.0, mirror, mirror)),  # type: ignore[arg-type]
        joint("hip", "knee", "knee_angle", "", "", first=-1.0),
        joint("knee", "ankle", "ankle_angle", "subtalar_angle", ""),
        joint("ankle", "foot", "mtp_angle", "", ""),
        _Coordinates(
            "spine3",
            f"{side}_shoulder",
            (f"arm_flex_{s}", f"arm_add_{s}", f"arm_rot_{s}"),
            (1.0, mirror, mirror),
        ),
        joint("shoulder", "elbow", "elbow_flex", "", "pro_sup"),
        joint("elbow", "wrist", "wrist_flex", "wrist_dev", ""),
    )


MODEL: Final = (
    _Coordinates("", "pelvis", ("pelvis_tilt", "pelvis_list", "pelvis_rotation"), (1.0, 1.0, 1.0)),
    *_limb("right"),
    *_limb("left"),
    _Coordinates(
        "pelvis", "spine3", ("lumbar_extension", "lumbar_bending", "lumbar_rotation"), (1.0, 1.0, 1.0)
    ),
)
"""The model's joints."""


def export_mot(take: Take, /, *, start_frame: int = 0, end_frame: int | None = None) -> dict[str, bytes]:
    """One MOT file for each person.

    Args:
        take: the people and their motions; joints of SMPL's names.
        start_frame: first frame of the motion that is written; it lies at time 0 of the file.
        end_frame: frame after the last one, counted from the end where negative; all if left out.

    Returns:
        {file name: contents}.

    Raises:
        ExportError: a skeleton without the model's joints, or frames without a pose.
    """
    frames = slice(start_frame, end_frame)
    return {f"{character.name}.mot": _mot(character, frames) for character in take.characters}


def _mot(character: Character, frames: slice) -> bytes:
    names = character.skeleton.joint_names
    missing = sorted({joint for part in MODEL for joint in (part.parent, part.child) if joint} - set(names))
    if missing:
        raise ExportError(f"person {character.name}: MOT needs SMPL's joints; there is no {missing[0]}")
    animation = animate(character, {name: name for name in names}, MOT_AXES, frames)
    turns: dict[str, FloatArray] = {}
    for joint, (name, parent) in enumerate(
        zip(animation.hierarchy.names, animation.hierarchy.parents, strict=True)
    ):
        own = animation.rotation[:, joint]
        turns[name] = own if parent < 0 else turns[animation.hierarchy.names[parent]] @ own
    hanging = {name: turn @ _stretched(name) for name, turn in turns.items()}
    columns: dict[str, FloatArray] = {}
    for part in MODEL:
        turn = hanging[part.child]
        if part.parent:
            turn = np.swapaxes(hanging[part.parent], -1, -2) @ turn
        degrees = np.rad2deg(continuous_euler(turn, "ZXY")) * part.signs
        columns |= {name: degrees[:, row] for row, name in enumerate(part.names) if name}
        if part.child == "pelvis":
            columns |= {f"pelvis_t{axis}": animation.root_xyz[:, row] for row, axis in enumerate("xyz")}
    table = np.column_stack([animation.time_s, *columns.values()])
    head = [
        character.name,
        "version=1",
        f"nRows={len(table)}",
        f"nColumns={table.shape[1]}",
        "inDegrees=yes",
        "endheader",
        "\t".join(["time", *columns]),
    ]
    return ("\n".join([*head, *number_rows(table, _DECIMALS, "\t")]) + "\n").encode()


def _stretched(joint: str) -> FloatArray:
    """(3, 3) turn that brings a hanging arm, palm to the thigh, where it is at rest: out to its side."""
    side, _, part = joint.partition("_")
    if part not in ("shoulder", "elbow", "wrist", "hand"):
        return np.eye(3)
    return axis_rotation(0, np.array(-np.pi / 2 if side == "right" else np.pi / 2))
