"""What can go wrong for a user, each as one line: what, where, what to do."""

from __future__ import annotations

from pathlib import Path


class MocapError(Exception):
    """Base of the errors that the command line prints as one line, without a traceback."""


class InputError(MocapError):
    """Something the user gave cannot be used.

    Args:
        what: what is wrong, with the value that was seen.
        where: the file, folder or setting that it was seen in.
        todo: what the user can do about it.
    """

    def __init__(self, what: str, *, where: Path | str | None = None, todo: str | None = None) -> None:
        place = f"{where}: " if where is not None else ""
        remedy = f"; {todo}" if todo else ""
        super().__init__(f"{place}{what}{remedy}")


class ConfigError(InputError):
    """A setting is unknown or has a value of the wrong kind."""


class MissingDependency(MocapError):
    """An optional library is not installed."""

    def __init__(self, library: str, *, extra: str) -> None:
        super().__init__(f"{library} is not installed; pip install 'mocap-studio[{extra}]'")


class MissingModel(MocapError):
    """The weights of a detector or a body model are not on this machine."""

    def __init__(self, model: str, *, reason: str, todo: str) -> None:
        super().__init__(f"model {model}: {reason}; {todo}")
