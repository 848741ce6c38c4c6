"""Networks with their real weights on real frames: they agree with each other about where people are."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mocap.detect import DETECTORS
from mocap.errors import MissingModel
from mocap.settings import DetectSettings

REAL = {
    "blazepose": ("lite", "full", "heavy"),
    "movenet": ("lightning", "thunder", "multipose"),
    "posenet": ("best",),
}
"""Families whose weights come out of packages, and their networks."""

LIMBS = [
    f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "hip", "knee", "ankle")
]


def find(family: str, variant: str) -> Any:
    settings = DetectSettings(detector=family, variant=variant, mirror=False, max_people=2)
    entry = DETECTORS[family]
    try:
        return entry.create(entry.files(settings), settings)
    except MissingModel as error:
        pytest.skip(str(error))


def actor(
    detector: Any, rgb: NDArray[np.uint8], near: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """(10, 2) limb keypoints of the tallest person, or of the one nearest to where somebody is expected."""
    found = detector.step(rgb, 0.0)
    assert 1 <= len(found.slot) <= 2
    limbs = found.xy_px[:, [detector.keypoint_names.index(name) for name in LIMBS]]
    if near is None:
        return limbs[np.ptp(limbs[..., 1], axis=1).argmax()]
    return limbs[np.median(np.linalg.norm(limbs - near, axis=2), axis=1).argmin()]


def tolerance(family: str) -> float:
    """Part of the person's height; half a cell of PoseNet's grid is 40 pixels of a frame of this size."""
    return 0.08 if family == "posenet" else 0.03


NETWORKS = [(family, variant) for family, variants in REAL.items() for variant in variants]
NETWORKS.remove(("blazepose", "heavy"))  # what the others are held against


@pytest.fixture(scope="module")
def by_the_best(first_frames: dict[str, NDArray[np.uint8]]) -> NDArray[np.float64]:
    """The actor as BlazePose heavy sees them."""
    return actor(find("blazepose", "heavy"), first_frames["cam03"])


@pytest.mark.parametrize(("family", "variant"), NETWORKS)
def test_all_networks_see_the_same_actor(
    family: str,
    variant: str,
    first_frames: dict[str, NDArray[np.uint8]],
    by_the_best: NDArray[np.float64],
) -> None:
    """Limbs lie within a few hundredths of the person's height of where BlazePose heavy sees them."""
    rgb = first_frames["cam03"]
    seen = actor(find(family, variant), rgb, by_the_best)
    apart = np.linalg.norm(seen - by_the_best, axis=1) / np.ptp(by_the_best[:, 1])
    assert np.median(apart) < tolerance(family)


@pytest.mark.parametrize(("family", "variant"), NETWORKS)
def test_odd_sizes_and_nobody(family: str, variant: str, first_frames: dict[str, NDArray[np.uint8]]) -> None:
    """The same person in a landscape image of odd size lies where it was.

    Middles of left and right are compared: the small networks take one for the other now and then.
    """
    rgb = first_frames["cam02"][200:1333]
    wide = np.ascontiguousarray(cv2.copyMakeBorder(rgb, 0, 0, 301, 400, cv2.BORDER_CONSTANT))
    detector = find(family, variant)
    here = actor(detector, rgb)
    there = actor(find(family, variant), wide, here + np.array([301, 0])) - np.array([301, 0])
    middle = [(xy[:5] + xy[5:]) / 2 for xy in (here, there)]
    assert np.median(np.linalg.norm(middle[0] - middle[1], axis=1)) < tolerance(family) * np.ptp(here[:, 1])
    empty = np.full((333, 501, 3), 90, np.uint8)
    assert len(find(family, variant).step(empty, 0.0).slot) == 0
