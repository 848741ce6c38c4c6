"""2D keypoints of a person as smooth curves over time, so that a camera's clock can be solved for.

Between two frames a coordinate follows the cubic through both with tangents from their neighbours
(Catmull-Rom): passes through every frame, and its derivative is continuous, which a solver of clock offsets
needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

_LONGEST_GAP = 2.5
"""Frame intervals beyond which nothing is said about what lies between two frames."""


@dataclass(frozen=True)
class PersonView:
    """What one camera saw of P people, each in a row of their own."""

    time_s: Tensor
    """(F,) seconds on the camera's own clock, rising."""
    xy_px: Tensor
    """(F, P, K, 2) distorted pixels, NaN where unseen."""
    sigma_px: Tensor
    """(F, P, K) expected deviation of a coordinate, pixels."""
    size_px: tuple[int, int]
    """Width and height of the image."""

    def __post_init__(self) -> None:
        frames, people, keypoints = self.xy_px.shape[:3]
        if self.xy_px.shape != (frames, people, keypoints, 2):
            raise ValueError(f"xy_px must be (F, P, K, 2), not {tuple(self.xy_px.shape)}")
        if self.sigma_px.shape != (frames, people, keypoints):
            raise ValueError(
                f"sigma_px must be {(frames, people, keypoints)}, not {tuple(self.sigma_px.shape)}"
            )
        if self.time_s.shape != (frames,):
            raise ValueError(f"time_s must be {(frames,)}, not {tuple(self.time_s.shape)}")

    @property
    def period_s(self) -> float:
        """Seconds between frames."""
        return float(self.time_s.diff().median()) if len(self.time_s) > 1 else 1.0


class Sampled(NamedTuple):
    """Keypoints at some instants."""

    xy_px: Tensor
    """(T, P, K, 2) pixels, NaN where unknown."""
    speed_px_s: Tensor
    """(T, P, K, 2) how fast they move, pixels a second."""
    sigma_px: Tensor
    """(T, P, K) expected deviation, pixels."""


def sample(view: PersonView, at_s: Tensor) -> Sampled:
    """The keypoints of a view at other times of the camera's own clock.

    Args:
        view: what the camera saw.
        at_s: (T,) seconds.

    Returns:
        NaN outside the clip, in gaps of more than 2.5 frames, and where a neighbouring frame lacks the point.
    """
    time = view.time_s
    after = torch.searchsorted(time, at_s.detach().contiguous()).clamp(1, len(time) - 1)
    before = after - 1
    gap = time[after] - time[before]
    share = (at_s - time[before]) / gap
    fits = (share >= -1e-9) & (share <= 1 + 1e-9) & (gap <= _LONGEST_GAP * view.period_s)
    share = torch.where(fits, share, torch.nan)[:, None, None, None]
    left, right = view.xy_px[before], view.xy_px[after]
    step = gap[:, None, None, None]
    slope_left, slope_right = (step * _tangent(view, row) for row in (before, after))
    s2, s3 = share**2, share**3
    xy = (
        (2 * s3 - 3 * s2 + 1) * left
        + (s3 - 2 * s2 + share) * slope_left
        + (3 * s2 - 2 * s3) * right
        + (s3 - s2) * slope_right
    )
    speed = (
        6 * (s2 - share) * (left - right)
        + (3 * s2 - 4 * share + 1) * slope_left
        + (3 * s2 - 2 * share) * slope_right
    ) / step
    return Sampled(xy, speed, torch.maximum(view.sigma_px[before], view.sigma_px[after]))


def _tangent(view: PersonView, row: Tensor) -> Tensor:
    """(T, P, K, 2) pixels a second at some frames: through their neighbours, or one-sided without one."""
    last = len(view.time_s) - 1
    low, high = (row - 1).clamp(min=0), (row + 1).clamp(max=last)
    rise = view.xy_px[high] - view.xy_px[low]
    here = view.xy_px[row]
    run = (view.time_s[high] - view.time_s[low])[:, None, None, None]
    forward = (view.xy_px[high] - here) / (view.time_s[high] - view.time_s[row]).clamp(min=1e-9)[
        :, None, None, None
    ]
    backward = (here - view.xy_px[low]) / (view.time_s[row] - view.time_s[low]).clamp(min=1e-9)[
        :, None, None, None
    ]
    slope = rise / run
    slope = torch.where(slope.isnan(), forward, slope)
    return torch.where(slope.isnan(), backward, slope)


def smoothed(view: PersonView, width_s: float) -> PersonView:
    """The view with its coordinates averaged over a triangle of ``width_s`` to either side.

    A detector's jitter from frame to frame would otherwise be taken for speed.
    """
    reach = max(0, round(width_s / view.period_s))
    if reach == 0:
        return view
    known = torch.isfinite(view.xy_px).all(-1, keepdim=True)
    filled = torch.where(known, view.xy_px, 0.0)
    row, last = torch.arange(len(view.time_s)), len(view.time_s) - 1
    total, weight = torch.zeros_like(filled), torch.zeros_like(filled[..., :1])
    for shift in range(-reach, reach + 1):
        share = 1 - abs(shift) / (reach + 1)
        ahead, behind = row + shift, row - shift
        inside = ((ahead.clamp(0, last) == ahead) & (behind.clamp(0, last) == behind))[:, None, None, None]
        source, mirror = ahead.clamp(0, last), behind.clamp(0, last)
        # Only pairs that balance each other: a one-sided mean would lag.
        both = inside & known[source] & known[mirror]
        total = total + share * torch.where(both, filled[source], 0.0)
        weight = weight + share * both
    balanced = torch.where(known & (weight > 0), total / weight.clamp(min=1e-12), torch.nan)
    return PersonView(view.time_s, balanced, view.sigma_px, view.size_px)


def grid(views: Sequence[PersonView], offset_s: Tensor, step_s: float, margin_s: float = 0.1) -> Tensor:
    """(T,) instants of the common clock, ``step_s`` apart, at which at least two clips run."""
    starts = torch.stack(
        [view.time_s[0] + offset + margin_s for view, offset in zip(views, offset_s, strict=True)]
    )
    ends = torch.stack(
        [view.time_s[-1] + offset - margin_s for view, offset in zip(views, offset_s, strict=True)]
    )
    first, last = float(starts.sort().values[1]), float(ends.sort(descending=True).values[1])
    return first + step_s * torch.arange(max(0, int((last - first) / step_s) + 1), dtype=torch.float64)
