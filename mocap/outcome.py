"""What a stage did, and doing its work only where that is due."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mocap.stages import Record, Stage, State

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    done: tuple[str, ...] = ()
    """Stages that ran, as ``take1 fit``."""
    skipped: tuple[str, ...] = ()
    """Stages whose results were fresh."""
    kept: tuple[str, ...] = ()
    """Stages whose results came from elsewhere and were left alone."""
    files: tuple[Path, ...] = ()
    """The exported files."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the stages, by the same names."""
    usable: bool = True
    """False when a result must not be trusted; the summary says why."""

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.done + other.done,
            self.skipped + other.skipped,
            self.kept + other.kept,
            self.files + other.files,
            {**self.summary, **other.summary},
            self.usable and other.usable,
        )


def unless_fresh(record: Record, stage: Stage, name: str, work: Callable[[], Outcome]) -> Outcome:
    """Do the work of a stage unless its results are there already."""
    state = record.state(stage)
    if state in (State.FRESH, State.FOREIGN):
        return left_alone(name, state)
    _log.info("%s: %s", name, "stale, made again" if state is State.STALE else "made")
    record.begin(stage)
    outcome = work()
    if outcome.usable:  # else older results would pass for those of the present inputs
        record.finish(stage)
    return outcome + Outcome(done=(name,))


def left_alone(name: str, state: State) -> Outcome:
    """What to say of results that are fresh or foreign."""
    if state is State.FRESH:
        return Outcome(skipped=(name,))
    _log.warning(
        "%s: what is there was made or edited elsewhere and is kept; delete it to have it made", name
    )
    return Outcome(kept=(name,))
