from dataclasses import replace

import numpy as np
import pytest
import torch

from mocap.associate import associate
from mocap.errors import InputError
from mocap.sync import CameraClock
from tests.mocap.conftest import NAMES

GRID_S = np.arange(60) / 60


def rows_right(stage, rows, actor: int) -> float:
    """Share of a person's rows, over all cameras, that really hold the actor."""
    right, total = 0, 0
    for name, view in stage.keypoints.items():
        take_s = stage.clock.take_time(name, view.time_s)
        truth = stage.cameras[name].project(torch.as_tensor(stage.actors[actor].at(take_s)))[0][:, 0].numpy()
        for frame, row in enumerate(rows[name]):
            if row >= 0:
                total += 1
                right += np.nanmedian(np.linalg.norm(view.xy_px[frame, row] - truth[frame], axis=-1)) < 15
    return right / max(total, 1)


def test_one_person_in_every_view(make_stage) -> None:
    stage = make_stage(frames=60, noise_px=3.0)
    found = associate(stage.keypoints, stage.cameras, stage.clock, time_s=GRID_S)
    assert len(found.people) == 1
    assert all((rows == 0).all() for rows in found.people[0].rows.values())
    assert found.notes == ()


def test_the_main_actor_and_not_the_bystander(make_stage, actor_type) -> None:
    """Rows in random order, a smaller bystander behind, everybody in all views."""
    people = [actor_type(place=(-1.3, 1.0), swing_m=0.0, size=0.8), actor_type(place=(0.2, 0.0))]
    stage = make_stage(people, frames=60, noise_px=3.0)
    found = associate(stage.keypoints, stage.cameras, stage.clock, time_s=GRID_S)
    assert len(found.people) == 2
    assert rows_right(stage, found.people[0].rows, 1) == 1.0
    assert rows_right(stage, found.people[1].rows, 0) == 1.0
    assert all((rows >= 0).all() for rows in found.people[0].rows.values())
    assert found.people[0].prominence > found.people[1].prominence
    assert all(person.sure > 0.7 for person in found.people)


def test_cameras_in_another_order_and_with_other_names(make_stage, actor_type) -> None:
    people = [actor_type(place=(-1.0, 0.8)), actor_type(place=(0.3, 0.0)), actor_type(place=(0.9, -1.0))]
    stage = make_stage(people, frames=60, noise_px=3.0)
    first = associate(stage.keypoints, stage.cameras, stage.clock, time_s=GRID_S)
    new = dict(zip("abcd", ("z", "m", "q", "b"), strict=True))
    order = ["c", "a", "d", "b"]
    again = associate(
        {new[name]: stage.keypoints[name] for name in order},
        replace(stage.cameras[order[::-1]], names=tuple(new[name] for name in order[::-1])),
        replace(stage.clock, cameras={new[name]: clock for name, clock in stage.clock.cameras.items()}),
        time_s=GRID_S,
    )
    assert len(again.people) == len(first.people) == 3
    for one, two in zip(first.people, again.people, strict=True):
        for name in "abcd":
            np.testing.assert_array_equal(one.rows[name], two.rows[new[name]])


def test_shuffled_rows_give_the_same_people(make_stage, actor_type) -> None:
    stage = make_stage([actor_type(place=(-1.0, 0.8)), actor_type()], frames=60, noise_px=3.0)
    first = associate(stage.keypoints, stage.cameras, stage.clock, time_s=GRID_S)
    view = stage.keypoints["b"]
    swapped = stage.keypoints | {"b": replace(view, xy_px=view.xy_px[:, ::-1], score=view.score[:, ::-1])}
    again = associate(swapped, stage.cameras, stage.clock, time_s=GRID_S)
    np.testing.assert_array_equal(again.people[0].rows["b"], 1 - first.people[0].rows["b"])
    np.testing.assert_array_equal(again.people[0].rows["a"], first.people[0].rows["a"])


def test_a_view_that_loses_the_actor_and_has_the_bystander_meanwhile(make_stage, actor_type) -> None:
    people = [actor_type(), actor_type(place=(-1.0, 0.8), size=0.7)]
    stage = make_stage(people, frames=60)
    view = stage.keypoints["a"]
    actor = make_stage(people[:1], frames=60).keypoints["a"].xy_px[:, 0]
    for frame in range(15, 45):
        row = int(np.linalg.norm(view.xy_px[frame] - actor[frame], axis=-1).mean(-1).argmin())
        view.xy_px[frame, row] = np.nan
    found = associate(stage.keypoints, stage.cameras, stage.clock, time_s=GRID_S)
    rows = found.people[0].rows["a"]
    assert (rows[15:45] == -1).all()
    assert (rows[:15] >= 0).all()
    assert (rows[45:] >= 0).all()
    assert rows_right(stage, found.people[0].rows, 0) == 1.0


def test_a_person_whom_one_view_alone_sees_is_told_about(make_stage, actor_type) -> None:
    stage = make_stage([actor_type(), actor_type(place=(-1.0, 0.8))], frames=60)
    only = make_stage([actor_type()], frames=60)
    keypoints = only.keypoints | {"c": stage.keypoints["c"]}
    found = associate(keypoints, stage.cameras, stage.clock, time_s=GRID_S)
    assert len(found.people) == 1
    assert found.notes == ("c: 60 detections fit no other view",)


def test_someone_who_was_away_is_one_person(make_stage) -> None:
    stage = make_stage(frames=120)
    for view in stage.keypoints.values():
        view.xy_px[40:80] = np.nan
    found = associate(stage.keypoints, stage.cameras, stage.clock, time_s=np.arange(120) / 60)
    assert len(found.people) == 1
    for rows in found.people[0].rows.values():
        assert (rows >= 0).sum() == 80


def test_views_that_do_not_agree(make_stage, actor_type) -> None:
    """One person per view is taken on trust, with a note; two are not."""
    stage = make_stage(frames=60)
    view = stage.keypoints["a"]
    shifted = {"a": replace(view, xy_px=view.xy_px - [0.0, 400.0]), "c": stage.keypoints["c"]}
    found = associate(shifted, stage.cameras, stage.clock, time_s=GRID_S)
    assert "do not agree" in found.notes[0]
    two = make_stage([actor_type(place=(-1.0, 0.8)), actor_type()], frames=60)
    apart = {
        "a": replace(two.keypoints["a"], xy_px=two.keypoints["a"].xy_px - [0.0, 600.0]),
        "c": two.keypoints["c"],
    }
    with pytest.raises(InputError, match="nobody is seen by 2 cameras"):
        associate(apart, two.cameras, two.clock, time_s=GRID_S)


def test_nobody_at_all(make_stage) -> None:
    stage = make_stage(frames=60)
    for view in stage.keypoints.values():
        view.xy_px[:] = np.nan
    with pytest.raises(InputError, match="nobody"):
        associate(stage.keypoints, stage.cameras, stage.clock, time_s=GRID_S)


def test_clocks_matter(make_stage, actor_type) -> None:
    clocks = {"a": CameraClock(0.2), "c": CameraClock(-0.1, drift_ppm=100.0)}
    stage = make_stage([actor_type(speed=(1.0, 0.0), place=(-0.5, 0.0))], frames=60, clocks=clocks)
    grid = np.arange(0.2, 0.85, 1 / 60)
    assert len(associate(stage.keypoints, stage.cameras, stage.clock, time_s=grid).people) == 1


def test_footage_of_another_take_is_told(make_stage, actor_type) -> None:
    people = [actor_type(), actor_type(place=(-1.0, 0.8))]
    stage = make_stage(people, frames=60)
    view = stage.keypoints["d"]
    stage.keypoints["d"] = replace(view, xy_px=view.xy_px + np.array([350.0, -280.0]))
    found = associate(stage.keypoints, stage.cameras, stage.clock, time_s=GRID_S)
    assert len(found.people) == 2
    assert all((person.rows["d"] < 0).all() for person in found.people)
    assert found.notes[0].startswith("d: hardly anybody it sees fits the other views: another take")


def test_who_never_moves_is_kept_and_a_reflection_is_not(make_stage, actor_type) -> None:
    still = [actor_type(), actor_type(place=(-1.0, 0.8), swing_m=0.0)]
    stage = make_stage(still, frames=60, noise_px=1.0)
    assert len(associate(stage.keypoints, stage.cameras, stage.clock, time_s=GRID_S).people) == 2
    mirror = np.array([-1.0, 1.0, 1.0])  # the plane x = -0.7
    sides = [name.replace("left", "L").replace("right", "left").replace("L", "right") for name in NAMES]
    other = [NAMES.index(name) for name in sides]

    class Reflected(actor_type):
        def at(self, time_s: np.ndarray) -> np.ndarray:
            return super().at(time_s)[:, other] * mirror + [-1.4, 0.0, 0.0]

    where = {"place": (0.0, 0.0), "speed": (0.6, 0.0), "swing_m": 0.3}
    stage = make_stage([actor_type(**where), Reflected(**where)], frames=60, noise_px=1.0)
    found = associate(stage.keypoints, stage.cameras, stage.clock, time_s=GRID_S)
    assert len(found.people) == 1
    assert "a reflection" in found.notes[0]
