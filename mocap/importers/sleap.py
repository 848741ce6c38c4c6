"""SLEAP: the analysis file (HDF5), tracks of animals or people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mocap.errors import InputError
from mocap.importers.text_files import open_hdf5
from mocap.importers.view import MOST_PEOPLE, Options, View, cleaned, names_for, somebody


def kind(path: Path) -> str | None:
    """``clip`` if a file is an analysis file."""
    if path.suffix not in (".h5", ".hdf5", ".slp"):
        return None
    with open_hdf5(path) as file:
        if "tracks" in file and "node_names" in file:
            return "clip"
        return "project" if "frames" in file and "instances" in file else None


def read(camera: str, files: Sequence[Path], options: Options) -> list[View]:
    """The tracks of one camera: each is somebody in every frame."""
    (path,) = files
    if kind(path) == "project":
        raise InputError("is a project of SLEAP's", where=path, todo="export it: File, Export Analysis HDF5")
    with open_hdf5(path) as file:
        nodes = [name.decode("utf-8", "replace") for name in np.asarray(file["node_names"]).ravel()]
        tracks = np.asarray(file["tracks"], dtype=np.float64)
        scores = np.asarray(file["point_scores"], dtype=np.float64) if "point_scores" in file else None
    if tracks.ndim != 4:
        raise InputError(f"its tracks are {tracks.shape}", where=path, todo="export it again")
    # SLEAP writes (track, x/y, node, frame) for MATLAB, and (frame, node, x/y, track) for Python
    if tracks.shape[1:3] == (2, len(nodes)):
        xy = tracks.transpose(3, 0, 2, 1)
        score = None if scores is None else scores.transpose(2, 0, 1)
    elif tracks.shape[1:3] == (len(nodes), 2):
        xy = tracks.transpose(0, 3, 1, 2)
        score = None if scores is None else scores.transpose(0, 2, 1)
    else:
        raise InputError(f"its tracks are {tracks.shape} for {len(nodes)} nodes", where=path)
    if xy.shape[1] > MOST_PEOPLE:
        raise InputError(f"holds {xy.shape[1]} tracks", where=path, todo="clean the tracks up in SLEAP")
    if score is None or score.shape != xy.shape[:3]:
        score = np.ones(xy.shape[:3])
    names = options.keypoint_names and names_for(len(nodes), options, str(path))
    # points that a person has placed have no score
    view = View(camera, np.arange(len(xy)), xy, np.nan_to_num(score, nan=1.0), names or tuple(nodes))
    return [cleaned(view, somebody(xy))]
