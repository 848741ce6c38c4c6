"""What is drawn stands where it should, and the footage's array is left alone."""

import numpy as np
import torch

from mocap.drawing import LEFT, Mesh, draw_meshes, draw_skeleton, view_from
from rigs.body import load_body

NAMES = ("left_hip", "left_knee", "right_hip")


def test_a_skeleton_is_drawn_at_its_pixels_on_a_copy() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    xy_px = np.array([[20.0, 20.0], [20.0, 80.0], [np.nan, np.nan]])
    drawn = draw_skeleton(picture, xy_px, NAMES, np.array([0.9, 0.9, 0.9]))
    assert not picture.any()
    assert tuple(drawn[50, 20]) == LEFT
    assert not drawn[:, 60:].any()


def test_doubtful_keypoints_are_left_out() -> None:
    xy_px = np.array([[20.0, 20.0], [20.0, 80.0], [80.0, 20.0]])
    drawn = draw_skeleton(np.zeros((100, 100, 3), np.uint8), xy_px, NAMES, np.array([0.9, 0.1, np.nan]))
    assert drawn[20, 20].any()
    assert not drawn[40:].any()


def test_a_body_is_drawn_where_the_camera_sees_it() -> None:
    body = load_body()
    rest = body.v_template.numpy()
    standing = np.stack([rest[:, 0], -rest[:, 2], rest[:, 1] + 0.95], -1)
    camera = view_from(np.array([0, 0, 0.9]), azimuth_deg=-90.0, distance_m=3.0, size_px=(300, 300))
    blank = np.zeros((300, 300, 3), np.uint8)
    drawn = draw_meshes([Mesh(standing, body.faces.numpy(), (200, 100, 50))], camera, background=blank)
    rows, columns = np.nonzero(drawn.any(-1))
    xy_px = camera.project(torch.from_numpy(standing))[0][0].numpy()
    seen = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
    assert np.abs(seen - [*xy_px.min(0), *xy_px.max(0)]).max() < 1.6
    half = draw_meshes(
        [Mesh(standing, body.faces.numpy(), (200, 100, 50))], camera, background=blank, opacity=0.5
    )
    assert 0.4 < half.max() / drawn.max() < 0.6
