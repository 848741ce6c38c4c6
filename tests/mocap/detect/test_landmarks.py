"""Landmarks: reading the heatmap, the mirror, and that neither crop nor mirror shifts the points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mocap.detect.landmarks import (
    KEYPOINT_NAMES,
    MIRRORED,
    LandmarkNetwork,
    refine,
    unmirrored,
)
from mocap.detect.person import PersonDetector
from mocap.detect.region import Floats, Region


def heatmap_with(column: float, row: float, peak: float = 3.0) -> Floats:
    """(64, 64, 1) logits of a hill about a cell."""
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    return (peak - ((x - column) ** 2 + (y - row) ** 2) * 2.0)[..., None]


@pytest.mark.parametrize(("column", "row"), [(20.0, 41.0), (20.4, 40.7)])
def test_refinement_goes_to_the_hill_and_a_cell_is_its_index(column: float, row: float) -> None:
    uv, peak = refine(np.array([[(column + 1.2) / 64, (row - 1.1) / 64]]), heatmap_with(column, row))
    np.testing.assert_allclose(
        uv[0] * 64, [column, row], atol=0.05
    )  # half a cell more would be measured as wrong
    assert peak[0] == pytest.approx(1 / (1 + np.exp(-heatmap_with(column, row).max())))


def test_refinement_sees_seven_by_seven_cells() -> None:
    heatmap = np.full((64, 64, 1), -50.0)
    heatmap[30, 33] = 5.0
    for offset, seen in ((3, True), (4, False)):
        uv, peak = refine(np.array([[(33 + offset + 0.5) / 64, 30.5 / 64]]), heatmap)
        assert bool(peak[0] > 0.5) is seen
        assert bool(abs(uv[0, 0] * 64 - 33) < 1e-6) is seen


def test_a_flat_heatmap_moves_nothing_and_tells_its_height() -> None:
    given = np.array([[0.123, 0.456]])
    uv, peak = refine(given, np.full((64, 64, 1), -2.0))
    np.testing.assert_array_equal(uv, given)
    assert peak[0] == pytest.approx(1 / (1 + np.exp(2)))


@pytest.mark.parametrize("place", [(-0.2, 0.5), (0.5, 1.01), (np.inf, 0.5)])
def test_a_point_outside_the_crop_has_no_score(place: tuple[float, float]) -> None:
    with np.errstate(invalid="ignore"):
        uv, peak = refine(np.array([place]), np.full((64, 64, 1), 5.0))
    assert peak[0] == 0
    np.testing.assert_array_equal(uv, [place])


def test_the_window_ends_at_the_border() -> None:
    uv, peak = refine(np.array([[0.999, 0.001]]), heatmap_with(63, 0))
    np.testing.assert_allclose(uv[0] * 64, [63, 0], atol=0.5)
    assert peak[0] > 0.9


def test_the_mirror_swaps_sides() -> None:
    assert len(KEYPOINT_NAMES) == len(set(KEYPOINT_NAMES)) == 33
    np.testing.assert_array_equal(MIRRORED[MIRRORED], np.arange(35))
    for name, other in (("left_knee", "right_knee"), ("mouth_left", "mouth_right"), ("nose", "nose")):
        assert KEYPOINT_NAMES[MIRRORED[KEYPOINT_NAMES.index(name)]] == other
    uv = np.random.default_rng(0).random((35, 2))
    twice, _, _ = unmirrored(*unmirrored(uv, np.zeros(35), 1.0))
    np.testing.assert_allclose(twice, uv)


class SpotNetwork(LandmarkNetwork):
    """Puts every point on the centre of the bright spot that it sees, as exactly as a picture allows."""

    def __init__(self, mirror: bool) -> None:
        self._mirror = mirror

    def read_crop(self, crop: NDArray[np.float32]) -> tuple[Floats, Floats, float]:
        light = crop[..., 0].astype(float)
        middle = (np.arange(256) + 0.5) / 256
        uv = np.array([light.sum(axis=0) @ middle, light.sum(axis=1) @ middle]) / light.sum()
        return np.tile(uv, (35, 1)), np.ones(35), 1.0


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("angle_deg", [0.0, 33.0, 180.0])
@pytest.mark.parametrize("shift", [0.0, 0.3, 7.7])
def test_a_spot_is_found_where_it_is(mirror: bool, angle_deg: float, shift: float) -> None:
    x, y = np.meshgrid(np.arange(400), np.arange(300))
    spot = np.array([210.4, 143.7])
    rgb = np.repeat(255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 200)[..., None], 3, 2).astype(
        np.uint8
    )
    region = Region((200.0 + shift, 150.0 - shift), 150.0, np.deg2rad(angle_deg))
    pose = SpotNetwork(mirror).pose(rgb, region)
    np.testing.assert_allclose(pose.xy_px, np.tile(spot, (33, 1)), atol=0.06)


@pytest.mark.footage
def test_the_real_network_agrees_with_itself_in_the_mirror(
    first_frames: dict[str, NDArray[np.uint8]], person: PersonDetector, full: LandmarkNetwork
) -> None:
    """Half a cell in the heatmap's convention would show as a whole cell between picture and mirror image."""
    apart = []
    for rgb in first_frames.values():
        region = full.pose(rgb, person.regions(rgb)[0]).region
        crop = region.cut_out(rgb, 256).astype(np.float32) / np.float32(255)
        uv, score, _ = full.read_crop(crop)
        uv_m, score_m, _ = unmirrored(*full.read_crop(np.ascontiguousarray(crop[:, ::-1])))
        apart.append(64 * (uv - uv_m)[(score > 0.7) & (score_m > 0.7)])
    assert np.abs(np.median(np.concatenate(apart), axis=0)).max() < 0.3


@pytest.mark.footage
def test_the_real_network_follows_the_crop(
    first_frames: dict[str, NDArray[np.uint8]], person: PersonDetector, full: LandmarkNetwork
) -> None:
    """Points do not move with the crop: a wrong mapping from crop to image would carry them along."""
    apart = []
    for rgb in first_frames.values():
        region = full.pose(rgb, person.regions(rgb)[0]).region
        (x, y), side = region.center_px, region.side_px
        left = full.pose(rgb, replace(region, center_px=(x - 0.02 * side, y - 0.02 * side)))
        right = full.pose(rgb, replace(region, center_px=(x + 0.02 * side, y + 0.02 * side)))
        sure = (left.score > 0.7) & (right.score > 0.7)
        apart.append((left.xy_px - right.xy_px)[sure] / (0.04 * side))
    assert np.abs(np.median(np.concatenate(apart), axis=0)).max() < 0.1  # 1 where they are carried along
