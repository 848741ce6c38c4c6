import numpy as np
import pytest

from mocap.errors import InputError
from mocap.timeline import STANDARD_RATES_HZ, common_rate, frame_rate, resample, shared_grid, snap_rate


@pytest.mark.parametrize("rate_hz", STANDARD_RATES_HZ)
def test_standard_rates_snap_and_stay_apart(rate_hz: float) -> None:
    assert snap_rate(rate_hz * (1 + 4e-4)) == rate_hz
    assert snap_rate(rate_hz * (1 - 4e-4)) == rate_hz
    assert snap_rate(rate_hz * 1.02) == rate_hz * 1.02


def test_rate_from_times_rounded_to_milliseconds() -> None:
    assert frame_rate(np.round(np.arange(100) / 60, 3)) == 60.0
    assert frame_rate(np.round(np.arange(1000) * 1001 / 30000, 3)) == 30000 / 1001


def test_dropped_frames_do_not_lower_the_rate() -> None:
    time_s = np.delete(np.arange(300) / 30, [10, 50, 51, 52, 200])
    assert frame_rate(time_s) == 30.0


def test_an_odd_rate_is_kept() -> None:
    assert frame_rate(np.arange(100) / 27.3) == pytest.approx(27.3)


def test_a_single_frame_has_no_rate() -> None:
    with pytest.raises(ValueError, match="two frames"):
        frame_rate(np.zeros(1))


def test_the_rate_of_most_cameras_wins_then_the_highest() -> None:
    assert common_rate([30.0, 60.0, 30.0]) == 30.0
    assert common_rate([30.0, 60.0]) == 60.0
    assert common_rate([29.98, 30.03, 60.0]) == pytest.approx(30.0, rel=1e-3)


def test_a_hundred_frames_give_a_hundred_instants() -> None:
    times = np.arange(100) / 60
    for rounded in (times, np.round(times, 3), np.round(times * 15360) / 15360):
        grid = shared_grid([rounded, rounded], 60.0, 2)
        assert len(grid) == 100
        np.testing.assert_allclose(grid, times)


def test_the_grid_spans_what_enough_cameras_cover() -> None:
    times = [np.arange(0, 2.001, 0.1) + start for start in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(shared_grid(times, 10.0, 2)[[0, -1]], [0.5, 2.5])
    np.testing.assert_allclose(shared_grid(times, 10.0, 3)[[0, -1]], [1.0, 2.0])
    with pytest.raises(InputError, match="at no time do 2 cameras run"):
        shared_grid([np.arange(3.0), np.arange(3.0) + 10], 10.0, 2)


def test_between_frames_values_are_linear() -> None:
    time_s = np.arange(5) / 10
    values = np.stack([3 * time_s, -time_s], -1)
    at_s = np.array([0.05, 0.13, 0.31])
    np.testing.assert_allclose(resample(time_s, values, at_s, period_s=0.1), np.stack([3 * at_s, -at_s], -1))


def test_a_frame_that_coincides_is_taken_as_it_is() -> None:
    time_s = np.array([0.0, 0.1, 0.2])
    values = np.array([1.0, 5.0, 2.0])
    got = resample(time_s, values, np.array([0.0995, 0.1008, 0.2004, -0.0004]), period_s=0.1)
    assert got.tolist() == [5.0, 5.0, 2.0, 1.0]


def test_nothing_is_invented_outside_or_across_long_gaps() -> None:
    time_s = np.array([0.0, 0.1, 0.3, 0.6])  # one frame is missing, then two
    got = resample(time_s, time_s, np.array([-0.05, 0.2, 0.45, 0.65]), period_s=0.1)
    np.testing.assert_allclose(got, [np.nan, 0.2, np.nan, np.nan])
    assert np.isnan(resample(np.empty(0), np.empty((0, 2)), np.zeros(3), period_s=0.1)).all()
    one = resample(np.array([1.0]), np.array([7.0]), np.array([0.9, 1.0]), period_s=0.1)
    np.testing.assert_array_equal(one, [np.nan, 7.0])


def test_a_missing_neighbour_is_not_bridged() -> None:
    values = np.array([[0.0, 0.0], [1.0, np.nan], [2.0, 2.0]])
    got = resample(np.arange(3.0), values, np.array([0.5, 1.0, 2.0]), period_s=1.0)
    np.testing.assert_array_equal(got, [[0.5, np.nan], [1.0, np.nan], [2.0, 2.0]])
