"""RTMPose: T. Jiang et al., RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose, 2023."""

from __future__ import annotations

from mocap.detect.families.heatmaps import count_simcc, read_simcc
from mocap.detect.family import IMAGENET, Code, Facts, Family
from mocap.detect.names import names_by_number

SIMCC = Code(
    engine="crop",
    pixels=IMAGENET,
    expected="two outputs, simcc_x (N, K, 2 width) and simcc_y (N, K, 2 height)",
    count=count_simcc,
    read=read_simcc,
    size_px=(192, 256),
    multiple=0,
)
"""Each coordinate as a classification into half pixels: Y. Li et al., SimCC, 2022."""

FAMILY = Family(
    facts=Facts("RTMPose", "75.8 (m)", "Apache-2.0"),
    codes=(SIMCC,),
    names=names_by_number("coco17", "halpe26", "coco_wholebody133"),
)
"""Two rows of bins for each keypoint of a person's crop."""
