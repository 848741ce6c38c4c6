"""Bodies: a skinned mesh whose shape is linear in a few coefficients, as SMPL has it.

A vertex v moves with its joints j by linear blend skinning,

    p_v = sum_j w_vj (R_j (x_v(betas) - c_j(betas)) + t_j),

where x_v and c_j are the vertex and the joint at rest, R_j and t_j the joint's turn and place in the world. A
keypoint is a fixed convex mix of vertices; its sum over vertices collapses to one term for each joint
(``KeypointModel``), so that a solver never touches the mesh.

Rest axes: Y up, facing +Z, X to the person's left, metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rigs.body_files import BodyArrays, read_body
from rigs.borrowed_keypoints import with_keypoints
from rigs.errors import RigError
from rigs.keypoint_model import KeypointModel
from rigs.kinematics import rotation_from_rotvec, world_from_joint
from rigs.model_folder import body_file
from rigs.placements import JOINT_PREFIX, TIPS, Placement, placements
from rigs.skeleton import Skeleton, check_parents, offsets_from_rest

Array = Tensor | NDArray[np.floating[Any]]

DEFAULT_BODY_FILE: Final = Path(__file__).parent / "data" / "default_body.npz"

_FRAMES_AT_ONCE = 64
"""How many frames are skinned together: 12 numbers for each vertex and frame are held meanwhile."""


@dataclass(frozen=True, eq=False)
class Body:
    """A body model: mesh, shape space, skin weights, joints, keypoints; float64, rest axes, metres."""

    name: str
    """``default`` or the path it came from."""
    joint_names: tuple[str, ...]
    """J names, SMPL's for its family."""
    parents: tuple[int, ...]
    """Index of each joint's parent, -1 for the root."""
    v_template: Tensor
    """(V, 3) the mean body at rest."""
    shapedirs: Tensor
    """(V, 3, B) metres for a unit of each coefficient; N(0, 1) describes adults."""
    weights: Tensor
    """(V, J) skin weights, rows sum to 1."""
    faces: Tensor
    """(F, 3) vertex indices, counterclockwise from outside."""
    joint_regressor: Tensor
    """(J, V) joints at rest as mixes of vertices, rows sum to 1."""
    keypoint_names: tuple[str, ...] = ()
    """Names of the keypoints on the surface (``rigs.keypoints``)."""
    keypoint_regressor: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))
    """(K, V) keypoints as mixes of vertices, rows sum to 1."""
    posedirs: Tensor | None = None
    """(V, 3, 9 (J - 1)) corrections that depend on the pose, where a file has them; for ``skin`` only."""
    metadata: str = ""
    """What the file says about its origin and licence."""

    def __post_init__(self) -> None:
        num_vertices, num_joints = self.weights.shape
        check_parents(self.parents, num_joints)
        expected = {
            "v_template": (num_vertices, 3),
            "shapedirs": (num_vertices, 3, self.num_betas),
            "joint_regressor": (num_joints, num_vertices),
        }
        if self.keypoint_names:
            expected["keypoint_regressor"] = (len(self.keypoint_names), num_vertices)
        for name, shape in expected.items():
            seen = tuple(getattr(self, name).shape)
            if seen != shape:
                raise ValueError(f"{name} must be {shape}, not {seen}")

    @property
    def num_betas(self) -> int:
        """B, how many shape coefficients there are."""
        return int(self.shapedirs.shape[-1])

    @cached_property
    def joint_template(self) -> Tensor:
        """(J, 3) metres, joints at rest for betas 0."""
        return self.joint_regressor @ self.v_template

    @cached_property
    def joint_shapedirs(self) -> Tensor:
        """(J, 3, B) metres a unit: joints at rest are linear in the shape."""
        return torch.einsum("jv,vab->jab", self.joint_regressor, self.shapedirs)

    def joints_rest(self, betas: Array) -> Tensor:
        """(..., J, 3) metres, rest axes, of shapes (..., B)."""
        return _shaped(self.joint_template, self.joint_shapedirs, _float64(betas))

    def vertices_rest(self, betas: Array) -> Tensor:
        """(..., V, 3) metres, rest axes, of shapes (..., B)."""
        return _shaped(self.v_template, self.shapedirs, _float64(betas))

    def skeleton(self, betas: Array) -> Skeleton:
        """The skeleton of one shape (B,), with the ends of head, hands and feet where the body knows them."""
        vertices = self.vertices_rest(betas)
        tips = {
            joint: self.keypoint_regressor[self.keypoint_names.index(keypoint)] @ vertices
            for joint, keypoint in TIPS.items()
            if keypoint in self.keypoint_names and joint in self.joint_names
        }
        return Skeleton(self.joint_names, self.parents, self.joints_rest(betas), tips)

    def pose_frames(self, poses: Array, trans: Array, betas: Array) -> tuple[Tensor, Tensor]:
        """Turn and place of all joints.

        Args:
            poses: (..., J * 3) rotation vectors, radians, each joint in its parent's frame.
            trans: (..., 3) metres, added to the posed body.
            betas: (B,) one shape, or (..., B).

        Returns:
            rotation: (..., J, 3, 3) world from joint.
            xyz_joint: (..., J, 3) metres, world.
        """
        poses, trans = _float64(poses), _float64(trans)
        local = rotation_from_rotvec(poses.reshape(*poses.shape[:-1], len(self.joint_names), 3))
        offsets = offsets_from_rest(self.joints_rest(betas), self.parents)
        return world_from_joint(local, offsets, self.parents, trans)

    def pose_joints(self, poses: Array, trans: Array, betas: Array) -> Tensor:
        """(..., J, 3) metres, world; arguments as ``pose_frames``."""
        return self.pose_frames(poses, trans, betas)[1]

    def pose_keypoints(self, names: Sequence[str], poses: Array, trans: Array, betas: Array) -> Tensor:
        """(..., K, 3) metres, world: named keypoints or joints (``joint:...``) without touching the mesh."""
        rotation, xyz_joint = self.pose_frames(poses, trans, betas)
        return self.keypoint_model(tuple(names)).pose(rotation, xyz_joint, _float64(betas))

    def skin(self, poses: Array, trans: Array, betas: Array) -> tuple[Tensor, Tensor]:
        """The posed mesh; arguments as ``pose_frames``.

        Returns:
            vertices: (..., V, 3) metres, world.
            xyz_joint: (..., J, 3) metres, world.
        """
        rotation, xyz_joint = self.pose_frames(poses, trans, betas)
        batch = xyz_joint.shape[:-2]
        rest, joints = (
            value.expand(*batch, *value.shape[-2:]).reshape(-1, *value.shape[-2:])
            for value in (self.vertices_rest(betas), self.joints_rest(betas))
        )
        turns, places = rotation.reshape(-1, *rotation.shape[-3:]), xyz_joint.reshape(-1, *joints.shape[-2:])
        chunks = [slice(start, start + _FRAMES_AT_ONCE) for start in range(0, len(rest), _FRAMES_AT_ONCE)]
        if self.posedirs is not None:
            poses = _float64(poses).reshape(-1, len(self.joint_names), 3)
            rest = torch.cat([rest[part] + self._pose_corrections(poses[part]) for part in chunks])
        parts = [self._skin(rest[part], joints[part], turns[part], places[part]) for part in chunks]
        vertices = torch.cat(parts) if parts else rest
        return vertices.reshape(*batch, len(self.v_template), 3), xyz_joint

    def _skin(self, rest: Tensor, joints: Tensor, rotation: Tensor, xyz_joint: Tensor) -> Tensor:
        """(N, V, 3) of N poses: the blend of the joints' rigid motions moves each vertex."""
        shift = xyz_joint - (rotation @ joints[..., None])[..., 0]
        motion = torch.cat([rotation, shift[..., None]], -1)
        blended = (self.weights @ motion.flatten(-2)).unflatten(-1, (3, 4))
        return (blended[..., :3] @ rest[..., None])[..., 0] + blended[..., 3]

    def _pose_corrections(self, rotvec: Tensor) -> Tensor:
        """(N, V, 3) metres: the file's corrections for (N, J, 3) rotation vectors, as SMPL defines them."""
        assert self.posedirs is not None
        feature = rotation_from_rotvec(rotvec[:, 1:]) - torch.eye(3, dtype=rotvec.dtype)
        return torch.einsum("vap,np->nva", self.posedirs, feature.flatten(1))

    def keypoint_model(self, names: Sequence[str]) -> KeypointModel:
        """Keypoints of the surface, or joints (``joint:left_knee``), for posing without the mesh.

        Raises:
            RigError: an unknown name; the message lists the names there are.
        """
        return self._model(tuple(names), [Placement((name,)) for name in names])

    def detector_model(self, names: Sequence[str], set_name: str = "blazepose33") -> KeypointModel:
        """Where the detectors of a keypoint set put their points on this body.

        Args:
            names: keypoints of the set, in any order and spelling known.
            set_name: a key of ``rigs.keypoints.KEYPOINT_SETS``.

        Raises:
            RigError: unknown set or keypoint, or a body that has no surface keypoints.
        """
        return self._model(tuple(names), placements(set_name, names, self.joint_names))

    def _model(self, names: tuple[str, ...], places: Sequence[Placement]) -> KeypointModel:
        """Mixes of keypoints and joints, with their constant offsets."""
        parts = {name: self._collapsed(name) for place in places for name in place.on}
        moment, moment_betas, weight = (
            torch.stack([torch.stack([parts[name][i] for name in place.on]).mean(0) for place in places])
            for i in range(3)
        )
        share = weight.clone()
        for row, place in enumerate(places):
            if place.turns_with:
                share[row] = 0.0
                for joint in place.turns_with:
                    share[row, self._joint_index(joint)] += 1 / len(place.turns_with)
        offset = torch.tensor([place.offset_m for place in places], dtype=torch.float64).reshape(-1, 3)
        sigma = torch.tensor([place.sigma_m for place in places], dtype=torch.float64)
        model = KeypointModel(names, moment, moment_betas, weight, share, sigma)
        return model.with_offsets(offset)

    def _collapsed(self, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """Moment (J, 3), its change with the shape (J, 3, B) and weight (J,) of one keypoint or joint."""
        num_joints = len(self.joint_names)
        if name.startswith(JOINT_PREFIX):
            weight = torch.zeros(num_joints, dtype=torch.float64)
            weight[self._joint_index(name.removeprefix(JOINT_PREFIX))] = 1.0
            shape = (num_joints, 3, self.num_betas)
            return (
                torch.zeros(shape[:2], dtype=torch.float64),
                torch.zeros(shape, dtype=torch.float64),
                weight,
            )
        if name not in self.keypoint_names:
            known = ", ".join(self.keypoint_names) or "no keypoints on its surface"
            raise RigError(f"body {self.name} has no keypoint {name!r}; it has {known}")
        row = self.keypoint_regressor[self.keypoint_names.index(name)]
        vertices = torch.nonzero(row)[:, 0]
        mixed = row[vertices, None] * self.weights[vertices]  # (n, J)
        weight = mixed.sum(0)
        moment = mixed.T @ self.v_template[vertices] - weight[:, None] * self.joint_template
        moved = torch.einsum("nj,nab->jab", mixed, self.shapedirs[vertices])
        return moment, moved - weight[:, None, None] * self.joint_shapedirs, weight

    def _joint_index(self, joint: str) -> int:
        if joint not in self.joint_names:
            known = ", ".join(self.joint_names)
            raise RigError(f"body {self.name} has no joint {joint!r}; it has {known}")
        return self.joint_names.index(joint)


def load_body(name_or_path: str | Path = "default") -> Body:
    """A body by name, or from a file.

    Args:
        name_or_path: ``default`` for the shipped body, else an ``.npz`` in the same format or a user's own
            SMPL, SMPL-H or SMPL-X file, or a folder with one; they are given the shipped body's keypoints.

    Raises:
        RigError: no such file, or a file that is no body.
    """
    if str(name_or_path) == "default":
        return _default_body()
    try:
        body = _body_from(str(name_or_path), read_body(body_file(Path(name_or_path))))
        return body if body.keypoint_names else with_keypoints(body, _default_body())
    except ValueError as error:
        raise RigError(f"{name_or_path} is no body file that can be used: {error}") from error


@lru_cache(maxsize=1)
def _default_body() -> Body:
    return _body_from("default", read_body(DEFAULT_BODY_FILE))


def _body_from(name: str, file: BodyArrays) -> Body:
    """A body of float64 tensors from the arrays of a file."""
    tensors = {key: torch.from_numpy(np.ascontiguousarray(array)) for key, array in file.arrays.items()}
    keypoints = {"keypoint_regressor": tensors["keypoint_regressor"]} if file.keypoint_names else {}
    return Body(
        name=name,
        joint_names=file.joint_names,
        parents=tuple(int(parent) for parent in file.arrays["parents"]),
        v_template=tensors["v_template"],
        shapedirs=tensors["shapedirs"],
        weights=tensors["weights"],
        faces=tensors["f"],
        joint_regressor=tensors["J_regressor"],
        keypoint_names=file.keypoint_names,
        posedirs=None if file.posedirs is None else torch.from_numpy(file.posedirs),
        metadata=file.metadata,
        **keypoints,
    )


def _float64(value: Array) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


def _shaped(template: Tensor, directions: Tensor, betas: Tensor) -> Tensor:
    """(..., N, 3) template (N, 3) plus directions (N, 3, B) for betas (..., B), or fewer of them."""
    used = betas.shape[-1]
    if used > directions.shape[-1]:
        raise ValueError(f"{used} betas for a body with {directions.shape[-1]}")
    return template + (directions[..., :used] @ betas[..., None, :, None])[..., 0]
