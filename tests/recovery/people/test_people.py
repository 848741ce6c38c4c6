"""Cameras found from people alone, against the truth; and takes that cannot give any."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from calibration.errors import CalibrationError
from calibration.people.calibrate import PeopleOptions
from mocap.calibrate_people import calibrate_from_take
from mocap.virtual.moves import Reach, Stand, Wave

QUICK = PeopleOptions(check_halves=False)


def _offset_errors_ms(scene, clock) -> np.ndarray:
    found = np.array([clock.cameras[name].offset_s for name in scene.cameras.names])
    true = np.array([scene.offset_s[name] for name in scene.cameras.names])
    return 1e3 * np.abs((found - true) - (found - true)[0])


def test_four_cameras_from_one_walk(walks: ModuleType) -> None:
    scene = walks.walk(cameras=4, seconds=15.0, seed=31)
    cameras, clock, summary = calibrate_from_take(scene.keypoints, height_m=scene.height_m, options=QUICK)
    off, turned, scale = walks.aligned(cameras, scene.cameras)
    assert summary.usable, summary.reasons
    assert off.max() < 0.02 and np.median(off) < 0.01
    assert turned.max() < 1.2
    assert abs(scale - 1) < 0.03
    assert _offset_errors_ms(scene, clock).max() < 15
    assert (cameras.centers_world - scene.cameras.centers_world)[:, 2].abs().max() < 0.12


@pytest.mark.slow
def test_without_noise_the_cameras_are_nearly_exact(walks: ModuleType) -> None:
    straight = walks.build_cameras(
        walks.CameraRing(num_cameras=4, seed=3, center_m=(0.0, 0.0), distortion=(0.0, 0.0, 0.0, 0.0))
    )
    scene = walks.walk(cameras=straight, seconds=8.0, seed=32, noise=0.0)
    cameras, clock, _ = calibrate_from_take(scene.keypoints, options=QUICK)
    off, turned, _ = walks.aligned(cameras, scene.cameras)
    # The solver expects a detector's errors, so principal points stay near their prior.
    assert off.max() < 0.006 and turned.max() < 0.8
    assert _offset_errors_ms(scene, clock).max() < 3


def test_somebody_who_stays_on_the_spot_is_no_calibration(walks: ModuleType) -> None:
    moves = (Stand(0.5), *(Wave(), Reach("right", 1.0)) * 4)
    scene = walks.walk(cameras=4, seconds=6.0, seed=33, moves=moves)
    try:
        _, _, summary = calibrate_from_take(scene.keypoints, options=QUICK)
    except CalibrationError as error:
        assert "walk" in str(error)
        return
    assert not summary.usable
    assert any("of their height" in reason or "is known to" in reason for reason in summary.reasons)


def test_too_short_and_too_few_are_said_with_numbers(walks: ModuleType) -> None:
    scene = walks.walk(cameras=2, seconds=1.5, seed=34)
    with pytest.raises(CalibrationError, match=r"sees somebody for 1\.5 s, 2 s are the least"):
        calibrate_from_take(scene.keypoints)
    first = next(iter(scene.keypoints))
    with pytest.raises(CalibrationError, match="1 camera; two or more"):
        calibrate_from_take({first: scene.keypoints[first]})


@pytest.mark.slow
def test_clips_of_different_takes_do_not_pass(walks: ModuleType) -> None:
    one, other = (walks.walk(cameras=4, seconds=8.0, seed=seed) for seed in (35, 36))
    mixed = {**one.keypoints, "cam3": other.keypoints["cam3"]}
    try:
        _, _, summary = calibrate_from_take(mixed, options=QUICK)
    except CalibrationError as error:
        assert "cam3" in str(error)
        return
    assert not summary.usable, "a clip of another take must not pass"


@pytest.mark.slow
@pytest.mark.parametrize(("cameras", "seed"), [(4, 41), (4, 42), (8, 43), (8, 44)])
def test_walks_recover_the_rig(walks: ModuleType, cameras: int, seed: int) -> None:
    scene = walks.walk(cameras=cameras, seconds=25.0, seed=seed)
    found, clock, summary = calibrate_from_take(scene.keypoints, height_m=scene.height_m)
    off, turned, scale = walks.aligned(found, scene.cameras)
    assert summary.usable, summary.reasons
    assert off.max() < 0.012
    # A principal point that is 10 px off, which keypoints hardly show, is 0.7° of turn.
    assert np.median(turned) < 0.5 and turned.max() < 1.5
    assert abs(scale - 1) < 0.03
    assert _offset_errors_ms(scene, clock).max() < 15


@pytest.mark.slow
def test_two_people_are_told_apart_before_any_camera_has_a_place(walks: ModuleType) -> None:
    scene = walks.with_people_in_random_rows(walks.walk(cameras=4, seconds=15.0, seed=21, people=2))
    found, clock, summary = calibrate_from_take(scene.keypoints)
    off, turned, _ = walks.aligned(found, scene.cameras)
    assert summary.usable and off.max() < 0.02 and turned.max() < 1.5
    assert _offset_errors_ms(scene, clock).max() < 15


@pytest.mark.slow
def test_known_lenses_do_better_and_the_order_of_cameras_does_not_matter(walks: ModuleType) -> None:
    scene = walks.walk(cameras=4, seconds=15.0, seed=45)
    found, _, _ = calibrate_from_take(scene.keypoints, lenses=scene.cameras, options=QUICK)
    off, turned, _ = walks.aligned(found, scene.cameras)
    assert off.max() < 0.01 and turned.max() < 0.6
    turned_round = replace(scene, keypoints=dict(reversed(scene.keypoints.items())))
    again, _, _ = calibrate_from_take(turned_round.keypoints, lenses=scene.cameras, options=QUICK)
    same, _, _ = walks.aligned(again, found)
    assert same.max() < 0.005
