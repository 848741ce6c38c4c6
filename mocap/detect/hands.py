"""Hands of the people whom another detector found: 21 points each, on re-crops around the wrists.

Whose hand it is, and whether left or right, the body says. A hand that was there in the frame before is
followed by its own points; else the palm detector looks around the wrist.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocap.detect.detector import Detections, Detector, TrackerState
from mocap.detect.hand import POINTS, Hand, HandNetwork
from mocap.detect.models import model_path
from mocap.detect.palm import PalmDetector
from mocap.detect.region import Floats, Region
from mocap.errors import ConfigError
from rigs.keypoints import hand_names

SIDES = ("left", "right")
WEIGHTS = {"palm": "hands-palm", "hand": "hands-landmarks"}
"""Weights by the role that a worker knows them by."""
_SEGMENTS_M = (
    *((a, b, 0.27) for side in SIDES for a, b in ((f"{side}_shoulder", f"{side}_elbow"),)),
    *((f"{side}_elbow", f"{side}_wrist", 0.25) for side in SIDES),
    *((f"{side}_shoulder", f"{side}_hip", 0.50) for side in SIDES),
    *((f"{side}_hip", f"{side}_knee", 0.42) for side in SIDES),
    *((f"{side}_knee", f"{side}_ankle", 0.42) for side in SIDES),
)
"""Parts of an adult, metres: the longest one in the picture, for its length, tells the picture's scale."""
_MIN_SCORE = 0.3
"""A body keypoint that is less sure tells nothing of scale or place."""
_SEARCH_M = 0.50
"""Side of the square around the wrist in which the palm is looked for."""
_HAND_M = 0.34
"""Side of the square that a hand is read in where its palm was not found."""
_FROM_WRIST = 0.3
"""The hand's middle beyond the wrist, in forearms."""
_FARTHEST_M = 0.12
"""A hand whose wrist lies further from the body's is another one."""
_MIN_PRESENT = 0.5
_SAME = 0.25
"""Two hands whose points lie nearer to each other, in sides of their region, are one."""
_LEAST_PX = 12.0
"""A hand in a smaller square shows no fingers."""


class WithHands:
    """A detector whose people get hands.

    Args:
        body: finds people, with elbows and wrists.
        palm: finds hands in a square; anything with ``hands(rgb, region)``.
        network: reads a hand; anything with ``read(rgb, region)``.

    Raises:
        ConfigError: the detector knows no wrists, or has hands of its own.
    """

    def __init__(self, body: Detector, palm: PalmDetector, network: HandNetwork) -> None:
        self._body, self._palm, self._network = body, palm, network
        names = body.keypoint_names
        needed = [f"{side}_{part}" for side in SIDES for part in ("wrist", "elbow")]
        if missing := [name for name in needed if name not in names]:
            raise ConfigError(
                f"the detector finds no {missing[0]}, where hands are looked for", where="detect.hands"
            )
        if f"left_{hand_names('')[0]}" in names:
            raise ConfigError("the detector finds hands itself", where="detect.hands", todo="set it to false")
        self._places = {name: index for index, name in enumerate(names)}
        self.keypoint_names = (*names, *(name for side in SIDES for name in hand_names(side)))
        self._known: dict[tuple[int, int], Region] = {}

    def step(self, rgb: NDArray[np.uint8], time_s: float) -> Detections:
        """The people of the next frame, their hands where they are seen."""
        found = self._body.step(rgb, time_s)
        count = len(found.slot)
        xy = np.full((count, len(SIDES), POINTS, 2), np.nan)
        score = np.zeros((count, len(SIDES), POINTS))
        known: dict[tuple[int, int], Region] = {}
        for person, slot in enumerate(found.slot.tolist()):
            hands = self._of_person(rgb, slot, found.xy_px[person], found.score[person])
            for side, hand in hands.items():
                xy[person, side], score[person, side] = hand.xy_px, hand.present
                known[slot, side] = hand.region
        self._known = known
        return Detections(
            np.concatenate([found.xy_px, xy.reshape(count, -1, 2)], axis=1),
            np.concatenate([found.score, score.reshape(count, -1)], axis=1),
            found.slot,
        )

    def _of_person(self, rgb: NDArray[np.uint8], slot: int, xy_px: Floats, score: Floats) -> dict[int, Hand]:
        """The hands of one person by side; one that both wrists claim is the nearer one's."""
        seen = np.where((score >= _MIN_SCORE)[:, None], xy_px, np.nan)
        scale = px_per_metre(seen, self._places)
        hands: dict[int, Hand] = {}
        away: dict[int, float] = {}
        for side, name in enumerate(SIDES):
            wrist, elbow = (seen[self._places[f"{name}_{part}"]] for part in ("wrist", "elbow"))
            if not np.isfinite([scale, *wrist]).all() or _HAND_M * scale < _LEAST_PX:
                continue
            hand = self._at(rgb, self._known.get((slot, side)), wrist, elbow, scale)
            if hand is not None:
                hands[side], away[side] = hand, float(np.linalg.norm(hand.xy_px[0] - wrist))
        if len(hands) == len(SIDES) and _same(*hands.values()):
            del hands[max(away, key=lambda side: away[side])]
        return hands

    def _at(
        self, rgb: NDArray[np.uint8], known: Region | None, wrist: Floats, elbow: Floats, scale: float
    ) -> Hand | None:
        """The hand at a wrist: followed, found by its palm, or where the forearm points."""
        middle, angle = reach(wrist, elbow)
        if known is not None:
            hand = self._network.read(rgb, known)
            if _belongs(hand, wrist, scale):
                return hand
        place = (float(middle[0]), float(middle[1]))
        around = self._palm.hands(rgb, Region(place, _SEARCH_M * scale, angle))
        guess = Region(place, _HAND_M * scale, angle)
        near = sorted(around, key=lambda region: float(np.hypot(*(np.array(region.center_px) - middle))))
        for region in (*near[:1], guess):
            first = self._network.read(rgb, region)
            if first.present >= _MIN_PRESENT:
                hand = self._network.read(rgb, first.region)  # in a region as the next frames will have it
                if _belongs(hand, wrist, scale):
                    return hand
        return None

    def state(self) -> TrackerState:
        """The body's, and where hands were."""
        places = sorted(self._known)
        regions = [self._known[place] for place in places]
        return {
            **self._body.state(),
            "hand_place": np.array(places, dtype=np.int64).reshape(-1, 2),
            "hand_region": np.array([(*r.center_px, r.side_px, r.angle_rad) for r in regions]).reshape(-1, 4),
        }

    def restore(self, state: TrackerState) -> None:
        """Go on from a remembered state."""
        self._body.restore({key: value for key, value in state.items() if not key.startswith("hand_")})
        self._known = {
            (int(slot), int(side)): Region((float(x), float(y)), float(length), float(angle))
            for (slot, side), (x, y, length, angle) in zip(
                state["hand_place"].tolist(), state["hand_region"].tolist(), strict=True
            )
        }


def with_hands(body: Detector, files: Mapping[str, Path]) -> WithHands:
    """A detector with hands, from the weights of ``hand_files``."""
    return WithHands(body, PalmDetector(files["palm"]), HandNetwork(files["hand"]))


def hand_files() -> dict[str, Path]:
    """The weights of palm detector and hand network; fetched where they are not on this machine.

    Raises:
        MissingModel: they cannot be had.
    """
    return {role: model_path(name) for role, name in WEIGHTS.items()}


def px_per_metre(xy_px: Floats, places: Mapping[str, int]) -> float:
    """Pixels of a metre at a person, by the part that is foreshortened least; NaN if none is seen.

    Args:
        xy_px: (K, 2), NaN where not seen.
        places: of the names among them.
    """
    told = [
        float(np.linalg.norm(xy_px[places[a]] - xy_px[places[b]])) / metres
        for a, b, metres in _SEGMENTS_M
        if a in places and b in places
    ]
    return float(np.nanmax(told)) if np.isfinite(told).any() else float("nan")


def reach(wrist: Floats, elbow: Floats) -> tuple[Floats, float]:
    """Where a hand's middle should be, (2,) pixels, and how far its fingers point clockwise from upwards."""
    along = wrist - elbow
    if not np.isfinite(along).all():
        return wrist, 0.0
    return wrist + _FROM_WRIST * along, float(np.arctan2(along[0], -along[1]))


def _belongs(hand: Hand, wrist: Floats, scale: float) -> bool:
    """Whether there is a hand, at this wrist, of a size that fits the body."""
    near = np.linalg.norm(hand.xy_px[0] - wrist) < _FARTHEST_M * scale
    return bool(hand.present >= _MIN_PRESENT and near and hand.region.side_px < 2 * _HAND_M * scale)


def _same(a: Hand, b: Hand) -> bool:
    apart = float(np.median(np.linalg.norm(a.xy_px - b.xy_px, axis=1)))
    return apart < _SAME * min(a.region.side_px, b.region.side_px)
