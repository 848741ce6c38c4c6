"""What is exported: a take with its characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exporters.axes import FloatArray
from exporters.errors import ExportError

if TYPE_CHECKING:  # torch stands behind both, and a list of formats needs none of it
    from rigs.mesh import SkinnedMesh
    from rigs.motion import Motion
    from rigs.skeleton import Skeleton


@dataclass(frozen=True)
class Character:
    """One person: a skeleton of their size, and how it moves."""

    name: str
    """The person's name; becomes the file's."""
    skeleton: Skeleton
    """Joints at rest, rig axes, for the motion's own body shape."""
    motion: Motion
    """The performance."""
    mesh: SkinnedMesh | None = None
    """The skin, for formats that hold one."""

    def __post_init__(self) -> None:
        if tuple(self.motion.joint_names) != tuple(self.skeleton.joint_names):
            raise ValueError(
                f"motion and skeleton of {self.name!r} have different joints: "
                f"{self.motion.joint_names} and {self.skeleton.joint_names}"
            )
        if not self.name or self.name.startswith(".") or set(self.name) & set('/\\:*?"<>|\0\n'):
            raise ExportError(f"a person named {self.name!r} makes no file name; use letters and digits")
        if self.mesh is not None and self.mesh.weights.shape[1] != len(self.skeleton.joint_names):
            raise ValueError(f"the mesh of {self.name!r} follows {self.mesh.weights.shape[1]} joints")

    @property
    def rest_xyz(self) -> FloatArray:
        """(J, 3) metres, rig axes: joints at rest."""
        return np.asarray(self.skeleton.rest_xyz.detach().cpu().numpy(), dtype=np.float64)

    @property
    def local_rotation(self) -> FloatArray:
        """(T, J, 3, 3): each joint in its parent's frame; the root in the world."""
        import torch

        from rigs.kinematics import rotation_from_rotvec

        rotvec = torch.from_numpy(self.motion.poses.reshape(len(self.motion.poses), -1, 3))
        return rotation_from_rotvec(rotvec).numpy()

    @property
    def root_xyz(self) -> FloatArray:
        """(T, 3) metres, world: where the root joint is. AMASS adds ``trans`` to the root's rest place."""
        return self.motion.trans + self.rest_xyz[0]


@dataclass(frozen=True)
class Take:
    """A performance by one or more people."""

    name: str
    """Name of the take."""
    characters: tuple[Character, ...]
    """The people in it, each with a name of its own."""

    def __post_init__(self) -> None:
        names = [character.name for character in self.characters]
        if len(set(names)) != len(names):
            raise ValueError(f"take {self.name!r} has characters of the same name: {names}")
