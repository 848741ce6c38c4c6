from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from exporters import ExportError, Take
from exporters.json_file import export_json
from exporters.table import export_csv, export_trc

from ..clients.walk import walking_character, walking_take


def with_a_gap() -> Take:
    character = walking_character(num_frames=6)
    joints = character.motion.joints.copy()
    joints[2, 5] = np.nan
    std = np.full(joints.shape[:2], 0.004)
    motion = replace(
        character.motion,
        joints=joints,
        joint_std=std,
        contacts=np.linspace(0, 1, 6)[:, None],
        contact_names=("left_foot",),
    )
    return Take("walk", (replace(character, motion=motion),))


@pytest.mark.parametrize(("unit", "scale", "digits"), [("m", 1.0, 6), ("mm", 1000.0, 3)])
def test_trc_is_what_opensim_reads(unit: str, scale: float, digits: int) -> None:
    take = with_a_gap()
    motion = take.characters[0].motion
    data = bytes(export_trc(take, unit=unit)["0.trc"])
    lines = data.decode().split("\n")
    numbers = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert numbers["NumFrames"] == "6"
    assert numbers["NumMarkers"] == "24"
    assert numbers["Units"] == unit
    assert lines[3].split("\t")[2::3] == list(motion.joint_names)
    assert lines[4].split("\t")[2:5] == ["X1", "Y1", "Z1"]
    assert lines[5] == ""
    rows = [line.split("\t") for line in lines[6:-1]]
    assert all(len(row) == 2 + 3 * 24 for row in rows)
    assert [float(row[1]) for row in rows] == pytest.approx(np.arange(6) / 30, abs=1e-8)
    assert rows[2][2 + 15 : 2 + 18] == ["", "", ""]
    head = motion.joint_names.index("head")
    x, y, z = motion.joints[4, head]
    # Y is up, and who looks along our -Y looks along X.
    wanted = [scale * value for value in (-y, z, -x)]
    assert [float(word) for word in rows[4][2 + 3 * head : 5 + 3 * head]] == pytest.approx(
        wanted, abs=0.6 * 10.0**-digits
    )


def test_csv_has_a_column_for_everything() -> None:
    take = with_a_gap()
    motion = take.characters[0].motion
    (data,) = map(bytes, export_csv(take).values())
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert len(rows) == 6
    name = motion.joint_names[5]
    assert rows[2][f"{name}_x_m"] == ""
    assert float(rows[3][f"{name}_z_m"]) == pytest.approx(motion.joints[3, 5, 2], abs=1e-6)
    assert float(rows[3][f"{name}_std_m"]) == 0.004
    assert float(rows[5]["left_foot_contact"]) == 1.0


def test_a_range_and_an_empty_one() -> None:
    take = walking_take(num_frames=5)
    (data,) = map(bytes, export_csv(take, start_frame=1, end_frame=3).values())
    assert len(data.decode().splitlines()) == 3
    with pytest.raises(ExportError, match="no frames"):
        export_trc(take, start_frame=9)
    with pytest.raises(ExportError, match="m or mm"):
        export_trc(take, unit="inch")


def test_json_says_null_where_nothing_is_known() -> None:
    take = with_a_gap()
    motion = take.characters[0].motion
    (data,) = map(bytes, export_json(take).values())
    content = json.loads(data)
    assert content["joints_xyz"][2][5] == [None, None, None]
    np.testing.assert_allclose(content["joints_xyz"][4], motion.joints[4], atol=1e-8)
    np.testing.assert_allclose(np.array(content["rotation_vectors"]).reshape(6, -1), motion.poses, atol=1e-8)
    assert content["parents"][0] == -1
    assert content["contact_names"] == ["left_foot"]
