from __future__ import annotations

import numpy as np
import pytest
import torch

from exporters import Character, ExportError, Take
from exporters.hierarchy import name_hierarchy
from rigs.rig_names import available_rigs
from rigs.skeleton import SMPL_JOINT_NAMES, Skeleton

from ..clients.walk import TIPS, made_up_skeleton, walking_character


@pytest.fixture(scope="module")
def walker() -> Character:
    return walking_character(num_frames=2)


@pytest.mark.parametrize("rig", available_rigs())
def test_every_rig_can_be_written(rig: str, walker: Character) -> None:
    hierarchy = name_hierarchy(walker, rig)
    assert len(hierarchy.names) == (24 if rig == "smpl" else 22)
    for joint, parent in enumerate(hierarchy.parents):
        assert parent < joint
        # The parent in the file is the parent in the skeleton: no joint between them is left out.
        source = walker.skeleton.parents[hierarchy.source[joint]]
        assert source == (hierarchy.source[parent] if parent >= 0 else -1)


def test_each_joint_is_followed_by_its_descendants(walker: Character) -> None:
    hierarchy = name_hierarchy(walker, "mixamo")
    names = hierarchy.names
    assert names[:6] == ("Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "RightUpLeg")
    assert [names[child] for child in hierarchy.children(names.index("Spine2"))] == [
        *("Neck", "LeftShoulder", "RightShoulder")
    ]


def test_offsets_are_the_skeletons(walker: Character) -> None:
    hierarchy = name_hierarchy(walker, "unreal")
    expected = walker.skeleton.offsets.numpy()[list(hierarchy.source)]
    assert np.allclose(hierarchy.offsets[1:], expected[1:], atol=1e-15)
    assert np.all(hierarchy.offsets[0] == 0)


def test_bones_end_at_tips_or_left_out_children_or_further_on(walker: Character) -> None:
    hierarchy = name_hierarchy(walker, "mixamo")
    tips = {hierarchy.names[joint]: tip for joint, tip in hierarchy.tips.items()}
    rest = dict(zip(SMPL_JOINT_NAMES, walker.rest_xyz, strict=True))
    assert set(tips) == {"LeftToeBase", "RightToeBase", "Head", "LeftHand", "RightHand"}
    assert np.allclose(tips["Head"], TIPS["head"])
    assert np.allclose(tips["LeftHand"], rest["left_hand"])
    hand = name_hierarchy(walker, "smpl")
    further = hand.tips[hand.names.index("left_hand")]
    assert np.allclose(further - rest["left_hand"], 0.5 * (rest["left_hand"] - rest["left_wrist"]))


def test_no_tip_is_at_its_joint() -> None:
    skeleton = made_up_skeleton()
    head = skeleton.rest_xyz[SMPL_JOINT_NAMES.index("head")]
    flat = Skeleton(skeleton.joint_names, skeleton.parents, skeleton.rest_xyz, {"head": head})
    character = Character("0", flat, walking_character(num_frames=2).motion)
    hierarchy = name_hierarchy(character, "mixamo")
    for joint, tip in hierarchy.tips.items():
        assert np.linalg.norm(tip - hierarchy.rest_xyz[joint]) > 0.005


def test_a_rig_that_lacks_a_carrying_joint_is_refused(walker: Character) -> None:
    with pytest.raises(ExportError, match=r"lacks spine2 \(which carries spine3\)"):
        name_hierarchy(walker, {joint: joint for joint in SMPL_JOINT_NAMES if joint != "spine2"})
    with pytest.raises(ExportError, match="names none of pelvis"):
        name_hierarchy(walker, {"tail": "Tail"})
    with pytest.raises(ExportError, match="no rig 'mixmao'"):
        name_hierarchy(walker, "mixmao")


def test_two_roots_are_refused(walker: Character) -> None:
    skeleton = made_up_skeleton()
    loose = Skeleton(skeleton.joint_names, (*skeleton.parents[:-1], -1), skeleton.rest_xyz)
    with pytest.raises(ExportError, match="2 roots"):
        name_hierarchy(Character("0", loose, walker.motion), "smpl")


def test_characters_and_takes_check_their_parts(walker: Character) -> None:
    short = Skeleton(("pelvis",), (-1,), torch.zeros(1, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="different joints"):
        Character("0", short, walker.motion)
    for name in ("", "a/b", "..", "a\nb"):
        with pytest.raises(ExportError, match="makes no file name"):
            Character(name, walker.skeleton, walker.motion)
    with pytest.raises(ValueError, match="same name"):
        Take("walk", (walker, walker))


def test_where_the_root_is_agrees_with_the_motion() -> None:
    off_origin = walking_character(num_frames=5, root_xyz=(0.1, -0.2, 0.3))
    assert np.allclose(off_origin.root_xyz, off_origin.motion.joints[:, 0], atol=1e-14)
