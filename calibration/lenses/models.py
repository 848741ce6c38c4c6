"""Which coefficients a lens may have, and lenses that fold their image back."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from calibration.cameras import CAMERA_MODELS, Cameras

FIRST = 4
"""Column of the first distortion coefficient, after fx, fy, cx, cy."""


class LensKind(NamedTuple):
    """A way to describe a lens."""

    model: str
    """``pinhole`` or ``fisheye``."""
    free: tuple[int, ...]
    """Distortion coefficients, by number, that may differ from 0."""

    @property
    def width(self) -> int:
        """Coefficients that a batch needs for it."""
        return 8 if max(self.free) > FIRST else 5


PLAIN = LensKind("pinhole", (0, 1))
"""k1 and k2."""
SHIFTED = LensKind("pinhole", (0, 1, 2, 3))
"""With p1 and p2 as well."""
USUAL = LensKind("pinhole", (0, 1, 2, 3, 4))
"""With k3 as well."""
RATIONAL = LensKind("pinhole", (0, 1, 2, 3, 4, 5, 6, 7))
"""A quotient of polynomials, for wide lenses."""
FISHEYE = LensKind("fisheye", (0, 1, 2, 3))
"""Kannala and Brandt's polynomial of the angle."""
KINDS = (PLAIN, SHIFTED, USUAL, RATIONAL, FISHEYE)
"""All of them, simple ones first."""

_MIDDLE = 0.7
"""Part of the way to the image's corner within which boards are seen."""
_GIVEN_UP = {
    "pinhole": ((5, 6, 7), (4,), (1,), (0,)),
    "fisheye": ((3,), (2,), (1,), (0,)),
}
"""Coefficients in the order in which a lens that folds its image gives them up."""


def as_kind(cameras: Cameras, kind: LensKind, rows: Tensor | None = None) -> tuple[Cameras, Tensor]:
    """The cameras described another way, without distortion to begin with, and what may change.

    Args:
        cameras: the cameras.
        kind: how to describe them.
        rows: (C,) bool, the cameras that it is for; None for all.

    Returns:
        The cameras and (C, 4 + D) bool.
    """
    count = len(cameras)
    rows = torch.ones(count, dtype=torch.bool) if rows is None else rows
    width = max(kind.width, cameras.distortion.shape[-1])
    k = torch.nn.functional.pad(cameras.distortion, (0, width - cameras.distortion.shape[-1]))
    model = tuple(kind.model if row else old for row, old in zip(rows.tolist(), cameras.model, strict=True))
    free = torch.zeros(count, FIRST + width, dtype=torch.bool)
    free[:, :FIRST] = True
    for column in kind.free:
        free[:, FIRST + column] = True
    return replace(cameras, distortion=torch.where(rows[:, None], 0.0, k), model=model), free


def open_terms(cameras: Cameras, free_lens: Tensor) -> Tensor:
    """(C, 4 + D) bool, the lens parameters that footage was asked for and those that it could not tell.

    A term that was set to 0 because footage could not tell it is as unknown as before: what is known of the
    others has to allow for it. Lenses of which nothing is free are known.
    """
    width = free_lens.shape[1] - FIRST
    usual = torch.zeros_like(free_lens)
    for row, model in enumerate(cameras.model):
        kind = FISHEYE if model == "fisheye" else USUAL
        usual[row, [FIRST + column for column in kind.free if column < width]] = True
    return free_lens | (usual & free_lens.any(1, keepdim=True))


def folds(cameras: Cameras) -> Tensor:
    """(C,) bool, whether a camera's distortion folds back somewhere in its image.

    A fisheye may end inside its image, where its circle of 180 degrees does.
    """
    steps = torch.linspace(0.0, 1.0, 33, dtype=torch.float64)
    edge, low, high = steps, torch.zeros_like(steps), torch.ones_like(steps)
    border = torch.cat(
        [torch.stack(pair, -1) for pair in ((edge, low), (edge, high), (low, edge), (high, edge))]
    )
    xy_px = border * cameras.size_px[:, None] - 0.5
    missing = torch.isnan(cameras.undistort(xy_px)).any(-1).any(-1)
    fisheye = torch.tensor([model == "fisheye" for model in cameras.model])
    return missing & ~(fisheye & torch.isinf(cameras.max_radius2))


def give_up_folding(cameras: Cameras, free_lens: Tensor) -> tuple[Cameras, Tensor] | None:
    """Cameras and free parameters with one term less where the image folds; None where all is well.

    A polynomial that fits where the board was may turn back outside. The terms that are left are fitted to
    the curve that all of them made, in the part of the image where boards are.
    """
    free, k, changed = free_lens.clone(), cameras.distortion.clone(), False
    for row in torch.nonzero(folds(cameras))[:, 0].tolist():
        for group in _GIVEN_UP[cameras.model[row]]:
            columns = [FIRST + i for i in group if FIRST + i < free.shape[1]]
            if free[row, columns].any():
                free[row, columns] = False
                k[row] = _refitted(cameras[row : row + 1], free[row, FIRST:])
                changed = True
                break
    return (replace(cameras, distortion=k), free) if changed else None


def _refitted(camera: Cameras, free: Tensor) -> Tensor:
    """(D,) coefficients, radial terms that are not free 0, that make about the same curve."""
    fisheye = camera.model[0] == "fisheye"
    powers = {0: 3, 1: 5, 2: 7, 3: 9} if fisheye else {0: 3, 1: 5, 4: 7}
    reach = float(camera.max_radius2[0]) ** 0.5 if torch.isfinite(camera.max_radius2[0]) else torch.inf
    edge = float((0.5 * camera.size_px / camera.focal_px).norm())
    radius = torch.linspace(0.0, _MIDDLE * min(edge, reach), 50, dtype=torch.float64)
    bent = _curve(camera, radius)
    straight = radius.atan() if fisheye else radius
    k = camera.distortion[0].clone()
    k[list(powers)] = 0.0
    if not fisheye:
        k[5:] = 0.0
    left = [column for column in powers if bool(free[column])]
    if left:
        rows = torch.stack([straight ** powers[column] for column in left], -1)
        k[left] = torch.linalg.solve(rows.mT @ rows, rows.mT @ (bent - straight))
    return k


def _curve(camera: Cameras, radius: Tensor) -> Tensor:
    """Distorted radius along the x axis of the normalised plane, tangential terms left out."""
    k = camera.distortion.clone()
    if camera.model[0] == "pinhole":
        k[:, 2:4] = 0.0
    lens = CAMERA_MODELS[camera.model[0]]
    return lens.distort(torch.stack([radius, torch.zeros_like(radius)], -1)[None], k)[0, :, 0]
