"""The recipe: from observations and a rough track to points of a whole take and their covariance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.keypoints import FloatArray
from mocap.progress import Progress, silent
from mocap.solve.bones import Bones, fit_bones
from mocap.solve.estimate import Estimate, Noise, estimate, features, robust_frames
from mocap.solve.motion import Smoothness, posterior_variance
from mocap.solve.views import Views, linearise
from mocap.solve.window import WindowSolution, basis_for, each_for_itself, solve_window

_WINDOW = 500
"""Knots that are solved together; longer takes in windows."""
_NEAR_M = 0.06
"""Moves of points below which the picture moves in proportion, to a fifth of a pixel."""
_DOUBT = 1.05
"""Times by which deviations are larger than the posterior's: its noise and motion are estimates, too.
Measured on synthetic takes of four and eight cameras, of which it puts 68 % within one deviation."""
_OVERLAP = 40
"""Knots by which a window reaches into its neighbours: far beyond what they know of each other."""


@dataclass(frozen=True)
class SolvedTake:
    """Points of one person over a take, and what the solve found out."""

    xyz: FloatArray
    """(T, K, 3) metres, world frame."""
    covariance: FloatArray
    """(T, K, 3, 3) metres²."""
    noise: Noise
    """Of the observations."""
    motion: Smoothness
    """Of the keypoints."""
    bones: Bones
    """Distances that stay the same."""
    sound: NDArray[np.bool_]
    """(T, C, K) observations that the points rest on."""
    error_px: FloatArray
    """(T, C, K) reprojection errors, NaN where unseen."""


def solve_take(
    cameras: Cameras,
    xy_px: FloatArray,
    told_px: FloatArray,
    size_px: FloatArray,
    track: FloatArray,
    rate_hz: float,
    names: Sequence[str],
    *,
    progress: Progress = silent,
) -> SolvedTake:
    """Solve all frames of a take for all keypoints of one person.

    Args:
        cameras: the C cameras.
        xy_px: (T, C, K, 2) distorted pixels with left and right put back, NaN where unseen.
        told_px: (T, C, K) deviations as the scores tell them.
        size_px: (T, C) size of the person in each picture, pixels.
        track: (T, K, 3) metres, world frame, within some centimetres.
        rate_hz: frames per second.
        names: K keypoints.
        progress: told how much of the work is done, in frames.

    Raises:
        SolveError: nothing holds some of the points.
    """
    times = len(track)
    views = linearise(cameras, track, xy_px)
    told = np.where(views.seen, np.moveaxis(told_px, 0, 1), 1.0)
    known = features(told, size_px.T, views.seen, rate_hz)
    xyz = robust_frames(views, told)
    progress("reconstruct", times // 5, times)
    found = estimate(views, xyz, told, known, rate_hz, rounds=1)
    xyz = each_for_itself(views, xyz, found)
    progress("reconstruct", 2 * times // 5, times)
    found = estimate(views, xyz, told, known, rate_hz)
    xyz = each_for_itself(views, xyz, found)
    progress("reconstruct", 3 * times // 5, times)
    if np.abs(xyz - track).max() > _NEAR_M:
        views = linearise(cameras, xyz, xy_px)
    spread = posterior_variance(found.variance, found.motion, found.noise.correlation)
    new = float(np.median(found.motion.cutoff)) / np.pi
    bones = fit_bones(xyz, spread, found.good, names, new, found.noise.correlation.lasting)
    xyz, covariance, bones = _together(views, xyz, found, bones)
    lasting = found.noise.correlation.bias * found.variance[:, :, None] * np.eye(3)
    covariance = _DOUBT**2 * covariance + lasting
    _, sound = found.noise.weigh(views, xyz)
    error = np.sqrt((views.error_at(xyz) ** 2).sum(0))
    return SolvedTake(
        xyz,
        covariance,
        found.noise,
        found.motion,
        bones,
        np.moveaxis(sound, 0, 1),
        np.moveaxis(np.where(views.seen, error, np.nan), 0, 1),
    )


def _together(
    views: Views, xyz: FloatArray, found: Estimate, bones: Bones
) -> tuple[FloatArray, FloatArray, Bones]:
    """All keypoints with their bones; of several windows, first the lengths that suit them all."""
    step = basis_for(found, len(xyz)).step
    windows = list(_windows(len(xyz), step))
    lengths = bones.length
    information, right = np.zeros((len(bones), len(bones))), np.zeros(len(bones))
    alone = len(windows) == 1

    def solve(frames: slice, *, free: bool) -> WindowSolution:
        return solve_window(views.at(frames), xyz[frames], found.at(frames), bones, lengths, step, free=free)

    if not alone and len(bones):
        # What two windows share must count once.
        shared = [slice(after.start, before.stop) for (before, _), (after, _) in pairwise(windows)]
        for sign, parts in ((1, [frames for frames, _ in windows]), (-1, shared)):
            for frames in parts:
                solved = solve(frames, free=True)
                information += sign * solved.information
                right += sign * (solved.information @ solved.lengths)
        lengths = np.linalg.solve(information, right)
    moved, covariance = np.empty_like(xyz), np.empty((*xyz.shape, 3))
    for frames, keep in windows:
        solved = solve(frames, free=alone)
        inner = slice(keep.start - frames.start, keep.stop - frames.start)
        moved[keep] = solved.xyz[inner]
        unsure = np.linalg.inv(solved.information if alone else information)
        covariance[keep] = solved.covariance(unsure)[inner]
        if alone:
            lengths = solved.lengths
    return moved, covariance, replace(bones, length=lengths)


def _windows(times: int, step: int) -> Iterator[tuple[slice, slice]]:
    """Frames of each window, and those of them that are kept; windows begin on knots."""
    long, margin = _WINDOW * step, _OVERLAP * step
    count = max(1, round(times / long))
    edges = [step * round(times * place / count / step) for place in range(count)] + [times]
    for start, stop in pairwise(edges):
        yield slice(max(0, start - margin), min(times, stop + margin)), slice(start, stop)
