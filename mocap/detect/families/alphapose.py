"""AlphaPose's FastPose: H.-S. Fang et al., AlphaPose, 2022. Doubles go by parametric pose suppression."""

from __future__ import annotations

from mocap.detect.families.heatmaps import count_heatmaps, read_heatmaps
from mocap.detect.family import Code, Facts, Family, Pixels
from mocap.detect.names import names_by_number

_PIXELS = Pixels(mean=(0.406 * 255, 0.457 * 255, 0.480 * 255), std=(255.0, 255.0, 255.0))
"""AlphaPose subtracts these from RGB and does not divide by a deviation."""

FAMILY = Family(
    facts=Facts("AlphaPose", "73.3", "non-commercial"),
    codes=(
        Code(
            engine="crop",
            pixels=_PIXELS,
            expected="one output of heatmaps (N, K, height / 4, width / 4)",
            count=count_heatmaps,
            read=read_heatmaps,
            size_px=(192, 256),
            multiple=0,
        ),
    ),
    names=names_by_number("coco17", "halpe26"),
)
"""Heatmaps of a person's crop."""
