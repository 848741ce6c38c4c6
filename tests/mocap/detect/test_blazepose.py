"""Following people: with networks that know the answer, and with the real ones on real frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mocap.detect import DETECTORS
from mocap.detect.blazepose import same_person
from mocap.detect.landmarks import KEYPOINT_NAMES, LandmarkNetwork
from mocap.detect.person import PersonDetector
from mocap.detect.region import Region
from mocap.detect.top_down import Pose, TopDown
from mocap.errors import ConfigError, MissingModel
from mocap.settings import DetectSettings

IMAGE = np.zeros((400, 600, 3), np.uint8)
SHAPE = np.random.default_rng(5).uniform(-0.4, 0.4, (33, 2))
"""Where the points of the imaginary people lie, from the middle, as a part of the region's side."""


class World:
    """Imaginary people, by name their place; stands for both networks."""

    keypoint_names = KEYPOINT_NAMES

    def __init__(self, people: Mapping[str, tuple[float, float]]) -> None:
        self.people = dict(people)
        self.searches: list[bool] = []
        self.looks = 0

    def regions(self, rgb: NDArray[np.uint8], *, thorough: bool = False) -> list[Region]:
        self.searches.append(thorough)
        return [Region((x + 1.0, y - 2.0), 100.0, 0.0) for x, y in self.people.values()]

    def pose(self, rgb: NDArray[np.uint8], region: Region) -> Pose:
        """The person nearest to the region's middle, if there is one within it."""
        self.looks += 1
        nearest = min(
            self.people.values(),
            key=lambda place: np.hypot(*np.subtract(place, region.center_px)),
            default=(1e6, 0.0),
        )
        present = 1.0 if np.hypot(*np.subtract(nearest, region.center_px)) < 50 else 0.0
        xy_px = np.array(nearest) + 100 * SHAPE
        return Pose(xy_px, np.full(33, 0.8), present, Region(nearest, 100.0, 0.0))


def tracker(world: Any, max_people: int = 4) -> TopDown:
    return TopDown(world, world, same_person=same_person, max_people=max_people, search_interval_s=1.0)


def places(detections: Any) -> dict[int, tuple[int, int]]:
    """Slot to the middle of the person, rounded."""
    middles = detections.xy_px - 100 * SHAPE
    return {
        int(slot): tuple(np.round(middle[0]).astype(int).tolist())
        for slot, middle in zip(detections.slot, middles, strict=True)
    }


def test_people_are_found_and_keep_their_slots_while_they_move() -> None:
    world = World({"a": (100, 100), "b": (400, 200)})
    follower = tracker(world)
    for step in range(20):
        world.people = {"a": (100 + 10 * step, 100), "b": (400 - 10 * step, 200)}
        seen = follower.step(IMAGE, step / 30)
        assert places(seen) == {0: (100 + 10 * step, 100), 1: (400 - 10 * step, 200)}
        assert seen.score.shape == (2, 33)
    assert world.searches == [True]  # after that, tracking alone


def test_a_newcomer_is_noticed_within_the_interval() -> None:
    world = World({"a": (100, 100)})
    follower = tracker(world)
    follower.step(IMAGE, 0.0)
    world.people["b"] = (400, 200)
    times_s = np.arange(1, 40) / 30
    noticed = [time_s for time_s in times_s if len(follower.step(IMAGE, time_s).slot) == 2]
    assert noticed[0] == pytest.approx(1.0)
    assert world.searches == [True, True]


def test_one_who_jumps_is_found_again_in_the_same_frame() -> None:
    world = World({"a": (100, 100), "b": (400, 200)})
    follower = tracker(world)
    follower.step(IMAGE, 0.0)
    world.people["a"] = (100, 300)
    assert sorted(places(follower.step(IMAGE, 0.03)).values()) == [(100, 300), (400, 200)]
    assert world.searches == [True, False]


def test_one_who_leaves_is_dropped_and_the_slot_is_free_again() -> None:
    world = World({"a": (100, 100), "b": (400, 200)})
    follower = tracker(world)
    follower.step(IMAGE, 0.0)
    del world.people["a"]
    assert places(follower.step(IMAGE, 0.03)) == {1: (400, 200)}
    world.people["c"] = (250, 300)
    for step in range(2, 40):
        seen = follower.step(IMAGE, step * 0.03)
    assert places(seen) == {1: (400, 200), 0: (250, 300)}


def test_nobody() -> None:
    follower = tracker(World({}))
    for step in range(3):
        seen = follower.step(IMAGE, step / 30)
        assert seen.xy_px.shape == (0, 33, 2)
        assert seen.score.shape == (0, 33)


def test_two_tracks_on_one_person_become_one() -> None:
    world = World({"a": (100, 100), "b": (160, 100)})
    follower = tracker(world)
    assert len(follower.step(IMAGE, 0.0).slot) == 2
    del world.people["b"]  # its track goes to the neighbour
    world.people["a"] = (125, 100)
    assert places(follower.step(IMAGE, 0.03)) == {0: (125, 100)}


def test_no_more_people_than_asked_for() -> None:
    world = World({name: (80.0 * place, 100.0) for place, name in enumerate("abcdef", 1)})
    assert len(tracker(world, max_people=3).step(IMAGE, 0.0).slot) == 3
    one = tracker(world, max_people=1)
    for step in range(60):
        assert len(one.step(IMAGE, step / 30).slot) == 1


class Doubtful(World):
    """A network that is sure of a presence and shows no points: furniture."""

    def pose(self, rgb: NDArray[np.uint8], region: Region) -> Pose:
        pose = super().pose(rgb, region)
        return Pose(pose.xy_px, np.full(33, 0.3), pose.present, pose.region)


def test_furniture_is_nobody() -> None:
    assert len(tracker(Doubtful({"chair": (100, 100)})).step(IMAGE, 0.0).slot) == 0


def test_a_second_tracker_goes_on_from_the_state_exactly() -> None:
    random = np.random.default_rng(2)
    world = World({"a": (100, 100), "b": (400, 200)})
    first, second = tracker(world), None
    for step in range(90):
        world.people = {
            name: (x + random.normal(0, 2), y + random.normal(0, 2)) for name, (x, y) in world.people.items()
        }
        seen = first.step(IMAGE, step / 30)
        if second is not None:
            again = second.step(IMAGE, step / 30)
            np.testing.assert_array_equal(again.xy_px, seen.xy_px)
            np.testing.assert_array_equal(again.slot, seen.slot)
        if step % 7 == 0:
            second = tracker(world)
            second.restore(first.state())
    fresh = tracker(world)
    fresh.restore(tracker(world).state())  # the state before any frame
    assert len(fresh.step(IMAGE, 0.0).slot) == 2


def test_variants() -> None:
    with pytest.raises(
        ConfigError, match="'huge' is unknown to blazepose; choose from best, standard, fast, heavy"
    ):
        DETECTORS["blazepose"].files(DetectSettings(variant="huge"))


def test_best_takes_full_where_heavy_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    def path(name: str) -> Any:
        if name == "blazepose-heavy":
            raise MissingModel(name, reason="offline", todo="go online")
        return tmp_path / name

    monkeypatch.setattr("mocap.detect.blazepose.model_path", path)
    assert DETECTORS["blazepose"].files(DetectSettings())["landmarks"].name == "blazepose-full"
    assert "less accurate" in caplog.text
    with pytest.raises(MissingModel):
        DETECTORS["blazepose"].files(DetectSettings(variant="heavy"))


@pytest.mark.footage
def test_performer_and_bystander(
    first_frames: dict[str, NDArray[np.uint8]], person: PersonDetector, full: LandmarkNetwork
) -> None:
    follower = TopDown(person, full, same_person=same_person, max_people=4)
    seen = follower.step(first_frames["cam01"], 0.0)
    assert len(seen.slot) == 2
    hips = seen.xy_px[:, [KEYPOINT_NAMES.index("left_hip"), KEYPOINT_NAMES.index("right_hip")]].mean(axis=1)
    np.testing.assert_allclose(hips, [[415, 740], [60, 530]], atol=40)  # by eye
    tall = np.ptp(seen.xy_px[..., 1], axis=1)
    assert 600 < tall[0] < 1000
    assert 300 < tall[1] < 550
    assert np.median(seen.score[0]) > 0.7
