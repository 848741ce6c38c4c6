import math

import torch

from rigs.body_files import _JOINT_NAMES
from rigs.limits import JOINT_LIMITS_DEG, joint_limits
from rigs.skeleton import SMPL_JOINT_NAMES


def test_every_joint_but_the_root_has_limits_around_zero() -> None:
    lower, upper = joint_limits(SMPL_JOINT_NAMES)
    assert lower.shape == upper.shape == (24, 3)
    assert torch.isinf(lower[0]).all() and torch.isinf(upper[0]).all()
    assert torch.isfinite(lower[1:]).all() and torch.isfinite(upper[1:]).all()
    assert (lower <= 0).all() and (upper >= 0).all()
    assert (upper - lower > 0).all()


def test_right_mirrors_left() -> None:
    lower, upper = joint_limits(SMPL_JOINT_NAMES)
    for index, name in enumerate(SMPL_JOINT_NAMES):
        if name.startswith("left_"):
            other = SMPL_JOINT_NAMES.index(name.replace("left", "right"))
            assert torch.equal(
                lower[other], torch.stack([lower[index, 0], -upper[index, 1], -upper[index, 2]])
            )
            assert torch.equal(
                upper[other], torch.stack([upper[index, 0], -lower[index, 1], -lower[index, 2]])
            )


def test_names_and_unit() -> None:
    assert set(JOINT_LIMITS_DEG) <= {*SMPL_JOINT_NAMES, *_JOINT_NAMES[52]}
    lower, upper = joint_limits(["right_elbow", "left_knee"])
    assert math.isclose(float(upper[0, 1]), math.radians(150))
    assert math.isclose(float(upper[1, 0]), math.radians(150)) and float(lower[1, 0]) == 0


def test_middle_joints_are_symmetric() -> None:
    lower, upper = joint_limits(["spine1", "spine2", "spine3", "neck", "head"])
    assert torch.equal(lower[:, 1:], -upper[:, 1:])
