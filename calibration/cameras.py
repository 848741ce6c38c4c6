"""Calibrated cameras: pinhole with up to fourteen distortion coefficients, or fisheye.

Conventions: OpenCV camera axes (x right, y down, z forward), integer pixel = pixel centre, poses stored as
``cam_from_world``, metres. All methods accept leading batch axes and are differentiable.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from calibration.errors import CalibrationError
from calibration.lenses import fisheye, pinhole


class LensModel(NamedTuple):
    """The functions that make a distortion model; see ``pinhole`` for their arguments."""

    distort: Callable[[Tensor, Tensor], Tensor]
    """(..., C, N, 2) normalised points, (C, D) coefficients -> distorted points."""
    distort_jacobian: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
    """The same, with derivatives by point and coefficients."""
    undistort: Callable[[Tensor, Tensor, Tensor], Tensor]
    """Inverse inside the squared radius of the third argument, NaN elsewhere."""
    max_radius2: Callable[[Tensor], Tensor]
    """(C, D) coefficients -> (C,) squared normalised radius inside which the model is one to one."""


CAMERA_MODELS: dict[str, LensModel] = {
    "pinhole": LensModel(pinhole.distort, pinhole.distort_jacobian, pinhole.undistort, pinhole.max_radius2),
    "fisheye": LensModel(fisheye.distort, fisheye.distort_jacobian, fisheye.undistort, fisheye.max_radius2),
}
"""Distortion models by name."""


_SAME_LENS = 1e-3
"""Change of coefficients over which the radius of ``max_radius2`` is kept: steps of a solve near its end. It
moves by as little, and says which points can be seen at all, not where."""


class Ray(NamedTuple):
    """Viewing rays."""

    origin_world: Tensor
    """(..., C, N, 3) camera centres, metres, world frame."""
    direction_world: Tensor
    """(..., C, N, 3) unit directions, world frame; NaN where the pixel has no ray."""


@dataclass(frozen=True, eq=False)
class ProjectionJacobian:
    """Projected points and how they move. Derivatives are zero where a point is not ``valid``."""

    xy_px: Tensor
    """(..., C, N, 2) distorted pixels, NaN where not ``valid``."""
    valid: Tensor
    """(..., C, N) whether the camera can see the point, as in ``Cameras.project``."""
    d_point: Tensor
    """(..., C, N, 2, 3) by the world point, pixels per metre."""
    d_pose: Tensor
    """(..., C, N, 2, 6) by ``cam_from_world <- exp([rho, phi]) cam_from_world``, metres and radians."""
    d_intrinsics: Tensor
    """(..., C, N, 2, 4 + D) by fx, fy, cx, cy and the distortion coefficients."""


@dataclass(frozen=True, eq=False)
class Cameras:
    """C cameras that see the same world, as one batch."""

    names: tuple[str, ...]
    """Unique camera names, in batch order."""
    size_px: Tensor
    """(C, 2) image width and height in pixels; NaN where unknown."""
    focal_px: Tensor
    """(C, 2) focal lengths in pixels."""
    center_px: Tensor
    """(C, 2) principal point in pixels, integer pixel = pixel centre."""
    distortion: Tensor
    """(C, D) zero-padded coefficients in OpenCV order, D in 0, 4, 5, 8, 12, 14; a fisheye uses four."""
    cam_from_world: Tensor
    """(C, 4, 4) poses; ``xyz_cam = cam_from_world @ xyz_world``, metres. NaN where the pose is unknown."""
    model: tuple[str, ...] | str = "pinhole"
    """Distortion model of each camera, ``pinhole`` or ``fisheye``; one word means all of them."""

    def __post_init__(self) -> None:
        names = tuple(self.names)
        models = (self.model,) * len(names) if isinstance(self.model, str) else tuple(self.model)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "model", models)
        if len(set(names)) != len(names):
            raise CalibrationError(f"camera names must differ from each other; got {', '.join(names)}")
        if unknown := sorted(set(models) - set(CAMERA_MODELS)):
            raise ValueError(f"unknown camera model {unknown}; there are {sorted(CAMERA_MODELS)}")
        c, d = len(names), self.distortion.shape[-1]
        expected = {"size_px": (c, 2), "focal_px": (c, 2), "center_px": (c, 2)}
        expected |= {"distortion": (c, d), "cam_from_world": (c, 4, 4)}
        for field, shape in expected.items():
            if tuple(getattr(self, field).shape) != shape:
                raise ValueError(f"{field} is {tuple(getattr(self, field).shape)}, expected {shape}")
        if len(models) != c:
            raise ValueError(f"{len(models)} models for {c} cameras")
        if d not in pinhole.COEFFICIENTS or (d < 4 and "fisheye" in models):
            raise ValueError(f"{d} distortion coefficients; a camera has one of {pinhole.COEFFICIENTS}")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, which: str | slice | Sequence[str]) -> "Cameras":
        """The cameras of these names, or of a slice of the batch; one name gives a batch of one."""
        if isinstance(which, slice):
            rows = list(range(len(self)))[which]
        else:
            wanted = [which] if isinstance(which, str) else list(which)
            if missing := [name for name in wanted if name not in self.names]:
                raise CalibrationError(
                    f"no camera {', '.join(missing)} in the calibration; it has {', '.join(self.names)}"
                )
            rows = [self.names.index(name) for name in wanted]
        some = Cameras(
            names=tuple(self.names[i] for i in rows),
            size_px=self.size_px[rows],
            focal_px=self.focal_px[rows],
            center_px=self.center_px[rows],
            distortion=self.distortion[rows],
            cam_from_world=self.cam_from_world[rows],
            model=tuple(self.model[i] for i in rows),
        )
        if "max_radius2" in self.__dict__:
            some.__dict__["max_radius2"] = self.max_radius2[rows]
        return some

    @cached_property
    def posed(self) -> Tensor:
        """(C,) bool, whether the camera's place in the world is known."""
        return torch.isfinite(self.cam_from_world).flatten(1).all(1)

    @property
    def centers_world(self) -> Tensor:
        """(C, 3) optical centres, metres, world frame; NaN where the pose is unknown."""
        rotation, translation = self.cam_from_world[:, :3, :3], self.cam_from_world[:, :3, 3]
        return -(rotation.mT @ translation[..., None])[..., 0]

    @property
    def camera_matrices(self) -> Tensor:
        """(C, 3, 3) intrinsic matrices ``[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]``, pixels."""
        matrix = torch.diag_embed(torch.cat((self.focal_px, torch.ones_like(self.focal_px[:, :1])), -1))
        column = torch.cat((self.center_px, torch.zeros_like(self.center_px[:, :1])), -1)
        return matrix + torch.nn.functional.pad(column[..., None], (2, 0))

    @cached_property
    def max_radius2(self) -> Tensor:
        """(C,) squared radius on the normalised plane inside which each lens is one to one."""
        limit = torch.empty_like(self.focal_px[:, 0]).detach()
        for lens, rows in self._groups:
            limit[rows] = lens.max_radius2(self.distortion[rows]).to(limit)
        return limit

    def with_poses(self, cam_from_world: Tensor) -> "Cameras":
        """The same cameras standing elsewhere: (C, 4, 4), metres."""
        moved = replace(self, cam_from_world=cam_from_world)
        self._hand_down(moved)
        return moved

    def with_lenses(self, focal_px: Tensor, center_px: Tensor, distortion: Tensor) -> "Cameras":
        """The same cameras with other lenses: (C, 2) and (C, 2) pixels, (C, D) coefficients."""
        changed = replace(self, focal_px=focal_px, center_px=center_px, distortion=distortion)
        if distortion.shape[-1] and float((distortion - self.distortion).abs().amax()) < _SAME_LENS:
            self._hand_down(changed)
        return changed

    def _hand_down(self, other: "Cameras") -> None:
        """Spare other cameras with the same lenses what costs as much as projecting a thousand points."""
        if "max_radius2" in self.__dict__:
            other.__dict__["max_radius2"] = self.max_radius2

    def renamed(self, names: Sequence[str]) -> "Cameras":
        """The same cameras under other names, one for each, in batch order."""
        return replace(self, names=tuple(names))

    def project(self, xyz_world: Tensor) -> tuple[Tensor, Tensor]:
        """Project world points into every camera.

        Args:
            xyz_world: (..., N, 3) metres, world frame.

        Returns:
            xy_px: (..., C, N, 2) distorted pixels, NaN where not ``valid``.
            valid: (..., C, N) in front of the camera and inside the model's monotonic radius
                (not: inside the image).
        """
        return self.project_each(xyz_world[..., None, :, :])

    def project_each(self, xyz_world: Tensor) -> tuple[Tensor, Tensor]:
        """Project into each camera its own points.

        Args:
            xyz_world: (..., C, N, 3) metres, world frame.

        Returns:
            As ``project``.
        """
        xy, valid, _ = self._normalise(self._to_camera(xyz_world))
        bent = self._by_model(lambda lens, xy, k: (lens.distort(xy, k),), xy)[0]
        return torch.where(valid[..., None], self._to_pixels(bent), torch.nan), valid

    def undistort(self, xy_px: Tensor) -> Tensor:
        """Points of the normalised image plane (x/z, y/z) behind distorted pixels.

        Args:
            xy_px: (..., C, N, 2) pixels, NaN where missing.

        Returns:
            (..., C, N, 2) to 1e-12, NaN where the lens model cannot have produced the pixel from a point
            inside its monotonic radius.
        """
        xy = (xy_px - self.center_px[:, None]) / self.focal_px[:, None]
        parts = [
            lens.undistort(xy[..., rows, :, :], self.distortion[rows], self.max_radius2[rows])
            for lens, rows in self._groups
        ]
        return self._merge(parts)

    def rays(self, xy_px: Tensor) -> Ray:
        """Viewing rays of distorted pixels, in the world frame (unit directions).

        Args:
            xy_px: (..., C, N, 2) pixels, NaN where missing.
        """
        xy = self.undistort(xy_px)
        direction = torch.nn.functional.pad(xy, (0, 1), value=1.0)
        direction = direction / direction.norm(dim=-1, keepdim=True)
        direction = direction @ self.cam_from_world[:, :3, :3]  # a row times R is R^T times the column
        return Ray(self.centers_world[:, None].expand_as(direction), direction)

    def jacobian(self, xyz_world: Tensor) -> ProjectionJacobian:
        """Project world points into every camera, with derivatives in closed form.

        Args:
            xyz_world: (..., N, 3) metres, world frame.
        """
        return self.jacobian_each(xyz_world[..., None, :, :])

    def by_point(self, xyz_world: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``xy_px``, ``valid`` and ``d_point`` of ``jacobian``, for less than half of its time.

        Args:
            xyz_world: (..., N, 3) metres, world frame.
        """
        bent, valid, _, xy, _, across, _ = self._slopes(xyz_world[..., None, :, :])
        in_camera = torch.cat((across, -(across @ xy[..., None])), -1)
        d_point = in_camera.flatten(-3, -2) @ self._safe_poses[:, :3, :3]
        xy_px = torch.where(valid[..., None], self._to_pixels(bent), torch.nan)
        return xy_px, valid, d_point.unflatten(-2, (-1, 2))

    def jacobian_each(self, xyz_world: Tensor) -> ProjectionJacobian:
        """Project into each camera its own points, with derivatives in closed form.

        Args:
            xyz_world: (..., C, N, 3) metres, world frame.
        """
        bent, valid, xyz_cam, xy, focal, across, d_k = self._slopes(xyz_world)
        x, y, z = (part[..., None] for part in xyz_cam.unbind(-1))
        # d bent / d xyz_cam = d_xy [[1, 0, -x], [0, 1, -y]] / z
        d_pose = across.new_empty(*across.shape[:-1], 6)
        d_pose[..., :2] = across
        du, dv, dw = across[..., 0], across[..., 1], -(across @ xy[..., None])[..., 0]
        d_pose[..., 2] = dw
        d_pose[..., 3] = y * dw - z * dv
        d_pose[..., 4] = z * du - x * dw
        d_pose[..., 5] = x * dv - y * du
        d_intrinsics = d_k.new_zeros(*d_k.shape[:-1], 4 + d_k.shape[-1])
        for row in (0, 1):
            d_intrinsics[..., row, row] = torch.where(valid, bent[..., row], 0)
            d_intrinsics[..., row, 2 + row] = valid.to(d_k.dtype)
        d_intrinsics[..., 4:] = focal * d_k
        return ProjectionJacobian(
            xy_px=torch.where(valid[..., None], self._to_pixels(bent), torch.nan),
            valid=valid,
            d_point=d_pose[..., :3] @ self._safe_poses[:, None, :3, :3],
            d_pose=d_pose,
            d_intrinsics=d_intrinsics,
        )

    def _slopes(self, xyz_world: Tensor) -> tuple[Tensor, ...]:
        """What both kinds of derivatives need.

        Bent points, which of them exist, camera points, image-plane points, focal lengths, the derivative of
        the pixel by the image-plane point over the depth, and that of the bent point by the coefficients.
        """
        xy, valid, xyz_cam = self._normalise(self._to_camera(xyz_world))
        bent, d_xy, d_k = self._by_model(lambda lens, xy, k: lens.distort_jacobian(xy, k), xy)
        # A zero focal length where nothing is seen makes every derivative zero.
        focal = torch.where(valid[..., None], self.focal_px[:, None], 0)[..., None]
        return bent, valid, xyz_cam, xy, focal, d_xy * (focal / xyz_cam[..., None, 2:]), d_k

    @cached_property
    def _groups(self) -> list[tuple[LensModel, list[int]]]:
        """Each model that occurs, with the cameras that have it."""
        found = {
            m: [i for i, model in enumerate(self.model) if model == m] for m in dict.fromkeys(self.model)
        }
        return [(CAMERA_MODELS[model], rows) for model, rows in found.items()]

    @cached_property
    def _safe_poses(self) -> Tensor:
        """Poses with the identity for unknown ones, so that gradients of the others stay finite."""
        identity = torch.eye(4, dtype=self.cam_from_world.dtype, device=self.cam_from_world.device)
        return torch.where(self.posed[:, None, None], self.cam_from_world, identity)

    def _to_camera(self, xyz_world: Tensor) -> Tensor:
        pose = self._safe_poses
        return xyz_world @ pose[:, :3, :3].mT + pose[:, None, :3, 3]

    def _to_pixels(self, bent: Tensor) -> Tensor:
        return bent * self.focal_px[:, None] + self.center_px[:, None]

    def _normalise(self, xyz_cam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image-plane points, which of them exist, and camera points: harmless where they do not exist."""
        ahead = torch.isfinite(xyz_cam).all(-1) & (xyz_cam[..., 2] > 0) & self.posed[:, None]
        safe = torch.where(ahead[..., None], xyz_cam, torch.ones_like(xyz_cam))
        xy = safe[..., :2] / safe[..., 2:]
        valid = ahead & (xy.square().sum(-1) < self.max_radius2[:, None])
        return torch.where(valid[..., None], xy, 0), valid, safe

    def _by_model(
        self, function: Callable[[LensModel, Tensor, Tensor], tuple[Tensor, ...]], xy: Tensor
    ) -> list[Tensor]:
        """Apply each camera's own lens model; the results in batch order."""
        if len(self._groups) == 1:
            return list(function(self._groups[0][0], xy, self.distortion))
        parts = [function(lens, xy[..., rows, :, :], self.distortion[rows]) for lens, rows in self._groups]
        depth = [t.ndim - xy.ndim for t in parts[0]]
        return [self._merge([p[i] for p in parts], extra) for i, extra in enumerate(depth)]

    def _merge(self, parts: Sequence[Tensor], extra: int = 0) -> Tensor:
        """The groups' results in batch order; the camera axis is third from last, plus ``extra`` axes."""
        if len(parts) == 1:
            return parts[0]
        order = torch.tensor([i for _, rows in self._groups for i in rows]).argsort()
        return torch.cat(list(parts), -3 - extra).index_select(-3 - extra, order.to(parts[0].device))
