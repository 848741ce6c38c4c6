"""What is exported: a take with its characters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exporters.axes import FloatArray
from exporters.errors import ExportError
from exporters.timecode import Timecode

if TYPE_CHECKING:  # torch stands behind all of them, and a list of formats needs none of it
    from calibration.cameras import Cameras
    from rigs.mesh import SkinnedMesh
    from rigs.motion import Motion
    from rigs.skeleton import Skeleton


@dataclass(frozen=True)
class Markers:
    """Keypoints of one person in space, measured and not yet a body: K points at the motion's T times."""

    names: tuple[str, ...]
    """K names."""
    xyz: FloatArray
    """(T, K, 3) metres, world; NaN where not seen."""
    std: FloatArray
    """(T, K) metres, standard deviation of a place, mean over the axes; NaN where unknown."""
    num_views: NDArray[np.int64]
    """(T, K) cameras that saw the point."""

    def __post_init__(self) -> None:
        expected = (len(self.xyz), len(self.names))
        if self.xyz.shape != (*expected, 3) or self.std.shape != expected or self.num_views.shape != expected:
            raise ValueError(
                f"markers of {expected} need xyz of {(*expected, 3)}, std and num_views of {expected}, not "
                f"{self.xyz.shape}, {self.std.shape}, {self.num_views.shape}"
            )


@dataclass(frozen=True)
class Plate:
    """A camera's clip, and when it runs."""

    camera: str
    """Name of the camera among the take's cameras."""
    path: Path
    """The clip."""
    rate_hz: float
    """Frames a second of the clip."""
    start_s: float = 0.0
    """When its first frame was taken, on the take's clock."""


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
    markers: Markers | None = None
    """What the motion was solved from, for formats that hold points."""

    def __post_init__(self) -> None:
        if tuple(self.motion.joint_names) != tuple(self.skeleton.joint_names):
            raise ValueError(
                f"motion and skeleton of {self.name!r} have different joints: "
                f"{self.motion.joint_names} and {self.skeleton.joint_names}"
            )
        unseen = any(ord(sign) < 32 for sign in self.name)
        if not self.name or self.name.startswith(".") or unseen or set(self.name) & set('/\\:*?"<>|'):
            raise ExportError(f"a person named {self.name!r} makes no file name; use letters and digits")
        if self.mesh is not None and self.mesh.weights.shape[1] != len(self.skeleton.joint_names):
            raise ValueError(f"the mesh of {self.name!r} follows {self.mesh.weights.shape[1]} joints")
        if self.markers is not None and len(self.markers.xyz) != len(self.motion.time_s):
            raise ValueError(
                f"markers and motion of {self.name!r} have {len(self.markers.xyz)} and "
                f"{len(self.motion.time_s)} times"
            )

    @property
    def rest_xyz(self) -> FloatArray:
        """(J, 3) metres, rig axes: joints at rest."""
        return np.asarray(self.skeleton.rest_xyz.detach().cpu().numpy(), dtype=np.float64)

    @property
    def local_rotation(self) -> FloatArray:
        """(T, J, 3, 3): each joint in its parent's frame; the root in the world."""
        return self.rotation_in(slice(None))

    def rotation_in(self, frames: slice) -> FloatArray:
        """``local_rotation`` of some frames."""
        import torch

        from rigs.kinematics import rotation_from_rotvec

        poses = self.motion.poses[frames]
        rotvec = poses.reshape(len(poses), len(self.motion.joint_names), 3)
        return rotation_from_rotvec(torch.from_numpy(rotvec)).numpy()

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
    cameras: Cameras | None = None
    """The calibrated cameras that filmed it."""
    plates: tuple[Plate, ...] = ()
    """Their clips."""
    timecode: Timecode | None = None
    """What a clock on the set showed at the motions' first frame."""

    def timecode_of(self, frames: slice) -> Timecode | None:
        """The timecode of the first of some frames of the motions."""
        if self.timecode is None:
            return None
        return self.timecode + range(len(self.characters[0].motion.time_s))[frames].start

    def __post_init__(self) -> None:
        names = [character.name for character in self.characters]
        if len(set(names)) != len(names):
            raise ValueError(f"take {self.name!r} has characters of the same name: {names}")
