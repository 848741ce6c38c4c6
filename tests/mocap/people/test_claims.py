import numpy as np

from mocap.keypoints import CameraKeypoints
from mocap.people.claims import Forecast, claim, piece_together

NAMES = ("nose", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle")
WHICH = np.arange(len(NAMES))
STANDING = np.array([[0, 0], [-10, 100], [10, 100], [-10, 150], [10, 150], [-10, 200], [10, 200.0]])


def view(people: np.ndarray) -> CameraKeypoints:
    """(F, P, K, 2) seen surely."""
    frames = len(people)
    return CameraKeypoints(np.arange(frames) / 30, people, np.ones(people.shape[:3]), NAMES, (640, 480))


def test_everybody_gets_the_row_that_is_near_and_nobody_a_far_one() -> None:
    places = np.array([[100.0, 100.0], [180.0, 100.0]])
    expected = np.repeat((STANDING + places[:, None])[None], 4, 0)
    seen = expected[:, ::-1] + 4.0
    expected[1, 0] = np.nan
    seen[2] += 300.0
    seen[3, 0] = np.nan  # the one who stands on the right is missed, and nobody takes the other's row
    rows = claim(view(seen), WHICH, Forecast(expected, np.full((4, 2), 200.0)))
    np.testing.assert_array_equal(rows, [[1, 0], [-1, 0], [-1, -1], [1, -1]])


def test_two_who_stand_close_each_get_their_own() -> None:
    places = np.array([[100.0, 100.0], [112.0, 104.0]])
    expected = (STANDING + places[:, None])[None]
    rows = claim(view(expected + 3.0), WHICH, Forecast(expected, np.full((1, 2), 200.0)))
    np.testing.assert_array_equal(rows, [[0, 1]])


def test_legs_that_became_a_second_person_come_back() -> None:
    expected = (STANDING + 100.0)[None, None]
    torso, legs = expected[0, 0].copy(), expected[0, 0].copy()
    torso[3:], legs[:3] = np.nan, np.nan
    seen = view(np.stack([torso, legs])[None])
    forecast = Forecast(expected, np.full((1, 1), 200.0))
    rows = np.array([[0]])
    pieces = piece_together(seen, WHICH, forecast, rows)
    np.testing.assert_array_equal(pieces[0, 0], [0, 0, 0, 1, 1, 1, 1])
    far = view(np.stack([torso, legs + 40.0])[None])
    np.testing.assert_array_equal(piece_together(far, WHICH, forecast, rows)[0, 0], [0] * 7)
