"""One person in all views of a take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mocap.keypoints import CameraKeypoints
from mocap.track import person_size


@dataclass(frozen=True)
class Person:
    """One person in all views of a take."""

    rows: Mapping[str, NDArray[np.integer]]
    """By camera: (F,) the person's row in each frame of that camera, -1 where absent."""
    pieces: Mapping[str, NDArray[np.integer]]
    """By camera: (F, K) the row that shows each keypoint, -1 where none does."""
    prominence: float
    """How much of the pictures the person fills, summed over views and time."""
    sure: float = 1.0
    """How sure it is, in [0, 1], that this is one person, and the same all the time."""
    tracks: tuple[int, ...] = (1,)
    """Numbers, from 1, of what was found and makes this person; ``people.toml`` speaks of them."""

    def where(self, which: Mapping[str, NDArray[np.bool_]]) -> Person:
        """The person in some frames (F,) of each camera only."""
        rows = {name: np.where(which[name], row, -1) for name, row in self.rows.items()}
        pieces = {name: np.where(which[name][:, None], row, -1) for name, row in self.pieces.items()}
        before = sum(int((row >= 0).sum()) for row in self.rows.values())
        after = sum(int((row >= 0).sum()) for row in rows.values())
        return replace(self, rows=rows, pieces=pieces, prominence=self.prominence * after / max(before, 1))

    def joined(self, other: Person) -> Person:
        """This person and what is known of them by another track."""
        rows = {name: np.where(row >= 0, row, other.rows[name]) for name, row in self.rows.items()}
        pieces = {
            name: np.where((row >= 0)[:, None], self.pieces[name], other.pieces[name])
            for name, row in self.rows.items()
        }
        return Person(
            rows,
            pieces,
            self.prominence + other.prominence,
            min(self.sure, other.sure),
            (*self.tracks, *other.tracks),
        )


def only_person(keypoints: Mapping[str, CameraKeypoints]) -> Person | None:
    """The person of a take in which no camera ever saw two; None where one did."""
    rows: dict[str, NDArray[np.integer]] = {}
    pieces: dict[str, NDArray[np.integer]] = {}
    prominence = 0.0
    for name, view in keypoints.items():
        there = np.isfinite(view.xy_px).all(-1).any(-1)  # (F, P)
        if there.shape[1] == 0 or (there.sum(1) > 1).any():
            return None
        row = there.argmax(1)
        rows[name] = np.where(there.any(1), row, -1)
        pieces[name] = np.repeat(rows[name][:, None], len(view.keypoint_names), 1)
        frames = np.arange(len(row))
        size = np.nan_to_num(person_size(view.xy_px[frames, row])) / view.size_px[1]
        prominence += float((size * np.nan_to_num(view.score[frames, row]).mean(-1)).sum())
    return Person(rows, pieces, prominence)
