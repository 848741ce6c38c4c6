"""A skinned mesh at rest, as files of characters hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rigs.body import Body

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SkinnedMesh:
    """A triangle mesh that follows J joints; rig axes, metres."""

    vertices: FloatArray
    """(V, 3) at rest."""
    faces: NDArray[np.int64]
    """(F, 3) vertex indices, counterclockwise from outside."""
    weights: FloatArray
    """(V, J) how much of each joint's motion a vertex takes; rows sum to 1."""

    @property
    def normals(self) -> FloatArray:
        """(V, 3) unit vectors, outward: the mean over a vertex's faces by their area."""
        corners = self.vertices[self.faces]
        area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        total = np.zeros_like(self.vertices)
        for corner in range(3):
            np.add.at(total, self.faces[:, corner], area)
        length = np.linalg.norm(total, axis=-1, keepdims=True)
        return np.where(length > 0, total / np.maximum(length, 1e-30), [0.0, 1.0, 0.0])

    @property
    def uv(self) -> FloatArray:
        """(V, 2) in [0, 1]: angle about the vertical axis, and height. A simple map that every body has."""
        low, high = self.vertices.min(0), self.vertices.max(0)
        centre = (low + high) / 2
        angle = np.arctan2(self.vertices[:, 0] - centre[0], self.vertices[:, 2] - centre[2])
        height = (self.vertices[:, 1] - low[1]) / max(float(high[1] - low[1]), 1e-9)
        return np.stack([0.5 + angle / (2 * np.pi), height], axis=-1)

    def strongest(self, count: int) -> SkinnedMesh:
        """The same mesh with at most ``count`` joints to a vertex, weights scaled to sum to 1 again."""
        keep = np.argpartition(-self.weights, min(count, self.weights.shape[1]) - 1, axis=1)[:, :count]
        weights = np.zeros_like(self.weights)
        np.put_along_axis(weights, keep, np.take_along_axis(self.weights, keep, axis=1), axis=1)
        return SkinnedMesh(self.vertices, self.faces, weights / weights.sum(axis=1, keepdims=True))


def mesh_of(body: Body, betas: NDArray[Any]) -> SkinnedMesh:
    """The surface of a body in one shape (B,)."""
    return SkinnedMesh(
        vertices=np.asarray(body.vertices_rest(betas).numpy(), dtype=np.float64),
        faces=np.asarray(body.faces.numpy(), dtype=np.int64),
        weights=np.asarray(body.weights.numpy(), dtype=np.float64),
    )
