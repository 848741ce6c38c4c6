"""Curves with fewer keys, in the programs that read between keys: nobody's joints leave the bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exporters import Character, Take, export
from rigs.body import load_body
from rigs.mesh import mesh_of
from rigs.rig_names import load_rig_names

from ..recovery.body_truth import cmu_motion
from .check_file import Comparison, compare, joints_of, table
from .readers import READERS
from .test_characters import skinned

pytestmark = pytest.mark.slow

ONLY_KEYS = {"Assimp 5.2"}
"""Programs that are asked for keys alone."""


def checked(take: Take, suffix: str, bound_mm: float, folder: Path) -> tuple[float, list[Comparison]]:
    """How much smaller the file is, and what the clients read in every frame."""
    (full,) = export(take, folder / f"full{suffix}")
    (less,) = export(take, folder / f"less{suffix}", max_error_mm=bound_mm)
    truth = joints_of(take.characters[0].motion, load_rig_names("mixamo"))
    results = [
        compare(client, read(less), truth)
        for client, read in READERS[suffix].items()
        if client not in ONLY_KEYS
    ]
    return full.stat().st_size / less.stat().st_size, results


def walking(rate_hz: float) -> Take:
    body = load_body()
    motion = cmu_motion("walk", rate_hz=rate_hz)
    return Take("walk", (Character("person", body.skeleton(motion.betas), motion),))


@pytest.mark.parametrize("suffix", [".fbx", ".glb"])
@pytest.mark.parametrize("bound_mm", [0.1, 1.0])
def test_the_bound_holds_in_every_frame(suffix: str, bound_mm: float, tmp_path: Path) -> None:
    ratio, results = checked(skinned(60, 30.0), suffix, bound_mm, tmp_path)
    print(f"\n{suffix} within {bound_mm} mm: {ratio:.2f} times smaller\n{table(results)}")  # noqa: T201 (for people)
    assert max(row.max_mm for row in results) <= bound_mm


@pytest.mark.parametrize("rate_hz", [30.0, 60.0])
def test_a_real_walk(rate_hz: float, tmp_path: Path) -> None:
    take = walking(rate_hz)
    (character,) = take.characters
    body = load_body()
    dressed = Character(
        character.name,
        character.skeleton,
        character.motion,
        mesh_of(body, np.asarray(character.motion.betas)),
    )
    for bound_mm in (0.1, 1.0, 10.0):
        ratio = times_smaller(take, bound_mm, tmp_path)
        print(f"walk at {rate_hz:.0f} Hz within {bound_mm} mm: FBX {ratio:.2f} times smaller")  # noqa: T201
    _, results = checked(Take("walk", (dressed,)), ".fbx", 0.1, tmp_path)
    assert max(row.max_mm for row in results) <= 0.1, table(results)


def times_smaller(take: Take, bound_mm: float, folder: Path) -> float:
    """Of an FBX file without a skin."""
    (full,) = export(take, folder / "full.fbx")
    (less,) = export(take, folder / "less.fbx", max_error_mm=bound_mm)
    return full.stat().st_size / less.stat().st_size
