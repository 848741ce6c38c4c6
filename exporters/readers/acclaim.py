"""Acclaim's pair of files, as the CMU database has them: a skeleton (.asf), and a motion of it (.amc).

Every bone starts where its parent ends, and turns against it by ``C M C^-1``: C the bone's axes, M its
angles, of which the skeleton lists those that are free. (University of Wisconsin, "Acclaim ASF/AMC", 1999.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from scipy.spatial.transform import Rotation

from exporters.axes import FloatArray
from exporters.errors import ExportError
from exporters.readers.moving_skeleton import MovingSkeleton, clean_names, depth_first

RATE_HZ: Final = 120.0
"""The files do not say their rate; the database of CMU has this one."""
_INCH_M = 0.0254
_TRAVEL: Final = ("tx", "ty", "tz")
_TURNS: Final = ("rx", "ry", "rz")
_MOST_BONES = 1000


@dataclass(frozen=True)
class _Bone:
    """A bone of the skeleton."""

    run: FloatArray
    """(3,) from its start to its end, in the file's unit."""
    axes: Rotation
    """Its own axes."""
    freedoms: tuple[str, ...]
    """What the motion lists for it, in order: ``rx``, ``tz`` ..."""


@dataclass(frozen=True)
class _Acclaim:
    """What a skeleton's file says."""

    bones: dict[str, _Bone]
    """By name; the root's has no length."""
    parents: dict[str, str]
    """The bone that each but the root hangs on."""
    metres: float
    """Metres in its unit."""
    degrees: bool
    """Whether its angles are in degrees."""


def read_acclaim(motion: Path) -> MovingSkeleton:
    """The motion of an .amc on the skeleton of the .asf beside it; the motion of an .asf is empty.

    Raises:
        ExportError: no skeleton, or a file that cannot be understood.
    """
    skeleton = _skeleton_of(motion)
    try:
        acclaim = _parse_skeleton(skeleton.read_text(encoding="latin1"))
        values = {name: np.zeros((0, len(bone.freedoms))) for name, bone in acclaim.bones.items()}
        if skeleton != motion:
            values |= _parse_motion(motion.read_text(encoding="latin1"), acclaim)
        return _moving(acclaim, values)
    except (ValueError, KeyError, IndexError) as error:
        raise ExportError(f"{skeleton.name} is broken or no Acclaim skeleton: {error}") from error


def _skeleton_of(motion: Path) -> Path:
    """The .asf whose name the motion's begins with, or the only one beside it."""
    if motion.suffix.lower() == ".asf":
        return motion
    beside = [path for path in sorted(motion.parent.iterdir()) if path.suffix.lower() == ".asf"]
    named = [path for path in beside if motion.stem.startswith(path.stem)]
    if named:
        return max(named, key=lambda path: len(path.stem))
    if len(beside) != 1:
        raise ExportError(f"no skeleton for it; put its .asf beside it, such as {motion.stem}.asf")
    return beside[0]


def _parse_skeleton(text: str) -> _Acclaim:
    """Bones in the file's order, the root first."""
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    sections: dict[str, list[list[str]]] = {}
    current: list[list[str]] = []
    for words in (words for words in lines if words):
        if words[0].startswith(":"):
            current = sections.setdefault(words[0].lower(), [])
            words = words[1:]  # noqa: PLW2901 (what follows a section's name belongs to it)
        if words:
            current.append(words)
    units = {words[0].lower(): words[1] for words in sections[":units"] if len(words) > 1}
    degrees = not units.get("angle", "deg").lower().startswith("rad")
    root = {words[0].lower(): words[1:] for words in sections[":root"]}
    position = np.array(root.get("position", [0, 0, 0])[:3], dtype=float)
    order = root.get("axis", ["XYZ"])[0].lower()
    turned = np.array(root.get("orientation", [0, 0, 0])[:3], dtype=float)
    freedoms = tuple(word.lower() for word in root["order"])
    bones = {"root": _Bone(position, Rotation.from_euler(order, turned, degrees=degrees), freedoms)}
    for block in _blocks(sections[":bonedata"]):
        word = {words[0].lower(): words[1:] for words in block}
        run = np.array(word["direction"][:3], dtype=float)
        run *= float(word["length"][0]) / max(float(np.linalg.norm(run)), 1e-12)
        angles = np.array(word["axis"][:3], dtype=float)
        axes = Rotation.from_euler(word["axis"][3].lower(), angles, degrees=degrees)
        free = tuple(name.lower() for name in word.get("dof", []))
        bones[word["name"][0]] = _Bone(run, axes, free)
    if len(bones) > _MOST_BONES:
        raise ValueError(f"{len(bones)} bones")
    tree = _blocks(sections[":hierarchy"])[0]
    parents = {child: words[0] for words in tree for child in words[1:]}
    for name in {*bones, *parents, *parents.values()} - {"root"}:
        if name not in bones or name not in parents:
            raise ValueError(f"bone {name!r} lacks data or a parent")
    metres = _INCH_M / float(units.get("length", 1.0))
    return _Acclaim(bones, parents, metres, degrees)


def _blocks(lines: list[list[str]]) -> list[list[list[str]]]:
    """Lines between each ``begin`` and ``end``."""
    found: list[list[list[str]]] = []
    inside: list[list[str]] | None = None
    for words in lines:
        if words[0].lower() == "begin":
            inside = []
        elif words[0].lower() == "end" and inside is not None:
            found.append(inside)
            inside = None
        elif inside is not None:
            inside.append(words)
    return found


def _parse_motion(text: str, acclaim: _Acclaim) -> dict[str, FloatArray]:
    """(T, freedoms) for each bone that moves."""
    found: dict[str, list[list[float]]] = {name: [] for name, bone in acclaim.bones.items() if bone.freedoms}
    num_frames = 0
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words or words[0].startswith(":"):
            continue
        if len(words) == 1 and re.fullmatch(r"\d+", words[0]):
            num_frames += 1
            continue
        name = words[0]
        if name not in found:
            raise ExportError(
                f"line {number}: the skeleton has no bone {name!r} that moves; is it another's?"
            )
        try:
            row = [float(word) for word in words[1:]]
        except ValueError:
            row = []
        if len(row) != len(acclaim.bones[name].freedoms) or not np.isfinite(row).all():
            wanted = len(acclaim.bones[name].freedoms)
            raise ExportError(f"line {number}: {name} needs {wanted} numbers; the file is cut off or broken")
        found[name].append(row)
    for name, rows in found.items():
        if len(rows) != num_frames:
            raise ExportError(f"{num_frames} frames, but {len(rows)} of bone {name}; the file is cut off")
    return {name: np.array(rows, dtype=float).reshape(num_frames, -1) for name, rows in found.items()}


def _moving(acclaim: _Acclaim, values: dict[str, FloatArray]) -> MovingSkeleton:
    """Joints where bones start, each named like the bone that it turns."""
    names = list(acclaim.bones)
    up = [names.index(acclaim.parents[name]) if name in acclaim.parents else -1 for name in names]
    order, parents = depth_first(names, up)
    num_frames = len(values["root"])
    turns: list[Rotation] = []
    places: list[FloatArray] = []
    rest = np.zeros((len(order), 3))
    for place, index in enumerate(order):
        bone = acclaim.bones[names[index]]
        own = bone.axes * _turn(bone, values.get(names[index]), num_frames, acclaim.degrees) * bone.axes.inv()
        if parents[place] < 0:
            columns = [bone.freedoms.index(axis) for axis in _TRAVEL]
            turns.append(own)
            places.append(values["root"][:, columns] + bone.run)
            rest[place] = bone.run
        else:
            above = acclaim.bones[names[order[parents[place]]]]
            run = above.run if parents[place] else np.zeros(3)  # the root has no length
            turns.append(turns[parents[place]] * own)
            places.append(places[parents[place]] + turns[parents[place]].apply(run).reshape(-1, 3))
            rest[place] = rest[parents[place]] + run
    tips = {
        place: rest[place] + acclaim.bones[names[index]].run
        for place, index in enumerate(order)
        if place not in parents and place
    }
    return MovingSkeleton(
        names=clean_names([names[index] for index in order]),
        parents=parents,
        rest_xyz=rest,
        rest_turn=np.tile(np.eye(3), (len(order), 1, 1)),
        xyz=np.stack(places, axis=1),
        turn=np.stack([turn.as_matrix().reshape(-1, 3, 3) for turn in turns], axis=1),
        rate_hz=RATE_HZ,
        tips=tips,
        up="+y",
        metres=acclaim.metres,
    )


def _turn(bone: _Bone, values: FloatArray | None, num_frames: int, degrees: bool) -> Rotation:
    """(T,) turns by a bone's angles, in the order that the skeleton lists them."""
    columns = [index for index, name in enumerate(bone.freedoms) if name in _TURNS]
    if values is None or not columns or not num_frames:
        return Rotation.from_matrix(np.tile(np.eye(3), (num_frames, 1, 1)))
    order = "".join(bone.freedoms[index][1] for index in columns)
    return Rotation.from_euler(order, values[:, columns], degrees=degrees)
