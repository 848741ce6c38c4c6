"""Where a known rigid object stands, from its points in the images of one or many cameras.

Each camera gives starting poses; a plane looks nearly the same in two of them (see ``pnp``), and both are
kept until the other cameras decide. Then all cameras together move the pose,

    x* = argmin  sum_cn rho(|project_c(T(x) X_n) - u_cn| / sigma_cn),

by Gauss-Newton steps on the pose, with a Student-t loss that forgets wrong points.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.boards.board import Board
from calibration.cameras import Cameras
from calibration.errors import CalibrationError

_FREEDOM = 4.0
"""Degrees of freedom of the Student-t that errors follow: an error of five sigmas counts a seventh."""
_MIN_POINTS = 4
"""Points of one camera that give a starting pose."""
_FLAT = 1e-3
"""An object thinner than this part of its extent is flat."""
_STEPS = 30
"""Most Gauss-Newton steps."""
_ENOUGH = 1e-7
"""Part of the cost below which a step is not worth another."""
_MIN_DIFFERENT = 3
"""Different points, over all cameras, that fix a pose."""
_MOST_STARTS = 3
"""Starting poses that are followed, the best of those that differ."""
_OUTLIER = 5.0
"""An error of more sigmas is a mistake."""
_SINGULAR = 1e14
"""Condition beyond which nothing fixes the pose."""
_AMBIGUOUS = 9.0
"""Twice the log-likelihood by which the second best pose must be worse, that is three sigmas."""


@dataclass(frozen=True)
class Prop:
    """A rigid object with points that can be told apart."""

    names: tuple[str, ...]
    """Unique names of the points."""
    xyz_prop: Tensor
    """(N, 3) float64 metres, the object's own frame."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        if self.xyz_prop.shape != (len(self.names), 3):
            raise ValueError(f"xyz_prop is {tuple(self.xyz_prop.shape)}, expected {(len(self.names), 3)}")
        if len(set(self.names)) != len(self.names):
            raise CalibrationError("the points of a prop need different names")
        if len(self.names) < _MIN_POINTS or int(torch.linalg.matrix_rank(self._centred, rtol=1e-6)) < 2:
            raise CalibrationError(
                f"a prop needs {_MIN_POINTS} points that are not on one line; add a point or a marker"
            )

    @property
    def _centred(self) -> Tensor:
        return self.xyz_prop - self.xyz_prop.mean(0)

    @property
    def is_flat(self) -> bool:
        """Whether all points lie in one plane: one camera may take the object for its mirror image."""
        thickness, *_, extent = torch.linalg.svdvals(self._centred).flip(0).tolist()
        return thickness < _FLAT * extent

    @classmethod
    def from_board(cls, board: Board) -> Prop:
        """A board as an object; a point for each corner, named by its id."""
        return cls(tuple(str(i) for i in range(len(board.corners_xyz))), board.corners_xyz)

    @classmethod
    def from_tags(cls, tags: Iterable[tuple[int, float, Tensor]]) -> Prop:
        """An object with square markers on it.

        Args:
            tags: for each marker its number, its side in metres (black border included), and the (4, 4) pose
                ``prop_from_tag`` of its board frame: origin at the top left corner as printed, x to the
                right, y down.

        Returns:
            Points named ``<number>/0`` to ``<number>/3``, clockwise from the top left corner.
        """
        unit = torch.tensor([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=torch.float64)
        names: list[str] = []
        points: list[Tensor] = []
        for number, side_m, prop_from_tag in tags:
            names += [f"{number}/{corner}" for corner in range(4)]
            points.append(side_m * unit @ prop_from_tag[:3, :3].double().mT + prop_from_tag[:3, 3].double())
        return cls(tuple(names), torch.cat(points) if points else torch.empty(0, 3, dtype=torch.float64))


@dataclass(frozen=True)
class PropPoses:
    """Poses of an object over time; NaN where it was not seen well enough."""

    world_from_prop: Tensor
    """(T, 4, 4) metres."""
    covariance: Tensor
    """(T, 6, 6) of a rotation vector (radians) and a shift (metres), both in the object's axes:
    ``world_from_prop @ [exp(rotation), shift]``. Scaled by the errors where these exceed their sigmas."""
    rms_px: Tensor
    """(T,) weighted root mean square error of the points that count, pixels."""
    num_points: Tensor
    """(T,) int64 observed points, over all cameras."""
    num_outliers: Tensor
    """(T,) int64 of these, points that lie further than five sigmas off."""
    ambiguous: Tensor
    """(T,) bool, whether a second pose explains the points nearly as well (a flat object in one camera)."""


def locate_prop(prop: Prop, cameras: Cameras, xy_px: Tensor, sigma_px: Tensor | float = 0.5) -> PropPoses:
    """Find an object's pose in every frame.

    Args:
        prop: the object, N points.
        cameras: C posed cameras. For poses relative to a single camera give it the identity as its pose.
        xy_px: (T, C, N, 2) pixels, NaN where a point is not seen.
        sigma_px: standard deviation of a coordinate, pixels; broadcast to (T, C, N).

    Returns:
        A pose for each of the T frames. Frames are solved one by one, in the order of their time the pose
        before serves as one more start.

    Raises:
        CalibrationError: a camera's pose is not known.
    """
    if not bool(cameras.posed.all()):
        unknown = [
            name for name, posed in zip(cameras.names, cameras.posed.tolist(), strict=True) if not posed
        ]
        raise CalibrationError(
            f"camera {', '.join(unknown)}: its pose is unknown; calibrate the cameras first"
        )
    expected = (len(cameras), len(prop.names), 2)
    if xy_px.ndim != 4 or tuple(xy_px.shape[1:]) != expected:
        raise ValueError(f"xy_px is {tuple(xy_px.shape)}, expected (T, {', '.join(map(str, expected))})")
    xy_px = xy_px.double()
    sigma = torch.as_tensor(sigma_px, dtype=torch.float64).expand(xy_px.shape[:-1])
    rays = cameras.undistort(xy_px)
    found: list[_Pose] = []
    before: Tensor | None = None
    for frame in range(len(xy_px)):
        starts = _starts(prop, cameras, rays[frame], sigma[frame])
        if before is not None:
            starts.append(before)
        pose = _best_pose(prop, cameras, xy_px[frame], sigma[frame], starts)
        before = pose.world_from_prop if bool(pose.world_from_prop.isfinite().all()) else None
        found.append(pose)
    return PropPoses(
        world_from_prop=_stack([pose.world_from_prop for pose in found], (4, 4)),
        covariance=_stack([pose.covariance for pose in found], (6, 6)),
        rms_px=torch.tensor([pose.rms_px for pose in found], dtype=torch.float64),
        num_points=torch.tensor([pose.num_points for pose in found], dtype=torch.int64),
        num_outliers=torch.tensor([pose.num_outliers for pose in found], dtype=torch.int64),
        ambiguous=torch.tensor([pose.ambiguous for pose in found], dtype=torch.bool),
    )


class _State(NamedTuple):
    """The points of one frame as a pose has them."""

    hessian: Tensor
    """(6, 6)"""
    gradient: Tensor
    """(6,)"""
    cost: float
    """Twice the negative log-likelihood."""
    squared: Tensor
    """(M,) squared errors of the seen points, in sigmas."""
    sigma_px: Tensor
    """(M,) their standard deviations."""
    rows: Tensor
    """(M, 2, 6) derivatives of their errors in sigmas."""


@dataclass(frozen=True)
class _Pose:
    """One frame's result."""

    world_from_prop: Tensor
    covariance: Tensor
    rms_px: float
    num_points: int
    num_outliers: int
    ambiguous: bool
    cost: float


def _stack(each: list[Tensor], shape: tuple[int, int]) -> Tensor:
    return torch.stack(each) if each else torch.empty(0, *shape, dtype=torch.float64)


def _starts(prop: Prop, cameras: Cameras, rays: Tensor, sigma_px: Tensor) -> list[Tensor]:
    """World poses from each camera alone, both where the object is flat."""
    starts: list[Tensor] = []
    for camera, world_from_cam in enumerate(torch.linalg.inv(cameras.cam_from_world.double())):
        seen = torch.isfinite(rays[camera]).all(-1)
        if int(seen.sum()) < _MIN_POINTS:
            continue
        focal_px = float(cameras.focal_px[camera].mean())
        scale = focal_px / float(sigma_px[camera][seen].median())
        found = _cam_from_prop(prop.xyz_prop[seen].numpy(), rays[camera][seen].numpy(), scale)
        starts += [world_from_cam @ pose for pose in found]
    return starts


def _cam_from_prop(xyz: NDArray[np.float64], xy_norm: NDArray[np.float64], scale: float) -> list[Tensor]:
    """Poses before one camera: two of a flat object, one of another, more where some points are wrong."""
    import cv2

    middle = xyz.mean(0)
    _, sizes, axes = np.linalg.svd(xyz - middle)
    if sizes[1] < _FLAT * sizes[0]:
        return []
    if flat := len(sizes) < 3 or sizes[2] < _FLAT * sizes[0]:
        axes = axes * np.linalg.det(axes)
    local = (xyz - middle) @ axes.T if flat else xyz
    if flat:
        local[:, 2] = 0.0
    flag = cv2.SOLVEPNP_IPPE if flat else cv2.SOLVEPNP_SQPNP
    turns: list[NDArray[np.float64]] = []
    shifts: list[NDArray[np.float64]] = []
    for rows in _subsets(len(xyz), flat, local, xy_norm, scale):
        try:
            _, some_turns, some_shifts, _ = cv2.solvePnPGeneric(
                local[rows], xy_norm[rows][:, None], np.eye(3), None, flags=flag
            )
        except cv2.error:  # points that no pose explains
            continue
        turns += [np.asarray(turn, np.float64) for turn in some_turns]
        shifts += [np.asarray(shift, np.float64) for shift in some_shifts]
    poses: list[Tensor] = []
    for turn, shift in zip(turns, shifts, strict=True):
        rotation = np.asarray(cv2.Rodrigues(turn)[0], np.float64)
        to_local = axes if flat else np.eye(3)
        pose = np.eye(4)
        pose[:3, :3] = rotation @ to_local
        pose[:3, 3] = shift.reshape(3) - (pose[:3, :3] @ middle if flat else 0.0)
        if np.isfinite(pose).all() and ((xyz @ pose[2, :3] + pose[2, 3]) > 0).all():
            poses.append(torch.from_numpy(pose))
    return poses


def _subsets(
    count: int, flat: bool, local: NDArray[np.float64], xy_norm: NDArray[np.float64], scale: float
) -> list[NDArray[np.intp]]:
    """All points, and those that a robust homography (flat) or pose agrees on, where these are fewer."""
    import cv2

    everything = np.arange(count)
    if count < _MIN_POINTS + 2:
        return [everything]
    reach = 5.0 / scale
    if flat:
        mask: Any = cv2.findHomography(local[:, :2], xy_norm, cv2.RANSAC, reach)[1]
        inliers = np.flatnonzero(mask) if mask is not None else everything
    else:
        good, _, _, rows = cv2.solvePnPRansac(
            local, xy_norm[:, None], np.eye(3), None, reprojectionError=reach, flags=cv2.SOLVEPNP_SQPNP
        )
        inliers = np.asarray(rows, np.intp).ravel() if good else everything
    return [everything, inliers] if _MIN_POINTS <= len(inliers) < count else [everything]


def _best_pose(prop: Prop, cameras: Cameras, xy_px: Tensor, sigma_px: Tensor, starts: list[Tensor]) -> _Pose:
    """The likeliest of the poses that the starts lead to."""
    seen = torch.isfinite(xy_px).all(-1)
    num_points = int(seen.sum())
    states: list[tuple[Tensor, _State]] = []
    if int(seen.any(0).sum()) >= _MIN_DIFFERENT:
        states = [
            (start, state)
            for start in starts
            if (state := _linearise(prop, cameras, xy_px, sigma_px, start)) is not None
        ]
    distinct: list[tuple[Tensor, _State]] = []
    for start, state in sorted(states, key=lambda one: one[1][2]):
        if all(_differs(prop, other, start) for other, _ in distinct) and len(distinct) < _MOST_STARTS:
            distinct.append((start, state))
    solved = [_refine(prop, cameras, xy_px, sigma_px, start, state) for start, state in distinct]
    solved.sort(key=lambda pose: pose.cost)
    if not solved:
        nan = torch.full((6, 6), torch.nan, dtype=torch.float64)
        return _Pose(nan[:4, :4], nan, float("nan"), num_points, 0, False, float("inf"))
    best = solved[0]
    rivals = [pose for pose in solved[1:] if _differs(prop, best.world_from_prop, pose.world_from_prop)]
    ambiguous = bool(rivals) and rivals[0].cost - best.cost < _AMBIGUOUS
    return replace(best, ambiguous=ambiguous)


def _differs(prop: Prop, first: Tensor, second: Tensor) -> bool:
    """Whether two poses are not the same minimum: a point lies a tenth of the object's size elsewhere."""
    xyz = prop.xyz_prop
    off = xyz @ (first - second)[:3, :3].mT + (first - second)[:3, 3]
    extent = (xyz.amax(0) - xyz.amin(0)).norm()
    return bool(off.norm(dim=-1).amax() > 0.1 * extent)


def _refine(
    prop: Prop, cameras: Cameras, xy_px: Tensor, sigma_px: Tensor, pose: Tensor, state: _State
) -> _Pose:
    """Gauss-Newton with damping from one start."""
    damping = 1e-4
    for _ in range(_STEPS):
        hessian, gradient, cost = state[:3]
        step = torch.linalg.solve(hessian + damping * torch.diag(hessian.diagonal()), -gradient)
        moved = pose @ _exp(step)
        trial = _linearise(prop, cameras, xy_px, sigma_px, moved)
        if trial is not None and trial[2] <= cost:
            pose, state, damping = moved, trial, max(damping / 10.0, 1e-9)
            if cost - trial[2] < _ENOUGH * (1.0 + cost):
                break
        else:
            damping *= 10.0
            if damping > 1e6:
                break
    return _summarise(pose, state)


def _linearise(prop: Prop, cameras: Cameras, xy_px: Tensor, sigma_px: Tensor, pose: Tensor) -> _State | None:
    """None where a seen point would lie behind its camera, or the points do not fix the pose."""
    xyz = prop.xyz_prop @ pose[:3, :3].mT + pose[:3, 3]
    jacobian = cameras.jacobian(xyz)
    error = jacobian.xy_px - xy_px
    seen = torch.isfinite(xy_px).all(-1)
    use = seen & torch.isfinite(error).all(-1)
    if bool((seen & ~use).any()) or int(use.sum()) < _MIN_POINTS:
        return None
    # A turn w and a shift v in the object's axes move a point by R (w x X + v).
    x, y, z = prop.xyz_prop.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, z, -y, -z, zero, x, y, -x, zero], -1).reshape(-1, 3, 3)
    moved = pose[:3, :3] @ torch.cat([cross, torch.eye(3, dtype=torch.float64).expand_as(cross)], -1)
    rows = (jacobian.d_point @ moved)[use] / sigma_px[use][:, None, None]
    scaled = error[use] / sigma_px[use][:, None]
    squared = scaled.square().sum(-1)
    weight = (_FREEDOM + 2.0) / (_FREEDOM + squared)
    hessian = torch.einsum("mij,mik,m->jk", rows, rows, weight)
    gradient = torch.einsum("mij,mi,m->j", rows, scaled, weight)
    if float(torch.linalg.cond(hessian)) > _SINGULAR:
        return None
    cost = float(((_FREEDOM + 2.0) * torch.log1p(squared / _FREEDOM)).sum())
    return _State(hessian, gradient, cost, squared, sigma_px[use], rows)


def _exp(step: Tensor) -> Tensor:
    """(4, 4) of a rotation vector and a shift."""
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3], pose[:3, 3] = roma.rotvec_to_rotmat(step[:3]), step[3:]
    return pose


def _summarise(pose: Tensor, state: _State) -> _Pose:
    squared, sigma_px = state.squared, state.sigma_px
    weight = (_FREEDOM + 2.0) / (_FREEDOM + squared)
    excess = float((weight * squared).sum() / max(1, 2 * len(squared) - 6))
    rms = float(((weight * squared * sigma_px**2).sum() / weight.sum()).sqrt())
    good = (squared <= _OUTLIER**2).double()
    information = torch.einsum("mij,mik,m->jk", state.rows, state.rows, good)
    fixed = float(torch.linalg.cond(information)) < _SINGULAR
    covariance = torch.linalg.inv(information) if fixed else torch.full_like(information, torch.inf)
    outliers = len(squared) - int(good.sum())
    return _Pose(pose, covariance * max(1.0, excess), rms, len(squared), outliers, False, state.cost)
