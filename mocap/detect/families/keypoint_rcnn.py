"""Keypoint R-CNN as torchvision and as Detectron2 export it: K. He et al., Mask R-CNN, 2017."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.detect.family import UNIT, Code, Facts, Family, Pixels, Size
from mocap.detect.names import names_by_number
from mocap.detect.network import Outputs
from mocap.detect.people import People


def _parts(outputs: Outputs) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None:
    """Boxes (N, 4), scores (N,) and keypoints (N, K, 3) among the outputs."""
    keypoints = [one for one in outputs if one.ndim == 3 and one.shape[2] == 3]
    boxes = [one for one in outputs if one.ndim == 2 and one.shape[1] == 4]
    scores = [one for one in outputs if one.ndim == 1 and np.issubdtype(one.dtype, np.floating)]
    return (boxes[0], scores[0], keypoints[0]) if keypoints and boxes and scores else None


def _logits(outputs: Outputs, keypoints: int) -> NDArray[Any] | None:
    """Torchvision's scores of keypoints (N, K), which are logits; its keypoints say only 1 in their place."""
    found = [one for one in outputs if one.ndim == 2 and one.shape[1] == keypoints and keypoints != 4]
    return found[0] if found else None


def _count_torchvision(outputs: Outputs, size: Size) -> int | None:
    parts = _parts(outputs)
    if parts is None or _logits(outputs, parts[2].shape[1]) is None:
        return None
    return parts[2].shape[1]


def _count_detectron(outputs: Outputs, size: Size) -> int | None:
    parts = _parts(outputs)
    return None if parts is None or _logits(outputs, parts[2].shape[1]) is not None else parts[2].shape[1]


def _read(outputs: Outputs, size: Size) -> People:
    """Places are pixels, counted from the image's corner: both put a cell's middle at half a cell."""
    parts = _parts(outputs)
    if parts is None:
        raise ValueError([output.shape for output in outputs])
    box, sure, points = (part.astype(float) for part in parts)
    logits = _logits(outputs, points.shape[1])
    score = points[..., 2] if logits is None else 1 / (1 + np.exp(-logits.astype(float)))
    return People(points[..., :2], score, box, sure)


FAMILY = Family(
    facts=Facts("Keypoint R-CNN", "63.1 (Mask R-CNN)", "BSD-3-Clause (torchvision), Apache-2.0 (Detectron2)"),
    codes=(
        Code(
            engine="image",
            pixels=UNIT,
            expected="boxes (N, 4), labels (N), scores (N), keypoints (N, K, 3), keypoint scores (N, K)",
            count=_count_torchvision,
            read=_read,
            size_px=None,
        ),
        Code(
            engine="image",
            pixels=Pixels(bgr=True),
            expected="boxes (N, 4), classes (N), keypoints (N, K, 3), scores (N)",
            count=_count_detectron,
            read=_read,
            size_px=None,
        ),
    ),
    names=names_by_number("coco17"),
)
"""Both resize and normalise by themselves; torchvision's takes RGB up to 1, Detectron2's BGR up to 255."""
