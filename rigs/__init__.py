"""Skeletons, bodies and their motion."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rigs.errors import RigError

if TYPE_CHECKING:
    from rigs.body import Body, load_body
    from rigs.keypoint_model import KeypointModel
    from rigs.keypoints import KEYPOINT_SETS, canonical_names, limbs
    from rigs.limits import joint_limits
    from rigs.motion import Motion
    from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS, Skeleton

__all__ = [
    "KEYPOINT_SETS",
    "SMPL_JOINT_NAMES",
    "SMPL_PARENTS",
    "Body",
    "KeypointModel",
    "Motion",
    "RigError",
    "Skeleton",
    "canonical_names",
    "joint_limits",
    "limbs",
    "load_body",
]

# Most of these need torch, which takes a second to import: they come when they are first asked for.
_HOME = {
    "KEYPOINT_SETS": "rigs.keypoints",
    "SMPL_JOINT_NAMES": "rigs.skeleton",
    "SMPL_PARENTS": "rigs.skeleton",
    "Body": "rigs.body",
    "KeypointModel": "rigs.keypoint_model",
    "Motion": "rigs.motion",
    "Skeleton": "rigs.skeleton",
    "canonical_names": "rigs.keypoints",
    "joint_limits": "rigs.limits",
    "limbs": "rigs.keypoints",
    "load_body": "rigs.body",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rigs' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
