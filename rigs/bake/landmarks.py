"""Keypoints on Anny's full mesh, as weights over its vertices; the left side is found, the right mirrored."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from rigs.bake.anny_bodies import AnnyMesh
from rigs.keypoints import mirrored_name

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FINGERS: Final = ("thumb", "index", "middle", "ring", "pinky")
_KNUCKLE_VERTICES = 14
"""A knuckle is the mean of the vertices that its two bones share most: one ring around the finger."""


def mirror_vertices(vertices: FloatArray) -> NDArray[np.int64]:
    """(V,) index of each vertex's mirror image in x, on a mesh that is its own mirror image."""
    distance, index = KDTree(vertices).query(vertices * [-1, 1, 1])
    if distance.max() > 1e-5:
        raise ValueError(f"the mesh is not symmetric: a vertex's mirror image is {distance.max():.2g} m off")
    return np.asarray(index, dtype=np.int64)


def find_landmarks(mesh: AnnyMesh) -> tuple[tuple[str, ...], FloatArray]:
    """All keypoints: names and (K, V) weights over the full mesh, rows sum to 1."""
    rows = {name: weights for name, weights in mesh.keypoints.items() if not name.startswith("right_")}
    rows |= _head_points(mesh) | _foot_points(mesh) | _hand_points(mesh)
    mirror = mirror_vertices(mesh.template)
    middle = {name: (row + row[mirror]) / 2 for name, row in rows.items() if mirrored_name(name) == name}
    paired: dict[str, FloatArray] = {}
    for name, row in rows.items():
        if name not in middle:
            paired[name], paired[mirrored_name(name)] = row, row[mirror]
    found = middle | paired
    return tuple(found), np.stack(list(found.values()))


def _head_points(mesh: AnnyMesh) -> dict[str, FloatArray]:
    """Ends of eyelids and lips, pupils, tip of the nose, chin and crown."""
    x, y, z = mesh.template.T
    eye = _bone(mesh, "eye.L") > 0.5
    head = _bone(mesh, "head") > 0.3
    # where eye and mouth cavities were cut away, eyelids and lips are the rims of holes
    rim = _rims(mesh) & ~eye & ~(_bone(mesh, "eye.R") > 0.5) & head
    eye_y, eye_x = y[eye].mean(), x[eye].mean()
    lids = rim & (np.hypot(x - eye_x, y - eye_y) < 0.03)
    # below the eyes, in front of the ears
    lips = rim & (x > -1e-6) & (y < eye_y - 0.04) & (z > z[eye].mean() - 0.06)
    midline = head & (np.abs(x) < 1e-5)
    mouth_y = y[lips].mean()
    below = midline & (y < mouth_y - 0.01) & (z > z[lips].mean() - 0.05)
    nose = midline & (y > mouth_y) & (y < eye_y)
    return {
        "left_pupil": _extreme(z, eye, 5),
        "left_eye_inner": _extreme(-x, lids, 3),
        "left_eye_outer": _extreme(x, lids, 3),
        "mouth_left": _extreme(x, lips, 3),
        "nose_tip": _extreme(z, nose, 1),
        "chin": _extreme(z - y, below, 1),
        "head_top": _extreme(y, midline, 1),
    }


def _foot_points(mesh: AnnyMesh) -> dict[str, FloatArray]:
    """Back of the heel and ends of the first and last toe."""
    _, _, z = mesh.template.T
    return {
        "left_heel_back": _extreme(-z, _bone(mesh, "foot.L") > 0.7, 1),
        "left_big_toe_tip": _extreme(z, _bone(mesh, "toe1-2.L") > 0.5, 1),
        "left_small_toe_tip": _extreme(z, _bone(mesh, "toe5-3.L") > 0.5, 1),
    }


def _hand_points(mesh: AnnyMesh) -> dict[str, FloatArray]:
    """First knuckles (the thumb's second) and fingertips."""
    rows: dict[str, FloatArray] = {}
    for number, finger in enumerate(_FINGERS, start=1):
        bones = (
            ("finger1-1.L", "finger1-2.L")
            if number == 1
            else (f"metacarpal{number - 1}.L", f"finger{number}-1.L")
        )
        shared = np.minimum(_bone(mesh, bones[0]), _bone(mesh, bones[1]))
        most = np.argsort(-shared, kind="stable")[:_KNUCKLE_VERTICES]
        rows[f"left_{finger}_knuckle"] = _even(mesh, most[shared[most] > 0.1])
        last = _bone(mesh, f"finger{number}-3.L") > 0.5
        start = (_bone(mesh, f"finger{number}-2.L") > 0.2) & (_bone(mesh, f"finger{number}-3.L") > 0.2)
        along = mesh.template[last].mean(0) - mesh.template[start].mean(0)
        rows[f"left_{finger}_tip"] = _extreme(mesh.template @ along, last, 2)
    return rows


def _bone(mesh: AnnyMesh, name: str) -> FloatArray:
    """(V,) skin weights of one bone."""
    return mesh.weights[:, mesh.bone_names.index(name)]


def _extreme(value: FloatArray, among: Mask, count: int) -> FloatArray:
    """(V,) even weights on the ``count`` vertices with the largest value."""
    order = np.argsort(-np.where(among, value, -np.inf), kind="stable")[:count]
    return np.bincount(order[among[order]], minlength=len(value)) / among[order].sum()


def _even(mesh: AnnyMesh, vertices: NDArray[np.int64]) -> FloatArray:
    return np.bincount(vertices, minlength=len(mesh.template)) / len(vertices)


def _rims(mesh: AnnyMesh) -> Mask:
    """(V,) vertices on edges that belong to one face only."""
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, uses = np.unique(edges, axis=0, return_counts=True)
    rim = np.zeros(len(mesh.template), dtype=bool)
    rim[unique[uses == 1]] = True
    return rim
