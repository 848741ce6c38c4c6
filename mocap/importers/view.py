"""What every importer gives back: one camera's 2D keypoints as another tool saw them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mocap.errors import InputError
from mocap.keypoints import FloatArray
from rigs.keypoints import KEYPOINT_SETS

MOST_PEOPLE = 256
"""A frame with more is no recording of a performance, and would fill the memory."""
_LAST_FRAME = 10**18
"""Numbers of images run to 18 digits (time stamps in nanoseconds), and not further."""
_FARTHEST_PX = 1e6
"""Coordinates beyond are no place near any image."""
_BY_COUNT = {
    len(KEYPOINT_SETS[name]): name
    for name in (
        *("coco17", "openpose18", "openpose_mpi15", "mpii16", "hand21", "coco_wholebody23", "body25"),
        *("halpe26", "blazepose33", "hands42", "coco_wholebody133", "halpe136"),
    )
}


@dataclass(frozen=True)
class Options:
    """What the user says about files that do not say it themselves."""

    keypoint_names: tuple[str, ...] = ()
    """Names of the keypoints in the order of the files; empty: as the files say, or by their number."""
    size_px: tuple[int, int] | None = None
    """Width and height of the images."""


@dataclass(frozen=True)
class View:
    """One camera's keypoints, in the frame numbers and the spelling of the tool that found them."""

    camera: str
    """The camera's name as files and folders have it."""
    frame: NDArray[np.int64]
    """(F,) rising frame numbers; they may skip and need not begin at 0."""
    xy: FloatArray
    """(F, P, K, 2) pixels, or shares of the image where ``normalised``; NaN where missing."""
    score: FloatArray
    """(F, P, K) in [0, 1]; 0 for a keypoint that is missing, NaN where there is nobody."""
    keypoint_names: tuple[str, ...]
    """K names."""
    size_px: tuple[int, int] | None = None
    """Width and height of the images, where the files say so."""
    time_s: FloatArray | None = None
    """(F,) seconds, where the files say so."""
    normalised: bool = False
    """Whether x and y are shares of the image's width and height."""
    notes: tuple[str, ...] = ()
    """What the user should know."""


def build_view(
    camera: str,
    people: Mapping[int, Sequence[FloatArray]],
    keypoint_names: Sequence[str],
    *,
    size_px: tuple[int, int] | None = None,
    time_s: Mapping[int, float] | None = None,
    normalised: bool = False,
    notes: Sequence[str] = (),
) -> View:
    """A view of people who come as rows of x, y and score.

    Args:
        camera: its name.
        people: for each frame number the people in it, each (K, 3): x, y, score; an empty or unknown person
            is left out.
        keypoint_names: K names.
        size_px: of the images.
        time_s: of each frame.
        normalised: x and y are shares of the image.
        notes: for the user.

    Raises:
        InputError: people of another number of keypoints, or far too many of them.
    """
    count = len(keypoint_names)
    if wrong := [number for number in people if not 0 <= number < _LAST_FRAME]:
        raise InputError(f"camera {camera}: {wrong[0]:.6g} is no frame number")
    frame = np.array(sorted(people), dtype=np.int64)
    real = [[p for p in people[int(number)] if len(p)] for number in frame]
    most = max((len(row) for row in real), default=0)
    if most > MOST_PEOPLE:
        raise InputError(
            f"camera {camera}: a frame holds {most} people", todo=f"at most {MOST_PEOPLE} can be"
        )
    data = np.full((len(frame), most, count, 3), np.nan)
    for index, row in enumerate(real):
        for place, person in enumerate(row):
            if person.shape != (count, 3):
                raise InputError(
                    f"camera {camera}, frame {frame[index]}: a person of {len(person)} keypoints, "
                    f"others have {count}",
                    todo="import results of one model at a time",
                )
            data[index, place] = person
    there = np.zeros(data.shape[:2], dtype=bool)
    for index, row in enumerate(real):
        there[index, : len(row)] = True
    times = None if time_s is None else np.array([time_s[int(number)] for number in frame], dtype=np.float64)
    return cleaned(
        View(
            camera, frame, data[..., :2], data[..., 2], tuple(keypoint_names), size_px, times, normalised,
            tuple(notes),
        ),
        there,
    )  # fmt: skip


def cleaned(view: View, there: NDArray[np.bool_]) -> View:
    """A view whose missing keypoints are NaN with score 0, and whose scores lie in [0, 1].

    Tools write a missing keypoint as zeros, as a score of 0, or as no number. Scores above 1, as several
    networks give them, are certain; scores in percent are told by their size.

    Args:
        view: as it was read.
        there: (F, P) where there is somebody.
    """
    xy, score = view.xy.copy(), view.score.copy()
    notes = list(view.notes)
    with np.errstate(invalid="ignore"):
        known = (
            np.isfinite(xy).all(-1) & (np.abs(xy) < _FARTHEST_PX).all(-1) & (score > 0) & np.isfinite(score)
        )
        known &= ~(xy == 0).all(-1)
    highest = float(np.quantile(score[known], 0.99)) if known.any() else 0.0
    if 5 < highest <= 101:
        score /= 100
        notes.append(f"camera {view.camera}: scores reach {highest:.0f} and are taken as percent")
    elif highest > 5:
        notes.append(f"camera {view.camera}: scores reach {highest:.3g}; all above 1 count as certain")
    seen = there & known.any(-1)  # an entry without any keypoint is nobody
    xy = np.where(known[..., None], xy, np.nan)
    score = np.where(seen[..., None], np.where(known, np.clip(score, 0, 1), 0.0), np.nan)
    order = np.argsort(~seen, axis=1, kind="stable")
    most = int(seen.sum(1).max(initial=0))
    xy = np.take_along_axis(xy, order[..., None, None], 1)[:, :most]
    score = np.take_along_axis(score, order[..., None], 1)[:, :most]
    return View(
        view.camera, view.frame, xy, score, view.keypoint_names, view.size_px, view.time_s, view.normalised,
        tuple(notes),
    )  # fmt: skip


def somebody(xy: FloatArray) -> NDArray[np.bool_]:
    """(F, P) where any keypoint of (F, P, K, 2) is known."""
    return np.asarray(np.isfinite(xy).all(-1).any(-1), dtype=bool)


def triples(values: object, where: str) -> FloatArray:
    """(K, 3) of a flat list x, y, score, ...; an empty list or null is nobody, (0, 3).

    Raises:
        InputError: no list of numbers, or not a multiple of three of them.
    """
    if values is None:
        return np.zeros((0, 3))
    flat = numbers(values, where)
    if flat.ndim != 1 or flat.size % 3:
        raise InputError(f"{flat.size} numbers are no keypoints of x, y, score", where=where)
    return flat.reshape(-1, 3)


def numbers(values: object, where: str) -> FloatArray:
    """An array of what JSON holds; null is NaN.

    Raises:
        InputError: something else than numbers, or lists of uneven length.
    """
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("keypoints that are no even list of numbers", where=where) from error


def names_for(count: int, options: Options, where: str, *, known: str | None = None) -> tuple[str, ...]:
    """Names of so many keypoints: the user's, those of a known set, or numbers.

    Raises:
        InputError: the user named another number of them.
    """
    if options.keypoint_names:
        if len(options.keypoint_names) != count:
            raise InputError(
                f"{count} keypoints, and {len(options.keypoint_names)} names were given", where=where
            )
        return options.keypoint_names
    found = known or _BY_COUNT.get(count)
    return KEYPOINT_SETS[found] if found else tuple(f"point_{number}" for number in range(count))


def size_from(width: object, height: object) -> tuple[int, int] | None:
    """A size that makes sense, else None."""
    if not (isinstance(width, int | float) and isinstance(height, int | float)):
        return None
    if not (math.isfinite(width) and math.isfinite(height) and width >= 1 and height >= 1):
        return None
    return int(width), int(height)
