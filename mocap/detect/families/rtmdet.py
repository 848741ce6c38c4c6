"""RTMDet, people for top-down networks: C. Lyu et al., RTMDet, 2022."""

from __future__ import annotations

from mocap.detect.families.person_boxes import count_labelled, read_labelled
from mocap.detect.family import Code, Facts, Family, Pixels

FAMILY = Family(
    facts=Facts("RTMDet", "49.4 (m, boxes)", "Apache-2.0"),
    codes=(
        Code(
            engine="person",
            pixels=Pixels(bgr=True, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395), fill=114),
            expected="two outputs, dets (1, M, 5) and labels (1, M)",
            count=count_labelled,
            read=read_labelled,
            multiple=0,
            corner=True,
        ),
    ),
)
"""Boxes with labels, as MMDeploy exports them."""
