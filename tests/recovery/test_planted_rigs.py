"""Planted truth: rigs of many shapes come back from projected corners alone, lenses unknown.

Millimetres and degrees are the largest over a rig's cameras after laying the rigs on each other.
A lens's centre and its camera's direction trade with each other: degrees are small only where boards reach
the edges of the images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import roma
import torch
from torch import Tensor

from calibration import Cameras
from calibration.boards.board import Board
from calibration.lenses.models import FISHEYE
from calibration.rig.calibrate import RigCalibration, RigOptions, calibrate_rig
from calibration.rig.synthetic import FreeRun, carried_board, film_freely, looking_at, ring_of_cameras
from tests.calibration.off_truth import off_by

BOARD = Board(columns=6, rows=8, square_m=0.1, marker_m=0.075)
PATH_HZ, RATE_HZ = 100.0, 8.0


def wall(count: int, *, apart_m: float = 1.0, distance_m: float = 3.0) -> Cameras:
    """Cameras in a row, all looking at the same place."""
    ring = ring_of_cameras(count)
    middle = torch.tensor([0.0, 0.0, 0.9], dtype=torch.float64)
    across = (torch.arange(count, dtype=torch.float64) - 0.5 * (count - 1)) * apart_m
    centers = torch.stack(
        [across, torch.full_like(across, -distance_m), 1.5 + 0.2 * (across / apart_m).sin()], -1
    )
    return ring.with_poses(torch.stack([looking_at(center, middle) for center in centers]))


def corridor(count: int) -> Cameras:
    """Cameras side by side that look straight ahead: neighbours share a view, the others do not."""
    ring = ring_of_cameras(count)
    across = (torch.arange(count, dtype=torch.float64) - 0.5 * (count - 1)) * 1.6
    centers = torch.stack([across, torch.full_like(across, -2.4), torch.full_like(across, 1.2)], -1)
    ahead = torch.tensor([0.0, 3.0, -0.3], dtype=torch.float64)
    return ring.with_poses(torch.stack([looking_at(center, center + ahead) for center in centers]))


def with_lens(cameras: Cameras, focal_px: float, k: tuple[float, ...], model: str = "pinhole") -> Cameras:
    return replace(
        cameras,
        focal_px=torch.full_like(cameras.focal_px, focal_px),
        distortion=torch.tensor([k], dtype=torch.float64).repeat(len(cameras), 1),
        model=model,
    )


def ring_path(seconds: float) -> Tensor:
    """Carried round all over the space, up to the edges of the images, for cameras on all sides in turn."""
    return carried_board(seconds, rate_hz=PATH_HZ, rest_s=1.0, reach_m=1.7, lean_rad=0.4)


def wall_path(seconds: float, reach_m: float = 1.1, across_m: float = 0.0) -> Tensor:
    """Waved before cameras on one side: it always faces them more or less."""
    time = torch.arange(round(seconds * PATH_HZ), dtype=torch.float64) / PATH_HZ
    pose = torch.eye(4, dtype=torch.float64).repeat(len(time), 1, 1)
    # The print faces -y; tilts come on top of that.
    upright = roma.rotvec_to_rotmat(torch.tensor([-math.pi / 2, 0.0, 0.0], dtype=torch.float64))
    tilt = torch.stack([0.6 * (1.3 * time).sin(), 0.6 * (1.0 * time).sin(), 0.8 * (0.37 * time).sin()], -1)
    pose[:, :3, :3] = upright @ roma.rotvec_to_rotmat(tilt)
    pose[:, 0, 3] = reach_m * (0.83 * time).sin() + across_m * (0.15 * time).sin() - 0.3
    pose[:, 1, 3] = 0.9 * (0.31 * time).cos() - 0.4
    pose[:, 2, 3] = 1.3 + 0.6 * (0.59 * time).sin()
    return pose


@dataclass(frozen=True)
class Scenario:
    """A rig, a path, how the clocks run, and how well it must come back."""

    cameras: Callable[[], Cameras]
    path: Callable[[], Tensor]
    mm: float
    degrees: float
    focal: float = 0.003
    run: FreeRun = field(default_factory=FreeRun)
    ms: float = 1.0
    noise_px: float = 0.5


LOOSE = FreeRun(
    offset_s=(0.0, 0.5, -0.37, 0.22), drift=(0.0, 1e-4, -1e-4, 5e-5), line_delay_s=3e-5, jitter_s=0.002
)
QUICK = {
    "ring of 4": Scenario(lambda: ring_of_cameras(4), lambda: ring_path(40.0), 10.0, 0.4),
    "free running": Scenario(
        lambda: ring_of_cameras(4), lambda: ring_path(40.0), 10.0, 0.3, run=LOOSE, ms=2.0
    ),
}
SLOW = {
    "ring of 8": Scenario(lambda: ring_of_cameras(8), lambda: ring_path(40.0), 8.0, 0.2),
    "ring of 16": Scenario(lambda: ring_of_cameras(16), lambda: ring_path(40.0), 8.0, 0.2),
    "wall of 4": Scenario(lambda: wall(4), lambda: wall_path(30.0), 6.0, 0.15),
    "narrow": Scenario(lambda: wall(2, apart_m=0.25), lambda: wall_path(30.0), 2.0, 0.15),
    "wide lens": Scenario(
        lambda: with_lens(wall(4), 620.0, (-0.25, 0.07, 0.0, 0.0, -0.008)), lambda: wall_path(30.0), 6.0, 0.2
    ),
    "fisheye": Scenario(
        lambda: with_lens(wall(4), 420.0, (0.03, -0.01, 0.004, -0.001, 0.0), "fisheye"),
        lambda: wall_path(40.0, reach_m=2.0),
        10.0,
        0.3,
        focal=0.006,
    ),
    "chain": Scenario(lambda: corridor(5), lambda: wall_path(60.0, 0.8, 3.6), 15.0, 0.3),
}


WEAK = {
    "ring, boards in the middle": lambda: (ring_of_cameras(4), middle_path(40.0)),
    "ring of 8, boards in the middle": lambda: (ring_of_cameras(8), middle_path(30.0)),
    "wall of wide lenses, boards in the middle": lambda: (
        with_lens(wall(4), 620.0, (-0.25, 0.07, 0.0, 0.0, -0.008)),
        wall_path(20.0, reach_m=0.4),
    ),
    "a short clip": lambda: (ring_of_cameras(4), middle_path(12.0, reach_m=0.8)),
    "ring": lambda: (ring_of_cameras(4), ring_path(30.0)),
    "wall": lambda: (wall(4), wall_path(20.0)),
}
"""Rigs that boards determine well and badly."""


def middle_path(seconds: float, reach_m: float = 0.3) -> Tensor:
    """Turned about one place: from all sides it stays in the middle third of the images."""
    return carried_board(seconds, rate_hz=PATH_HZ, rest_s=1.0, reach_m=reach_m, lean_rad=0.4)


def errors(found: Cameras, truth: Cameras) -> tuple[float, float, float]:
    """Millimetres, degrees and parts of the focal length; the rigs are laid on each other by their turns."""
    mean = (truth.cam_from_world[:, :3, :3].mT @ found.cam_from_world[:, :3, :3]).sum(0)
    rotation = roma.special_procrustes(mean)
    centers = found.centers_world @ rotation.T
    centers = centers + (truth.centers_world - centers).mean(0)
    apart = (centers - truth.centers_world).norm(dim=-1).max()
    turned = found.cam_from_world[:, :3, :3] @ rotation.T
    turn = roma.rotmat_geodesic_distance(turned, truth.cam_from_world[:, :3, :3])
    focal = (found.focal_px / truth.focal_px - 1.0).abs().max()
    return 1e3 * float(apart), float(torch.rad2deg(turn).max()), float(focal)


def calibrated(scenario: Scenario, seed: int = 3) -> tuple[RigCalibration, Cameras]:
    truth = scenario.cameras()
    scene = film_freely(
        truth,
        BOARD,
        scenario.path(),
        PATH_HZ,
        RATE_HZ,
        scenario.run,
        noise_px=scenario.noise_px,
        seed=seed,
    )
    options = RigOptions(max_frames=400, halves=False)
    return calibrate_rig(scene.views, {}, BOARD, size_px=scene.size_px, options=options), truth


def check(scenario: Scenario) -> RigCalibration:
    found, truth = calibrated(scenario)
    mm, degrees, focal = errors(found.cameras, truth)
    assert mm < scenario.mm
    assert degrees < scenario.degrees
    assert focal < scenario.focal
    offset_s = dict(zip(truth.names, scenario.run.offset_s or [0.0] * len(truth), strict=True))
    for name, clock in found.clocks.items():
        assert clock.offset_s == pytest.approx(offset_s[name], abs=1e-3 * scenario.ms)
    return found


@pytest.mark.parametrize("name", QUICK)
def test_a_rig_comes_back(name: str) -> None:
    check(QUICK[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_rigs_of_all_shapes_come_back(name: str) -> None:
    found = check(SLOW[name])
    if name == "fisheye":
        assert found.cameras.model == (FISHEYE.model,) * 4
    if name == "chain":
        linked = {pair.cameras for pair in found.pairs if pair.agreement > 0.5}
        assert ("cam1", "cam5") not in linked


@pytest.mark.slow
def test_it_beats_the_published_figures_on_an_equal_scene() -> None:
    """0.5 px noise, lenses unknown: Caliscope's joint adjustment gives 1.3 mm, 0.03 degrees, focal 0.11 %.

    Theirs is measured with the target all over the space; so is this one, from a minute of footage.
    """
    scenario = Scenario(lambda: wall(4, apart_m=1.2), lambda: wall_path(60.0, reach_m=1.5), 1.3, 0.03, 0.0011)
    check(scenario)


@pytest.mark.slow
def test_errors_are_as_large_as_told() -> None:
    """Two thirds of all errors are within one standard deviation, whatever the boards left open."""
    parts: list[Tensor] = []
    for name, planted in WEAK.items():
        truth, path = planted()
        own: list[Tensor] = []
        for seed in (21, 22):
            scene = film_freely(truth, BOARD, path, PATH_HZ, RATE_HZ, FreeRun(), noise_px=0.5, seed=seed)
            options = RigOptions(max_frames=400, halves=False, clocks=False)
            found = calibrate_rig(
                scene.views, {}, BOARD, size_px=scene.size_px, time_s=scene.time_s, options=options
            )
            std = found.covariance.diagonal(dim1=-2, dim2=-1).sqrt()[:, :10]
            own.append((off_by(found.cameras, truth) / std).flatten())
        size = torch.cat(own).abs()
        assert float(size.square().mean().sqrt()) < 1.6, name
        assert float(size.max()) < 5.0, name
        parts.append(size)
    every = torch.cat(parts)
    assert 0.58 < float((every < 1.0).double().mean()) < 0.82
    assert 0.90 < float((every < 2.0).double().mean()) < 0.99
