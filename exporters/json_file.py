"""JSON: everything that is known of a motion, for programs without a reader of their own."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from exporters.axes import FloatArray
from exporters.take import Character, Take

_FORMAT, _VERSION = "mocap-studio motion", 1


def export_json(take: Take, /) -> dict[str, bytes]:
    """One JSON file for each person, in our own world: Z up, metres, radians.

    Args:
        take: the people and their motions.

    Returns:
        {file name: contents}. Lists are over time, then joints, then components; what is not known is null.
    """
    timecode = None if take.timecode is None else str(take.timecode)
    return {f"{character.name}.json": _encode(character, timecode) for character in take.characters}


def _encode(character: Character, timecode: str | None) -> bytes:
    motion, skeleton = character.motion, character.skeleton
    content: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "person": character.name,
        "rate_hz": motion.mocap_framerate,
        "start_timecode": timecode,
        "joint_names": list(skeleton.joint_names),
        "parents": list(skeleton.parents),
        "rest_xyz": _lists(character.rest_xyz),
        "time_s": _lists(motion.time_s),
        "rotation_vectors": _lists(motion.poses.reshape(len(motion.poses), -1, 3)),
        "root_xyz": _lists(character.root_xyz),
        "joints_xyz": _lists(motion.joints),
        "joint_std": _lists(motion.joint_std),
        "contact_names": list(motion.contact_names),
        "contacts": _lists(motion.contacts),
        "body": motion.body,
        "betas": _lists(motion.betas),
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def _lists(values: FloatArray) -> list[Any]:
    """Nested lists, to a hundredth of a micrometre; NaN becomes null."""
    items = (np.round(values, 8) + 0.0).astype(object)
    items[~np.isfinite(values)] = None
    return items.tolist()
