"""What the user says about who is who: ``takes/<take>/people.toml``.

    join = [[1, 3]]                                   # tracks 1 and 3 are one person
    cut = [{ track = 2, time_s = 4.2, after = 7 }]    # from 4.2 s on, track 2 is somebody else: track 7
    actors = [2, 1]                                   # these, in this order; the others are left out

Tracks are numbered as the program found them, the first one 1; the report names each person's. Cuts come
first, so that what they cut off can be joined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mocap.errors import ConfigError, InputError
from mocap.files import read_toml
from mocap.keypoints import FloatArray
from mocap.people.person import Person


@dataclass(frozen=True)
class Cut:
    """A track that goes on as somebody else."""

    track: int
    """Its number."""
    time_s: float
    """When, seconds on the take's clock."""
    after: int
    """The number of the rest."""


@dataclass(frozen=True)
class Wishes:
    """What the user says; nothing by default."""

    join: tuple[tuple[int, ...], ...] = ()
    """Tracks that are one person."""
    cut: tuple[Cut, ...] = ()
    """Tracks that hold two."""
    actors: tuple[int, ...] = ()
    """Tracks of those who are wanted, in order; everybody where it is empty."""


def load_wishes(path: Path) -> Wishes:
    """Read ``people.toml``; nothing is wished for where there is none.

    Raises:
        ConfigError: an unknown key, or a value of a wrong kind.
    """
    if not path.is_file():
        return Wishes()
    table = read_toml(path)
    valid = ("join", "cut", "actors")
    for key in table:
        if key not in valid:
            raise ConfigError(f"unknown key '{key}'", where=path, todo=f"valid: {', '.join(valid)}")
    try:
        return Wishes(
            tuple(tuple(_whole(track) for track in group) for group in table.get("join", [])),
            tuple(_cut(entry) for entry in table.get("cut", [])),
            tuple(_whole(track) for track in table.get("actors", [])),
        )
    except (TypeError, KeyError, ValueError) as error:
        raise ConfigError(
            f"cannot be used ({error})",
            where=path,
            todo="write join = [[1, 3]], cut = [{ track = 2, time_s = 4.2, after = 7 }], actors = [2, 1]",
        ) from error


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no track's number")
    return value


def _cut(entry: Mapping[str, Any]) -> Cut:
    if set(entry) != {"track", "time_s", "after"}:
        raise ValueError("a cut takes track, time_s and after")
    return Cut(_whole(entry["track"]), float(entry["time_s"]), _whole(entry["after"]))


def apply(people: Sequence[Person], wishes: Wishes, taken_s: Mapping[str, FloatArray]) -> tuple[Person, ...]:
    """The people as the user wants them.

    Args:
        people: as they were found; the first one is track 1.
        wishes: what the user says.
        taken_s: (F,) by camera: times of the frames on the take's clock.

    Raises:
        InputError: a track that is not there, or a number that is taken.
    """
    tracks = {number: replace(person, tracks=(number,)) for number, person in enumerate(people, 1)}
    for cut in wishes.cut:
        person = _named(tracks, cut.track)
        if cut.after in tracks:
            taken = f"track {cut.after} is there already"
            raise InputError(taken, where="people.toml", todo="choose another number")
        late = {name: time >= cut.time_s for name, time in taken_s.items()}
        tracks[cut.track] = person.where({name: ~value for name, value in late.items()})
        tracks[cut.after] = replace(person.where(late), tracks=(cut.after,))
    for group in wishes.join:
        for other in group[1:]:
            joined = _named(tracks, group[0]).joined(_named(tracks, other))
            tracks[group[0]] = joined
            del tracks[other]
    if wishes.actors:
        return tuple(_named(tracks, number) for number in wishes.actors)
    return tuple(sorted(tracks.values(), key=lambda person: -person.prominence))


def _named(tracks: Mapping[int, Person], number: int) -> Person:
    if number not in tracks:
        present = ", ".join(map(str, sorted(tracks)))
        raise InputError(f"no track {number}", where="people.toml", todo=f"there are: {present}")
    return tracks[number]
