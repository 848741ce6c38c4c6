from dataclasses import replace

import pytest
import torch

from calibration.cameras import Cameras
from calibration.rig.synthetic import ring_of_cameras
from mocap.errors import ConfigError
from mocap.settings import WorldSettings
from mocap.world import measured, place


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    return ring_of_cameras(4)


def distance_m(cameras: Cameras, first: int, second: int) -> float:
    return float((cameras.centers_world[first] - cameras.centers_world[second]).norm())


def test_nothing_asked_nothing_changed(cameras: Cameras) -> None:
    placed, told = place(cameras, WorldSettings(), None)
    assert placed is cameras
    assert told == {}


def test_a_measured_distance_sets_the_scale(cameras: Cameras) -> None:
    one, two = cameras.names[0], cameras.names[2]
    wanted = 1.1 * distance_m(cameras, 0, 2)
    placed, told = place(cameras, WorldSettings(distances_m={f"{one} {two}": wanted}), None)
    assert distance_m(placed, 0, 2) == pytest.approx(wanted)
    assert distance_m(placed, 1, 3) == pytest.approx(1.1 * distance_m(cameras, 1, 3))
    assert told["scale"] == pytest.approx(1.1)


def test_a_tape_is_compared_with_the_calibration(cameras: Cameras) -> None:
    one, two, three = cameras.names[:3]
    ((ours, tape),) = measured(cameras, {f"{one} {two}": 2.0})
    assert tape == 2.0
    assert ours == pytest.approx(float((cameras[one].centers_world - cameras[two].centers_world).norm()))
    other = distance_m(cameras, 0, 2)
    lengths = {f"{one} {two}": 2.0 * ours, f"{one} {three}": 2.2 * other}
    _, told = place(cameras, WorldSettings(distances_m=lengths), None)
    assert 2.0 < told["scale"] < 2.2
    with pytest.raises(ConfigError, match="what the tape says"):
        measured(cameras, {f"{one} {two}": 0.0})


def test_heights_set_the_floor(cameras: Cameras) -> None:
    raised = cameras.centers_world[:, 2] + 0.25
    heights = dict(zip(cameras.names, raised.tolist(), strict=True))
    placed, _ = place(cameras, WorldSettings(heights_m=heights), None)
    torch.testing.assert_close(placed.centers_world[:, 2], raised)


def test_measured_points_set_the_world(cameras: Cameras) -> None:
    shift = torch.tensor([1.0, -2.0, 0.1], dtype=torch.float64)
    points = {"a": (0.0, 0.0, 0.0), "b": (0.5, 0.0, 0.0), "the door": (0.0, 0.4, 0.2)}
    here = torch.tensor(list(points.values()), dtype=torch.float64)
    xy, _ = cameras.project(here - shift)
    marks = {
        f"{camera} {name}": tuple(xy[row, column].tolist())
        for row, camera in enumerate(cameras.names)
        for column, name in enumerate(points)
    }
    placed, told = place(cameras, WorldSettings(points_m=points, points_px=marks), None)
    torch.testing.assert_close(placed.centers_world, cameras.centers_world + shift, atol=1e-6, rtol=0)
    assert max(told["points_error_m"].values()) < 1e-6


def test_an_older_rig_gives_its_world(cameras: Cameras) -> None:
    turned, _ = place(cameras, WorldSettings(x="y"), None)
    placed, told = place(turned, WorldSettings(), cameras)
    torch.testing.assert_close(placed.centers_world, cameras.centers_world, atol=1e-6, rtol=0)
    assert told["aligned"]["moved"] == {}
    with pytest.raises(ConfigError, match="leave one of them out"):
        place(turned, WorldSettings(heights_m={cameras.names[0]: 1.0}), cameras)


@pytest.mark.parametrize(
    "settings",
    [
        WorldSettings(distances_m={"nobody here": 1.0}),
        WorldSettings(points_m={"a": (1.0, 2.0)}, points_px={}),
        WorldSettings(points_m={"a": (1.0, 2.0, 0.0)}, points_px={"cam9 a": (1.0, 2.0)}),
    ],
)
def test_what_cannot_be_meant(settings: WorldSettings, cameras: Cameras) -> None:
    with pytest.raises(ConfigError):
        place(cameras, replace(settings), None)
