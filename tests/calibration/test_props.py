"""Poses of a known object: planted truth, noise, wrong points, and the mirror image of a flat object."""

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

from calibration import CalibrationError, Cameras
from calibration.boards.board import Board
from calibration.boards.props import Prop, locate_prop
from calibration.rig.synthetic import ring_of_cameras

WAND = Prop(
    ("a", "b", "c", "d", "e", "f"),
    0.3
    * torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.7, 0.6, 0.2], [0.1, 0.5, 0.9]]).double(),
)
CARD = Prop.from_board(Board(type="chessboard", columns=4, rows=3, square_m=0.04))


def poses(count: int, seed: int = 0) -> Tensor:
    """(T, 4, 4) poses about a metre round the middle of the ring."""
    generator = torch.Generator().manual_seed(seed)
    pose = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    pose[:, :3, :3] = roma.rotvec_to_rotmat(torch.randn(count, 3, generator=generator, dtype=torch.float64))
    pose[:, :3, 3] = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 0.3
    pose[:, 2, 3] += 0.9
    return pose


def seen(prop: Prop, cameras: Cameras, world_from_prop: Tensor, noise_px: float, seed: int = 0) -> Tensor:
    xyz = prop.xyz_prop @ world_from_prop[:, :3, :3].mT + world_from_prop[:, None, :3, 3]
    xy, _ = cameras.project(xyz)
    generator = torch.Generator().manual_seed(seed)
    return xy + noise_px * torch.randn(xy.shape, generator=generator, dtype=torch.float64)


def errors(found: Tensor, true: Tensor) -> Tensor:
    """(T, 6) rotation and shift in the object's axes from the true pose to the found one."""
    step = torch.linalg.inv(true) @ found
    return torch.cat([roma.rotmat_to_rotvec(step[:, :3, :3].contiguous()), step[:, :3, 3]], -1)


@pytest.mark.parametrize("prop", [WAND, CARD], ids=["solid", "flat"])
@pytest.mark.parametrize("count", [1, 4])
def test_exact_points_give_the_exact_pose(prop: Prop, count: int) -> None:
    cameras, true = ring_of_cameras(4)[:count], poses(10)
    found = locate_prop(prop, cameras, seen(prop, cameras, true, 0.0), 0.01)
    assert errors(found.world_from_prop, true).abs().max() < 1e-6
    assert not found.ambiguous.any()


def test_errors_are_as_large_as_the_covariance_says() -> None:
    cameras, true = ring_of_cameras(3), poses(60)
    found = locate_prop(WAND, cameras, seen(WAND, cameras, true, 0.5), 0.5)
    off = errors(found.world_from_prop, true)
    squared = torch.einsum("ti,tij,tj->t", off, torch.linalg.inv(found.covariance), off)
    # Six degrees of freedom: the mean is 6 with a standard error of 0.45; the Student-t loses a few percent.
    assert 4.5 < float(squared.mean()) < 7.8
    assert float((1e3 * off[:, 3:]).norm(dim=-1).median()) < 3.0
    assert float(found.rms_px.median()) == pytest.approx(0.5 * 2**0.5, rel=0.25)


def test_wrong_points_are_counted_and_change_little() -> None:
    cameras, true = ring_of_cameras(4), poses(20)
    xy = seen(WAND, cameras, true, 0.3)
    xy[:, 1, 2] += 60.0
    xy[:, 3, 4] -= torch.tensor([25.0, 80.0])
    found = locate_prop(WAND, cameras, xy, 0.3)
    assert errors(found.world_from_prop, true)[:, 3:].norm(dim=-1).max() < 5e-3
    assert (found.num_outliers == 2).all()
    clean = locate_prop(WAND, cameras, seen(WAND, cameras, true, 0.3), 0.3)
    assert (clean.num_outliers == 0).all()


def test_a_distant_flat_object_is_ambiguous_to_one_camera_and_not_to_two() -> None:
    cameras, true = ring_of_cameras(4, radius_m=6.0), poses(20, seed=3)
    xy = seen(CARD, cameras, true, 0.5)
    alone = locate_prop(CARD, cameras[:1], xy[:, :1], 0.5)
    together = locate_prop(CARD, cameras, xy, 0.5)
    turn_deg = torch.rad2deg(errors(alone.world_from_prop, true)[:, :3].norm(dim=-1))
    assert int(alone.ambiguous.sum()) >= 8
    assert bool((alone.ambiguous | (turn_deg < 15.0)).all()), "a wrong pose is owned up to"
    assert not together.ambiguous.any()
    assert torch.rad2deg(errors(together.world_from_prop, true)[:, :3].norm(dim=-1)).max() < 5.0


def test_points_may_be_split_between_cameras() -> None:
    """No camera alone sees more than four of six points."""
    cameras, true = ring_of_cameras(3), poses(10)
    xy = seen(WAND, cameras, true, 0.2)
    xy[:, 0, 4:], xy[:, 1, :2], xy[:, 2, :3] = torch.nan, torch.nan, torch.nan
    found = locate_prop(WAND, cameras, xy, 0.2)
    assert errors(found.world_from_prop, true)[:, 3:].norm(dim=-1).max() < 3e-3
    assert (found.num_points == 11).all()


def test_frames_with_too_little_are_unknown() -> None:
    cameras, true = ring_of_cameras(2), poses(3)
    xy = seen(WAND, cameras, true, 0.0)
    xy[1, :, 2:] = torch.nan
    found = locate_prop(WAND, cameras, xy)
    assert found.world_from_prop[1].isnan().all()
    assert found.world_from_prop[[0, 2]].isfinite().all()
    assert len(locate_prop(WAND, cameras, xy[:0]).rms_px) == 0


def test_tags_on_a_box_are_one_object() -> None:
    side = torch.eye(4, dtype=torch.float64)
    side[:3, :3] = roma.rotvec_to_rotmat(torch.tensor([0.0, np.pi / 2, 0.0], dtype=torch.float64))
    box = Prop.from_tags([(7, 0.05, torch.eye(4)), (9, 0.04, side)])
    assert box.names[:2] == ("7/0", "7/1")
    np.testing.assert_allclose(box.xyz_prop[2], [0.05, 0.05, 0.0])
    np.testing.assert_allclose(box.xyz_prop[5], [0.0, 0.0, -0.04], atol=1e-12)
    assert not box.is_flat
    assert CARD.is_flat


def test_objects_and_cameras_that_cannot_be_are_refused() -> None:
    with pytest.raises(CalibrationError, match="not on one line"):
        Prop(("a", "b", "c", "d"), torch.arange(4.0)[:, None].expand(4, 3).double())
    with pytest.raises(CalibrationError, match="different names"):
        Prop(("a", "a", "c", "d"), WAND.xyz_prop[:4])
    lost = ring_of_cameras(2).with_poses(torch.full((2, 4, 4), torch.nan, dtype=torch.float64))
    with pytest.raises(CalibrationError, match="pose is unknown"):
        locate_prop(WAND, lost, torch.zeros(1, 2, 6, 2))
    with pytest.raises(ValueError, match="expected"):
        locate_prop(WAND, ring_of_cameras(2), torch.zeros(1, 2, 5, 2))
