"""Joint names of the rigs that other programs use, as data: one file each in ``presets/``."""

from __future__ import annotations

import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

from rigs.errors import RigError

DEFAULT_RIG = "mixamo"
"""Read at once by MotionBuilder, Maya, Unity and everything that knows Mixamo."""


def available_rigs() -> tuple[str, ...]:
    """Names of the presets that are shipped, sorted."""
    files = (entry.name for entry in _presets().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def load_rig_names(name: str) -> dict[str, str]:
    """Names that a rig gives to our joints.

    Args:
        name: a preset of ``available_rigs()``, or the path of a TOML file like those in ``presets/``.

    Returns:
        {joint of SMPL or SMPL-H: name in the rig}. Joints that the rig lacks are not in it; names are unique.

    Raises:
        RigError: no such preset or file, or a file without a table of unique names.
    """
    return check_names(rig_source(name).get("names"), name)


def rig_source(name: str) -> dict[str, Any]:
    """The tables of a rig's file; ``RigError`` where there is none, or it is no TOML."""
    source: Traversable = Path(name) if name.endswith(".toml") else _presets() / f"{name}.toml"
    if not source.is_file():
        known = ", ".join(available_rigs())
        raise RigError(
            f"no rig {name!r}; choose one of {known}, or the path of a .toml file with [names], "
            "or of a character: .fbx, .bvh or .glb"
        )
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RigError(f"rig {name!r} is not readable: {error}; see rigs/presets for examples") from error


def _presets() -> Traversable:
    return resources.files("rigs") / "presets"


def check_names(names: object, rig: str) -> dict[str, str]:
    """The names of a rig's file, or a ``RigError`` that says what is wrong with them."""
    if not isinstance(names, dict) or not names:
        raise RigError(f"rig {rig!r} has no [names] table; write lines such as left_hip = 'LeftUpLeg'")
    table = cast("dict[str, object]", names)
    wrong = [joint for joint, value in table.items() if not isinstance(value, str) or not value.strip()]
    if wrong:
        raise RigError(f"rig {rig!r}: the name of {wrong[0]} must be text, not {table[wrong[0]]!r}")
    texts = {joint: str(value) for joint, value in table.items()}
    first: dict[str, str] = {}
    for joint, text in texts.items():
        if text in first:
            raise RigError(f"rig {rig!r} gives the name {text!r} to {first[text]} and {joint}; rename one")
        first[text] = joint
    return texts
