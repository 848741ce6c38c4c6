"""Every format on every rig, at every rate, in real motions, as every importer reads it: ``make clients``.

Each file is a skinned character in the hard part of a motion: one leg up, hands and knees, head down, flat on
the floor. Programs are asked of many files at a time, two programs at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import ezc3d
import numpy as np
import pytest

from exporters import Character, Take, export
from rigs.rig_names import available_rigs

from .check_file import MAX_ERROR_MM, SEEN, Comparison, Truth, judged, on_rig
from .motions import MOTIONS, person
from .readers import READERS, Read, cannot_judge, gltf_issues

pytestmark = pytest.mark.slow

RATES = (24000 / 1001, 30000 / 1001, 30.0, 60.0, 120.0)
FRAMES = 41
BATCH = 80
"""Files to a run of a program."""
NO_BVH = {"rigify", "biped"}
"""Rigs whose names have dots or spaces."""
SAME_AS_USDC = {".usda", ".usdz"}
"""The same scene in another encoding: two rigs are enough."""
STRAY_MM = 60.0
"""How much farther than its step a joint may stray between two frames whose angles a reader blends: at 24 Hz
the far end of a helper that turns with a hand strays 44 mm; what goes round the back strays by metres."""


@dataclass(frozen=True)
class Case:
    """One file."""

    suffix: str
    rig: str
    rate_hz: float
    motion: str

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.motion}_{self.rig}_{self.rate_hz:.3f}{self.suffix}"


@dataclass(frozen=True)
class Result:
    """What one program read of one file."""

    case: Case
    client: str
    row: Comparison
    stray_mm: float
    """How much farther than its step a joint strays between two frames, where the program tells."""


@cache
def character(motion: str, rate_hz: float) -> Character:
    return person(motion, rate_hz, FRAMES)


@cache
def truth(motion: str, rate_hz: float, rig: str, helpers: bool) -> Truth:
    return on_rig(character(motion, rate_hz), rig, helpers=helpers)


@pytest.fixture(scope="module", params=READERS)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Path]:
    """Of one format."""
    folder, suffix, made = tmp_path_factory.mktemp("files"), request.param, {}
    for rig in available_rigs():
        if suffix == ".bvh" and rig in NO_BVH:
            continue
        if suffix in SAME_AS_USDC and rig not in ("mixamo", "unreal"):
            continue
        for rate_hz in RATES:
            for motion in MOTIONS:
                case = Case(suffix, rig, rate_hz, motion)
                take = Take(motion, (character(motion, rate_hz),))
                (made[case],) = export(take, folder / case.name, rig=rig)
    return made


@pytest.fixture(scope="module")
def results(files: dict[Case, Path]) -> list[Result]:
    """What each client says of each file."""
    jobs = list(_jobs(files))

    def ask(job: tuple[str, list[Case]]) -> list[Read | Exception]:
        client, cases = job
        return READERS[cases[0].suffix][client].ask([files[case] for case in cases])

    with ThreadPoolExecutor(2) as pool:
        found = []
        for (client, cases), answers in zip(jobs, pool.map(ask, jobs), strict=True):
            found += [_judged(case, client, answer) for case, answer in zip(cases, answers, strict=True)]
        return found


def _jobs(files: dict[Case, Path]) -> Iterator[tuple[str, list[Case]]]:
    suffix = next(iter(files)).suffix
    for client in READERS[suffix]:
        wanted = [case for case in files if not cannot_judge(suffix, client, case.rate_hz)]
        for start in range(0, len(wanted), BATCH):
            yield client, wanted[start : start + BATCH]


def _judged(case: Case, client: str, answer: Read | Exception) -> Result:
    right = truth(case.motion, case.rate_hz, case.rig, case.suffix != ".bvh")
    stray_mm = np.nan
    if isinstance(answer, Read) and answer.between is not None:
        xyz = right.joints[:, [right.names.index(name) for name in answer.names]]
        step = np.linalg.norm(xyz[1:] - xyz[:-1], axis=-1)
        off = np.linalg.norm(answer.between - (xyz[1:] + xyz[:-1]) / 2, axis=-1)
        stray_mm = float((off - step).max() * 1000)
    return Result(case, client, judged(client, answer, right, case.suffix), stray_mm)


def test_every_joint_in_every_program(results: list[Result]) -> None:
    for result in results:
        key = result.case.suffix, result.case.rig, result.case.rate_hz
        SEEN.setdefault(key, []).append(result.row)
    wrong = [
        f"{each.case.name} in {each.client}: {each.row.max_mm:.3f} mm, {each.row.turn_deg:.3f} deg, "
        f"at rest {each.row.rest_mm:.3f} mm, skin {each.row.skin_mm:.3f} mm, {each.row.worst}"
        for each in results
        if not each.row.usable
    ]
    assert not wrong, f"{len(wrong)} of {len(results)}:\n" + "\n".join(wrong[:40])


def test_no_joint_strays_between_two_keys(results: list[Result]) -> None:
    """Whoever blends angles passes no joint round the back: they never jump by a turn."""
    strays = {each.case.name: each.stray_mm for each in results if np.isfinite(each.stray_mm)}
    if not strays:
        pytest.skip("no program of this format tells")
    print(f"\nfarthest beyond a step: {max(strays.values()):.1f} mm")  # noqa: T201 (for people)
    assert {name: mm for name, mm in strays.items() if mm > STRAY_MM} == {}


def test_the_validator_finds_nothing(files: dict[Case, Path]) -> None:
    glbs = [file for case, file in files.items() if case.suffix == ".glb"]
    if not glbs:
        pytest.skip("no GLB")
    found = gltf_issues(glbs)
    assert len(found) == len(glbs)
    bad = {file.name: issue["messages"] for file, issue in zip(glbs, found, strict=True) if issue["messages"]}
    assert not [
        name for name, issue in zip(glbs, found, strict=True) if issue["errors"] or issue["warnings"]
    ], bad


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_points_in_c3d(motion: str, rate_hz: float, tmp_path: Path) -> None:
    one = character(motion, rate_hz)
    (file,) = export(Take(motion, (one,)), tmp_path / f"{motion}.c3d")
    read = ezc3d.c3d(str(file))
    names = read["parameters"]["POINT"]["LABELS"]["value"]
    assert names == [f"{name}_joint" for name in one.motion.joint_names]
    xyz_mm = np.transpose(read["data"]["points"][:3], (2, 1, 0))
    off_mm = np.linalg.norm(xyz_mm - 1000 * one.motion.joints, axis=-1)
    assert off_mm.max() < MAX_ERROR_MM
    found_hz = read["parameters"]["POINT"]["RATE"]["value"][0]
    assert found_hz == pytest.approx(rate_hz, rel=1e-6)
    row = Comparison("ezc3d", float(off_mm.max()), float(off_mm.mean()), "", True)
    SEEN.setdefault((".c3d", "", rate_hz), []).append(row)
