"""The person detector's arithmetic: anchors, decoding, suppression; and the real network on a real frame."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from mocap.detect.person import (
    Candidates,
    PersonDetector,
    anchor_centers,
    decode,
    merge_overlapping,
    overlap,
    tiles,
)


def test_anchors_by_hand() -> None:
    centers = anchor_centers()
    assert centers.shape == (2254, 2)
    np.testing.assert_allclose(
        centers[:3], np.array([[4, 4], [4, 4], [12, 4]]) / 224
    )  # stride 8, two a place
    np.testing.assert_allclose(centers[2 * 28], np.array([4, 12]) / 224)  # second row
    np.testing.assert_allclose(centers[1568:1571], np.array([[8, 8], [8, 8], [24, 8]]) / 224)  # stride 16
    np.testing.assert_allclose(
        centers[1960:1967], np.array([[16, 16]] * 6 + [[48, 16]]) / 224
    )  # stride 32, six
    np.testing.assert_allclose(centers[-1], np.array([208, 208]) / 224)


def test_decoding_a_planted_person() -> None:
    logits = np.full(2254, -8.0)
    boxes = np.zeros((2254, 12))
    logits[[700, 1570]] = 2.0, 4.0
    boxes[1570] = [10, -6, 50, 100, 1, 2, 3, 4, 5, 6, 7, 8]
    found = decode(boxes, logits)
    np.testing.assert_allclose(found.score, 1 / (1 + np.exp([-4.0, -2.0])))
    x, y = 24 + 10, 8 - 6
    np.testing.assert_allclose(found.box[0] * 224, [x - 25, y - 50, x + 25, y + 50])
    np.testing.assert_allclose(found.points[0] * 224, np.array([[25, 10], [27, 12], [29, 14], [31, 16]]))
    assert len(decode(boxes, np.full(2254, -0.1)).score) == 0
    assert decode(boxes, np.full(2254, -1e9)).box.shape == (0, 4)


def test_overlap_by_hand() -> None:
    box = np.array([0.0, 0.0, 2.0, 2.0])
    others = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 2, 3, 3], [0.5, 0.5, 1.5, 1.5]])
    np.testing.assert_allclose(overlap(box, others), [1, 1 / 7, 0, 1 / 4])


def test_suppression_averages_by_score_and_keeps_others() -> None:
    box = np.array([[0, 0, 1, 1], [5, 5, 6, 6], [0.1, 0, 1.1, 1], [0.9, 0, 1.9, 1]], dtype=float)
    points = np.arange(32, dtype=float).reshape(4, 4, 2)
    score = np.array([0.9, 0.8, 0.6, 0.55])
    merged = merge_overlapping(Candidates(box, points, score))
    np.testing.assert_allclose(merged.score, [0.9, 0.8, 0.55])
    np.testing.assert_allclose(merged.box[0], (0.9 * box[0] + 0.6 * box[2]) / 1.5)
    np.testing.assert_allclose(merged.points[0], (0.9 * points[0] + 0.6 * points[2]) / 1.5)
    np.testing.assert_allclose(merged.points[1], points[1])


def test_suppression_of_nothing_and_of_boxes_without_area() -> None:
    none = merge_overlapping(Candidates(np.zeros((0, 4)), np.zeros((0, 4, 2)), np.zeros(0)))
    assert none.box.shape == (0, 4)
    flat = merge_overlapping(Candidates(np.zeros((2, 4)), np.zeros((2, 4, 2)), np.array([0.9, 0.8])))
    assert len(flat.score) == 2


@pytest.mark.parametrize("size_px", [(1920, 1080), (1088, 1920), (100, 100)])
def test_tiles_cover_the_image_twice(size_px: tuple[int, int]) -> None:
    found = tiles(size_px)
    sides = sorted({tile.side_px for tile in found})
    assert sides == [min(size_px) / 2, min(size_px)]
    for side in sides:
        for axis, length in enumerate(size_px):
            middles = sorted({tile.center_px[axis] for tile in found if tile.side_px == side})
            assert middles[0] == side / 2 - 0.5
            assert middles[-1] == pytest.approx(length - side / 2 - 0.5)
            assert all(b - a <= side / 2 + 1e-9 for a, b in pairwise(middles))


@pytest.mark.footage
def test_the_performer_in_every_view(
    first_frames: dict[str, NDArray[np.uint8]], person: PersonDetector
) -> None:
    wanted = {
        "cam01": (415, 740),
        "cam02": (520, 800),
        "cam03": (640, 905),
        "cam04": (400, 980),
    }  # hips, by eye
    for camera, rgb in first_frames.items():
        (region,) = person.regions(rgb)
        assert np.hypot(*np.subtract(region.center_px, wanted[camera])) < 40, camera
        assert 850 < region.side_px < 1250
        assert abs(np.rad2deg(region.angle_rad)) < 60
