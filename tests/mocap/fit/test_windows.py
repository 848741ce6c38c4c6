"""A take solved in windows against the same take in one piece."""

import numpy as np
import pytest

from mocap.fit import fit, windows
from mocap.settings import FitSettings
from rigs.body import Body

SETTINGS = FitSettings(floor=False, correlation_s=0.0)


@pytest.mark.parametrize("num", [1, 1500, 1501, 4321])
def test_windows_cover_every_frame_once(num: int) -> None:
    done = 0
    for first, keep, stop in windows._windows(num):
        assert first == max(0, done - 2)
        assert keep > done
        assert stop - first <= windows.WINDOW
        assert stop >= keep
        done = keep
    assert done == num


def test_windows_have_no_seam(body: Body, make_truth, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = make_truth(120, noise_m=0.005)
    whole = fit(truth.points, body, settings=SETTINGS)[0][0]
    monkeypatch.setattr(windows, "WINDOW", 60)
    monkeypatch.setattr(windows, "OVERLAP", 20)
    monkeypatch.setattr(windows, "_SAMPLES", 3)
    monkeypatch.setattr(windows, "_SAMPLE", 20)
    parts = fit(truth.points, body, settings=SETTINGS)[0][0]
    assert np.isfinite(parts.joint_std).all()
    assert (
        truth.limb_error_mm(body, parts.joints).mean() < truth.limb_error_mm(body, whole.joints).mean() + 2.0
    )
    jolt = [np.abs(np.diff(m.joints, 3, axis=0)).max() for m in (whole, parts)]
    assert jolt[1] < 1.3 * jolt[0]


def test_samples_of_a_long_take_are_spread_over_it() -> None:
    frames = windows._sample(5000).numpy()
    assert frames[0] == 0
    assert frames[-1] == 4999
    assert len(frames) == 1000
