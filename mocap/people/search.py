"""People whom a view's detector missed, looked for again where the other views' 3D has them.

What the detector sees there is kept if it is a person, lies where that person should be, nearer to them than
to anybody else, and is not somebody whom the view has already: nothing is copied, neither from the 3D nor
from a neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.cameras import Cameras
from mocap.associate import Expected
from mocap.detect.region import Floats, Region, region_of_person
from mocap.keypoints import CameraKeypoints, FloatArray
from mocap.progress import Progress, silent
from mocap.reconstruct import expected_people
from mocap.settings import DetectSettings, ReconstructSettings
from mocap.sync import Clock

_NEAR = 0.12
"""Mean miss in body sizes up to which what is seen is the one who is expected."""
_FAR = 0.3
"""No keypoint counts for a larger miss."""
_CLEARLY = 0.7
"""It must miss anybody else by more than this part of that."""
_KNOWN = 0.06
"""Body sizes from a detection that the view has already within which it is the same one again."""
_REACH = 1.1
"""The body reaches beyond its farthest keypoint by this much: hands and the top of the head."""
_SCALES = (1.0, 0.85, 1.2)
"""Sizes of the region that are tried in turn."""
_LEAST_VISIBLE = 0.5
"""Share of the keypoints that must be expected inside the picture."""

Look = Callable[[NDArray[np.uint8], Region], tuple[Floats, Floats] | None]
"""Reads the pose (K, 2), (K,) of somebody in a region of an image; None where nobody is."""


@dataclass(frozen=True)
class SearchSummary:
    """What came of looking again."""

    missed: dict[str, int]
    """By camera: times that somebody should have been seen and was not."""
    found: dict[str, int]
    """By camera: how often they were found."""


def search(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    clock: Clock,
    clips: Mapping[str, Path],
    *,
    settings: DetectSettings,
    reconstruct: ReconstructSettings,
    progress: Progress = silent,
) -> tuple[dict[str, CameraKeypoints], SearchSummary]:
    """Look again for everybody whom a view lacks.

    Args:
        keypoints: what each camera saw.
        cameras: calibrated cameras, among them those of ``keypoints``.
        clock: brings the cameras' own times to the take's clock.
        clips: footage by camera.
        settings: the detector that is asked.
        reconstruct: how people are told apart.
        progress: told the frames that are looked at.

    Returns:
        By camera who was found, a row for each person and NaN where they were not missed; and a summary.
    """
    from mocap.video import frames, open_clip

    expected = expected_people(keypoints, cameras, clock, settings=reconstruct)
    missed = {name: _missed(expected[name], keypoints[name]) for name in clips} if expected else {}
    look = _looker(settings) if any(miss.any() for miss in missed.values()) else None
    total = sum(int(miss.any(1).sum()) for miss in missed.values())
    found = {name: _nobody(keypoints[name], missed.get(name)) for name in clips}
    done = 0
    for name, miss in missed.items():
        due = miss.any(1)
        if look is None or not due.any():
            continue
        view = keypoints[name]
        for frame in frames(open_clip(clips[name])):
            if frame.index >= len(due):
                break
            if due[frame.index]:
                _look_at(frame.rgb, frame.index, miss[frame.index], expected[name], view, found[name], look)
                done += 1
                progress("search", done, total)
    return found, SearchSummary(
        {name: int(miss.sum()) for name, miss in missed.items()},
        {name: int(np.isfinite(view.score).any(-1).sum()) for name, view in found.items()},
    )


def _missed(expected: Expected, view: CameraKeypoints) -> NDArray[np.bool_]:
    """(F, N) who should be seen in a frame and is not."""
    xy = expected.xy_px
    inside = ((xy >= 0) & (xy < view.size_px)).all(-1)
    visible = inside.mean(-1) >= _LEAST_VISIBLE
    return visible & (expected.rows < 0) & (expected.size_px > 1)


def _nobody(view: CameraKeypoints, missed: NDArray[np.bool_] | None) -> CameraKeypoints:
    """As many empty rows as there are people who are missed."""
    people = 0 if missed is None else missed.shape[1]
    shape = (len(view.time_s), people, len(view.keypoint_names))
    xy_px, score = np.full((*shape, 2), np.nan), np.full(shape, np.nan)
    return CameraKeypoints(view.time_s, xy_px, score, view.keypoint_names, view.size_px)


def _looker(settings: DetectSettings) -> Look | None:
    """The detector's second half, somebody's pose in a region; None where it only knows whole images."""
    from mocap.detect import DETECTORS
    from mocap.detect.detector import Looker

    family = DETECTORS[settings.detector]
    detector = family.create(family.files(settings), settings)
    return detector.look if isinstance(detector, Looker) else None


def _look_at(
    rgb: NDArray[np.uint8],
    frame: int,
    missed: NDArray[np.bool_],
    expected: Expected,
    view: CameraKeypoints,
    found: CameraKeypoints,
    look: Look,
) -> None:
    """Look for those who are missed in one frame, and note who is found."""
    known = [view.xy_px[frame]]
    for person in np.flatnonzero(missed):
        middle, top = _stance(expected.xy_px[frame, person], expected.names)
        for scale in _SCALES:
            seen = look(rgb, region_of_person(middle, middle + scale * _REACH * (top - middle)))
            if seen is None:
                continue
            # Fingers, which a view may have after the body's keypoints, are not looked for again.
            xy_px, score = np.full(view.xy_px.shape[2:], np.nan), np.full(view.score.shape[2:], np.nan)
            xy_px[: len(seen[0])], score[: len(seen[0])] = seen
            if _is_expected(xy_px, frame, int(person), expected, known):
                found.xy_px[frame, person], found.score[frame, person] = xy_px, score
                known.append(xy_px[None])
                break


def _stance(xy_px: FloatArray, names: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Middle of the hips, and the point towards the head that is as far from it as the body reaches."""
    place = {name: index for index, name in enumerate(names)}

    def between(part: str) -> FloatArray:
        sides = [xy_px[place[f"{side}_{part}"]] for side in ("left", "right") if f"{side}_{part}" in place]
        return np.mean(sides, 0) if sides else np.full(2, np.nan)

    middle, chest = between("hip"), between("shoulder")
    known = xy_px[np.isfinite(xy_px).all(-1)]
    if not np.isfinite(middle).all():
        middle = known.mean(0)
    up = chest - middle
    up = np.array([0.0, -1.0]) if not np.isfinite(up).all() or np.hypot(*up) < 1 else up / np.hypot(*up)
    return middle, middle + up * np.linalg.norm(known - middle, axis=-1).max()


def _is_expected(
    seen_px: FloatArray, frame: int, person: int, expected: Expected, known: list[FloatArray]
) -> bool:
    """Whether what was seen is that person, nobody else, and not what the view had before."""
    size = max(float(expected.size_px[frame, person]), 1.0)
    compared = seen_px[expected.which]
    distance = np.linalg.norm(expected.xy_px[frame] - compared, axis=-1) / size  # (N, K)
    told = np.isfinite(distance)
    miss = np.where(told, np.minimum(distance, _FAR), 0.0).sum(1) / np.maximum(told.sum(1), 1)
    miss[told.sum(1) < compared.shape[0] / 2] = np.inf
    others = np.delete(miss, person)
    if not (miss[person] < _NEAR and miss[person] < _CLEARLY * others.min(initial=np.inf)):
        return False
    rows = np.concatenate(known)
    same = np.linalg.norm(rows - seen_px, axis=-1)
    there = np.isfinite(same).sum(-1) >= 3
    return not any(np.nanmedian(one) < _KNOWN * size for one in same[there])
