"""Projection, rays and undistortion against OpenCV, and where they must refuse."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from calibration import CalibrationError, Cameras

MODELS = [(0, "pinhole"), (4, "pinhole"), (5, "pinhole"), (8, "pinhole"), (12, "pinhole"), (14, "pinhole")]
MODELS += [(4, "fisheye"), (5, "fisheye")]
MakeCameras = Callable[..., Cameras]


def points(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.6 * torch.randn(*shape, 3, generator=generator, dtype=torch.float64)


def by_opencv(cameras: Cameras, i: int, xyz: Tensor) -> np.ndarray:
    """(N, 2) pixels of camera ``i``."""
    pose = cameras.cam_from_world[i].numpy()
    rvec, tvec = cv2.Rodrigues(pose[:3, :3])[0], pose[:3, 3].copy()
    matrix, coefficients = cameras.camera_matrices[i].numpy(), cameras.distortion[i].numpy().copy()
    world = np.ascontiguousarray(xyz.numpy())[:, None]
    if cameras.model[i] == "fisheye":
        return cv2.fisheye.projectPoints(world, rvec, tvec[:, None], matrix, coefficients[:4])[0][:, 0]
    return cv2.projectPoints(world, rvec, tvec, matrix, coefficients if len(coefficients) else None)[0][:, 0]


def in_camera(cameras: Cameras, xyz: Tensor) -> Tensor:
    """(C, N, 3)"""
    return xyz @ cameras.cam_from_world[:, :3, :3].mT + cameras.cam_from_world[:, None, :3, 3]


@pytest.mark.parametrize(("coefficients", "model"), MODELS)
def test_projects_like_opencv(make_cameras: MakeCameras, coefficients: int, model: str) -> None:
    cameras, xyz = make_cameras(coefficients, model), points(40)
    xy_px, valid = cameras.project(xyz)
    assert valid.all()
    for i in range(len(cameras)):
        assert np.abs(by_opencv(cameras, i, xyz) - xy_px[i].numpy()).max() < 1e-9


def test_the_comparison_with_opencv_notices_a_wrong_coefficient(make_cameras: MakeCameras) -> None:
    cameras, xyz = make_cameras(5), points(40)
    wrong = cameras.distortion.clone()
    wrong[0, [2, 3]] = wrong[0, [3, 2]]  # p1 and p2 the wrong way round
    off = by_opencv(cameras, 0, xyz) - replace(cameras, distortion=wrong).project(xyz)[0][0].numpy()
    assert np.abs(off).max() > 1e-3


@pytest.mark.parametrize(("coefficients", "model"), MODELS)
def test_undistort_inverts_project(make_cameras: MakeCameras, coefficients: int, model: str) -> None:
    cameras, xyz = make_cameras(coefficients, model), points(200)
    xyz_cam = in_camera(cameras, xyz)
    xy = cameras.undistort(cameras.project(xyz)[0])
    assert (xy - xyz_cam[..., :2] / xyz_cam[..., 2:]).abs().max() < 1e-12


@pytest.mark.parametrize(("coefficients", "model"), MODELS)
def test_rays_go_through_the_points(make_cameras: MakeCameras, coefficients: int, model: str) -> None:
    cameras, xyz = make_cameras(coefficients, model), points(50)
    ray = cameras.rays(cameras.project(xyz)[0])
    away = torch.linalg.cross(xyz - ray.origin_world, ray.direction_world).norm(dim=-1)
    assert away.max() < 1e-11
    assert (ray.direction_world.norm(dim=-1) - 1).abs().max() < 1e-14
    assert ((xyz - ray.origin_world) * ray.direction_world).sum(-1).min() > 0


@settings(deadline=None, max_examples=25)
@given(
    batch=st.lists(st.integers(1, 3), max_size=3),
    count=st.integers(0, 4),
    kind=st.sampled_from(MODELS),
    dtype=st.sampled_from([torch.float64, torch.float32]),
)
def test_batch_axes(
    make_cameras: MakeCameras, batch: list[int], count: int, kind: tuple[int, str], dtype: torch.dtype
) -> None:
    """Any leading axes, and both precisions, give what one point at a time gives."""
    cameras = make_cameras(*kind)
    low = Cameras(
        cameras.names,
        *(
            getattr(cameras, field).to(dtype)
            for field in ("size_px", "focal_px", "center_px", "distortion", "cam_from_world")
        ),
        cameras.model,
    )
    xyz = points(*batch, count).to(dtype)
    xy_px, valid = low.project(xyz)
    assert xy_px.shape == (*batch, 3, count, 2)
    assert valid.shape == (*batch, 3, count)
    assert xy_px.dtype == dtype
    each, _ = low.project_each(xyz[..., None, :, :].expand(*batch, 3, count, 3))
    assert torch.equal(each, xy_px)
    ray = low.rays(xy_px)
    assert ray.origin_world.shape == ray.direction_world.shape == (*batch, 3, count, 3)
    jacobian = low.jacobian(xyz)
    width = 4 + low.distortion.shape[1]
    for part, last in ((jacobian.d_point, 3), (jacobian.d_pose, 6), (jacobian.d_intrinsics, width)):
        assert part.shape == (*batch, 3, count, 2, last)
    flat = cameras.project(points(*batch, count).reshape(-1, 3))[0]  # (C, batch * N, 2)
    expected = flat.reshape(3, *batch, count, 2).movedim(0, -3)
    assert (
        (xy_px - expected).abs().max().item() < (1e-9 if dtype == torch.float64 else 0.05) if count else True
    )


def test_mixed_models(make_cameras: MakeCameras) -> None:
    """Each camera keeps its own model, in the order of the batch."""
    narrow, wide = make_cameras(5), make_cameras(5, "fisheye")
    mixed = replace(
        narrow, distortion=torch.stack([wide.distortion[0], narrow.distortion[1], wide.distortion[2]])
    )
    mixed = replace(mixed, model=("fisheye", "pinhole", "fisheye"))
    xyz = points(7, 20)
    xy_px, _ = mixed.project(xyz)
    jacobian, ray = mixed.jacobian(xyz), mixed.rays(xy_px)
    for i, name in enumerate(mixed.names):
        alone = mixed[name]
        assert torch.equal(xy_px[:, i], alone.project(xyz)[0][:, 0])
        assert torch.allclose(jacobian.d_intrinsics[:, i], alone.jacobian(xyz).d_intrinsics[:, 0], rtol=1e-14)
        own = alone.rays(xy_px[:, i : i + 1]).direction_world[:, 0]
        assert torch.allclose(ray.direction_world[:, i], own, rtol=0, atol=1e-14)
        assert np.abs(by_opencv(mixed, i, xyz[0]) - xy_px[0, i].numpy()).max() < 1e-9


def test_behind_the_camera_is_not_projected(make_cameras: MakeCameras) -> None:
    cameras = make_cameras(5)
    behind = cameras.centers_world - 2.0 * cameras.cam_from_world[:, 2, :3]  # along -z of each camera
    xy_px, valid = cameras.project(behind)
    assert not valid.diagonal().any()
    assert xy_px.diagonal(dim1=0, dim2=1).isnan().all()


@pytest.mark.parametrize(
    ("model", "row", "fold"),
    [
        # 1 + 3 k1 r^2 = 0, and the same in the angle for the fisheye
        ("pinhole", [-0.3, 0.0, 0.0, 0.0], (1 / 0.9) ** 0.5),
        ("fisheye", [-0.3, 0.0, 0.0, 0.0], np.tan((1 / 0.9) ** 0.5)),
    ],
)
def test_a_distortion_that_folds_back_is_not_projected(
    make_cameras: MakeCameras, model: str, row: list[float], fold: float
) -> None:
    one = make_cameras(4, model, ("a",))
    cameras = replace(one, distortion=torch.tensor([row], dtype=torch.float64))
    cameras = cameras.with_poses(torch.eye(4, dtype=torch.float64)[None])
    assert float(cameras.max_radius2[0]) == pytest.approx(fold**2, rel=1e-12)
    radius = torch.tensor([0.5 * fold, 0.999 * fold, 1.001 * fold, 1.5 * fold], dtype=torch.float64)
    xyz = torch.stack((radius, torch.zeros(4), torch.ones(4)), -1)
    xy_px, valid = cameras.project(xyz)
    assert valid[0].tolist() == [True, True, False, False]
    assert xy_px[0].isnan().any(-1).tolist() == [False, False, True, True]


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
def test_undistort_says_where_nothing_can_have_come_from(make_cameras: MakeCameras, model: str) -> None:
    one = make_cameras(4, model, ("a",))
    cameras = replace(one, distortion=torch.tensor([[-0.3, 0.0, 0.0, 0.0]], dtype=torch.float64))
    edge = (1 / 0.9) ** 0.5 * (2 / 3)  # largest distorted radius: r (1 - 0.3 r^2) at the fold
    radius = torch.tensor(
        [0.0, 0.5 * edge, 0.9999 * edge, 1.0001 * edge, 3 * edge, np.nan], dtype=torch.float64
    )
    xy_px = torch.stack((radius, torch.zeros_like(radius)), -1)[None] * cameras.focal_px + cameras.center_px
    xy = cameras.undistort(xy_px)
    assert xy[0].isnan().any(-1).tolist() == [False, False, False, True, True, True]
    assert cameras.rays(xy_px).direction_world[0].isnan().any(-1).tolist() == [False] * 3 + [True] * 3
    there = cameras.with_poses(torch.eye(4, dtype=torch.float64)[None])
    back, valid = there.project_each(torch.nn.functional.pad(xy[:, :3], (0, 1), value=1.0))
    assert valid.all()
    assert (back - xy_px[:, :3]).abs().max() < 1e-9


def test_strong_lenses_converge(make_cameras: MakeCameras) -> None:
    """Lenses on which a plain fixed point fails: strong barrel, and a rational model that bends twice."""
    rows = [
        [-0.45, 0.25, 2e-3, -1e-3, -0.06, 0.0, 0.0, 0.0],
        [8.0, 3.0, 1e-4, 1e-4, 0.1, 8.4, 5.5, 0.6],
        [0.4, 1.5, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0],
    ]
    cameras = replace(make_cameras(8), distortion=torch.tensor(rows, dtype=torch.float64))
    cameras = cameras.with_poses(torch.eye(4, dtype=torch.float64).repeat(3, 1, 1))
    angle, radius = torch.meshgrid(torch.linspace(0, 6, 15), torch.linspace(0, 0.97, 60), indexing="ij")
    reach = cameras.max_radius2.sqrt().clamp(max=2.0)
    xy = (
        torch.stack((angle.cos() * radius, angle.sin() * radius), -1).flatten(0, 1).double()
        * reach[:, None, None]
    )
    xy_px, valid = cameras.project_each(torch.nn.functional.pad(xy, (0, 1), value=1.0))
    assert valid.all()
    assert (cameras.undistort(xy_px) - xy).abs().max() < 1e-10  # near the fold a pixel's last bit counts more


def test_tangential_terms_shrink_the_disc(make_cameras: MakeCameras) -> None:
    """Strong tangential terms fold one side before the radial terms do."""
    one = make_cameras(4, "pinhole", ("a",))
    row = torch.tensor([[-0.3, 0.0, 0.0, 0.0], [-0.3, 0.0, 0.02, 0.02]], dtype=torch.float64)
    free, bent = (float(replace(one, distortion=row[i : i + 1]).max_radius2) for i in (0, 1))
    assert 0.5 * free < bent < free


@pytest.mark.parametrize("offset", [0.0, 1e-12, 1e-9, 1e-7, 1.1e-7, 1e-4])
def test_fisheye_near_the_axis(make_cameras: MakeCameras, offset: float) -> None:
    """Value and gradient pass through the axis without a jump or a NaN."""
    cameras = make_cameras(4, "fisheye", ("a",)).with_poses(torch.eye(4, dtype=torch.float64)[None])
    xyz = torch.tensor([[offset, -offset, 2.0]], dtype=torch.float64, requires_grad=True)
    xy_px, valid = cameras.project(xyz)
    assert valid.all()
    pinhole = xyz.detach()[0, :2] / 2.0 * cameras.focal_px + cameras.center_px
    assert (xy_px.detach()[0] - pinhole).abs().max() < 1e-8 + 1e5 * offset**3
    xy_px.sum().backward()
    assert xyz.grad is not None
    assert torch.isfinite(xyz.grad).all()
    jacobian = cameras.jacobian(xyz.detach())
    assert torch.allclose(jacobian.d_point.sum((0, 1, 2)), xyz.grad[0], rtol=1e-9, atol=1e-9)
    assert torch.isfinite(jacobian.d_intrinsics).all()
    back = cameras.undistort(xy_px.detach())
    assert (back - xyz.detach()[:, :2] / 2.0).abs().max() < 1e-12


def test_an_unknown_pose_harms_only_its_own_camera(make_cameras: MakeCameras) -> None:
    cameras = make_cameras(5)
    poses = cameras.cam_from_world.clone()
    poses[1] = torch.nan
    half = cameras.with_poses(poses)
    assert half.posed.tolist() == [True, False, True]
    assert half.centers_world.isnan().any(-1).tolist() == [False, True, False]
    xyz = points(5).requires_grad_()
    xy_px, valid = half.project(xyz)
    assert valid.all(-1).tolist() == [True, False, True]
    xy_px[valid].sum().backward()
    assert xyz.grad is not None
    assert torch.isfinite(xyz.grad).all()
    assert torch.isfinite(half.jacobian(xyz.detach()).d_point).all()
    assert half.rays(torch.nan_to_num(xy_px.detach())).direction_world.isnan().any(-1).any(-1).tolist() == [
        False,
        True,
        False,
    ]


def test_missing_points_stay_missing_and_keep_gradients(make_cameras: MakeCameras) -> None:
    cameras, xyz = make_cameras(5), points(4)
    xyz[2] = torch.nan
    xyz.requires_grad_()
    xy_px, valid = cameras.project(xyz)
    assert valid.all(0).tolist() == [True, True, False, True]
    xy_px[valid].sum().backward()
    assert xyz.grad is not None
    assert torch.isfinite(xyz.grad).all()


@pytest.mark.parametrize(("coefficients", "model"), [(5, "pinhole"), (14, "pinhole"), (4, "fisheye")])
def test_undistort_is_differentiable(make_cameras: MakeCameras, coefficients: int, model: str) -> None:
    """By pixels and by coefficients, against central differences."""
    cameras = make_cameras(coefficients, model, ("a",))
    xy_px = cameras.project(points(3))[0]

    def run(xy_px: Tensor, distortion: Tensor) -> Tensor:
        return replace(cameras, distortion=distortion).undistort(xy_px)

    inputs = (xy_px.requires_grad_(), cameras.distortion.clone().requires_grad_())
    assert torch.autograd.gradcheck(run, inputs, eps=1e-7, atol=1e-6, rtol=1e-5)


def test_picking_cameras(make_cameras: MakeCameras) -> None:
    cameras = make_cameras(5)
    assert cameras["b"].names == ("b",)
    assert cameras[["c", "a"]].names == ("c", "a")
    assert cameras[1:].names == ("b", "c")
    assert torch.equal(cameras[["c", "a"]].focal_px, cameras.focal_px[[2, 0]])
    assert cameras.renamed(["x", "y", "z"]).names == ("x", "y", "z")
    with pytest.raises(CalibrationError, match=r"no camera d .*it has a, b, c"):
        cameras[["a", "d"]]


def test_what_cannot_be_cameras(make_cameras: MakeCameras) -> None:
    cameras = make_cameras(5)
    with pytest.raises(CalibrationError, match="differ"):
        cameras.renamed(["a", "a", "b"])
    with pytest.raises(ValueError, match=r"focal_px is \(2, 2\), expected \(3, 2\)"):
        replace(cameras, focal_px=cameras.focal_px[:2])
    with pytest.raises(ValueError, match="7 distortion coefficients"):
        replace(cameras, distortion=torch.zeros(3, 7))
    with pytest.raises(ValueError, match="unknown camera model"):
        replace(cameras, model="omni")


def test_centres_are_where_opencv_says(make_cameras: MakeCameras) -> None:
    """The optical centre is what the pose sends to zero."""
    cameras = make_cameras(5)
    at = in_camera(cameras, cameras.centers_world).diagonal(dim1=0, dim2=1)
    assert at.abs().max() < 1e-14
