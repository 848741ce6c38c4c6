"""Read characters and their motion from BVH, FBX, GLB and ASF/AMC files that any program wrote.

Every reader returns a :class:`MovingSkeleton` in the file's own axes; :func:`read_performance` brings it into
our world under our joints' names, and :func:`rig_from_file` makes a rig of the character at rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from exporters.bvh_file import parse_bvh
from exporters.errors import ExportError
from exporters.readers.acclaim import read_acclaim
from exporters.readers.fbx_scene import read_fbx
from exporters.readers.glb_file import read_glb
from exporters.readers.moving_skeleton import MovingSkeleton, Upright, clean_names, stand_up
from rigs.errors import RigError
from rigs.retarget import Performance
from rigs.retarget.performance import SPINE
from rigs.rig import ExtraJoint, FileRig, Rig, load_rig
from rigs.rig_match import match_joints

__all__ = [
    "READERS",
    "Imported",
    "MovingSkeleton",
    "load_any_rig",
    "performance_in",
    "read_performance",
    "read_skeleton",
    "rig_from_file",
]


def read_bvh_skeleton(data: bytes) -> MovingSkeleton:
    """The skeleton of a BVH file and how it moves; the format says neither its unit nor which way is up."""
    import torch

    from rigs.kinematics import world_from_joint

    file = parse_bvh(data)
    turn, xyz = world_from_joint(
        torch.from_numpy(file.local_rotation), torch.from_numpy(file.local_xyz), file.parents
    )
    rest_xyz = file.offsets.copy()
    for joint, parent in enumerate(file.parents):
        rest_xyz[joint] += rest_xyz[parent] if parent >= 0 else 0.0
    return MovingSkeleton(
        names=clean_names(list(file.joint_names)),
        parents=file.parents,
        rest_xyz=rest_xyz,
        rest_turn=np.tile(np.eye(3), (len(rest_xyz), 1, 1)),
        xyz=xyz.numpy(),
        turn=turn.numpy(),
        rate_hz=1 / file.frame_time_s,
        tips={joint: rest_xyz[joint] + offset for joint, offset in file.end_sites.items()},
    )


def _from_bytes(reader: Callable[[bytes], MovingSkeleton]) -> Callable[[Path], MovingSkeleton]:
    return lambda path: reader(path.read_bytes())


READERS: Final[dict[str, Callable[[Path], MovingSkeleton]]] = {
    ".bvh": _from_bytes(read_bvh_skeleton),
    ".fbx": _from_bytes(read_fbx),
    ".glb": _from_bytes(read_glb),
    ".amc": read_acclaim,
    ".asf": read_acclaim,
}
"""Readers by the file's suffix."""


@dataclass(frozen=True)
class Imported:
    """A performance from a file."""

    performance: Performance
    """The performance, in our world."""
    names: Mapping[str, str]
    """{our joint: name in the file}."""
    left_out: tuple[str, ...]
    """Joints of the file that are none of ours."""


def read_skeleton(path: Path) -> MovingSkeleton:
    """What a file says, in its own axes.

    Raises:
        ExportError: no such file, a format that is not read, or a file that is broken.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ExportError(f"{path.name}: cannot be read; use one of {', '.join(READERS)}")
    try:
        return reader(path)
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror}") from error
    except ExportError as error:
        raise ExportError(f"{path.name}: {error}") from error


def read_performance(
    path: Path, rig: str | Rig | None = None, *, unit: str | None = None, up: str | None = None
) -> Imported:
    """The motion in a file, told by our joints.

    Args:
        path: a file of ``READERS``.
        rig: whose names its joints have: a preset or a TOML file; told from the names if left out.
        unit: m, cm, mm, inch or cmu, where the format does not say and the height does not tell.
        up: y or z, likewise.

    Raises:
        ExportError: a file that cannot be read, or a skeleton that is not a person's.
    """
    return performance_in(read_skeleton(path), path.name, rig, unit=unit, up=up)


def performance_in(
    skeleton: MovingSkeleton,
    file: str,
    rig: str | Rig | None = None,
    *,
    unit: str | None = None,
    up: str | None = None,
) -> Imported:
    """The motion of a skeleton from a file of this name; else as ``read_performance``."""
    if not len(skeleton.xyz):
        raise ExportError(f"{file}: there is no motion in this file; export the animation too")
    ours, loaded = _matched(file, skeleton, rig)
    body = stand_up(skeleton, ours, unit=unit, up=up)
    names = tuple(ours)
    rows = [ours[name] for name in names]
    rolled = {
        extra.under: skeleton.names.index(extra.name)
        for extra in (loaded.extras if loaded else ())
        if extra.kind == "twist" and extra.name in skeleton.names
    }
    turns = [rolled.get(name, row) for name, row in zip(names, rows, strict=True)]
    try:
        performance = Performance(
            names, body.rest_xyz[rows], body.turn[:, turns], body.xyz[:, rows], body.rate_hz
        )
    except RigError as error:
        raise ExportError(f"{file}: {error}") from error
    known = {name: skeleton.names[row] for name, row in zip(names, rows, strict=True)}
    others = tuple(name for index, name in enumerate(skeleton.names) if index not in {*rows, *turns})
    return Imported(performance, known, others)


def rig_from_file(path: Path, rig: str | Rig | None = None) -> Rig:
    """The rig of a character in a file, in its own proportions and rest pose.

    Args:
        path: a file of ``READERS``; its motion does not matter.
        rig: whose names its joints have; told from the names if left out.

    Raises:
        ExportError: a file that cannot be read, or a skeleton that is not a person's.
    """
    skeleton = read_skeleton(path)
    ours, _ = _matched(path.name, skeleton, rig)
    body = stand_up(skeleton, ours)
    own = FileRig(body.names, body.parents, body.rest_xyz, body.frames)
    names = {name: skeleton.names[index] for name, index in ours.items()}
    return Rig(path.name, names, tuple(_between(body, ours)), own=own)


def load_any_rig(name: str) -> Rig:
    """A rig by any name that users know it by: a preset, a TOML file, or a character's file.

    A TOML file may name a character's file itself (``file = "hero.fbx"``, beside it), and then need hold only
    the names that were matched wrongly; an empty name says that the character lacks a joint.

    Raises:
        ExportError: there is none, or it cannot be used.
    """
    path = Path(name)
    try:
        if path.suffix.lower() in READERS:
            return rig_from_file(path)
        if path.suffix.lower() == ".toml":
            from rigs.rig_names import rig_source

            table = rig_source(name)
            if "file" in table:
                return _corrected(path, dict(table))
        return load_rig(name)
    except RigError as error:
        raise ExportError(str(error)) from error


def _corrected(path: Path, table: dict[str, object]) -> Rig:
    """The rig of a character with a user's own words on which joint is which."""
    names = table.get("names", {})
    if not isinstance(names, dict):
        raise ExportError(f"{path.name}: [names] must hold lines such as left_hip = 'LeftUpLeg'")
    corrections = {str(ours): str(theirs) for ours, theirs in names.items()}
    return rig_from_file(path.parent / str(table["file"]), Rig(path.name, corrections))


def _matched(file: str, skeleton: MovingSkeleton, rig: str | Rig | None) -> tuple[dict[str, int], Rig | None]:
    """{our joint: index} and the rig that says so; a user's rig corrects what the names tell."""
    preset = rig if isinstance(rig, str) and not rig.endswith(".toml") else None
    try:
        ours = match_joints(skeleton.names, skeleton.parents, preset)
        loaded = load_any_rig(rig) if isinstance(rig, str) else rig
    except RigError as error:
        raise ExportError(str(error)) from error
    if loaded is not None and preset is None:
        for joint, theirs in loaded.names.items():
            if theirs and theirs not in skeleton.names:
                listed = ", ".join(skeleton.names[:40])
                raise ExportError(f"{file} has no joint {theirs!r}; it has {listed}")
            ours = {name: index for name, index in ours.items() if name != joint}
            if theirs:
                index = skeleton.names.index(theirs)
                ours = {name: other for name, other in ours.items() if other != index} | {joint: index}
    missing = [name for name in _NEEDED if name not in ours]
    if missing:
        raise ExportError(
            f"{file}: which joints are {', '.join(missing)}? Name them in a .toml file with [names]"
        )
    return ours, loaded or _fitting_preset(skeleton, ours)


_NEEDED: Final = tuple(
    ["pelvis", *(f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle"))]
)


def _fitting_preset(skeleton: MovingSkeleton, ours: Mapping[str, int]) -> Rig | None:
    """The preset with joints behind those that only swing, where the file has them."""
    daz = load_rig("daz")
    return daz if any(extra.name in skeleton.names for extra in daz.extras if extra.kind == "twist") else None


def _between(body: Upright, ours: Mapping[str, int]) -> list[ExtraJoint]:
    """Further joints of the spine, between two that we know: they take an even share of the bend."""
    extras: list[ExtraJoint] = []
    known = [name for name in SPINE if name in ours]
    for lower, upper in pairwise(known):
        chain: list[int] = []
        joint = body.parents[ours[upper]]
        while joint >= 0 and joint != ours[lower]:
            chain.insert(0, joint)
            joint = body.parents[joint]
        if joint < 0 or lower == "pelvis":  # what hangs on the pelvis before the spine moves with it
            continue
        extras += [
            ExtraJoint(body.names[index], lower, toward=upper, share=(number + 1) / (len(chain) + 1))
            for number, index in enumerate(chain)
        ]
    return extras
