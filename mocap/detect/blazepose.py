"""BlazePose: people found once by the person detector, then followed by their own landmarks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocap.detect.detector import Detections, TrackerState
from mocap.detect.landmarks import KEYPOINT_NAMES, LandmarkNetwork, Pose
from mocap.detect.models import model_path
from mocap.detect.person import PersonDetector
from mocap.detect.region import Floats, Region, same_place
from mocap.errors import ConfigError, MissingModel
from mocap.settings import DetectSettings

log = logging.getLogger(__name__)

VARIANTS = ("best", "heavy", "full", "lite")
"""Values of ``detect.variant``; best is heavy, or full where heavy cannot be had."""
_MIN_PRESENT = 0.5
"""Below this the network does not see a person any more."""
_MIN_SCORE_NEW = 0.5
"""Median score of the landmarks that a newcomer needs: the presence alone takes furniture for people."""
_MIN_SCORE_KNOWN = 0.25
"""The same for somebody who was there in the frame before."""
_SAME_PERSON = 0.06
"""Two poses whose landmarks lie nearer, in the median, than this part of the region's side are one person."""


class BlazePoseFamily:
    """BlazePose's entry in the DETECTORS table."""

    def files(self, settings: DetectSettings) -> dict[str, Path]:
        """The weights of person detector and landmark network."""
        if settings.variant not in VARIANTS:
            raise ConfigError(
                f"detect.variant {settings.variant!r} is unknown to blazepose",
                todo=f"choose from {', '.join(VARIANTS)}",
            )
        variant = "heavy" if settings.variant == "best" else settings.variant
        try:
            landmarks = model_path(f"blazepose-{variant}")
        except MissingModel as error:
            if settings.variant != "best":
                raise
            log.warning("detecting with the less accurate weights blazepose-full: %s", error)
            landmarks = model_path("blazepose-full")
        return {"person": model_path("blazepose-person"), "landmarks": landmarks}

    def create(self, files: Mapping[str, Path], settings: DetectSettings) -> BlazePose:
        """A tracker at the beginning of a clip."""
        return BlazePose(
            PersonDetector(files["person"]),
            LandmarkNetwork(files["landmarks"], mirror=settings.mirror),
            max_people=settings.max_people,
            search_interval_s=settings.search_interval_s,
        )


@dataclass(frozen=True)
class _Track:
    """One person who is being followed."""

    slot: int
    """Place in the output, kept as long as the person is followed."""
    region: Region
    """Where to look in the next frame."""
    age: int
    """Frames that this person has been followed for."""


class BlazePose:
    """Follows several people through one clip.

    Args:
        person: finds people in the whole image; anything with ``regions(rgb)``.
        landmarks: reads one person's pose in a region; anything with ``pose(rgb, region)``.
        max_people: most people to follow.
        search_interval_s: how often the image is searched thoroughly for more people.
    """

    keypoint_names = KEYPOINT_NAMES

    def __init__(
        self,
        person: PersonDetector,
        landmarks: LandmarkNetwork,
        *,
        max_people: int = 4,
        search_interval_s: float = 2.0,
    ) -> None:
        self._person = person
        self._landmarks = landmarks
        self._max_people = max_people
        self._search_interval_s = search_interval_s
        self._tracks: list[_Track] = []
        self._searched_s = -np.inf

    def step(self, rgb: NDArray[np.uint8], time_s: float) -> Detections:
        """Follow everybody into the next frame, and search for more people now and then."""
        seen = self._follow(rgb)
        lost = len(seen) < len(self._tracks)
        due = time_s >= self._searched_s + self._search_interval_s
        if len(seen) < self._max_people and (lost or due or not seen):
            seen = self._search(rgb, seen, thorough=due)
        if due:
            self._searched_s = time_s
        self._tracks = [replace(track, region=pose.region, age=track.age + 1) for track, pose in seen]
        return Detections(
            np.array([pose.xy_px for _, pose in seen]).reshape(-1, len(KEYPOINT_NAMES), 2),
            np.array([pose.score for _, pose in seen]).reshape(-1, len(KEYPOINT_NAMES)),
            np.array([track.slot for track, _ in seen], dtype=np.int64),
        )

    def look(self, rgb: NDArray[np.uint8], region: Region) -> tuple[Floats, Floats] | None:
        """Landmarks (33, 2) and their scores (33,) of whoever is in a region; None where nobody is."""
        pose = self._pose(rgb, region, _MIN_SCORE_KNOWN)
        return None if pose is None else (pose.xy_px, pose.score)

    def _follow(self, rgb: NDArray[np.uint8]) -> list[tuple[_Track, Pose]]:
        """Those who are still there; of two tracks that ran into one person the older one stays."""
        seen: list[tuple[_Track, Pose]] = []
        for track in sorted(self._tracks, key=lambda track: (-track.age, track.slot)):
            pose = self._pose(rgb, track.region, _MIN_SCORE_KNOWN)
            if pose is not None and not any(_same_person(pose, other) for _, other in seen):
                seen.append((track, pose))
        return seen

    def _search(
        self, rgb: NDArray[np.uint8], seen: list[tuple[_Track, Pose]], *, thorough: bool
    ) -> list[tuple[_Track, Pose]]:
        """Add the people of the whole image who are not followed yet."""
        seen, tried = list(seen), [pose.region for _, pose in seen]
        for region in self._person.regions(rgb, thorough=thorough):
            if len(seen) >= self._max_people:
                break
            if any(same_place(region, other) for other in tried):
                continue
            tried.append(region)
            pose = self._pose(rgb, region, _MIN_SCORE_NEW)
            if pose is None or any(_same_person(pose, other) for _, other in seen):
                continue
            taken = {track.slot for track, _ in seen}
            slot = next(slot for slot in range(self._max_people) if slot not in taken)
            seen.append((_Track(slot, pose.region, 0), pose))
        return seen

    def _pose(self, rgb: NDArray[np.uint8], region: Region, min_score: float) -> Pose | None:
        """The pose in a region, None where the network sees nobody, or points that make no sense."""
        pose = self._landmarks.pose(rgb, region)
        height, width = rgb.shape[:2]
        (x, y), side = pose.region.center_px, pose.region.side_px
        inside = -0.5 * side < x < width + 0.5 * side and -0.5 * side < y < height + 0.5 * side
        sensible = inside and 1 < side < 20 * max(width, height)
        sure = pose.present >= _MIN_PRESENT and np.median(pose.score) >= min_score
        return pose if sensible and sure else None

    def state(self) -> TrackerState:
        """The tracks and the time of the last search, exactly."""
        regions = [
            (*track.region.center_px, track.region.side_px, track.region.angle_rad) for track in self._tracks
        ]
        return {
            "region": np.array(regions, dtype=np.float64).reshape(-1, 4),
            "slot": np.array([track.slot for track in self._tracks], dtype=np.int64),
            "age": np.array([track.age for track in self._tracks], dtype=np.int64),
            "searched_s": np.array(self._searched_s, dtype=np.float64),
        }

    def restore(self, state: TrackerState) -> None:
        """Go on from a remembered state."""
        self._tracks = [
            _Track(int(slot), Region((float(x), float(y)), float(side), float(angle)), int(age))
            for slot, (x, y, side, angle), age in zip(
                state["slot"], state["region"], state["age"], strict=True
            )
        ]
        self._searched_s = float(state["searched_s"])


def _same_person(a: Pose, b: Pose) -> bool:
    """Whether two poses are one person's: nearly all their landmarks coincide."""
    apart = np.median(np.linalg.norm(a.xy_px - b.xy_px, axis=1))
    return bool(apart < _SAME_PERSON * max(a.region.side_px, b.region.side_px))
