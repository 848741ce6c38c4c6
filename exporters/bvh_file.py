"""What a BVH file says, ours or another program's, in its own axes and unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from exporters.axes import FloatArray
from exporters.errors import ExportError
from exporters.euler import axis_rotation


@dataclass(frozen=True)
class BvhFile:
    """What a BVH file says, in its own axes and unit, over T frames and N joints."""

    joint_names: tuple[str, ...]
    """Names in the file, parents before children."""
    parents: tuple[int, ...]
    """Index of each joint's parent, -1 for the root."""
    offsets: FloatArray
    """(N, 3) OFFSETs, the root's included."""
    end_sites: Mapping[int, FloatArray]
    """(3,) OFFSET of the end site of some joints."""
    frame_time_s: float
    """Seconds from frame to frame."""
    local_xyz: FloatArray
    """(T, N, 3) each joint in its parent's frame: its position channels, or its OFFSET where it has none."""
    local_rotation: FloatArray
    """(T, N, 3, 3) each joint in its parent's frame."""

    def joints_xyz(self) -> FloatArray:
        """(T, N, 3) where the joints are, in the file's axes and unit."""
        import torch

        from rigs.kinematics import world_from_joint

        rotation, local_xyz = torch.from_numpy(self.local_rotation), torch.from_numpy(self.local_xyz)
        return world_from_joint(rotation, local_xyz, self.parents)[1].numpy()


@dataclass
class _Joint:
    """A joint while its file is being read."""

    name: str
    parent: int
    line: int
    offset: FloatArray | None = None
    channels: list[str] = field(default_factory=list[str])
    end_site: FloatArray | None = None


def parse_bvh(data: bytes) -> BvhFile:
    """Read a BVH file of any program, in its own axes and unit.

    Any order and number of channels, position channels on any joint (they replace its OFFSET, as Blender
    reads them), spaces in names, missing end sites, any line ends and any spacing are understood.

    Raises:
        ExportError: with the line that cannot be read.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = text.splitlines()
    joints, motion_line = _read_hierarchy(lines)
    values, frame_time_s = _read_motion(lines, motion_line, sum(len(joint.channels) for joint in joints))
    offsets = np.stack([_offset(joint) for joint in joints])
    local_xyz = np.repeat(offsets[None], len(values), axis=0)
    local_rotation = np.tile(np.eye(3), (len(values), len(joints), 1, 1))
    column = 0
    for index, joint in enumerate(joints):
        for channel in joint.channels:
            axis = "xyz".index(channel[0])
            if channel.endswith("position"):
                local_xyz[:, index, axis] = values[:, column]
            else:
                turn = axis_rotation(axis, np.deg2rad(values[:, column]))
                local_rotation[:, index] = local_rotation[:, index] @ turn
            column += 1
    return BvhFile(
        joint_names=tuple(joint.name for joint in joints),
        parents=tuple(joint.parent for joint in joints),
        offsets=offsets,
        end_sites={i: joint.end_site for i, joint in enumerate(joints) if joint.end_site is not None},
        frame_time_s=frame_time_s,
        local_xyz=local_xyz,
        local_rotation=local_rotation,
    )


class _Hierarchy:
    """Builds the joints, one statement after another."""

    def __init__(self) -> None:
        self.joints: list[_Joint] = []
        self.open: list[int] = []  # whose braces are open: a joint's index, -1 for an end site
        self.next: int | None = None  # whose brace comes next
        self.readers: dict[str, Callable[[list[str], int], None]] = {
            "HIERARCHY": lambda words, number: None,
            "ROOT": self.joint,
            "JOINT": self.joint,
            "END": self.end_site,
            "{": self.brace,
            "}": self.closing_brace,
            "OFFSET": self.offset,
            "CHANNELS": self.channels,
        }

    def joint(self, words: list[str], number: int) -> None:
        name = " ".join(words[1:])
        parent = self.open[-1] if self.open else -1
        if not name:
            _fail(number, f"a {words[0]} without a name")
        if name in {joint.name for joint in self.joints}:
            _fail(number, f"a second joint named {name!r}; rename one")
        if (parent < 0) != (not self.joints):
            _fail(number, f"joint {name!r} has no parent; only one ROOT is understood")
        self.joints.append(_Joint(name, parent, number))
        self.next = len(self.joints) - 1

    def end_site(self, words: list[str], number: int) -> None:
        if not self.open or self.open[-1] < 0:
            _fail(number, f"{' '.join(words)} outside of a joint")
        self.next = -1

    def brace(self, words: list[str], number: int) -> None:
        if self.next is None:
            _fail(number, f"{words[0]} after nothing that has a body")
        self.open.append(self.next)
        self.next = None

    def closing_brace(self, words: list[str], number: int) -> None:
        if not self.open:
            _fail(number, f"{words[0]} closes what never opened")
        self.open.pop()

    def offset(self, words: list[str], number: int) -> None:
        if not self.open:
            _fail(number, "an OFFSET outside of a joint")
        offset = _numbers(words[1:], 3, number)
        if self.open[-1] >= 0:
            self.joints[self.open[-1]].offset = offset
        else:
            self.joints[self.open[-2]].end_site = offset

    def channels(self, words: list[str], number: int) -> None:
        if not self.open or self.open[-1] < 0:
            _fail(number, "CHANNELS outside of a joint")
        channels = [word.lower() for word in words[2:]]
        if len(words) < 2 or words[1] != str(len(channels)):
            _fail(number, f"{' '.join(words[:2])}, but {len(channels)} follow")
        for channel in channels:
            if channel[0] not in "xyz" or channel[1:] not in ("position", "rotation"):
                _fail(number, f"unknown channel {channel!r}")
        self.joints[self.open[-1]].channels = channels


def _read_hierarchy(lines: list[str]) -> tuple[list[_Joint], int]:
    """The joints, and the number of the line MOTION."""
    hierarchy = _Hierarchy()
    for number, line in enumerate(lines, start=1):
        for words in _statements(line):
            keyword = words[0].upper()
            if keyword == "MOTION":
                if hierarchy.open or not hierarchy.joints:
                    _fail(number, "MOTION before the last brace has closed" if hierarchy.open else "no ROOT")
                return hierarchy.joints, number
            if keyword not in hierarchy.readers:
                _fail(number, f"cannot read {line.strip()[:40]!r}")
            hierarchy.readers[keyword](words, number)
    raise ExportError("no MOTION in the BVH; it is cut off, or not a BVH file")


def _statements(line: str) -> list[list[str]]:
    """A line's statements as words: usually one, but a brace may stand behind a name."""
    words = line.split()
    if len(words) > 1 and words[-1] in ("{", "}"):
        return [words[:-1], words[-1:]]
    return [words] if words else []


def _offset(joint: _Joint) -> FloatArray:
    if joint.offset is None:
        _fail(joint.line, f"joint {joint.name!r} has no OFFSET")
    return joint.offset


def _read_motion(lines: list[str], start: int, num_channels: int) -> tuple[FloatArray, float]:
    """(T, channels) the numbers as they stand, and seconds from frame to frame."""
    rest = [(number, line.split()) for number, line in enumerate(lines[start:], start + 1) if line.strip()]
    if len(rest) < 2:
        raise ExportError("the BVH ends after MOTION; it is cut off")
    (number, words), (time_number, time_words) = rest[:2]
    if words[0].lower().rstrip(":") != "frames" or not words[-1].isdigit():
        _fail(number, "expected 'Frames: N'")
    if [word.lower().rstrip(":") for word in time_words[:2]] != ["frame", "time"]:
        _fail(time_number, "expected 'Frame Time: seconds'")
    frame_time_s = float(_numbers(time_words[2:], 1, time_number)[0])
    if frame_time_s <= 0:
        _fail(time_number, f"a Frame Time of {frame_time_s}")
    num_frames = int(words[-1])
    if num_frames != len(rest) - 2 or num_frames == 0:
        _fail(number, f"{num_frames} frames announced, {len(rest) - 2} follow; is the file cut off?")
    return np.stack([_numbers(row, num_channels, at) for at, row in rest[2:]]), frame_time_s


def _numbers(words: list[str], expected: int, number: int) -> FloatArray:
    if len(words) != expected:
        _fail(number, f"expected {expected} numbers, found {len(words)}")
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        _fail(number, f"not numbers: {' '.join(words)[:60]!r}")
    if not np.isfinite(values).all():
        _fail(number, "a number is not finite")
    return values


def _fail(number: int, what: str) -> NoReturn:
    raise ExportError(f"BVH line {number}: {what}")
