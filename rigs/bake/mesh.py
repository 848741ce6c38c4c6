"""A coarser mesh whose vertices are fixed mixes of the full mesh's, so that everything linear follows."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def decimate(vertices: FloatArray, faces: IntArray, num_faces: int) -> tuple[Any, IntArray]:
    """Quadric decimation of one pose of a mesh.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3).
        num_faces: how many triangles remain.

    Returns:
        carry: sparse (v, V), rows sum to 1: each new vertex as a mix of three old ones, on the old surface.
        faces: (num_faces, 3) of the v new vertices.
    """
    o3d = import_module("open3d")
    mesh = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(vertices), o3d.utility.Vector3iVector(faces.astype(np.int32))
    )
    coarse = mesh.simplify_quadric_decimation(num_faces)
    coarse.remove_degenerate_triangles()
    coarse.remove_unreferenced_vertices()
    carry = surface_mix(vertices, faces, np.asarray(coarse.vertices))
    return carry, np.asarray(coarse.triangles).astype(np.int64)


def surface_mix(vertices: FloatArray, faces: IntArray, points: FloatArray) -> Any:
    """Sparse (N, V): the surface point nearest each of (N, 3) points, as a mix of its triangle's corners."""
    o3d = import_module("open3d")
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(vertices.astype(np.float32), faces.astype(np.uint32))
    nearest = scene.compute_closest_points(points.astype(np.float32))
    corners = faces[nearest["primitive_ids"].numpy()]
    u, v = nearest["primitive_uvs"].numpy().astype(np.float64).T
    mix = np.clip(np.stack([1 - u - v, u, v], 1), 0, 1)
    mix /= mix.sum(1, keepdims=True)
    rows = np.repeat(np.arange(len(points)), 3)
    return sparse.csr_matrix((mix.ravel(), (rows, corners.ravel())), shape=(len(points), len(vertices)))


def vertex_areas(vertices: FloatArray, faces: IntArray) -> FloatArray:
    """(V,) square metres: a third of the area of each vertex's triangles."""
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    shares = np.bincount(faces.ravel(), weights=np.repeat(area / 3, 3), minlength=len(vertices))
    return shares.astype(np.float64)
