"""Forward kinematics and rotation vectors, batched and differentiable.

The rotation functions are written with their own series because common libraries go wrong at exactly zero,
where every fit starts: there the first derivative is right but the second is not (NaN or off by a quarter).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import roma
import torch
from torch import Tensor

_SERIES_BELOW = 1e-2
"""Squared angle (rad²) below which series are used: five terms leave 1e-17, the closed forms 1e-14."""


def rotation_from_rotvec(rotvec: Tensor) -> Tensor:
    """Rotation matrices of rotation vectors (Rodrigues' formula).

    Args:
        rotvec: (..., 3) radians.

    Returns:
        (..., 3, 3); smooth everywhere, all derivatives at zero included.
    """
    squared = (rotvec * rotvec).sum(-1)[..., None, None]
    cross = cross_matrix(rotvec)
    identity = torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
    return identity + _sinc(squared) * cross + _versinc(squared) * (cross @ cross)


def rotvec_from_rotation(rotation: Tensor) -> Tensor:
    """Rotation vectors, of length at most pi, of rotation matrices.

    Args:
        rotation: (..., 3, 3).

    Returns:
        (..., 3) radians.
    """
    return roma.rotmat_to_rotvec(rotation)


def left_jacobian(rotvec: Tensor) -> Tensor:
    """How a rotation turns, in the frame it maps to, per change of its rotation vector.

    ``exp(r + d) = exp(left_jacobian(r) d) exp(r)`` to first order in ``d``.

    Args:
        rotvec: (..., 3) radians.

    Returns:
        (..., 3, 3).
    """
    squared = (rotvec * rotvec).sum(-1)[..., None, None]
    cross = cross_matrix(rotvec)
    identity = torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
    return identity + _versinc(squared) * cross + _third(squared) * (cross @ cross)


def cross_matrix(vector: Tensor) -> Tensor:
    """(..., 3, 3) matrices that take the cross product with (..., 3) vectors from the left."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.stack(rows, -1).reshape(*vector.shape[:-1], 3, 3)


def world_from_joint(
    local_rotation: Tensor, offsets: Tensor, parents: Sequence[int], root_translation: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Where a posed skeleton's joints are and how they are turned.

    Args:
        local_rotation: (..., J, 3, 3) rotation of each joint in its parent's frame.
        offsets: (..., J, 3) metres, each joint from its parent at rest; a root's rest place.
        parents: J indices, parents before children, -1 for a root.
        root_translation: (..., 3) metres, added to all joints; none if left out.

    Returns:
        rotation: (..., J, 3, 3) world from joint.
        xyz_world: (..., J, 3) metres.
    """
    rotations: list[Tensor] = []
    positions: list[Tensor] = []
    for joint, parent in enumerate(parents):
        local = local_rotation[..., joint, :, :]
        offset = offsets[..., joint, :]
        if parent < 0:
            place = offset if root_translation is None else offset + root_translation
            rotations.append(local)
            positions.append(place)
        else:
            rotations.append(rotations[parent] @ local)
            positions.append(positions[parent] + (rotations[parent] @ offset[..., None])[..., 0])
    batch = torch.broadcast_shapes(positions[-1].shape[:-1], *(p.shape[:-1] for p in positions[:1]))
    rotation = torch.stack([matrix.expand(*batch, 3, 3) for matrix in rotations], -3)
    return rotation, torch.stack([place.expand(*batch, 3) for place in positions], -2)


def _sinc(squared: Tensor) -> Tensor:
    """sin(a) / a as a smooth function of a²."""
    return _smooth(squared, (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880), lambda a: torch.sin(a) / a)


def _versinc(squared: Tensor) -> Tensor:
    """(1 - cos(a)) / a² as a smooth function of a²."""
    terms = (1 / 2, -1 / 24, 1 / 720, -1 / 40320, 1 / 3628800)
    return _smooth(squared, terms, lambda a: 2 * (torch.sin(a / 2) / a) ** 2)


def _third(squared: Tensor) -> Tensor:
    """(a - sin(a)) / a³ as a smooth function of a²."""
    terms = (1 / 6, -1 / 120, 1 / 5040, -1 / 362880, 1 / 39916800)
    return _smooth(squared, terms, lambda a: (a - torch.sin(a)) / a**3)


def _smooth(squared: Tensor, terms: Sequence[float], closed: Callable[[Tensor], Tensor]) -> Tensor:
    """A power series in a² near zero, the closed form elsewhere; each branch sees safe inputs only."""
    small = squared < _SERIES_BELOW
    near = torch.where(small, squared, torch.zeros_like(squared))
    series = torch.full_like(squared, terms[-1])
    for term in reversed(terms[:-1]):
        series = series * near + term
    far = torch.where(small, torch.ones_like(squared), squared)
    return torch.where(small, series, closed(torch.sqrt(far)))
