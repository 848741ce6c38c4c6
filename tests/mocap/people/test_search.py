import numpy as np

from mocap.associate import Expected
from mocap.keypoints import CameraKeypoints
from mocap.people.search import _look_at, _missed

NAMES = ("nose", *(f"{s}_{p}" for p in ("shoulder", "hip", "ankle") for s in ("left", "right")))
STANDING = np.array([[0, 0], [12, 30], [-12, 30], [10, 90], [-10, 90], [10, 180], [-10, 180.0]])
SIZE = 190.0
PLACES = np.array([[200.0, 100.0], [260.0, 110.0]])


def scene(*rows: int) -> tuple[Expected, CameraKeypoints, CameraKeypoints]:
    """Two people who are expected, those of them that the camera has, and room for who is found."""
    xy = (STANDING + PLACES[:, None])[None]
    expected = Expected(xy, np.full((1, 2), SIZE), np.array([rows]), np.arange(7), NAMES)
    seen = np.where((np.array(rows) >= 0)[:, None, None], xy[0], np.nan)[None]
    empty = np.full((1, 2, 7, 2), np.nan)
    score = np.full((1, 2, 7), np.nan)
    return (
        expected,
        CameraKeypoints(np.zeros(1), seen, score, NAMES, (640, 480)),
        CameraKeypoints(np.zeros(1), empty, score.copy(), NAMES, (640, 480)),
    )


def look_for(person: int, pose: np.ndarray | None) -> np.ndarray:
    """What is kept of what the detector says, looking for one person while the other one is known."""
    rows = [0, 1]
    rows[person] = -1
    expected, view, found = scene(*rows)
    answer = None if pose is None else (pose, np.full(7, 0.8))
    image = np.zeros((480, 640, 3), np.uint8)
    _look_at(image, 0, _missed(expected, view)[0], expected, view, found, lambda *_: answer)
    return found.xy_px[0]


def test_who_is_seen_where_they_should_be_is_kept_as_seen() -> None:
    pose = STANDING + PLACES[1] + 5.0
    found = look_for(1, pose)
    np.testing.assert_array_equal(found[1], pose)
    assert np.isnan(found[0]).all()


def test_a_detector_that_locks_onto_the_neighbour_finds_nobody() -> None:
    assert np.isnan(look_for(1, STANDING + PLACES[0] + 3.0)).all()
    assert np.isnan(look_for(1, STANDING + PLACES.mean(0))).all(), "nor somebody halfway"
    assert np.isnan(look_for(1, None)).all()


def test_only_who_should_be_in_the_picture_is_missed() -> None:
    expected, view, _ = scene(0, -1)
    np.testing.assert_array_equal(_missed(expected, view), [[False, True]])
    expected.xy_px[0, 1] += 600.0
    assert not _missed(expected, view).any()
