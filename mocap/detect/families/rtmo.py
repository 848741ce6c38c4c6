"""P. Lu et al., RTMO: Towards High-Performance One-Stage Real-Time Multi-Person Pose Estimation, 2024."""

from __future__ import annotations

from mocap.detect.family import Code, Facts, Family, Pixels, Size
from mocap.detect.names import names_by_number
from mocap.detect.network import Outputs
from mocap.detect.people import People

BGR_114 = Pixels(bgr=True, fill=114)
"""Blue first, 0 to 255, grey beyond the border."""


def _count(outputs: Outputs, size: Size) -> int | None:
    if len(outputs) != 2 or outputs[0].ndim != 3 or outputs[1].ndim != 4:
        return None
    boxes, keypoints = outputs
    fits = boxes.shape[2] == 5 and keypoints.shape[3] == 3 and boxes.shape[1] == keypoints.shape[1]
    return keypoints.shape[2] if fits else None


def _read(outputs: Outputs, size: Size) -> People:
    """Places are pixels, counted from the first pixel's centre."""
    boxes, keypoints = (output[0].astype(float) for output in outputs)
    return People(keypoints[..., :2] + 0.5, keypoints[..., 2], boxes[:, :4] + 0.5, boxes[:, 4])


FAMILY = Family(
    facts=Facts("RTMO", "74.8 (l)", "Apache-2.0"),
    codes=(
        Code(
            engine="image",
            pixels=BGR_114,
            expected="two outputs, dets (1, M, 5) and keypoints (1, M, K, 3)",
            count=_count,
            read=_read,
            multiple=0,
            corner=True,
        ),
    ),
    names=names_by_number("coco17", "halpe26"),
)
"""People and their keypoints in one pass."""
