"""A calibration file or folder as it is found: its bytes, and what they are when read as text."""

import json
import tomllib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from calibration.errors import CalibrationError

from .filestorage import parse_yaml

T = TypeVar("T")

_LARGEST = 256 * 2**20  # bytes: a calibration is never near it, a video that was given by mistake is


class Source:
    """A file or folder that may hold a calibration; everything is read when it is asked for, once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise CalibrationError(f"{path}: no such file or folder")

    def beside(self, name: str) -> "Source | None":
        """A file of the same folder, or of this folder; None where it is not there."""
        folder = self.path if self.path.is_dir() else self.path.parent
        return Source(folder / name) if (folder / name).is_file() else None

    @cached_property
    def data(self) -> bytes:
        """The file's bytes, none for a folder."""
        if not self.path.is_file():
            return b""
        if self.path.stat().st_size > _LARGEST:
            raise CalibrationError(f"{self.path}: too large for a calibration file")
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise CalibrationError(f"{self.path}: cannot be read: {error.strerror}") from error

    @cached_property
    def text(self) -> str:
        """The file as UTF-8 text."""
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise CalibrationError(f"{self.path}: not a text file") from error

    @cached_property
    def toml(self) -> dict[str, Any]:
        """The file as TOML."""
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise CalibrationError(f"{self.path}: not a TOML file: {error}") from error

    @cached_property
    def json(self) -> Any:
        """The file as JSON."""
        try:
            return json.loads(self.text)
        except ValueError as error:
            raise CalibrationError(f"{self.path}: not a JSON file: {error}") from error

    @cached_property
    def yaml(self) -> dict[str, Any]:
        """The file as OpenCV's YAML."""
        return parse_yaml(self.text, str(self.path))


def looks(source: Source, test: Callable[[Source], bool]) -> bool:
    """Whether a test of the content says yes; a file that cannot be read that way says no."""
    try:
        return test(source)
    except CalibrationError:
        return False
