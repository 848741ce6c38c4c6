"""Real motions on our body, in a skin of few vertices: walking, crawling, a cartwheel, getting up."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from exporters import Character
from exporters.clip import clip
from exporters.readers import performance_in
from mocap.import_motion import on_our_body
from rigs.body import Body, load_body
from rigs.mesh import SkinnedMesh

from ..recovery.body_truth import cmu_motion, data_folder
from .deepmimic import read_deepmimic

MOTIONS = ("walk", "crawl", "cartwheel", "lying")
_FILES = {"crawl": "crawl", "cartwheel": "cartwheel", "lying": "getup_facedown"}
_MIDDLE_S = {"walk": 1.4, "crawl": 0.8, "cartwheel": 1.2, "lying": 0.4}
"""Where the hard part is: on one leg, on hands and knees, head down, on the floor."""
_KNOWN_HZ = 120.0


def person(motion: str, rate_hz: float, num_frames: int) -> Character:
    """The hard part of a motion at a rate; skips where the data is missing."""
    whole = _whole(motion)
    last_s = float(whole.motion.time_s[-1])
    start_s = min(max(_MIDDLE_S[motion] - num_frames / rate_hz / 2, 0.0), last_s - (num_frames - 1) / rate_hz)
    if start_s < 0:
        raise ValueError(
            f"{motion} lasts {last_s:.2f} s, too short for {num_frames} frames at {rate_hz:g} Hz"
        )
    part = clip(whole, start_s=start_s, end_s=start_s + (num_frames - 1) / rate_hz + 1e-7, rate_hz=rate_hz)
    seconds = np.arange(num_frames) / rate_hz
    return replace(part, motion=replace(part.motion, time_s=seconds))


@cache
def _whole(motion: str) -> Character:
    body = load_body()
    if motion == "walk":
        found = cmu_motion("walk", rate_hz=_KNOWN_HZ, planted=False)
    else:
        file = data_folder("motion_deepmimic") / f"humanoid3d_{_FILES[motion]}.txt"
        found = on_our_body(performance_in(read_deepmimic(file, _KNOWN_HZ), file.name).performance)
    return Character(motion, body.skeleton(found.betas), found, _beads(body, found.betas))


def _beads(body: Body, betas: np.ndarray) -> SkinnedMesh:
    """Eight faces round each joint, half of which follow its parent too."""
    corners = 0.03 * np.concatenate([np.eye(3), -np.eye(3)])
    faces = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]])
    rest, count = body.joints_rest(betas).numpy(), len(body.joint_names)
    weights = np.zeros((count, len(corners), count))
    for joint, parent in enumerate(body.parents):
        weights[joint, :, joint] = 1.0
        if parent >= 0:
            weights[joint, ::2, joint], weights[joint, ::2, parent] = 0.75, 0.25
    return SkinnedMesh(
        (rest[:, None] + corners).reshape(-1, 3),
        (faces + 6 * np.arange(count)[:, None, None]).reshape(-1, 3),
        weights.reshape(-1, count),
    )
