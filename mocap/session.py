"""A session on disk: the rig's paths, loads and saves, and its takes.

Other programs rely on this layout (README, "On disk"); stages see values, never paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap import cameras_file, files
from mocap.errors import InputError
from mocap.settings import BoardSettings, Settings, field_docs, settings_from
from mocap.stages import Record
from mocap.take import HIDDEN, Take, clips_in

if TYPE_CHECKING:
    from calibration import Cameras

_SESSION, _REPORT = "mocap-studio session", "mocap-studio report"


@dataclass(frozen=True)
class Session:
    """A rig of cameras and the takes that it recorded."""

    root: Path
    """The session's folder."""

    @staticmethod
    def create(root: Path, *, takes: Iterable[str] = ("take1",), settings: Settings | None = None) -> Session:
        """Make the folders and a commented ``session.toml``; what is there already is left alone.

        Raises:
            InputError: there is a session already, or ``root`` is a file.
        """
        session = Session(root)
        if session.settings_file.exists():
            raise InputError("is a session already", where=root, todo="choose another name")
        if root.exists() and not root.is_dir():
            raise InputError("is a file", where=root, todo="choose another name")
        for take in takes:
            _check_name(take, "take")
        text = settings_text(root.resolve().name, settings or Settings())
        files.write_atomic(session.settings_file, text.encode())
        folders = [session.clips_folder("intrinsics"), session.clips_folder("extrinsics")]
        for folder in folders + [session.take(name).folder for name in takes]:
            folder.mkdir(parents=True, exist_ok=True)
        return session

    @staticmethod
    def open(root: Path) -> Session:
        """The session in a folder.

        Raises:
            InputError: there is no session.
        """
        session = Session(root)
        if not root.exists():
            raise InputError("no such session", where=root, todo=f"make one with: mocap new {root}")
        if not session.settings_file.is_file():
            raise InputError(
                "no session.toml here, so this is no session",
                where=root,
                todo=f"make one with: mocap new {root}",
            )
        return session

    @property
    def settings_file(self) -> Path:
        """``session.toml``."""
        return self.root / "session.toml"

    @property
    def cameras_file(self) -> Path:
        """``cameras.toml``, the calibrated cameras."""
        return self.root / "cameras.toml"

    @property
    def calibration_report_file(self) -> Path:
        """``calibration/report.json``."""
        return self.root / "calibration" / "report.json"

    @property
    def record(self) -> Record:
        """What the calibration was made from."""
        return Record(self.root / "calibration" / HIDDEN / "stages.json", self.root)

    def clips_folder(self, kind: str) -> Path:
        """Folder of the ``intrinsics`` or the ``extrinsics`` clips."""
        return self.root / "calibration" / kind

    def clips(self, kind: str) -> dict[str, Path]:
        """Board footage by camera name."""
        return clips_in(self.clips_folder(kind))

    def take(self, name: str) -> Take:
        """A take by name, whether or not it exists."""
        return Take(self, name)

    def takes(self, name: str | None = None) -> list[Take]:
        """All takes, or the one that is named.

        Raises:
            InputError: there is none, or none of that name (the message lists those there are).
        """
        folder = self.root / "takes"
        names = (
            sorted(item.name for item in folder.iterdir() if item.is_dir() and not item.name.startswith("."))
            if folder.is_dir()
            else []
        )
        if name is not None and name not in names:
            raise InputError(
                f"no take '{name}'", where=folder, todo=f"there is: {', '.join(names) or 'none'}"
            )
        if not names:
            raise InputError(
                "no takes", where=folder, todo="put the clips of a take into takes/<take>/<camera>.mp4"
            )
        return [self.take(item) for item in names if name is None or item == name]

    def load_settings(self) -> Settings:
        """The settings of ``session.toml`` over the defaults.

        Raises:
            ConfigError: an unknown key (the message lists the valid ones) or a value of the wrong kind.
            InputError: no TOML, or of a newer version.
        """
        table = files.read_toml(self.settings_file)
        files.check_version(table, _SESSION, 1, self.settings_file)
        return settings_from(table, where=self.settings_file, beside=("format", "version", "name"))

    def load_cameras(self) -> Cameras:
        """The calibrated cameras.

        Raises:
            InputError: there are none.
            CalibrationError: the file cannot be used.
        """
        return cameras_file.load(self.cameras_file)

    def save_cameras(self, cameras: Cameras, metadata: Mapping[str, Any] | None = None) -> None:
        """Write ``cameras.toml``."""
        cameras_file.save(self.cameras_file, cameras, metadata)

    def save_calibration_report(self, report: Mapping[str, Any], page: str = "") -> None:
        """Write ``calibration/report.json``, and ``report.html`` where there is a page."""
        files.write_json(self.calibration_report_file, _REPORT, 1, report)
        if page:
            files.write_atomic(self.calibration_report_file.with_suffix(".html"), page.encode())

    def load_calibration_report(self) -> dict[str, Any]:
        """Read ``calibration/report.json``; empty where there is none."""
        path = self.calibration_report_file
        return files.read_json(path, _REPORT, 1) if path.is_file() else {}


def settings_text(name: str, settings: Settings) -> str:
    """A ``session.toml`` that explains itself: the board as it is, other defaults commented out."""
    lines = [
        "# Settings of this session. Those behind a '#' stand at their defaults: remove it to change one.",
        "",
        'format = "mocap-studio session"',
        "version = 1",
        f"name = {_toml(name)}",
    ]
    for section, node in vars(settings).items():
        default = type(node)()
        lines += ["", f"[{section}]"]
        docs = field_docs(type(node))
        for key, value in vars(node).items():
            mark = "" if isinstance(node, BoardSettings) or value != getattr(default, key) else "# "
            lines.append(
                f"{mark}{f'{key} = {_toml(value)}':<34}  # {' '.join(docs.get(key, '').split())}".rstrip(" #")
            )
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    import tomlkit

    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items()) + "}"
    return tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string()


def _check_name(name: str, what: str) -> None:
    if not name or name.startswith(".") or any(character in name for character in "/\\\n"):
        raise InputError(f"'{name}' cannot name a {what}", todo="use letters, digits, spaces, '-' and '_'")
