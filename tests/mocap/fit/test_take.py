"""A long take, whose factor does not fit into memory, against the same take in one piece."""

import numpy as np
import pytest
import torch

from mocap.fit import fit, sweep, take
from mocap.fit.state import State, between
from mocap.settings import FitSettings
from rigs.body import Body

SETTINGS = FitSettings(floor=False, correlation_s=0.0)


def test_a_take_in_runs_has_the_same_answer(body: Body, make_truth, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = make_truth(60, noise_m=0.005)
    whole = fit(truth.points, body, settings=SETTINGS)[0][0]
    monkeypatch.setattr(sweep, "RUN", 17)
    monkeypatch.setattr(sweep, "KEPT_BYTES", 3e6)  # about twenty frames
    runs = fit(truth.points, body, settings=SETTINGS)[0][0]
    assert np.abs(runs.joints - whole.joints).max() < 1e-6
    assert np.abs(runs.joint_std - whole.joint_std).max() < 1e-8


def test_a_long_take_tells_its_shape_from_stretches(
    body: Body, make_truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = make_truth(90, noise_m=0.005)
    whole = truth.limb_error_mm(body, fit(truth.points, body, settings=SETTINGS)[0][0].joints).mean()
    monkeypatch.setattr(take, "_MOST_KEYS", 15)
    monkeypatch.setattr(take, "_STRETCH", 5)
    motion = fit(truth.points, body, settings=SETTINGS)[0][0]
    assert truth.limb_error_mm(body, motion.joints).mean() < whole + 1.5


def test_frames_between_are_on_the_way() -> None:
    quat = torch.tensor([[[0.0, 0.0, 0.0, 1.0]], [[0.0, 0.0, 1.0, 0.0]]], dtype=torch.float64)  # half a turn
    trans = torch.tensor([[0.0, 0, 0], [1, 2, 3]], dtype=torch.float64)
    state = State(quat, trans, torch.zeros(1).double(), torch.zeros(0, 3).double())
    time_s = torch.tensor([1.0, 2.0], dtype=torch.float64)
    middle = between(state, time_s, torch.tensor([1.0, 1.5, 2.0], dtype=torch.float64))
    assert torch.allclose(middle.trans[1], torch.tensor([0.5, 1.0, 1.5]).double())
    assert torch.allclose(middle.quat_xyzw[1, 0].abs(), torch.tensor([0, 0, 0.5**0.5, 0.5**0.5]).double())
    assert torch.allclose(middle.trans[[0, 2]], trans)
