import numpy as np
import pytest

from mocap.keypoints import CameraKeypoints
from mocap.track import follow, person_size, tracklets


def test_size_is_the_diagonal_of_what_is_seen() -> None:
    xy = np.array([[[0.0, 0.0], [30.0, 40.0], [np.nan, 1000.0]], np.full((3, 2), np.nan)])
    np.testing.assert_array_equal(person_size(xy), [50.0, np.nan])


def lengths(view: CameraKeypoints) -> list[int]:
    found = tracklets("a", view)
    return [len(track.frame) for track in found]


def shown(view: CameraKeypoints, alone: list[np.ndarray]) -> np.ndarray:
    """(F, P) which of the people each row shows."""
    away = [np.linalg.norm(view.xy_px - one[:, None], axis=-1).mean(-1) for one in alone]
    return np.argmin(away, axis=0)


def test_two_people_in_changing_rows_are_two_tracklets(make_stage, actor_type) -> None:
    people = [actor_type(place=(0.0, -0.6)), actor_type(place=(0.0, 0.6))]
    view = make_stage(people, noise_px=2.0).keypoints["a"]
    alone = [make_stage([person]).keypoints["a"].xy_px[:, 0] for person in people]
    assert lengths(view) == [40, 40]
    label = follow(view)
    who = shown(view, alone)
    assert all(len(set(who[label == track])) == 1 for track in (0, 1))


def test_a_short_loss_is_bridged_and_a_long_one_is_not(make_stage) -> None:
    view = make_stage(frames=120).keypoints["a"]
    view.xy_px[20:27] = np.nan
    view.xy_px[60:90] = np.nan
    assert lengths(view) == [53, 30]


def test_no_tracklet_goes_over_to_somebody_else_where_two_cross(make_stage, actor_type) -> None:
    people = [
        actor_type(place=(0.0, -1.0), speed=(0.0, 1.0)),
        actor_type(place=(0.0, 1.0), speed=(0.0, -1.0)),
    ]
    view = make_stage(people, frames=120).keypoints["a"]
    alone = [make_stage([person], frames=120).keypoints["a"].xy_px[:, 0] for person in people]
    who, label = shown(view, alone), follow(view)
    apart = np.linalg.norm(alone[0] - alone[1], axis=-1).mean(-1) > 5.0  # there it is clear who is who
    assert len(np.unique(label)) <= 20
    for track in np.unique(label):
        assert len(set(who[(label == track) & apart[:, None]])) <= 1


def test_time_backwards_and_other_rows_give_the_same_tracklets(make_stage, actor_type) -> None:
    people = [
        actor_type(place=(0.0, -1.0), speed=(0.0, 1.0)),
        actor_type(place=(0.0, 1.0), speed=(0.0, -1.0)),
    ]
    view = make_stage(people, frames=120, noise_px=3.0).keypoints["a"]
    forwards = follow(view)
    backwards = follow(
        CameraKeypoints(
            view.time_s[-1] - view.time_s[::-1],
            view.xy_px[::-1, ::-1],
            view.score[::-1, ::-1],
            view.keypoint_names,
            view.size_px,
        )
    )[::-1, ::-1]
    assert len(set(zip(forwards.ravel(), backwards.ravel(), strict=True))) == forwards.max() + 1


@pytest.mark.parametrize("people", [0, 1])
def test_nobody_and_half_seen_people(make_stage, people: int) -> None:
    view = make_stage().keypoints["a"]
    view.xy_px[:, :, people * 3 :] = np.nan
    assert len(lengths(view)) == people
