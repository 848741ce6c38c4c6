"""What a take needs before a stage may start, said before any work is spent on it."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from mocap.bodiless import no_body
from mocap.errors import InputError
from mocap.take import Take

if TYPE_CHECKING:
    from calibration import Cameras

_log = logging.getLogger(__name__)


def check_take(take: Take) -> None:
    """Refuse a take that cannot lead anywhere, before any work is spent on it.

    Raises:
        InputError: nothing in it, one camera only, or cameras that the calibration does not have.
    """
    if take.points_file.is_file() or take.motion_files():
        return
    names = sorted({*take.clips(), *take.keypoints_files()})
    if not names:
        raise InputError(
            "empty take", where=take.folder, todo="put one clip of each camera there: <camera>.mp4"
        )
    if len(names) < 2:
        raise InputError(
            f"a take with one camera ({names[0]})",
            where=take.folder,
            todo="depth needs clips of two cameras or more",
        )
    if take.session.cameras_file.is_file() or take.cameras_file.is_file():
        _check_sizes(take, cameras_of(take))
    elif not take.session.clips("extrinsics"):
        take.session.load_cameras()  # says what is missing


_CODEC_CROP_PX = 16
"""Encoders work in blocks of 16 pixels, so a clip may lack up to a block of the sensor's columns or rows."""


def _check_sizes(take: Take, cameras: Cameras) -> None:
    """Open every clip: it must be readable, and of the size that its camera was calibrated at."""
    from mocap.video import open_clip

    clips = take.clips()
    for name, size in zip(cameras.names, cameras.size_px.tolist(), strict=True):
        seen = open_clip(clips[name]).size_px if name in clips else take.load_keypoints(name).size_px
        calibrated = tuple(int(value) for value in size)
        difference = max(abs(a - b) for a, b in zip(seen, calibrated, strict=True))
        told = "footage of {} x {}, but the camera was calibrated at {} x {}".format(*seen, *calibrated)
        if 0 < difference <= _CODEC_CROP_PX:
            _log.warning("%s: %s; taken as cropped at the right and below", name, told)
        if difference > _CODEC_CROP_PX:
            raise InputError(
                told,
                where=clips.get(name, take.keypoints_file(name)),
                todo="calibrate with clips of the same recording mode",
            )


def cameras_of(take: Take) -> Cameras:
    """The calibrated cameras of a take, under the names and in the order of its footage.

    Raises:
        InputError: a camera of the footage is not calibrated, or has no position.
    """
    from calibration import CalibrationError, match_names

    names = sorted({*take.clips(), *take.keypoints_files()})
    own = not take.session.cameras_file.is_file() and take.cameras_file.is_file()
    source = take.cameras_file if own else take.session.cameras_file
    cameras = take.load_cameras() if own else take.session.load_cameras()
    try:
        match = match_names(names, cameras.names)
    except CalibrationError as error:
        raise InputError(
            f"the footage's cameras are not those of the calibration: {error}", where=take.folder
        ) from error
    unposed = [name for name, posed in zip(cameras.names, cameras.posed.tolist(), strict=True) if not posed]
    for name in names:
        if match[name] in unposed:
            raise InputError(
                f"camera {match[name]} has a lens but no position", where=source, todo="run mocap calibrate"
            )
    return dataclasses.replace(cameras[[match[name] for name in names]], names=tuple(names))


_NEEDED = {
    "detect": (lambda take: take.clips(), "clips of the cameras: <camera>.mp4"),
    "reconstruct": (lambda take: take.keypoints_files(), "keypoints; run mocap detect"),
    "fit": (lambda take: take.points_file.is_file(), "points.npz; run mocap reconstruct"),
    "export": (lambda take: take.motion_files() or no_body(take), "a motion; run mocap fit"),
}


def check_startable(take: Take, stage: str) -> None:
    """Refuse a stage whose input is not there.

    Raises:
        InputError: what is missing, and which stage makes it.
    """
    present, what = _NEEDED.get(stage, (lambda _: True, ""))
    if not present(take):
        raise InputError(f"{stage} needs {what}", where=take.folder)
