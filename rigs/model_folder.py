"""Finding a user's own body files: the SMPL family, in the folders and under the names they come with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rigs.body_files import read_body
from rigs.errors import RigError

_FAMILY: Final = {24: "SMPL", 52: "SMPL-H", 55: "SMPL-X"}
_ENDINGS: Final = (".npz", ".pkl")


@dataclass(frozen=True)
class FoundBody:
    """A body file."""

    path: Path
    """Where it is."""
    family: str
    """``SMPL``, ``SMPL-H``, ``SMPL-X`` or ``body of … joints``; empty where it cannot be used."""
    note: str
    """Vertices and coefficients, or why it cannot be used: one line."""


def find_bodies(folder: Path) -> list[FoundBody]:
    """All body files under a folder, with what they are; files that are something else are left out.

    Args:
        folder: such as the ``models`` folder that SMPL's programs use.
    """
    found: list[FoundBody] = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS):
        try:
            file = read_body(path)
        except RigError as error:
            if "has no" not in str(error):  # a pickle of something else is nobody's fault
                found.append(FoundBody(path, "", str(error)))
            continue
        count = len(file.joint_names)
        vertices, betas = file.arrays["v_template"].shape[0], file.arrays["shapedirs"].shape[-1]
        note = f"{vertices} vertices, {betas} shape coefficients used"
        found.append(FoundBody(path, _FAMILY.get(count, f"body of {count} joints"), note))
    return found


def body_file(path: Path) -> Path:
    """The file to load for a path: itself, or the one body in a folder.

    Raises:
        RigError: a folder with no body, or with several; names them.
    """
    if not path.is_dir():
        return path
    found = [body.path for body in find_bodies(path) if body.family]
    if len(found) == 1:
        return found[0]
    if not found:
        raise RigError(f"no body in the folder {path}; give the path of an SMPL, SMPL-H or SMPL-X file")
    names = ", ".join(str(one.relative_to(path)) for one in found)
    raise RigError(f"several bodies in the folder {path}: {names}; give the path of one")
