"""The recording of a woman who balances on a beam, with OpenPose's keypoints: the body lies on the person."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from calibration.formats import read_cameras
from mocap.fit import fit
from mocap.keypoints import CameraKeypoints
from mocap.reconstruct import observe, solve
from mocap.settings import FitSettings
from mocap.sync import CameraClock, Clock
from rigs.body import Body
from rigs.keypoints import KEYPOINT_SETS

NAMES = KEYPOINT_SETS["body25b"]


@pytest.fixture(scope="module")
def clip() -> Path:
    folder = os.environ.get("MOCAP_TEST_DATA")
    if not folder or not (Path(folder) / "pose2sim_single").is_dir():
        pytest.skip("MOCAP_TEST_DATA does not point to the recordings")
    return Path(folder) / "pose2sim_single"


def openpose(folder: Path) -> CameraKeypoints:
    """A folder with one JSON file for each frame, at 60 frames a second."""
    frames = [json.loads(path.read_text())["people"] for path in sorted(folder.glob("*.json"))]
    people = max(map(len, frames))
    xy, score = np.full((len(frames), people, 25, 2), np.nan), np.full((len(frames), people, 25), np.nan)
    for frame, found in enumerate(frames):
        for row, person in enumerate(found):
            triples = np.array(person["pose_keypoints_2d"]).reshape(25, 3)
            seen = triples[:, 2] > 0
            xy[frame, row, seen], score[frame, row] = triples[seen, :2], triples[:, 2]
    return CameraKeypoints(np.arange(len(frames)) / 60, xy, score, NAMES, (1088, 1920))


@pytest.mark.footage
def test_the_body_lies_on_the_person(clip: Path, body: Body) -> None:
    cameras = read_cameras(clip / "calibration" / "Calib_scene.toml")
    folders = sorted((clip / "openpose_body25b").iterdir())
    keypoints = {name: openpose(folder) for name, folder in zip(cameras.names, folders, strict=True)}
    observations, association = observe(
        keypoints, cameras, Clock({name: CameraClock() for name in keypoints})
    )
    points, _ = solve(observations, association, cameras)
    motions, summary = fit(points, body, settings=FitSettings())
    (motion,), (figures,) = motions.values(), summary.people.values()

    offsets = torch.tensor([figures.offsets_mm[name] for name in NAMES], dtype=torch.float64) / 1000
    model = body.detector_model(NAMES, "body25b").with_offsets(offsets)
    rotation, joints = body.pose_frames(motion.poses, motion.trans, motion.betas)
    place = model.pose(rotation, joints, torch.from_numpy(motion.betas))
    seen = np.asarray(observations.xy_px[:, :, 0])
    error_px = np.linalg.norm(cameras.project(place)[0].numpy() - seen, axis=-1)
    assert np.nanmedian(error_px) < 12.0

    assert summary.usable
    assert figures.floor.startswith("used")
    lowest = body.skin(motion.poses[::10], motion.trans[::10], motion.betas)[0][..., 2].min(-1).values
    assert float(lowest.min()) > -0.02
    assert float(lowest.max()) < 0.08  # the beam
    head, pelvis = (body.joint_names.index(name) for name in ("head", "pelvis"))
    assert (motion.joints[:, head, 2] - motion.joints[:, pelvis, 2]).min() > 0.1
    acceleration = np.diff(motion.joints, 2, axis=0) * motion.mocap_framerate**2
    assert np.sqrt((acceleration**2).sum(-1).mean()) < 15  # Pose2Sim's filtered result has 19.6
