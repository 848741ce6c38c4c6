import numpy as np
import pytest

from mocap.keypoints import CameraKeypoints
from mocap.track import median_distance, person_size, tracklets


def test_size_is_the_diagonal_of_what_is_seen() -> None:
    xy = np.array([[[0.0, 0.0], [30.0, 40.0], [np.nan, 1000.0]], np.full((3, 2), np.nan)])
    np.testing.assert_array_equal(person_size(xy), [50.0, np.nan])


def test_median_distance_of_shared_keypoints() -> None:
    a = np.zeros((5, 2))
    b = np.array([[1.0, 0], [2.0, 0], [900.0, 0], [4.0, 0], [np.nan, 0]])
    assert median_distance(a, b) == 3.0
    assert median_distance(a[:3], b[:3]) == 2.0
    two_of_three = np.array([[1.0, 0], [2.0, 0], [np.nan, 0]])
    assert median_distance(a[:3], two_of_three) == np.inf
    assert median_distance(a[:2], b[:2]) == 1.5  # a prop of two points has no more


def row_of(view: CameraKeypoints, truth: np.ndarray, frame: int) -> int:
    return int(np.argmin(np.linalg.norm(view.xy_px[frame] - truth, axis=-1).mean(-1)))


def test_two_people_in_changing_rows_are_two_tracklets(make_stage, actor_type) -> None:
    people = [actor_type(place=(0.0, -0.6)), actor_type(place=(0.0, 0.6))]
    stage = make_stage(people, noise_px=2.0)
    view = stage.keypoints["a"]
    found = tracklets("a", view)
    assert [len(track.frame) for track in found] == [40, 40]
    alone = [make_stage([person]).keypoints["a"].xy_px[:, 0] for person in people]
    for track in found:
        who = [
            int(
                np.linalg.norm(alone[1][f] - view.xy_px[f, r])
                < np.linalg.norm(alone[0][f] - view.xy_px[f, r])
            )
            for f, r in zip(track.frame, track.row, strict=True)
        ]
        assert len(set(who)) == 1


def test_a_short_loss_is_bridged_and_a_long_one_is_not(make_stage) -> None:
    stage = make_stage(frames=120)
    view = stage.keypoints["a"]
    view.xy_px[20:30] = np.nan
    view.xy_px[60:90] = np.nan
    assert [len(track.frame) for track in tracklets("a", view)] == [50, 30]


def test_tracklets_end_where_two_people_may_be_confused(make_stage, actor_type) -> None:
    stage = make_stage(
        [actor_type(place=(0.0, -1.0), speed=(0.0, 1.0)), actor_type(place=(0.0, 1.0), speed=(0.0, -1.0))],
        frames=120,
    )
    found = tracklets("a", stage.keypoints["a"])
    assert len(found) == 6, "before, while and after they cross"
    assert sum(len(track.frame) for track in found) == 240


@pytest.mark.parametrize("people", [0, 1])
def test_nobody_and_half_seen_people(make_stage, people: int) -> None:
    view = make_stage().keypoints["a"]
    view.xy_px[:, :, people * 3 :] = np.nan
    assert len(tracklets("a", view)) == people
