from __future__ import annotations

from itertools import product
from typing import get_args

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from exporters.axes import RIG, WORLD, Axes, Direction, Unit
from exporters.errors import ExportError

ALL_AXES = [
    Axes(up, forward, handedness, "cm")
    for up, forward in product(get_args(Direction), get_args(Direction))
    if up[1] != forward[1]
    for handedness in ("right", "left")
]


def test_our_world_becomes_y_up_centimetres() -> None:
    target = Axes("+y", "+z", unit="cm")
    # A point to the right on the world's x, in front of a viewer who looks along +y, and 3 m high.
    assert np.allclose(target.points(np.array([1.0, 2.0, 3.0]), WORLD), [100.0, 300.0, -200.0])


def test_rig_in_the_world_is_a_quarter_turn_about_x() -> None:
    expected = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    assert np.allclose(WORLD.from_axes(RIG), expected)


@pytest.mark.parametrize("axes", ALL_AXES, ids=lambda axes: f"{axes.up}{axes.forward}{axes.handedness}")
def test_any_axes_keep_lengths_and_go_back(axes: Axes) -> None:
    change = axes.from_axes(WORLD)
    assert np.allclose(change @ change.T, np.eye(3))
    assert np.linalg.det(change) == pytest.approx(1.0 if axes.handedness == "right" else -1.0)
    xyz = np.random.default_rng(0).normal(size=(4, 5, 3))
    there = axes.points(xyz, WORLD)
    assert np.allclose(np.linalg.norm(there, axis=-1), np.linalg.norm(xyz, axis=-1) * 100)
    assert np.allclose(WORLD.points(there, axes), xyz, atol=1e-14)
    assert np.allclose(axes.points(np.array([0, 0, 1.0]), WORLD) @ axes.basis[:, 1], 100)


@pytest.mark.parametrize("axes", ALL_AXES, ids=lambda axes: f"{axes.up}{axes.forward}{axes.handedness}")
def test_turning_and_converting_may_be_swapped(axes: Axes) -> None:
    rotation = Rotation.random(6, rng=np.random.default_rng(1)).as_matrix()
    xyz = np.random.default_rng(2).normal(size=(6, 3))
    turned = axes.points(np.einsum("nij,nj->ni", rotation, xyz), WORLD)
    assert np.allclose(
        turned, np.einsum("nij,nj->ni", axes.rotations(rotation, WORLD), axes.points(xyz, WORLD))
    )


def test_unreal_is_left_handed_z_up() -> None:
    unreal = Axes("+z", "+x", "left", "cm")
    # Facing +x with z up, a left-handed system has its +y on the character's right.
    left, up, forward = unreal.basis.T
    assert left.tolist() == [0, -1, 0]
    assert up.tolist() == [0, 0, 1]
    assert forward.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("unit", "one_metre"), [("m", 1.0), ("cm", 100.0), ("mm", 1000.0), ("inch", 1 / 0.0254)]
)
def test_units(unit: Unit, one_metre: float) -> None:
    target = Axes("+z", "-y", unit=unit)
    assert target.points(np.array([1.0, 0.0, 0.0]), WORLD)[0] == pytest.approx(one_metre, rel=1e-15)


def test_impossible_axes_and_units_are_refused() -> None:
    with pytest.raises(ValueError, match="different axes"):
        Axes("+z", "-z")
    with pytest.raises(ExportError, match="choose one of m, cm, mm, inch"):
        Axes("+z", "-y", unit="foot")  # type: ignore[arg-type]
