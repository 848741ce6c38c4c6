from pathlib import Path

import numpy as np
import pytest

from mocap.errors import ConfigError, InputError
from mocap.people.person import Person
from mocap.people.wishes import Cut, Wishes, apply, load_wishes

TAKEN_S = {"a": np.arange(4) / 10, "b": np.arange(4) / 10}


def person(number: int, first: int, prominence: float) -> Person:
    """Somebody in row ``number`` from a frame on."""
    rows = {name: np.where(np.arange(4) >= first, number, -1) for name in TAKEN_S}
    pieces = {name: np.repeat(row[:, None], 3, 1) for name, row in rows.items()}
    return Person(rows, pieces, prominence, 0.9, (number + 1,))


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "people.toml"
    assert load_wishes(file) == Wishes()
    file.write_text("join = [[1, 3]]\ncut = [{ track = 2, time_s = 4.2, after = 7 }]\nactors = [2, 1]\n")
    assert load_wishes(file) == Wishes(((1, 3),), (Cut(2, 4.2, 7),), (2, 1))


@pytest.mark.parametrize(
    "text", ["jion = [[1, 2]]", "join = [1, 2]", "actors = ['anna']", "cut = [{ track = 1, time_s = 2.0 }]"]
)
def test_a_wrong_file_says_what_is_right(tmp_path: Path, text: str) -> None:
    file = tmp_path / "people.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"people\.toml"):
        load_wishes(file)


def test_two_tracks_become_one() -> None:
    people = apply([person(0, 2, 5.0), person(1, 0, 3.0)], Wishes(join=((1, 2),)), TAKEN_S)
    assert len(people) == 1
    assert people[0].tracks == (1, 2)
    np.testing.assert_array_equal(people[0].rows["a"], [1, 1, 0, 0])
    np.testing.assert_array_equal(people[0].pieces["b"][:, 2], [1, 1, 0, 0])


def test_a_track_is_cut_and_its_rest_joined() -> None:
    wishes = Wishes(join=((2, 3),), cut=(Cut(1, 0.2, 3),), actors=(2,))
    people = apply([person(0, 0, 5.0), person(1, 9, 3.0)], wishes, TAKEN_S)
    assert [one.tracks for one in people] == [(2, 3)]
    np.testing.assert_array_equal(people[0].rows["a"], [-1, -1, 0, 0])


def test_the_actor_comes_first_and_the_others_are_left_out() -> None:
    people = apply([person(0, 0, 5.0), person(1, 0, 3.0)], Wishes(actors=(2,)), TAKEN_S)
    assert [one.tracks for one in people] == [(2,)]


def test_an_unknown_track_lists_those_that_are_there() -> None:
    with pytest.raises(InputError, match=r"no track 5.*there are: 1"):
        apply([person(0, 0, 5.0)], Wishes(actors=(5,)), TAKEN_S)
