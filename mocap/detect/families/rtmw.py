"""Whole body: T. Jiang et al., RTMW: Real-Time Multi-Person 2D and 3D Whole-body Pose Estimation, 2024."""

from __future__ import annotations

from mocap.detect.families.rtmpose import SIMCC
from mocap.detect.family import Facts, Family
from mocap.detect.names import names_by_number

FAMILY = Family(
    facts=Facts("RTMW", "70.2 (l, whole body)", "Apache-2.0"),
    codes=(SIMCC,),
    names=names_by_number("coco_wholebody133"),
)
"""RTMPose's outputs, for body, feet, face and hands."""
