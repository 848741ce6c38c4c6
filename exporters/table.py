"""Joint positions as tables of numbers: TRC for OpenSim, CSV for everything else. One file per person."""

from __future__ import annotations

import io
from typing import Final

import numpy as np

from exporters.axes import WORLD, Axes, FloatArray, Unit
from exporters.errors import ExportError
from exporters.take import Character, Take

TRC_AXES: Final = Axes(up="+y", forward="+x", unit="m")
"""OpenSim's: Y up, models look along X."""

_TRC_DECIMALS: Final = {"m": 6, "mm": 3}


def export_trc(
    take: Take, /, *, unit: Unit = "m", start_frame: int = 0, end_frame: int | None = None
) -> dict[str, bytes]:
    """One TRC file for each person, its markers the joints of the body.

    Args:
        take: the people and their motions.
        unit: m or mm, which the file names.
        start_frame: first frame of the motion that is written; it lies at time 0 of the file.
        end_frame: frame after the last one, counted from the end where negative; all if left out.

    Returns:
        {file name: contents}; a joint that is not known in a frame is left blank, as the format has it.

    Raises:
        ExportError: another unit, or no frames.
    """
    if unit not in _TRC_DECIMALS:
        raise ExportError(f"TRC is in m or mm, not {unit!r}")
    axes = Axes(TRC_AXES.up, TRC_AXES.forward, unit=unit)
    return {
        f"{character.name}.trc": _trc(character, axes, slice(start_frame, end_frame))
        for character in take.characters
    }


def export_csv(take: Take, /, *, start_frame: int = 0, end_frame: int | None = None) -> dict[str, bytes]:
    """One CSV file for each person: time, joints and their uncertainty, contacts; our own world, metres.

    Args:
        take: the people and their motions.
        start_frame: first frame of the motion that is written.
        end_frame: frame after the last one, counted from the end where negative; all if left out.

    Returns:
        {file name: contents}. ``time_s`` is on the take's clock; what is not known is left blank.
    """
    frames = slice(start_frame, end_frame)
    return {f"{character.name}.csv": _csv(character, frames) for character in take.characters}


def _trc(character: Character, axes: Axes, frames: slice) -> bytes:
    motion = character.motion
    xyz = axes.points(motion.joints[frames], WORLD)
    count, rate = _count(character, xyz), f"{motion.mocap_framerate:.6g}"
    names = motion.joint_names
    head = [
        f"PathFileType\t4\t(X/Y/Z)\t{character.name}.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{count}\t{len(names)}\t{axes.unit}\t{rate}\t1\t{count}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{number}" for number in range(1, len(names) + 1) for axis in "XYZ"),
        "",
    ]
    time_s = np.arange(count) / motion.mocap_framerate
    left = [f"{frame + 1}\t{seconds:.8f}" for frame, seconds in enumerate(time_s)]
    rows = number_rows(xyz.reshape(count, -1), _TRC_DECIMALS[axes.unit], "\t")
    lines = [*head, *(f"{a}\t{b}" for a, b in zip(left, rows, strict=True))]
    return ("\n".join(lines) + "\n").encode()


def _csv(character: Character, frames: slice) -> bytes:
    motion = character.motion
    count = _count(character, motion.joints[frames])
    names = [f"{joint}_{axis}_m" for joint in motion.joint_names for axis in "xyz"]
    names += [f"{joint}_std_m" for joint in motion.joint_names]
    names += [f"{contact}_contact" for contact in motion.contact_names]
    values = np.concatenate(
        [motion.joints[frames].reshape(count, -1), motion.joint_std[frames], motion.contacts[frames]], axis=1
    )
    left = [f"{seconds:.6f}" for seconds in motion.time_s[frames]]
    lines = [
        "time_s," + ",".join(names),
        *(f"{a},{b}" for a, b in zip(left, number_rows(values, 6, ","), strict=True)),
    ]
    return ("\n".join(lines) + "\n").encode()


def _count(character: Character, frames: FloatArray) -> int:
    if not len(frames):
        raise ExportError(
            f"person {character.name}: no frames in that range; the motion has {len(character.motion.time_s)}"
        )
    return len(frames)


def number_rows(values: FloatArray, decimals: int, separator: str) -> list[str]:
    """Lines of numbers; NaN becomes an empty field."""
    stream = io.StringIO()
    np.savetxt(stream, np.round(values, decimals) + 0.0, fmt=f"%.{decimals}f", delimiter=separator)
    return stream.getvalue().replace("nan", "").splitlines()
