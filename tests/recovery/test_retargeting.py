"""Real motions on other rigs: limbs keep their directions, what stands stays, nothing is under the floor.

``make retarget`` prints the table. Motions come in as a user's would, onto the shipped body, and go out from
there to all shipped rigs and to characters of other programs, read from their files.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from exporters import Character
from exporters.readers import load_any_rig, performance_in, read_performance
from exporters.rigged import performance_of
from mocap.import_motion import on_our_body
from rigs import load_body
from rigs.mesh import mesh_of
from rigs.retarget import Performance, retarget
from rigs.rig_names import available_rigs

from ..clients.deepmimic import read_deepmimic
from .retargeting import Figures, directions_deg, measure

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("MOCAP_TEST_DATA" not in os.environ, reason="MOCAP_TEST_DATA is not set"),
]
DATA = Path(os.environ.get("MOCAP_TEST_DATA", ""))
CLIPS = {
    **{
        name: f"motion_deepmimic/humanoid3d_{name}.txt"
        for name in (
            "walk",
            "run",
            "crawl",
            "cartwheel",
            "getup_facedown",
            "roll",
            "jump",
            "dance_b",
            "punch",
        )
    },
    "CMU walk": "motion_cmu/02_01.amc",
    "CMU run": "motion_cmu/02_03.amc",
    "CMU jump": "motion_cmu/02_04.amc",
    "CMU playground": "motion_cmu/fairmotion_01_01.bvh",
    "another walk": "bvh_other_tools/bvh_toolbox/source/walk01.bvh",
}
CHARACTERS = {
    "HumanIK fbx": "fbx_ufbx/maya_human_ik_7400_binary.fbx",
    "Maya fbx": "fbx_ufbx/maya_character_7500_binary.fbx",
    "Kenney fbx": "fbx_ufbx/maya_kenney_character_7700_binary.fbx",
    "CMU bvh": "motion_cmu/fairmotion_01_01.bvh",
    "FreeBVH bvh": "bvh_other_tools/20tab/test_freebvh.bvh",
}
HEAD = (
    f"{'':34s}{'free':>6s}{'mean':>7s}{'99 %':>6s}{'most':>6s} deg{'slip':>7s}{'under':>7s}{'touch':>7s} mm"
)


def clip(name: str) -> Performance:
    file = DATA / CLIPS[name]
    if file.suffix == ".txt":
        return performance_in(read_deepmimic(file, 60.0), name).performance
    return read_performance(file).performance


@cache
def on_body(name: str) -> tuple[Performance, Performance]:
    """A clip, and what our body makes of it."""
    source, body = clip(name), load_body()
    motion = on_our_body(source)
    mesh = mesh_of(body, motion.betas)
    return source, performance_of(Character(name, body.skeleton(motion.betas), motion, mesh))


def say(what: str, found: Figures) -> None:
    print(  # noqa: T201 (the figures are what `make retarget` is for)
        f"{what:34s}{found.free_deg:6.2f}{found.mean_deg:7.3f}{found.p99_deg:6.2f}{found.most_deg:6.2f}    "
        f"{found.slip_mm:7.2f}{found.under_mm:7.2f}{found.touch_mm:7.2f}"
    )


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_on_our_body(name: str) -> None:
    source, ours = on_body(name)
    errors = directions_deg(source, {joint: ours.place(joint) for joint in ours.names})
    figures = f"{errors.mean():7.3f}{np.quantile(errors, 0.99):6.2f}{errors.max():6.2f}"
    print(f"\n{HEAD}\n{name + ' -> our body':34s}{'':6s}{figures}")  # noqa: T201
    assert errors.mean() < 0.5


@pytest.mark.parametrize("rig", CHARACTERS)
@pytest.mark.parametrize("name", CLIPS)
def test_on_a_character(name: str, rig: str) -> None:
    _, source = on_body(name)
    found = measure(source, retarget(source, load_any_rig(str(DATA / CHARACTERS[rig]))))
    say(f"{name} -> {rig}", found)
    assert found.slip_mm < 3.0
    assert found.under_mm < 3.0
    assert found.free_deg < 0.5
    assert (
        found.mean_deg < 0.2
    )  # where knees, hands and feet stand at once, a limb gives way by a degree or two


@pytest.mark.parametrize("name", CLIPS)
def test_on_shipped_rigs(name: str) -> None:
    _, source = on_body(name)
    for rig in available_rigs():
        found = measure(source, retarget(source, load_any_rig(rig)))
        say(f"{name} -> {rig}", found)
        assert found.most_deg < 0.5
