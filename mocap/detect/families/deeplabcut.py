"""DeeperCut and DeepLabCut networks in ONNX: E. Insafutdinov et al., 2016; A. Mathis et al., 2018.

One individual: the surest cell of each keypoint. Several: where the network also gives the offsets from each
keypoint to each other one, people are the partition that costs least.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.detect.bottom_up import Peaks, assembled, find_peaks, group_by_programme
from mocap.detect.family import Code, Facts, Family, Floats, Pixels, Size
from mocap.detect.names import names_by_number
from mocap.detect.network import Outputs
from mocap.detect.people import People, people_from_points

STRIDE = 8
REFINEMENT_PX = 7.2801
"""The location refinement's unit, pixels: the deviation by which DeeperCut's training divides."""
_MIN_PEAK = 0.3
_MOST_PEAKS = 40
"""Surest keypoints of all people that enter the programme, whose size grows with the third power."""
_LIMIT_S = 2.0


def _maps(outputs: Outputs) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None] | None:
    """Scores (h, w, K), refinement (h, w, 2 K), and offsets to other keypoints (h, w, 2 K (K - 1)) if any."""
    arrays = sorted((one[0] for one in outputs if one.ndim == 4), key=lambda one: one.shape[2])
    if len(arrays) not in (2, 3) or len(arrays) != len(outputs):
        return None
    keypoints = arrays[0].shape[2]
    channels = [keypoints, 2 * keypoints, 2 * keypoints * (keypoints - 1)][: len(arrays)]
    if [one.shape[2] for one in arrays] != channels or len({one.shape[:2] for one in arrays}) != 1:
        return None
    return arrays[0], arrays[1], arrays[2] if len(arrays) == 3 else None


def _count(outputs: Outputs, size: Size) -> int | None:
    maps = _maps(outputs)
    if maps is None:
        return None
    height, width, keypoints = maps[0].shape
    near = [abs(cells - side / STRIDE) <= 2 for cells, side in ((width, size[0]), (height, size[1]))]
    return keypoints if all(near) else None


def _read(outputs: Outputs, size: Size) -> People:
    """A cell's middle is the middle of its 8 pixels; the refinement leads from there to the keypoint."""
    maps = _maps(outputs)
    if maps is None:
        raise ValueError([output.shape for output in outputs])
    score, refinement, offsets = maps
    score = score.astype(np.float64)
    if score.min() < 0 or score.max() > 1:  # exported before the last sigmoid
        score = 1 / (1 + np.exp(-score))
    keypoints = score.shape[2]
    if offsets is None:
        flat = score.reshape(-1, keypoints).argmax(axis=0)
        row, column = np.divmod(flat, score.shape[1])
        kind = np.arange(keypoints)
        xy = _refined(refinement, kind, row, column)[None]
        found = score[row, column, kind][None]
        return people_from_points(xy, found)
    peaks = find_peaks(score.transpose(2, 0, 1), _MIN_PEAK)
    best = np.sort(np.argsort(-peaks.score, kind="stable")[:_MOST_PEAKS])
    kind, cell = peaks.kind[best], np.rint(peaks.xy[best]).astype(int)
    xy = _refined(refinement, kind, cell[:, 1], cell[:, 0])
    refined = Peaks(kind, xy, peaks.score[best])
    cost = pair_costs(refined, offsets[cell[:, 1], cell[:, 0]].astype(np.float64), keypoints)
    people = [one for one in group_by_programme(refined, cost, limit_s=_LIMIT_S) if len(one) > 1]
    return people_from_points(*assembled(refined, people, keypoints))


def _refined(refinement: NDArray[Any], kind: Any, row: Any, column: Any) -> Floats:
    pairs = refinement.reshape(*refinement.shape[:2], -1, 2)
    middle = np.stack([column, row], axis=1) * STRIDE + STRIDE / 2
    return middle + pairs[row, column, kind] * REFINEMENT_PX


def pair_costs(peaks: Peaks, offsets: Floats, keypoints: int) -> Floats:
    """(N, N) how much it costs that two keypoints are one person's.

    Each keypoint says where every other kind would lie. The further the other one lies from there, measured
    against how far it was to go, the dearer: the logit of a probability that is one half at a third.

    Args:
        peaks: N keypoints, pixels.
        offsets: (N, 2 K (K - 1)) x and y, pixels, from each kind to each of the other kinds in their order.
        keypoints: K.
    """
    count = len(peaks.kind)
    towards = offsets.reshape(count, keypoints, keypoints - 1, 2)[np.arange(count), peaks.kind]
    first, second = (index.ravel() for index in np.meshgrid(*[np.arange(count)] * 2, indexing="ij"))
    a, b = peaks.kind[first], peaks.kind[second]
    there = towards[first, np.clip(b - (b > a), 0, keypoints - 2)]
    miss = np.linalg.norm(peaks.xy[first] + there - peaks.xy[second], axis=1)
    allowed = np.linalg.norm(there, axis=1) / 3 + STRIDE
    cost = np.clip(4 * (miss / allowed - 1), -4, 4).reshape(count, count)
    return (cost + cost.T) / 2


FAMILY = Family(
    facts=Facts("DeeperCut, DeepLabCut", "–", "LGPL-3.0"),
    codes=(
        Code(
            engine="image",
            pixels=Pixels(),
            expected=(
                "scores (1, h, w, K) at stride 8, refinement (1, h, w, 2 K), and for several people offsets "
                "(1, h, w, 2 K (K - 1))"
            ),
            count=_count,
            read=_read,
            size_px=None,
        ),
    ),
    names=names_by_number("deepercut14"),
)
"""Score maps of the image as it is."""
