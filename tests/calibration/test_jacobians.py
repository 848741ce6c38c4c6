"""The projection's derivatives in closed form, against autodiff and against central differences."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import roma
import torch
from torch import Tensor

from calibration import Cameras, ProjectionJacobian

MODELS = [(0, "pinhole"), (4, "pinhole"), (5, "pinhole"), (8, "pinhole"), (12, "pinhole"), (14, "pinhole")]
MODELS += [(4, "fisheye"), (5, "fisheye")]
POSE = ("rho_x", "rho_y", "rho_z", "phi_x", "phi_y", "phi_z")
LENS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4", "tau_x", "tau_y")
MakeCameras = Callable[..., Cameras]
Run = Callable[[Tensor], Tensor]

# Forward-mode autodiff compiles some of torch's own functions the old way on first use.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def columns(cameras: Cameras) -> dict[str, tuple[str, ...]]:
    fisheye = cameras.model[0] == "fisheye"
    lens = ("k1", "k2", "k3", "k4", "unused") if fisheye else LENS
    lens = lens[: cameras.distortion.shape[1]]
    return {"d_point": ("x", "y", "z"), "d_pose": POSE, "d_intrinsics": ("fx", "fy", "cx", "cy", *lens)}


def functions(cameras: Cameras, xyz: Tensor) -> dict[str, tuple[Run, Tensor]]:
    """For each Jacobian the function of one camera and one point that it belongs to, and where."""

    def moved(tangent: Tensor) -> Tensor:
        # exp of a screw motion, first order in rho beside a full rotation: enough for a derivative at 0
        step = torch.eye(4, dtype=torch.float64)
        top = torch.cat((roma.rotvec_to_rotmat(tangent[3:]), tangent[:3, None]), 1)
        step = torch.cat((top, step[3:]), 0)
        return cameras.with_poses(step @ cameras.cam_from_world).project(xyz[None])[0][0, 0]

    def with_lens(values: Tensor) -> Tensor:
        focal, center, lens = values[None, :2], values[None, 2:4], values[None, 4:]
        changed = replace(cameras, focal_px=focal, center_px=center, distortion=lens)
        return changed.project(xyz[None])[0][0, 0]

    inner = torch.cat((cameras.focal_px[0], cameras.center_px[0], cameras.distortion[0]))
    return {
        "d_point": (lambda point: cameras.project(point[None])[0][0, 0], xyz),
        "d_pose": (moved, torch.zeros(6, dtype=torch.float64)),
        "d_intrinsics": (with_lens, inner),
    }


def central_differences(run: Run, at: Tensor) -> Tensor:
    """(2, M) with a step of 1e-6 of each value's scale."""
    step = 1e-6 * at.abs().clamp(min=1.0)
    sides = [(run(at + d) - run(at - d)) / (2 * step[i]) for i, d in enumerate(torch.diag(step))]
    return torch.stack(sides, -1)


def compare(
    found: Tensor, expected: Tensor, names: tuple[str, ...], tolerance: float, smallest: float = 1e-6
) -> None:
    """Fail with the name of the worst column; errors are relative to its size (``smallest`` at least)."""
    scale = expected.abs().amax(0).clamp(min=smallest)
    error = (found - expected).abs().amax(0) / scale
    worst = int(error.argmax())
    assert error[worst] <= tolerance, f"column {names[worst]} is off by {error[worst]:.2g} of its size"


def check(cameras: Cameras, xyz: Tensor, jacobian: ProjectionJacobian | None = None) -> None:
    """Every column of every Jacobian of one camera at some points."""
    jacobian = cameras.jacobian(xyz) if jacobian is None else jacobian
    for n, point in enumerate(xyz):
        for field, (run, at) in functions(cameras, point).items():
            found = getattr(jacobian, field)[0, n]
            names = columns(cameras)[field]
            compare(found, torch.func.jacfwd(run)(at), names, 1e-10)
            # Pixels near 1000 have 1e-13 to lose, which a step of 1e-6 turns into 1e-7.
            compare(found, central_differences(run, at), names, 1e-5, smallest=0.1)


def points(count: int, spread: float = 0.6) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return spread * torch.randn(count, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("coefficients", "model"), MODELS)
def test_against_autodiff_and_differences(make_cameras: MakeCameras, coefficients: int, model: str) -> None:
    check(make_cameras(coefficients, model, ("a",)), points(4))


def test_on_the_axis_of_a_fisheye(make_cameras: MakeCameras) -> None:
    cameras = make_cameras(4, "fisheye", ("a",)).with_poses(torch.eye(4, dtype=torch.float64)[None])
    xyz = torch.tensor([[0.0, 0.0, 3.0], [1e-9, 0.0, 3.0], [3e-8, -4e-8, 1.0]], dtype=torch.float64)
    jacobian = cameras.jacobian(xyz)
    for field in ("d_point", "d_pose", "d_intrinsics"):
        assert torch.isfinite(getattr(jacobian, field)).all()
    for n, point in enumerate(xyz):
        run, at = functions(cameras, point)["d_point"]
        compare(jacobian.d_point[0, n], torch.func.jacfwd(run)(at), ("x", "y", "z"), 1e-9)


@pytest.mark.parametrize(("field", "column"), [("d_point", 1), ("d_pose", 4), ("d_intrinsics", 6)])
def test_the_check_names_a_planted_error(make_cameras: MakeCameras, field: str, column: int) -> None:
    cameras, xyz = make_cameras(5, "pinhole", ("a",)), points(2)
    jacobian = cameras.jacobian(xyz)
    wrong = getattr(jacobian, field).clone()
    wrong[..., column] *= -1
    planted = replace(jacobian)
    planted.__dict__[field] = wrong
    name = columns(cameras)[field][column]
    with pytest.raises(AssertionError, match=f"column {name} is off"):
        check(cameras, xyz, planted)


@pytest.mark.parametrize(("coefficients", "model"), MODELS)
def test_moving_along_the_ray_moves_nothing(make_cameras: MakeCameras, coefficients: int, model: str) -> None:
    """Projection does not see depth: J_point times the ray is zero."""
    cameras, xyz = make_cameras(coefficients, model), points(60)
    along = (cameras.jacobian(xyz).d_point @ (xyz - cameras.centers_world[:, None])[..., None])[..., 0]
    assert along.abs().max() < 1e-9


@pytest.mark.parametrize(("coefficients", "model"), MODELS)
def test_moving_point_and_camera_alike_moves_nothing(
    make_cameras: MakeCameras, coefficients: int, model: str
) -> None:
    """A shift of the point in the world is a shift of the camera: d_point R^T = d_pose's first half."""
    cameras, xyz = make_cameras(coefficients, model), points(20)
    jacobian = cameras.jacobian(xyz)
    rotation = cameras.cam_from_world[:, None, :3, :3]
    assert (jacobian.d_point @ rotation.mT - jacobian.d_pose[..., :3]).abs().max() < 1e-9


def test_values_are_those_of_project(make_cameras: MakeCameras) -> None:
    """And what cannot be seen has no derivative."""
    cameras = make_cameras(5)
    xyz = torch.cat((points(10), torch.tensor([[0.0, 0.0, -50.0], [torch.nan, 0.0, 0.0]])))
    xy_px, valid = cameras.project(xyz)
    jacobian = cameras.jacobian(xyz)
    assert torch.equal(jacobian.valid, valid)
    assert torch.allclose(jacobian.xy_px, xy_px, rtol=0, atol=1e-12, equal_nan=True)
    assert not valid[:, -2:].any()
    for field in ("d_point", "d_pose", "d_intrinsics"):
        assert (getattr(jacobian, field)[~valid] == 0).all()
    each = cameras.jacobian_each(xyz.expand(3, -1, -1))
    assert torch.equal(each.d_pose, jacobian.d_pose)


def test_a_take_in_well_under_a_second(make_cameras: MakeCameras) -> None:
    """8 cameras, 1000 frames, 33 points; processor time, so that a busy machine does not count."""
    cameras = make_cameras(5, "pinhole", tuple("abcdefgh"))
    xyz = points(33_000).unflatten(0, (1000, 33))
    cameras.jacobian(xyz[:10])
    start = time.process_time()
    cameras.jacobian(xyz)
    assert time.process_time() - start < 1.5
