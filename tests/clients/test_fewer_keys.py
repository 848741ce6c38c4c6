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
from .check_file import Comparison, compare, joints_of, on_rig, table
from .readers import READERS
from .test_characters import skinned
from .walk import walking_take

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


WALKS = {
    "made up, 10 s at 30 Hz": lambda: walking_take(num_frames=301),
    "made up, 10 s at 60 Hz": lambda: walking_take(num_frames=601, rate_hz=60.0),
    "captured, 3 s at 30 Hz": lambda: walking(30.0),
    "captured, 3 s at 120 Hz": lambda: walking(120.0),
}
CUBIC = ("ufbx", "Autodesk SDK")
"""Programs that draw the curves that keys ask for."""


@pytest.mark.parametrize("name", WALKS)
def test_smooth_curves(name: str, tmp_path: Path) -> None:
    take = WALKS[name]()
    for bound_mm in (0.1, 1.0):
        straight, smooth = (times_smaller(take, bound_mm, tmp_path, smooth_keys=how) for how in (False, True))
        print(f"\n{name}, within {bound_mm} mm: FBX {straight:.2f}, smooth {smooth:.2f} times smaller")  # noqa: T201 (for people)
    if name == "made up, 10 s at 60 Hz":
        assert times_smaller(take, 0.1, tmp_path, smooth_keys=True) > 3


def test_who_reads_smooth_curves(tmp_path: Path) -> None:
    motions = {"made up": skinned(61, 60.0), "captured": dressed(walking(30.0)), "fast": skinned(61, 120.0)}
    for name, take in motions.items():
        (file,) = export(take, tmp_path / f"{name}.fbx", max_error_mm=0.1, smooth_keys=True)
        truth = on_rig(take.characters[0], "mixamo")
        results = [
            compare(client, READERS[".fbx"][client](file), truth) for client in (*CUBIC, "Blender 5.0.1")
        ]
        print(f"\n{name}\n{table(results)}")  # noqa: T201 (for people)
        assert max(row.max_mm for row in results if row.client in CUBIC) <= 0.1
        if name == "made up":
            assert results[-1].max_mm > 0.2, "whoever draws straight lines must not get such files"


def test_a_real_walk(tmp_path: Path) -> None:
    _, results = checked(dressed(walking(30.0)), ".fbx", 0.1, tmp_path)
    assert max(row.max_mm for row in results) <= 0.1, table(results)


def dressed(take: Take) -> Take:
    (one,) = take.characters
    mesh = mesh_of(load_body(), np.asarray(one.motion.betas))
    return Take(take.name, (Character(one.name, one.skeleton, one.motion, mesh),))


def times_smaller(take: Take, bound_mm: float, folder: Path, *, smooth_keys: bool) -> float:
    """Of an FBX file without a skin."""
    (full,) = export(take, folder / "full.fbx")
    (less,) = export(take, folder / "less.fbx", max_error_mm=bound_mm, smooth_keys=smooth_keys)
    return full.stat().st_size / less.stat().st_size
