"""What the checks of a calibration say: numbers, limits with their reasons, grades, and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Grade = Literal["ok", "warn", "fail"]

_ORDER: tuple[Grade, ...] = ("fail", "warn", "ok")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    """What was looked at, in lower case with underscores; several checks share it where cameras are judged
    one by one."""
    subject: str
    """The camera or cameras; empty where it is about all of them."""
    value: float
    """The number; NaN where it could not be measured."""
    unit: str
    """Of the number and its limits: ``px``, ``mm``, ``deg``, ``ms``, ``%``, or empty for a ratio."""
    warn_limit: float
    """Beyond it the calibration is weak; NaN where the check never warns."""
    fail_limit: float
    """Beyond it the calibration must not be trusted; NaN where the check never condemns."""
    grade: Grade
    """What follows."""
    text: str
    """What was found, in a sentence without its full stop."""
    todo: str
    """What to do about it; empty where nothing is needed."""
    reason: str
    """Where the limits come from."""
    low_is_bad: bool = False
    """Small numbers are the bad ones."""

    @property
    def message(self) -> str:
        """What was found and what to do, in one line."""
        return f"{self.text}: {self.todo}" if self.todo else self.text


@dataclass(frozen=True)
class Verdict:
    """What stands for and against a calibration."""

    checks: tuple[Check, ...]
    """All checks that could be made, the worst first."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the calibration must not be trusted; empty where it may."""
        return tuple(check.message for check in self.checks if check.grade == "fail")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What would make it better."""
        return tuple(check.message for check in self.checks if check.grade == "warn")

    @property
    def usable(self) -> bool:
        """Whether the calibration may be trusted."""
        return not self.reasons

    def of(self, name: str) -> tuple[Check, ...]:
        """The checks of one name."""
        return tuple(check for check in self.checks if check.name == name)

    def table(self) -> list[dict[str, Any]]:
        """The checks as plain values; numbers that are unknown are None."""
        rows = [asdict(check) for check in self.checks]
        return [{key: _plain(value) for key, value in row.items()} for row in rows]


def verdict(checks: Iterable[Check]) -> Verdict:
    """A verdict from checks in any order."""
    return Verdict(tuple(sorted(checks, key=lambda check: _ORDER.index(check.grade))))


def check(
    name: str,
    value: float,
    text: str,
    todo: str,
    reason: str,
    *,
    subject: str = "",
    unit: str = "",
    warn: float = math.nan,
    fail: float = math.nan,
    low_is_bad: bool = False,
) -> Check:
    """Grade a number: beyond a limit it warns or fails; a number that is NaN is good.

    Args:
        name: what was looked at.
        value: the number.
        text: what was found.
        todo: what to do where it is not good.
        reason: where the limits come from.
        subject: the camera or cameras.
        unit: of the number and the limits.
        warn: beyond it the calibration is weak.
        fail: beyond it it must not be trusted.
        low_is_bad: small numbers are the bad ones.
    """
    sign = -1.0 if low_is_bad else 1.0
    grade: Grade = "ok"
    if sign * value > sign * warn:
        grade = "warn"
    if sign * value > sign * fail:
        grade = "fail"
    todo = todo if grade != "ok" else ""
    return Check(name, subject, value, unit, warn, fail, grade, text, todo, reason, low_is_bad)


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
