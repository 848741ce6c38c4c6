"""Programs that people take their motion to, and what each wants: ``--for unreal``. Data alone.

The formats' defaults are right in every one of these programs; a target chooses among what is right: the rig
that it maps by itself, the unit that needs no typing, a T pose where it looks for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from exporters.errors import ExportError


@dataclass(frozen=True)
class Target:
    """What one program wants."""

    format: str
    """The format that serves it best."""
    rig: str
    """The rig that it knows without a table."""
    cameras: bool = False
    """Whether cameras are of use there, or clutter."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Options that differ from the defaults, by format."""


_CM = {"unit": "cm"}
_USD = ("usda", "usdc", "usdz")
# They read cubic keys, of which smooth motion needs few; keys are left out on demand alone.
_SMOOTH = {"fbx": {"smooth_keys": True}}
_TPOSE_FIRST = {
    "bvh": {"tpose_first_frame": True},
    "fbx": {"tpose_first_frame": True, "smooth_keys": True},
}

TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        # Its BVH importer takes units for metres; its other importers read the unit.
        "blender": Target("fbx", "mixamo", cameras=True, options={"bvh": {"unit": "m"}}),
        # Centimetres, Z up; a skeleton is made of a skinned mesh; UE5's names.
        "unreal": Target("fbx", "unreal", options=_SMOOTH | {k: {**_CM, "up": "z"} for k in _USD}),
        # The avatar's T pose is the pose at rest, which every file has.
        "unity": Target("fbx", "unity", options=_SMOOTH | {"bvh": {"unit": "m"}}),
        "maya": Target("fbx", "humanik", cameras=True, options=_SMOOTH | {k: _CM for k in _USD}),
        # Characterises from the T pose that it finds at the first frame.
        "motionbuilder": Target("fbx", "humanik", cameras=True, options=_TPOSE_FIRST),
        "iclone": Target("fbx", "reallusion", options=_TPOSE_FIRST),
        # Its humanoid profile has Unity's names.
        "godot": Target("glb", "unity", options={"bvh": {"unit": "m"}}),
    }
)
"""Targets by name."""


def target(name: str) -> Target:
    """A target by name; ``ExportError`` lists those there are."""
    if name not in TARGETS:
        raise ExportError(f"no target {name!r}; choose one of {', '.join(TARGETS)}")
    return TARGETS[name]
