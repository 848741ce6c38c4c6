"""Real files of other tools, imported and read a second time with nothing of ours."""

import csv
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.errors import InputError
from mocap.import_take import import_keypoints
from mocap.keypoints import CameraKeypoints
from mocap.take import Take
from rigs.keypoints import KEYPOINT_SETS

BODY_25B = (  # as the sample's own page lists them
    "Nose,LEye,REye,LEar,REar,LShoulder,RShoulder,LElbow,RElbow,LWrist,RWrist,LHip,RHip,LKnee,RKnee,LAnkle,"
    "RAnkle,UpperNeck,HeadTop,LBigToe,LSmallToe,LHeel,RBigToe,RSmallToe,RHeel"
)


def import_(take: Take, source: Path, **options: Any) -> dict[str, CameraKeypoints]:
    options.setdefault("fps", 60.0)
    options.setdefault("size_px", (1000, 1000))
    done = import_keypoints(take.session.root, source, take=take.name, **options)
    return {camera: take.load_keypoints(camera) for camera in done.cameras}


def same(found: np.ndarray, score: np.ndarray, expected: np.ndarray) -> None:
    """One person (K, 2), (K,) and what the file says of them (K, 3); zeros are missing."""
    missing = (expected[:, 2] <= 0) | (expected[:, :2] == 0).all(1)
    np.testing.assert_array_equal(found[~missing], expected[~missing, :2])
    assert np.isnan(found[missing]).all()
    np.testing.assert_allclose(score, np.where(missing, 0, np.minimum(expected[:, 2], 1)))


def test_openpose(take: Take, samples: Path) -> None:
    root = samples / "pose2sim_single" / "openpose_body25b"
    views = import_(take, root)
    assert list(views) == ["cam01", "cam02", "cam03", "cam04"]
    people = 0
    for camera, view in views.items():
        assert view.keypoint_names == KEYPOINT_SETS["body25b"]
        short = [name.replace("left", "l").replace("right", "r") for name in view.keypoint_names]
        assert [name.replace("_", "") for name in short] == BODY_25B.lower().split(",")
        np.testing.assert_allclose(view.time_s, np.arange(100) / 60)
        for frame in range(100):
            content = json.loads((root / f"{camera}_json" / f"{camera}.{frame:04d}.json").read_text())
            flat = [p["pose_keypoints_2d"] for p in content["people"]]
            expected = [np.array(one).reshape(25, 3) for one in flat if np.any(one)]
            there = np.isfinite(view.score[frame]).all(-1)
            assert there.sum() == len(expected)
            people += len(expected)
            for row, one in enumerate(expected):
                same(view.xy_px[frame, row], view.score[frame, row], one)
    assert people > 500


@pytest.mark.parametrize("name", ["test_coco", "test_coco_wholebody", "test_halpe"])
def test_coco_annotations(take: Take, samples: Path, name: str) -> None:
    path = samples / "coco_json_mmpose" / f"{name}.json"
    (view,) = import_(take, path, fps=1.0).values()
    content = json.loads(path.read_text())
    images = sorted(image["id"] for image in content["images"])
    np.testing.assert_array_equal(view.time_s, images)
    count = {"test_coco": 17, "test_coco_wholebody": 133, "test_halpe": 136}[name]
    assert len(view.keypoint_names) == count
    parts = ["keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"]
    for frame, image in enumerate(images):
        row = 0
        for entry in content["annotations"]:
            flat = [number for part in parts[: 5 if count == 133 else 1] for number in entry[part]]
            person = np.array(flat, dtype=float).reshape(count, 3)
            if entry["image_id"] != image or not ((person[:, 2] > 0) & person[:, :2].any(1)).any():
                continue
            flags = person[:17, 2]
            flags[...] = np.choose(flags.astype(int), (0, 0.5, 1))
            same(view.xy_px[frame, row, :17], view.score[frame, row, :17], person[:17])
            rest = person[17:]
            known = (rest[:, 2] > 0) & rest[:, :2].any(1)
            np.testing.assert_array_equal(view.xy_px[frame, row, 17:][known], rest[known, :2])
            assert np.isnan(view.xy_px[frame, row, 17:][~known]).all()
            row += 1
        assert np.isfinite(view.score[frame]).all(-1).sum() == row


@pytest.mark.parametrize("name", ["test_coco_det_AP_H_56", "test_posetrack18_human_detections"])
def test_boxes_are_no_keypoints(take: Take, samples: Path, name: str) -> None:
    with pytest.raises(InputError, match="boxes of people and no keypoints"):
        import_(take, samples / "coco_json_mmpose" / f"{name}.json")


def test_deeplabcut(take: Take, samples: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = samples / "deeplabcut_dlc2kinematics" / "reachingDEMO_2D.h5"
    with warnings.catch_warnings():  # PyTables' own
        warnings.simplefilter("ignore")
        pytest.importorskip("tables")
        frame = pandas.read_hdf(path)
    (view,) = import_(take, path, fps=100.0).values()
    np.testing.assert_allclose(view.time_s, frame.index.to_numpy() / 100)
    parts = frame.columns.get_level_values("bodyparts").unique().tolist()
    assert len(view.keypoint_names) == len(parts) == 33
    assert view.keypoint_names[:2] == ("nose", "left_wrist")
    for index, part in enumerate(parts):
        own = frame[frame.columns[0][0]][part]
        np.testing.assert_array_equal(view.xy_px[:, 0, index], own[["x", "y"]].to_numpy())
        np.testing.assert_array_equal(view.score[:, 0, index], own["likelihood"].to_numpy())


def test_deeplabcut_in_3d_is_refused(take: Take, samples: Path) -> None:
    with pytest.raises(InputError, match="holds 3D points"):
        import_(take, samples / "deeplabcut_dlc2kinematics" / "reachingDEMO_3D.h5")


def test_mediapipe_hands(take: Take, samples: Path) -> None:
    path = samples / "mediapipe_hands_tfjs" / "asl_hand.full.json"
    (view,) = import_(take, path, fps=25.0).values()
    expected = np.array(json.loads(path.read_text()))
    np.testing.assert_array_equal(view.xy_px[:, 0], expected[..., :2])
    assert view.keypoint_names == KEYPOINT_SETS["hand21"]
    assert (view.score == 1).all()


def test_caliscope(take: Take, samples: Path) -> None:
    path = samples / "caliscope_post_optimization" / "calibration" / "extrinsic" / "xy.csv"
    views = import_(take, path, fps=None)
    count = 0
    with path.open() as file:
        for row in csv.DictReader(file):
            view = views[f"cam_{row['cam_id']}"]
            frame = np.flatnonzero(view.time_s == float(row["frame_time"]))
            place = view.keypoint_names.index(f"point_{row['keypoint_id']}")
            xy = view.xy_px[frame[0], 0, place]
            assert xy.tolist() == [float(row["img_loc_x"]), float(row["img_loc_y"])]
            count += 1
    assert sum(np.isfinite(view.xy_px).all(-1).sum() for view in views.values()) == count > 1000


def test_mmpose_pickle(take: Take, samples: Path) -> None:
    path = samples / "shelf_mini_mmpose" / "pred_shelf_maskrcnn_hrnet_coco.pkl"
    views = import_(take, path, fps=25.0)
    with path.open("rb") as file:
        content = pickle.load(file)  # this file is known
    assert len(views) == 5
    for key, people in content.items():
        camera, frame = key.split("_")
        view = views[f"cam_{camera}"]
        assert np.isfinite(view.score[int(frame)]).all(-1).sum() == len(people)
        for row, person in enumerate(people):
            same(view.xy_px[int(frame), row], view.score[int(frame), row], person["pred"])


def test_a_folder_of_everything_else(take: Take, samples: Path) -> None:
    with pytest.raises(InputError, match=r"holds no 2D results of a known tool, but 4 \.amc"):
        import_(take, samples / "motion_cmu")
