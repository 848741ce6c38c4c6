"""Whole-frame shifts and shifts of seconds from the board's turning, before any camera has a place."""

from dataclasses import replace

import pytest

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.rig.synthetic import BoardScene, FreeRun, carried_board, film_freely, ring_of_cameras
from calibration.timed.association import associate, frame_step_s, one_each, shifts
from calibration.timed.turning import ClockLink, clock_links

BOARD = Board(columns=5, rows=7, square_m=0.1, marker_m=0.075)
RATE_HZ = 8.0


@pytest.fixture(scope="module")
def scene() -> BoardScene:
    return film_freely(
        ring_of_cameras(),
        BOARD,
        carried_board(14.0, rate_hz=50.0, rest_s=0.0, lean_rad=0.3),
        50.0,
        RATE_HZ,
        FreeRun(),
        noise_px=0.3,
    )


def late(scene: BoardScene, by_s: dict[str, float]) -> list[BoardView]:
    """The same views with clocks that are behind."""
    return [replace(view, time_s=view.time_s - by_s.get(view.camera, 0.0)) for view in scene.views]


def found_shifts(scene: BoardScene, views: list[BoardView]) -> dict[str, float]:
    lenses = {name: scene.cameras[[name]] for name in scene.cameras.names}
    step_s = frame_step_s(views)
    links = clock_links(views, lenses, BOARD, step_s, 3.0)
    return {name: one.shift_s for name, one in shifts(links, list(lenses), step_s).items()}


@pytest.mark.parametrize("by_s", [0.0, -2 / RATE_HZ, 1.5])
def test_a_late_clip_is_found(scene: BoardScene, by_s: float) -> None:
    """To half a frame: the board turns slowly, and the adjustment does the rest."""
    found = found_shifts(scene, late(scene, {"cam3": by_s}))
    assert found.pop("cam3") == pytest.approx(by_s, abs=0.5 / RATE_HZ)
    assert max(abs(value) for value in found.values()) < 0.6 / RATE_HZ


@pytest.mark.parametrize(
    ("lag_s", "agreement", "at_zero", "shift_s"),
    [
        (0.7, 0.8, 0.1, 0.7),
        (0.7, 0.8, 0.75, 0.0),  # the clips' own times are as good
        (0.7, 0.5, 0.1, 0.0),  # noise
        (0.1, 0.5, 0.4, 0.1),
        (0.1, 0.3, 0.2, 0.0),
        (0.7, 0.8, float("nan"), 0.7),
    ],
)
def test_noise_moves_no_clip(lag_s: float, agreement: float, at_zero: float, shift_s: float) -> None:
    link = ClockLink(("a", "b"), lag_s, agreement, 0.5, at_zero)
    assert shifts([link], ["a", "b"], 0.1)["b"].shift_s == shift_s


def test_one_number_is_one_instant(scene: BoardScene) -> None:
    views = late(scene, {"cam2": 1.5})
    shift_s = {"cam1": 0.0, "cam2": 1.5, "cam3": 0.0, "cam4": 0.0}
    joined = associate(views, shift_s, 1 / RATE_HZ)
    true = {(v.camera, round(v.time_s, 6)): v.frame for v in scene.views}
    off = {v.frame - true[v.camera, round(v.time_s + shift_s[v.camera], 6)] for v in joined}
    assert len(off) == 1
    twice = [replace(view, time_s=view.time_s + 0.02) for view in joined[:5]]
    kept = one_each([*joined, *twice], shift_s)
    assert len(kept) == len(joined)
