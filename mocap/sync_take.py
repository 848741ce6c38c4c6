"""The clocks of a take on disk: what its files tell, gathered and handed to ``mocap.clocks``."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mocap.errors import InputError
from mocap.settings import SyncSettings
from mocap.sync import Clock
from mocap.take import Take
from mocap.take_check import cameras_of

if TYPE_CHECKING:
    from calibration import Cameras

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rig:
    """The calibrated cameras of a take, as far as they are known yet."""

    cameras: Cameras | None
    """None before they are calibrated: motion then says nothing about the clocks."""
    fingerprint: str
    """Changes with what they see."""


def rig_of(take: Take) -> Rig:
    """The cameras that a take's clocks may be found with."""
    if not (take.session.cameras_file.is_file() or take.cameras_file.is_file()):
        return Rig(None, "")
    try:
        cameras = cameras_of(take)
    except InputError as error:  # lenses only, or other names: whoever needs the cameras will say so
        _log.debug("%s: clocks without cameras (%s)", take.folder, error)
        return Rig(None, "")
    parts = (cameras.focal_px, cameras.center_px, cameras.distortion, cameras.cam_from_world)
    told = "".join(str([round(value, 5) for value in part.flatten().tolist()]) for part in parts)
    return Rig(cameras, hashlib.sha256(told.encode()).hexdigest())


def clock_of(take: Take, rig: Rig, settings: SyncSettings) -> Clock:
    """Find the clocks of a take, and tell the log what the user should know."""
    from mocap.clocks import Footage, find_clocks
    from mocap.clocks.combine import guesses
    from mocap.clocks.recorded import recorded
    from mocap.clocks.sound import clocks_from_sound, listen
    from mocap.threads import one_thread
    from mocap.video import open_clip

    clips, keypoints = take.clips(), take.keypoints_files()
    looked_for = settings.find and not set(clips) <= set(settings.offsets_s)
    sounds = {name: listen(path) for name, path in clips.items()} if looked_for else {}
    heard = {name: sound for name, sound in sounds.items() if sound is not None}
    labels = {name: recorded(path, open_clip(path).rate_hz) for name, path in clips.items()}
    starts = {
        name: (one.start_s, one.std_s, one.source) for name, one in labels.items() if one.start_s is not None
    }
    guess_s = guesses(starts, list(heard))
    sound = clocks_from_sound(heard, guess_s, settings.max_shift_s) if len(heard) > 1 else None
    footage = Footage(
        sorted({*clips, *keypoints}),
        labels,
        {name: take.load_keypoints(name) for name in keypoints} if rig.cameras else {},
        rig.cameras,
        sound,
    )
    with one_thread():
        clock = find_clocks(footage, settings)
    for note in clock.notes:
        _log.warning("%s sync: %s", take.name, note)
    return clock


def clock_summary(clock: Clock) -> dict[str, Any]:
    """The clocks in milliseconds, for people."""
    return {
        "cameras": {
            name: {
                "offset_ms": round(1e3 * own.offset_s, 2),
                "std_ms": round(1e3 * own.std_s, 2),
                "drift_ppm": round(own.drift_ppm, 1),
                "source": own.source,
            }
            for name, own in clock.cameras.items()
        },
        "left_out": dict(clock.left_out),
        "notes": list(clock.notes),
    }
