"""The README's table of detectors says what the code says, and each of its ticks is earned by a test."""

from __future__ import annotations

import re
from pathlib import Path

from mocap.detect import DETECTORS
from mocap.detect.catalogue import facts, listing
from mocap.detect.families import FAMILIES
from mocap.detect.names import SETS
from mocap.detect.published import MODELS
from tests.mocap.detect.test_families import CASES, PERSONS
from tests.mocap.detect.test_real_networks import REAL

ROOT = Path(__file__).parents[3]


def readme_rows() -> dict[str, list[str]]:
    """The table's cells by the family's name."""
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## Detectors") : text.index("## The house")]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_the_readme_has_every_family_and_says_what_the_code_says() -> None:
    rows = readme_rows()
    assert list(rows) == ["blazepose", *FAMILIES]
    for name, (title, finds, ap, licence, get, _) in rows.items():
        known = facts(name)
        assert (title, ap, licence) == (known.title, known.ap, known.licence)
        pulled = any(model.family == name for model in MODELS.values())
        assert get == (f"`mocap models pull {name}`" if pulled else f"`mocap models add {name} FILE`")
        sets = [] if finds == "boxes of people" else finds.split(", ")
        assert all(key in SETS for key in sets)
        if name in FAMILIES:
            assert {SETS[key] for key in sets} == set(FAMILIES[name].names.values())


def test_every_tick_is_earned() -> None:
    painted = {family for family, *_ in CASES.values()} | {"rtmw"} | {name.split(",")[0] for name in PERSONS}
    for name, row in readme_rows().items():
        tick = row[-1]
        assert tick in ("✓", "✓ real weights")
        assert name in painted or tick == "✓ real weights"
        assert (name in REAL) == (tick == "✓ real weights")


def test_the_command_lists_them_all() -> None:
    assert {row["family"] for row in listing()} >= {"blazepose", *FAMILIES}
    assert set(DETECTORS) == {"blazepose", *(name for name, one in FAMILIES.items() if one.finds_poses)}
    for row in listing():
        assert re.fullmatch(r"mocap models (pull \S+|add \S+ FILE)", row["get"])
