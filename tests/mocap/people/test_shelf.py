"""Real people of a real detector: three frames of the Shelf set."""

import json
import pickle
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calibration.cameras import Cameras
from mocap.associate import Association, associate
from mocap.keypoints import CameraKeypoints
from mocap.sync import CameraClock, Clock

COCO = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
TIME_S = np.arange(3) / 25


class Restricted(pickle.Unpickler):
    """Arrays in lists in a dictionary, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "defaultdict"):
            return defaultdict
        arrays = ("_reconstruct", "ndarray", "dtype", "scalar")
        if module.startswith("numpy") and name in arrays:
            return super().find_class(module, name)
        if (module, name) == ("builtins", "list"):
            return list
        raise pickle.UnpicklingError(f"{module}.{name}")


@pytest.fixture(scope="module")
def shelf(test_data: Path) -> tuple[dict[str, CameraKeypoints], Cameras]:
    document = json.loads((test_data / "voxelpose_calibration" / "calibration_shelf.json").read_text())
    names = sorted(document)
    poses = torch.eye(4, dtype=torch.float64).repeat(len(names), 1, 1)
    for index, name in enumerate(names):
        rotation = np.array(document[name]["R"])
        poses[index, :3, :3] = torch.as_tensor(rotation)
        poses[index, :3, 3] = torch.as_tensor(-rotation @ np.ravel(document[name]["T"]) / 1000)

    def each(*keys: str) -> torch.Tensor:
        rows = [[float(np.ravel(document[n][k])[0]) for k in keys] for n in names]
        return torch.tensor(rows, dtype=torch.float64)

    cameras = Cameras(
        names=tuple(names),
        size_px=torch.tensor([[1032.0, 776.0]], dtype=torch.float64).repeat(len(names), 1),
        focal_px=each("fx", "fy"),
        center_px=each("cx", "cy"),
        distortion=torch.zeros(len(names), 5, dtype=torch.float64),
        cam_from_world=poses,
    )
    with (test_data / "shelf_mini_mmpose" / "pred_shelf_maskrcnn_hrnet_coco.pkl").open("rb") as file:
        found = Restricted(file).load()
    frames = sorted({key.split("_")[1] for key in found})
    keypoints: dict[str, CameraKeypoints] = {}
    for name in names:
        people = [found[f"{name}_{frame}"] for frame in frames]
        numbers = np.full((len(frames), max(map(len, people)), 17, 3), np.nan)
        for frame, seen in enumerate(people):
            for row, person in enumerate(seen):
                numbers[frame, row] = person["pred"]
        keypoints[name] = CameraKeypoints(TIME_S, numbers[..., :2], numbers[..., 2], COCO, (1032, 776))
    return keypoints, cameras


def found(keypoints: dict[str, CameraKeypoints], cameras: Cameras) -> Association:
    clock = Clock({name: CameraClock() for name in keypoints})
    return associate(keypoints, cameras, clock, time_s=TIME_S)


def test_everybody_in_the_room_once(shelf) -> None:
    keypoints, cameras = shelf
    people = found(keypoints, cameras).people
    views = [sum((rows >= 0).all() for rows in person.rows.values()) for person in people]
    assert sum(view >= 4 for view in views) == 3, "three people are seen by four views or more"
    assert len(people) <= 4, "and a fourth one by two"


def test_shuffled_people_and_other_names_are_the_same_people(shelf) -> None:
    keypoints, cameras = shelf
    rng = np.random.default_rng(0)
    order = {name: rng.permutation(view.score.shape[1]) for name, view in keypoints.items()}
    new = dict(zip(keypoints, rng.permutation(list("vwxyz")), strict=True))
    shuffled = {
        str(new[name]): replace(view, xy_px=view.xy_px[:, order[name]], score=view.score[:, order[name]])
        for name, view in reversed(keypoints.items())
    }
    again = found(shuffled, cameras.renamed([str(new[name]) for name in cameras.names])).people
    first = found(keypoints, cameras).people
    assert len(again) == len(first)
    for one, other in zip(first, again, strict=True):
        for name, rows in one.rows.items():
            moved = np.append(order[name], -1)[other.rows[str(new[name])]]
            np.testing.assert_array_equal(rows, moved)
