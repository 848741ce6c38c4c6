"""Families of networks that LiteRT and ONNX Runtime run, one file each."""

from __future__ import annotations

from mocap.detect.families import (
    alphapose,
    deeplabcut,
    hrnet,
    keypoint_rcnn,
    movenet,
    openpose,
    posenet,
    rtmdet,
    rtmo,
    rtmpose,
    rtmw,
    vitpose,
    yolo,
    yolo26_pose,
    yolo_pose,
    yolox,
)
from mocap.detect.family import Family

FAMILIES: dict[str, Family] = {
    "movenet": movenet.FAMILY,
    "posenet": posenet.FAMILY,
    "hrnet": hrnet.FAMILY,
    "vitpose": vitpose.FAMILY,
    "rtmpose": rtmpose.FAMILY,
    "rtmw": rtmw.FAMILY,
    "rtmo": rtmo.FAMILY,
    "yolo-pose": yolo_pose.FAMILY,
    "yolo26-pose": yolo26_pose.FAMILY,
    "keypoint-rcnn": keypoint_rcnn.FAMILY,
    "openpose": openpose.FAMILY,
    "alphapose": alphapose.FAMILY,
    "deeplabcut": deeplabcut.FAMILY,
    "rtmdet": rtmdet.FAMILY,
    "yolox": yolox.FAMILY,
    "yolo": yolo.FAMILY,
}
"""By the name that ``detect.detector``, ``detect.person`` and ``mocap models`` give them."""


def family_of(name: str) -> str | None:
    """The family that weights belong to by their name: ``rtmpose`` and ``rtmpose-mine`` are RTMPose's."""
    fitting = [family for family in FAMILIES if name == family or name.startswith(f"{family}-")]
    return max(fitting, key=len, default=None)
