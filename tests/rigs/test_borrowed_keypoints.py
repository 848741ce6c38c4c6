"""Bodies of the SMPL family get keypoints where the same person's are."""

from pathlib import Path

import numpy as np
import pytest

from rigs.errors import RigError
from rigs.model_folder import body_file, find_bodies
from tests.rigs.family import JOINTS, family_arrays, someone, write_body


@pytest.mark.parametrize("family", list(JOINTS))
@pytest.mark.parametrize("seed", [0, 1])
def test_keypoints_are_where_the_persons_are(tmp_path: Path, family: str, seed: int) -> None:
    theirs = write_body(tmp_path / "body.npz", family, seed)
    ours, _, vertices = someone(seed)
    assert theirs.keypoint_names == ours.keypoint_names
    rows = theirs.keypoint_regressor.numpy()
    assert np.allclose(rows.sum(1), 1) and rows.min() >= 0
    true = ours.keypoint_regressor.numpy() @ vertices + [0.0, 0.2, 0.03]
    error_mm = 1000 * np.linalg.norm(rows @ theirs.v_template.numpy() - true, axis=1)
    assert error_mm.mean() < 5.0, dict(zip(ours.keypoint_names, error_mm.round(1), strict=True))
    # hips do not follow the family's hip joints, which are 15 mm further out
    hips = [index for index, name in enumerate(ours.keypoint_names) if name.endswith("hip")]
    assert error_mm[hips].max() < 10.0
    assert theirs.detector_model(["left_hip", "nose", "left_heel"]).names[0] == "left_hip"


def test_only_the_shape_is_used(tmp_path: Path) -> None:
    assert write_body(tmp_path / "x.npz", "smplx").num_betas == 10
    assert write_body(tmp_path / "s.npz", "smpl").num_betas == 16
    arrays = family_arrays("smplx")[0]
    large = np.zeros((len(arrays["v_template"]), 3, 400), np.float32)
    np.savez(tmp_path / "large.npz", **(arrays | {"shapedirs": large}))
    from rigs.body import load_body

    assert load_body(tmp_path / "large.npz").num_betas == 16


def test_a_model_folder_tells_what_it_has(tmp_path: Path) -> None:
    for family, name in (("smpl", "SMPL_NEUTRAL"), ("smplx", "SMPLX_MALE")):
        (tmp_path / family).mkdir()
        write_body(tmp_path / family / f"{name}.npz", family)
    (tmp_path / "notes.txt").write_text("no body")
    np.savez(tmp_path / "motion.npz", poses=np.zeros(3))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "smpl" / "SMPL_NEUTRAL.npz").read_bytes()[:5000])
    found = {body.path.name: body for body in find_bodies(tmp_path)}
    assert set(found) == {"SMPL_NEUTRAL.npz", "SMPLX_MALE.npz", "cut.npz"}
    assert found["SMPL_NEUTRAL.npz"].family == "SMPL"
    assert found["SMPLX_MALE.npz"].family == "SMPL-X"
    assert found["cut.npz"].family == "" and "damaged" in found["cut.npz"].note
    assert body_file(tmp_path / "smplx").name == "SMPLX_MALE.npz"
    with pytest.raises(RigError, match=r"several bodies in the folder .*SMPL_NEUTRAL.npz.*give the path"):
        body_file(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RigError, match="no body in the folder"):
        body_file(tmp_path / "empty")


@pytest.mark.parametrize("family", list(JOINTS))
def test_posed_as_smplx_poses_it(tmp_path: Path, family: str) -> None:
    """The same file through the family's own program: flat hands, head locked."""
    smplx = pytest.importorskip("smplx", reason="the extra smpl is not installed")
    import torch

    theirs = write_body(tmp_path / "SMPLX_NEUTRAL.npz", family)
    count = JOINTS[family]
    random = np.random.default_rng(3)
    poses, trans = random.normal(0, 0.3, (2, 3 * count)), random.normal(size=(2, 3))
    betas = np.zeros(theirs.num_betas)
    betas[:10] = random.normal(size=10)
    arrays = {name: np.asarray(value) for name, value in family_arrays(family)[0].items()}
    turns = torch.from_numpy(poses).reshape(2, count, 3)
    given = {
        "betas": torch.from_numpy(betas[:10]).expand(2, -1), "transl": torch.from_numpy(trans),
        "global_orient": turns[:, 0], "body_pose": turns[:, 1 : 24 if family == "smpl" else 22].flatten(1),
    }  # fmt: skip
    common = {"num_betas": 10, "batch_size": 2, "dtype": torch.float64}
    ids = dict.fromkeys(smplx.vertex_ids.vertex_ids["smplh"], 0)
    struct = smplx.utils.Struct(**arrays)
    if family == "smpl":
        model = smplx.SMPL("", data_struct=struct, vertex_ids=ids, **common)
    else:
        hands = {"use_pca": False, "flat_hand_mean": True}
        given |= {
            "left_hand_pose": turns[:, -30:-15].flatten(1),
            "right_hand_pose": turns[:, -15:].flatten(1),
        }
        if family == "smplh":
            model = smplx.SMPLH("", data_struct=struct, vertex_ids=ids, **hands, **common)
        else:
            face = {"lmk_faces_idx": np.zeros(51, int), "lmk_bary_coords": np.full((51, 3), 1 / 3)}
            np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **arrays, **face)
            model = smplx.SMPLX(
                str(tmp_path / "SMPLX_NEUTRAL.npz"), use_face_contour=False, **hands, **common
            )
            # the joints behind its own are vertices of its own mesh alone
            model.vertex_joint_selector.extra_joints_idxs.zero_()
            given |= {"jaw_pose": turns[:, 22], "leye_pose": turns[:, 23], "reye_pose": turns[:, 24]}
            given |= {"expression": torch.zeros(2, 10).double()}
    with torch.no_grad():
        output = model(**given)
    vertices, joints = theirs.skin(poses, trans, betas)
    assert (vertices - output.vertices).abs().max() < 1e-6
    assert (joints - output.joints[:, :count]).abs().max() < 1e-6
