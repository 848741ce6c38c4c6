"""People on the stage: a body, its clothes and its motion; and their mesh at any moment."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from mocap.virtual.look import Look, Marks, paint, stand_off
from mocap.virtual.motions import perform
from mocap.virtual.moves import Move, default_moves
from mocap.virtual.script import Script, lay_out
from rigs.body import Body, load_body
from rigs.motion import Motion

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Performer:
    """Somebody who performs."""

    betas: tuple[float, ...] = (0.4, -0.6, 0.5, 0.3, -0.4, 0.2, -0.3, 0.3)
    """Shape of the body; further coefficients are zero."""
    look: Look = field(default_factory=Look)
    """Clothes, skin, hair."""
    moves: tuple[Move, ...] | None = None
    """What to do; by default moves that fill the take."""
    start_m: tuple[float, float] = (-0.6, 0.8)
    """Where to stand at first, world."""
    start_yaw_deg: float = 0.0
    """Direction faced at first; 0 faces -y, positive turns left."""
    body: str = "default"
    """Body model, for :func:`rigs.body.load_body`."""
    seed: int = 0
    """Of the small sway."""

    def load_body(self) -> Body:
        """The body model."""
        return load_body(self.body)

    def full_betas(self) -> FloatArray:
        """(B,) the shape with all coefficients."""
        betas = np.zeros(self.load_body().num_betas)
        betas[: len(self.betas)] = self.betas
        return betas

    def script(self, seconds: float) -> Script:
        """The moves laid out in time."""
        moves = default_moves(seconds) if self.moves is None else self.moves
        return lay_out(moves, start_xy=self.start_m, start_yaw_deg=self.start_yaw_deg)

    def motion(self, time_s: FloatArray, *, seconds: float, rate_hz: float) -> Motion:
        """The true motion at (T,) times of a take that lasts ``seconds``."""
        return perform(
            self.script(seconds), self.load_body(), self.full_betas(), time_s, rate_hz=rate_hz, seed=self.seed
        )


class DressedBody:
    """The mesh of a performer in clothes, posed frame by frame.

    The joints are those of the naked body: clothes move no joint.
    """

    def __init__(self, performer: Performer) -> None:
        body, betas = performer.load_body(), performer.full_betas()
        self._body = body
        self._betas = torch.from_numpy(betas)
        self.marks = Marks.of(body, betas)
        self.look = performer.look
        joints = body.joints_rest(betas).numpy()
        skin = body.vertices_rest(betas).numpy()
        self.faces = body.faces.numpy()
        self.rest = (skin - joints[0]).astype(np.float32)
        """(V, 3) float32 metres: places at rest, pelvis at the origin, which colours are a function of."""
        self._normals = vertex_normals(skin, self.faces)
        clothed = skin + self._normals * stand_off(self.look, self.marks, self.rest)[:, None]
        self._weights = body.weights.numpy()
        # Moments relative to each joint: one matrix product then skins all vertices.
        self._clothed, self._joints = clothed, joints

    def at(self, poses: FloatArray, trans: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mesh of one pose ((J * 3,) radians, (3,) metres).

        Returns:
            vertices: (V, 3) float32 metres, world.
            normals: (V, 3) float32 unit vectors, world.
        """
        turn, place = (value.numpy() for value in self._body.pose_frames(poses, trans, self._betas))
        shift = place - np.einsum("jab,jb->ja", turn, self._joints)
        motion = np.concatenate([turn.reshape(-1, 9), shift], 1)
        blended = self._weights @ motion
        turns = blended[:, :9].reshape(-1, 3, 3)
        vertices = np.einsum("vab,vb->va", turns, self._clothed) + blended[:, 9:]
        normals = np.einsum("vab,vb->va", turns, self._normals)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        return vertices.astype(np.float32), normals.astype(np.float32)

    def colors(self, rest: FloatArray) -> FloatArray:
        """(N, 3) colours of (N, 3) places on the resting body."""
        return paint(self.look, self.marks, rest)


def vertex_normals(vertices: FloatArray, faces: NDArray[np.integer]) -> FloatArray:
    """(V, 3) unit normals, each the area-weighted mean of its triangles'."""
    corners = vertices[faces]
    of_face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], of_face)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
