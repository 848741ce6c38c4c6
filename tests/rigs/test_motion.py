import io
from dataclasses import fields, replace

import numpy as np
import pytest

from rigs.errors import RigError
from rigs.motion import Motion
from rigs.skeleton import SMPL_JOINT_NAMES


def _motion(times: int = 4) -> Motion:
    random = np.random.default_rng(0)
    return Motion(
        poses=random.normal(size=(times, 72)),
        trans=random.normal(size=(times, 3)),
        betas=random.normal(size=16),
        gender="neutral",
        mocap_framerate=59.94,
        time_s=np.arange(times) / 59.94,
        joint_names=SMPL_JOINT_NAMES,
        joints=random.normal(size=(times, 24, 3)),
        joint_std=random.uniform(size=(times, 24)),
        contacts=random.uniform(size=(times, 2)),
        contact_names=("left_foot", "right_foot"),
    )


def _same(one: Motion, two: Motion) -> bool:
    pairs = [(getattr(one, item.name), getattr(two, item.name)) for item in fields(Motion)]
    return all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") if isinstance(a, np.ndarray) else a == b
        for a, b in pairs
    )


@pytest.mark.parametrize("times", [0, 1, 4])
def test_round_trip_through_a_file_without_pickle(times: int) -> None:
    file = io.BytesIO()
    np.savez(file, format="x", **_motion(times).to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        assert {"poses", "trans", "betas", "gender", "mocap_framerate"} <= set(arrays.files)
        assert _same(Motion.from_arrays(arrays), _motion(times))


def test_the_comparison_sees_a_difference() -> None:
    assert not _same(_motion(), replace(_motion(), gender="female"))
    assert not _same(_motion(), replace(_motion(), trans=_motion().trans + 1e-9))


def test_what_is_not_known_is_nan_or_empty() -> None:
    full = _motion()
    arrays = {
        name: value
        for name, value in full.to_arrays().items()
        if not name.startswith(("joint_std", "contact"))
    }
    motion = Motion.from_arrays(arrays)
    assert motion.joint_std.shape == (4, 24) and np.isnan(motion.joint_std).all()
    assert motion.contacts.shape == (4, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"poses": np.zeros((4, 69))}, "poses must be"),
        ({"trans": np.zeros((3, 3))}, "trans must be"),
        ({"joints": np.zeros((4, 22, 3))}, "joints must be"),
        ({"mocap_framerate": 0.0}, "mocap_framerate"),
    ],
)
def test_shapes_must_agree(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(_motion(), **change)
    with pytest.raises(RigError, match=f"take.npz is not a motion file.*{message}"):
        Motion.from_arrays({**_motion().to_arrays(), **change}, where="take.npz")


def test_missing_keys_are_named() -> None:
    arrays = _motion().to_arrays()
    del arrays["poses"], arrays["trans"]
    with pytest.raises(RigError, match=r"take.npz has no poses, trans"):
        Motion.from_arrays(arrays, where="take.npz")
