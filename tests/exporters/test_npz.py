from __future__ import annotations

import io

import numpy as np

from exporters.npz import export_npz
from rigs.motion import Motion

from ..clients.walk import walking_take


def test_motion_survives_to_the_last_digit() -> None:
    take = walking_take("anna", "ben", num_frames=5)
    files = export_npz(take)
    assert list(files) == ["anna.npz", "ben.npz"]
    with np.load(io.BytesIO(files["ben.npz"]), allow_pickle=False) as arrays:
        read = Motion.from_arrays(dict(arrays))
    motion = take.characters[1].motion
    for key, value in motion.to_arrays().items():
        assert np.array_equal(read.to_arrays()[key], value, equal_nan=value.dtype.kind == "f"), key


def test_the_keys_and_shapes_of_amass() -> None:
    (data,) = export_npz(walking_take(num_frames=5)).values()
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        assert arrays["poses"].shape == (5, 72)
        assert arrays["trans"].shape == (5, 3)
        assert arrays["betas"].ndim == 1
        assert arrays["gender"].item() == "neutral"
        assert float(arrays["mocap_framerate"]) == 30.0


def test_the_same_take_gives_the_same_bytes() -> None:
    assert export_npz(walking_take(num_frames=5)) == export_npz(walking_take(num_frames=5))
