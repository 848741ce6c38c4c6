"""Planted truth: clocks from people who walk, seen with a detector's slow errors; nobody claps."""

from dataclasses import replace

import numpy as np
import pytest

from mocap.clocks import Footage, find_clocks
from mocap.clocks.recorded import Recorded
from mocap.settings import SyncSettings
from mocap.sides import mirror

pytestmark = pytest.mark.slow


def found(scene, keypoints=None):
    """The clocks of a walk."""
    keypoints = keypoints or scene.keypoints
    labels = {name: Recorded(30.0) for name in keypoints}
    return find_clocks(Footage(list(keypoints), labels, keypoints, scene.cameras), SyncSettings())


def errors_s(clock, scene) -> tuple[np.ndarray, np.ndarray]:
    """Errors of the offsets against the first camera, and their standard deviations, seconds."""
    names = [name for name in scene.cameras.names if name not in clock.left_out]
    true = np.array([scene.offset_s[name] for name in names])
    offset = np.array([clock.cameras[name].offset_s for name in names])
    std = np.array([clock.cameras[name].std_s for name in names])
    return (offset - offset[0] - true + true[0])[1:], std[1:]


@pytest.mark.parametrize(("cameras", "people"), [(4, 1), (6, 1), (5, 2)])
def test_offsets_within_three_milliseconds_and_honest_deviations(walks, cameras: int, people: int) -> None:
    errors, stds = [], []
    for seed in range(300, 306):
        scene = walks.walk(cameras=cameras, people=people, seconds=12.0, seed=seed, late_s=4.0)
        scene = walks.with_people_in_random_rows(scene)
        clock = found(scene)
        assert not clock.left_out
        error, std = errors_s(clock, scene)
        errors.append(error)
        stds.append(std)
    error, std = np.concatenate(errors), np.concatenate(stds)
    assert (np.abs(error) < 3e-3).mean() > 0.9
    assert np.sqrt(np.mean(error**2)) < 2e-3
    assert 0.5 < np.sqrt(np.mean((error / std) ** 2)) < 1.5


def test_one_camera_of_another_take_is_identified(walks) -> None:
    for seed in range(310, 314):
        scene = walks.walk(cameras=5, seconds=12.0, seed=seed, late_s=1.0)
        other = walks.walk(cameras=scene.cameras, seconds=12.0, seed=seed + 50, late_s=1.0)
        mixed = {**scene.keypoints, "cam3": other.keypoints["cam3"]}
        clock = found(scene, mixed)
        assert list(clock.left_out) == ["cam3"]
        assert np.abs(errors_s(clock, scene)[0]).max() < 6e-3


@pytest.mark.parametrize("cameras", [3, 4, 5])
def test_exchanged_names_and_a_mirrored_picture_are_said(walks, cameras: int) -> None:
    scene = walks.walk(cameras=cameras, seconds=8.0, seed=320 + cameras, late_s=1.0)
    one, two = scene.keypoints["cam1"], scene.keypoints["cam2"]
    notes = found(scene, {**scene.keypoints, "cam1": two, "cam2": one}).notes
    assert sum("the footage of cam1 and cam2 is exchanged" in note for note in notes) == 2, notes
    other = mirror(two.keypoint_names)
    flipped = two.xy_px[:, :, other] * [-1, 1] + [two.size_px[0] - 1, 0]
    mirrored = replace(two, xy_px=flipped, score=two.score[:, :, other])
    clock = found(scene, {**scene.keypoints, "cam2": mirrored})
    assert list(clock.left_out) == ["cam2"]
    assert "its picture is mirrored" in clock.left_out["cam2"]
