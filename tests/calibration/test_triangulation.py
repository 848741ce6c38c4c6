"""Triangulation against exact truth, scipy and Monte Carlo."""

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares, minimize
from scipy.stats import chi2
from torch import Tensor

from calibration.cameras import Cameras
from calibration.triangulation import DEGREES_OF_FREEDOM, Triangulated, triangulate


def ring(
    count: int,
    *,
    radius_m: float = 4.0,
    spread_rad: float = 2 * np.pi,
    rise_m: float = 0.4,
    model: str = "pinhole",
) -> Cameras:
    """Cameras around the origin that look at a point 1 m above it, with lens distortion."""
    poses = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    for index in range(count):
        angle = spread_rad * index / count + 0.1
        center = np.array([radius_m * np.cos(angle), radius_m * np.sin(angle), 1.0 + rise_m * (index % 3)])
        forward = np.array([0.0, 0.0, 1.0]) - center
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        poses[index, :3, :3] = torch.as_tensor(rotation)
        poses[index, :3, 3] = torch.as_tensor(-rotation @ center)
    lens = [-0.1, 0.03, 0.0004, -0.0003, 0.0] if model == "pinhole" else [0.02, -0.01, 0.003, 0.0, 0.0]
    ones = torch.ones(count, 1, dtype=torch.float64)
    return Cameras(
        names=tuple(f"cam{index}" for index in range(count)),
        size_px=ones * torch.tensor([1920.0, 1080.0], dtype=torch.float64),
        focal_px=ones * torch.tensor([1400.0, 1405.0], dtype=torch.float64),
        center_px=ones * torch.tensor([958.0, 541.0], dtype=torch.float64),
        distortion=ones * torch.tensor(lens, dtype=torch.float64),
        cam_from_world=poses,
        model=model,
    )


def points(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    spread = torch.rand(count, 3, generator=generator, dtype=torch.float64) - 0.5
    return spread * torch.tensor([1.6, 1.6, 1.8]) + torch.tensor([0.0, 0.0, 0.9])


def seen(cameras: Cameras, xyz_world: Tensor, noise_px: float = 0.0, seed: int = 1) -> Tensor:
    """(N, C, 2) pixels."""
    xy_px, valid = cameras.project(xyz_world)
    assert valid.all()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(xy_px.shape, generator=generator, dtype=torch.float64)
    return (xy_px + noise_px * noise).transpose(0, 1)


def miss_m(result: Triangulated, truth: Tensor) -> Tensor:
    return (result.xyz_world - truth).norm(dim=-1)


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
@pytest.mark.parametrize("count", [2, 3, 8, 12])
def test_exact_without_noise(model: str, count: int) -> None:
    cameras, truth = ring(count, model=model, spread_rad=5.0), points(100)
    result = triangulate(cameras, seen(cameras, truth), 3.0)
    assert miss_m(result, truth).max() < 1e-9
    assert (result.num_views == count).all()
    assert result.error_px.max() < 1e-6


def test_more_points_than_one_chunk_and_none_at_all() -> None:
    cameras, truth = ring(3), points(9000)
    assert miss_m(triangulate(cameras, seen(cameras, truth), 1.0), truth).max() < 1e-9
    nothing = triangulate(cameras, torch.empty(0, 3, 2, dtype=torch.float64), 1.0)
    assert nothing.xyz_world.shape == (0, 3)
    assert nothing.used.shape == (0, 3)


def test_same_point_as_scipy_least_squares() -> None:
    """With deviations far above the errors the likelihood is a parabola: weighted least squares."""
    cameras, truth = ring(5), points(20)
    xy_px = seen(cameras, truth, noise_px=4.0)
    sigma_px = torch.tensor([2.0, 3.0, 4.0, 5.0, 6.0], dtype=torch.float64)
    result = triangulate(cameras, xy_px, 1e6 * sigma_px, max_error_px=1e4)
    for index in range(len(truth)):

        def residuals(xyz: np.ndarray, index: int = index) -> np.ndarray:
            projected = cameras.project(torch.as_tensor(xyz)[None])[0][:, 0]
            return ((projected - xy_px[index]) / sigma_px[:, None]).flatten().numpy()

        best = least_squares(residuals, truth[index].numpy(), xtol=1e-15, ftol=1e-15, gtol=1e-15)
        assert np.linalg.norm(result.xyz_world[index].numpy() - best.x) < 1e-8


def test_same_minimum_of_the_likelihood_as_scipy() -> None:
    cameras, truth = ring(5), points(12)
    xy_px = seen(cameras, truth, noise_px=4.0)
    xy_px[3, 2] += 30.0
    sigma_px = torch.tensor([2.0, 3.0, 4.0, 5.0, 6.0], dtype=torch.float64)
    result = triangulate(cameras, xy_px, sigma_px, max_error_px=1e4)
    assert result.used.all()
    for index in range(len(truth)):

        def cost(xyz: np.ndarray, index: int = index) -> float:
            projected = cameras.project(torch.as_tensor(xyz)[None])[0][:, 0]
            squared = ((projected - xy_px[index]) / sigma_px[:, None]).square().sum(-1)
            return float(2.5 * (squared / DEGREES_OF_FREEDOM).log1p().sum())

        best = minimize(
            cost, truth[index].numpy(), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}
        )
        # Half a millimetre where the noise makes ten: a handful of re-weighted steps come that near.
        assert np.linalg.norm(result.xyz_world[index].numpy() - best.x) < 5e-4
        assert cost(result.xyz_world[index].numpy()) - best.fun < 5e-3


def coverage(noise: Tensor, cameras: Cameras, truth: Tensor, sigma_px: float) -> tuple[float, float]:
    """Share of points inside the 68 and 95 % ellipsoids of their covariance."""
    xy_px = cameras.project(truth)[0].transpose(0, 1) + noise
    result = triangulate(cameras, xy_px, sigma_px, max_error_px=1e3)
    miss = result.xyz_world - truth
    squared = torch.einsum("ni,nij,nj->n", miss, torch.linalg.inv(result.covariance), miss)
    return tuple(float((squared < chi2.ppf(p, 3)).double().mean()) for p in (0.68, 0.95))


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_covariance_is_honest(count: int) -> None:
    cameras, truth = ring(count, spread_rad=5.0), points(3000)
    generator = torch.Generator().manual_seed(5)
    noise = 3.0 * torch.randn(3000, count, 2, generator=generator, dtype=torch.float64)
    inside_68, inside_95 = coverage(noise, cameras, truth, 3.0)
    assert 0.62 < inside_68 < 0.74
    assert 0.91 < inside_95 < 0.98


def test_covariance_is_honest_under_heavy_tails() -> None:
    """Student-t noise of the very kind that is assumed, from eight views."""
    torch.manual_seed(6)
    mixing = torch.distributions.Chi2(torch.tensor(DEGREES_OF_FREEDOM, dtype=torch.float64))
    widen = (DEGREES_OF_FREEDOM / mixing.sample((3000, 8, 1))).sqrt()
    noise = 3.0 * widen * torch.randn(3000, 8, 2, dtype=torch.float64)
    inside_68, inside_95 = coverage(noise, ring(8), points(3000), 3.0)
    assert 0.60 < inside_68 < 0.74
    assert 0.89 < inside_95 < 0.98


def test_the_coverage_check_sees_overconfidence() -> None:
    cameras, truth = ring(4), points(1000)
    noise = 6.0 * torch.randn(1000, 4, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    assert coverage(noise, cameras, truth, 2.0)[0] < 0.5


def test_covariance_grows_where_views_contradict_each_other() -> None:
    cameras, truth = ring(4), points(1)
    calm = triangulate(cameras, seen(cameras, truth), 3.0, max_error_px=100.0)
    torn = triangulate(cameras, seen(cameras, truth, noise_px=15.0), 3.0, max_error_px=100.0)
    assert (torn.covariance[0].trace() > 3 * calm.covariance[0].trace()).all()


@pytest.mark.parametrize("count", [4, 8, 12])
def test_wrong_views_are_rejected(count: int) -> None:
    cameras, truth = ring(count), points(200)
    xy_px = seen(cameras, truth, noise_px=1.0)
    wrong = torch.zeros(200, count, dtype=torch.bool)
    wrong[torch.arange(200), torch.arange(200) % count] = True
    if count == 8:
        wrong[torch.arange(200), (torch.arange(200) + 3) % count] = True
    turn = torch.arange(200, dtype=torch.float64)[:, None]
    xy_px += torch.where(wrong[..., None], 150.0 * torch.stack((turn.cos(), turn.sin()), -1), 0.0)
    result = triangulate(cameras, xy_px, 1.0)
    # An error along the other views' epipolar lines can hide from two of them, not from three.
    assert (result.used == ~wrong).all(1).double().mean() > 0.98
    assert miss_m(result, truth).median() < 0.004
    assert miss_m(result, truth).quantile(0.98) < 0.010


def test_without_robustness_a_wrong_view_does_harm() -> None:
    """The same scene is 20 times worse when every view is believed, so the test above tests something."""
    cameras, truth = ring(4), points(200)
    xy_px = seen(cameras, truth, noise_px=1.0)
    xy_px[:, 0] += torch.tensor([150.0, 0.0])
    robust = triangulate(cameras, xy_px, 1.0)
    # Deviations far above the errors make the likelihood a parabola: plain least squares.
    plain = triangulate(cameras, xy_px, 1e5, max_error_px=1e9)
    assert plain.used.all()
    assert miss_m(plain, truth).median() > 20 * miss_m(robust, truth).median()


def test_a_weak_view_weighs_little() -> None:
    cameras, truth = ring(3), points(50)
    xy_px = seen(cameras, truth)
    xy_px[:, 1, 0] += 5.0
    equal = triangulate(cameras, xy_px, 1.0)
    weak = triangulate(cameras, xy_px, torch.tensor([1.0, 50.0, 1.0]))
    assert (miss_m(weak, truth) < 0.02 * miss_m(equal, truth)).all()


def test_missing_views_and_missing_points() -> None:
    cameras, truth = ring(4), points(5)
    xy_px = seen(cameras, truth)
    xy_px[0, 1:] = torch.nan  # one view
    xy_px[1] = torch.nan  # none
    xy_px[2, 0, 1] = torch.nan  # half a coordinate is no view
    sigma_px = torch.ones(5, 4, dtype=torch.float64)
    sigma_px[3, 2] = torch.nan  # no deviation, no view
    result = triangulate(cameras, xy_px, sigma_px)
    assert result.num_views.tolist() == [0, 0, 3, 3, 4]
    assert result.solved.tolist() == [False, False, True, True, True]
    assert not result.used[2, 0]
    assert not result.used[3, 2]
    assert result.xyz_world[:2].isnan().all()
    assert result.covariance[:2].isnan().all()
    assert result.error_px[:2].isnan().all()
    assert miss_m(result, truth)[2:].max() < 1e-9


def test_min_views() -> None:
    cameras, truth = ring(3), points(4)
    xy_px = seen(cameras, truth)
    xy_px[1, 0] = torch.nan
    xy_px[2, 0] += 200.0
    assert triangulate(cameras, xy_px, 1.0, min_views=3).num_views.tolist() == [3, 0, 0, 3]
    with pytest.raises(ValueError, match="at least 2"):
        triangulate(cameras, xy_px, 1.0, min_views=1)


def test_two_views_that_disagree_make_no_point() -> None:
    cameras, truth = ring(2, spread_rad=3.0), points(3)
    xy_px = seen(cameras, truth)
    xy_px[1, 0, 1] += 100.0
    assert triangulate(cameras, xy_px, 1.0).solved.tolist() == [True, False, True]


@pytest.mark.parametrize(("angle_deg", "solved"), [(2.0, False), (4.0, True), (176.0, True), (178.0, False)])
def test_min_angle(angle_deg: float, solved: bool) -> None:
    """Neither neighbouring cameras nor such as face each other determine depth."""
    cameras = ring(2, spread_rad=2 * np.radians(angle_deg), rise_m=0.0)
    target = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    result = triangulate(cameras, seen(cameras, target), 1.0, min_angle_deg=3.0)
    assert bool(result.solved[0]) is solved


def test_rays_that_meet_behind_the_cameras_make_no_point() -> None:
    cameras = ring(2, spread_rad=0.6, rise_m=0.0)
    target = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    towards = seen(cameras, target) + torch.tensor([[300.0, 0.0], [-300.0, 0.0]])
    apart = seen(cameras, target) + torch.tensor([[-600.0, 0.0], [600.0, 0.0]])
    solved = [bool(triangulate(cameras, xy, 1.0, max_error_px=1e9).solved[0]) for xy in (towards, apart)]
    assert sorted(solved) == [False, True]


def test_neither_camera_nor_point_order_matters() -> None:
    cameras, truth = ring(6), points(300)
    xy_px = seen(cameras, truth, noise_px=3.0)
    xy_px[::3, 2] += 90.0
    xy_px[::5, 4] = torch.nan
    sigma_px = 2.0 + torch.rand(300, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    result = triangulate(cameras, xy_px, sigma_px)
    order, shuffle = [3, 0, 5, 1, 4, 2], torch.randperm(300, generator=torch.Generator().manual_seed(4))
    renamed = cameras[[cameras.names[i] for i in order]]
    again = triangulate(renamed, xy_px[shuffle][:, order], sigma_px[shuffle][:, order])
    assert torch.equal(again.used, result.used[shuffle][:, order])
    torch.testing.assert_close(again.xyz_world, result.xyz_world[shuffle], rtol=0, atol=1e-9, equal_nan=True)


def test_cameras_without_pose_take_no_part() -> None:
    cameras, truth = ring(4), points(5)
    xy_px = seen(cameras, truth)
    poses = cameras.cam_from_world.clone()
    poses[2] = torch.nan
    result = triangulate(cameras.with_poses(poses), xy_px, 1.0)
    assert (result.num_views == 3).all()
    assert not result.used[:, 2].any()
    assert miss_m(result, truth).max() < 1e-9


def test_shapes_are_checked() -> None:
    cameras = ring(3)
    with pytest.raises(ValueError, match=r"\(N, 3, 2\)"):
        triangulate(cameras, torch.zeros(5, 2, 2), 1.0)
