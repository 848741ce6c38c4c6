"""Adult bodies drawn from Anny: shapes, in Anny's own rest pose, turned to SMPL's axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from rigs.errors import RigError

FloatArray = NDArray[np.float64]

_HIDDEN_PARTS: Final = (
    *("eye_back.L", "eye_back.R", "eye_cavity.L", "eye_cavity.R", "mouth_cavity", "tongue"),
)
"""Parts of the mesh inside the head: they cost vertices and nobody sees them."""

LOCAL_CHANGES: Final[dict[str, tuple[float, tuple[str, ...]]]] = {
    # Anny's phenotypes alone hardly vary the length of limbs at a given stature; people do.
    "upper leg": (0.16, ("measure-upperleg-height-incr",)),
    "lower leg": (0.14, ("measure-lowerleg-height-incr",)),
    "upper arm": (0.18, ("measure-upperarm-length-incr",)),
    "lower arm": (0.16, ("measure-lowerarm-length-incr",)),
    "torso height": (0.20, ("torso-scale-vert-incr",)),
    "torso depth": (0.25, ("torso-scale-depth-incr",)),
    "shoulders": (0.30, ("measure-shoulder-dist-incr",)),
    "hip width": (0.25, ("hip-scale-horiz-incr",)),
    "hip depth": (0.25, ("hip-scale-depth-incr",)),
    "neck": (0.30, ("measure-neck-height-incr",)),
    "head height": (0.20, ("head-scale-vert-incr",)),
    "head width": (0.20, ("head-scale-horiz-incr",)),
    "head depth": (0.20, ("head-scale-depth-incr",)),
    "feet": (0.12, ("l-foot-scale-incr", "r-foot-scale-incr")),
    "hands": (0.15, ("l-hand-scale-incr", "r-hand-scale-incr")),
    "waist": (0.40, ("measure-waist-circ-incr",)),
    "hips": (0.40, ("measure-hips-circ-incr",)),
    "bust": (0.40, ("measure-bust-circ-incr",)),
    "belly": (0.20, ("stomach-pregnant-incr",)),
}
"""Standard deviation of each change and the parameters of Anny that take it, in units of those."""

_TRIAL_HEIGHTS: Final = (0.14, 0.66)
"""Anny's height parameter of short and tall adults; stature is linear in it."""


@dataclass(frozen=True)
class AnnyMesh:
    """What all of Anny's bodies share; vertices that are seen only."""

    vertex: NDArray[np.int64]
    """(V,) indices of these vertices in Anny's mesh."""
    faces: NDArray[np.int64]
    """(F, 3) into the V vertices."""
    template: FloatArray
    """(V, 3) metres, rest axes, Anny's own rest pose."""
    bone_names: tuple[str, ...]
    """Names of Anny's 104 bones."""
    bone_parents: tuple[int, ...]
    """Their parents, -1 for the root."""
    weights: FloatArray
    """(V, 104) skin weights, rows sum to 1."""
    keypoints: Mapping[str, FloatArray]
    """(V,) weights of COCO's keypoints and those of the feet, each sums to 1."""


def load_anny() -> Any:
    """Anny with all local changes; reads or builds its cache, a minute and a gigabyte the first time.

    Raises:
        RigError: Anny is not installed.
    """
    try:
        anny = import_module("anny")
    except ModuleNotFoundError as error:
        raise RigError("making the body needs anny: pip install 'mocap-studio[bake]'") from error
    return anny.Anny(rig="anny", topology="anny", local_changes="default", phenotypes="default")


def to_rest_axes(xyz_anny: Any) -> FloatArray:
    """(..., 3) from Anny's axes (Z up, facing -Y) to SMPL's (Y up, facing +Z); metres in both."""
    xyz = np.asarray(xyz_anny, dtype=np.float64)
    return np.stack([xyz[..., 0], xyz[..., 2], -xyz[..., 1]], -1)


def shared_mesh(model: Any) -> AnnyMesh:
    """Mesh, bones, weights and keypoints of Anny without the hidden parts."""
    segmentation, keypoints = import_module("anny.face_segmentation"), import_module("anny.keypoints")
    hidden = segmentation.get_face_segmentation_mask(model, list(_HIDDEN_PARTS)).numpy()
    kept = model.faces.numpy()[~hidden]
    vertex, faces = np.unique(kept, return_inverse=True)
    weights = np.zeros((len(model.template_vertices), len(model.bone_labels)))
    np.add.at(
        weights,
        (np.arange(len(weights))[:, None], model.vertex_bone_indices.numpy()),
        model.vertex_bone_weights.numpy(),
    )
    regressor = keypoints.KeypointsRegressor.coco(model)
    rows = regressor.regression_weights.numpy()[:, vertex]
    return AnnyMesh(
        vertex=vertex.astype(np.int64),
        faces=faces.reshape(kept.shape).astype(np.int64),
        template=to_rest_axes(model.template_vertices)[vertex],
        bone_names=tuple(model.bone_labels),
        bone_parents=tuple(model.bone_parents),
        weights=weights[vertex],
        # the eyeballs' backs are gone: what weight they had goes to the rest
        keypoints=dict(zip(regressor.labels, rows / rows.sum(1, keepdims=True), strict=True)),
    )


def draw_bodies(
    model: Any, mesh: AnnyMesh, count: int, *, seed: int, spread_stature: bool = False, batch: int = 50
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Random adults in batches.

    Args:
        model: Anny.
        mesh: its visible part.
        count: how many.
        seed: of the random numbers.
        spread_stature: statures even over 1.45-2.05 m, for tests, instead of those of a population.
        batch: how many at a time.

    Yields:
        vertices (n, V, 3) and bone heads (n, 104, 3): metres, rest axes, Anny's own rest pose.
    """
    random = np.random.default_rng(seed)
    for start in range(0, count, batch):
        size = min(batch, count - start)
        looks = {name: random.uniform(0, 1, size) for name in ("muscle", "weight", "proportions")}
        looks["gender"] = random.beta(0.4, 0.4, size)  # most near one of the ends
        looks["age"] = random.uniform(2 / 3, 1, size)  # young adult to old
        stature = random.uniform(1.45, 2.05, size) if spread_stature else random.normal(1.70, 0.11, size)
        changes: dict[str, FloatArray] = {}
        for deviation, parameters in LOCAL_CHANGES.values():
            value = np.clip(random.normal(0, deviation, size), -1, 1)
            changes |= dict.fromkeys(parameters, value)
        looks["height"] = _height_of(model, looks, changes, stature)
        vertices, heads = _evaluate(model, looks, changes)
        yield vertices[:, mesh.vertex], heads


def _height_of(
    model: Any, looks: Mapping[str, FloatArray], changes: Mapping[str, FloatArray], stature: FloatArray
) -> FloatArray:
    """(n,) the height parameter that gives each body its stature in metres."""
    low, high = _TRIAL_HEIGHTS
    at_low, at_high = (
        np.ptp(
            _evaluate(model, {**looks, "height": np.full_like(stature, height)}, changes)[0][..., 1], axis=1
        )
        for height in _TRIAL_HEIGHTS
    )
    return np.clip(low + (stature - at_low) / (at_high - at_low) * (high - low), 0, 1)


def _evaluate(
    model: Any, looks: Mapping[str, FloatArray], changes: Mapping[str, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """All vertices (n, V, 3) and bone heads (n, 104, 3) at rest: metres, rest axes."""
    with torch.no_grad():
        output = model(
            phenotype_kwargs={name: torch.from_numpy(value) for name, value in looks.items()},
            local_changes_kwargs={name: torch.from_numpy(value) for name, value in changes.items()},
        )
    # not "vertices": Anny's identity pose is not its rest pose
    return to_rest_axes(output["rest_vertices"]), to_rest_axes(output["rest_bone_heads"])
