"""Fingers of rendered people, hands open and closed: from pixels to points, against the skin of the body."""

import cv2
import numpy as np
import pytest
import torch

from calibration.triangulation import triangulate
from mocap.detect import DETECTORS
from mocap.detect.hands import hand_files, with_hands
from mocap.errors import MissingModel
from mocap.settings import DetectSettings
from mocap.virtual.performer import DressedBody, Performer
from mocap.virtual.render import CameraView, render_people
from mocap.virtual.rig import build_cameras, ring_of
from mocap.virtual.room import Room

pytestmark = pytest.mark.slow

FINGERS = {
    "thumb": "thumb", "index": "forefinger", "middle": "middle_finger", "ring": "ring_finger",
    "pinky": "pinky_finger",
}  # fmt: skip
POINTS = [
    (f"{side}_{finger}_{end}", f"{side}_{name}{4 if end == 'tip' else 2 if finger == 'thumb' else 1}")
    for side in ("left", "right") for finger, name in FINGERS.items() for end in ("knuckle", "tip")
]  # fmt: skip
"""Places on the body's skin, and the keypoints that mean them."""
INSTANTS = 4
SIZE_PX = (1920, 1080)


def posed(names: list[str], moment: float, curl_deg: float) -> np.ndarray:
    """(J * 3,) somebody who stands, the arms from low to high and more bent, the fingers curled."""
    poses = np.zeros((len(names), 3))
    poses[0, 0] = np.pi / 2
    for side, sign in (("left", 1), ("right", -1)):
        poses[names.index(f"{side}_shoulder")] = [
            0,
            -sign * (0.6 * moment + 0.2),
            -sign * (0.9 - 0.5 * moment),
        ]
        poses[names.index(f"{side}_elbow")] = [0, -sign * (0.5 + 0.8 * moment), 0]
        poses[names.index(f"{side}_hand")] = [0, 0, -sign * np.radians(curl_deg)]
    return poses.ravel()


@pytest.mark.parametrize(
    ("curl_deg", "knuckles_mm", "tips_mm"), [(0.0, 20, 20), (45.0, 20, 30)], ids=["open", "half closed"]
)
def test_fingers_from_pixels(curl_deg: float, knuckles_mm: float, tips_mm: float) -> None:
    """The shipped body's fingers bend at the knuckle alone, as no real ones do: a full fist is no test."""
    cameras = build_cameras(ring_of(4, size_px=SIZE_PX, seed=1))
    views = [CameraView(cameras[name], Room()) for name in cameras.names]
    performer = Performer()
    dressed, body, betas = DressedBody(performer), performer.load_body(), performer.full_betas()
    settings = DetectSettings(variant="full", hands=True)
    family = DETECTORS["blazepose"]
    try:
        files = family.files(settings) | hand_files()
    except MissingModel as error:
        pytest.skip(str(error))
    detectors = [with_hands(family.create(files, settings), files) for _ in views]
    names = list(detectors[0].keypoint_names)
    which = [names.index(keypoint) for _, keypoint in POINTS]
    on_skin = body.keypoint_model([place for place, _ in POINTS])
    seen, truth = [], []
    cv2.setNumThreads(1)
    for instant in range(INSTANTS):
        poses, trans = posed(list(body.joint_names), instant / INSTANTS, curl_deg), np.array([0, 0, 0.93])
        mesh = dressed.at(poses, trans)
        row = []
        for view, detector in zip(views, detectors, strict=True):
            found = detector.step(render_people(view, [(dressed, *mesh)]), instant / 10)
            row.append(found.xy_px[0, which] if len(found.slot) else np.full((len(which), 2), np.nan))
        seen.append(np.stack(row, 1))  # (K, C, 2)
        rotation, joints = body.pose_frames(poses, trans, betas)
        truth.append(on_skin.pose(rotation, joints, torch.from_numpy(betas)).numpy())
    xy_px = torch.from_numpy(np.concatenate(seen))
    solved = triangulate(
        cameras, xy_px, torch.full(xy_px.shape[:2], 3.0, dtype=torch.float64), min_views=2,
        max_error_px=torch.full((4,), 15.0, dtype=torch.float64), min_angle_deg=3.0,
    )  # fmt: skip
    error_mm = 1e3 * np.linalg.norm(solved.xyz_world.numpy() - np.concatenate(truth), axis=-1)
    error_mm = error_mm.reshape(INSTANTS, -1)
    tip = np.array([place.endswith("tip") for place, _ in POINTS])
    knuckle, end = (float(np.nanmedian(error_mm[:, part])) for part in (~tip, tip))
    share = float(np.isfinite(error_mm).mean())
    told = f"{share:.0%} found, knuckles {knuckle:.1f} mm, tips {end:.1f} mm (medians)"
    print(f"fingers curled by {curl_deg:.0f}°: {told}")  # noqa: T201 (the figures are what this is for)
    assert share > 0.7, told
    assert knuckle < knuckles_mm, told
    assert end < tips_mm, told
