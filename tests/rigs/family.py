"""Body files in the formats of the SMPL family, of people that nobody is: made here, from our own body."""

from pathlib import Path

import numpy as np
import torch

from rigs.body import Body, load_body
from rigs.body_files import _JOINT_NAMES
from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS

JOINTS = {"smpl": 24, "smplh": 52, "smplx": 55}


def someone(seed: int) -> tuple[Body, np.ndarray, np.ndarray]:
    """Our body, somebody's shape, and the same person's vertices at rest, (V, 3) metres."""
    body = load_body()
    betas = np.clip(np.random.default_rng(seed).normal(size=body.num_betas), -1.5, 1.5)
    return body, betas, body.vertices_rest(betas).numpy()


def family_arrays(family: str, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The arrays of a file of the family, and which of our vertices each of its vertices is.

    Another person in another place, vertices in another order, two in three of ours, hips 15 mm further out;
    with hands of three joints a finger where the family has them.
    """
    body, _, vertices = someone(seed)
    random = np.random.default_rng(seed)
    order = random.permutation(len(vertices))[: 2 * len(vertices) // 3]
    count = JOINTS[family]
    weights = np.zeros((len(order), count))
    regressor = np.zeros((count, len(order)))
    ours = body.weights.numpy()[order]
    named = _JOINT_NAMES[count]
    parents = [-1] * count
    for joint, name in enumerate(named):
        if name in SMPL_JOINT_NAMES:
            index = SMPL_JOINT_NAMES.index(name)
            parents[joint] = SMPL_PARENTS[index]
            weights[:, joint] = ours[:, index]
            place = body.joints_rest(someone(seed)[1])[index].numpy().copy()
            place[0] += 0.015 * np.sign(place[0]) * name.endswith("hip")
        else:
            side = "right" if name.startswith("right") else "left"
            parents[joint] = named.index("head" if count == 55 and 22 <= joint < 25 else f"{side}_wrist")
            place = vertices[order[joint]]
            if parents[joint] != named.index("head") and name.endswith("middle1"):
                weights[:, joint] = ours[:, SMPL_JOINT_NAMES.index(f"{side}_hand")]
        near = np.argsort(np.linalg.norm(vertices[order] - place, axis=1))[:40]
        system = np.vstack([vertices[order][near].T, np.ones(len(near))])
        regressor[joint, near] = np.linalg.lstsq(system, np.append(place, 1.0), rcond=None)[0]
    shapes = body.shapedirs.numpy()[order]
    if family == "smplx":  # ten of the shape, ten of the face
        shapes = np.concatenate([shapes[..., :10], random.normal(0, 0.01, shapes[..., :10].shape)], -1)
    kintree = np.array([parents, range(count)])
    kintree[0, 0] = 2**32 - 1
    faces = random.integers(0, len(order), (400, 3)).astype(np.uint32)
    moved = vertices[order] + [0.0, 0.2, 0.03]
    arrays = {
        "v_template": moved, "shapedirs": shapes, "J_regressor": regressor, "weights": weights,
        "f": faces, "kintree_table": kintree.astype(np.uint32),
        "posedirs": random.normal(0, 1e-4, (len(order), 3, 9 * (count - 1))).astype(np.float32),
    }  # fmt: skip
    if family != "smpl":
        arrays |= {f"hands_mean{side}": random.normal(0, 0.3, 45) for side in "lr"}
        arrays |= {f"hands_components{side}": np.eye(45) for side in "lr"}
    return arrays, order


def write_body(path: Path, family: str, seed: int = 0) -> Body:
    """Write a file of the family and load it."""
    np.savez(path, **family_arrays(family, seed)[0])
    torch.set_num_threads(1)
    return load_body(path)
