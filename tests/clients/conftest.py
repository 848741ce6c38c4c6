"""Prints at the end of a run what all clients read: tables of formats, programs, rigs and frame rates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pytest

from .check_file import SEEN, Comparison


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The worst of everything, by format and program, then by rig and rate."""
    if not SEEN:
        return
    terminalreporter.section("exports as other programs read them")
    for line in (*_by_program(), "", *_by_rig()):
        terminalreporter.write_line(line)


def _by_program() -> Iterable[str]:
    found: dict[tuple[str, str], list[Comparison]] = defaultdict(list)
    for (suffix, _, _), rows in SEEN.items():
        for row in rows:
            if not row.worst.startswith("not asked"):
                found[suffix[1:], row.client].append(row)
    yield f"{'':6s}{'program':20s} files  joint mm  turn deg  rest mm  skin mm"
    for (suffix, client), rows in sorted(found.items()):
        figures = [
            max((getattr(row, name) for row in rows if not np.isnan(getattr(row, name))), default=np.nan)
            for name in ("max_mm", "turn_deg", "rest_mm", "skin_mm")
        ]
        joint, turn, rest, skin = ("-" if np.isnan(figure) else f"{figure:.4f}" for figure in figures)
        wrong = sum(not row.usable for row in rows)
        verdict = f"  {wrong} WRONG" if wrong else ""
        yield f"{suffix:6s}{client:20s}{len(rows):6d}{joint:>10s}{turn:>10s}{rest:>9s}{skin:>9s}{verdict}"


def _by_rig() -> Iterable[str]:
    """Of one file in any program, the worst joint in millimetres."""
    rates = sorted({rate for _, _, rate in SEEN})
    yield f"{'':6s}{'joint mm':13s}" + "".join(f"{rate:9.3f}" for rate in rates) + "  Hz"
    for suffix, rig in sorted({(suffix, rig) for suffix, rig, _ in SEEN}):
        cells: list[str] = []
        for rate in rates:
            asked = [row.max_mm for row in SEEN.get((suffix, rig, rate), ()) if not np.isnan(row.max_mm)]
            cells.append(f"{max(asked):9.4f}" if asked else f"{'':9s}")
        yield f"{suffix[1:]:6s}{rig:13s}" + "".join(cells)
