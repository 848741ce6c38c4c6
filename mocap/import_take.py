"""Other tools' 2D results become a take's ``keypoints/``: cameras found, times and sizes settled."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mocap.errors import InputError
from mocap.importers import Options, View
from mocap.importers.source import find
from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.session import Session

if TYPE_CHECKING:
    from mocap.take import Take
    from mocap.video import Clip

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Imported:
    """What was imported."""

    format: str
    """The format of the files."""
    cameras: dict[str, dict[str, Any]]
    """By camera: frames, most people in one, number of keypoints, file."""
    replaced: tuple[str, ...]
    """Cameras whose keypoints were there before."""
    notes: tuple[str, ...]
    """What the user should know."""

    def text(self) -> str:
        """A few lines for people."""
        lines = [f"{name}: {facts['frames']} frames, up to {facts['people']} at once, "
                 f"{facts['keypoints']} keypoints{', replaced' if name in self.replaced else ''}"
                 for name, facts in self.cameras.items()]  # fmt: skip
        return "\n".join(
            [f"{self.format}, {len(self.cameras)} cameras", *lines, *(f"note: {n}" for n in self.notes)]
        )


def import_keypoints(
    root: Path, source: Path, *, take: str, format: str | None = None, camera: str | None = None,
    fps: float | None = None, size_px: tuple[int, int] | None = None, keypoints: str | None = None,
    force: bool = False,
) -> Imported:  # fmt: skip
    """Write the 2D results of another tool into a take.

    Args:
        root: the session's folder.
        source: a file or a folder with the files of one camera or of all.
        take: the take; its folder is made if it is not there.
        format: a name of ``mocap.importers.IMPORTERS``, where the content does not say which.
        camera: whose results these are, where there is one camera in ``source``.
        fps: the rate that frame numbers count in, Hz; by default the clips' of the take.
        size_px: width and height of the images, where neither files, clips nor calibration say so.
        keypoints: a name of ``rigs.keypoints.KEYPOINT_SETS``, or names separated by commas in files' order.
        force: replace keypoints that are there.

    Raises:
        InputError: what cannot be used; nothing is written then.
    """
    session = Session.open(root)
    _check_take(session, take)
    target = session.take(take)
    options = Options(_names(keypoints), _checked_size(size_px))
    found = find(source, format)
    views = found.views(options)
    if camera is not None and len(views) != 1:
        listed = ", ".join(view.camera for view in views)
        raise InputError(f"holds {len(views)} cameras ({listed})", where=source, todo="leave --camera out")
    named = {camera: views[0]} if camera is not None else _cameras(views, target)
    _check_names(named)
    there = tuple(name for name in named if target.keypoints_file(name).exists())
    if there and not force:
        raise InputError(
            f"keypoints of {', '.join(there)} are there already",
            where=target.folder / "keypoints",
            todo="replace them with --force",
        )
    clips = _clips(target, named)
    notes: list[str] = []
    sizes = _calibrated_sizes(target, list(named))
    ready = {
        name: _keypoints(view, name, clips.get(name), sizes.get(name), options, fps, notes)
        for name, view in named.items()
    }
    for name, content in ready.items():
        target.save_keypoints(name, content)
    for note in notes:
        _log.info("%s", note)
    facts = {
        name: {
            "frames": len(content.time_s), "people": content.xy_px.shape[1],
            "keypoints": len(content.keypoint_names), "file": str(target.keypoints_file(name)),
        }
        for name, content in ready.items()
    }  # fmt: skip
    return Imported(found.format, facts, there, tuple(notes))


def _keypoints(
    view: View, name: str, clip: Clip | None, calibrated: tuple[int, int] | None, options: Options,
    fps: float | None, notes: list[str],
) -> CameraKeypoints:  # fmt: skip
    """A view in pixels and seconds, under our names."""
    from rigs.keypoints import canonical_names

    notes += view.notes
    size = options.size_px or (clip.size_px if clip else None) or view.size_px or calibrated
    if size is None:
        raise InputError(
            f"nothing says how large the images of camera {name} are", todo="add --size 1920x1080"
        )
    if view.size_px is not None and view.size_px != size:
        notes.append(
            f"camera {name}: the files say {view.size_px[0]}x{view.size_px[1]}, {size[0]}x{size[1]} is used"
        )
    if not len(view.frame):
        raise InputError(f"camera {name} has no frames", todo="look at the files that were given")
    # shares count from the corner of the first pixel, pixels from its centre
    xy_px = view.xy * np.array(size) - 0.5 if view.normalised else view.xy
    if view.xy.shape[1] == 0:
        notes.append(f"camera {name}: there is nobody in its {len(view.frame)} frames")
    return CameraKeypoints(
        _times(view, name, clip, fps, notes),
        xy_px.astype(np.float64),
        view.score.astype(np.float64),
        _unique(canonical_names(view.keypoint_names)),
        size,
    )


def _times(view: View, name: str, clip: Clip | None, fps: float | None, notes: list[str]) -> FloatArray:
    """(F,) seconds: frame numbers at the given rate, the files' own times, or those of the clip's frames."""
    if fps is not None:
        if not 0 < fps < 1e5:
            raise InputError(f"{fps} is no frame rate", where="--fps")
        return view.frame / fps
    if view.time_s is not None:
        return view.time_s
    if clip is None:
        raise InputError(
            f"nothing says how many frames a second camera {name} has", todo="add --fps, or the clips"
        )
    frame = view.frame
    if frame[-1] >= clip.num_frames and frame[-1] - frame[0] < clip.num_frames:
        notes.append(
            f"camera {name}: frame {frame[0]} is taken as the first of the clip, which has {clip.num_frames}"
        )
        frame = frame - frame[0]
    return frame / clip.rate_hz


def _cameras(views: Iterable[View], take: Take) -> dict[str, View]:
    """Views by the names of the take's clips; without clips by their own."""
    from calibration import CalibrationError, match_names

    listed = list(views)
    names = [view.camera for view in listed]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"camera {twice[0]} is there twice", todo="import one file at a time, or with --camera"
        )
    clips = list(take.clips())
    if clips:
        try:
            match = match_names(names, clips)
        except CalibrationError as error:
            raise InputError(
                f"the results' cameras are not those of the clips: {error}", todo="or name one with --camera"
            ) from error
        return {match[view.camera]: view for view in listed}
    return {view.camera: view for view in listed}


def _calibrated_sizes(take: Take, names: list[str]) -> dict[str, tuple[int, int]]:
    """Image sizes of the calibration, for cameras that it has."""
    from calibration import CalibrationError, match_names

    own = not take.session.cameras_file.is_file() and take.cameras_file.is_file()
    if not own and not take.session.cameras_file.is_file():
        return {}
    cameras = take.load_cameras() if own else take.session.load_cameras()
    sizes = dict(zip(cameras.names, cameras.size_px.tolist(), strict=True))
    try:
        match = match_names(names, cameras.names)
    except CalibrationError:
        return {}
    found = {name: sizes[match[name]] for name in names}
    return {n: (int(w), int(h)) for n, (w, h) in found.items() if np.isfinite([w, h]).all()}


def _clips(take: Take, named: Mapping[str, View]) -> dict[str, Clip]:
    from mocap.video import open_clip

    return {name: open_clip(path) for name, path in take.clips().items() if name in named}


def _names(keypoints: str | None) -> tuple[str, ...]:
    """The names that the user gave, or those of a set."""
    from rigs.keypoints import KEYPOINT_SETS

    if keypoints is None:
        return ()
    if keypoints in KEYPOINT_SETS:
        return KEYPOINT_SETS[keypoints]
    names = tuple(name.strip() for name in keypoints.split(","))
    if len(names) == 1 or not all(names):
        raise InputError(
            f"no keypoint set {keypoints!r}", where="--keypoints",
            todo=f"choose from {', '.join(KEYPOINT_SETS)}, or give the names, separated by commas",
        )  # fmt: skip
    return names


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of which none is empty and each is there once: a second ``tail`` is ``tail_2``."""
    result: list[str] = []
    for index, name in enumerate(names):
        base = name or f"point_{index}"
        number, unique = 2, base
        while unique in result:
            unique, number = f"{base}_{number}", number + 1
        result.append(unique)
    return tuple(result)


def _checked_size(size_px: tuple[int, int] | None) -> tuple[int, int] | None:
    if size_px is not None and not all(1 <= side <= 100_000 for side in size_px):
        raise InputError(f"{size_px[0]}x{size_px[1]} is no size of an image", where="--size")
    return size_px


def _check_names(named: Mapping[str, View]) -> None:
    for name in named:
        if not name or name.startswith(".") or any(character in name for character in "/\\\n"):
            raise InputError(f"'{name}' cannot name a camera", todo="give a name with --camera")


def _check_take(session: Session, take: str) -> None:
    if not take or take.startswith(".") or any(character in take for character in "/\\\n"):
        raise InputError(f"'{take}' cannot name a take", where=session.root)
