"""Hands: the networks on real hands, and which hand is whose."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mocap.detect.detector import Detections, TrackerState
from mocap.detect.hand import Hand, HandNetwork, region_of_hand
from mocap.detect.hands import WithHands, px_per_metre
from mocap.detect.palm import PalmDetector, anchor_centers, decode, hand_region
from mocap.detect.region import Region, whole_image
from mocap.errors import ConfigError, MissingModel
from mocap.video import frames, open_clip
from rigs.keypoints import hand_names

NAMES = tuple(
    f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip") for side in ("left", "right")
)
BLACK = np.zeros((1000, 1000, 3), dtype=np.uint8)
# A hand of 200 px that points upwards, its wrist at the origin.
UPRIGHT = np.array(
    [[0, 0], [-40, -20], [-70, -50], [-90, -80], [-100, -100]]
    + [[x, y] for x in (-35, -12, 12, 35) for y in (-90, -135, -165, -190)],
    dtype=float,
)


def standing(scale: float = 400.0) -> NDArray[np.float64]:
    """(8, 2) somebody with hanging arms, so many pixels a metre."""
    rest = [
        (0.2, 0.0),
        (-0.2, 0.0),
        (0.22, 0.27),
        (-0.22, 0.27),
        (0.24, 0.52),
        (-0.24, 0.52),
        (0.1, 0.5),
        (-0.1, 0.5),
    ]
    return np.array(rest) * scale + 500


@dataclass
class FakeBody:
    """One person who stands still."""

    xy_px: NDArray[np.float64] = field(default_factory=standing)
    keypoint_names: tuple[str, ...] = NAMES
    steps: int = 0

    def step(self, rgb: NDArray[np.uint8], time_s: float) -> Detections:
        self.steps += 1
        return Detections(self.xy_px[None], np.ones((1, len(self.keypoint_names))), np.array([2]))

    def state(self) -> TrackerState:
        return {"steps": np.array(self.steps)}

    def restore(self, state: TrackerState) -> None:
        self.steps = int(state["steps"])


@dataclass
class FakePalms:
    """Sees the hands whose middle lies in the square."""

    middles: list[tuple[float, float]]
    looked: int = 0

    def hands(self, rgb: NDArray[np.uint8], region: Region) -> list[Region]:
        self.looked += 1
        near = [m for m in self.middles if np.hypot(*(np.array(m) - region.center_px)) < region.side_px / 2]
        return [Region(middle, 120.0, np.pi) for middle in near]


@dataclass
class FakeNetwork:
    """Reads the hand that hangs nearest to the region, if it is near."""

    wrists: list[tuple[float, float]]
    read_regions: list[Region] = field(default_factory=list)

    def read(self, rgb: NDArray[np.uint8], region: Region) -> Hand:
        self.read_regions.append(region)
        hands = [np.array(wrist) - UPRIGHT * 0.3 for wrist in self.wrists]
        apart = [float(np.hypot(*(hand[9] - region.center_px))) for hand in hands]
        best = int(np.argmin(apart))
        return Hand(hands[best], 0.95 if apart[best] < region.side_px / 2 else 0.1)


def build(
    wrists: list[tuple[float, float]], body: FakeBody | None = None
) -> tuple[WithHands, FakePalms, FakeNetwork]:
    palms = FakePalms([(x, y + 30) for x, y in wrists])
    network = FakeNetwork(wrists)
    made: Any = WithHands(body or FakeBody(), palms, network)  # type: ignore[arg-type]
    return made, palms, network


def test_the_body_says_which_hand_is_left() -> None:
    left, right = standing()[4], standing()[5]
    detector, *_ = build([tuple(right), tuple(left)])
    assert detector.keypoint_names == (*NAMES, *hand_names("left"), *hand_names("right"))
    found = detector.step(BLACK, 0.0)
    assert found.slot.tolist() == [2]
    np.testing.assert_allclose(found.xy_px[0, 8], left)
    np.testing.assert_allclose(found.xy_px[0, 29], right)
    assert (found.score[0, 8:] == 0.95).all()


def test_a_hand_that_both_wrists_claim_belongs_to_the_nearer_one() -> None:
    body = FakeBody()
    body.xy_px[5] = body.xy_px[4] + [30, 0]  # the wrists cross, and one hand hides the other
    detector, *_ = build([tuple(body.xy_px[4] + [5, 0])], body)
    found = detector.step(BLACK, 0.0)
    assert np.isfinite(found.xy_px[0, 8:29]).all()
    assert np.isnan(found.xy_px[0, 29:]).all()
    assert (found.score[0, 29:] == 0).all()


def test_a_hand_elsewhere_is_none_of_this_person() -> None:
    detector, *_ = build([(100.0, 100.0), (900.0, 100.0)])
    assert np.isnan(detector.step(BLACK, 0.0).xy_px[0, 8:]).all()


def test_known_hands_are_followed_without_a_search() -> None:
    detector, palms, network = build([tuple(standing()[4]), tuple(standing()[5])])
    detector.step(BLACK, 0.0)
    searches, count = palms.looked, len(network.read_regions)
    detector.step(BLACK, 0.1)
    assert palms.looked == searches == 2
    assert len(network.read_regions) == count + 2


def test_a_resumed_detector_goes_on_exactly() -> None:
    wrists = [tuple(standing()[4]), tuple(standing()[5])]
    first, _, whole = build(wrists)
    first.step(BLACK, 0.0)
    state = first.state()
    first.step(BLACK, 0.1)
    second, _, resumed = build(wrists)
    second.restore(state)
    second.step(BLACK, 0.1)
    assert resumed.read_regions == whole.read_regions[-2:]
    assert second.state().keys() == first.state().keys()
    assert int(second.state()["steps"]) == 2


def test_bodies_without_wrists_and_with_hands_are_refused() -> None:
    with pytest.raises(ConfigError, match="finds no left_wrist"):
        build([(0, 0)], FakeBody(keypoint_names=("nose",)))
    with pytest.raises(ConfigError, match="finds hands itself"):
        build([(0, 0)], FakeBody(keypoint_names=(*NAMES, *hand_names("left"))))


def test_an_arm_that_points_at_the_camera_does_not_shrink_the_person() -> None:
    body = standing()
    places = {name: index for index, name in enumerate(NAMES)}
    whole = px_per_metre(body, places)
    body[4] = body[2] + 3
    assert px_per_metre(body, places) == pytest.approx(whole, rel=0.02)
    assert whole == pytest.approx(400, rel=0.1)
    assert np.isnan(px_per_metre(np.full((8, 2), np.nan), places))


def test_anchors_cover_the_picture_and_outputs_are_seen_from_them() -> None:
    anchors = anchor_centers()
    assert anchors.shape == (2016, 2)
    np.testing.assert_allclose(anchors[0], [4 / 192, 4 / 192])
    np.testing.assert_allclose(anchors[-1], [184 / 192, 184 / 192])
    raw, logits = np.zeros((2016, 18)), np.full(2016, -9.0)
    logits[1500] = 3.0
    raw[1500, :4] = [19.2, 0, 38.4, 19.2]
    raw[1500, 4:6] = [-9.6, 4.8]
    found = decode(raw, logits)
    assert found.score.shape == (1,)
    center = anchors[1500] + [0.1, 0]
    half = np.array([0.1, 0.05])
    np.testing.assert_allclose(found.box[0], np.concatenate([center - half, center + half]))
    np.testing.assert_allclose(found.points[0, 0], anchors[1500] + [-0.05, 0.025])


@pytest.mark.parametrize("angle", [0.0, 1.0, -2.5, np.pi])
def test_regions_point_along_the_hand(angle: float) -> None:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    region, upright = region_of_hand(UPRIGHT @ turn.T + 300), region_of_hand(UPRIGHT)
    assert np.cos(region.angle_rad - angle) == pytest.approx(1, abs=0.01)
    assert region.side_px == pytest.approx(upright.side_px)
    np.testing.assert_allclose(region.center_px, turn @ upright.center_px + 300, atol=1e-6)
    points = np.full((7, 2), 0.5)
    points[0], points[2] = [0.5, 0.6], [0.5, 0.4]
    frame = Region((100.0, 100.0), 200.0, angle)
    palm = hand_region(frame, np.array([0.4, 0.45, 0.6, 0.65]), points)
    assert np.cos(palm.angle_rad - angle) == pytest.approx(1)
    assert palm.side_px == pytest.approx(2.6 * 40)
    np.testing.assert_allclose(palm.center_px, turn @ [0, 10 - 20] + 100, atol=1e-9)


def weights(name: str) -> Path:
    try:
        return import_module("mocap.detect.models").model_path(name)
    except MissingModel as error:
        pytest.skip(str(error))


def real_hands(root: Path) -> tuple[PalmDetector, HandNetwork]:
    return PalmDetector(weights("hands-palm")), HandNetwork(weights("hands-landmarks"))


@pytest.fixture(scope="module")
def samples() -> Path:
    root = os.environ.get("MOCAP_TEST_DATA")
    if not root:
        pytest.skip("needs mediapipe_hands_tfjs in the folder that MOCAP_TEST_DATA names")
    return Path(root) / "mediapipe_hands_tfjs"


def test_real_hands_lie_where_the_reference_has_them(samples: Path) -> None:
    """The reference tracks through the clip, and counts pixels from the picture's corner."""
    palm, network = real_hands(samples)
    reference = np.array(json.loads((samples / "asl_hand.full.json").read_text()))[..., :2] - 0.5
    region, error = None, []
    for frame in frames(open_clip(samples / "asl_hand.25fps.mp4")):
        if frame.index == 60:
            break
        height, width = frame.rgb.shape[:2]
        place = region or palm.hands(frame.rgb, whole_image((width, height)))[0]
        hand = network.read(frame.rgb, place)
        region = hand.region if hand.present > 0.5 else None
        error.append(np.linalg.norm(hand.xy_px - reference[frame.index], axis=-1))
    assert np.quantile(error, 0.99) < 3
    assert np.mean(error) < 1.5


def test_two_hands_in_one_picture(samples: Path) -> None:
    """Left half: fingers up, the thumb to the right; right half: fingers down, the thumb to the left."""
    palm, network = real_hands(samples)
    import cv2

    rgb = np.ascontiguousarray(cv2.imread(str(samples / "hands.jpg"))[..., ::-1])
    regions = sorted(palm.hands(rgb, whole_image((720, 382))), key=lambda region: region.center_px[0])
    up, down = (network.read(rgb, region) for region in regions)
    assert min(up.present, down.present) > 0.9
    # finger tips as they were read off the picture by eye, thumb to little finger
    tips = [4, 8, 12, 16, 20]
    np.testing.assert_allclose(
        up.xy_px[tips], [[325, 205], [258, 52], [185, 20], [122, 40], [70, 88]], atol=12
    )
    np.testing.assert_allclose(
        down.xy_px[tips], [[396, 176], [461, 330], [535, 362], [598, 340], [650, 292]], atol=12
    )
