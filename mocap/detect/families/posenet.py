"""PoseNet on MobileNet V1: G. Papandreou et al., PersonLab, 2018, as TensorFlow.js has it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.detect.bottom_up import Displacements, group_by_displacement
from mocap.detect.family import Code, Facts, Family, Pixels, Size
from mocap.detect.names import SETS, names_by_number
from mocap.detect.network import Outputs
from mocap.detect.people import People, people_from_points

_NAMES = SETS["coco17"]
_CHAIN = (
    *(("nose", "left_eye"), ("left_eye", "left_ear"), ("nose", "right_eye"), ("right_eye", "right_ear")),
    *(("nose", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
    *(("left_shoulder", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle")),
    *(("nose", "right_shoulder"), ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist")),
    *(("right_shoulder", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle")),
)
EDGES = tuple((_NAMES.index(a), _NAMES.index(b)) for a, b in _CHAIN)
"""From which keypoint to which each displacement leads."""

_MIN_ROOT = 0.5
_APART_PX = 20.0
_MOST = 20


def _maps(outputs: Outputs) -> list[NDArray[Any]] | None:
    """Heatmaps, offsets, forward and backward displacements, channels first, told apart by their channels."""
    arrays = [
        output[0].transpose(2, 0, 1) if output.shape[3] in (17, 32, 34) else output[0]
        for output in outputs
        if output.ndim == 4
    ]
    found = [[one for one in arrays if one.shape[0] == channels] for channels in (17, 34, 32)]
    if len(arrays) != 4 or [len(some) for some in found] != [1, 1, 2]:
        return None
    return [found[0][0], found[1][0], *found[2]]


def _count(outputs: Outputs, size: Size) -> int | None:
    return None if _maps(outputs) is None else 17


def _read(outputs: Outputs, size: Size) -> People:
    """Cell i is pixel i * stride of the input, counted from the first pixel's centre."""
    maps = _maps(outputs)
    if maps is None:
        raise ValueError([output.shape for output in outputs])
    logits, offset, forward, backward = (one.astype(np.float64) for one in maps)
    height, width = logits.shape[1:]
    # The first and the last cell lie on the border, and where they do not, strides are powers of two.
    stride = 2.0 ** np.rint(np.log2((np.array(size) - 1) / np.maximum((width - 1, height - 1), 1)))
    scale = 1 / stride.reshape(1, 2, 1, 1)

    def pairs(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2, h, w) x and y in cells of channels that hold all y before all x."""
        y, x = values.reshape(2, -1, height, width)
        return np.stack([x, y], axis=1) * scale

    grid = Displacements(1 / (1 + np.exp(-logits)), pairs(offset), pairs(forward), pairs(backward))
    xy, score, sure = group_by_displacement(
        grid, EDGES, min_score=_MIN_ROOT, apart=_APART_PX / float(stride[0]), most=_MOST
    )
    return people_from_points(xy * stride + 0.5, score, sure)


FAMILY = Family(
    facts=Facts("PoseNet", "–", "Apache-2.0"),
    codes=(
        Code(
            engine="image",
            pixels=Pixels(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)),
            expected="heatmaps of 17 channels, offsets of 34, and two displacements of 32",
            count=_count,
            read=_read,
            size_px=(385, 385),
            multiple=0,
        ),
    ),
    names=names_by_number("coco17"),
)
"""Heatmaps, offsets and displacements of the whole image."""
