"""A part of a motion, at another frame rate, or as a loop: by time, not by frame numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from exporters.axes import FloatArray
from exporters.errors import ExportError
from exporters.take import Character

_SAME_S: Final = 1e-6
_SAME_RATE: Final = 1e-6
_LOOP_S: Final = 0.4
"""The shortest loop."""
_LOOP_SPEED_S: Final = 0.2
"""A difference in speed counts as the difference in place after this time."""


def clip(
    character: Character,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    rate_hz: float | None = None,
    loop: bool = False,
) -> Character:
    """The character with a part of the motion.

    Args:
        character: the person.
        start_s: where it begins, on the motion's clock; at its beginning if left out.
        end_s: where it ends, likewise.
        rate_hz: frames a second, between which places and turns are interpolated; as they are if left out.
        loop: end where the pose and its speed are most like those of the first frame.

    Raises:
        ExportError: nothing lies between the times, or the rate is not positive.
    """
    motion = character.motion
    first, last = float(motion.time_s[0]), float(motion.time_s[-1])
    start = first if start_s is None else start_s
    end = last if end_s is None else end_s
    if rate_hz is not None and not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ExportError(f"the frame rate must be positive, not {rate_hz}")
    if not (start <= end and start <= last + _SAME_S and end >= first - _SAME_S):
        raise ExportError(
            f"person {character.name}: nothing from {start:g} to {end:g} s; "
            f"the motion lasts from {first:g} to {last:g} s"
        )
    start, end = max(start, first), min(end, last)
    rate = motion.mocap_framerate if rate_hz is None else rate_hz
    on_grid = _on_frames(motion.time_s, start, end)
    if abs(rate / motion.mocap_framerate - 1) < _SAME_RATE and on_grid is not None:
        cut = _rows(character, on_grid)
    else:
        count = int((end - start) * rate + 1e-6) + 1
        cut = _resampled(character, np.clip(start + np.arange(count) / rate, first, last), rate)
    return _looped(cut) if loop else cut


def _on_frames(time_s: FloatArray, start: float, end: float) -> slice | None:
    """The frames from a time to another; None where the first time is between frames."""
    begin = int(np.searchsorted(time_s, start - _SAME_S))
    stop = int(np.searchsorted(time_s, end + _SAME_S))
    exact = begin < len(time_s) and abs(time_s[begin] - start) <= _SAME_S
    return slice(begin, stop) if exact else None


def _rows(character: Character, rows: slice) -> Character:
    motion = character.motion
    return replace(
        character,
        motion=replace(
            motion,
            poses=motion.poses[rows],
            trans=motion.trans[rows],
            time_s=motion.time_s[rows],
            joints=motion.joints[rows],
            joint_std=motion.joint_std[rows],
            contacts=motion.contacts[rows],
        ),
    )


def _resampled(character: Character, time_s: FloatArray, rate_hz: float) -> Character:
    """The motion at other times: turns on the shortest way, places of joints from the turns."""
    import torch
    from scipy.spatial.transform import Rotation, Slerp

    from rigs.kinematics import rotation_from_rotvec, world_from_joint

    motion, skeleton = character.motion, character.skeleton
    if not np.isfinite(motion.poses).all():
        raise ExportError(f"person {character.name}: frames without a pose cannot be resampled; cut them off")
    flat = motion.poses.reshape(len(motion.poses), -1, 3)
    columns = [
        Slerp(motion.time_s, Rotation.from_rotvec(flat[:, joint]))(time_s).as_rotvec()
        if len(flat) > 1
        else np.repeat(flat[:, joint], len(time_s), axis=0)
        for joint in range(flat.shape[1])
    ]
    poses = np.stack(columns, axis=1)
    trans = _linear(time_s, motion.time_s, motion.trans)
    joints = world_from_joint(
        rotation_from_rotvec(torch.from_numpy(poses)),
        skeleton.offsets.detach().cpu().double(),
        skeleton.parents,
        torch.from_numpy(trans),
    )[1].numpy()
    return replace(
        character,
        motion=replace(
            motion,
            poses=poses.reshape(len(time_s), -1),
            trans=trans,
            time_s=time_s,
            mocap_framerate=rate_hz,
            joints=joints,
            joint_std=_linear(time_s, motion.time_s, motion.joint_std),
            contacts=_linear(time_s, motion.time_s, motion.contacts),
        ),
    )


def _linear(time_s: FloatArray, known_s: FloatArray, values: FloatArray) -> FloatArray:
    columns = [np.interp(time_s, known_s, column) for column in values.T]
    return np.stack(columns, axis=-1) if columns else np.zeros((len(time_s), 0))


def _looped(character: Character) -> Character:
    """Cut before the frame that is most like the first one: what follows the last frame is the first."""
    motion = character.motion
    rate, num = motion.mocap_framerate, len(motion.time_s)
    least = max(2, round(_LOOP_S * rate))
    if num <= least + 1:
        raise ExportError(f"person {character.name}: {num} frames are too few for a loop")
    hips = motion.joints[:, :1] * [1.0, 1.0, 0.0]
    shape = (motion.joints - hips).reshape(num, -1)
    speed = np.asarray(np.gradient(motion.joints.reshape(num, -1), 1 / rate, axis=0)) * _LOOP_SPEED_S
    unlike = np.linalg.norm(shape[least:] - shape[0], axis=-1) + np.linalg.norm(
        speed[least:] - speed[0], axis=-1
    )
    return _rows(character, slice(0, least + int(np.argmin(unlike))))
