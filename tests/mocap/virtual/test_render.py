"""Pictures obey the cameras: silhouettes, lens distortion, board corners; equal studios, equal pictures."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from calibration.boards.board import Board
from mocap.virtual.board_path import BoardSession, board_poses
from mocap.virtual.performer import DressedBody, Performer
from mocap.virtual.plate import render_board
from mocap.virtual.render import CameraView, render_people, silhouette
from mocap.virtual.rig import CameraRing, build_cameras
from mocap.virtual.room import Room
from mocap.virtual.studio import Studio, small_studio

SIZE = (640, 360)
RING = CameraRing(size_px=SIZE, focal_px=425.0, num_cameras=2)


@pytest.fixture(scope="module")
def view() -> CameraView:
    return CameraView(build_cameras(RING)["cam1"], Room())


@pytest.fixture(scope="module")
def person():
    performer = Performer()
    motion = performer.motion(np.array([2.0]), seconds=5.0, rate_hz=30.0)
    body = DressedBody(performer)
    return (body, *body.at(motion.poses[0], motion.trans[0]))


def test_rays_and_projection_agree_through_the_lens(view) -> None:
    """A point on a pixel's ray is projected onto that pixel by OpenCV, distortion included."""
    camera = view.camera
    pixels = np.array([[0, 0], [639, 0], [0, 359], [639, 359], [320, 180], [17, 301]])
    points = view.origin + 2.5 * view.directions[pixels[:, 1], pixels[:, 0]].astype(float)
    turn, shift = camera.cam_from_world[0, :3, :3].numpy(), camera.cam_from_world[0, :3, 3].numpy()
    matrix = np.array(
        [
            [camera.focal_px[0, 0], 0, camera.center_px[0, 0]],
            [0, camera.focal_px[0, 1], camera.center_px[0, 1]],
            [0, 0, 1],
        ]
    )
    projected, _ = cv2.projectPoints(
        points, cv2.Rodrigues(turn)[0], shift, matrix, camera.distortion[0].numpy()
    )
    np.testing.assert_allclose(projected[:, 0], pixels, atol=2e-3)  # directions are float32


def test_silhouette_matches_the_projected_mesh_within_a_pixel(view, person) -> None:
    _, vertices, _ = person
    mask = silhouette(view, [person])
    rows, columns = np.nonzero(mask)
    xy_px = view.camera.project(torch.from_numpy(vertices.astype(float)))[0][0].numpy()
    # A tip thinner than a pixel may pass between the pixels' centres: hence more than one.
    seen = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert np.abs(np.array(seen) - [*xy_px.min(0), *xy_px.max(0)]).max() < 1.3
    inside = np.round(xy_px).astype(int)
    near = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3)))
    assert near[inside[:, 1], inside[:, 0]].all()


def test_a_person_changes_the_picture_where_the_person_is(view, person) -> None:
    picture = render_people(view, [person])
    changed = np.abs(picture.astype(int) - view.empty_picture).sum(-1) > 12
    mask = silhouette(view, [person])
    assert changed[mask].mean() > 0.95
    assert changed[~cv2.dilate(mask.astype(np.uint8), np.ones((7, 7))).astype(bool)].mean() < 0.05  # shadow
    assert np.array_equal(render_people(view, []), view.empty_picture)


def test_nobody_in_view_leaves_the_room_empty(view, person) -> None:
    body, vertices, normals = person
    behind = vertices + 30 * np.array([np.sign(view.origin[0]), 0, 0], np.float32)
    assert np.array_equal(render_people(view, [(body, behind, normals)]), view.empty_picture)


@pytest.mark.parametrize("tilt_deg", [0.0, 35.0, 50.0])
def test_opencv_finds_board_corners_within_three_tenths_of_a_pixel(tilt_deg) -> None:
    ring = CameraRing(num_cameras=1)
    cameras = build_cameras(ring)
    view, board = CameraView(cameras, Room()), Board()
    pose = _facing(view, board, 1.6, tilt_deg)
    apart = _corner_errors_px(view, board, pose, render_board(view, board, pose))
    assert len(apart) >= 20
    assert np.median(apart) < 0.1
    assert apart.max() < 0.3


def test_the_corner_check_notices_a_wrong_lens() -> None:
    cameras = build_cameras(CameraRing(num_cameras=1))
    view, board = CameraView(cameras, Room()), Board()
    pose = _facing(view, board, 1.6, 20.0)
    picture = render_board(view, board, pose)
    view.camera = replace(cameras, distortion=cameras.distortion * 0.0)
    assert _corner_errors_px(view, board, pose, picture).max() > 0.5


def test_the_back_of_the_plate_shows_no_markers() -> None:
    view, board = CameraView(build_cameras(CameraRing(num_cameras=1)), Room()), Board()
    pose = _facing(view, board, 1.6, 0.0)
    pose[:3, :3] = pose[:3, :3] @ np.diag([1.0, -1.0, -1.0])
    assert len(_corner_errors_px(view, board, pose, render_board(view, board, pose))) == 0


def test_the_board_rests_on_the_origin_first_and_is_then_shown_to_every_camera() -> None:
    cameras, session = build_cameras(CameraRing()), BoardSession()
    times = np.arange(0, session.seconds, 0.1)
    poses = board_poses(session, cameras, times)
    still = times <= session.rest_s
    np.testing.assert_allclose(poses[still], np.tile(poses[:1], (still.sum(), 1, 1)), atol=1e-12)
    np.testing.assert_allclose(poses[0, :3, 3], 0, atol=1e-12)  # the world's origin is the board's
    np.testing.assert_allclose(poses[0, :3, :3], np.diag([1, -1, -1]), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(poses[:, :3, :3]), 1, atol=1e-9)
    assert poses[~still, 2, 3].min() > 0.0
    facing = _view_angles_deg(poses, session.board, cameras) < 60
    assert (facing.sum(0) > 15).all()
    assert ((facing[~still].sum(1) >= 2).sum()) > 20


def test_board_and_people_move_without_jumps() -> None:
    cameras, session = build_cameras(CameraRing()), BoardSession()
    poses = board_poses(session, cameras, np.arange(0, session.seconds, 1 / 60))
    speed = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=-1) * 60
    assert speed.max() < 6.0


def test_equal_studios_make_equal_pictures_and_another_seed_another_noise() -> None:
    studio = small_studio(seconds=0.1)
    first, again = (list(studio.noisy(studio.take_frames("cam1"), 3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    other = next(replace(studio, seed=1).noisy(studio.take_frames("cam1"), 3))
    assert not np.array_equal(first[0], other)
    spread = np.std(first[0].astype(float) - next(studio.take_frames("cam1")))
    assert spread == pytest.approx(studio.faults.noise, rel=0.1)


def test_frame_times_tell_of_late_starts_and_dropped_frames() -> None:
    faults = replace(Studio().faults, start_late_s={"cam2": 0.25}, dropped={"cam2": (1, 2)})
    studio = Studio(seconds=0.2, faults=faults)
    camera_s, take_s = studio.frame_times("cam2")
    np.testing.assert_allclose(camera_s * studio.rate_hz, [0, 3, 4, 5])
    np.testing.assert_allclose(take_s - camera_s, 0.25)
    assert len(studio.frame_times("cam1")[0]) == 6


def test_a_knocked_camera_keeps_its_place() -> None:
    studio = Studio(faults=replace(Studio().faults, knocked_deg={"cam3": 2.0}))
    before, after = studio.cameras(), studio.take_cameras()
    torch.testing.assert_close(before.centers_world, after.centers_world)
    turn = before.cam_from_world[:, :3, :3] @ after.cam_from_world[:, :3, :3].transpose(-1, -2)
    angle = np.degrees(np.arccos(np.clip((turn.diagonal(dim1=-2, dim2=-1).sum(-1).numpy() - 1) / 2, -1, 1)))
    np.testing.assert_allclose(angle, [0, 0, 2, 0], atol=1e-5)


def _facing(view: CameraView, board: Board, distance_m: float, tilt_deg: float) -> np.ndarray:
    """A board before a camera, its print towards it, tilted about its own y."""
    cosine, sine = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    cam_from_board = np.eye(4)
    cam_from_board[:3, :3] = [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]
    cam_from_board[:3, 3] = [0.1, -0.05, distance_m] - cam_from_board[:3, :3] @ [
        *np.array(board.size_m) / 2,
        0,
    ]
    return np.linalg.inv(view.camera.cam_from_world[0].numpy()) @ cam_from_board


def _corner_errors_px(view: CameraView, board: Board, pose: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Distances of the corners that OpenCV finds from where the camera should see them."""
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, board.dictionary))
    pattern = cv2.aruco.CharucoBoard((board.columns, board.rows), board.square_m, board.marker_m, dictionary)
    corners, ids, _, _ = cv2.aruco.CharucoDetector(pattern).detectBoard(
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    )
    if ids is None:
        return np.zeros(0)
    xyz = board.corners_xyz.numpy()[np.ravel(ids)] @ pose[:3, :3].T + pose[:3, 3]
    xy_px = view.camera.project(torch.from_numpy(xyz))[0][0].numpy()
    return np.linalg.norm(np.reshape(corners, (-1, 2)) - xy_px, axis=-1)


def _view_angles_deg(poses: np.ndarray, board: Board, cameras) -> np.ndarray:
    """(T, C) angles between the print's normal and the line to each camera."""
    middle = poses[:, :3, 3] + poses[:, :3, :3] @ [*np.array(board.size_m) / 2, 0]
    to_camera = cameras.centers_world.numpy() - middle[:, None]
    to_camera /= np.linalg.norm(to_camera, axis=-1, keepdims=True)
    return np.degrees(np.arccos(np.clip(-(to_camera * poses[:, None, :3, 2]).sum(-1), -1, 1)))
