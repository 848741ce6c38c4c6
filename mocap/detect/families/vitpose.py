"""ViTPose: Y. Xu et al., ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation, 2022."""

from __future__ import annotations

from mocap.detect.families.heatmaps import count_heatmaps, read_heatmaps_unbiased
from mocap.detect.family import IMAGENET, Code, Facts, Family
from mocap.detect.names import names_by_number

FAMILY = Family(
    facts=Facts("ViTPose", "79.1 (H)", "Apache-2.0"),
    codes=(
        Code(
            engine="crop",
            pixels=IMAGENET,
            expected="one output of heatmaps (N, K, height / 4, width / 4)",
            count=count_heatmaps,
            read=read_heatmaps_unbiased,
            size_px=(192, 256),
            multiple=0,
        ),
    ),
    names=names_by_number("coco17", "coco_wholebody133"),
)
"""Heatmaps of a person's crop, trained with unbiased coordinates."""
