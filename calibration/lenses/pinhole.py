"""Lens distortion of pinhole cameras: OpenCV's k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4 tau_x tau_y.

Radial (rational where there are eight coefficients), tangential, thin prism, and tilted sensor. The number
of coefficients that are *stored* decides which terms are computed, so that a lens with five does not
pay for fourteen. Points are on the normalised image plane (x/z, y/z).
"""

import math

import torch
from torch import Tensor

from calibration.lenses.roots import first_positive_root, inverse_2x2, solve_increasing

COEFFICIENTS = (0, 4, 5, 8, 12, 14)
"""Numbers of coefficients that exist."""

_SCAN_RADIUS = 10.0  # 84 degrees off the axis: no pinhole lens sees farther
_SCAN_STEPS = 200
_SCAN_ANGLES = 12
_CONVERGED = 1e-12  # of the undistorted point's own scale
_LAST_STEP = 1e-9  # Newton squares it: what is left afterwards is below double precision


def distort(xy: Tensor, k: Tensor) -> Tensor:
    """Distort normalised points.

    Args:
        xy: (..., C, N, 2) normalised image plane.
        k: (C, D) coefficients, D one of ``COEFFICIENTS``.

    Returns:
        (..., C, N, 2) distorted, normalised image plane.
    """
    if k.shape[-1] == 0:
        return xy
    x, y = xy.unbind(-1)
    r2 = x * x + y * y
    radial = _numerator(r2, k)
    if k.shape[-1] >= 8:
        radial = radial / _denominator(r2, k)
    p1, p2 = _column(k, 2), _column(k, 3)
    xd = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    yd = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    if k.shape[-1] >= 12:
        xd = xd + r2 * (_column(k, 8) + r2 * _column(k, 9))
        yd = yd + r2 * (_column(k, 10) + r2 * _column(k, 11))
    bent = torch.stack((xd, yd), -1)
    return _tilt(bent, tilt_matrix(k)) if k.shape[-1] == 14 else bent


def distort_slope(xy: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Distort, and say how the result changes with the point.

    Args:
        xy: (..., C, N, 2) normalised image plane.
        k: (C, D) coefficients.

    Returns:
        (..., C, N, 2) distorted points and (..., C, N, 2, 2) their derivative by the point.
    """
    if k.shape[-1] == 14:
        return distort_jacobian(xy, k)[:2]
    if k.shape[-1] == 0:
        return xy, torch.eye(2, dtype=xy.dtype, device=xy.device).expand(*xy.shape, 2)
    return distort(xy, k), _d_point(xy, k)


def distort_jacobian(xy: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distort, and say how the result changes with the point and with the coefficients.

    Args:
        xy: (..., C, N, 2) normalised image plane.
        k: (C, D) coefficients.

    Returns:
        (..., C, N, 2) distorted points, (..., C, N, 2, 2) their derivative by the point and
        (..., C, N, 2, D) by the coefficients.
    """
    if k.shape[-1] == 0:
        identity = torch.eye(2, dtype=xy.dtype, device=xy.device).expand(*xy.shape, 2)
        return xy, identity, xy.new_zeros(*xy.shape, 0)
    bent = distort(xy, k[:, :12])
    d_xy = _d_point(xy, k)
    d_k = _d_coefficients(xy, k)
    if k.shape[-1] < 14:
        return bent, d_xy, d_k
    return _tilt_jacobian(bent, d_xy, d_k, k)


def max_radius2(k: Tensor) -> Tensor:
    """Squared radius of the largest disc round the axis on which the distortion does not fold back.

    Args:
        k: (C, D) coefficients.

    Returns:
        (C,) squared radius on the normalised plane, infinity where nothing folds.
    """
    k = k.detach()
    limit = [_radial_limit2(row) for row in k.tolist()]
    radial = torch.tensor(limit, dtype=k.dtype, device=k.device)
    needs_scan = k.shape[-1] > 0 and bool((k[:, 2:4] != 0).any() or (k[:, 8:12] != 0).any())
    return torch.minimum(radial, _scanned_limit2(k[:, :12], radial)) if needs_scan else radial


def undistort(xy_distorted: Tensor, k: Tensor, limit2: Tensor) -> Tensor:
    """Inverse of ``distort`` inside the disc where it is one to one; NaN elsewhere.

    Args:
        xy_distorted: (..., C, N, 2) normalised image plane.
        k: (C, D) coefficients.
        limit2: (C,) what ``max_radius2`` gave.

    Returns:
        (..., C, N, 2) normalised points to 1e-12; differentiable (implicit function theorem).
    """
    if k.shape[-1] == 0:
        return xy_distorted
    flat = _untilt(xy_distorted, tilt_matrix(k)) if k.shape[-1] == 14 else xy_distorted
    lens = k[:, :12]
    with torch.no_grad():
        xy, inverse = _inverse(flat.detach(), lens.detach(), limit2)
    if not (flat.requires_grad or lens.requires_grad):
        return xy
    # One more step, through the graph: its value is nothing, its derivative is the inverse's.
    residual = distort(xy, lens) - flat
    return xy - (inverse @ residual[..., None])[..., 0]


def tilt_matrix(k: Tensor) -> Tensor:
    """(C, 3, 3) homography of the tilted sensor, from the last two of fourteen coefficients (radians)."""
    return _tilt_parts(k)[0]


def _column(k: Tensor, i: int) -> Tensor:
    return k[:, i : i + 1]


def _numerator(r2: Tensor, k: Tensor) -> Tensor:
    high = _column(k, 1) + r2 * _column(k, 4) if k.shape[-1] >= 5 else _column(k, 1)
    return 1 + r2 * (_column(k, 0) + r2 * high)


def _denominator(r2: Tensor, k: Tensor) -> Tensor:
    return 1 + r2 * (_column(k, 5) + r2 * (_column(k, 6) + r2 * _column(k, 7)))


def _numerator_slope(r2: Tensor, k: Tensor) -> Tensor:
    high = 2 * _column(k, 1) + 3 * r2 * _column(k, 4) if k.shape[-1] >= 5 else 2 * _column(k, 1)
    return _column(k, 0) + r2 * high


def _denominator_slope(r2: Tensor, k: Tensor) -> Tensor:
    return _column(k, 5) + r2 * (2 * _column(k, 6) + 3 * r2 * _column(k, 7))


def _radial(r2: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """The radial factor and its slope by the squared radius, both shaped like ``r2``."""
    value, slope = _numerator(r2, k), _numerator_slope(r2, k)
    if k.shape[-1] < 8:
        return value, slope
    below = _denominator(r2, k)
    value = value / below
    return value, (slope - value * _denominator_slope(r2, k)) / below


def _d_point(xy: Tensor, k: Tensor) -> Tensor:
    x, y = xy.unbind(-1)
    r2 = x * x + y * y
    radial, slope = _radial(r2, k)
    p1, p2 = _column(k, 2), _column(k, 3)
    cross = 2 * (x * y * slope + p1 * x + p2 * y)
    xx = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    yy = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    xy_, yx = cross, cross
    if k.shape[-1] >= 12:
        along_x = 2 * (_column(k, 8) + 2 * r2 * _column(k, 9))
        along_y = 2 * (_column(k, 10) + 2 * r2 * _column(k, 11))
        xx, xy_ = xx + along_x * x, xy_ + along_x * y
        yx, yy = yx + along_y * x, yy + along_y * y
    return torch.stack((xx, xy_, yx, yy), -1).unflatten(-1, (2, 2))


def _d_coefficients(xy: Tensor, k: Tensor) -> Tensor:
    """(..., C, N, 2, D) without the two tilt angles, which stay zero here."""
    x, y = xy.unbind(-1)
    r2 = x * x + y * y
    d_k = xy.new_zeros(*xy.shape, k.shape[-1])
    above = xy / _denominator(r2, k)[..., None] if k.shape[-1] >= 8 else xy
    power = r2[..., None]
    for column in (0, 1, 4)[: 3 if k.shape[-1] >= 5 else 2]:
        d_k[..., column] = above * power
        power = power * r2[..., None]
    tangential = 2 * x * y
    d_k[..., 0, 2], d_k[..., 1, 2] = tangential, r2 + 2 * y * y
    d_k[..., 0, 3], d_k[..., 1, 3] = r2 + 2 * x * x, tangential
    if k.shape[-1] >= 8:
        below = -above * _radial(r2, k)[0][..., None]
        for column, power in zip((5, 6, 7), (r2, r2**2, r2**3), strict=True):
            d_k[..., column] = below * power[..., None]
    if k.shape[-1] >= 12:
        d_k[..., 0, 8], d_k[..., 0, 9] = r2, r2 * r2
        d_k[..., 1, 10], d_k[..., 1, 11] = r2, r2 * r2
    return d_k


def _radial_limit2(k: list[float]) -> float:
    """First squared radius where the radius stops growing or the denominator vanishes."""
    if not k:
        return math.inf
    if not all(map(math.isfinite, k)):
        return 0.0
    at = [*k, *([0.0] * (8 - len(k)))]
    above = [1.0, at[0], at[1], at[4]]
    below = [1.0, *at[5:8]]
    # r * n(u) / d(u) with u = r^2 rises where n d + 2 u (n' d - n d') > 0.
    rising = [0.0] * 7
    for i, n in enumerate(above):
        for j, d in enumerate(below):
            rising[i + j] += n * d * (1 + 2 * i - 2 * j)
    return min(first_positive_root(rising), first_positive_root(below))


def _scanned_limit2(k: Tensor, radial2: Tensor) -> Tensor:
    """First squared radius where the determinant of the whole distortion is not positive, any direction."""
    reach = radial2.sqrt().clamp(max=_SCAN_RADIUS)
    angle = torch.arange(_SCAN_ANGLES, dtype=k.dtype, device=k.device) * (2 * math.pi / _SCAN_ANGLES)
    way = torch.stack((angle.cos(), angle.sin()), -1)
    steps = torch.arange(1, _SCAN_STEPS + 1, dtype=k.dtype, device=k.device) / (_SCAN_STEPS + 1)
    radius = reach[:, None] * steps
    xy = (radius[:, :, None, None] * way).flatten(1, 2)
    (a, b), (c, d) = (row.unbind(-1) for row in _d_point(xy, k).unbind(-2))
    folded = (a * d - b * c <= 0).unflatten(1, (_SCAN_STEPS, _SCAN_ANGLES)).any(2)
    first = torch.where(folded, radius, torch.inf).amin(1)
    # One step back: the fold lies between the last good sample and the first bad one.
    return (first - reach / (_SCAN_STEPS + 1)).clamp(min=0) ** 2


def _inverse(target: Tensor, k: Tensor, limit2: Tensor) -> tuple[Tensor, Tensor]:
    """Undistorted points of ``target`` and the inverse derivative there, NaN where there are none."""
    radius = target.norm(dim=-1)
    usable = torch.isfinite(radius)
    aim = torch.where(usable[..., None], target, 0)
    # Plain Newton is enough for nearly every lens; the safe start is there for the others.
    xy, solved = _newton(aim, aim, k, limit2, steps=8)
    if not bool((solved | ~usable).all()):
        start = _radial_start(aim, k, limit2)
        xy, solved = _newton(torch.where(solved[..., None], xy, start), aim, k, limit2, steps=20)
    good = usable & solved
    return torch.where(good[..., None], xy, torch.nan), inverse_2x2(_d_point(xy, k))


def _newton(start: Tensor, aim: Tensor, k: Tensor, limit2: Tensor, *, steps: int) -> tuple[Tensor, Tensor]:
    """Newton steps in the plane; the points, and which of them solve the equation inside the disc."""
    xy = start
    for _ in range(steps):
        residual = distort(xy, k) - aim
        step = (inverse_2x2(_d_point(xy, k)) @ residual[..., None])[..., 0]
        xy = torch.nan_to_num(xy - step, nan=0.0, posinf=0.0, neginf=0.0)
        if bool((step.abs() <= _LAST_STEP).all()):
            break
    error = (distort(xy, k) - aim).abs().amax(-1)
    solved = error <= _CONVERGED * (1 + aim.abs().amax(-1))
    return xy, solved & (xy.square().sum(-1) <= limit2[:, None])


def _radial_start(aim: Tensor, k: Tensor, limit2: Tensor) -> Tensor:
    """Undistorted points as far as the radial terms go: on one axis a bracket makes the solution certain."""
    radius = aim.norm(dim=-1)
    edge = limit2.sqrt().clamp(max=1e3)[:, None]

    def curve(r: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = _radial(r * r, k)
        return r * value, value + 2 * r * r * slope

    start = solve_increasing(curve, radius, edge)
    # Just past the edge the tangential terms may still reach, so those points start on it.
    start = torch.where(start.isnan(), torch.minimum(radius, edge), start)
    return aim * torch.where(radius > 0, start / radius.clamp(min=1e-300), 1)[..., None]


def _tilt(xy: Tensor, matrix: Tensor) -> Tensor:
    moved = xy @ matrix[:, :, :2].mT + matrix[:, None, :, 2]
    return moved[..., :2] / moved[..., 2:]


def _untilt(xy: Tensor, matrix: Tensor) -> Tensor:
    return _tilt(xy, torch.linalg.inv(matrix))


def _tilt_parts(k: Tensor) -> tuple[Tensor, Tensor]:
    """The homography (C, 3, 3) and its derivatives by both angles (C, 2, 3, 3)."""
    cx, sx = k[:, 12].cos(), k[:, 12].sin()
    cy, sy = k[:, 13].cos(), k[:, 13].sin()
    zero, one = torch.zeros_like(cx), torch.ones_like(cx)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, -1).unflatten(-1, (3, 3))

    about_x = matrix(one, zero, zero, zero, cx, sx, zero, -sx, cx)
    about_y = matrix(cy, zero, -sy, zero, one, zero, sy, zero, cy)
    d_about_x = matrix(zero, zero, zero, zero, -sx, cx, zero, -cx, -sx)
    d_about_y = matrix(-sy, zero, -cy, zero, zero, zero, cy, zero, -sy)

    def onto_sensor(r: Tensor, last: Tensor) -> Tensor:
        return matrix(r[:, 2, 2], zero, -r[:, 0, 2], zero, r[:, 2, 2], -r[:, 1, 2], zero, zero, last)

    turn = about_y @ about_x
    project = onto_sensor(turn, one)
    slopes = [
        onto_sensor(d_turn, zero) @ turn + project @ d_turn
        for d_turn in (about_y @ d_about_x, d_about_y @ about_x)
    ]
    return project @ turn, torch.stack(slopes, 1)


def _tilt_jacobian(bent: Tensor, d_xy: Tensor, d_k: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    matrix, d_matrix = _tilt_parts(k)
    depth = (bent @ matrix[:, 2, :2, None]) + matrix[:, None, 2:, 2]
    tilted = _tilt(bent, matrix)
    slope = (matrix[:, None, :2, :2] - tilted[..., None] * matrix[:, None, 2:, :2]) / depth[..., None]
    d_xy, d_k = slope @ d_xy, slope @ d_k
    point = torch.cat((bent, torch.ones_like(depth)), -1)
    moved = torch.einsum("caij,...cnj->...cnai", d_matrix, point)
    d_angle = (moved[..., :2] - tilted[..., None, :] * moved[..., 2:]) / depth[..., None]
    return tilted, d_xy, torch.cat((d_k[..., :12], d_angle.mT), -1)
