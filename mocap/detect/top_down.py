"""Engine for top-down networks: people found now and then, and followed by their own keypoints in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mocap.detect import pose_nms
from mocap.detect.detector import Detections, TrackerState
from mocap.detect.family import Code
from mocap.detect.network import Network
from mocap.detect.region import ENLARGE, Floats, Region, same_place
from mocap.detect.single_stage import WholeImage
from mocap.detect.window import Window

MIN_PRESENT = 0.5
"""Below this a network does not see a person any more."""


@dataclass(frozen=True)
class Pose:
    """One person in one image."""

    xy_px: Floats
    """(K, 2) keypoints, pixels."""
    score: Floats
    """(K,) in [0, 1]."""
    present: float
    """How sure the network is, in [0, 1], that there is a person in the region."""
    region: Region
    """Where this person is; the region to look at in the next frame."""


class PersonFinder(Protocol):
    """Finds people in the whole image."""

    def regions(self, rgb: NDArray[np.uint8], *, thorough: bool = False) -> list[Region]:
        """Regions of people in an image (H, W, 3), most reliable first."""
        ...


class PoseReader(Protocol):
    """Reads one person's pose."""

    keypoint_names: tuple[str, ...]
    """K names."""

    def pose(self, rgb: NDArray[np.uint8], region: Region) -> Pose:
        """The pose of the person in a region of an image (H, W, 3)."""
        ...


@dataclass(frozen=True)
class _Track:
    """One person who is being followed."""

    slot: int
    """Place in the output, kept as long as the person is followed."""
    region: Region
    """Where to look in the next frame."""
    age: int
    """Frames that this person has been followed for."""


class TopDown:
    """Follows several people through one clip.

    Args:
        person: finds people in the whole image.
        poses: reads one person's pose in a region.
        max_people: most people to follow.
        search_interval_s: how often the image is searched thoroughly for more people.
        same_person: tells whether two poses are one person's.
        min_score_new: median score of the keypoints that a newcomer needs.
        min_score_known: the same for somebody who was there in the frame before.
    """

    def __init__(
        self,
        person: PersonFinder,
        poses: PoseReader,
        *,
        same_person: Callable[[Pose, Pose], bool],
        max_people: int = 4,
        search_interval_s: float = 2.0,
        min_score_new: float = 0.5,
        min_score_known: float = 0.25,
    ) -> None:
        self.keypoint_names = poses.keypoint_names
        self._person = person
        self._poses = poses
        self._same_person = same_person
        self._min_score_new = min_score_new
        self._min_score_known = min_score_known
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
            np.array([pose.xy_px for _, pose in seen]).reshape(-1, len(self.keypoint_names), 2),
            np.array([pose.score for _, pose in seen]).reshape(-1, len(self.keypoint_names)),
            np.array([track.slot for track, _ in seen], dtype=np.int64),
        )

    def look(self, rgb: NDArray[np.uint8], region: Region) -> tuple[Floats, Floats] | None:
        """Keypoints (K, 2) and their scores (K,) of whoever is in a region; None where nobody is."""
        pose = self._pose(rgb, region, self._min_score_known)
        return None if pose is None else (pose.xy_px, pose.score)

    def _follow(self, rgb: NDArray[np.uint8]) -> list[tuple[_Track, Pose]]:
        """Those who are still there; of two tracks that ran into one person the older one stays."""
        seen: list[tuple[_Track, Pose]] = []
        for track in sorted(self._tracks, key=lambda track: (-track.age, track.slot)):
            pose = self._pose(rgb, track.region, self._min_score_known)
            if pose is not None and not any(self._same_person(pose, other) for _, other in seen):
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
            pose = self._pose(rgb, region, self._min_score_new)
            if pose is None or any(self._same_person(pose, other) for _, other in seen):
                continue
            taken = {track.slot for track, _ in seen}
            slot = next(slot for slot in range(self._max_people) if slot not in taken)
            seen.append((_Track(slot, pose.region, 0), pose))
        return seen

    def _pose(self, rgb: NDArray[np.uint8], region: Region, min_score: float) -> Pose | None:
        """The pose in a region, None where the network sees nobody, or points that make no sense."""
        pose = self._poses.pose(rgb, region)
        height, width = rgb.shape[:2]
        (x, y), side = pose.region.center_px, pose.region.side_px
        inside = -0.5 * side < x < width + 0.5 * side and -0.5 * side < y < height + 0.5 * side
        sensible = inside and 1 < side < 20 * max(width, height)
        sure = pose.present >= MIN_PRESENT and np.median(pose.score) >= min_score
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


class BoxFinder:
    """People by a network that gives boxes, as regions.

    Args:
        whole: the network.
        most: most people taken from an image.
    """

    def __init__(self, whole: WholeImage, most: int = 20) -> None:
        self._whole = whole
        self._most = most

    def regions(self, rgb: NDArray[np.uint8], *, thorough: bool = False) -> list[Region]:
        """Upright regions of the people in an image, surest first; there is no more thorough way."""
        boxes, _ = self._whole.boxes(rgb, self._most)
        return [region for region in (region_of_box(box) for box in boxes) if region.side_px > 1]


class CropReader:
    """Poses by a network that looks at the crop round one person.

    Args:
        network: what runs.
        code: its family's; its engine is crop.
        keypoint_names: K names.
        mirror: also look at the mirror image, and average.
    """

    def __init__(
        self, network: Network, code: Code, keypoint_names: tuple[str, ...], *, mirror: bool
    ) -> None:
        from rigs.keypoints import mirrored_name

        self.keypoint_names = keypoint_names
        self._network = network
        self._code = code
        self._size = code.input_size(network, (192, 256))
        swapped = [mirrored_name(name) for name in keypoint_names]
        self._mirrored = (
            [keypoint_names.index(name) for name in swapped]
            if mirror and set(swapped) == set(keypoint_names)
            else None
        )

    def pose(self, rgb: NDArray[np.uint8], region: Region) -> Pose:
        """The pose of the person in a region of an image (H, W, 3)."""
        width, height = self._size
        # The region is the square round the person: the input holds it, whatever its proportions.
        window = Window(region.center_px, region.side_px / height, self._size, region.angle_rad)
        crop = window.cut_out(rgb, fill=self._code.pixels.fill)
        crops = np.stack([crop] if self._mirrored is None else [crop, crop[:, ::-1]])
        xy, score = self._code.read(self._network(self._code.pixels(crops, self._network.input)), self._size)
        if self._mirrored is not None:
            back = np.stack([width - xy[1, :, 0], xy[1, :, 1]], axis=1)[self._mirrored]
            xy, score = np.stack([xy[0], back]), np.stack([score[0], score[1][self._mirrored]])
        xy_px, mean = window.image_from_input(xy.mean(axis=0)), np.clip(score.mean(axis=0), 0.0, 1.0)
        return Pose(xy_px, mean, 1.0, region_of_pose(xy_px, mean, region, self.keypoint_names))


_SQUARE = 4 / 3
"""Height of a crop over its width in nearly all families: a wider person needs a higher crop."""
_SEEN = 0.3
"""Keypoints that score less do not say where a person is."""


def region_of_box(box: Floats) -> Region:
    """The upright region round a person's box (4,): left, top, right, bottom in image pixels."""
    (x, y), (width, height) = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    return Region((float(x), float(y)), ENLARGE * float(max(height, _SQUARE * width)), 0.0)


def region_of_pose(xy_px: Floats, score: Floats, region: Region, names: tuple[str, ...]) -> Region:
    """The region in which to look for a person in the next frame.

    Args:
        xy_px: (K, 2) keypoints.
        score: (K,).
        region: where the person was found; it stays where hardly a keypoint is seen.
        names: K names.
    """
    seen = xy_px[score >= _SEEN]
    if len(seen) < 3:
        return region
    angle_rad = lean_rad(xy_px, score, names)
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    turn = np.array([[cos, -sin], [sin, cos]])
    upright = seen @ turn
    low, high = upright.min(axis=0), upright.max(axis=0)
    x, y = turn @ ((low + high) / 2)
    width, height = high - low
    # Keypoints end at ankles and eyes, where boxes end at soles and hair.
    side = ENLARGE * 1.1 * float(max(height, _SQUARE * width))
    return Region((float(x), float(y)), max(side, 2.0), angle_rad)


_UPRIGHT_RAD = np.pi / 4
"""Networks are trained with people turned by up to about this: smaller leans are left as they are."""


def lean_rad(xy_px: Floats, score: Floats, names: tuple[str, ...]) -> float:
    """How far a person's trunk leans clockwise; 0 where that is little, or cannot be seen."""
    if not set(_TRUNK) <= set(names):
        return 0.0
    which = [names.index(name) for name in _TRUNK]
    if score[which].min() < _SEEN:
        return 0.0
    x, y = xy_px[which[:2]].mean(axis=0) - xy_px[which[2:]].mean(axis=0)
    angle_rad = float(np.arctan2(x, -y))
    return angle_rad if abs(angle_rad) > _UPRIGHT_RAD else 0.0


_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def same_by_keypoints(a: Pose, b: Pose) -> bool:
    """Whether two poses are one person's, by parametric pose suppression."""
    return bool(pose_nms.doubles(a.xy_px, a.score, b.xy_px[None], b.score[None])[0])
