import pytest
import torch

from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS, Skeleton, offsets_from_rest


def _chain() -> Skeleton:
    rest = torch.tensor([[0.0, 1, 0], [0, 1.5, 0], [0.2, 1.5, 0]], dtype=torch.float64)
    return Skeleton(("a", "b", "c"), (-1, 0, 1), rest, {"c": torch.tensor([0.3, 1.5, 0])})


def test_offsets_are_from_the_parent_and_the_root_keeps_its_place() -> None:
    expected = torch.tensor([[0, 1, 0], [0, 0.5, 0], [0.2, 0, 0]], dtype=torch.float64)
    assert torch.allclose(_chain().offsets, expected)
    assert torch.allclose(_chain().bone_lengths, torch.tensor([0, 0.5, 0.2], dtype=torch.float64))


def test_offsets_of_a_batch() -> None:
    rest = torch.randn(5, 2, 24, 3, dtype=torch.float64)
    offsets = offsets_from_rest(rest, SMPL_PARENTS)
    assert torch.allclose(offsets[..., 20, :], rest[..., 20, :] - rest[..., 18, :])
    assert torch.equal(offsets[..., 0, :], rest[..., 0, :])


def test_smpl_names_and_parents_agree() -> None:
    for joint, parent in (("left_wrist", "left_elbow"), ("right_foot", "right_ankle"), ("head", "neck")):
        assert SMPL_JOINT_NAMES[SMPL_PARENTS[SMPL_JOINT_NAMES.index(joint)]] == parent
    for name, parent in zip(SMPL_JOINT_NAMES, SMPL_PARENTS, strict=True):
        if name.startswith("left_") and SMPL_JOINT_NAMES[parent].startswith("left_"):
            mirrored = SMPL_JOINT_NAMES.index(name.replace("left", "right"))
            assert SMPL_JOINT_NAMES[SMPL_PARENTS[mirrored]] == SMPL_JOINT_NAMES[parent].replace(
                "left", "right"
            )


def test_children_and_index() -> None:
    assert _chain().children("a") == ("b",)
    with pytest.raises(ValueError, match="no joint 'Hips'; this skeleton has a, b, c"):
        _chain().index("Hips")


@pytest.mark.parametrize(
    ("names", "parents", "tips", "message"),
    [
        (("a", "a"), (-1, 0), {}, "not unique"),
        (("a", "b"), (1, -1), {}, "before their children"),
        (("a", "b"), (-1,), {}, "1 parents for 2"),
        (("a", "b"), (-1, 0), {"z": torch.zeros(3)}, "tips name"),
        (("a", "b", "c"), (-1, 0, 1), {}, "rest_xyz must be"),
    ],
)
def test_what_does_not_fit_is_refused(names, parents, tips, message) -> None:
    with pytest.raises(ValueError, match=message):
        Skeleton(names, parents, torch.zeros(2, 3), tips)
