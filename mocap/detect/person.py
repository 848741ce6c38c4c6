"""BlazePose's person detector: where people are in the whole image, and which way up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocap.detect.interpreter import Network
from mocap.detect.people import overlap
from mocap.detect.region import Floats, Region, region_of_person, whole_image

INPUT_SIZE = 224
_STRIDES = {8: 2, 16: 2, 32: 6}
"""Anchors at each place of the grid with this stride, in pixels of the input."""
_MIN_SCORE = 0.5
_MAX_OVERLAP = 0.3


@dataclass(frozen=True)
class Candidates:
    """People found, best first."""

    box: Floats
    """(N, 4) left, top, right, bottom in uv of the square image."""
    points: Floats
    """(N, n, 2) uv; of people the hip centre first, then a point that tells size and direction."""
    score: Floats
    """(N,) in [0, 1]."""


def anchor_grid(strides: Mapping[int, int], input_size: int) -> Floats:
    """(A, 2) uv centres of a network's anchors, in the order of its output.

    Args:
        strides: anchors in each cell, by the cells' side in input pixels.
        input_size: side of the network's input, pixels.
    """
    grids = []
    for stride, repeat in strides.items():
        count = input_size // stride
        middle = (np.arange(count) + 0.5) / count
        y, x = np.meshgrid(middle, middle, indexing="ij")
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeat, axis=0))
    return np.concatenate(grids)


def decode_anchors(raw: Floats, logits: Floats, anchors: Floats, input_size: int) -> Candidates:
    """A network's output as candidates that score at least 0.5, best first.

    Args:
        raw: (A, 4 + 2 n) box centre, box size and n points in input pixels, seen from the anchor.
        logits: (A,) scores before the sigmoid.
        anchors: (A, 2) uv centres.
        input_size: side of the network's input, pixels.
    """
    score = 1 / (1 + np.exp(-np.clip(logits, -100, 100)))
    # Stable: equal scores keep the order of the anchors, so that every run is the same.
    order = np.argsort(-score, kind="stable")
    kept = order[score[order] >= _MIN_SCORE]
    centers, own = anchors[kept], raw[kept] / input_size
    middle, half = centers + own[:, :2], own[:, 2:4] / 2
    points = centers[:, None] + own[:, 4:].reshape(len(kept), (own.shape[1] - 4) // 2, 2)
    return Candidates(np.concatenate([middle - half, middle + half], axis=1), points, score[kept])


@cache
def anchor_centers() -> Floats:
    """(2254, 2) uv centres of the anchors, in the order of the network's output."""
    return anchor_grid(_STRIDES, INPUT_SIZE)


def decode(raw_boxes: Floats, logits: Floats) -> Candidates:
    """The network's output (2254, 12) and (2254,) as candidates; see ``decode_anchors``."""
    return decode_anchors(raw_boxes, logits, anchor_centers(), INPUT_SIZE)


def merge_overlapping(found: Candidates) -> Candidates:
    """Weighted non-maximum suppression: candidates over one another become their mean, weighted by score."""
    boxes, points, scores = [], [], []
    rest = np.arange(len(found.score))
    while len(rest):
        over = overlap(found.box[rest[0]], found.box[rest]) > _MAX_OVERLAP
        over[0] = True  # a box without area overlaps nothing, not even itself
        group, rest = rest[over], rest[~over]
        weight = found.score[group] / found.score[group].sum()
        boxes.append(weight @ found.box[group])
        points.append(np.tensordot(weight, found.points[group], 1))
        scores.append(found.score[group[0]])
    return Candidates(
        np.array(boxes).reshape(-1, 4),
        np.array(points).reshape(-1, *found.points.shape[1:]),
        np.array(scores, dtype=float),
    )


class PersonDetector:
    """Finds the regions of people in an image."""

    def __init__(self, path: Path) -> None:
        self._network = Network(path, outputs=((2254, 12), (2254, 1)))

    def regions(self, rgb: NDArray[np.uint8], *, thorough: bool = False) -> list[Region]:
        """Regions of people in an image (H, W, 3), most reliable first.

        Args:
            rgb: the image.
            thorough: also look at overlapping parts of the image, as the network sees only who stands out
                most in what it is shown. Then people come several times, and things that are none come too.
        """
        size_px = (rgb.shape[1], rgb.shape[0])
        found = self._look(rgb, whole_image(size_px))
        if thorough:
            parts = [item for part in tiles(size_px) for item in self._look(rgb, part)]
            found += sorted(parts, key=lambda item: -item[0])
        return [region for _, region in found]

    def _look(self, rgb: NDArray[np.uint8], frame: Region) -> list[tuple[float, Region]]:
        """Score and region of the people in a square of the image, best first."""
        square = frame.cut_out(rgb, INPUT_SIZE, black_outside=True)
        boxes, logits = self._network(square.astype(np.float32) / np.float32(127.5) - np.float32(1))
        found = merge_overlapping(decode(boxes.astype(np.float64), logits[:, 0].astype(np.float64)))
        points_px = frame.image_from_uv(found.points)
        regions = [region_of_person(points[0], points[1]) for points in points_px]
        scored = zip(found.score.tolist(), regions, strict=True)
        return [(score, region) for score, region in scored if region.side_px > 1]


def tiles(size_px: tuple[int, int]) -> list[Region]:
    """Squares as large as the image's shorter side, and half as large, which overlap by at least half."""
    shorter = min(size_px)
    squares = []
    for side in (shorter, shorter / 2):
        rows, columns = (_middles(length, side) for length in (size_px[1], size_px[0]))
        squares += [Region((x, y), float(side), 0.0) for y in rows for x in columns]
    return squares


def _middles(length: int, side: float) -> list[float]:
    """Pixel coordinates of the middles of spans that cover a length with at least half an overlap."""
    count = int(np.ceil((length - side) / (side / 2))) + 1
    return [float(x) for x in np.linspace(side / 2, length - side / 2, count) - 0.5]
