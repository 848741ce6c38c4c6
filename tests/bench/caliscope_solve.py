"""Runs inside .venv-bench: Caliscope's solve from given corners, timed.

    python caliscope_solve.py IN.npz OUT.npz

IN: sync, camera, keypoint (N,), xy_px (N, 2), xyz_board (N, 3), size_px (C, 2), board = columns, rows,
square_m. OUT: matrix (C, 3, 3), distortion (C, 5), rotation (C, 3, 3), translation (C, 3), and cpu_s and
wall_s of the solve.
"""

import logging
import sys
import time

import numpy as np
import pandas as pd
from caliscope.api import (
    CameraArray,
    CameraData,
    Charuco,
    ConstraintSet,
    ImagePoints,
    calibrate_extrinsics,
)

logging.disable(logging.CRITICAL)
given = np.load(sys.argv[1])
columns, rows, square_m = given["board"].tolist()
frame = pd.DataFrame(
    {
        "sync_index": given["sync"],
        "cam_id": given["camera"],
        "frame_index": given["sync"],
        "frame_time": given["sync"] / 6.0,
        "object_id": 0,
        "keypoint_id": given["keypoint"],
        "img_loc_x": given["xy_px"][:, 0],
        "img_loc_y": given["xy_px"][:, 1],
        "obj_loc_x": given["xyz_board"][:, 0],
        "obj_loc_y": given["xyz_board"][:, 1],
        "obj_loc_z": given["xyz_board"][:, 2],
    }
)
sizes = [tuple(int(side) for side in size) for size in given["size_px"]]
charuco = Charuco.from_squares(columns=int(columns), rows=int(rows), square_size_cm=100.0 * square_m)


def solve():
    cameras = CameraArray({i: CameraData(cam_id=i, size=size) for i, size in enumerate(sizes)})
    return calibrate_extrinsics(ImagePoints(frame), cameras, ConstraintSet.from_charuco(charuco))


solve()  # compiles and fills caches: the second run is the one that counts
cpu, wall = time.process_time(), time.perf_counter()
found = solve()
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
cameras = [found.capture_volume.camera_array.cameras[i] for i in range(len(sizes))]
np.savez(
    sys.argv[2],
    matrix=[camera.matrix for camera in cameras],
    distortion=[np.resize(np.append(np.ravel(c.distortions), np.zeros(5)), 5) for c in cameras],
    rotation=[camera.rotation for camera in cameras],
    translation=[np.ravel(camera.translation) for camera in cameras],
    cpu_s=cpu,
    wall_s=wall,
)
