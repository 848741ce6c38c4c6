"""Prints at the end of a run what all clients read: a table of format, rig and frame rate."""

from __future__ import annotations

import math

import pytest

from .check_file import SEEN


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The worst joint over all clients, in millimetres, and how many were asked."""
    if not SEEN:
        return
    terminalreporter.section("exports as other programs read them: worst joint, mm (programs)")
    for (suffix, rig, rate_hz), results in sorted(SEEN.items()):
        asked = [row for row in results if not math.isnan(row.max_mm)]
        worst = max((row.max_mm for row in asked), default=math.nan)
        wrong = sum(not row.usable for row in results)
        verdict = f"  {wrong} WRONG" if wrong else ""
        terminalreporter.write_line(
            f"{suffix[1:]:6s}{rig:12s}{rate_hz:9.3f} Hz{worst:10.4f} ({len(asked)}){verdict}"
        )
