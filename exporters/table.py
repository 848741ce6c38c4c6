"""Joint positions as tables of numbers: TRC for OpenSim, CSV for everything else. One file per person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from exporters.axes import WORLD, Axes, FloatArray, Unit
from exporters.errors import ExportError
from exporters.hierarchy import check_names
from exporters.pieces import Pieces, piece_ranges
from exporters.take import Character, Take

TRC_AXES: Final = Axes(up="+y", forward="+x", unit="m")
"""OpenSim's: Y up, models look along X."""

_TRC_DECIMALS: Final = {"m": 6, "mm": 3}


def export_trc(
    take: Take, /, *, unit: Unit = "m", start_frame: int = 0, end_frame: int | None = None
) -> dict[str, Pieces]:
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


def export_csv(take: Take, /, *, start_frame: int = 0, end_frame: int | None = None) -> dict[str, Pieces]:
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


def _trc(character: Character, axes: Axes, frames: slice) -> Pieces:
    motion, chosen = character.motion, _chosen(character, frames)
    return trc_pieces(
        character.name,
        motion.joint_names,
        motion.joints[chosen.start : chosen.stop],
        motion.mocap_framerate,
        axes,
    )


def trc_pieces(
    name: str, markers: Sequence[str], xyz_world: FloatArray, rate_hz: float, axes: Axes
) -> Pieces:
    """A TRC file of markers (T, K, 3) in our world, metres; one that is not known is left blank.

    Raises:
        ExportError: names that would break its lines.
    """
    check_names(markers, "TRC")
    rate, count = f"{rate_hz:.6g}", len(xyz_world)
    head = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{count}\t{len(markers)}\t{axes.unit}\t{rate}\t1\t{count}",
        "Frame#\tTime\t" + "\t\t\t".join(markers) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{number}" for number in range(1, len(markers) + 1) for axis in "XYZ"),
        "",
    ]

    def make() -> Iterator[bytes]:
        yield _lines(head)
        for part in piece_ranges(range(count)):
            xyz = axes.points(xyz_world[part], WORLD)
            left = [f"{number + 1}\t{number / rate_hz:.8f}" for number in range(part.start, part.stop)]
            rows = number_rows(xyz.reshape(len(xyz), -1), _TRC_DECIMALS[axes.unit], "\t")
            yield _lines([f"{a}\t{b}" for a, b in zip(left, rows, strict=True)])

    return Pieces(make)


def _csv(character: Character, frames: slice) -> Pieces:
    motion, chosen = character.motion, _chosen(character, frames)
    names = [f"{joint}_{axis}_m" for joint in motion.joint_names for axis in "xyz"]
    names += [f"{joint}_std_m" for joint in motion.joint_names]
    names += [f"{contact}_contact" for contact in motion.contact_names]
    kept = slice(chosen.start, chosen.stop)
    return csv_pieces(
        motion.time_s[kept], names, (motion.joints[kept], motion.joint_std[kept], motion.contacts[kept])
    )


def csv_pieces(time_s: FloatArray, names: Sequence[str], groups: Sequence[FloatArray]) -> Pieces:
    """A CSV file of groups of columns (T, ...) beside the time in seconds; NaN is left blank."""

    def make() -> Iterator[bytes]:
        yield _lines([",".join(_field(name) for name in ("time_s", *names))])
        for part in piece_ranges(range(len(time_s))):
            count = part.stop - part.start
            values = np.concatenate([group[part].reshape(count, -1) for group in groups], axis=1)
            left = [f"{seconds:.6f}" for seconds in time_s[part]]
            rows = number_rows(values, 6, ",")
            yield _lines([f"{a},{b}" for a, b in zip(left, rows, strict=True)])

    return Pieces(make)


def _field(name: str) -> str:
    """A heading of a CSV column, in quotes where it must be."""
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"\n\r') else name


def _lines(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _chosen(character: Character, frames: slice) -> range:
    chosen = range(len(character.motion.time_s))[frames]
    if not chosen:
        raise ExportError(
            f"person {character.name}: no frames in that range; the motion has {len(character.motion.time_s)}"
        )
    return chosen


def number_rows(values: FloatArray, decimals: int, separator: str) -> list[str]:
    """Lines of numbers; NaN becomes an empty field."""
    pattern = separator.join([f"%.{decimals}f"] * values.shape[1])
    rounded = np.round(values, decimals) + 0.0  # no "-0.000"
    return [(pattern % tuple(row)).replace("nan", "") for row in rounded.tolist()]
