"""Footage names against calibration names."""

import pytest

from calibration import CalibrationError, match_names


@pytest.mark.parametrize(
    ("wanted", "available", "expected"),
    [
        (["b", "a"], ["a", "b", "c"], ["b", "a"]),
        (["cam01", "cam02"], ["int_cam01_img", "int_cam02_img"], ["int_cam01_img", "int_cam02_img"]),
        (["cam_01"], ["cam1"], ["cam1"]),
        (["CAM-2", "Cam 1"], ["cam_01", "cam_02"], ["cam_02", "cam_01"]),
        (["cam1", "cam10", "cam11"], ["cam_10", "cam_11", "cam_01"], ["cam_01", "cam_10", "cam_11"]),
        # An exact name is taken, so it is no candidate for the other one.
        (["cam1", "left"], ["cam1", "left_cam1"], ["cam1", "left_cam1"]),
        (["left_cam1", "cam1"], ["cam1", "left_cam1", "right_cam1"], ["left_cam1", "cam1"]),
        (["GX010012-left"], ["left", "right"], ["left"]),
    ],
)
def test_names_that_belong_together(wanted: list[str], available: list[str], expected: list[str]) -> None:
    assert match_names(wanted, available) == dict(zip(wanted, expected, strict=True))


@pytest.mark.parametrize(
    ("wanted", "available", "why"),
    [
        (["cam1"], ["cam10", "cam11"], "camera cam1 has no counterpart"),
        (["cam"], ["cam1", "cam2"], "camera cam fits cam1 and cam2"),
        (["cam1_left", "cam1_right"], ["cam1"], "cameras cam1_left and cam1_right both fit cam1"),
        (["cam1"], ["1_cam", "camera1"], "no counterpart"),
        (["___"], ["cam1"], "no counterpart"),
        (["cam1"], [], "no counterpart"),
    ],
)
def test_names_that_are_not_clear(wanted: list[str], available: list[str], why: str) -> None:
    """The message names the trouble and lists both sides."""
    with pytest.raises(CalibrationError, match=why) as error:
        match_names(wanted, available)
    assert all(name in str(error.value) for name in (*wanted, *available))
