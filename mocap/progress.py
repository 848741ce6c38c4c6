"""How long work reports where it stands."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called often while a piece of work goes on."""

    def __call__(self, what: str, done: float, total: float | None = None, /) -> None:
        """Report ``done`` of ``total`` units (frames, iterations) of the work named ``what``."""


def silent(what: str, done: float, total: float | None = None, /) -> None:
    """A progress that tells nobody."""
