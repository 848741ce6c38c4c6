import itertools
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from rigs.body import DEFAULT_BODY_FILE, Body, load_body
from rigs.errors import RigError
from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("default")


def _small_arrays() -> dict[str, object]:
    """The arrays of a body of few vertices, which no person would recognise."""
    random = np.random.default_rng(0)
    regressor = random.uniform(size=(24, 40)) * (random.uniform(size=(24, 40)) < 0.3)
    return {
        "v_template": random.normal(size=(40, 3)),
        "shapedirs": random.normal(size=(40, 3, 10)),
        "J_regressor": regressor,
        "weights": np.full((40, 24), 1 / 24),
        "f": np.arange(39, dtype=np.uint32).reshape(13, 3),
        "kintree_table": np.array([[2**32 - 1, *SMPL_PARENTS[1:]], range(24)], dtype=np.uint32),
        "posedirs": np.zeros((40, 3, 207)),
    }


def _smpl_arrays(body: Body) -> dict[str, object]:
    return {
        "v_template": body.v_template.numpy(),
        "shapedirs": body.shapedirs.numpy(),
        "J_regressor": body.joint_regressor.numpy(),
        "weights": body.weights.numpy(),
        "f": body.faces.numpy().astype(np.uint32),
        "kintree_table": np.array([[2**32 - 1, *SMPL_PARENTS[1:]], range(24)], dtype=np.uint32),
        "posedirs": np.zeros((len(body.v_template), 3, 207)),
    }


class Ch:
    """Looks like chumpy's array in a pickle."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x


@pytest.mark.parametrize(("protocol", "sparse"), list(itertools.product((0, 2, 5), ("csc", "csr"))))
def test_a_users_pickle_with_foreign_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int, sparse: str
) -> None:
    arrays = _small_arrays()
    template, regressor = arrays["v_template"], arrays["J_regressor"]
    compressed = scipy.sparse.csc_matrix(regressor)
    changed = {
        "J_regressor": compressed if sparse == "csc" else compressed.tocsr(),
        "v_template": Ch(template),
    }
    module = type(sys)("chumpy.ch")
    module.Ch = Ch  # type: ignore[attr-defined]
    monkeypatch.setattr(Ch, "__module__", "chumpy.ch")
    monkeypatch.setitem(sys.modules, "chumpy", type(sys)("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    file = tmp_path / "SMPL_NEUTRAL.pkl"
    file.write_bytes(pickle.dumps(arrays | changed, protocol=protocol))
    monkeypatch.setitem(sys.modules, "chumpy", None)
    monkeypatch.setitem(sys.modules, "chumpy.ch", None)
    loaded = load_body(file)
    assert loaded.joint_names == SMPL_JOINT_NAMES and loaded.parents == SMPL_PARENTS
    assert np.array_equal(loaded.v_template.numpy(), template) and loaded.posedirs is None
    assert np.array_equal(loaded.joint_regressor.numpy(), regressor)
    with pytest.raises(RigError, match="no keypoints on its surface"):
        loaded.detector_model(["nose"])


@pytest.mark.parametrize(("joints", "last"), [(24, "right_hand"), (52, "right_thumb3"), (55, "right_thumb3")])
def test_joint_names_of_the_family(tmp_path: Path, joints: int, last: str) -> None:
    vertices, parents = 7, [-1, *range(joints - 1)]
    np.savez(
        tmp_path / "body.npz",
        v_template=np.ones((vertices, 3)),
        shapedirs=np.zeros((vertices, 3, 10)),
        J_regressor=np.full((joints, vertices), 1 / vertices),
        weights=np.full((vertices, joints), 1 / joints),
        f=np.zeros((1, 3), int),
        kintree_table=np.array([parents, range(joints)]),
        hands_meanl=np.zeros(45),
    )
    body = load_body(tmp_path / "body.npz")
    assert len(body.joint_names) == joints and body.joint_names[-1] == last
    assert body.joint_names[:22] == SMPL_JOINT_NAMES[:22]


class _Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


def test_code_in_a_pickle_does_not_run(tmp_path: Path) -> None:
    file = tmp_path / "evil.pkl"
    file.write_bytes(pickle.dumps({"v_template": _Attack(tmp_path / "owned")}))
    with pytest.raises(RigError, match=r"evil.pkl is damaged or no body file: .*not allowed"):
        load_body(file)
    assert not (tmp_path / "owned").exists()
    pickle.loads(file.read_bytes())
    assert (tmp_path / "owned").exists()  # the attack is real


def test_files_that_are_no_bodies(tmp_path: Path, body: Body) -> None:
    with pytest.raises(RigError, match=r"no body file .*nowhere.npz; give 'default'"):
        load_body(tmp_path / "nowhere.npz")
    (tmp_path / "text.npz").write_text("not a zip")
    with pytest.raises(RigError, match=r"text.npz is damaged or no body file"):
        load_body(tmp_path / "text.npz")
    whole = DEFAULT_BODY_FILE.read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RigError, match=r"cut.npz is damaged or no body file"):
        load_body(tmp_path / "cut.npz")
    np.savez(tmp_path / "motion.npz", poses=np.zeros((1, 72)))
    with pytest.raises(RigError, match=r"motion.npz is no body file: it has no v_template"):
        load_body(tmp_path / "motion.npz")
    arrays = _smpl_arrays(body)
    np.savez(tmp_path / "newer.npz", format="mocap-studio body", version=2, **arrays)
    with pytest.raises(RigError, match=r"newer.npz has version 2"):
        load_body(tmp_path / "newer.npz")
    np.savez(tmp_path / "odd.npz", **(arrays | {"weights": np.ones((5, 24))}))
    with pytest.raises(RigError, match=r"odd.npz"):
        load_body(tmp_path / "odd.npz")
