"""Who is who where people cross, stand close, hug, leave and return: counted against what was planted."""

from dataclasses import replace

import numpy as np
import pytest

from mocap.associate import associate
from tests.recovery.people_scene import Identity, Scene, Walker, film, identity, thinned

FRAMES = 240


def somebody(path: np.ndarray, rng: np.random.Generator, heading: np.ndarray | float) -> Walker:
    return Walker(
        path,
        size=rng.uniform(0.92, 1.08),
        limbs=rng.uniform(0.93, 1.07),
        cadence_hz=rng.uniform(0.7, 1.1),
        phase=rng.uniform(0, 6),
        heading=heading,
    )


def crossing(count: int, seed: int) -> list[Walker]:
    """Everybody goes straight through the middle; nobody comes nearer than 0.3 m."""
    rng = np.random.default_rng(seed)
    while True:
        walkers = []
        for number in range(count):
            angle = 2 * np.pi * number / count + rng.uniform(-0.2, 0.2)
            along = 1.6 * (np.linspace(-1, 1, FRAMES) * rng.uniform(1, 1.4) + rng.uniform(-0.5, 0.5)).clip(
                -1, 1
            )
            aside = (0.4 if count < 8 else 1.2) * rng.uniform(-1, 1)
            cos, sin = np.cos(angle), np.sin(angle)
            path = np.stack([cos * along - sin * aside, sin * along + cos * aside], 1)
            walkers.append(somebody(path, rng, angle))
        paths = np.stack([walker.path for walker in walkers], 1)
        apart = np.linalg.norm(paths[:, :, None] - paths[:, None], axis=-1) + 9 * np.eye(count)
        if apart.min() > 0.3:
            return walkers


def pair(seed: int) -> list[Walker]:
    """Two who turn round one another 0.4 m apart."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(FRAMES) / 30
    middle = np.stack([0.8 * np.sin(0.6 * time_s), 0.8 * np.cos(0.5 * time_s)], 1)
    aside = 0.2 * np.stack([np.cos(1.2 * time_s), np.sin(1.2 * time_s)], 1)
    return [somebody(middle + sign * aside, rng, 1.2 * time_s + (sign > 0) * np.pi) for sign in (1, -1)]


def hug(seed: int) -> list[Walker]:
    """Two who come together, stand 0.3 m apart, and part again."""
    rng = np.random.default_rng(seed)
    along = np.abs(np.linspace(-1.6, 1.6, FRAMES)).clip(0.15)
    still = np.zeros(FRAMES)
    return [somebody(np.stack([sign * along, still], 1), rng, np.pi if sign > 0 else 0.0) for sign in (1, -1)]


def absences(seed: int) -> list[Walker]:
    """Three of whom two leave, for a while together."""
    walkers = crossing(3, seed)
    for number, (start, stop) in enumerate(((FRAMES // 3, 2 * FRAMES // 3), (FRAMES // 2, 3 * FRAMES // 4))):
        path = walkers[number].path.copy()
        path[start:stop] = np.nan
        walkers[number] = replace(walkers[number], path=path)
    return walkers


def found(scene: Scene) -> Identity:
    people = associate(scene.keypoints, scene.cameras, scene.clock, time_s=scene.time_s).people
    return identity(scene, people)


def assert_right(got: Identity, people: int, least: float) -> None:
    assert (got.people, got.handovers, got.fragments) == (people, 0, 0), got
    assert got.right >= least, got


@pytest.mark.parametrize(("people", "cameras"), [(2, 3), (4, 4)])
def test_people_who_cross_stay_who_they_are(people: int, cameras: int) -> None:
    assert_right(found(film(crossing(people, 1), cameras=cameras)), people, 0.99)


def test_a_tenth_missed_and_false_people_at_every_fifth_frame() -> None:
    scene = film(crossing(4, 2), cameras=4, missed=0.1, false_people=0.3, seed=3)
    assert_right(found(thinned(scene, 5)), 4, 0.97)


@pytest.mark.slow
@pytest.mark.parametrize("cameras", [4, 6, 8])
@pytest.mark.parametrize("people", [2, 4, 8])
def test_crossings(people: int, cameras: int) -> None:
    for seed in (11, 12):
        assert_right(found(film(crossing(people, seed), cameras=cameras, seed=seed)), people, 0.97)


@pytest.mark.slow
@pytest.mark.parametrize("cameras", [3, 4, 6])
@pytest.mark.parametrize("scene", [pair, hug, absences])
def test_close_together_and_away(scene, cameras: int) -> None:
    walkers = scene(11)
    assert_right(found(film(walkers, cameras=cameras, seed=1)), len(walkers), 0.97)


@pytest.mark.slow
@pytest.mark.parametrize("cameras", [4, 6])
def test_a_fifth_missed_and_false_people(cameras: int) -> None:
    scene = film(crossing(4, 11), cameras=cameras, missed=0.2, false_people=0.5, seed=1)
    assert_right(found(scene), 4, 0.97)
