"""The steps that make the shipped body, on small bodies; Anny itself is not needed."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rigs.bake.joints import _joint_of, even_mix, merged_weights, mixed_from
from rigs.bake.landmarks import mirror_vertices
from rigs.bake.mesh import decimate, surface_mix, vertex_areas
from rigs.bake.shape_space import principal_shapes
from rigs.bake.t_pose import (
    _twist,
    about,
    bone_of,
    frame_turn,
    inherited,
    shortest_turn,
    skin,
    straighten_joints,
)
from rigs.body import load_body
from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS

RANDOM = np.random.default_rng(0)


def _sphere(rings: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """A closed sphere of radius 1."""
    polar, around = np.meshgrid(
        np.linspace(0, np.pi, rings), np.arange(2 * rings) * np.pi / rings, indexing="ij"
    )
    points = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], -1)
    index = np.arange(rings * 2 * rings).reshape(rings, -1)
    a, b = index[:-1], index[1:]
    c, d = np.roll(a, -1, 1), np.roll(b, -1, 1)
    faces = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([c, d, b], -1).reshape(-1, 3)])
    vertices, merged = np.unique(np.round(points.reshape(-1, 3), 12), axis=0, return_inverse=True)
    faces = merged.reshape(-1)[faces]
    return vertices, faces[(faces != np.roll(faces, 1, axis=1)).all(1)]


def test_turns_against_scipy() -> None:
    angle, axis = RANDOM.normal(size=5), RANDOM.normal(size=(5, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    assert np.allclose(
        about(axis, angle), Rotation.from_rotvec(angle[:, None] * axis).as_matrix(), atol=1e-14
    )
    assert np.allclose(_twist(about(axis[0], angle), axis[0]), angle, atol=1e-12)


def test_shortest_turn_brings_one_onto_the_other() -> None:
    start, end = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=(5, 3))
    turn = shortest_turn(start, end)
    moved = (turn @ start[..., None])[..., 0] / np.linalg.norm(start, axis=1, keepdims=True)
    assert np.allclose(moved, end / np.linalg.norm(end, axis=1, keepdims=True), atol=1e-14)
    along = np.cross(start, end)
    assert np.allclose((turn @ along[..., None])[..., 0], along, atol=1e-13)  # about the normal: the smallest
    assert np.allclose(shortest_turn(start, start), np.eye(3), atol=1e-14)


def test_frame_turn() -> None:
    first, second = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(4, 3))
    turn = frame_turn(first, second, np.array([1.0, 0, 0]), np.array([0.0, 0, 1]))
    moved = (turn @ first[..., None])[..., 0]
    assert np.allclose(moved[:, 1:], 0, atol=1e-13) and (moved[:, 0] > 0).all()
    across = (turn @ second[..., None])[..., 0]
    assert np.allclose(across[:, 1], 0, atol=1e-13) and (across[:, 2] > 0).all()


def test_children_turn_with_their_parents() -> None:
    quarter = about(np.array([0.0, 0, 1]), np.full(1, np.pi / 2))
    rotation = inherited([None, quarter, None], (-1, 0, 1), 1)
    assert np.allclose(rotation[0, 0], np.eye(3)) and np.allclose(rotation[0, 2], quarter[0])
    heads = np.array([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
    vertices = np.array([[[2.5, 0, 0]]])
    posed, placed = skin(vertices, heads, rotation, (-1, 0, 1), np.array([[0.0, 0, 1]]))
    assert np.allclose(placed[0, 2], [1, 1, 0]) and np.allclose(posed[0, 0], [1, 1.5, 0])


def test_a_bent_body_is_straightened_again() -> None:
    """Knees and elbows bent by a few degrees come back to the zero pose of the shipped body."""
    body = load_body()
    poses = np.zeros((24, 3))
    turns = {"left_knee": 0.06, "right_knee": 0.03, "left_elbow": 0.05, "right_shoulder": 0.04}
    for joint, turn in turns.items():
        poses[SMPL_JOINT_NAMES.index(joint)] = turn
    bent, joints = (value.numpy()[None] for value in body.skin(poses.reshape(72), np.zeros(3), np.zeros(16)))
    args = SMPL_JOINT_NAMES, SMPL_PARENTS, body.weights.numpy()
    straight = straighten_joints(bent, joints, *args)[0]
    # a foot keeps its turn: its joint in front tells nothing about how level the sole is
    limbs = [index for index, name in enumerate(SMPL_JOINT_NAMES) if not name.endswith("foot")]
    expected = body.joint_template.numpy()[limbs]
    assert np.abs((body.joint_regressor.numpy() @ straight)[limbs] - expected).max() < 1e-3
    assert np.abs(joints[0, limbs] - expected).max() > 0.01


def test_every_bone_of_anny_has_a_joint() -> None:
    expected = {
        "pelvis.R": "pelvis",
        "eye.L": "head",
        "upperleg02.R": "right_hip",
        "toe4-2.L": "left_foot",
        "shoulder01.R": "right_collar",
        "metacarpal3.L": "left_wrist",
        "finger1-2.R": "right_wrist",
        "finger4-1.R": "right_hand",
        "spine05": "pelvis",
        "neck02": "neck",
    }
    assert {bone: _joint_of(bone) for bone in expected} == expected
    with pytest.raises(ValueError, match="bone tail belongs to no joint"):
        _joint_of("tail")
    for joint in SMPL_JOINT_NAMES:
        assert _joint_of(bone_of(joint)) == joint
    weights = merged_weights(np.array([[0.2, 0.3, 0.5]]), ["root", "neck01", "neck02"])
    assert np.isclose(weights[0, SMPL_JOINT_NAMES.index("neck")], 0.8)


def test_even_mix_is_convex_and_exact_or_says_how_far_off() -> None:
    points = RANDOM.normal(size=(30, 3)) * 0.05 + [0.01, 0, 0]
    mix, error_m = even_mix(points)
    assert (mix >= 0).all() and np.isclose(mix.sum(), 1) and error_m < 1e-5
    assert np.count_nonzero(mix) > 20
    _, error_m = even_mix(np.abs(points) + 0.01)
    assert error_m > 0.005  # the origin lies outside


def test_mixed_from_finds_a_planted_mix() -> None:
    bodies = RANDOM.normal(size=(40, 12, 3))
    planted = np.zeros(12)
    planted[[2, 5, 7]] = 0.5, 0.3, 0.2
    vertices, mix = mixed_from(np.arange(1, 12), bodies, np.einsum("v,nva->na", planted, bodies))
    assert vertices.tolist() == [2, 5, 7] and np.allclose(mix, [0.5, 0.3, 0.2], atol=1e-6)


def test_decimated_vertices_are_mixes_on_the_surface() -> None:
    vertices, faces = _sphere()
    carry, coarse_faces = decimate(vertices, faces, 400)
    coarse = carry @ vertices
    assert abs(len(coarse_faces) - 400) <= 2 and np.allclose(np.asarray(carry.sum(1)), 1)
    assert (np.linalg.norm(coarse, axis=1) > 0.98).all() and (np.linalg.norm(coarse, axis=1) < 1 + 1e-6).all()
    stretched = vertices * [1, 2, 1]
    assert np.allclose(carry @ stretched, coarse * [1, 2, 1])  # linear: every shape follows
    assert np.isclose(vertex_areas(coarse, coarse_faces).sum(), 4 * np.pi, rtol=0.03)


def test_surface_mix_finds_the_nearest_point() -> None:
    vertices, faces = _sphere()
    direction = RANDOM.normal(size=(50, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    found = surface_mix(vertices, faces, 1.5 * direction) @ vertices
    assert np.linalg.norm(found - direction, axis=1).max() < 0.04  # flat triangles


def test_mirror_vertices() -> None:
    vertices, _ = _sphere()
    mirror = mirror_vertices(vertices)
    assert (
        np.allclose(vertices[mirror], vertices * [-1, 1, 1])
        and (mirror[mirror] == np.arange(len(mirror))).all()
    )
    with pytest.raises(ValueError, match="not symmetric"):
        mirror_vertices(vertices + np.arange(len(vertices))[:, None] * 1e-3)


def test_principal_shapes_are_found() -> None:
    """Planted directions come back with their sizes, the first with + for taller."""
    template = RANDOM.normal(size=(60, 3))
    planted = np.zeros((2, 60, 3))
    planted[0, :, 1] = -0.2 * template[:, 1]
    planted[1, :, 2] = 0.05
    scores = RANDOM.normal(size=(4000, 2))
    scores = (scores - scores.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(scores.T))).T
    bodies = template + np.einsum("ns,sva->nva", scores, planted)[:300]
    full = template + np.einsum("ns,sva->nva", scores[:300], planted)
    found = principal_shapes(bodies, bodies[:, :3], np.ones(60), 2)
    assert np.allclose(np.abs(found[..., 0]), np.abs(planted[0]), atol=0.04)
    assert np.sum(found[..., 0] * -planted[0]) > 0  # taller, though the planted direction is shorter
    rebuilt = principal_shapes(full, full[:, :3], np.ones(60), 2).reshape(-1, 2)
    centered = (full - full.mean(0)).reshape(300, -1)
    rest = centered - centered @ np.linalg.pinv(rebuilt).T @ rebuilt.T
    assert np.abs(rest).max() < 1e-10
    assert np.allclose((centered @ np.linalg.pinv(rebuilt).T).std(0, ddof=1), 1, atol=1e-9)
