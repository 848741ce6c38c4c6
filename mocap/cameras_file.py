"""``cameras.toml`` of a session or a take: calibrated cameras on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.errors import InputError
from mocap.files import write_atomic

if TYPE_CHECKING:
    from calibration import Cameras


def load(path: Path) -> Cameras:
    """The cameras of a file.

    Raises:
        InputError: there is none.
        CalibrationError: it cannot be used.
    """
    from calibration.formats import load_cameras

    if not path.is_file():
        raise InputError(
            "no calibrated cameras",
            where=path,
            todo=f"run mocap calibrate, or bring another tool's calibration with: mocap cameras IN {path}",
        )
    return load_cameras(path)


def save(path: Path, cameras: Cameras, metadata: Mapping[str, Any] | None = None) -> None:
    """Write the cameras, with what should be remembered of how they were made."""
    from calibration.formats import save_cameras_text

    write_atomic(path, save_cameras_text(cameras, dict(metadata or {})).encode())
