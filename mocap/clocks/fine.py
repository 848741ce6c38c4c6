"""Clocks to a fraction of a frame: the offsets and drifts at which the views' rays meet best.

Every keypoint of every person is triangulated at instants of the take. What the views then disagree on is
linear in small changes of their clocks, by how fast the keypoint moves in each picture. With the points
themselves eliminated, Gauss-Newton solves offsets and drifts of all cameras together.

A detector's errors last: neighbouring instants are whitened by the correlation that the residuals show. The
covariance is that of blocks of time (a sandwich estimate), since nothing else knows what a detector's errors
have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from calibration.triangulation import Triangulated, triangulate
from mocap.clocks.curves import course
from mocap.keypoints import FloatArray

GRID_S = 1.0 / 30.0
"""Spacing of the instants that are compared."""
_WIDTH_S = 0.1
"""How far frames count to either side of an instant; slow cameras widen it."""
_SPEED_WIDTH_S = 0.15
"""The same for the speed of the solved points."""
_BLOCK_S, _SHORT_BLOCK_S, _FEW_BLOCKS = 1.0, 0.2, 8
"""Errors of instants further apart than this are taken as independent; less, where that makes few blocks."""
_STEPS = 8
"""Gauss-Newton steps at most."""
_DONE_S = 1e-4
"""A step smaller than this ends the search."""
_FREEDOM = 4.0
"""Of the Student-t likelihood of whitened residuals."""
_LOOSE, _TIGHT = 0.25, 0.08
"""Body sizes by which a view may disagree while the clocks are rough, and at the end."""
DRIFT_STD = 150e-6
"""Prior of a clock's drift: ordinary crystals keep within 50 ppm, pairs of recorders differ by up to 200."""
_OFFSET_STD_S = 10.0
"""Prior of an offset, against cameras that nothing binds."""


@dataclass(frozen=True)
class Sight:
    """One person as one camera saw them in some stretch of the take."""

    time_s: FloatArray
    """(F,) frames that show the person, seconds on the camera's own clock."""
    xy_px: FloatArray
    """(F, K, 2) pixels, NaN where unseen."""
    sigma_px: FloatArray
    """(F, K) expected deviation, pixels."""
    size_px: float
    """The person's size in the picture, pixels."""


@dataclass(frozen=True)
class Subject:
    """One person in one stretch of the take, seen by several cameras."""

    time_s: FloatArray
    """(T,) instants on the take's clock, seconds."""
    sights: Sequence[Sight | None]
    """By camera."""


@dataclass(frozen=True)
class Tuned:
    """Clocks of C cameras as the motion says."""

    offset_s: FloatArray
    """(C,) seconds."""
    drift: FloatArray
    """(C,) parts of 1."""
    covariance: FloatArray
    """(2 C, 2 C) of all offsets and then all drifts; zero rows for the cameras that were held."""
    misfit: FloatArray
    """(C,) median disagreement of a view with the points of all of them, body sizes; NaN without any."""
    share: FloatArray
    """(C,) share of a camera's observations that the other views bear out."""
    blocks: int
    """Stretches of time that the covariance rests on."""


@dataclass(frozen=True)
class _Terms:
    """Linear terms of one subject: rows of all instants and keypoints."""

    residual: FloatArray
    """(T, K, 2 C) in deviations, points eliminated."""
    slope: FloatArray
    """(T, K, 2 C, C) by the offsets, per second."""
    elapsed_s: FloatArray
    """(T, C) of each camera's own clock, by which a drift moves as much as an offset does."""
    used: NDArray[np.bool_]
    """(T, K, C) views that agree."""
    misfit: FloatArray
    """(T, K, C) disagreement, body sizes; NaN where nothing was seen or no point found."""


def tune(
    subjects: Sequence[Subject],
    cameras: Cameras,
    offset_s: FloatArray,
    drift: FloatArray,
    held: NDArray[np.bool_],
    *,
    solve_drift: bool = True,
) -> Tuned:
    """Refine the clocks of C cameras.

    Args:
        subjects: what was seen of whom, the people already told apart.
        cameras: the C cameras.
        offset_s: (C,) first guess, better than about 0.1 s.
        drift: (C,) first guess, parts of 1.
        held: (C,) cameras whose clock is not moved; at least one.
        solve_drift: whether drifts may move.

    Raises:
        ValueError: no camera is held, or nothing was seen.
    """
    if not held.any() or not subjects:
        raise ValueError("clocks are relative: one camera must be held, and somebody seen")
    offset_s, drift = offset_s.copy(), drift.copy()
    count = len(cameras)
    free = np.concatenate([~held, ~held & solve_drift])
    prior = np.repeat([_OFFSET_STD_S**-2, DRIFT_STD**-2], count)
    memory = 0.8
    for step in range(_STEPS):
        limit = _LOOSE if step < 2 else _TIGHT
        terms = [_terms(subject, cameras, offset_s, drift, limit) for subject in subjects]
        memory = _memory(terms, memory)
        normal, gradient, _ = _normal(terms, memory, _scale(terms, memory))
        gradient[count:] += prior[count:] * drift
        system = (normal + np.diag(prior))[np.ix_(free, free)]
        move = np.zeros(2 * count)
        move[free] = -np.linalg.solve(system, gradient[free])
        move[:count] = move[:count].clip(-0.1, 0.1)
        offset_s, drift = offset_s + move[:count], drift + move[count:]
        if step >= 3 and np.abs(move[:count]).max() < _DONE_S:
            break
    terms = [_terms(subject, cameras, offset_s, drift, _TIGHT) for subject in subjects]
    scale = _scale(terms, memory)
    normal, _, scores = _normal(terms, memory, scale)
    covariance = np.zeros((2 * count, 2 * count))
    inner = np.ix_(free, free)
    covariance[inner] = _sandwich((normal + np.diag(prior))[inner], normal[inner], scores[:, :, free])
    return Tuned(offset_s, drift, covariance, *_fit(terms, subjects, count), len(scores))


def _terms(
    subject: Subject, cameras: Cameras, offset_s: FloatArray, drift: FloatArray, limit: float
) -> _Terms:
    """Residuals of one subject at the present clocks, and how they move with them."""
    width_s = max([_WIDTH_S, *(2.2 * float(np.median(np.diff(s.time_s))) for s in subject.sights if s)])
    own_s = (subject.time_s[:, None] - offset_s) / (1 + drift)  # (T, C)
    num_times, count = own_s.shape
    keypoints = next(s.xy_px.shape[1] for s in subject.sights if s is not None)
    xy = np.full((num_times, keypoints, count, 2), np.nan)
    sigma = np.full(xy.shape[:-1], np.nan)
    size = np.ones(count)
    for camera, sight in enumerate(subject.sights):
        if sight is not None and len(sight.time_s) > 4:
            size[camera] = sight.size_px
            xy[:, :, camera], _, sigma[:, :, camera] = course(
                sight.time_s, sight.xy_px, sight.sigma_px, own_s[:, camera], width_s
            )
    flat = torch.from_numpy(xy.reshape(-1, count, 2))
    deviation = np.nan_to_num(sigma, nan=1.0).reshape(-1, count)
    found = triangulate(
        cameras,
        flat,
        torch.from_numpy(deviation),
        max_error_px=torch.from_numpy(limit * size)[None].expand(len(deviation), count),
    )
    at = cameras.jacobian(found.xyz_world.nan_to_num(0.0))
    error = (at.xy_px - flat.transpose(0, 1)).permute(1, 0, 2).numpy()  # (N, C, 2)
    used = found.used.numpy()
    misfit = np.where(found.solved.numpy()[:, None], np.linalg.norm(error, axis=-1) / size, np.nan)
    by_point = at.d_point.permute(1, 0, 2, 3).numpy() / deviation[..., None, None]  # (N, C, 2, 3)
    by_point = np.where(used[..., None, None], by_point, 0.0).reshape(len(used), 2 * count, 3)
    residual = np.where(used[..., None], error / deviation[..., None], 0.0).reshape(len(used), 2 * count)
    velocity = _velocity(subject.time_s, found, num_times)
    pace = (by_point.reshape(len(used), count, 2, 3) @ velocity[:, None])[..., 0]
    slope = np.zeros((len(used), count, 2, count))
    each = np.arange(count)
    slope[:, each, :, each] = np.where(used[..., None], pace, 0.0).transpose(1, 0, 2)
    both = np.concatenate([residual[..., None], slope.reshape(len(used), 2 * count, count)], -1)
    information = by_point.mT @ by_point + 1e-9 * np.eye(3)
    both = both - by_point @ np.linalg.solve(information, by_point.mT @ both)
    # Two views leave one direction, three views three: more than that is the point's own.
    both = np.where((used.sum(1) >= 2)[:, None, None], both, 0.0)
    shape = (num_times, keypoints)
    return _Terms(
        both[..., 0].reshape(*shape, -1),
        both[..., 1:].reshape(*shape, 2 * count, count),
        own_s,
        used.reshape(*shape, count),
        misfit.reshape(*shape, count),
    )


def _velocity(time_s: FloatArray, found: Triangulated, num_times: int) -> FloatArray:
    """(N, 3, 1) metres a second of all points, 0 where unknown.

    The speed of the solved point, and not that of one picture: its errors have nothing in common with what
    the views disagree on, which would otherwise be taken for a delay.
    """
    xyz = found.xyz_world.numpy().reshape(num_times, -1, 3)
    if num_times < 5:
        return np.zeros((xyz.size // 3, 3, 1))
    speed = course(time_s, xyz, np.ones(xyz.shape[:2]), time_s, _SPEED_WIDTH_S).speed_px_s
    return np.nan_to_num(speed).reshape(-1, 3, 1)


def _whitened(terms: _Terms, memory: float) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """(T - 1, K, 2 C) innovations, their slopes by offsets and drifts, and which there are."""
    same = (terms.used[1:] == terms.used[:-1]).all(-1) & (terms.used[1:].sum(-1) >= 2)
    slope = np.concatenate([terms.slope, terms.slope * terms.elapsed_s[:, None, None]], -1)
    left = 1 / np.sqrt(1 - memory**2)
    residual = left * (terms.residual[1:] - memory * terms.residual[:-1])
    return residual, left * (slope[1:] - memory * slope[:-1]), same


def _memory(terms: Sequence[_Terms], before: float) -> float:
    """Correlation of neighbouring residuals, by those some instants apart: smoothing made near ones alike."""
    reach, product, power = 6, 0.0, 0.0
    for one in terms:
        same = (one.used[reach:] == one.used[:-reach]).all(-1) & (one.used[reach:].sum(-1) >= 2)
        a, b = one.residual[reach:][same], one.residual[:-reach][same]
        bound = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
        keep = bound < 10 * np.median(bound) if len(bound) else np.zeros(0, bool)
        product += float((a[keep] * b[keep]).sum())
        power += float(0.5 * (a[keep] ** 2 + b[keep] ** 2).sum())
    if power <= 0:
        return before
    return float(np.clip(product / power, 0.05, 0.8) ** (1 / reach))


def _scale(terms: Sequence[_Terms], memory: float) -> float:
    """Size of an ordinary coordinate of an innovation."""
    squares = []
    for one in terms:
        residual, _, same = _whitened(one, memory)
        free = 2 * one.used[1:].sum(-1) - 3  # directions that the point does not take up
        squares.append(((residual**2).sum(-1) / np.maximum(free - 0.6, 0.4))[same])
    flat = np.concatenate(squares) if squares else np.ones(0)
    return float(np.sqrt(max(np.median(flat), 1e-12))) if len(flat) else 1.0


def _normal(
    terms: Sequence[_Terms], memory: float, scale: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Information matrix, gradient, and the gradient's parts (B, K, 2 C) of blocks of time."""
    count = terms[0].elapsed_s.shape[1]
    normal, gradient = np.zeros((2 * count, 2 * count)), np.zeros(2 * count)
    parts: dict[int, FloatArray] = {}
    span_s = max(one.elapsed_s[-1, 0] for one in terms) - min(one.elapsed_s[0, 0] for one in terms)
    block_s = float(np.clip(span_s / _FEW_BLOCKS, _SHORT_BLOCK_S, _BLOCK_S))
    for one in terms:
        residual, slope, same = _whitened(one, memory)
        squared = (residual**2).sum(-1) / scale**2
        free = 2 * one.used[1:].sum(-1) - 3
        weight = np.where(same, (_FREEDOM + free) / (_FREEDOM + squared), 0.0) / scale**2
        bent = weight[..., None, None] * slope
        normal += np.tensordot(slope, bent, ((0, 1, 2), (0, 1, 2)))
        pull = np.einsum("tkrp,tkr->tkp", bent, residual)
        gradient += pull.sum((0, 1))
        for block, row in zip(np.floor(one.elapsed_s[1:, 0] / block_s).astype(int), pull, strict=True):
            parts[block] = parts.get(block, 0.0) + row
    scores = np.stack(list(parts.values())) if parts else np.zeros((0, 1, 2 * count))
    return normal, gradient, scores


def _sandwich(system: FloatArray, normal: FloatArray, scores: FloatArray) -> FloatArray:
    """Covariance from the spread of the gradients of blocks of time, never below what white noise leaves.

    Blocks are taken once whole, for errors that all keypoints share, and once by keypoint, because few
    blocks make a spread that the solution has itself made small.
    """
    inverse = np.linalg.inv(system)
    prior = inverse @ (system - normal) @ inverse
    blocks, _, size = scores.shape
    whole = scores.sum(1)
    left = max(blocks - 0.5 * size, 0.5 * blocks)
    candidates = [
        inverse,
        inverse @ (whole.T @ whole * (blocks / left)) @ inverse + prior,
        inverse @ np.einsum("bkp,bkq->pq", scores, scores) @ inverse + prior,
    ]
    told = np.diag(system - normal)  # nothing is known worse than beforehand
    std = np.sqrt(np.minimum(np.max([np.diag(one) for one in candidates], axis=0), 1 / told))
    shape = candidates[2] / np.sqrt(np.outer(np.diag(candidates[2]), np.diag(candidates[2])))
    return shape * np.outer(std, std)


def _fit(terms: Sequence[_Terms], subjects: Sequence[Subject], count: int) -> tuple[FloatArray, FloatArray]:
    """(C,) median misfit and (C,) share of observations that were borne out."""
    misfit, share = np.full(count, np.nan), np.zeros(count)
    for camera in range(count):
        off = np.concatenate([one.misfit[..., camera].ravel() for one in terms])
        used = np.concatenate([one.used[..., camera].ravel() for one in terms])
        known = np.isfinite(off)
        if known.any():
            misfit[camera] = float(np.median(off[known]))
            share[camera] = float(used[known].mean())
    return misfit, share
