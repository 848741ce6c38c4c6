"""Points in the world from what several cameras saw of them: the one triangulation of this project.

Every point is solved for itself and all of them in one batch:

1. each pair of viewing rays proposes a point, and every view votes on every proposal;
2. the best proposal is refined on the reprojection error of all views under a Student-t likelihood;
3. views that still disagree are rejected, and the point is refined on the rest;
4. its covariance follows from the pixel deviations, widened where the views contradict each other.

The noise of a view is a two-dimensional Student-t with ``DEGREES_OF_FREEDOM`` and scale ``sigma_px``: near
that of a normal distribution for an ordinary error, while a wrong view (a mistaken limb, another person)
pulls less the further off it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from calibration.cameras import Cameras

DEGREES_OF_FREEDOM = 3.0
"""Of the Student-t likelihood: measured residuals of pose networks have tails like 2.5 to 4."""

_VOTING_VIEWS = 8
"""The surest views of a point whose pairs propose it: 28 proposals, however many cameras there are."""
_BEHIND_COST = 50.0
"""Of a view that the point lies behind: more than any view in front can cost, and still finite."""
_FIRST_STEPS, _LAST_STEPS = 3, 4
"""Gauss-Newton steps on all views and on the agreeing ones: the proposals are near, 3 or 4 converge."""
_PRIOR_FREEDOM = 6.0
"""How many residuals the told pixel deviations are worth against the observed ones in the covariance."""
_CHUNK = 2048
"""Points solved together: keeps the working memory in the processor's cache."""


_ROUGH_ROUNDS = (16.0, 8.0, 4.0, 2.0, 1.0)
"""Times the expected deviation within which rays are heard, round by round."""


@dataclass(frozen=True)
class Triangulated:
    """N points and what they rest on."""

    xyz_world: Tensor
    """(N, 3) metres, world frame; NaN where fewer than ``min_views`` views agree."""
    covariance: Tensor
    """(N, 3, 3) metres², world frame; NaN where the point is."""
    used: Tensor
    """(N, C) bool, the views that agree on the point; all False where there is none."""
    error_px: Tensor
    """(N,) root mean square reprojection error over the views used, pixels."""
    num_views: Tensor
    """(N,) how many views were used; 0 where the point is missing."""

    @property
    def solved(self) -> Tensor:
        """(N,) bool, which points were found; the others are those that too few views agree on."""
        return self.num_views > 0


@dataclass(frozen=True)
class _Views:
    """What the cameras saw of a chunk of points; camera axis first, as ``Cameras`` has it."""

    xy_px: Tensor
    """(C, N, 2) pixels, 0 where unseen."""
    sigma_px: Tensor
    """(C, N) pixels, 1 where unseen."""
    max_error_px: Tensor
    """(C, N) pixels."""
    seen: Tensor
    """(C, N) bool."""
    origin_world: Tensor
    """(C, N, 3) metres, where the viewing rays start."""
    direction_world: Tensor
    """(C, N, 3) unit vectors of the viewing rays, 0 where unseen."""


@dataclass(frozen=True)
class _Linear:
    """The reprojection at some points, whitened and linearised."""

    residual: Tensor
    """(C, N, 2) in units of ``sigma_px``, 0 for views without a vote."""
    d_point: Tensor
    """(C, N, 2, 3) of the residual, per metre."""
    cost: Tensor
    """(N,) negative log likelihood."""
    valid: Tensor
    """(C, N) bool, the point lies before the camera."""

    @property
    def weight(self) -> Tensor:
        """(C, N) of the equivalent least squares: above 1 for views that fit, towards 0 for wrong ones."""
        squared = _dot(self.residual, self.residual)
        return (DEGREES_OF_FREEDOM + 2) / (DEGREES_OF_FREEDOM + squared)

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        """(N, 3, 3) and (N, 3): information matrix and descent direction."""
        root = self.weight.sqrt()[..., None]
        jacobian = (self.d_point * root[..., None]).permute(1, 0, 2, 3).flatten(1, 2)  # (N, 2C, 3)
        residual = (self.residual * root).permute(1, 0, 2).flatten(1)  # (N, 2C)
        information = jacobian.mT @ jacobian
        return information, -(jacobian.mT @ residual[..., None])[..., 0]


def triangulate(
    cameras: Cameras,
    xy_px: Tensor,
    sigma_px: Tensor | float,
    *,
    min_views: int = 2,
    max_error_px: Tensor | float = 20.0,
    min_angle_deg: float = 3.0,
) -> Triangulated:
    """Triangulate N points, each from the views that agree on it.

    Deterministic; neither the order of the points nor that of up to eight cameras matters.

    Args:
        cameras: the C cameras; those without a known pose take no part.
        xy_px: (N, C, 2) distorted pixels, NaN where unseen.
        sigma_px: (N, C), (C,) or one number: standard deviation of a pixel coordinate of an ordinary view,
            pixels. Only its ratios move the point; its size scales the covariance.
        min_views: fewest views that must agree, at least 2.
        max_error_px: (N, C), (C,) or one number: a view that reprojects worse is not used, pixels.
        min_angle_deg: smallest angle between two viewing rays that may determine depth, degrees.

    Returns:
        The points, with NaN and no views where fewer than ``min_views`` agree.

    Raises:
        ValueError: shapes disagree with the cameras, or ``min_views`` is below 2.
    """
    count = len(cameras)
    if xy_px.ndim != 3 or xy_px.shape[1:] != (count, 2):
        raise ValueError(f"xy_px must be (N, {count}, 2), not {tuple(xy_px.shape)}")
    if min_views < 2:
        raise ValueError(f"min_views must be at least 2, not {min_views}")
    number = xy_px.shape[0]
    sigma_px = torch.as_tensor(sigma_px, dtype=xy_px.dtype, device=xy_px.device).expand(number, count)
    max_error_px = torch.as_tensor(max_error_px, dtype=xy_px.dtype, device=xy_px.device).expand(number, count)
    min_sin = math.sin(math.radians(min_angle_deg))
    parts = [
        _triangulate_chunk(cameras, _views(cameras, *chunk), min_views, min_sin)
        for chunk in zip(xy_px.split(_CHUNK), sigma_px.split(_CHUNK), max_error_px.split(_CHUNK), strict=True)
    ]
    return Triangulated(
        torch.cat([part.xyz_world for part in parts]),
        torch.cat([part.covariance for part in parts]),
        torch.cat([part.used for part in parts]),
        torch.cat([part.error_px for part in parts]),
        torch.cat([part.num_views for part in parts]),
    )


def nearest_to_rays(
    origin_world: Tensor, direction_world: Tensor, angle_sd: Tensor, *, min_angle_deg: float = 3.0
) -> tuple[Tensor, Tensor]:
    """Points nearest to viewing rays, wrong rays losing their say round by round.

    A rough answer for many points at a fifteenth of what ``triangulate`` costs: no lens is asked, and the
    rays start as equals, so that it needs a majority of sound ones.

    Args:
        origin_world: (C, 3) where each camera's rays start, metres.
        direction_world: (N, C, 3) unit vectors, NaN where unseen.
        angle_sd: (N, C) expected deviation of a ray, radians.
        min_angle_deg: smallest angle between two rays that may determine depth, degrees.

    Returns:
        xyz_world: (N, 3) metres, NaN where fewer than two rays cross at a sufficient angle.
        miss: (N, C) distance of the point from each ray in expected deviations, NaN where unseen or behind.
    """
    x, y, z = direction_world.nan_to_num(0.0).unbind(-1)  # (N, C)
    seen = direction_world.isfinite().all(-1)
    ox, oy, oz = (value[None] for value in origin_world.unbind(-1))
    along_origin = x * ox + y * oy + z * oz
    weight = seen.to(x.dtype)
    point = torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0])
    sound = torch.zeros_like(seen[:, 0])
    miss = torch.zeros_like(x)
    least = 0.5 * math.sin(math.radians(min_angle_deg)) ** 2
    for coarse in _ROUGH_ROUNDS:
        total = weight.sum(1).clamp(min=1e-30)
        weight = weight / total[:, None]
        # Sum of w (1 - d d^T), a symmetric matrix, and of w (1 - d d^T) o.
        xx, yy, zz = ((weight * (1 - a * a)).sum(1) for a in (x, y, z))
        xy, xz, yz = (-(weight * a * b).sum(1) for a, b in ((x, y), (x, z), (y, z)))
        bx, by, bz = ((weight * (o - along_origin * a)).sum(1) for o, a in ((ox, x), (oy, y), (oz, z)))
        cx, cy, cz = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
        dy, dz, ez = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
        determinant = xx * cx + xy * cy + xz * cz
        sound = determinant > 1e-12
        inverse = 1 / torch.where(sound, determinant, 1.0)
        point = (
            (cx * bx + cy * by + cz * bz) * inverse,
            (cy * bx + dy * by + dz * bz) * inverse,
            (cz * bx + dz * by + ez * bz) * inverse,
        )
        rx, ry, rz = point[0][:, None] - ox, point[1][:, None] - oy, point[2][:, None] - oz
        depth = rx * x + ry * y + rz * z
        away = (rx * rx + ry * ry + rz * rz - depth * depth).clamp(min=0)
        expected = (depth.clamp(min=1e-6) * angle_sd.nan_to_num(1.0)) ** 2
        squared = away / expected
        weight = seen * (depth > 0) / expected / (DEGREES_OF_FREEDOM + squared / coarse**2)
        miss = torch.where(seen & (depth > 0), squared.sqrt(), torch.nan)
    heavy = weight > 0.05 * weight.amax(1, keepdim=True)
    # The widest angle between a ray and the mean direction of those that count tells whether they cross.
    mean = torch.stack([(heavy * a).sum(1) for a in (x, y, z)], -1) / heavy.sum(1).clamp(min=1)[:, None]
    spread = 1 - mean.square().sum(-1)  # the mean of 1 - cosine over all pairs of n rays, times 1 - 1 / n
    sound = sound & ((seen & (weight > 0)).sum(1) >= 2) & (spread > least / 2)
    xyz = torch.stack(point, -1)
    return torch.where(sound[:, None], xyz, torch.nan), miss


def _views(cameras: Cameras, xy_px: Tensor, sigma_px: Tensor, max_error_px: Tensor) -> _Views:
    """The observations (N, C, ...) of one chunk with their viewing rays, unseen ones made harmless."""
    xy_px, sigma_px, max_error_px = xy_px.transpose(0, 1), sigma_px.T, max_error_px.T
    ray = cameras.rays(xy_px)
    seen = xy_px.isfinite().all(-1) & (sigma_px > 0) & sigma_px.isfinite()
    seen = seen & ray.direction_world.isfinite().all(-1) & ray.origin_world.isfinite().all(-1)
    return _Views(
        torch.where(seen[..., None], xy_px, 0.0),
        torch.where(seen, sigma_px, 1.0),
        max_error_px,
        seen,
        torch.where(seen[..., None], ray.origin_world, 0.0),
        torch.where(seen[..., None], ray.direction_world, 0.0),
    )


def _triangulate_chunk(cameras: Cameras, views: _Views, min_views: int, min_sin: float) -> Triangulated:
    """Propose, refine on all views, reject, refine on the rest."""
    focal_px = cameras.focal_px.mean(-1)
    start, found = _best_proposal(views, focal_px, min_sin)
    xyz, linear = _refine(cameras, start, views, views.seen & found, _FIRST_STEPS)
    agree = views.seen & found & linear.valid & (_error_px(linear, views) <= views.max_error_px)
    xyz, linear = _refine(cameras, xyz, views, agree, _LAST_STEPS)
    error_px = _error_px(linear, views)
    used = agree & linear.valid & (error_px <= views.max_error_px)
    solved = (used.sum(0) >= min_views) & (_widest_sin(xyz, views, used) >= min_sin)
    used = used & solved
    num_views = used.sum(0)
    mean_square = (error_px.square() * used).sum(0) / num_views.clamp(min=1)
    nan = torch.full_like(mean_square, torch.nan)
    return Triangulated(
        torch.where(solved[:, None], xyz, nan[:, None]),
        torch.where(solved[:, None, None], _covariance(linear, used), nan[:, None, None]),
        used.T,
        torch.where(solved, mean_square.sqrt(), nan),
        num_views,
    )


def _best_proposal(views: _Views, focal_px: Tensor, min_sin: float) -> tuple[Tensor, Tensor]:
    """The point halfway between two rays that all views together like best.

    Returns:
        xyz_world: (N, 3) metres, the origin where there is no proposal.
        found: (N,) bool, whether any pair of rays meets before both cameras at a sufficient angle.
    """
    surest = torch.where(views.seen, views.sigma_px, torch.inf).argsort(dim=0, stable=True)[:_VOTING_VIEWS]
    first, second = torch.triu_indices(len(surest), len(surest), 1, device=surest.device)
    pick = surest[..., None].expand(-1, -1, 3)
    origin, direction = views.origin_world.gather(0, pick), views.direction_world.gather(0, pick)
    seen = views.seen.gather(0, surest)
    xyz, meet = _midpoints(origin[first], direction[first], origin[second], direction[second], min_sin)
    meet = meet & seen[first] & seen[second]  # (H, N)
    cost = torch.where(meet, _votes(xyz, views, focal_px), torch.inf)
    best = cost.argmin(0)
    found = meet.any(0)
    chosen = xyz.gather(0, best[None, :, None].expand(1, -1, 3))[0]
    return torch.where(found[:, None], chosen, 0.0), found


def _midpoints(
    origin_a: Tensor, direction_a: Tensor, origin_b: Tensor, direction_b: Tensor, min_sin: float
) -> tuple[Tensor, Tensor]:
    """(..., 3) halfway between two rays where they pass closest, and (...) whether that is of use."""
    cosine = _dot(direction_a, direction_b)
    squared_sine = 1 - cosine.square()
    useful = squared_sine > max(min_sin**2, 1e-12)
    baseline = origin_b - origin_a
    along_a, along_b = _dot(baseline, direction_a), _dot(baseline, direction_b)
    divisor = torch.where(useful, squared_sine, 1.0)
    depth_a = (along_a - cosine * along_b) / divisor
    depth_b = (cosine * along_a - along_b) / divisor
    end_a = origin_a + depth_a[..., None] * direction_a
    end_b = origin_b + depth_b[..., None] * direction_b
    return (end_a + end_b) / 2, useful & (depth_a > 0) & (depth_b > 0)


def _votes(xyz_world: Tensor, views: _Views, focal_px: Tensor) -> Tensor:
    """(H, N) cost of proposals (H, N, 3): angle to each viewing ray in pixels, under the likelihood."""
    cost = torch.zeros_like(xyz_world[..., 0])
    for camera in range(len(focal_px)):
        offset = xyz_world - views.origin_world[camera]
        along = _dot(offset, views.direction_world[camera])
        squared_sine = 1 - along.square() / _dot(offset, offset).clamp(min=1e-18)
        scale = (focal_px[camera] / views.sigma_px[camera]).square() / DEGREES_OF_FREEDOM
        vote = torch.where(along > 0, (squared_sine.clamp(min=0) * scale).log1p(), _BEHIND_COST)
        cost = cost + torch.where(views.seen[camera], vote, 0.0)
    return cost


def _linearise(cameras: Cameras, xyz_world: Tensor, views: _Views, voting: Tensor) -> _Linear:
    """Residuals and Jacobians of the ``voting`` (C, N) views at (N, 3) points."""
    projection = cameras.jacobian(xyz_world)
    vote = (voting & projection.valid)[..., None]
    inverse_sigma = 1 / views.sigma_px[..., None]
    residual = torch.where(vote, (projection.xy_px - views.xy_px) * inverse_sigma, 0.0)
    d_point = torch.where(vote[..., None], projection.d_point * inverse_sigma[..., None], 0.0)
    fit = (DEGREES_OF_FREEDOM + 2) / 2 * (_dot(residual, residual) / DEGREES_OF_FREEDOM).log1p()
    behind = (voting & ~projection.valid) * (_BEHIND_COST * (DEGREES_OF_FREEDOM + 2) / 2)
    return _Linear(residual, d_point, (fit + behind).sum(0), projection.valid)


def _refine(
    cameras: Cameras, xyz_world: Tensor, views: _Views, voting: Tensor, steps: int
) -> tuple[Tensor, _Linear]:
    """Damped Gauss-Newton on re-weighted least squares; a step that does not help is not taken."""
    linear = _linearise(cameras, xyz_world, views, voting)
    damping = torch.full_like(xyz_world[:, :1], 1e-6)
    for _ in range(steps):
        information, descent = linear.normal_equations()
        # The tiny constant keeps points without votes solvable: their step is zero.
        diagonal = damping * information.diagonal(dim1=-2, dim2=-1) + 1e-12
        step = torch.linalg.solve_ex(information + diagonal.diag_embed(), descent)[0]
        trial_xyz = xyz_world + step
        trial = _linearise(cameras, trial_xyz, views, voting)
        better = trial.cost <= linear.cost
        xyz_world = torch.where(better[:, None], trial_xyz, xyz_world)
        linear = _Linear(
            torch.where(better[:, None], trial.residual, linear.residual),
            torch.where(better[:, None, None], trial.d_point, linear.d_point),
            torch.where(better, trial.cost, linear.cost),
            torch.where(better, trial.valid, linear.valid),
        )
        damping = torch.where(better[:, None], damping * 0.1, damping * 100 + 1e-3)
    return xyz_world, linear


def _error_px(linear: _Linear, views: _Views) -> Tensor:
    """(C, N) distance between what was seen and the reprojection, pixels."""
    return _dot(linear.residual, linear.residual).sqrt() * views.sigma_px


def _widest_sin(xyz_world: Tensor, views: _Views, used: Tensor) -> Tensor:
    """(N,) sine of the angle between those two used rays that cross most nearly at right angles."""
    direction = torch.where(used[..., None], xyz_world - views.origin_world, 0.0)
    direction = torch.nn.functional.normalize(direction, dim=-1).transpose(0, 1)  # (N, C, 3)
    cosine = direction @ direction.mT
    both = used.T[:, :, None] & used.T[:, None, :]
    return torch.where(both, 1 - cosine.square(), 0.0).amax((-2, -1)).clamp(min=0).sqrt()


def _covariance(linear: _Linear, used: Tensor) -> Tensor:
    """(N, 3, 3) metres²: inverse information, times how well the views agree.

    A Student-t observation carries (nu + 2) / (nu + 4) of the information of its re-weighted least squares.
    The agreement is the mean weighted squared residual, drawn towards its expectation by a prior worth
    ``_PRIOR_FREEDOM`` residuals, because two or three views alone say little about their own noise.
    """
    information, _ = linear.normal_equations()
    eye = torch.eye(3, dtype=information.dtype, device=information.device)
    information = torch.where(used.any(0)[:, None, None], information, eye)
    squared = (linear.weight * _dot(linear.residual, linear.residual) * used).sum(0)
    freedom = (2 * used.sum(0) - 3).clamp(min=0)
    agreement = (_PRIOR_FREEDOM + squared) / (_PRIOR_FREEDOM + freedom)
    inflation = agreement * (DEGREES_OF_FREEDOM + 4) / (DEGREES_OF_FREEDOM + 2)
    return torch.linalg.inv_ex(information)[0] * inflation[:, None, None]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """(...) inner products of (..., D) with a small D, for which a sum over the last axis is slow."""
    total = a[..., 0] * b[..., 0]
    for axis in range(1, a.shape[-1]):
        total = total + a[..., axis] * b[..., axis]
    return total
