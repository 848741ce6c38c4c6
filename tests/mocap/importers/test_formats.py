"""Formats of which there is no sample: files written as the tools write them, with known keypoints."""

import csv
import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mocap.importers import Options
from mocap.importers.openpose import body25_or_25b
from mocap.importers.source import find
from mocap.importers.view import View
from rigs.keypoints import KEYPOINT_SETS, hand_names

RNG = np.random.default_rng(5)


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def read(path: Path, format: str, **options: Any) -> dict[str, View]:
    """The views of a source, whose format must be recognised."""
    found = find(path)
    assert found.format == format
    return {view.camera: view for view in found.views(Options(**options))}


def people(count: int, keypoints: int) -> np.ndarray:
    """(count, keypoints, 3) with scores that are not 0."""
    return np.concatenate(
        [RNG.uniform(10, 900, (count, keypoints, 2)), RNG.uniform(0.2, 1, (count, keypoints, 1))], -1
    )


def agree(view: View, frame: int, expected: np.ndarray) -> None:
    index = view.frame.tolist().index(frame)
    there = np.isfinite(view.score[index]).any(-1)
    np.testing.assert_allclose(view.xy[index][there], expected[..., :2])
    np.testing.assert_allclose(view.score[index][there], expected[..., 2])


@pytest.mark.parametrize(("count", "name"), [(17, "coco17"), (26, "halpe26"), (136, "halpe136")])
def test_alphapose(tmp_path: Path, count: int, name: str) -> None:
    true = {0: people(2, count), 3: people(1, count)}
    entries = [
        {
            "image_id": f"{frame}.jpg", "category_id": 1, "keypoints": one.ravel().tolist(),
            "score": 3.1, "box": [1, 2, 3, 4], "idx": [0.0],
        }
        for frame, row in true.items() for one in row
    ]  # fmt: skip
    (view,) = read(write(tmp_path / "alphapose-results.json", entries), "alphapose").values()
    assert view.keypoint_names == KEYPOINT_SETS[name]
    assert view.frame.tolist() == [0, 3]
    for frame, row in true.items():
        agree(view, frame, row)


def test_coco_results(tmp_path: Path) -> None:
    true = people(2, 17)
    entries = [
        {"image_id": 12, "category_id": 1, "keypoints": one.ravel().tolist(), "score": 0.9} for one in true
    ]
    (view,) = read(write(tmp_path / "cam1.json", entries), "coco").values()
    agree(view, 12, true)


@pytest.mark.parametrize("header", [False, True])
def test_mmpose_clips(tmp_path: Path, header: bool) -> None:
    true = people(3, 4)
    frames = [
        {
            "frame_id": frame,
            "instances": [{"keypoints": p[:, :2].tolist(), "keypoint_scores": p[:, 2].tolist()} for p in row],
        }
        for frame, row in ((7, true[:1]), (8, []), (9, true[1:]))
    ]
    names = {"0": "a", "1": "b", "2": "c", "3": "d"}
    content = {"meta_info": {"keypoint_id2name": names}, "instance_info": frames} if header else frames
    for camera in ("left", "right"):
        write(tmp_path / "predictions" / f"{camera}.json", content)
    views = read(tmp_path, "mmpose")
    assert set(views) == {"left", "right"}
    view = views["left"]
    assert view.keypoint_names == (("a", "b", "c", "d") if header else tuple(f"point_{k}" for k in range(4)))
    assert view.frame.tolist() == [7, 8, 9]
    assert np.isnan(view.score[1]).all()
    agree(view, 9, true[1:])


def test_mmpose_images(tmp_path: Path) -> None:
    true = people(2, 17)
    for frame, one in enumerate(true, 40):
        entry = {
            "keypoints": one[:, :2].tolist(),
            "keypoint_scores": one[:, 2].tolist(),
            "bbox": [[1, 2, 3, 4]],
        }
        write(tmp_path / "a" / f"img_{frame:05d}.json", [entry])
    (view,) = read(tmp_path / "a", "mmpose").values()
    assert view.frame.tolist() == [40, 41]
    agree(view, 41, true[1:])


def dlc_columns(individuals: dict[str, list[str]]) -> list[tuple[str, str, str]]:
    return [(i, p, c) for i, parts in individuals.items() for p in parts for c in ("x", "y", "likelihood")]


@pytest.mark.parametrize("ending", ["csv", "h5"])
def test_deeplabcut_with_several_animals(tmp_path: Path, ending: str) -> None:
    pandas = pytest.importorskip("pandas")
    columns = dlc_columns({"ann": ["snout", "tail"], "bob": ["snout", "tail"], "single": ["led"]})
    values = RNG.uniform(1, 100, (4, len(columns)))
    values[:, 2::3] = RNG.uniform(0, 1, (4, len(columns) // 3))
    values[1, 6:12] = np.nan  # bob is away
    path = tmp_path / f"cam2DLC_dlcrnetms5_miceSep1shuffle1_50000_el.{ending}"
    index = pandas.MultiIndex.from_tuples(
        [("DLC", *column) for column in columns], names=["scorer", "individuals", "bodyparts", "coords"]
    )
    table = pandas.DataFrame(values, columns=index)
    if ending == "csv":
        table.to_csv(path)
    else:
        with warnings.catch_warnings():  # PyTables' and pandas' own, about each other
            warnings.simplefilter("ignore")
            pytest.importorskip("tables")
            table.to_hdf(path, key="df_with_missing", format="table", mode="w")
    (view,) = read(tmp_path, "deeplabcut").values()
    assert view.camera == "cam2"
    assert view.keypoint_names == ("snout", "tail", "led")
    expected = np.tile([np.nan, np.nan, 0.0], (3, 3, 1))
    expected[0, :2], expected[1, :2] = values[0, :6].reshape(2, 3), values[0, 6:12].reshape(2, 3)
    expected[2, 2] = values[0, 12:]
    agree(view, 0, expected)
    assert np.isfinite(view.score[1]).any(-1).sum() == 2


def test_deeplabcut_labels_are_numbered_by_their_images(tmp_path: Path) -> None:
    path = tmp_path / "cam1.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for name, cells in (("scorer", "hh"), ("bodyparts", "aa"), ("coords", "xy")):
            writer.writerow([name, "", "", *cells])
        writer.writerow(["labeled-data", "clip", "img0120.png", 1.5, 2.5])
        writer.writerow(["labeled-data", "clip", "img0090.png", "", ""])
    (view,) = read(path, "deeplabcut").values()
    assert view.frame.tolist() == [90, 120]
    assert view.xy[1, 0].tolist() == [[1.5, 2.5]]
    assert view.score[1, 0].tolist() == [1.0]


@pytest.mark.parametrize("matlab", [True, False])
def test_sleap(tmp_path: Path, matlab: bool) -> None:
    xy, score = RNG.uniform(1, 500, (6, 2, 3, 2)), RNG.uniform(0.1, 1, (6, 2, 3))  # frames, tracks, nodes
    xy[2, 1] = np.nan
    with h5py.File(tmp_path / "cam1.analysis.h5", "w") as file:
        file["tracks"] = xy.transpose(1, 3, 2, 0) if matlab else xy.transpose(0, 2, 3, 1)
        file["point_scores"] = score.transpose(1, 2, 0) if matlab else score.transpose(0, 2, 1)
        file["node_names"] = [b"head", b"thorax", b"abdomen"]
    (view,) = read(tmp_path, "sleap").values()
    assert view.camera == "cam1"
    assert view.keypoint_names == ("head", "thorax", "abdomen")
    for frame in range(6):
        there = np.isfinite(xy[frame]).all((1, 2))
        agree(view, frame, np.concatenate([xy[frame], score[frame, ..., None]], -1)[there])


def landmarks(person: np.ndarray) -> list[dict[str, float]]:
    return [{"x": x / 1000, "y": y / 500, "z": 0.1, "visibility": s} for x, y, s in person.tolist()]


@pytest.mark.parametrize("spelling", ["tasks", "solutions", "js"])
def test_mediapipe_bodies(tmp_path: Path, spelling: str) -> None:
    true = people(1, 33)
    points = landmarks(true[0])
    frame: dict[str, Any] = {
        "tasks": {"pose_landmarks": [points], "timestamp_ms": 40},
        "solutions": {"pose_landmarks": {"landmark": points}, "frame": 1},
        "js": {"poseLandmarks": points},
    }[spelling]
    empty: dict[str, Any] = {
        "tasks": {"pose_landmarks": [], "timestamp_ms": 0},
        "solutions": {"frame": 0},
    }.get(spelling, {"poseLandmarks": None})
    (view,) = read(write(tmp_path / "cam1.json", [empty, frame]), "mediapipe").values()
    assert view.normalised
    assert view.frame.tolist() == [0, 1]
    assert view.keypoint_names == KEYPOINT_SETS["blazepose33"]
    assert (view.time_s is not None) == (spelling == "tasks")
    agree(view, 1, true / [1000, 500, 1])


def test_mediapipe_holistic_hands_get_names(tmp_path: Path) -> None:
    body, hand = people(1, 33)[0], people(1, 21)[0]
    frame = {"poseLandmarks": landmarks(body), "rightHandLandmarks": landmarks(hand)}
    (view,) = read(write(tmp_path / "cam1.json", [frame]), "mediapipe").values()
    assert view.keypoint_names == (*KEYPOINT_SETS["blazepose33"], *hand_names("right"))
    np.testing.assert_allclose(view.xy[0, 0, 33:], hand[:, :2] / [1000, 500])


@pytest.mark.parametrize("tail", [[], [0.93], [0.93, 4]])
def test_ultralytics(tmp_path: Path, tail: list[float]) -> None:
    true = people(2, 17) / [1000, 1000, 1]
    folder = tmp_path / "cam1" / "labels"
    folder.mkdir(parents=True)
    for frame, row in ((1, true), (4, true[:1])):
        lines = [[0, 0.5, 0.5, 0.2, 0.3, *one.ravel(), *tail] for one in row]
        (folder / f"clip_{frame}.txt").write_text(
            "\n".join(" ".join(f"{v:.9g}" for v in line) for line in lines)
        )
    (folder / "clip_3.txt").write_text("")
    views = read(tmp_path / "cam1", "yolo")
    (view,) = views.values()
    assert view.normalised
    assert view.frame.tolist() == [0, 2, 3]
    agree(view, 0, true)


def test_cameras_of_yolo_are_the_folders_above_labels(tmp_path: Path) -> None:
    for camera in ("front", "side"):
        (tmp_path / camera / "labels").mkdir(parents=True)
        row = " ".join(["0 0.5 0.5 0.1 0.1", *["0.5 0.5 0.9"] * 17])
        (tmp_path / camera / "labels" / "clip_1.txt").write_text(row)
    assert set(read(tmp_path, "yolo")) == {"front", "side"}


def openpose_frame(rows: np.ndarray, **parts: np.ndarray) -> dict[str, Any]:
    extra = {f"{part}_keypoints_2d": values.ravel().tolist() for part, values in parts.items()}
    return {"version": 1.3, "people": [{"pose_keypoints_2d": p.ravel().tolist(), **extra} for p in rows]}


def test_openpose_cameras_in_one_folder_and_numbers_from_300(tmp_path: Path) -> None:
    true = people(1, 18)
    for camera in ("a", "b"):
        for frame in (300, 301, 305):
            name = f"{camera}_{frame:012d}_keypoints.json"
            write(tmp_path / name, openpose_frame(true if frame != 301 else true[:0]))
    views = read(tmp_path, "openpose")
    assert set(views) == {"a", "b"}
    assert views["a"].frame.tolist() == [300, 301, 305]
    assert views["a"].keypoint_names == KEYPOINT_SETS["openpose18"]
    assert np.isnan(views["a"].score[1]).all()
    agree(views["b"], 305, true)


def test_openpose_hands_and_face_follow_the_body(tmp_path: Path) -> None:
    body, hand, face = people(1, 25), people(1, 21)[0], people(1, 70)[0]
    content = openpose_frame(body, face=face, hand_left=hand, hand_right=np.zeros((21, 3)))
    write(tmp_path / "cam01.0000.json", content)
    (view,) = read(tmp_path, "openpose").values()
    assert view.camera == "cam01"
    assert view.keypoint_names[25:95] == tuple(f"face_{index}" for index in range(70))
    assert view.keypoint_names[95:] == (*hand_names("left"), *hand_names("right"))
    np.testing.assert_allclose(view.xy[0, 0, 95:116], hand[:, :2])
    assert np.isnan(view.xy[0, 0, 116:]).all()


@pytest.mark.parametrize("name", ["body25", "body25b"])
def test_the_two_models_of_25_keypoints_are_told_apart(name: str) -> None:
    from rigs import load_body

    body = load_body()
    places = body.detector_model(KEYPOINT_SETS[name], name)
    import torch

    xyz = places.pose(
        torch.eye(3, dtype=torch.float64).repeat(len(body.joint_names), 1, 1), body.joint_template,
        torch.zeros(body.num_betas, dtype=torch.float64),
    ).numpy()  # fmt: skip
    for angle in (0.0, 0.8, 2.5):
        turned = xyz @ np.array([[np.cos(angle), 0, 0], [0, -1, 0], [np.sin(angle), 0, 0]]) * 300
        person = np.concatenate([turned[:, :2] + 500, np.ones((25, 1))], -1)
        assert body25_or_25b(person[None]) == name
    assert body25_or_25b(np.zeros((1, 25, 3))) is None
