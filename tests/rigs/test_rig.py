from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rigs.errors import RigError
from rigs.rig import BoneAxes, load_rig
from rigs.rig_names import available_rigs


@pytest.mark.parametrize("rig", available_rigs())
def test_no_two_joints_of_a_rig_have_one_name(rig: str) -> None:
    loaded = load_rig(rig)
    names = [*loaded.names.values(), *(extra.name for extra in loaded.extras)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("rig", "expected"),
    [
        ("unreal", {"root", "spine_02", "spine_04", "neck_02", "upperarm_twist_02_r", "ik_foot_l"}),
        ("daz", {"lThighTwist", "rShldrTwist", "pelvis", "neckUpper", "lMetatarsals"}),
        ("cmu", {"LHipJoint", "RHipJoint", "Neck1"}),
        ("reallusion", {"RL_BoneRoot", "CC_Base_Pelvis", "CC_Base_L_UpperarmTwist01"}),
        ("rigify", {"spine.005", "pelvis.L", "heel.02.R"}),
        ("vrm", {"root"}),
    ],
)
def test_joints_that_our_bodies_lack(rig: str, expected: set[str]) -> None:
    assert expected <= {extra.name for extra in load_rig(rig).extras}


def test_axes_are_right_handed_and_point_where_the_rule_says() -> None:
    along = np.array([0.0, -0.9, 0.1])
    for first in "xyz":
        for second in set("xyz") - {first}:
            frame = BoneAxes(f"-{first}", f"+{second}", "forward").frame(along)
            assert np.allclose(frame.T @ frame, np.eye(3), atol=1e-12)
            assert np.linalg.det(frame) == pytest.approx(1.0)
            assert np.allclose(frame[:, "xyz".index(first)], -along / np.linalg.norm(along))
            assert frame[2, "xyz".index(second)] > 0.9
    straight = BoneAxes("+x", "+y", "up").frame(np.array([0.0, 1.0, 0.0]))
    assert np.linalg.det(straight) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('joints = [{ name = "a" }]', "hangs on '', which is not there before it"),
        ('joints = [{ name = "Hips", kind = "root" }]', "two joints named 'Hips'"),
        ('joints = [{ name = "a", under = "pelvis", colour = "red" }]', "colour"),
        ('joints = [{ name = "a", under = "pelvis", kind = "wheel" }]', "of no known kind"),
        ('sides = ["l"]', "values"),
        ('[axes]\ntrunk = { along = "+x", second = "+x", toward = "up" }', "axes of 'trunk'"),
        ('[axes]\ntail = { along = "+x", second = "+y", toward = "up" }', "axes of 'tail'"),
    ],
)
def test_mistakes_are_said(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text + '\n[names]\npelvis = "Hips"\n' if "[axes]" not in text else
                    '[names]\npelvis = "Hips"\n' + text)  # fmt: skip
    with pytest.raises(RigError, match=message):
        load_rig(str(file))


def test_options_of_rest_and_travel() -> None:
    assert load_rig("unreal").arms_down_deg == 45
    assert load_rig("unreal").with_options(rest="t").arms_down_deg == 0
    grounded = load_rig("mixamo").with_options(root_motion="ground")
    assert [extra.name for extra in grounded.extras] == ["root"]
    with pytest.raises(RigError, match="no root motion 'sideways'"):
        load_rig("mixamo").with_options(root_motion="sideways")  # type: ignore[arg-type]
