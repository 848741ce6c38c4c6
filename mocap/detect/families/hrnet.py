"""HRNet (and SimpleBaseline, which reads and writes the same): K. Sun et al., CVPR 2019."""

from __future__ import annotations

from mocap.detect.families.heatmaps import count_heatmaps, read_heatmaps
from mocap.detect.family import IMAGENET, Code, Facts, Family
from mocap.detect.names import names_by_number

FAMILY = Family(
    facts=Facts("HRNet", "76.3 (W48)", "MIT"),
    codes=(
        Code(
            engine="crop",
            pixels=IMAGENET,
            expected="one output of heatmaps (N, K, height / 4, width / 4)",
            count=count_heatmaps,
            read=read_heatmaps,
            size_px=(192, 256),
            multiple=0,
        ),
    ),
    names=names_by_number("coco17", "coco_wholebody133", "halpe26"),
)
"""Heatmaps of a person's crop."""
