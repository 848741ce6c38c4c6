from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporters import EXPORTERS, ExportError, Markers, Take, Timecode, export

from ..clients.walk import walking_character, walking_take

ezc3d = pytest.importorskip("ezc3d")


def measured(rate_hz: float = 30.0) -> Take:
    character = walking_character("Jörg", num_frames=12, rate_hz=rate_hz)
    generator = np.random.default_rng(1)
    contacts = np.zeros((12, 2))
    contacts[3:8, 0] = 0.9
    contacts[6:, 1] = 0.8
    motion = replace(
        character.motion,
        contacts=contacts,
        contact_names=("left_heel", "right_toe"),
        joint_std=generator.uniform(0.001, 0.02, (12, 24)),
    )
    xyz = generator.normal(size=(12, 2, 3))
    xyz[5, 1] = np.nan
    markers = Markers(("nose", "left_ear"), xyz, generator.uniform(0.001, 0.02, (12, 2)), np.full((12, 2), 3))
    return Take("walk", (replace(character, motion=motion, markers=markers),))


def read(file: Path) -> Any:
    return ezc3d.c3d(str(file))


@pytest.mark.parametrize("rate_hz", [24000 / 1001, 29.97, 30.0, 60.0, 120.0])
def test_points_come_back(rate_hz: float, tmp_path: Path) -> None:
    take = measured(rate_hz)
    character = take.characters[0]
    (file,) = export(take, tmp_path / "walk.c3d")
    found = read(file)
    point = found["parameters"]["POINT"]
    names = [*character.markers.names, *(f"{name}_joint" for name in character.motion.joint_names)]
    assert point["LABELS"]["value"] == names
    assert point["UNITS"]["value"] == ["mm"]
    assert point["RATE"]["value"][0] == pytest.approx(rate_hz, rel=1e-7)
    truth = np.concatenate([character.markers.xyz, character.motion.joints], axis=1) * 1000
    xyz = found["data"]["points"][:3].transpose(2, 1, 0)
    assert np.array_equal(np.isnan(xyz), np.isnan(truth))
    assert np.nanmax(np.abs(xyz - truth)) < 1e-3  # 0.001 mm


def test_residuals_are_standard_deviations(tmp_path: Path) -> None:
    take = measured()
    character = take.characters[0]
    (file,) = export(take, tmp_path / "walk.c3d")
    meta = read(file)["data"]["meta_points"]
    truth_mm = np.concatenate([character.markers.std, character.motion.joint_std], axis=1).T * 1000
    residual = meta["residuals"][0]
    assert residual[1, 5] == -1, "missing"
    residual[1, 5] = truth_mm[1, 5] = 0
    assert np.abs(residual - truth_mm).max() <= 0.1
    assert meta["camera_masks"][:, 0].sum(axis=0).tolist() == [3] * 12


def test_steps_are_events(tmp_path: Path) -> None:
    (file,) = export(measured(), tmp_path / "walk.c3d")
    event = read(file)["parameters"]["EVENT"]
    seconds = event["TIMES"]["value"][0] * 60 + event["TIMES"]["value"][1]
    assert event["LABELS"]["value"] == ["Foot Strike", "Foot Strike", "Foot Off"]
    assert event["CONTEXTS"]["value"] == ["Left", "Right", "Left"]
    assert seconds == pytest.approx([0.1, 0.2, 8 / 30], abs=1e-6)


def test_a_range_and_its_timecode(tmp_path: Path) -> None:
    take = replace(measured(), timecode=Timecode.parse("10:00:00:00", 30))
    (file,) = export(take, tmp_path / "walk.c3d", start_frame=4, end_frame=-2)
    found = read(file)
    assert found["data"]["points"].shape[2] == 6
    assert found["parameters"]["TRIAL"]["START_TIMECODE"]["value"] == ["10:00:00:04"]


def test_more_frames_than_the_format_counts() -> None:
    character = walking_character(num_frames=2)
    frames = np.zeros(65536, dtype=int)
    motion = character.motion
    long = replace(
        motion,
        **{
            name: getattr(motion, name)[frames]
            for name in ("poses", "trans", "time_s", "joints", "joint_std")
        },
        contacts=np.zeros((65536, 0)),
    )
    with pytest.raises(ExportError, match="65536 frames, and C3D holds 1 to 65535"):
        EXPORTERS["c3d"](Take("long", (replace(character, motion=long),)))


def test_one_line_when_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ezc3d", None)
    with pytest.raises(ExportError, match=r"C3D needs ezc3d; pip install 'mocap-studio\[formats\]'"):
        EXPORTERS["c3d"](walking_take(num_frames=2))
