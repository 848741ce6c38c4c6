"""C3D, by ezc3d: what laboratories read. Keypoints as markers, joints as further points, steps as events.

Z up, millimetres, floats. A point's residual is the standard deviation of its place; of the camera mask as
many bits are set as cameras saw the point, whichever they were.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exporters.axes import WORLD, Axes, FloatArray
from exporters.errors import ExportError
from exporters.hierarchy import check_names
from exporters.libraries import need
from exporters.take import Character, Take
from exporters.timecode import Timecode

C3D_AXES: Final = Axes(up="+z", forward="-y", unit="mm")
"""Our world in millimetres; the file names the axes of its screen."""

_MOST_FRAMES: Final = 65535
"""What two bytes of the header count; readers trust no other number."""
_LONGEST: Final = 255
"""A parameter's dimension is one byte: letters of a name, and names in one parameter."""
_MOST_BYTES: Final = 120_000
"""Of the parameters, which fill at most 255 blocks of 512 bytes; names take most of it."""
_RESIDUAL_STEP_MM: Final = 0.1
"""A residual is one byte, in these steps."""
_MOST_VIEWS: Final = 7
_MOST_EVENTS: Final = _LONGEST
"""Readers look for them in one parameter; later events are left out."""
_STANDS: Final = 0.5
"""Probability of contact from which on a foot counts as standing."""


def export_c3d(take: Take, /, *, start_frame: int = 0, end_frame: int | None = None) -> dict[str, bytes]:
    """One C3D file for each person.

    Args:
        take: the people, their motions and, where there are some, their markers.
        start_frame: first frame of the motion that is written; it lies at time 0 of the file.
        end_frame: frame after the last one, counted from the end where negative; all if left out.

    Returns:
        {file name: contents}; the same bytes for the same input. A point that is not known in a frame is
        marked as missing, as the format has it.

    Raises:
        ExportError: ezc3d is not installed, no frames, or more than the format counts.
    """
    frames = slice(start_frame, end_frame)
    timecode = take.timecode_of(frames)
    return {f"{one.name}.c3d": _c3d(one, frames, timecode) for one in take.characters}


def _c3d(character: Character, frames: slice, timecode: Timecode | None) -> bytes:
    ezc3d = need("ezc3d", "ezc3d", "C3D")
    names, kinds, xyz, std, views = _points(character, frames)
    count = len(xyz)
    if not 1 <= count <= _MOST_FRAMES:
        raise ExportError(
            f"person {character.name}: {count} frames, and C3D holds 1 to {_MOST_FRAMES}; "
            "choose them with start_frame and end_frame"
        )
    _check_labels(character, names, kinds)
    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [character.motion.mocap_framerate]
    point["UNITS"]["value"] = ["mm"]
    point["SCALE"]["value"] = [-_RESIDUAL_STEP_MM]  # negative: coordinates are floats
    point["LABELS"]["value"] = names  # the library makes LABELS2 of what is too much for one
    point["DESCRIPTIONS"]["value"] = kinds[:_LONGEST]
    for part in range(1, (len(kinds) - 1) // _LONGEST + 1):
        file.add_parameter("POINT", f"DESCRIPTIONS{part + 1}", kinds[part * _LONGEST : (part + 1) * _LONGEST])
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    file.add_parameter("SUBJECTS", "NAMES", [character.name])
    file.add_parameter("SUBJECTS", "USED", [1])
    file.add_parameter("MANUFACTURER", "SOFTWARE", ["Mocap Studio"])
    if timecode is not None:
        file.add_parameter("TRIAL", "START_TIMECODE", [str(timecode)])
    seen = np.asarray(np.isfinite(xyz).all(-1))
    values = np.ones((4, len(names), count))
    values[:3] = np.where(seen[..., None], xyz, np.nan).transpose(2, 1, 0)
    steps = np.clip(np.nan_to_num(std * 1000), 0, 255 * _RESIDUAL_STEP_MM)
    file["data"]["points"] = values
    file["data"]["meta_points"]["residuals"] = np.where(seen, steps, -1.0).T[None]
    bits = np.arange(_MOST_VIEWS)[:, None, None] < np.minimum(views, _MOST_VIEWS).T[None]
    file["data"]["meta_points"]["camera_masks"] = bits & seen.T[None]
    _add_events(file, character, frames)
    with tempfile.TemporaryDirectory() as folder:  # the library writes files by name alone
        path = Path(folder) / "points.c3d"
        file.write(str(path))
        return path.read_bytes()


def _check_labels(character: Character, names: list[str], kinds: list[str]) -> None:
    check_names(names, "C3D")
    widest = [max(len(text.encode()) for text in texts) for texts in (names, kinds)]
    if widest[0] > _LONGEST:
        name = max(names, key=lambda each: len(each.encode()))
        raise ExportError(f"C3D holds names of {_LONGEST} bytes at most; shorten {name[:40]}...")
    if len(names) * sum(widest) > _MOST_BYTES:
        raise ExportError(
            f"person {character.name}: the names of {len(names)} points are more than C3D holds; "
            "export fewer points, or as trc or csv"
        )


def _points(
    character: Character, frames: slice
) -> tuple[list[str], list[str], FloatArray, FloatArray, NDArray[np.int64]]:
    """Names, kinds, (T, N, 3) millimetres, (T, N) metres of deviation, (T, N) views."""
    motion, markers = character.motion, character.markers
    joints, std = motion.joints[frames], motion.joint_std[frames]
    names = [f"{name}_joint" for name in motion.joint_names]
    kinds = ["joint of the solved body"] * len(names)
    views = np.zeros(std.shape, dtype=np.int64)
    if markers is not None:
        names = [*markers.names, *names]
        kinds = ["keypoint, triangulated"] * len(markers.names) + kinds
        joints = np.concatenate([markers.xyz[frames], joints], axis=1)
        std = np.concatenate([markers.std[frames], std], axis=1)
        views = np.concatenate([markers.num_views[frames], views], axis=1)
    return names, kinds, C3D_AXES.points(joints, WORLD), std, views


def _add_events(file: Any, character: Character, frames: slice) -> None:
    """Foot Strike where a foot comes to stand, Foot Off where it leaves; times as minutes and seconds."""
    motion = character.motion
    events: list[tuple[float, str, str]] = []
    for side in ("left", "right"):
        columns = [index for index, name in enumerate(motion.contact_names) if name.startswith(side)]
        if not columns:
            continue
        stands = motion.contacts[frames][:, columns].max(axis=1) >= _STANDS
        change = np.diff(stands.astype(np.int8))
        for frame in np.flatnonzero(change) + 1:
            label = "Foot Strike" if change[frame - 1] > 0 else "Foot Off"
            events.append((frame / motion.mocap_framerate, side.capitalize(), label))
    events = sorted(events)[:_MOST_EVENTS]
    if events:
        seconds = np.array([event[0] for event in events])
        sides, labels = [event[1] for event in events], [event[2] for event in events]
        blank, zeros = [""] * len(events), [0] * len(events)
        for name, value in {
            "USED": [len(events)],
            "TIMES": np.stack([seconds // 60, seconds % 60]),
            "CONTEXTS": sides,
            "LABELS": labels,
            "DESCRIPTIONS": blank,
            "SUBJECTS": [character.name] * len(events),
            "ICON_IDS": zeros,
            "GENERIC_FLAGS": zeros,
        }.items():
            file.add_parameter("EVENT", name, value)
