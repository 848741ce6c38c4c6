"""Input as it comes: odd but meant, which is imported right, and broken, which is one clear line."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.cli import REFUSED, execute
from mocap.errors import InputError
from mocap.import_take import import_keypoints
from mocap.keypoints import CameraKeypoints
from mocap.take import Take


def frame(*people: list[float]) -> dict[str, Any]:
    return {"people": [{"pose_keypoints_2d": person} for person in people]}


def put(folder: Path, frames: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in frames.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def import_(take: Take, source: Path, **options: Any) -> dict[str, CameraKeypoints]:
    options = {"fps": 50.0, "size_px": (640, 480)} | options
    done = import_keypoints(take.session.root, source, take=take.name, **options)
    return {camera: take.load_keypoints(camera) for camera in done.cameras}


PERSON = [float(value) for k in range(17) for value in (10 + k, 20 + k, 0.9)]


def test_scores_above_one_places_outside_and_empty_people(take: Take, tmp_path: Path) -> None:
    odd = [*PERSON]
    odd[:3], odd[3:6], odd[6:9] = [5.0, 6.0, 1.04], [-40.0, 700.0, 0.5], [0.0, 0.0, 0.0]
    source = put(tmp_path / "cam1", {"0.json": frame([], odd, [0.0] * 51), "1.json": frame()})
    (view,) = import_(take, source).values()
    assert view.xy_px.shape == (2, 1, 17, 2)
    assert view.score[0, 0, :3].tolist() == [1.0, 0.5, 0.0]
    assert view.xy_px[0, 0, 1].tolist() == [-40.0, 700.0]
    assert np.isnan(view.xy_px[0, 0, 2]).all()
    assert np.isnan(view.score[1]).all()


def test_people_come_and_go_and_numbers_skip(take: Take, tmp_path: Path) -> None:
    counts = {300: 7, 301: 0, 305: 2, 306: 1}
    source = put(tmp_path / "cam1", {f"cam01.{n:04d}.json": frame(*[PERSON] * c) for n, c in counts.items()})
    (view,) = import_(take, source).values()
    np.testing.assert_allclose(view.time_s, np.array([300, 301, 305, 306]) / 50)
    assert np.isfinite(view.xy_px).all((-1, -2)).sum(1).tolist() == [7, 0, 2, 1]


def test_a_camera_that_saw_nobody_has_the_keypoints_of_the_others(take: Take, tmp_path: Path) -> None:
    put(tmp_path / "all" / "cam1", {"0.json": frame(PERSON), "1.json": frame(PERSON)})
    put(tmp_path / "all" / "cam2", {"0.json": frame(), "1.json": frame()})
    views = import_(take, tmp_path / "all")
    assert views["cam2"].keypoint_names == views["cam1"].keypoint_names
    assert views["cam2"].xy_px.shape == (2, 0, 17, 2)


def test_the_first_image_of_mmpose_may_be_empty(take: Take, tmp_path: Path) -> None:
    xy = np.arange(34.0).reshape(17, 2) + 1
    one = {"keypoints": xy.tolist(), "keypoint_scores": [0.5] * 17}
    source = put(tmp_path / "cam1", {"0.json": "[]", "1.json": json.dumps([one])})
    (view,) = import_(take, source).values()
    assert view.xy_px.shape[:2] == (2, 1)
    np.testing.assert_array_equal(view.xy_px[1, 0], xy)


def test_unknown_names_stay_and_are_unique(take: Take, tmp_path: Path) -> None:
    names = "Tail Base,tail-base,Left Ear"
    source = put(tmp_path / "cam1", {"0.json": frame([1, 1, 1, 2, 2, 1, 3, 3, 1])})
    (view,) = import_(take, source, keypoints=names).values()
    assert view.keypoint_names == ("tail_base", "tail_base_2", "left_ear")
    with pytest.raises(InputError, match="3 keypoints, and 2 names"):
        import_(take, source, keypoints="a,b", force=True)
    with pytest.raises(InputError, match="no keypoint set 'coco'"):
        import_(take, source, keypoints="coco", force=True)


def test_percent_is_told(take: Take, tmp_path: Path) -> None:
    source = put(
        tmp_path / "cam1", {"0.json": frame([v * 100 if i % 3 == 2 else v for i, v in enumerate(PERSON)])}
    )
    done = import_keypoints(take.session.root, source, take="t", fps=1.0, size_px=(9, 9))
    assert "taken as percent" in done.notes[0]
    np.testing.assert_allclose(take.load_keypoints("cam1").score, 0.9)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"0.json": "[" * 100_000}, "nested too deeply"),
        ({"0.json": "{"}, "no JSON file"),
        ({"0.json": '{"people": [{"pose_keypoints_2d": [1, 2, ' + "9" * 5000 + "]}]}"}, "no JSON file"),
        ({"0.json": frame([1, 2, 3, 4])}, "4 numbers are no keypoints"),
        ({"0.json": frame(["a", 2, 3])}, "no even list of numbers"),  # type: ignore[list-item]
        ({"0.json": frame([1, 2, 3], [1, 2, 3, 4, 5, 6])}, "people of 3 and of 6|people of 1 and of 2"),
        ({"0.json": frame(*[PERSON] * 300)}, "a frame holds 300 people"),
        ({"0.json": frame(PERSON), "00.json": frame(PERSON)}, "is frame 0 as well as"),
        ({"0.json": frame(PERSON), "1.json": "[]"}, "holds no list of people"),
        (
            {"x.json": '{"a": 1}', "notes.txt": "hello"},
            "holds no 2D results of a known tool, but 1 .txt, 1 .json",
        ),
        ({}, "but no files"),
    ],
)
def test_what_is_broken_is_one_line(take: Take, tmp_path: Path, files: dict[str, Any], message: str) -> None:
    source = put(tmp_path / "cam1", files)
    with pytest.raises(InputError, match=message):
        import_(take, source)
    assert not (take.folder / "keypoints").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '[{"image_id": 1e308, "keypoints": [1, 2, 1]}]', "is no frame number"),
        ("a.json", '{"images": null, "annotations": []}', "no 2D results"),
        ("a.json", '{"instance_info": [{"frame_id": -1, "instances": []}]}', "-1 is no frame number"),
        ("a.json", '{"instance_info": [{"instances": [{"keypoints": -1}]}]}', "with scores"),
        ("a.csv", "scorer,A,A\nbodyparts,n,n\ncoords,x\n", "rows of different lengths"),
        ("a.csv", "scorer,A,A\n", "no rows scorer, bodyparts, coords"),
        (
            "a.csv",
            "sync_index,cam_id,keypoint_id,img_loc_x,img_loc_y\n1,0,,3,4\n",
            "without camera, point or frame",
        ),
    ],
)
def test_what_is_half_broken_is_one_line(
    take: Take, tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        import_(take, tmp_path / name)


@pytest.mark.parametrize("suffix", [".h5", ".slp"])
def test_a_damaged_table_is_one_line(take: Take, tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"cam1{suffix}").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    with pytest.raises(InputError, match="no readable HDF5"):
        import_(take, tmp_path / f"cam1{suffix}")


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('it ran')",))


def test_a_pickle_runs_nothing(take: Take, tmp_path: Path) -> None:
    (tmp_path / "cam1.pkl").write_bytes(pickle.dumps({"0_0": [_Bomb()]}))
    with pytest.raises(InputError, match=r"it wants to run builtins\.exec"):
        import_(take, tmp_path / "cam1.pkl")


def test_missing_rate_and_size_are_asked_for(take: Take, tmp_path: Path) -> None:
    source = put(tmp_path / "cam1", {"0.json": frame(PERSON)})
    with pytest.raises(InputError, match="add --fps"):
        import_(take, source, fps=None)
    with pytest.raises(InputError, match="add --size"):
        import_(take, source, size_px=None)


def test_shares_of_the_image_become_pixels(take: Take, tmp_path: Path) -> None:
    points = [{"x": 0.25, "y": 0.5, "z": 0.0, "visibility": 0.7}] * 33
    source = tmp_path / "cam1.json"
    source.write_text(json.dumps([{"pose_landmarks": [points]}, {"pose_landmarks": []}]))
    (view,) = import_(take, source).values()
    assert view.xy_px[0, 0, 0].tolist() == [159.5, 239.5]


def test_nothing_is_overwritten_unasked(take: Take, tmp_path: Path) -> None:
    source = put(tmp_path / "cam1", {"0.json": frame(PERSON)})
    import_(take, source)
    before = take.keypoints_file("cam1").read_bytes()
    with pytest.raises(InputError, match=r"keypoints of cam1 are there already; replace them with --force"):
        import_(take, source)
    assert take.keypoints_file("cam1").read_bytes() == before
    done = import_keypoints(
        take.session.root, source, take="t", fps=1.0, size_px=(640, 480), force=True
    )  # fmt: skip
    assert done.replaced == ("cam1",)


def test_one_camera_is_named_and_two_are_not(take: Take, tmp_path: Path) -> None:
    source = put(tmp_path / "whatever", {"0.json": frame(PERSON)})
    assert list(import_(take, source, camera="left")) == ["left"]
    put(tmp_path / "both" / "a", {"0.json": frame(PERSON)})
    put(tmp_path / "both" / "b", {"0.json": frame(PERSON)})
    with pytest.raises(InputError, match=r"holds 2 cameras \(a, b\)"):
        import_(take, tmp_path / "both", camera="left")


def test_two_formats_are_not_guessed_between(take: Take, tmp_path: Path) -> None:
    put(tmp_path / "all" / "a", {"0.json": frame(PERSON)})
    listed = [{"image_id": 1, "keypoints": PERSON, "score": 1}]
    put(tmp_path / "all" / "b", {"b.json": json.dumps(listed)})
    with pytest.raises(
        InputError, match=r"several formats: openpose \(1\), coco \(1\); choose with --format"
    ):
        import_(take, tmp_path / "all")
    assert list(import_(take, tmp_path / "all", format="coco")) == ["b"]
    with pytest.raises(InputError, match="no format 'open'; choose from openpose"):
        import_(take, tmp_path / "all", format="open")


def test_the_command(take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = put(tmp_path / "cam1_json", {"0.json": frame(PERSON), "1.json": frame(PERSON)})
    command = ["import", str(take.session.root), str(source), "--take", "t", "--fps", "25"]
    assert execute([*command, "--size", "6400"]) == REFUSED
    assert "write it as 1920x1080" in capsys.readouterr().err
    assert execute([*command, "--size", "640x480", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["format"] == "openpose"
    assert summary["cameras"]["cam1"]["frames"] == 2
    np.testing.assert_allclose(take.load_keypoints("cam1").time_s, [0, 0.04])
