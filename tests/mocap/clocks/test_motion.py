"""Clocks from people who walk: planted offsets and drifts come back, and what does not fit is named."""

from dataclasses import replace

import numpy as np
import pytest

from mocap.clocks import Footage, find_clocks
from mocap.clocks.curves import course
from mocap.clocks.fine import tune
from mocap.clocks.recorded import Recorded
from mocap.settings import SyncSettings
from mocap.sides import mirror
from mocap.sync import CameraClock

SECONDS = 6.0
RATES = {"a": 24.0, "b": 25.0, "c": 30000 / 1001, "d": 60.0}


def walkers(actor_type):
    return (
        actor_type(place=(-0.9, -0.3), speed=(0.3, 0.1), swing_m=0.2),
        actor_type(place=(0.8, 0.6), speed=(-0.25, -0.15), swing_m=0.15, size=0.95),
    )


def errors_ms(clock, planted) -> np.ndarray:
    """How far each camera's offset is from the planted one, both against camera a."""
    return np.array(
        [
            1e3 * (own.offset_s - clock.cameras["a"].offset_s)
            - 1e3 * (planted[name].offset_s - planted["a"].offset_s)
            for name, own in clock.cameras.items()
        ]
    )


def footage(stage, keypoints=None) -> Footage:
    keypoints = keypoints or stage.keypoints
    labels = {name: Recorded(30.0) for name in keypoints}
    return Footage(list(keypoints), labels, keypoints, stage.cameras)


def test_a_parabola_is_followed_whatever_the_frame_times() -> None:
    time_s = np.sort(np.random.default_rng(2).uniform(0, 2, 70))
    at = np.linspace(0.3, 1.7, 20)
    xy = np.stack([3 + 40 * time_s - 9 * time_s**2, 100 - 7 * time_s], -1)[:, None]
    found = course(time_s, xy, np.ones((70, 1)), at, 0.2)
    np.testing.assert_allclose(found.xy_px[:, 0, 0], 3 + 40 * at - 9 * at**2, atol=1e-8)
    np.testing.assert_allclose(found.speed_px_s[:, 0, 0], 40 - 18 * at, atol=1e-7)
    hole = np.where((time_s > 0.5) & (time_s < 1.5), np.nan, 1.0)[:, None, None] * xy
    gap = course(time_s, hole, np.ones((70, 1)), at, 0.2)
    assert np.isnan(gap.xy_px[(at > 0.72) & (at < 1.28)]).all()


@pytest.mark.parametrize("people", [1, 2])
def test_offsets_come_back_from_cameras_of_different_rates(make_stage, actor_type, people: int) -> None:
    planted = {
        "a": CameraClock(),
        "b": CameraClock(1.234),
        "c": CameraClock(-0.717),
        "d": CameraClock(0.0481),
    }
    stage = make_stage(
        walkers(actor_type)[:people], frames=210 - 40 * people, rate_hz=RATES, clocks=planted, noise_px=2.0
    )
    clock = find_clocks(footage(stage), SyncSettings())
    assert not clock.left_out
    assert np.abs(errors_ms(clock, planted)).max() < 3.0
    for name in "bcd":
        assert clock.cameras[name].source == "motion of the people"
        assert 0.0003 < clock.cameras[name].std_s < 0.004
        assert clock.cameras[name].drift_ppm == 0.0, "6 s tell no drift"
        assert clock.cameras[name].drift_std_ppm > 30


def test_lost_frames_and_varying_rates_shift_nothing(make_stage, actor_type) -> None:
    planted = {"b": CameraClock(0.31), "a": CameraClock(), "c": CameraClock(), "d": CameraClock()}
    stage = make_stage(walkers(actor_type)[:1], frames=200, rate_hz=30.0, clocks=planted, noise_px=1.0)
    view, rng = stage.keypoints["b"], np.random.default_rng(0)
    keep = rng.random(200) > 0.15
    lost = replace(view, time_s=view.time_s[keep], xy_px=view.xy_px[keep], score=view.score[keep])
    clock = find_clocks(footage(stage, {**stage.keypoints, "b": lost}), SyncSettings())
    assert np.abs(errors_ms(clock, planted)).max() < 3.0


def test_cameras_that_run_together_stay_at_exactly_zero(make_stage, actor_type) -> None:
    stage = make_stage(walkers(actor_type)[:1], frames=150, rate_hz=30.0, noise_px=2.0)
    clock = find_clocks(footage(stage), SyncSettings())
    for own in clock.cameras.values():
        assert own.offset_s == 0.0
        assert own.drift_ppm == 0.0
        assert own.source == "the clips start together, as motion or sound confirm"
    assert 0 < clock.cameras["b"].std_s < 0.004


def test_other_footage_is_named_and_left_out(make_stage, actor_type) -> None:
    planted = {"a": CameraClock(), "b": CameraClock(0.4), "c": CameraClock(-0.2), "d": CameraClock(0.1)}
    stage = make_stage(walkers(actor_type)[:1], frames=180, rate_hz=30.0, clocks=planted, noise_px=2.0)
    other = make_stage(
        (actor_type(place=(1.2, 1.0), speed=(-0.1, -0.45)),), frames=180, rate_hz=30.0, noise_px=2.0
    )
    mixed = {**stage.keypoints, "c": other.keypoints["c"]}
    clock = find_clocks(footage(stage, mixed), SyncSettings())
    assert list(clock.left_out) == ["c"]
    assert clock.cameras["c"].std_s > 1
    assert any(note.startswith("c is left out: ") for note in clock.notes)
    assert np.abs(errors_ms(clock, planted)[[1, 3]]).max() < 3.0


def test_mirrored_footage_is_said(make_stage, actor_type) -> None:
    planted = {"a": CameraClock(), "b": CameraClock(0.4), "c": CameraClock(-0.2), "d": CameraClock(0.1)}
    people = (actor_type(place=(-0.9, -0.3), speed=(0.3, 0.15), swing_m=0.2),)
    stage = make_stage(people, frames=120, rate_hz=30.0, clocks=planted, noise_px=2.0)
    b = stage.keypoints["b"]
    other = mirror(b.keypoint_names)
    flipped = b.xy_px[:, :, other] * [-1, 1] + [b.size_px[0] - 1, 0]
    mirrored = replace(b, xy_px=flipped, score=b.score[:, :, other])
    clock = find_clocks(footage(stage, {**stage.keypoints, "b": mirrored}), SyncSettings())
    assert any(note.startswith("b is left out: its picture is mirrored") for note in clock.notes), clock.notes


def test_a_camera_five_seconds_off_is_found_if_it_saw_the_same(make_stage, actor_type) -> None:
    planted = {"a": CameraClock(), "b": CameraClock(), "c": CameraClock(), "d": CameraClock(5.02)}
    walker = (actor_type(place=(-1.2, -0.3), speed=(0.2, 0.05)),)
    stage = make_stage(walker, frames=240, rate_hz=30.0, clocks=planted, noise_px=2.0)
    found = find_clocks(footage(stage), SyncSettings())
    assert not found.left_out
    assert np.abs(errors_ms(found, planted)).max() < 6.0
    near = find_clocks(footage(stage), SyncSettings(max_shift_s=2.0))
    assert list(near.left_out) == ["d"]


def test_told_offsets_are_kept_and_the_rest_is_found_beside_them(make_stage, actor_type) -> None:
    planted = {"a": CameraClock(), "b": CameraClock(0.4), "c": CameraClock(-0.2), "d": CameraClock(0.1)}
    stage = make_stage(walkers(actor_type)[:1], frames=180, rate_hz=30.0, clocks=planted, noise_px=2.0)
    clock = find_clocks(footage(stage), SyncSettings(offsets_s={"b": 7.0}))
    assert clock.cameras["b"].offset_s == 7.0
    assert clock.cameras["b"].source == "settings"
    assert clock.cameras["d"].offset_s == pytest.approx(6.7, abs=0.003)
    deaf = find_clocks(footage(stage), SyncSettings(offsets_s={"b": 7.0}, find=False))
    assert deaf.cameras["d"].offset_s == 0.0


def test_nobody_seen_says_so_and_changes_nothing(make_stage, actor_type) -> None:
    stage = make_stage(walkers(actor_type)[:1], frames=60, rate_hz=30.0)
    empty = {
        name: replace(view, xy_px=view.xy_px * np.nan, score=view.score * np.nan)
        for name, view in stage.keypoints.items()
    }
    clock = find_clocks(footage(stage, empty), SyncSettings())
    assert not clock.left_out
    assert "says nothing about the clocks" in clock.notes[0]
    assert {own.source for own in clock.cameras.values()} == {"assumed: the clips start together"}


def test_the_solve_needs_a_camera_that_is_held(make_stage, actor_type) -> None:
    stage = make_stage(walkers(actor_type)[:1], frames=60, rate_hz=30.0)
    with pytest.raises(ValueError, match="held"):
        tune([], stage.cameras, np.zeros(4), np.zeros(4), np.zeros(4, bool))
