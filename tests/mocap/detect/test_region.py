"""The rotated square: where its places lie in the image, and that its picture is not shifted a bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mocap.detect.region import ENLARGE, Region, region_of_person, same_place, whole_image


def ramp(width: int, height: int) -> NDArray[np.uint8]:
    """Red grows with x, green with y: the colour tells the place."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x, y, np.zeros_like(x)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, -100.0, 180.0])
@pytest.mark.parametrize("center", [(100.0, 120.0), (100.3, 119.75)])
def test_pixels_of_the_picture_are_those_of_the_image(angle_deg: float, center: tuple[float, float]) -> None:
    region = Region(center, 97.0, np.deg2rad(angle_deg))
    picture = region.cut_out(ramp(240, 230), 64).astype(float)
    column, row = np.meshgrid(np.arange(64), np.arange(64))
    wanted = region.image_from_uv((np.stack([column, row], axis=2) + 0.5) / 64)
    error = picture[..., :2] - wanted
    assert np.abs(error).max() < 0.6  # rounding to whole grey levels, and OpenCV's 1/32 pixel steps
    assert (
        np.abs(error.mean(axis=(0, 1))).max() < 0.03
    )  # and no bias: half a pixel of the picture would be 0.75


def test_the_mirrored_image_gives_the_mirrored_picture() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    region = Region((50.0, 40.0), 64.0, 0.0)
    mirrored = Region((119 - 50.0, 40.0), 64.0, 0.0)
    seen = mirrored.cut_out(np.ascontiguousarray(rgb[:, ::-1]), 64)[:, ::-1].astype(int)
    assert np.abs(seen - region.cut_out(rgb, 64)).max() <= 1


def test_outside_the_image() -> None:
    rgb = np.full((20, 20, 3), 200, np.uint8)
    region = Region((0.0, 10.0), 20.0, 0.0)
    assert region.cut_out(rgb, 20).min() == 200
    assert region.cut_out(rgb, 20, black_outside=True)[:, 0].max() == 0


def test_the_whole_image_fits_exactly() -> None:
    region = whole_image((200, 100))
    np.testing.assert_allclose(
        region.image_from_uv(np.array([[0.0, 0.25], [1.0, 0.75]])), [[-0.5, -0.5], [199.5, 99.5]]
    )


@pytest.mark.parametrize("direction_deg", [0.0, 45.0, 170.0, -90.0])
def test_a_person_stands_upright_in_the_region(direction_deg: float) -> None:
    center = np.array([300.0, 200.0])
    angle = np.deg2rad(direction_deg)
    top = center + 80 * np.array([np.sin(angle), -np.cos(angle)])  # clockwise from the image's up
    region = region_of_person(center, top)
    assert region.side_px == pytest.approx(160 * ENLARGE)
    np.testing.assert_allclose(region.image_from_uv(np.array([0.5, 0.5])), center)
    np.testing.assert_allclose(
        region.image_from_uv(np.array([0.5, 0.5 - 80 / region.side_px])), top, atol=1e-9
    )
    right = region.image_from_uv(np.array([1.0, 0.5])) - center
    np.testing.assert_allclose(
        right, region.side_px / 2 * np.array([np.cos(angle), np.sin(angle)]), atol=1e-9
    )


def test_same_place() -> None:
    region = Region((100.0, 100.0), 50.0, 0.0)
    assert same_place(region, Region((103.0, 102.0), 60.0, 3.0))
    assert not same_place(region, Region((108.0, 100.0), 50.0, 0.0))
    assert not same_place(region, Region((100.0, 100.0), 80.0, 0.0))
