"""What the estimators say of noise, motion and bones whose truth is planted."""

import numpy as np
import pytest

from mocap.solve.bones import candidates, fit_bones
from mocap.solve.motion import fit_motion, posterior_variance
from mocap.solve.noise import Correlation, correlate, fit_sigma, fit_tails
from rigs.keypoints import KEYPOINT_SETS


def lasting(rng: np.random.Generator, shape: tuple[int, ...], rho: float, axis: int) -> np.ndarray:
    noise = np.moveaxis(rng.normal(size=shape), axis, 0)
    for frame in range(1, len(noise)):
        noise[frame] = rho * noise[frame - 1] + np.sqrt(1 - rho**2) * noise[frame]
    return np.moveaxis(noise, 0, axis)


def test_tails_of_normal_errors_are_none() -> None:
    rng = np.random.default_rng(0)
    tails = fit_tails((rng.normal(size=(40000, 2)) ** 2).sum(1))
    np.testing.assert_allclose(tails.weight(np.array([0.1, 1.0, 4.0])), 1.0, atol=0.15)
    assert tails.soundness(np.array([9.0]))[0] > 0.9


def test_wrong_points_lose_their_weight() -> None:
    rng = np.random.default_rng(0)
    error = rng.normal(size=(40000, 2))
    wrong = rng.random(40000) < 0.05
    error[wrong] *= 30
    tails = fit_tails((error**2).sum(1))
    weight = tails.weight(np.array([1.0, 9.0, 100.0, 2500.0]))
    assert (np.diff(weight) < 0).all()
    assert weight[0] > 0.8
    assert weight[3] < 0.01
    assert tails.soundness(np.array([1.0]))[0] > 0.99
    assert tails.soundness(np.array([100.0]))[0] < 0.01


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_correlation_in_time(rho: float) -> None:
    rng = np.random.default_rng(0)
    error = lasting(rng, (2, 6, 1500, 8), rho, 2)
    sound = rng.random(error.shape[1:]) > 0.05
    found = correlate(error, sound, 60.0)
    assert found.rho == pytest.approx(rho, abs=0.03)
    assert found.bias < 0.03


def test_constant_errors_are_told_from_lasting_ones() -> None:
    rng = np.random.default_rng(0)
    error = np.sqrt(0.7) * lasting(rng, (2, 6, 1500, 8), 0.8, 2)
    error += np.sqrt(0.3) * rng.normal(size=(2, 6, 1, 8))
    found = correlate(error, np.ones(error.shape[1:], dtype=bool), 30.0)
    assert found.bias == pytest.approx(0.3, abs=0.1)


def test_deviation_follows_what_tells_it_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    telling, silent = rng.uniform(-1, 1, (2, 4, 1000, 6))
    true = np.exp(0.8 * telling + rng.normal(0, 0.3, (4, 1, 6)))
    square = (rng.normal(size=(2, 4, 1000, 6)) ** 2).sum(0) / 2 * true**2
    found = fit_sigma(square, np.ones(square.shape), np.ones(square.shape), [telling, silent])
    assert np.abs(np.log(found / true)).mean() < 0.08
    flat = fit_sigma(square, np.ones(square.shape), np.ones(square.shape), [silent])
    assert np.abs(np.log(flat / true)).mean() > 0.2, "the figure above would see a fit that ignores features"


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_strength_of_motion_gives_the_least_error(rho: float) -> None:
    """Smoothing by the estimate is near the best there is, and its own figure of the error is right."""
    rng = np.random.default_rng(0)
    time = np.arange(1200) / 60
    hz = rng.uniform(0.2, 2.0, (5, 4, 3, 1))
    truth = 0.1 * np.sin(2 * np.pi * hz * time + rng.uniform(0, 6, (5, 4, 3, 1))).sum(0).transpose(2, 0, 1)
    seen = truth + 0.008 * lasting(rng, truth.shape, rho, 0)
    variance = np.full((4, 3), 0.008**2)
    correlation = Correlation(rho)
    motion = fit_motion(seen, variance, correlation)

    def error(strength: float) -> float:
        omega = 2 * np.pi * np.fft.rfftfreq(len(seen))
        signal = strength * np.maximum(4 * np.sin(omega / 2) ** 2, 1e-9) ** (-float(motion.order))
        gain = signal / (signal + 0.008**2 * correlation.spectrum(omega))
        smooth = np.fft.irfft(np.fft.rfft(seen, axis=0) * gain[:, None, None], len(seen), axis=0)
        return float(((smooth - truth)[60:-60] ** 2).mean())

    chosen = error(float(np.median(motion.variance)))
    best = min(error(strength) for strength in np.geomspace(1e-13, 1e-4, 40))
    assert chosen < 1.3 * best
    said = posterior_variance(variance, motion, correlation).mean()
    assert 0.6 < said / chosen < 1.6


def test_bones_are_as_constant_as_they_are() -> None:
    rng = np.random.default_rng(0)
    names = ("left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle")
    time = np.arange(900)
    xyz = np.cumsum(np.tile([0.1, 0.0, -0.4], (6, 1)), 0)[None] + np.zeros((900, 1, 1))
    xyz[:, 4] += 0.006 * np.sin(time / 40)[:, None] * [0, 0, 1]  # the right knee slides along the leg
    seen = xyz + rng.normal(0, 0.001, xyz.shape)
    bones = fit_bones(seen, np.full(6, 1e-6), np.ones((900, 6), dtype=bool), names, 1.0)
    sd = dict(zip(zip(bones.first.tolist(), bones.second.tolist(), strict=True), bones.sd, strict=True))
    assert sd[0, 1] < 0.001
    assert sd[1, 2] < 0.001
    assert sd[3, 4] == pytest.approx(0.0042, rel=0.4)
    assert (0, 4) not in sd, "no bone joins the left hip and the right knee"
    truth = np.linalg.norm(xyz[:, bones.first] - xyz[:, bones.second], axis=-1).mean(0)
    np.testing.assert_allclose(bones.length, truth, atol=5e-4)


@pytest.mark.parametrize("name", sorted(set(KEYPOINT_SETS) - {"hand21", "hands42"}))
def test_every_known_set_has_bones_on_both_sides(name: str) -> None:
    names = KEYPOINT_SETS[name]
    pairs = {frozenset((names[a], names[b])) for a, b in candidates(names)}
    for side in ("left", "right"):
        for upper, lower in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")):
            assert frozenset((f"{side}_{upper}", f"{side}_{lower}")) in pairs
    assert frozenset(("left_hip", "right_knee")) not in pairs
    assert frozenset(("left_ankle", "right_ankle")) not in pairs
