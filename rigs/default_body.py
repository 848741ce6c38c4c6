"""Makes the shipped body from Anny: ``python -m rigs.default_body OUT.npz``, with the extra ``bake``.

Bodies of adults are drawn from Anny, brought into the zero pose of SMPL, carried over to a coarser mesh,
given 24 joints and a linear shape space, and written in the arrays of the SMPL file format. The same machine
and versions give the same file; elsewhere late components may turn into each other.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from rigs.bake.anny_bodies import AnnyMesh, draw_bodies, load_anny, shared_mesh
from rigs.bake.joints import merged_weights, mixed_from, ring_joints
from rigs.bake.landmarks import find_landmarks
from rigs.bake.mesh import decimate, vertex_areas
from rigs.bake.shape_space import principal_shapes
from rigs.bake.t_pose import bone_of, straighten_anny, straighten_joints
from rigs.body_files import FORMAT, VERSION
from rigs.errors import RigError
from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_log = logging.getLogger(__name__)

NUM_FACES: Final = 12_000
NUM_BETAS: Final = 16
NUM_BODIES: Final = 1600
SEED: Final = 20250
_BODIES_FOR_MESH = 50
"""The coarse mesh is made for the mean of this many bodies."""
_BODIES_FOR_KEYPOINTS = 300
_PASSES = 3
"""Straightening moves the joints a little, so it is repeated."""
_REACH_M = 0.012
"""Vertices this near to those of a keypoint on the full mesh may carry it on the coarse one."""
_DUST = 0.01
"""Weights on the full mesh below this do not say where a keypoint is."""
_STEP_M = 2.0**-20
"""Coordinates are rounded to this, a micrometre, so that the file packs well."""


@dataclass(frozen=True)
class CoarseBodies:
    """n bodies in the zero pose on the coarse mesh."""

    vertices: FloatArray
    """(n, V, 3) metres, rest axes."""
    heads: FloatArray
    """(n, 24, 3) Anny's bone heads at SMPL's joints."""
    keypoints: FloatArray
    """(n, K, 3) keypoints on the full mesh."""


def bake(out: Path, *, num_bodies: int = NUM_BODIES, seed: int = SEED) -> None:
    """Make the shipped body and write it to ``out``.

    Args:
        out: the ``.npz`` to write.
        num_bodies: how many adults the shape space is made from.
        seed: of their random looks.

    Raises:
        rigs.errors.RigError: Anny is not installed.
    """
    model = load_anny()
    mesh = shared_mesh(model)
    names, landmarks = find_landmarks(mesh)
    _log.info("making the mesh")
    first = np.concatenate([posed for posed, _ in _posed(model, mesh, _BODIES_FOR_MESH, seed)]).mean(0)
    carry, faces = decimate(first, mesh.faces, NUM_FACES)
    _log.info("drawing %d bodies", num_bodies)
    bodies = _coarse_bodies(_posed(model, mesh, num_bodies, seed), mesh, carry, landmarks)
    weights = carry @ merged_weights(mesh.weights, mesh.bone_names)
    weights /= weights.sum(1, keepdims=True)
    regressor = ring_joints(bodies.vertices.mean(0), faces, bodies.heads.mean(0), weights)
    keypoints = _coarse_keypoints(bodies, [first[row > _DUST] for row in landmarks])
    _log.info("shape space")
    vertices = straightened(bodies.vertices, regressor, weights)
    joints = np.einsum("jv,nva->nja", regressor, vertices)
    mean = vertices.mean(0)
    shapes = principal_shapes(vertices, joints, vertex_areas(mean, faces), NUM_BETAS)
    arrays = {"weights": weights, "J_regressor": regressor, "f": faces.astype(np.int32)}
    arrays |= {"v_template": _rounded(mean), "shapedirs": _rounded(shapes)}
    arrays |= _keypoint_arrays(names, keypoints)
    _write(out, arrays, _metadata(num_bodies, seed))
    _log.info("wrote %s", out)


def _posed(model: Any, mesh: AnnyMesh, count: int, seed: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Batches of bodies in the zero pose: vertices of the full mesh and Anny's bone heads."""
    for vertices, heads in draw_bodies(model, mesh, count, seed=seed):
        yield straighten_anny(vertices, heads, mesh.bone_names, mesh.bone_parents, mesh.weights)


def _coarse_bodies(
    batches: Iterable[tuple[FloatArray, FloatArray]], mesh: AnnyMesh, carry: Any, landmarks: FloatArray
) -> CoarseBodies:
    """Carry bodies over batch by batch, since the full meshes of all would not fit in memory."""
    bones = [mesh.bone_names.index(bone_of(joint)) for joint in SMPL_JOINT_NAMES]
    vertices: list[FloatArray] = []
    heads: list[FloatArray] = []
    keypoints: list[FloatArray] = []
    for posed, posed_heads in batches:
        vertices.extend(carry @ body for body in posed)
        heads.append(posed_heads[:, bones])
        keypoints.append(np.einsum("kv,nva->nka", landmarks, posed))
        _log.info("%d drawn", len(vertices))
    return CoarseBodies(np.stack(vertices), np.concatenate(heads), np.concatenate(keypoints))


def _coarse_keypoints(bodies: CoarseBodies, supports: list[FloatArray]) -> list[tuple[IntArray, FloatArray]]:
    """Vertices and weights on the coarse mesh of each keypoint, given where it rests on the full one."""
    tree = KDTree(bodies.vertices.mean(0))
    some = slice(0, _BODIES_FOR_KEYPOINTS)
    found: list[tuple[IntArray, FloatArray]] = []
    for keypoint, support in enumerate(supports):
        near = {int(v) for vs in tree.query_ball_point(support, _REACH_M) for v in vs}
        candidates = np.union1d(sorted(near), np.asarray(tree.query(support)[1])).astype(np.int64)
        found.append(mixed_from(candidates, bodies.vertices[some], bodies.keypoints[some, keypoint]))
    return found


def straightened(vertices: FloatArray, regressor: FloatArray, weights: FloatArray) -> FloatArray:
    """(n, V, 3) bodies with straight limbs and the pelvis at the origin; joints as (24, V) has them."""
    done: list[FloatArray] = []
    for batch in np.array_split(vertices, max(1, len(vertices) // 50)):
        posed = batch
        for _ in range(_PASSES):
            joints = np.einsum("jv,nva->nja", regressor, posed)
            posed = straighten_joints(posed, joints, SMPL_JOINT_NAMES, SMPL_PARENTS, weights)
        done.append(posed - np.einsum("v,nva->na", regressor[0], posed)[:, None])
    return np.concatenate(done)


def _metadata(num_bodies: int, seed: int) -> dict[str, object]:
    """What the file says about itself."""
    licence = Path(__file__).parent / "data" / "LICENSE.txt"
    return {
        "description": "Adult body in the arrays of the SMPL format; shape space of our own.",
        "made_by": "python -m rigs.default_body",
        "versions": {name: version(name) for name in ("anny", "torch", "numpy", "scipy", "open3d")},
        "bodies": num_bodies,
        "seed": seed,
        "licence": licence.read_text(encoding="utf-8"),
    }


def _keypoint_arrays(
    names: tuple[str, ...], keypoints: list[tuple[IntArray, FloatArray]]
) -> dict[str, NDArray[Any]]:
    """The keypoints' few weights as rows, vertices and values."""
    counts = [len(vertices) for vertices, _ in keypoints]
    return {
        "keypoint_names": np.array(names),
        "keypoint_row": np.repeat(np.arange(len(keypoints)), counts).astype(np.int32),
        "keypoint_vertex": np.concatenate([vertices for vertices, _ in keypoints]).astype(np.int32),
        "keypoint_weight": np.concatenate([mix for _, mix in keypoints]),
    }


def _write(out: Path, arrays: dict[str, NDArray[Any]], metadata: dict[str, object]) -> None:
    """Write the arrays; posedirs are left out, since they would all be zero."""
    np.savez_compressed(
        out,
        allow_pickle=False,
        format=np.array(FORMAT),
        version=np.array(VERSION),
        metadata=np.array(json.dumps(metadata)),
        joint_names=np.array(SMPL_JOINT_NAMES),
        kintree_table=np.array([SMPL_PARENTS, range(len(SMPL_PARENTS))]),
        **arrays,
    )


def _rounded(values: FloatArray) -> NDArray[np.float32]:
    return (np.round(values / _STEP_M) * _STEP_M).astype(np.float32)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m rigs.default_body OUT.npz")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        bake(Path(sys.argv[1]))
    except RigError as error:
        sys.exit(str(error))
