"""A room of people whom a bottom-up detector sees badly: who is who, and what must not matter."""

from dataclasses import replace

import numpy as np
import pytest

from mocap.associate import associate
from mocap.people.person import Person
from mocap.reconstruct import reconstruct
from mocap.sync import CameraClock, Clock
from tests.recovery.candidates import bottom_up
from tests.recovery.people_scene import Scene, Walker, film, identity, thinned

FRAMES = 300


def wanderer(rng: np.random.Generator, frames: int) -> Walker:
    """Somebody who walks from place to place, stops, and walks on."""
    count = frames // 50 + 3
    stops = rng.uniform(-1.3, 1.3, (count, 2))
    for index in np.flatnonzero(rng.random(count - 1) < 0.4):
        stops[index + 1] = stops[index] + rng.normal(0, 0.1, 2)
    at = np.linspace(0, count - 1, frames)
    leg = np.minimum(at.astype(int), count - 2)
    part = ((at - leg) ** 2 * (3 - 2 * (at - leg)))[:, None]
    path = (1 - part) * stops[leg] + part * stops[leg + 1]
    way = np.gradient(path, axis=0)
    heading = np.unwrap(np.arctan2(way[:, 1], way[:, 0]))
    heading = np.convolve(np.pad(heading, 15, mode="edge"), np.ones(31) / 31, "valid")
    return Walker(
        path,
        size=rng.uniform(0.92, 1.08),
        limbs=rng.uniform(0.93, 1.07),
        cadence_hz=rng.uniform(0.5, 1.0),
        phase=rng.uniform(0, 6),
        heading=heading,
    )


def room(people: int, seed: int, frames: int = FRAMES) -> Scene:
    """Five cameras round people who pass each other at 0.3 m or more; the last one comes late and leaves."""
    rng = np.random.default_rng([seed, 5])
    while True:
        walkers = [wanderer(rng, frames) for _ in range(people)]
        paths = np.stack([walker.path for walker in walkers], 1)
        apart = np.linalg.norm(paths[:, :, None] - paths[:, None], axis=-1) + 9 * np.eye(people)
        if apart.min() >= 0.3:
            break
    late = walkers[-1].path.copy()
    late[: frames // 4] = late[3 * frames // 4 :] = np.nan
    walkers[-1] = replace(walkers[-1], path=late)
    return bottom_up(film(walkers, cameras=5, missed=0.05, false_people=0.2, seed=seed), seed=seed)


def seen_by(scene: Scene, names: str) -> Scene:
    """The same with some of the cameras."""
    return replace(
        scene,
        cameras=scene.cameras[list(names)],
        keypoints={name: scene.keypoints[name] for name in names},
        who={name: scene.who[name] for name in names},
        clock=in_step(names),
    )


def in_step(names) -> Clock:
    return Clock({name: CameraClock() for name in names})


def people_of(scene: Scene) -> tuple[Person, ...]:
    return associate(scene.keypoints, scene.cameras, scene.clock, time_s=scene.time_s).people


def alike(one: Person, others: tuple[Person, ...], frames: slice = slice(None), step: int = 1) -> float:
    """Share of camera-frames in which the most similar of others has the same row."""
    return max(
        np.mean(np.concatenate([other.rows[n][::step] == one.rows[n][frames] for n in one.rows]))
        for other in others
    )


def assert_right(scene: Scene, people: int, least: float = 0.96) -> tuple[Person, ...]:
    found = people_of(scene)
    got = identity(scene, found)
    assert (got.people, got.handovers, got.fragments) == (people, 0, 0), got
    assert got.right > least and got.wrong < 0.02, got
    return found


def shuffled(scene: Scene, seed: int) -> tuple[Scene, dict[str, str], dict[str, np.ndarray]]:
    """Rows in another order in every frame, cameras under other names and in another order."""
    rng = np.random.default_rng(seed)
    names = list(scene.keypoints)
    new = dict(zip(names, map(str, rng.permutation(list("vwxyz"))), strict=False))
    order = {n: np.argsort(rng.random(view.score.shape[:2]), axis=1) for n, view in scene.keypoints.items()}
    views = {
        new[n]: replace(
            scene.keypoints[n],
            xy_px=np.take_along_axis(scene.keypoints[n].xy_px, order[n][..., None, None], 1),
            score=np.take_along_axis(scene.keypoints[n].score, order[n][..., None], 1),
        )
        for n in map(str, rng.permutation(names))
    }
    cameras = scene.cameras.renamed([new[n] for n in scene.cameras.names])
    return replace(scene, keypoints=views, cameras=cameras, clock=in_step(views)), new, order


def test_everybody_once_whatever_the_order_of_people_and_cameras() -> None:
    scene = room(3, 1, frames=120)
    found = assert_right(scene, 3)
    other, new, order = shuffled(scene, 4)
    again = people_of(other)
    assert len(again) == 3
    for one, two in zip(found, again, strict=True):
        for name, rows in one.rows.items():
            moved = two.rows[new[name]]
            was = np.take_along_axis(order[name], np.maximum(moved, 0)[:, None], 1)[:, 0]
            np.testing.assert_array_equal(rows, np.where(moved >= 0, was, -1))


@pytest.mark.slow
@pytest.mark.parametrize("people", [3, 4])
@pytest.mark.parametrize("seed", [21, 22, 23])
def test_rates_cameras_halves_and_time_reversed(people: int, seed: int) -> None:
    scene = room(people, seed)
    found = assert_right(scene, people)
    for step in (2, 5):
        assert_right(thinned(scene, step), people)
    for names in ("abde", "abd"):
        assert_right(seen_by(scene, names), people)
    back = {
        n: replace(view, xy_px=view.xy_px[::-1], score=view.score[::-1])
        for n, view in scene.keypoints.items()
    }
    reversed_people = people_of(replace(scene, keypoints=back))
    assert len(reversed_people) == people
    assert np.mean([alike(one, reversed_people, step=-1) for one in found]) > 0.995
    for half in (slice(0, FRAMES // 2), slice(FRAMES // 2, FRAMES)):
        parts = {
            n: replace(view, time_s=view.time_s[half], xy_px=view.xy_px[half], score=view.score[half])
            for n, view in scene.keypoints.items()
        }
        own = people_of(replace(scene, keypoints=parts, time_s=scene.time_s[half]))
        assert len(own) == people
        assert np.mean([alike(one, own, half) for one in found]) > 0.99


@pytest.mark.slow
def test_points_do_not_depend_on_names_and_order() -> None:
    scene = room(3, 24)
    other, *_ = shuffled(scene, 5)
    first, _ = reconstruct(scene.keypoints, scene.cameras, scene.clock)
    again, _ = reconstruct(other.keypoints, other.cameras, other.clock)
    np.testing.assert_allclose(first.xyz_world, again.xyz_world, atol=1e-4)


@pytest.mark.slow
def test_somebody_who_was_away_for_long_is_solved_as_well_as_anybody() -> None:
    rng = np.random.default_rng(3)
    walkers = [wanderer(rng, 1500), replace(wanderer(rng, 1500), size=1.06, limbs=1.06)]
    path = walkers[0].path.copy()
    path[300:1300] = np.nan
    scene = film([replace(walkers[0], path=path), walkers[1]], cameras=4, seed=3)
    points, _ = reconstruct(scene.keypoints, scene.cameras, scene.clock)
    away = np.linalg.norm(points.xyz_world[:, :, None] - scene.xyz[:, None], axis=-1)
    assert sorted(np.nanmedian(away, axis=(0, 3)).argmin(1)) == [0, 1]
    assert np.nanmedian(away, axis=(0, 3)).min(1).max() < 0.015
