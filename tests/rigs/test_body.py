import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rigs.body import Body, load_body
from rigs.errors import RigError
from rigs.keypoints import KEYPOINT_SETS, mirrored_name
from rigs.kinematics import rotation_from_rotvec
from rigs.placements import placed, placements
from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("default")


def _poses(times: int = 3, size: float = 0.4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    poses, trans = random.normal(0, size, (times, 72)), random.normal(size=(times, 3))
    return poses, trans, random.normal(size=16)


# The same arrays through smplx


def _smplx_output(body: Body, posedirs: np.ndarray, poses: np.ndarray, trans: np.ndarray, betas: np.ndarray):
    smplx = pytest.importorskip("smplx", reason="the extra smpl is not installed")
    from smplx.utils import Struct

    class WithAllBetas(smplx.SMPL):
        SHAPE_SPACE_DIM = 16  # else it keeps ten of them

    arrays = Struct(
        v_template=body.v_template.numpy(),
        shapedirs=body.shapedirs.numpy(),
        posedirs=posedirs,
        J_regressor=body.joint_regressor.numpy(),
        weights=body.weights.numpy(),
        f=body.faces.numpy(),
        kintree_table=np.array([SMPL_PARENTS, range(24)]),
    )
    model = WithAllBetas(
        "",
        data_struct=arrays,
        num_betas=16,
        batch_size=len(poses),
        dtype=torch.float64,
        vertex_ids=dict.fromkeys(smplx.vertex_ids.vertex_ids["smplh"], 0),  # the default ones lie outside
    )
    with torch.no_grad():
        return model(
            betas=torch.from_numpy(betas).expand(len(poses), -1),
            global_orient=torch.from_numpy(poses[:, :3]),
            body_pose=torch.from_numpy(poses[:, 3:]),
            transl=torch.from_numpy(trans),
        )


@pytest.mark.parametrize("size", [0.0, 0.4, 1.5])
def test_skin_and_joints_equal_smplx(body: Body, size: float) -> None:
    poses, trans, betas = _poses(size=size)
    output = _smplx_output(body, np.zeros((len(body.v_template), 3, 207)), poses, trans, betas)
    vertices, joints = body.skin(poses, trans, betas)
    # smplx adds 1e-8 rad to every angle; the contract is a micrometre
    assert (vertices - output.vertices).abs().max() < 2e-7
    assert (joints - output.joints[:, :24]).abs().max() < 2e-7


def test_the_comparison_with_smplx_sees_a_tenth_of_a_milliradian(body: Body) -> None:
    poses, trans, betas = _poses()
    output = _smplx_output(body, np.zeros((len(body.v_template), 3, 207)), poses, trans, betas)
    poses[0, 60] += 1e-4
    assert (body.skin(poses, trans, betas)[0] - output.vertices).abs().max() > 1e-6


def test_pose_corrections_equal_smplx(body: Body) -> None:
    poses, trans, betas = _poses()
    posedirs = np.random.default_rng(1).normal(0, 1e-3, (len(body.v_template), 3, 207))
    output = _smplx_output(body, posedirs, poses, trans, betas)
    corrected = replace(body, posedirs=torch.from_numpy(posedirs))
    assert (corrected.skin(poses, trans, betas)[0] - output.vertices).abs().max() < 2e-7


def test_everything_works_without_smplx_and_anny(tmp_path: Path) -> None:
    program = """
import pkgutil, sys
for name in ("smplx", "anny", "warp", "chumpy"):
    sys.modules[name] = None
import rigs
for module in pkgutil.walk_packages(rigs.__path__, "rigs."):
    __import__(module.name)
import torch
from rigs import load_body
body = load_body()
vertices, joints = body.skin(torch.zeros(1, 72), torch.zeros(1, 3), torch.zeros(16))
assert (vertices[0] - body.v_template).abs().max() < 1e-12
body.detector_model(["left_hip"])
assert not {"cv2", "open3d", "av"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=120)


# Skinning and its collapsed keypoints


def test_zero_pose_is_the_rest_mesh(body: Body) -> None:
    betas = np.linspace(-1, 1, 16)
    vertices, joints = body.skin(np.zeros(72), np.zeros(3), betas)
    assert (vertices - body.vertices_rest(betas)).abs().max() < 1e-12
    assert (joints - body.joints_rest(betas)).abs().max() < 1e-12


def test_joints_without_the_mesh_equal_those_with_it(body: Body) -> None:
    poses, trans, betas = _poses()
    assert torch.equal(body.pose_joints(poses, trans, betas), body.skin(poses, trans, betas)[1])


def test_keypoints_equal_mixes_of_the_posed_vertices(body: Body) -> None:
    poses, trans, betas = _poses(size=0.8)
    vertices, joints = body.skin(poses, trans, betas)
    expected = torch.einsum("kv,tva->tka", body.keypoint_regressor, vertices)
    keypoints = body.pose_keypoints(body.keypoint_names, poses, trans, betas)
    assert (keypoints - expected).abs().max() < 1e-12
    as_keypoints = body.pose_keypoints([f"joint:{name}" for name in body.joint_names], poses, trans, betas)
    assert (as_keypoints - joints).abs().max() < 1e-12


def test_one_shape_for_each_pose(body: Body) -> None:
    poses, trans, _ = _poses()
    betas = np.random.default_rng(0).normal(size=(3, 16))
    vertices, joints = body.skin(poses, trans, betas)
    names = ("nose", "joint:left_knee", "right_heel")
    keypoints = body.pose_keypoints(names, poses, trans, betas)
    for time in range(3):
        alone, alone_joints = body.skin(poses[time], trans[time], betas[time])
        assert (vertices[time] - alone).abs().max() < 1e-12
        assert (joints[time] - alone_joints).abs().max() < 1e-12
        expected = body.pose_keypoints(names, poses[time], trans[time], betas[time])
        assert (keypoints[time] - expected).abs().max() < 1e-12


def test_many_frames_are_skinned_in_parts(body: Body) -> None:
    poses, trans, betas = _poses(times=130, size=0.2)
    few = body.skin(poses[[0, 63, 64, 129]], trans[[0, 63, 64, 129]], betas)[0]
    assert torch.allclose(body.skin(poses, trans, betas)[0][[0, 63, 64, 129]], few, atol=1e-13)
    assert body.skin(poses[:0], trans[:0], betas)[0].shape == (0, len(body.v_template), 3)


def test_fewer_betas_leave_the_rest_at_zero(body: Body) -> None:
    poses, trans, betas = _poses()
    full = np.concatenate([betas[:5], np.zeros(11)])
    for short, long in (
        (body.skin(poses, trans, betas[:5])[0], body.skin(poses, trans, full)[0]),
        (
            body.pose_keypoints(["nose"], poses, trans, betas[:5]),
            body.pose_keypoints(["nose"], poses, trans, full),
        ),
    ):
        assert (short - long).abs().max() < 1e-13
    with pytest.raises(ValueError, match="17 betas for a body with 16"):
        body.joints_rest(np.zeros(17))


def test_keypoint_model_parts(body: Body) -> None:
    model = body.keypoint_model(("nose", "left_elbow", "joint:left_elbow"))
    assert model.moment.shape == (3, 24, 3) and model.moment_betas.shape == (3, 24, 3, 16)
    assert (
        torch.allclose(model.weight.sum(1), torch.ones(3).double(), atol=1e-12) and (model.weight >= 0).all()
    )
    assert torch.allclose(model.offset_share.sum(1), torch.ones(3).double(), atol=1e-12)
    assert model.moment[2].abs().max() == 0 and model.weight[2, SMPL_JOINT_NAMES.index("left_elbow")] == 1
    picked = model.select(["joint:left_elbow", "nose"])
    assert torch.equal(picked.moment[1], model.moment[0]) and picked.names == ("joint:left_elbow", "nose")


def test_keypoints_are_differentiable_in_pose_and_shape(body: Body) -> None:
    """The analytic derivative by the shape, sum_j R_j moment_betas, equals autodiff's for fixed joints."""
    model = body.keypoint_model(("left_wrist",))
    rotation = rotation_from_rotvec(torch.randn(24, 3).double())
    places = torch.randn(24, 3).double()
    derivative = torch.autograd.functional.jacobian(
        lambda b: model.pose(rotation, places, b)[0], torch.zeros(16).double()
    )
    assert torch.allclose(
        derivative, torch.einsum("jab,jbn->an", rotation, model.moment_betas[0]), atol=1e-13
    )


def test_an_offset_is_carried_by_its_joints_turn(body: Body) -> None:
    poses, trans, betas = _poses()
    rotation, joints = body.pose_frames(poses, trans, betas)
    model = body.keypoint_model(("joint:left_knee",))
    offset = torch.tensor([[0.01, 0.02, 0.03]]).double()
    knee = SMPL_JOINT_NAMES.index("left_knee")
    moved = model.with_offsets(offset).pose(rotation, joints, torch.from_numpy(betas))[:, 0]
    assert torch.allclose(moved - joints[:, knee], rotation[:, knee] @ offset[0], atol=1e-14)


def test_mirrored_pose_gives_the_mirrored_body(body: Body) -> None:
    poses, trans, betas = _poses()
    swap = [SMPL_JOINT_NAMES.index(mirrored_name(name)) for name in SMPL_JOINT_NAMES]
    mirrored = (poses.reshape(-1, 24, 3)[:, swap] * [1, -1, -1]).reshape(-1, 72)
    other = body.pose_joints(mirrored, trans * [-1, 1, 1], betas)
    expected = body.pose_joints(poses, trans, betas)[:, swap] * torch.tensor([-1.0, 1, 1])
    assert (other - expected).abs().max() < 2e-3  # the coarse mesh is not quite symmetric


@pytest.mark.parametrize("set_name", [name for name in KEYPOINT_SETS if placed(name)])
def test_detector_models_of_all_sets(body: Body, set_name: str) -> None:
    names = placed(set_name, body.joint_names)
    model = body.detector_model(names, set_name)
    points = model.pose(*body.pose_frames(np.zeros(72), np.zeros(3), np.zeros(16)), torch.zeros(16).double())
    assert points.shape == (len(names), 3)
    for index, name in enumerate(names):
        other = names.index(mirrored_name(name))
        assert torch.allclose(
            points[index] * torch.tensor([-1.0, 1, 1]).double(), points[other], atol=3e-4
        ), name
        assert (points[index, 0] > 0) == ("left" in name) or mirrored_name(name) == name
    assert torch.allclose(model.offset_share.sum(1), torch.ones(len(names)).double())
    assert (model.sigma_m > 0).all()


def test_blazepose_offsets_turn_with_their_bones(body: Body) -> None:
    """With the left arm hanging, what lay along the arm lies upright."""
    hanging = np.zeros((24, 3))
    hanging[SMPL_JOINT_NAMES.index("left_shoulder"), 2] = -np.pi / 2
    names = ("left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee", "left_ankle")
    rotation, joints = body.pose_frames(hanging.reshape(72), np.zeros(3), np.zeros(16))
    points = body.detector_model(names).pose(rotation, joints, torch.zeros(16).double())
    seen = points - joints[[SMPL_JOINT_NAMES.index(name) for name in names]]
    for name, moved, place in zip(names, seen.tolist(), placements("blazepose33", names), strict=True):
        x, y, z = place.offset_m
        arm = name in ("left_elbow", "left_wrist")
        assert moved == pytest.approx((y, -x, z) if arm else (x, y, z), abs=1e-12), name


def test_detector_names_in_other_spellings(body: Body) -> None:
    model = body.detector_model(["LHip", "Nose"], "coco17")
    assert torch.equal(model.moment, body.detector_model(["left_hip", "nose"], "coco17").moment)
    assert [place.on for place in placements("coco17", ["LHip"])] == [("left_hip",)]


def test_skeleton_has_tips(body: Body) -> None:
    skeleton = body.skeleton(np.zeros(16))
    assert skeleton.joint_names == SMPL_JOINT_NAMES and skeleton.parents == SMPL_PARENTS
    assert set(skeleton.tips) == {"head", "left_hand", "right_hand", "left_foot", "right_foot"}
    rest = dict(zip(skeleton.joint_names, skeleton.rest_xyz, strict=True))
    assert skeleton.tips["head"][1] - rest["head"][1] > 0.1
    assert skeleton.tips["left_hand"][0] - rest["left_hand"][0] > 0.05
    assert skeleton.tips["right_foot"][2] - rest["right_foot"][2] > 0.03


def test_unknown_names_are_told_with_the_known_ones(body: Body) -> None:
    with pytest.raises(RigError, match=r"body default has no keypoint 'tail'; it has nose"):
        body.keypoint_model(["tail"])
    with pytest.raises(RigError, match=r"no joint 'tail'; it has pelvis"):
        body.keypoint_model(["joint:tail"])
