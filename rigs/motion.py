"""The motion of one person: a body's pose over time, in the keys of AMASS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rigs.errors import RigError

FloatArray = NDArray[np.float64]

_OPTIONAL = {"joint_std", "contacts", "contact_names", "body"}
_FLOATS = {"poses", "trans", "betas", "time_s", "joints", "joint_std", "contacts"}
_NAMES = {"joint_names", "contact_names"}


@dataclass(frozen=True)
class Motion:
    """A body in motion over T times; the content of ``motion/<person>.npz``.

    The world is Z up with the floor at z = 0; the body rests Y up, facing +Z. The root's rotation turns one
    into the other, so a person who stands facing the world's -Y has the root rotation (pi/2, 0, 0).
    """

    poses: FloatArray
    """(T, J * 3) rotation vectors, radians, each joint in its parent's frame; the first is the root's."""
    trans: FloatArray
    """(T, 3) metres, added to the posed body; the pelvis in the world for a body that rests on its pelvis."""
    betas: FloatArray
    """(B,) shape coefficients."""
    gender: str
    """``neutral``, ``female`` or ``male``: which body file of a family."""
    mocap_framerate: float
    """Frames a second."""
    time_s: FloatArray
    """(T,) seconds on the take's clock."""
    joint_names: tuple[str, ...]
    """J names, in the order of ``poses``."""
    joints: FloatArray
    """(T, J, 3) metres, world."""
    joint_std: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    """(T, J) metres, standard deviation of a joint's place, mean over the axes; NaN where unknown."""
    contacts: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    """(T, n) how surely each of ``contact_names`` stands on the floor, in [0, 1]."""
    contact_names: tuple[str, ...] = ()
    """n names of the joints or keypoints in ``contacts``."""
    body: str = "default"
    """Name of the body, or the path of its file."""

    def __post_init__(self) -> None:
        times, joints = len(self.time_s), len(self.joint_names)
        if self.joint_std.size == 0:
            object.__setattr__(self, "joint_std", np.full((times, joints), np.nan))
        if self.contacts.size == 0:
            object.__setattr__(self, "contacts", np.zeros((times, len(self.contact_names))))
        expected = {
            "poses": (times, joints * 3),
            "trans": (times, 3),
            "betas": (self.betas.size,),
            "joints": (times, joints, 3),
            "joint_std": (times, joints),
            "contacts": (times, len(self.contact_names)),
        }
        for name, shape in expected.items():
            seen = getattr(self, name).shape
            if seen != shape:
                raise ValueError(f"{name} must be {shape}, not {seen}")
        if not self.mocap_framerate > 0:
            raise ValueError(f"mocap_framerate must be positive, not {self.mocap_framerate}")

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """All fields as arrays without pickled objects, ready for ``numpy.savez``."""
        return {item.name: np.asarray(getattr(self, item.name)) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], *, where: str = "") -> Motion:
        """The inverse of ``to_arrays``; further keys (a format's name and version) are left alone.

        Raises:
            RigError: a key is missing or an array has the wrong shape; ``where`` names the file.
        """
        needed = {item.name for item in fields(cls)} - _OPTIONAL
        missing = sorted(needed - set(arrays))
        if missing:
            raise RigError(f"{where or 'motion'} has no {', '.join(missing)}; is it a motion file?")
        values: dict[str, Any] = {item.name: arrays[item.name] for item in fields(cls) if item.name in arrays}
        try:
            values["mocap_framerate"] = float(values["mocap_framerate"])
            for name in _FLOATS & set(values):
                values[name] = np.asarray(values[name], dtype=np.float64)
            for name in _NAMES & set(values):
                values[name] = tuple(str(text) for text in values[name].ravel())
            for name in {"gender", "body"} & set(values):
                values[name] = str(values[name])
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise RigError(f"{where or 'motion'} is not a motion file: {error}") from error
