"""OpenPose's BODY_25 and COCO networks, converted to ONNX: Z. Cao et al., OpenPose, TPAMI 2019."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.detect.bottom_up import Links, Peaks, assembled, find_peaks, group_greedily
from mocap.detect.family import Code, Facts, Family, Pixels, Size
from mocap.detect.names import names_by_number
from mocap.detect.network import Outputs
from mocap.detect.people import People, people_from_points

_MIN_PEAK = 0.05
_MIN_ALONG = 0.05
"""A sample of the field along a limb counts if it points this much along it."""
_SHARE_ALONG = 0.95
"""A limb needs this share of samples that count."""
_SAMPLES = 10
_MIN_PARTS = 3
_MIN_MEAN = 0.4
"""A person's least mean of keypoints' and limbs' scores."""


@dataclass(frozen=True)
class _Layout:
    """Which channels hold what."""

    limbs: tuple[tuple[int, int], ...]
    """Keypoints at the two ends of each limb."""
    fields: tuple[int, ...]
    """The field's channel of x for each limb; y is the next one."""


_BODY_25 = _Layout(
    limbs=(
        *((1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12)),
        *((12, 13), (13, 14), (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (2, 17), (5, 18)),
        *((14, 19), (19, 20), (14, 21), (11, 22), (22, 23), (11, 24)),
    ),
    fields=(
        *(0, 14, 22, 16, 18, 24, 26, 6, 2, 4, 8, 10, 12, 30, 32, 36, 34, 38, 20, 28),
        *(40, 42, 44, 46, 48, 50),
    ),
)
_COCO = _Layout(
    limbs=(
        *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12)),
        *((12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17)),
    ),
    fields=(12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26),
)
_LAYOUTS = {25: _BODY_25, 18: _COCO}


def _maps(outputs: Outputs) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Heatmaps (K, h, w) without the background's, and fields (2 L, h, w); in one output or in two."""
    arrays = [output[0] for output in outputs if output.ndim == 4]
    for keypoints, layout in _LAYOUTS.items():
        fields = 2 * len(layout.limbs)
        for one in arrays:
            if one.shape[0] == keypoints + 1 + fields:
                return one[:keypoints], one[keypoints + 1 :]
        heat = [one for one in arrays if one.shape[0] == keypoints + 1]
        field = [one for one in arrays if one.shape[0] == fields]
        if heat and field and heat[-1].shape[1:] == field[-1].shape[1:]:
            return heat[-1][:keypoints], field[-1]  # the last stage's, where earlier ones are given too
    return None


def _count(outputs: Outputs, size: Size) -> int | None:
    maps = _maps(outputs)
    return None if maps is None or maps[0].shape[:0:-1] != (size[0] // 8, size[1] // 8) else len(maps[0])


def _read(outputs: Outputs, size: Size) -> People:
    """A cell's middle is the middle of its 8 pixels."""
    maps = _maps(outputs)
    if maps is None:
        raise ValueError([output.shape for output in outputs])
    heat, field = maps
    layout = _LAYOUTS[len(heat)]
    peaks = find_peaks(heat, _MIN_PEAK)
    links = [
        limb_links(peaks, field[channel : channel + 2], *limb)
        for limb, channel in zip(layout.limbs, layout.fields, strict=True)
    ]
    strength = {
        (int(a), int(b)): float(score)
        for limb in links
        for a, b, score in zip(limb.first, limb.second, limb.score, strict=True)
    }
    people = []
    for person in group_greedily(peaks, links, len(heat)):
        total = sum(peaks.score[peak] for peak in person.values())
        total += sum(strength.get((person.get(a, -1), person.get(b, -1)), 0.0) for a, b in layout.limbs)
        if len(person) >= _MIN_PARTS and total / len(person) >= _MIN_MEAN:
            people.append(person)
    xy, score = assembled(peaks, people, len(heat))
    return people_from_points(8 * xy + 4.0, score)


def limb_links(peaks: Peaks, field: NDArray[Any], a: int, b: int) -> Links:
    """Which keypoints a and b the field of their limb connects: equation 11, sampled.

    Args:
        peaks: all keypoints.
        field: (2, h, w) x and y of the part-affinity field.
        a: keypoint at the limb's beginning.
        b: keypoint at its end.
    """
    starts, ends = np.flatnonzero(peaks.kind == a), np.flatnonzero(peaks.kind == b)
    first, second = (index.ravel() for index in np.meshgrid(starts, ends, indexing="ij"))
    span = peaks.xy[second] - peaks.xy[first]
    length = np.linalg.norm(span, axis=1)
    ahead = span / np.maximum(length, 1e-9)[:, None]
    steps = np.linspace(0, 1, _SAMPLES)[None, :, None]
    place = np.rint(peaks.xy[first][:, None] + steps * span[:, None]).astype(int)
    column, row = place[..., 0].clip(0, field.shape[2] - 1), place[..., 1].clip(0, field.shape[1] - 1)
    along = field[0][row, column] * ahead[:, :1] + field[1][row, column] * ahead[:, 1:]
    counts = along > _MIN_ALONG
    score = np.where(counts, along, 0.0).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    kept = (counts.mean(axis=1) >= _SHARE_ALONG) & (length > 1e-6)
    return Links(first[kept], second[kept], score[kept])


FAMILY = Family(
    facts=Facts("OpenPose", "61.8", "non-commercial"),
    codes=(
        Code(
            engine="image",
            pixels=Pixels(bgr=True, mean=(128.0, 128.0, 128.0), std=(256.0, 256.0, 256.0), fill=128),
            expected=(
                "heatmaps (1, K + 1, height / 8, width / 8) and part-affinity fields of the same size, "
                "26 and 52 channels (BODY_25) or 19 and 38 (COCO), in one output or two"
            ),
            count=_count,
            read=_read,
            size_px=(656, 656),
            multiple=16,
        ),
    ),
    names=names_by_number("body25", "openpose18"),
)
"""Heatmaps and part-affinity fields of the whole image."""
