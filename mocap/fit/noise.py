"""What the pictures' errors are like, told from the residuals of a fit: constant parts and scale."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mocap.fit.posed import stretches
from mocap.fit.problem import Problem
from mocap.fit.reprojection_term import Pixels, ReprojectionTerm
from mocap.fit.state import State
from mocap.fit.sweep import Sweep

_LEAST_VOTES = 30.0
"""Observations that all of one person's are worth in the scale of a single camera and keypoint."""
_MEDIAN_LENGTH = 1.1774
"""Median length of a two-dimensional normal vector of unit variance."""
_REWEIGHTS = 4
"""Rounds in which the constant error and the outliers about it are told apart."""
_LEAST_PX = 0.05
"""Nothing is known better: exact keypoints would leave no room for what the body cannot follow."""
_OFFSET_TAIL = 3.0
"""Degrees of freedom of the Student-t about the common scale of offsets."""
_USUAL_VOTES = 5.0
"""Offsets that the usual scale is worth."""
_SPREAD = (0.1, 3.0)
"""Least and largest scale of a keypoint's offset."""


@dataclass(frozen=True)
class Noise:
    """Errors of the cameras' keypoints."""

    bias_px: Tensor
    """(C, K, 2) constant over the take: projected minus seen is minus this."""
    scale: Tensor
    """(C, K) what the told standard deviations are to be multiplied by."""

    @staticmethod
    def as_told(pixels: Pixels) -> Noise:
        """No bias, and the deviations as they are."""
        _, cameras, keypoints = pixels.sigma_px.shape
        zero = torch.zeros(cameras, keypoints, 2, dtype=torch.float64)
        return Noise(zero, torch.ones(cameras, keypoints, dtype=torch.float64))


def estimate_noise(problem: Problem, state: State, pixels: Pixels, noise: Noise) -> Noise:
    """The constant error of each camera and keypoint under its prior, and how far errors keep their promise.

    Args:
        problem: with a reprojection term that was made with ``noise``.
        state: its solution.
        pixels: as told, before any scale.
        noise: the estimate so far.
    """
    term = next((term for term in problem.terms if isinstance(term, ReprojectionTerm)), None)
    if term is None:
        return noise
    parts = [term.errors_px(posed) for posed in stretches(problem.body, problem.layout, state, at_once=512)]
    error = torch.cat(parts) - noise.bias_px  # projected minus seen, the bias not taken out
    sigma = with_scale(pixels, noise).sigma_px
    known = torch.isfinite(error).all(-1)
    error = torch.where(known[..., None], error, 0.0)
    sigma = torch.where(known, sigma, 1.0)
    prior = 1 / torch.clamp(pixels.bias_sd_px, min=1e-3) ** 2
    bias, squared = noise.bias_px, torch.zeros_like(sigma)
    for _ in range(_REWEIGHTS):
        squared = ((error + bias) / sigma[..., None]).square().sum(-1)
        precision = known * term.loss.weight(squared, 2) * pixels.weight / sigma**2
        bias = -(precision[..., None] * error).sum(0) / (precision.sum(0) + prior)[..., None]
    return Noise(bias, noise.scale * _scale(torch.sqrt(squared), known))


def _scale(length: Tensor, known: Tensor) -> Tensor:
    """(C, K) median residual over that of a normal; few residuals are drawn towards the median of all."""
    if not bool(known.any()):
        return torch.ones(length.shape[1:], dtype=length.dtype)
    overall = torch.clamp(length[known].median(), min=1e-3)
    own = torch.where(known, length, torch.nan).nanmedian(0).values.nan_to_num(float(overall))
    votes = known.sum(0)
    share = votes / (votes + _LEAST_VOTES)
    drawn = torch.exp(share * torch.log(torch.clamp(own, min=1e-3)) + (1 - share) * torch.log(overall))
    return torch.clamp(drawn / _MEDIAN_LENGTH, 0.2, 5.0)


def with_scale(pixels: Pixels, noise: Noise) -> Pixels:
    """The pixels with the deviations that residuals show."""
    return replace(pixels, sigma_px=torch.clamp(pixels.sigma_px * noise.scale, min=_LEAST_PX))


def offset_scale(sweep: Sweep, scale: Tensor) -> Tensor:
    """How far keypoints lie from their places on the body, in their usual deviations.

    One scale for all is the evidence's fixed point (MacKay 1992, eq. 4.8): the squares over the number of
    offsets that the data determine; what they do not determine has no vote. About it the keypoints differ as
    a Student-t has it, so that one that lies far off may do so when the others do not.

    Args:
        sweep: with offsets solved for.
        scale: (K,) the one that the sweep was made with.

    Returns:
        (K,).
    """
    layout, prior = sweep.problem.layout, sweep.problem.prior
    own = slice(layout.num_betas, layout.num_betas + 3 * layout.num_keypoints)
    variance = sweep.border_covariance().diagonal()[own]
    sd = prior.sd[own]
    unknown = (variance / sd**2).reshape(-1, 3).sum(-1) * scale**2
    determined = (1 - variance / sd**2).clamp(0, 1).reshape(-1, 3).sum(-1)
    squares = (layout.border(sweep.state)[own] / sd).square().reshape(-1, 3).sum(-1) * scale**2
    common, weight = torch.ones(1, dtype=torch.float64), torch.ones_like(squares)
    for _ in range(20):
        weight = (_OFFSET_TAIL + 3) / (_OFFSET_TAIL + (squares + unknown) / common)
        common = ((weight * squares).sum() + _USUAL_VOTES) / (determined.sum() + _USUAL_VOTES)
    return torch.clamp(torch.sqrt(common / weight), *_SPREAD)
