"""Real weights and real frames for the tests of this folder; each test that cannot have them is skipped."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mocap.detect.landmarks import LandmarkNetwork
from mocap.detect.models import model_path
from mocap.detect.person import PersonDetector
from mocap.errors import MissingModel
from mocap.video import find_clips, frames, open_clip


def weights(name: str) -> Path:
    """Real weights, fetched on first use."""
    try:
        return model_path(name)
    except MissingModel as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def footage() -> dict[str, Path]:
    """The four clips of the balancing person."""
    root = os.environ.get("MOCAP_TEST_DATA")
    if not root or not (clips := find_clips(Path(root) / "pose2sim_single" / "videos")):
        pytest.skip("needs the recording pose2sim_single in the folder that MOCAP_TEST_DATA names")
    return clips


@pytest.fixture(scope="session")
def first_frames(footage: dict[str, Path]) -> dict[str, NDArray[np.uint8]]:
    """The first image of each camera."""
    return {camera: next(iter(frames(open_clip(path)))).rgb for camera, path in footage.items()}


@pytest.fixture(scope="session")
def person() -> PersonDetector:
    """The real person detector."""
    return PersonDetector(weights("blazepose-person"))


@pytest.fixture(scope="session")
def full() -> LandmarkNetwork:
    """The real network of middle size, without the mirror."""
    return LandmarkNetwork(weights("blazepose-full"), mirror=False)


@pytest.fixture(scope="session")
def lite_files() -> dict[str, Path]:
    """The weights of the fastest setting."""
    return {"person": weights("blazepose-person"), "landmarks": weights("blazepose-lite")}
