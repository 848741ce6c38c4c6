"""A rig of cameras whose every number differs, for all tests of this package."""

from collections.abc import Callable

import pytest
import roma
import torch
from torch import Tensor

from calibration import Cameras

MakeCameras = Callable[..., Cameras]

# k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4 tau_x tau_y of a lens that bends visibly and does not fold back
_BENT = (-0.21, 0.06, 1e-3, -2e-3, 0.011, 0.02, 0.013, 0.003, 1e-3, -5e-4, 7e-4, 3e-4, 0.02, -0.03)
_FISHEYE = (0.031, -0.012, 0.004, -0.001)


def _make(
    coefficients: int = 5, model: str = "pinhole", names: tuple[str, ...] = ("a", "b", "c"), seed: int = 0
) -> Cameras:
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    count = len(names)
    typical = torch.tensor(_FISHEYE if model == "fisheye" else _BENT, dtype=torch.float64)
    typical = torch.nn.functional.pad(typical, (0, 14 - len(typical)))[:coefficients]
    pose = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    pose[:, :3, :3] = roma.rotvec_to_rotmat(0.3 * noise(count, 3))
    pose[:, :3, 3] = torch.tensor([0.0, 0.0, 5.0]) + 0.3 * noise(count, 3)
    return Cameras(
        names=names,
        size_px=torch.tensor([[1920.0, 1080.0]], dtype=torch.float64).repeat(count, 1),
        focal_px=1400 + 50 * noise(count, 2),
        center_px=torch.tensor([960.0, 540.0]) + 10 * noise(count, 2),
        distortion=typical * (1 + 0.1 * noise(count, coefficients)),
        cam_from_world=pose,
        model=model,
    )


@pytest.fixture(scope="session")
def make_cameras() -> MakeCameras:
    """Cameras round the origin, 5 m away: ``make_cameras(coefficients, model, names, seed)``."""
    return _make
